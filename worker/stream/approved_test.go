package stream_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker/stage/bubble"
	"logoffworker/worker/stream"
)

// older sets the streams back to those of a release before jobs could be held.
func older(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	approved := func(subject string) bool { return strings.Contains(subject, ".approved.") }
	for _, lane := range jobs.Lanes {
		consumer, err := js.Consumer(t.Context(), subjects.RequestStream(), string(lane))
		if err != nil {
			t.Fatal(err)
		}
		config := consumer.CachedInfo().Config
		config.FilterSubjects = slices.DeleteFunc(config.FilterSubjects, approved)
		if _, err := js.UpdateConsumer(t.Context(), subjects.RequestStream(), config); err != nil {
			t.Fatal(err)
		}
	}
	requests, err := js.Stream(t.Context(), subjects.RequestStream())
	if err != nil {
		t.Fatal(err)
	}
	config := requests.CachedInfo().Config
	config.Subjects = slices.DeleteFunc(config.Subjects, approved)
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), subjects.AuditStream()); err != nil {
		t.Fatal(err)
	}
}

// approves reports whether the stream of jobs and its consumers take approved jobs.
func approves(t *testing.T, js jetstream.JetStream) bool {
	t.Helper()
	all := true
	for _, lane := range jobs.Lanes {
		if _, err := js.Publish(t.Context(), subjects.Approved(lane, "jane"), []byte("{}")); err != nil {
			return false
		}
		consumer, err := js.Consumer(t.Context(), subjects.RequestStream(), string(lane))
		if err != nil {
			t.Fatal(err)
		}
		batch, err := consumer.Fetch(1, jetstream.FetchMaxWait(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		_, came := <-batch.Messages()
		all = all && came
	}
	return all
}

// What an older release made is changed so that it takes approved jobs, unless an operator owns it: then it is taken
// as it is, and forecast in words.
func TestStreamsOfAnOlderReleaseAreTaken(t *testing.T) {
	for how, words := range map[stream.Provision]string{stream.ProvisionCreate: "is changed", stream.ProvisionVerify: "none may be held"} {
		t.Run(string(how), func(t *testing.T) {
			bubble.Run(t, time.Minute, func(t *testing.T) {
				js := provisioned(t)
				older(t, js)
				config := stream.Config{Subjects: subjects, Provision: how, Replicas: 1}
				forecast, err := config.Foresee(t.Context(), js)
				if said := strings.Join(append(forecast.Creates, forecast.Lacks), "\n"); err != nil || !strings.Contains(said, words) {
					t.Errorf("%s: the forecast is %q, %v", how, said, err)
				}
				err = config.ProvisionStreams(t.Context(), js)
				if lacks := err != nil && strings.Contains(err.Error(), subjects.AuditStream()); lacks != (how == stream.ProvisionVerify) {
					t.Errorf("%s: %v", how, err)
				}
				if got := approves(t, js); got != (how == stream.ProvisionCreate) {
					t.Errorf("%s: approved jobs are taken: %t", how, got)
				}
			})
		})
	}
}

// A subject is that of approved jobs by its place, and not because a prefix has the word in it.
func TestPrefixMayHaveTheWordApproved(t *testing.T) {
	bubble.Run(t, time.Minute, func(t *testing.T) {
		js := provisioned(t)
		config := stream.Config{Subjects: jobs.Subjects{Prefix: "x.approved.y"}, Provision: stream.ProvisionCreate, Replicas: 1}
		if err := config.ProvisionStreams(t.Context(), js); err != nil {
			t.Fatal(err)
		}
		for _, subject := range []string{"x.approved.y.requests.bulk.hr", "x.approved.y.approved.bulk.jane"} {
			if _, err := js.Publish(t.Context(), subject, nil); err != nil {
				t.Errorf("%s: %v", subject, err)
			}
		}
	})
}

// Where jobs are held, streams that lack the subjects of approved jobs are refused: what is held could never be approved.
func TestStreamsThatCannotApproveAreRefusedWhereJobsAreHeld(t *testing.T) {
	bubble.Run(t, time.Minute, func(t *testing.T) {
		js := provisioned(t)
		older(t, js)
		config := stream.Config{Subjects: subjects, Provision: stream.ProvisionVerify, Replicas: 1, Holds: true}
		if err := config.ProvisionStreams(t.Context(), js); err == nil || !strings.Contains(err.Error(), "lacks the subjects of approved jobs") {
			t.Errorf("they are taken: %v", err)
		}
		config.Provision = stream.ProvisionCreate
		if err := config.ProvisionStreams(t.Context(), js); err != nil {
			t.Errorf("they are not changed: %v", err)
		}
	})
}

// Where an hour is counted, and there are no counters, the worker is refused.
func TestHourWithoutCountersIsRefused(t *testing.T) {
	bubble.Run(t, time.Minute, func(t *testing.T) {
		js := provisioned(t)
		config := stream.Config{Subjects: subjects, Provision: stream.ProvisionCreate, Replicas: 1, Holds: true, HoldsByHour: true}
		if err := config.ProvisionStreams(t.Context(), js); err == nil || !strings.Contains(err.Error(), "LOGOFF_HOLD_ABOVE_HOUR") {
			t.Errorf("without counters it is taken: %v", err)
		}
	})
}

package worker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker"
	"logoffworker/worker/webserver/simulator"
)

func TestProvisionNamesEveryDifference(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{})
		ctx := t.Context()
		for _, test := range []struct {
			name   string
			change func(*jetstream.StreamConfig)
			says   []string
		}{
			{"results that are dropped", func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld; c.MaxAge = time.Hour }, []string{"discard is", "max age is 1h0m0s, needed is 720h0m0s or more"}},
			{"more copies and a limit are the operator's business", func(c *jetstream.StreamConfig) { c.MaxBytes = 1 << 30; c.Description = "ours" }, nil},
		} {
			stream, err := s.js.Stream(ctx, s.subjects.ResultStream())
			if err != nil {
				t.Fatal(err)
			}
			original := stream.CachedInfo().Config
			changed := original
			test.change(&changed)
			if _, err := s.js.UpdateStream(ctx, changed); err != nil {
				t.Fatal(err)
			}
			for _, how := range []worker.Provision{worker.ProvisionCreate, worker.ProvisionVerify} {
				err := worker.ProvisionStreams(ctx, s.js, s.subjects, how, 1)
				var mismatch *worker.MismatchError
				if errors.As(err, &mismatch) != (test.says != nil) {
					t.Errorf("%s: %v", test.name, err)
				}
				for _, words := range test.says {
					if err == nil || !strings.Contains(err.Error(), words) {
						t.Errorf("%s: %v does not say %q", test.name, err, words)
					}
				}
			}
			if _, err := s.js.UpdateStream(ctx, original); err != nil {
				t.Fatal(err)
			}
		}
		consumer, err := s.js.Consumer(ctx, s.subjects.RequestStream(), "bulk")
		if err != nil {
			t.Fatal(err)
		}
		config := consumer.CachedInfo().Config
		config.MaxDeliver = 5
		if _, err := s.js.UpdateConsumer(ctx, s.subjects.RequestStream(), config); err != nil {
			t.Fatal(err)
		}
		if err := worker.ProvisionStreams(ctx, s.js, s.subjects, worker.ProvisionCreate, 1); err == nil || !strings.Contains(err.Error(), "max deliver is 5, needed is -1") {
			t.Errorf("a consumer that strands jobs: %v", err)
		}
	})
}

func TestVerifyCreatesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{})
		other := jobs.Subjects{Prefix: "other.site"}
		err := worker.ProvisionStreams(t.Context(), s.js, other, worker.ProvisionVerify, 1)
		if !errors.Is(err, jetstream.ErrStreamNotFound) {
			t.Errorf("%v", err)
		}
		if _, err := s.js.Stream(t.Context(), other.RequestStream()); !errors.Is(err, jetstream.ErrStreamNotFound) {
			t.Errorf("verify made a stream: %v", err)
		}
	})
}

// A job is refused by NATS, not stranded, when its lane is nobody's.
func TestJobForNoLaneIsRefusedByNATS(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := s.js.Publish(ctx, "logoff.requests.soon", []byte("{}")); err == nil {
			t.Error("a job for a lane that nobody works was stored")
		}
		stream, err := s.js.Stream(ctx, s.subjects.RequestStream())
		if err != nil {
			t.Fatal(err)
		}
		s.publish("logoff.requests", jobOf("AE92D1DD-0C68-49A6-BEBB-404D96D7A4BF"))
		if err := stream.Purge(ctx); err == nil || s.left() != 1 {
			t.Errorf("the stream of jobs can be purged: %v, %d left", err, s.left())
		}
	})
}

func TestConfigReportsEveryProblem(t *testing.T) {
	if err := func() error { c := worker.DefaultConfig(); c.Name = "w"; return c.Validate() }(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
	bad := worker.Config{
		Subjects: jobs.Subjects{Prefix: "a b"}, Provision: "maybe", Slots: 1, UrgentSlots: 1,
		BatchMaxSessions: 20_000, BatchMaxBytes: 10, BulkLinger: -1,
	}
	err := bad.Validate()
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	for _, words := range []string{
		"Subjects: ", "Name: ", "Provision: must be create or verify", "Replicas: must be 1 to 5, not 0", "Slots: must be 2 to 1000", "not 20000", "not 10\n",
		"BulkLinger: must be 0 to 1m, not -1ns", "Tries: must be 1 or more, not 0", "Backoff: ", "KeepAlive: must be more than 0", "ShutdownTimeout: must be more than 0",
	} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("%q is not said in:\n%v", words, err)
		}
	}
	if strings.Contains(err.Error(), "maybe") || strings.Contains(err.Error(), "a b") {
		t.Errorf("a text of a setting, which may be a secret in the wrong place, is said:\n%v", err)
	}
}

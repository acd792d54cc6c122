package stream_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker/broker"
	"logoffworker/worker/stage/bubble"
	"logoffworker/worker/stream"
)

var subjects = stream.DefaultConfig().Subjects

// provisioned is the JetStream of a broker that has the streams and consumers of a deployment.
func provisioned(t *testing.T) jetstream.JetStream {
	t.Helper()
	b, err := broker.Start(broker.Options{StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Shutdown)
	nc, err := b.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := stream.DefaultConfig().JetStream(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DefaultConfig().ProvisionStreams(t.Context(), js); err != nil {
		t.Fatal(err)
	}
	return js
}

func TestProvisionNamesEveryDifference(t *testing.T) {
	bubble.Run(t, time.Minute, func(t *testing.T) {
		js := provisioned(t)
		ctx := t.Context()
		for _, test := range []struct {
			name   string
			change func(*jetstream.StreamConfig)
			says   []string
		}{
			{"results that are dropped", func(c *jetstream.StreamConfig) {
				c.Discard, c.DiscardNewPerSubject, c.MaxAge = jetstream.DiscardOld, false, time.Hour
			}, []string{"discard is", "max messages per subject is 1, needed is no limit", "max age is 1h0m0s, needed is 24h0m0s or more"}},
			{"results of an earlier release, of which a subject may have several", func(c *jetstream.StreamConfig) {
				c.MaxMsgsPerSubject, c.DiscardNewPerSubject = -1, false
			}, nil},
			{"more copies and a limit are the operator's business", func(c *jetstream.StreamConfig) { c.MaxBytes = 1 << 30; c.Description = "ours" }, nil},
		} {
			results, err := js.Stream(ctx, subjects.ResultStream())
			if err != nil {
				t.Fatal(err)
			}
			original := results.CachedInfo().Config
			changed := original
			test.change(&changed)
			if _, err := js.UpdateStream(ctx, changed); err != nil {
				t.Fatal(err)
			}
			for _, how := range []stream.Provision{stream.ProvisionCreate, stream.ProvisionVerify} {
				err := stream.Config{Subjects: subjects, Provision: how}.ProvisionStreams(ctx, js)
				var mismatch *stream.MismatchError
				if errors.As(err, &mismatch) != (test.says != nil) {
					t.Errorf("%s: %v", test.name, err)
				}
				for _, words := range test.says {
					if err == nil || !strings.Contains(err.Error(), words) {
						t.Errorf("%s: %v does not say %q", test.name, err, words)
					}
				}
			}
			if _, err := js.UpdateStream(ctx, original); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A consumer that would strand jobs is refused.
func TestProvisionNamesWhatAConsumerLacks(t *testing.T) {
	bubble.Run(t, time.Minute, func(t *testing.T) {
		js, ctx := provisioned(t), t.Context()
		consumer, err := js.Consumer(ctx, subjects.RequestStream(), "bulk")
		if err != nil {
			t.Fatal(err)
		}
		config := consumer.CachedInfo().Config
		config.MaxDeliver = 5
		if _, err := js.UpdateConsumer(ctx, subjects.RequestStream(), config); err != nil {
			t.Fatal(err)
		}
		if err := stream.DefaultConfig().ProvisionStreams(ctx, js); err == nil || !strings.Contains(err.Error(), "max deliver is 5, needed is -1") {
			t.Error(err)
		}
	})
}

func TestVerifyCreatesNothing(t *testing.T) {
	bubble.Run(t, time.Minute, func(t *testing.T) {
		js := provisioned(t)
		other := jobs.Subjects{Prefix: "other.site"}
		err := stream.Config{Subjects: other, Provision: stream.ProvisionVerify}.ProvisionStreams(t.Context(), js)
		if !errors.Is(err, jetstream.ErrStreamNotFound) {
			t.Errorf("%v", err)
		}
		if _, err := js.Stream(t.Context(), other.RequestStream()); !errors.Is(err, jetstream.ErrStreamNotFound) {
			t.Errorf("verify made a stream: %v", err)
		}
	})
}

// A job is refused by NATS, not stranded, when its lane is nobody's.
func TestJobForNoLaneIsRefusedByNATS(t *testing.T) {
	bubble.Run(t, time.Minute, func(t *testing.T) {
		js := provisioned(t)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := js.Publish(ctx, "logoff.requests.soon", []byte("{}")); err == nil {
			t.Error("a job for a lane that nobody works was stored")
		}
		requests, err := js.Stream(ctx, subjects.RequestStream())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.Publish(ctx, "logoff.requests", []byte("{}")); err != nil {
			t.Fatal(err)
		}
		if err := requests.Purge(ctx); err == nil {
			t.Error("the stream of jobs can be purged")
		}
		if info, err := requests.Info(ctx); err != nil || info.State.Msgs != 1 {
			t.Errorf("%v: %+v", err, info)
		}
	})
}

package worker_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/worker/webserver/simulator"
)

// A job's own id never makes it a duplicate: every job that is stored is worked, however its id was used before.
func TestUsedJobIDIsNoObstacle(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{})
		s.start(options{})
		ids := s.sim.SignOnMany(7, 4)
		for i, subject := range []string{"logoff.requests", "logoff.requests.urgent", "logoff.requests.bulk", "logoff.requests.urgent.soar"} {
			s.publish(subject, `{"id":"case-1","sessions":["`+ids[i]+`"]}`)
		}
		keys := map[string]bool{}
		for _, result := range s.await(4) {
			if result.JobID != "case-1" || len(result.Sessions) != 1 {
				t.Errorf("a result is %+v", result)
			}
			keys[result.Sessions[0].ID] = true
		}
		if len(keys) != 4 || s.alive(ids) != 0 || s.left() != 0 {
			t.Errorf("%d of 4 jobs were worked, %d sessions are on, %d jobs are left", len(keys), s.alive(ids), s.left())
		}
	})
}

// NATS itself swallows a second job with the same message id within two minutes, and says so to its publisher.
// Nothing of the worker can see it; jobs/README.md warns of it.
func TestMessageIDIsTheOnlyThingThatMakesADuplicate(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{})
		ids := s.sim.SignOnMany(7, 3)
		store := func(id string) *jetstream.PubAck {
			ack, err := s.js.Publish(t.Context(), "logoff.requests", []byte(jobOf(id)), jetstream.WithMsgID("case-1"))
			if err != nil {
				t.Fatal(err)
			}
			return ack
		}
		if first, second := store(ids[0]), store(ids[1]); first.Duplicate || !second.Duplicate || s.left() != 1 {
			t.Errorf("%+v %+v, %d stored", first, second, s.left())
		}
		passes(t, 2*time.Minute+time.Second)
		if third := store(ids[2]); third.Duplicate || s.left() != 2 {
			t.Errorf("after two minutes: %+v, %d stored", third, s.left())
		}
		s.start(options{})
		s.await(2)
		if s.alive(ids) != 1 {
			t.Errorf("%d sessions are on, want that of the job that NATS swallowed", s.alive(ids))
		}
	})
}

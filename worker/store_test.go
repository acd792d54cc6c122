package worker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker"
	"logoffworker/worker/stream"
	"logoffworker/worker/webserver/simulator"
)

// Results that are not stored yet are bounded, and so is what is begun meanwhile: the rest waits in the stream.
func TestResultsOnTheirWayAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const batch, slots, all = 10, 4, 1000
		s := newSite(t, simulator.Settings{LatencyFixed: 10 * time.Millisecond})
		held := make(chan struct{})
		s.start(options{
			config: func(c *worker.Config) { c.BatchMaxSessions, c.Slots = batch, slots },
			reached: func(p worker.Point) {
				if p == worker.BeforeResult {
					<-held
				}
			},
		})
		ids := s.sim.SignOnMany(7, all)
		s.publish("logoff.requests.bulk", oneEach(ids)...)
		passes(t, 10*time.Second)
		// Two documents' worth of results are on their way, and each slot waits with another document.
		if sent := all - s.alive(ids); sent < batch || sent > (2+slots)*batch {
			t.Errorf("%d sessions were sent while no result is stored", sent)
		}
		close(held)
		if got := statuses(s.await(all)); got[jobs.AcceptedJob] != all {
			t.Errorf("statuses %v", got)
		}
	})
}

// A job whose dead letter cannot be stored stays in the stream, and the worker says so.
func TestDeadLetterThatCannotBeStoredHoldsItsJob(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 10 * time.Millisecond})
		r := s.start(options{config: func(c *worker.Config) { c.Stream.Provision = stream.ProvisionVerify }})
		passes(t, time.Second)
		dead, err := s.js.Stream(t.Context(), s.subjects.DeadStream())
		if err != nil {
			t.Fatal(err)
		}
		config := dead.CachedInfo().Config
		if err := s.js.DeleteStream(t.Context(), config.Name); err != nil {
			t.Fatal(err)
		}
		s.publish("logoff.requests", `{"bad"`)
		if r := s.await(1)[0]; r.Status != jobs.Invalid {
			t.Errorf("%+v", r)
		}
		passes(t, time.Minute)
		if s.left() != 1 || !strings.Contains(r.problem(worker.PartResults), "dead letters") {
			t.Errorf("%d jobs left, and the worker says %q", s.left(), r.problem(worker.PartResults))
		}
		if _, err := s.js.CreateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		passes(t, time.Minute)
		if s.left() != 0 || s.deadLetters() != 1 || r.problem(worker.PartResults) != "" {
			t.Errorf("%d jobs left, %d dead letters, and the worker says %q", s.left(), s.deadLetters(), r.problem(worker.PartResults))
		}
	})
}

// A dead letter holds the sessions that the job named and the users whose sessions are on; what was found
// through a user is left to the user.
func TestDeadLetterHoldsWhatIsLeftOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 10 * time.Millisecond, Partial: simulator.PartialAtomic})
		s.crowd()
		named, found := s.sim.SignOn(50, simulator.ConsoleWeb), s.sim.SignOn(7, simulator.ConsoleWeb)
		s.sim.Configure(func(c *simulator.Settings) { c.BadIDs = map[string]int{named: 500, found: 500} })
		s.start(options{})
		s.publish("logoff.requests", fmt.Sprintf(`{"id":"j","sessions":[%q],"users":[{"id":7}]}`, named))
		r := s.await(1)[0]
		if len(r.Sessions) != 2 || r.Sessions[0].Found || !r.Sessions[1].Found || r.UsersLeft != 1 {
			t.Errorf("%+v", r)
		}
		left, err := jobs.Decode(s.deadLetter(1).Payload, jobs.Rules{})
		if err != nil || len(left.Sessions) != 1 || left.Sessions[0].ID != named || len(left.Users) != 1 || left.Users[0].ID != 7 {
			t.Errorf("%v: %+v", err, left)
		}
	})
}

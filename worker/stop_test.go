package worker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker"
	"logoffworker/worker/gate"
	"logoffworker/worker/webserver/simulator"
)

func TestStopFinishesCallsAndHandsBackTheRest(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 2 * time.Second})
		ids := s.sim.SignOnMany(7, 2000)
		r := s.start(options{})
		passes(t, 5*time.Second)
		s.publish("logoff.requests.bulk", oneEach(ids)...)
		passes(t, time.Second)
		inFlight := 0
		for _, request := range s.logoffs() {
			inFlight += len(request.Sessions)
		}
		begun := time.Now()
		r.stop()
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("the stop took %v; a request takes 2s", took)
		}
		results := s.await(inFlight)
		if got := statuses(results); got[jobs.AcceptedJob] != inFlight || inFlight == 0 {
			t.Errorf("statuses %v of %d sessions in flight", got, inFlight)
		}
		s.takesAtOnce(jobs.Bulk, len(ids)-inFlight)
	})
}

func TestStopInAnOutageHandsBackAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{Down: 503})
		ids := s.sim.SignOnMany(7, 1000)
		s.publish("logoff.requests.bulk", oneEach(ids)...)
		r := s.start(options{})
		passes(t, time.Minute)
		if info := s.consumer(jobs.Bulk); info.NumAckPending == 0 {
			t.Fatal("nothing is in hand")
		}
		begun := time.Now()
		r.stop()
		if took := time.Since(begun); took > time.Second {
			t.Errorf("the stop took %v", took)
		}
		// Another worker gets everything with no wait for a lease.
		s.sim.Configure(func(settings *simulator.Settings) { settings.Down = 0 })
		s.start(options{config: func(c *worker.Config) { c.Name = "other" }})
		if got := statuses(s.await(1000)); got[jobs.AcceptedJob] != 1000 {
			t.Errorf("statuses %v", got)
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("the other worker was done after %v", took)
		}
	})
}

// A stop is no verdict: a session whose tries are not used up goes back.
func TestStopBetweenTriesHandsBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{})
		ids := s.sim.SignOnMany(7, 1)
		s.sim.Configure(func(settings *simulator.Settings) { settings.BadIDs = map[string]int{ids[0]: 500} })
		r := s.start(options{config: func(c *worker.Config) {
			c.Backoff = gate.Backoff{Min: time.Hour, Max: time.Hour}
		}})
		passes(t, 5*time.Second)
		s.publish("logoff.requests", jobOf(ids...))
		passes(t, time.Second)
		r.stop()
		if n := s.count(s.subjects.ResultStream()) + s.deadLetters(); n != 0 {
			t.Errorf("%d results and dead letters after one of three tries", n)
		}
		s.takesAtOnce(jobs.Urgent, 1)
	})
}

// Sessions that are found through a user while another document has the only slot wait for it. At a stop they are handed
// back, and another worker has their job at once.
func TestFoundSessionsThatWaitForASlotAreHandedBackAtAStop(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 2 * time.Second})
		r := s.start(options{config: func(c *worker.Config) { c.Slots, c.UrgentSlots = 2, 1 }}) // one for bulk jobs
		passes(t, 10*time.Second)
		ids := s.sim.SignOnMany(7, 1)
		s.publish("logoff.requests.bulk", `{"users":[{"id":7}]}`)
		passes(t, 500*time.Millisecond)
		s.sim.AddUser(simulator.User{ID: 50, Login: "joe"})
		s.sim.FailNextOn("logoff", simulator.Hang(true))
		s.publish("logoff.requests.bulk", jobOf(s.sim.SignOnMany(50, 1)...))
		passes(t, 5*time.Second)
		r.stop()
		s.takesAtOnce(jobs.Bulk, 2)
		if len(s.logoffs()) != 1 || s.alive(ids) != 1 {
			t.Errorf("%d logoffs, %d of the user's sessions are on", len(s.logoffs()), s.alive(ids))
		}
	})
}

func TestSettledJobIsAcknowledgedWithoutAnotherCall(t *testing.T) {
	for outcome, letters := range map[jobs.Outcome]uint64{jobs.Accepted: 0, jobs.Undecided: 1} {
		t.Run(string(outcome), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{})
				s.publish("logoff.requests", jobOf(s.sim.SignOnMany(7, 1)...))
				s.settleByHand(outcome)
				s.start(options{})
				passes(t, 45*time.Second) // until the other worker's lease has run out
				if n := s.left(); n != 0 {
					t.Errorf("%d jobs are left", n)
				}
				if n := len(s.logoffs()); n != 0 {
					t.Errorf("%d requests for a settled job", n)
				}
				if n := s.count(s.subjects.ResultStream()); n != 1 {
					t.Errorf("%d results", n)
				}
				if n := s.deadLetters(); n != letters {
					t.Errorf("%d dead letters, want %d", n, letters)
				}
			})
		})
	}
}

// A second result is refused by the stream, or by its own header where the stream takes several.
func TestSecondResultIsRefused(t *testing.T) {
	for name, change := range map[string]func(*jetstream.StreamConfig){"by the stream": nil, "by its header": ofAnEarlierRelease} {
		t.Run(name, func(t *testing.T) { inBubble(t, func(t *testing.T) { refusesSecondResult(t, change) }) })
	}
}

func refusesSecondResult(t *testing.T, change func(*jetstream.StreamConfig)) {
	s := newSite(t, simulator.Settings{LatencyFixed: time.Second})
	if change != nil {
		s.changeResults(change)
	}
	job := jobOf(s.sim.SignOnMany(7, 1)...)
	r := s.start(options{})
	passes(t, 5*time.Second)
	s.publish("logoff.requests", job)
	passes(t, 500*time.Millisecond) // the call is in flight
	requests, err := s.js.Stream(t.Context(), s.subjects.RequestStream())
	if err != nil {
		t.Fatal(err)
	}
	msg, err := requests.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	s.storeResult([]byte(job), msg.Sequence, msg.Time, jobs.Undecided)
	passes(t, 10*time.Second)
	r.stop()
	if n := s.count(s.subjects.ResultStream()); n != 1 {
		t.Errorf("%d results", n)
	}
	if n := s.left(); n != 0 {
		t.Errorf("%d jobs left", n)
	}
	// The dead letter agrees with the one result there is.
	if letter := s.deadLetter(1); letter.Reason != jobs.Failed {
		t.Errorf("dead letter %+v", letter)
	}
	if said := s.log.String(); strings.Contains(said, "cannot be stored") {
		t.Errorf("a job that is settled is told as one that is not:\n%s", said)
	}
}

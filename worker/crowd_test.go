package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker"
	"logoffworker/worker/stream"
	"logoffworker/worker/webserver/simulator"
)

// A Web Server that is well, and too slow for the documents that it gets, gets smaller ones.
func TestDocumentsThatTakeTooLongAreDivided(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyPerSession: 200 * time.Millisecond})
		ids := s.sim.SignOnMany(7, 1000)
		s.publish("logoff.requests.bulk", oneEach(ids)...)
		s.start(options{})
		results := s.awaitFor(len(ids), time.Hour)
		if got := statuses(results); got[jobs.AcceptedJob] != len(ids) {
			t.Errorf("statuses %v of %d jobs within an hour, %d requests", got, len(ids), len(s.logoffs()))
		}
	})
}

// The first document is no probe that the others wait for: a harmless answer is enough to begin with all slots.
func TestStartIsAtFullWidth(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: time.Second})
		s.publish("logoff.requests.bulk", oneEach(s.sim.SignOnMany(7, 600))...)
		begun := time.Now()
		s.start(options{})
		s.await(600)
		logoffs := s.logoffs()
		if first, last := logoffs[0].Time, logoffs[len(logoffs)-1].Time; len(logoffs) != 3 || last.Sub(first) >= time.Second || last.Sub(begun) > 3*time.Second {
			t.Errorf("%d documents, the first %v after the start, the last %v after that", len(logoffs), first.Sub(begun), last.Sub(first))
		}
	})
}

// What is in hand is bounded in sessions, not in jobs.
func TestLargeJobsAreNotAllTakenInHand(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: time.Second})
		for range 60 {
			s.publish("logoff.requests.bulk", jobOf(s.sim.SignOnMany(7, 2000)...))
		}
		s.start(options{})
		passes(t, 5*time.Second)
		if held := s.consumer(jobs.Bulk).NumAckPending; held > 25 { // 20,000 sessions, and what one pull of a mebibyte brings
			t.Errorf("%d jobs of 2,000 sessions are in hand", held)
		}
		if got := statuses(s.await(60)); got[jobs.AcceptedJob] != 60 {
			t.Errorf("statuses %v", got)
		}
	})
}

// A small urgent job does not wait for a large one.
func TestSmallUrgentJobOvertakesALargeOne(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: time.Second})
		s.start(options{})
		passes(t, 5*time.Second)
		s.publish("logoff.requests.urgent", jobOf(s.sim.SignOnMany(7, 10_000)...))
		passes(t, 2500*time.Millisecond)
		s.publish("logoff.requests.urgent", jobOf(s.sim.SignOnMany(7, 1)...))
		first := s.await(1)[0]
		if took := time.Duration(first.TimeToLogoffMS) * time.Millisecond; len(first.Sessions) != 1 || took > 2100*time.Millisecond {
			t.Errorf("the first result has %d sessions and took %v; a request takes 1s", len(first.Sessions), took)
		}
		if last := s.await(1)[0]; last.Counts[jobs.Accepted] != 10_000 {
			t.Errorf("the large job: %v", last.Counts)
		}
	})
}

// Jobs that need no sending hold up nobody.
func TestInvalidJobsDoNotHoldUpGoodOnes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const invalid = 5000
		s := newSite(t, simulator.Settings{}) // a request takes no time, or all the others would be over in it
		s.publish("logoff.requests", jobOf(s.sim.SignOnMany(7, 1)...))
		bad := make([]string, invalid)
		for i := range bad {
			bad[i] = fmt.Sprintf("{%d", i)
		}
		s.publish("logoff.requests", bad...)
		s.start(options{})
		for i, r := range s.await(invalid + 1) {
			if r.Status.Success() {
				t.Logf("the good job's result is number %d", i+1)
				if i > invalid/2 {
					t.Errorf("%d results came before that of the good job", i)
				}
			}
		}
	})
}

// However many large urgent jobs are in hand, beside a bulk list, a small urgent one leaves at once.
func TestSmallUrgentJobOvertakesManyLargeOnes(t *testing.T) {
	for _, large := range []int{2, 3, 6} {
		t.Run(fmt.Sprint(large), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: time.Second})
				s.start(options{})
				passes(t, 2*time.Second)
				for range 2 {
					s.publish("logoff.requests.bulk", jobOf(s.sim.SignOnMany(7, 10_000)...))
				}
				for range large {
					s.publish("logoff.requests", jobOf(s.sim.SignOnMany(7, 10_000)...))
				}
				passes(t, 3*time.Second)
				for range 3 {
					id := s.sim.SignOn(7, simulator.ConsoleWeb)
					s.publish("logoff.requests", jobOf(id))
					passes(t, 2200*time.Millisecond) // a request in flight, and its own
					if s.alive([]string{id}) != 0 {
						t.Fatal("a small urgent job waits")
					}
				}
			})
		})
	}
}

// Jobs whose dead letters cannot be stored hold up nobody.
func TestDeadLettersThatCannotBeStoredHoldUpNobody(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: latency})
		if err := s.js.DeleteStream(t.Context(), s.subjects.DeadStream()); err != nil {
			t.Fatal(err)
		}
		s.start(options{config: func(c *worker.Config) { c.Stream.Provision = stream.ProvisionVerify }})
		passes(t, 2*time.Second)
		if _, err := s.js.CreateStream(t.Context(), jetstream.StreamConfig{
			Name: s.subjects.DeadStream(), Subjects: []string{s.subjects.DeadLetters()}, Retention: jetstream.LimitsPolicy,
			Discard: jetstream.DiscardNew, MaxMsgs: 1, MaxAge: 90 * 24 * time.Hour,
		}); err != nil {
			t.Fatal(err)
		}
		passes(t, 5*time.Second)
		bad := s.sim.SignOn(7, simulator.ConsoleWeb)
		s.sim.Configure(func(settings *simulator.Settings) { settings.BadIDs = map[string]int{bad: 400} })
		for range 3 { // of 10,000 sessions each, of which one is refused
			s.publish("logoff.requests.bulk", jobOf(append(s.sim.SignOnMany(7, 9_999), bad)...))
		}
		passes(t, 2*time.Minute)
		id := s.sim.SignOn(7, simulator.ConsoleWeb)
		s.publish("logoff.requests.bulk", jobOf(id))
		passes(t, time.Second)
		if s.alive([]string{id}) != 0 {
			t.Errorf("a job waits for the dead letters of others\n%s", s.log)
		}
	})
}

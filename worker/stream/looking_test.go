package stream

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

// A lane stands still from when a job came to it, or something in it moved last.
func TestStandstillBeginsWithWhatWaits(t *testing.T) {
	type step struct {
		pending uint64
		inHand  int
		jobs    int // in this worker's hands
		after   time.Duration
		suspect bool
		told    bool
	}
	for name, steps := range map[string][]step{
		"a job after an idle hour":     {{after: time.Hour}, {pending: 1, after: time.Hour, suspect: true}, {pending: 1, after: stuckIdle, suspect: true, told: true}},
		"in somebody's hands":          {{inHand: 1}, {inHand: 1, after: time.Minute}, {inHand: 1, after: stuckBusy, told: true}},
		"waiting behind our own":       {{pending: 1, jobs: 1, suspect: true}, {pending: 1, jobs: 1, after: time.Minute, suspect: true}, {pending: 1, jobs: 1, after: stuckBusy, suspect: true, told: true}},
		"taken, and handed back again": {{pending: 1, suspect: true}, {inHand: 1, after: stuckIdle}, {pending: 1, after: stuckIdle, suspect: true}},
	} {
		synctest.Test(t, func(t *testing.T) {
			health := metrics.NewHealth(slog.New(slog.DiscardHandler))
			now := step{}
			w := &Watch{
				Streams: &Streams{Health: health}, still: map[jobs.Lane]standstill{},
				Jobs: func() int { return now.jobs }, Sessions: func(jobs.Lane) int { return 0 }, Accepted: func() int64 { return 0 },
			}
			for i, s := range steps {
				now = s
				time.Sleep(s.after)
				idle := &jetstream.ConsumerInfo{}
				suspect := w.lookForStandstill(look{lanes: map[jobs.Lane]*jetstream.ConsumerInfo{jobs.Urgent: {NumPending: s.pending, NumAckPending: s.inHand}, jobs.Bulk: idle}})
				if ready, all := health.Ready(); suspect != s.suspect || ready == s.told {
					t.Errorf("%s, %d: suspected %t, told %v", name, i, suspect, all)
				}
			}
			health.Begin(metrics.Condition{Part: "other", Kind: "down"})
			if now = steps[0]; w.lookForStandstill(look{lanes: map[jobs.Lane]*jetstream.ConsumerInfo{jobs.Urgent: {NumPending: 1}, jobs.Bulk: {}}}) {
				t.Errorf("%s: what another condition explains is suspected", name)
			}
		})
	}
}

// looker is a watch for a worker that has nothing in hand.
func looker(s *told) *Watch {
	return &Watch{
		Streams: s.Streams, still: map[jobs.Lane]standstill{},
		Jobs: func() int { return 0 }, Sessions: func(jobs.Lane) int { return 0 }, Accepted: func() int64 { return 0 },
	}
}

// Where something is suspected, the next look is soon.
func TestSuspicionIsFollowedSoon(t *testing.T) {
	withStreams(t, DefaultConfig(), func(t *testing.T, s *told) {
		w := looker(s)
		if again := w.look(t.Context()); again != lookInterval {
			t.Errorf("with nothing there, the next look is after %v", again)
		}
		if _, err := s.js.Publish(t.Context(), "logoff.requests", nil); err != nil {
			t.Fatal(err)
		}
		if again := w.look(t.Context()); again != suspectInterval {
			t.Errorf("while a job waits, the next look is after %v", again)
		}
		if msgs, err := s.Puller(jobs.Urgent).Pull(1, time.Second); err != nil || len(msgs) != 1 {
			t.Fatal(msgs, err)
		}
		if again := w.look(t.Context()); again != lookInterval {
			t.Errorf("while one is in hand, the next look is after %v", again)
		}
		if _, err := s.js.Publish(t.Context(), "logoff.requests", nil); err != nil {
			t.Fatal(err)
		}
		config := s.plan.consumers[jobs.Urgent]
		config.FilterSubjects = []string{"logoff.requests.urgent.one"} // which tells of no other job
		if _, err := s.js.UpdateConsumer(t.Context(), "LOGOFF_REQUESTS", config); err != nil {
			t.Fatal(err)
		}
		if again := w.look(t.Context()); again != suspectInterval {
			t.Errorf("while one may be stranded, the next look is after %v", again)
		}
	})
}

// What is missing is told, and made anew unless that is the operator's.
func TestWhatIsMissingIsToldAndMadeAnew(t *testing.T) {
	for _, how := range []Provision{ProvisionCreate, ProvisionVerify} {
		for _, what := range []string{"LOGOFF_RESULTS", "LOGOFF_DEAD", "LOGOFF_REQUESTS", "urgent"} {
			t.Run(fmt.Sprint(how, " ", what), func(t *testing.T) {
				c := DefaultConfig()
				c.Provision = how
				withStreams(t, c, func(t *testing.T, s *told) {
					var err error
					if what == "urgent" {
						err = s.js.DeleteConsumer(t.Context(), "LOGOFF_REQUESTS", what)
					} else {
						err = s.js.DeleteStream(t.Context(), what)
					}
					if err != nil {
						t.Fatal(err)
					}
					found, err := s.look(t.Context())
					if !found.missing || err == nil || !strings.Contains(s.said(), what) {
						t.Errorf("missing %t, %v: %s", found.missing, err, s.said())
					}
					if operators := strings.Contains(s.said(), "make it anew: `logoff-worker init`"); operators != (how == ProvisionVerify) {
						t.Errorf("what to do: %s", s.said())
					}
					w := looker(s)
					if again := w.look(t.Context()); again != lookInterval {
						t.Errorf("the next look is after %v", again)
					}
					found, err = s.look(t.Context())
					if found.missing != (how == ProvisionVerify) || (err == nil) != (how == ProvisionCreate) || strings.Contains(s.said(), "not ready") {
						t.Errorf("afterwards: missing %t, %v: %s", found.missing, err, s.said())
					}
				})
			})
		}
	}
}

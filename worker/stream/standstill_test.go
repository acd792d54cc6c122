package stream_test

import (
	"strings"
	"testing"
	"time"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/worker/stage/bubble"
	"logoffworker/worker/stream"
)

// A lane in which jobs wait and nothing moves is told: soon where nothing is in hand, later where something is,
// and not at all while something moves or another condition explains it.
func TestLaneThatDoesNotMoveIsTold(t *testing.T) {
	for name, test := range map[string]struct {
		jobs     int  // in this worker's hands
		moves    bool // documents are accepted
		explains bool
		from, to time.Duration // between which it is told first; 0 is never
	}{
		"nothing in hand":   {from: 4 * time.Second, to: 20 * time.Second},
		"jobs in hand":      {jobs: 1, from: 5 * time.Minute, to: 6 * time.Minute},
		"documents go on":   {moves: true},
		"explained already": {explains: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Run(t, time.Minute, func(t *testing.T) {
				s := newSite(t)
				if test.explains {
					s.streams.Health.Begin(metrics.Condition{Part: "webserver", Kind: "down", What: "it is down"})
				}
				begun := time.Now()
				s.watch(func(w *stream.Watch) {
					w.Jobs = func() int { return test.jobs }
					w.Sessions = func(jobs.Lane) int { return 10 * test.jobs }
					if test.moves {
						w.Accepted = func() int64 { return int64(time.Since(begun)) }
					}
				})
				s.publish("logoff.requests", "{}")
				told := s.toldAfter("jobs wait, and none was taken or settled since")
				if told < test.from || told > test.to {
					t.Errorf("it is told after %v:\n%s", told, s.said())
				}
				if test.jobs > 0 && !strings.Contains(s.said(), "1 are in the stream, 0 in some worker's hands, 10 sessions in this one's") {
					t.Error(s.said())
				}
			})
		})
	}
}

// toldAfter is how long it takes until something is told; 0 when that takes more than ten minutes.
func (s *site) toldAfter(words string) time.Duration {
	for begun := time.Now(); time.Since(begun) < 10*time.Minute; {
		passes(time.Second)
		if strings.Contains(s.said(), words) {
			return time.Since(begun)
		}
	}
	return 0
}

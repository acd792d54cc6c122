package worker_test

import (
	"testing"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker"
	"logoffworker/worker/webserver/simulator"
)

// Bulk requests in flight follow what the Web Server serves at once, and no job is lost over it.
func TestBulkRequestsFollowTheLatency(t *testing.T) {
	const slots, batch = 25, 10
	for name, test := range map[string]struct {
		served      int
		least, most float64
	}{
		"a few at once": {served: 3, least: 1, most: 10},
		"all at once":   {served: 0, least: 15, most: slots - 1},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: 100 * time.Millisecond, Concurrency: test.served})
				r := s.start(options{config: func(c *worker.Config) {
					c.Slots, c.BatchMaxSessions, c.AdaptSlots = slots, batch, true
				}})
				ids := s.sim.SignOnMany(7, 20_000)
				s.publish("logoff.requests.bulk", oneEach(ids)...)
				passes(t, 30*time.Second)
				if n := r.metric("logoff_bulk_slots_max"); n < test.least || n > test.most {
					t.Errorf("%v bulk requests may be in flight, want %v to %v", n, test.least, test.most)
				}
				if got := statuses(s.awaitFor(len(ids), time.Hour)); got[jobs.AcceptedJob] != len(ids) {
					t.Errorf("statuses %v", got)
				}
			})
		})
	}
}

package worker_test

import (
	"testing"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker"
	"logoffworker/worker/webserver/simulator"
)

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

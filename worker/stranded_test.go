package worker_test

import (
	"testing"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker"
	"logoffworker/worker/stage/bubble"
	"logoffworker/worker/stream"
	"logoffworker/worker/webserver/simulator"
)

// Jobs that a consumer is past are worked all the same, unless the consumers are the operator's own.
func TestStrandedJobsAreDeliveredAgain(t *testing.T) {
	for provision, again := range map[stream.Provision]bool{stream.ProvisionCreate: true, stream.ProvisionVerify: false} {
		t.Run(string(provision), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
				bubble.NeedsNATS(t, 14)
				s.publish("logoff.requests.bulk", oneEach(s.sim.SignOnMany(7, 5))...)
				if _, err := s.js.ResetConsumerToSequence(t.Context(), s.subjects.RequestStream(), string(jobs.Bulk), 6); err != nil {
					t.Fatal(err)
				}
				r := s.start(options{config: func(c *worker.Config) { c.Stream.Provision = provision }})
				s.publish("logoff.requests.bulk", oneEach(s.sim.SignOnMany(7, 3))...)
				passes(t, 3*time.Second)
				if n := s.left(); n != 5 {
					t.Fatalf("%d jobs are left, want the 5 that are stranded", n)
				}
				passes(t, time.Minute)
				if left := s.left(); (left == 0) != again {
					t.Errorf("%d jobs are left; again: %t", left, again)
				}
				if !again {
					return
				}
				if got := statuses(s.await(8)); got[jobs.AcceptedJob] != 8 {
					t.Errorf("statuses %v", got)
				}
				passes(t, time.Minute)
				if n := len(s.logoffs()); n > 8 {
					t.Errorf("%d requests for 8 jobs", n)
				}
				r.stop()
			})
		})
	}
}

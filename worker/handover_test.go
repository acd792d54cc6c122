package worker_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"logoffworker/jobs"
	"logoffworker/worker"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

// mortal starts a worker that can be killed.
func (s *site) mortal(name string) (*running, *lifeline) {
	s.t.Helper()
	line := &lifeline{toNATS: s.broker.Dial, toWeb: s.dial}
	r := s.start(options{
		connect: []nats.Option{nats.InProcessServer(line)},
		config:  func(c *worker.Config) { c.Name = name },
		client:  func(c *webserver.Config) { c.DialContext = line.dial },
	})
	return r, line
}

// The jobs of a worker that dies are done by the others when its leases have run out.
func TestKilledWorkersJobsAreTakenOver(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 5 * time.Second})
		ids := s.sim.SignOnMany(7, 1500)
		_, line := s.mortal("victim")
		s.mortal("second")
		s.mortal("third")
		passes(t, 10*time.Second)
		s.publish("logoff.requests.bulk", oneEach(ids)...)
		passes(t, time.Second)
		held := 0
		for _, request := range s.logoffs() {
			if request.Status == 0 && request.Header.Get("X-Request-Id")[:6] == "victim" {
				held += len(request.Sessions)
			}
		}
		killed := time.Now()
		line.cut()
		results := s.await(len(ids))
		last := killed
		for _, r := range results {
			if r.Worker != "victim" && r.CompletedAt.After(last) {
				last = r.CompletedAt
			}
		}
		t.Logf("%d jobs were in the hands of the worker that died; all were done after %v, a lease is 30s and a request 5s", held, last.Sub(killed))
		if held == 0 {
			t.Error("nothing was in its hands")
		}
		if last.Sub(killed) > 35*time.Second {
			t.Errorf("the others took %v", last.Sub(killed))
		}
		if got := statuses(results); got[jobs.AcceptedJob] != len(ids) {
			t.Errorf("statuses %v", got)
		}
	})
}

// The jobs of a worker that is told to stop are with the others at once.
func TestStoppedWorkersJobsAreTakenOverAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{Down: 503})
		ids := s.sim.SignOnMany(7, 600)
		stopped := s.start(options{config: func(c *worker.Config) { c.Name = "stopped" }})
		passes(t, 3*time.Second)
		s.publish("logoff.requests.bulk", oneEach(ids)...)
		passes(t, 10*time.Second)
		held := s.consumer(jobs.Bulk).NumAckPending
		if held == 0 {
			t.Fatal("nothing is in its hands")
		}
		s.sim.Configure(func(settings *simulator.Settings) { settings.Down = 0 })
		s.start(options{config: func(c *worker.Config) { c.Name = "other" }})
		told := time.Now()
		stopped.stop()
		results := s.await(len(ids))
		last := told
		for _, r := range results {
			if r.CompletedAt.After(last) {
				last = r.CompletedAt
			}
		}
		t.Logf("%d jobs, %d of them from the hands of the worker that stopped, were done after %v", len(ids), held, last.Sub(told))
		if last.Sub(told) > time.Second {
			t.Errorf("the other took %v", last.Sub(told))
		}
	})
}

package worker_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker"
	"logoffworker/worker/stream"
	"logoffworker/worker/webserver/simulator"
)

func (s *site) editConsumer(change func(*jetstream.ConsumerConfig)) {
	s.t.Helper()
	config := s.consumer(jobs.Urgent).Config
	change(&config)
	if _, err := s.js.UpdateConsumer(s.t.Context(), s.subjects.RequestStream(), config); err != nil {
		s.t.Fatal(err)
	}
}

// readyz is what the worker answers to the probe.
func (r *running) readyz() string {
	_, page, _ := strings.Cut(r.pages(), "ok\n") // of /livez
	return page
}

// What is missing is made anew by a worker that may, and asked for by one that may not; both say so.
func TestMissingConsumersAndStreamsAreTold(t *testing.T) {
	for _, how := range []stream.Provision{stream.ProvisionCreate, stream.ProvisionVerify} {
		for _, missing := range []string{"urgent", "bulk", "LOGOFF_RESULTS", "LOGOFF_DEAD"} {
			t.Run(fmt.Sprint(how, " ", missing), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
					r := s.start(options{config: func(c *worker.Config) { c.Stream.Provision = how }})
					passes(t, 33*time.Second)
					var err error
					if strings.HasPrefix(missing, "LOGOFF") {
						err = s.js.DeleteStream(t.Context(), missing)
					} else {
						err = s.js.DeleteConsumer(t.Context(), s.subjects.RequestStream(), missing)
					}
					if err != nil {
						t.Fatal(err)
					}
					passes(t, 15*time.Second)
					if said := s.log.String(); !strings.Contains(said, missing+" is missing") && !strings.Contains(said, missing+" of LOGOFF_REQUESTS is missing") {
						t.Errorf("nothing is said:\n%s", said)
					}
					if how == stream.ProvisionVerify {
						if said := r.readyz(); !strings.Contains(said, "make it anew: `logoff-worker init`") {
							t.Error(said)
						}
						if err := stream.DefaultConfig().ProvisionStreams(t.Context(), s.js); err != nil {
							t.Fatal(err)
						}
					}
					passes(t, 15*time.Second)
					if ready := r.readyz(); ready != "ready\n" || strings.Count(s.log.String(), "no longer: ") == 0 {
						t.Errorf("after: %s\n%s", ready, s.log)
					}
				})
			})
		}
	}
}

// Jobs that wait for no reason that anybody tells are told: here somebody else holds as many as the consumer
// hands out.
func TestStandstillIsTold(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		s.editConsumer(func(c *jetstream.ConsumerConfig) { c.MaxAckPending = 1000 })
		s.publish("logoff.requests", oneEach(s.sim.SignOnMany(7, 1001))...)
		consumer, err := s.js.Consumer(t.Context(), s.subjects.RequestStream(), "urgent")
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the server tells a consumer of new jobs after it has acknowledged them
		batch, err := consumer.FetchNoWait(1000)
		if err != nil {
			t.Fatal(err)
		}
		var held []jetstream.Msg
		for msg := range batch.Messages() {
			held = append(held, msg)
		}
		r := s.start(options{})
		for range 3 {
			passes(t, 6*time.Second)
			for _, msg := range held {
				if err := msg.InProgress(); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, words := range []string{"urgent: urgent jobs wait, and none was taken or settled since", "1 are in the stream, 1000 in some worker's hands, 0 sessions in this one's", "nats consumer info LOGOFF_REQUESTS urgent"} {
			if said := r.readyz(); !strings.Contains(said, words) {
				t.Errorf("it does not say %q:\n%s", words, said)
			}
		}
		passes(t, time.Minute) // the other one has gone
		if ready := r.readyz(); ready != "ready\n" || s.left() > 0 {
			t.Errorf("%d jobs left, %s", s.left(), ready)
		}
	})
}

// A lane that waits with everybody is explained, and is no standstill of its own; nor is one that has much to do.
func TestWhatIsExplainedIsNoStandstill(t *testing.T) {
	for name, change := range map[string]func(*simulator.Settings){
		"down": func(s *simulator.Settings) { s.Down = 503 },
		"slow": func(s *simulator.Settings) { s.LatencyFixed = 28 * time.Second },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
				s.start(options{config: func(c *worker.Config) { c.BatchMaxSessions = 1 }})
				passes(t, 20*time.Second)
				s.sim.Configure(change)
				for range 10 {
					s.publish("logoff.requests", oneEach(s.sim.SignOnMany(7, 5))...)
					s.publish("logoff.requests.bulk", oneEach(s.sim.SignOnMany(7, 5))...)
					passes(t, 20*time.Second)
				}
				if said := s.log.String(); strings.Contains(said, "kind=stuck") {
					t.Error(said)
				}
			})
		})
	}
}

// Jobs that somebody else acknowledges have no result, and it is told that they are gone.
func TestJobsThatVanishAreTold(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		r := s.start(options{config: func(c *worker.Config) { c.Slots, c.BatchMaxSessions = 2, 1 }})
		s.publish("logoff.requests", oneEach(s.sim.SignOnMany(7, 20))...)
		passes(t, time.Minute)
		s.sim.Configure(func(settings *simulator.Settings) { settings.LatencyFixed = 20 * time.Second })
		s.publish("logoff.requests", oneEach(s.sim.SignOnMany(7, 2))...)
		passes(t, time.Second) // the worker has no slot left
		s.publish("logoff.requests", oneEach(s.sim.SignOnMany(7, 5))...)
		consumer, err := s.js.Consumer(t.Context(), s.subjects.RequestStream(), "urgent")
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the server tells a consumer of new jobs after it has acknowledged them
		batch, err := consumer.FetchNoWait(3)
		if err != nil {
			t.Fatal(err)
		}
		stolen := 0
		for msg := range batch.Messages() {
			if err := msg.DoubleAck(context.Background()); err != nil {
				t.Fatal(err)
			}
			stolen++
		}
		if stolen == 0 {
			t.Fatal("the worker was faster")
		}
		passes(t, 25*time.Second)
		if said := r.readyz(); !strings.Contains(said, fmt.Sprintf("%d jobs left the stream LOGOFF_REQUESTS without a result", stolen)) {
			t.Errorf("%d vanished: %s", stolen, said)
		}
		passes(t, 20*time.Minute)
		if ready := r.readyz(); ready != "ready\n" {
			t.Error(ready)
		}
	})
}

// Jobs that somebody else takes and does not settle are late, and the log says why they come again.
func TestJobsThatSomebodyElseTakesAreTold(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		s.publish("logoff.requests", oneEach(s.sim.SignOnMany(7, 5))...)
		consumer, err := s.js.Consumer(t.Context(), s.subjects.RequestStream(), "urgent")
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the server tells a consumer of new jobs after it has acknowledged them
		batch, err := consumer.FetchNoWait(5)
		if err != nil {
			t.Fatal(err)
		}
		for msg := range batch.Messages() {
			_ = msg // it is kept
		}
		s.start(options{})
		passes(t, time.Minute)
		if n := len(s.linesWith("jobs came again that somebody had taken and not settled", "level=WARN")); n != 1 || s.left() > 0 {
			t.Errorf("%d lines, %d jobs left:\n%s", n, s.left(), s.log)
		}
	})
}

// Jobs that somebody else holds, and keeps from coming again, are told after a while, though none waits.
func TestJobsThatSomebodyElseHoldsAreTold(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		s.publish("logoff.requests", jobOf(s.sim.SignOnMany(7, 1)...))
		consumer, err := s.js.Consumer(t.Context(), s.subjects.RequestStream(), "urgent")
		if err != nil {
			t.Fatal(err)
		}
		msg, err := consumer.Next()
		if err != nil {
			t.Fatal(err)
		}
		r := s.start(options{})
		for range 6 * 6 {
			passes(t, 10*time.Second)
			if err := msg.InProgress(); err != nil {
				t.Fatal(err)
			}
		}
		if said := r.readyz(); !strings.Contains(said, "0 are in the stream, 1 in some worker's hands, 0 sessions in this one's") {
			t.Error(said)
		}
	})
}

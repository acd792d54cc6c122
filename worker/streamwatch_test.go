package worker_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker"
	"logoffworker/worker/stream"
	"logoffworker/worker/webserver/simulator"
)

// A meddling is something that somebody does to the streams and consumers, and how it is undone.
type meddling struct {
	name   string
	part   string
	kind   string
	says   []string
	change func(*site)
	undo   func(*site)
}

func (s *site) editConsumer(change func(*jetstream.ConsumerConfig)) {
	s.t.Helper()
	config := s.consumer(jobs.Urgent).Config
	change(&config)
	if _, err := s.js.UpdateConsumer(s.t.Context(), s.subjects.RequestStream(), config); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) editStream(name string, change func(*jetstream.StreamConfig)) {
	s.t.Helper()
	stream, err := s.js.Stream(s.t.Context(), name)
	if err != nil {
		s.t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	change(&config)
	if _, err := s.js.UpdateStream(s.t.Context(), config); err != nil {
		s.t.Fatal(err)
	}
}

// otherConsumer makes the urgent lane's consumer anew, as somebody else would.
func (s *site) otherConsumer(change func(*jetstream.ConsumerConfig)) {
	s.t.Helper()
	config := s.consumer(jobs.Urgent).Config
	if err := s.js.DeleteConsumer(s.t.Context(), s.subjects.RequestStream(), config.Durable); err != nil {
		s.t.Fatal(err)
	}
	change(&config)
	if _, err := s.js.CreateConsumer(s.t.Context(), s.subjects.RequestStream(), config); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) ownConsumer() {
	s.t.Helper()
	if err := s.js.DeleteConsumer(s.t.Context(), s.subjects.RequestStream(), string(jobs.Urgent)); err != nil {
		s.t.Fatal(err)
	}
	if err := stream.DefaultConfig().ProvisionStreams(s.t.Context(), s.js); err != nil {
		s.t.Fatal(err)
	}
}

var meddlings = []meddling{
	{
		name: "paused", part: stream.PartUrgent, kind: "paused", says: []string{"is paused", "until 2000-", "nats consumer resume LOGOFF_REQUESTS urgent"},
		change: func(s *site) {
			if _, err := s.js.PauseConsumer(s.t.Context(), s.subjects.RequestStream(), "urgent", time.Now().Add(48*time.Hour)); err != nil {
				s.t.Fatal(err)
			}
		},
		undo: func(s *site) {
			if _, err := s.js.ResumeConsumer(s.t.Context(), s.subjects.RequestStream(), "urgent"); err != nil {
				s.t.Fatal(err)
			}
		},
	},
	{
		name: "filter", part: stream.PartUrgent, kind: "edited", says: []string{"filter subjects is [logoff.requests.urgent.one]", "nats consumer edit LOGOFF_REQUESTS urgent"},
		change: func(s *site) {
			s.editConsumer(func(c *jetstream.ConsumerConfig) { c.FilterSubjects = []string{"logoff.requests.urgent.one"} })
		},
		undo: func(s *site) {
			s.editConsumer(func(c *jetstream.ConsumerConfig) { c.FilterSubjects = s.subjects.Lane(jobs.Urgent) })
		},
	},
	{
		name: "max ack pending", part: stream.PartUrgent, kind: "edited", says: []string{"max ack pending is 1, needed is 1000 or more"},
		change: func(s *site) { s.editConsumer(func(c *jetstream.ConsumerConfig) { c.MaxAckPending = 1 }) },
		undo:   func(s *site) { s.editConsumer(func(c *jetstream.ConsumerConfig) { c.MaxAckPending = 20_000 }) },
	},
	{
		name: "ack wait", part: stream.PartUrgent, kind: "edited", says: []string{"ack wait is 5s, and this worker counts on the 30s"},
		change: func(s *site) { s.editConsumer(func(c *jetstream.ConsumerConfig) { c.AckWait = 5 * time.Second }) },
		undo:   func(s *site) { s.editConsumer(func(c *jetstream.ConsumerConfig) { c.AckWait = 30 * time.Second }) },
	},
	{
		name: "max deliver", part: stream.PartUrgent, kind: "edited", says: []string{"max deliver is 3, needed is -1"},
		change: func(s *site) { s.editConsumer(func(c *jetstream.ConsumerConfig) { c.MaxDeliver = 3 }) },
		undo:   func(s *site) { s.editConsumer(func(c *jetstream.ConsumerConfig) { c.MaxDeliver = -1 }) },
	},
	{
		name: "no room for pulls", part: stream.PartUrgent, kind: "edited", says: []string{"max waiting is 1, needed is"},
		change: func(s *site) { s.otherConsumer(func(c *jetstream.ConsumerConfig) { c.MaxWaiting = 1 }) },
		undo:   (*site).ownConsumer,
	},
	{
		name: "somebody's push consumer", part: stream.PartUrgent, kind: "edited", says: []string{"it is a push consumer, needed is a pull consumer"},
		change: func(s *site) {
			s.otherConsumer(func(c *jetstream.ConsumerConfig) { c.DeliverSubject, c.MaxWaiting = "somebody.else", 0 })
		},
		undo: (*site).ownConsumer,
	},
	{
		name: "somebody's priority group", part: stream.PartUrgent, kind: "edited", says: []string{"priority policy is"},
		change: func(s *site) {
			s.otherConsumer(func(c *jetstream.ConsumerConfig) {
				c.PriorityPolicy, c.PriorityGroups, c.PinnedTTL = jetstream.PriorityPolicyPinned, []string{"g"}, time.Minute
			})
		},
		undo: (*site).ownConsumer,
	},
	{
		name: "jobs at the pace of the past", part: stream.PartUrgent, kind: "edited", says: []string{"replay policy is original"},
		change: func(s *site) {
			s.otherConsumer(func(c *jetstream.ConsumerConfig) { c.ReplayPolicy = jetstream.ReplayOriginalPolicy })
		},
		undo: (*site).ownConsumer,
	},
	{
		name: "subject removed", part: stream.PartStreams, kind: "edited LOGOFF_REQUESTS", says: []string{"subjects is [logoff.requests", "nats stream edit LOGOFF_REQUESTS"},
		change: func(s *site) {
			s.editStream(s.subjects.RequestStream(), func(c *jetstream.StreamConfig) { c.Subjects = c.Subjects[:3] })
		},
		undo: func(s *site) {
			s.editStream(s.subjects.RequestStream(), func(c *jetstream.StreamConfig) { c.Subjects = s.subjects.Requests() })
		},
	},
	{
		name: "messages replaced", part: stream.PartStreams, kind: "edited LOGOFF_DEAD", says: []string{"max messages per subject is 1"},
		change: func(s *site) {
			s.editStream(s.subjects.DeadStream(), func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject, c.MaxAge = 1, 0 })
		},
		undo: func(s *site) {
			s.editStream(s.subjects.DeadStream(), func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = -1 })
		},
	},
	{
		name: "results full", part: stream.PartStreams, kind: "full LOGOFF_RESULTS", says: []string{"of at most 1 messages", "raise its limit"},
		change: func(s *site) { s.limitResults(1) },
		undo:   func(s *site) { s.limitResults(-1) },
	},
	{
		name: "results full of bytes", part: stream.PartStreams, kind: "full LOGOFF_RESULTS", says: []string{"at most 1000 bytes"},
		change: func(s *site) {
			s.editStream(s.subjects.ResultStream(), func(c *jetstream.StreamConfig) { c.MaxBytes, c.MaxAge = 1000, 0 })
		},
		undo: func(s *site) {
			s.editStream(s.subjects.ResultStream(), func(c *jetstream.StreamConfig) { c.MaxBytes, c.MaxAge = -1, 0 })
		},
	},
	{
		name: "sealed", part: stream.PartStreams, kind: "edited LOGOFF_RESULTS", says: []string{"sealed is true, needed is false"},
		change: func(s *site) {
			s.editStream(s.subjects.ResultStream(), func(c *jetstream.StreamConfig) { c.Sealed, c.MaxAge = true, 0 })
		},
	},
}

// readyz is what the worker answers to the probe.
func (r *running) readyz() string {
	_, page, _ := strings.Cut(r.pages(), "ok\n") // of /livez
	return page
}

// Whatever somebody does to streams and consumers, the worker says within 15 seconds what it is and what to
// do; it is not ready, and ready again when it has been undone.
func TestNobodyMeddlesUnseen(t *testing.T) {
	for _, m := range meddlings {
		t.Run(m.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
				r := s.start(options{})
				s.publish("logoff.requests", jobOf(s.sim.SignOnMany(7, 1)...))
				passes(t, 33*time.Second)
				if ready := r.readyz(); ready != "ready\n" {
					t.Fatalf("before: %s", ready)
				}
				m.change(s)
				s.publish("logoff.requests.bulk", jobOf(s.sim.SignOnMany(7, 1)...))
				passes(t, 15*time.Second)
				said := r.readyz()
				for _, words := range append(m.says, m.part+": ", "(since ", "what to do: ") {
					if !strings.Contains(said, words) {
						t.Errorf("it does not say %q:\n%s", words, said)
					}
				}
				if n := r.labelled("logoff_problem", m.part); n != 1 {
					t.Errorf("logoff_problem of %s is %v", m.part, n)
				}
				s.saidOnce(m, "")
				passes(t, 40*time.Second)
				s.saidOnce(m, "")
				if m.undo == nil {
					return
				}
				m.undo(s)
				passes(t, 15*time.Second)
				if ready := r.readyz(); ready != "ready\n" {
					t.Errorf("after: %s\n%s", ready, s.log)
				}
				s.saidOnce(m, "no longer: ")
			})
		})
	}
}

// saidOnce checks that there is one line of such a trouble that begins with these words.
func (s *site) saidOnce(m meddling, words string) {
	s.t.Helper()
	n := 0
	for line := range strings.Lines(s.log.String()) {
		if strings.Contains(line, `msg="`+m.part+": "+words) && (strings.Contains(line, "kind="+m.kind+" ") || strings.Contains(line, `kind="`+m.kind+`"`)) {
			if words != "" || !strings.Contains(line, "no longer") {
				n++
			}
		}
	}
	if n != 1 {
		s.t.Errorf("%d lines %q of it:\n%s", n, words, s.log)
	}
}

// labelled is the value of a gauge with this label value.
func (r *running) labelled(name, value string) float64 {
	families, err := r.registry.Gather()
	if err != nil {
		panic(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if family.GetName() == name && metric.GetLabel()[0].GetValue() == value {
				return metric.GetGauge().GetValue()
			}
		}
	}
	return -1
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
						if said := r.readyz(); !strings.Contains(said, "make it anew with `logoff-worker init`") {
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
		for _, words := range []string{"urgent: jobs wait, and none was taken or settled since", "1 are in the stream, 1000 in some worker's hands, 0 sessions in this one's", "nats consumer info LOGOFF_REQUESTS urgent"} {
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

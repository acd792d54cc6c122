package stream_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/worker/broker"
	"logoffworker/worker/stage"
	"logoffworker/worker/stage/bubble"
	"logoffworker/worker/stream"
)

// A site is a broker with the streams and consumers of a deployment, and what is told of them.
type site struct {
	t       *testing.T
	js      jetstream.JetStream
	streams *stream.Streams
	log     *stage.Output
}

// bubbled runs a test in fake time.
func bubbled(t *testing.T, test func(t *testing.T)) { bubble.Run(t, 3*time.Minute, test) }

// newSite starts a broker, and finds the streams as a worker does.
func newSite(t *testing.T) *site {
	t.Helper()
	b, err := broker.Start(broker.Options{StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Shutdown)
	s := &site{t: t, log: &stage.Output{}}
	s.reconnect(prometheus.NewRegistry(), b.InProcess())
	return s
}

// reconnect connects to a broker, and finds or makes the streams there.
func (s *site) reconnect(reg prometheus.Registerer, options ...nats.Option) {
	s.t.Helper()
	log, m := slog.New(slog.NewTextHandler(s.log, nil)), metrics.New(reg, metrics.Build{})
	health := metrics.NewHealth(log, stream.Parts...)
	nc, err := stream.Connect(stream.Connection{Options: options}, health, m, log)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	synctest.Wait()
	s.streams = &stream.Streams{
		Config: stream.DefaultConfig(), NATS: nc, Metrics: m, Health: health, Log: log,
		Wait: func(int) time.Duration { return time.Second },
	}
	if err := s.streams.Find(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	if s.js, err = s.streams.Config.JetStream(nc); err != nil {
		s.t.Fatal(err)
	}
}

// watch watches for a worker that has nothing in hand, but for what the test says.
func (s *site) watch(change func(*stream.Watch)) {
	w := &stream.Watch{
		Streams:  s.streams,
		Jobs:     func() int { return 0 },
		Sessions: func(jobs.Lane) int { return 0 },
		Accepted: func() int64 { return 0 },
	}
	if change != nil {
		change(w)
	}
	go w.Run(s.t.Context())
}

// said is what keeps the worker from being ready, a line each.
func (s *site) said() string {
	_, conditions := s.streams.Health.Ready()
	var all strings.Builder
	for _, c := range conditions {
		fmt.Fprintln(&all, c)
	}
	return all.String()
}

func (s *site) publish(subject, text string) {
	s.t.Helper()
	if _, err := s.js.Publish(s.t.Context(), subject, []byte(text)); err != nil {
		s.t.Fatal(err)
	}
}

// passes lets fake time pass, and waits until all is quiet.
func passes(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

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
	config := s.urgent()
	change(&config)
	if _, err := s.js.UpdateConsumer(s.t.Context(), subjects.RequestStream(), config); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) urgent() jetstream.ConsumerConfig {
	s.t.Helper()
	consumer, err := s.js.Consumer(s.t.Context(), subjects.RequestStream(), string(jobs.Urgent))
	if err != nil {
		s.t.Fatal(err)
	}
	return consumer.CachedInfo().Config
}

func (s *site) editStream(name string, change func(*jetstream.StreamConfig)) {
	s.t.Helper()
	edited, err := s.js.Stream(s.t.Context(), name)
	if err != nil {
		s.t.Fatal(err)
	}
	config := edited.CachedInfo().Config
	change(&config)
	if _, err := s.js.UpdateStream(s.t.Context(), config); err != nil {
		s.t.Fatal(err)
	}
}

// otherConsumer makes the urgent lane's consumer anew, as somebody else would.
func (s *site) otherConsumer(change func(*jetstream.ConsumerConfig)) {
	s.t.Helper()
	config := s.urgent()
	if err := s.js.DeleteConsumer(s.t.Context(), subjects.RequestStream(), config.Durable); err != nil {
		s.t.Fatal(err)
	}
	change(&config)
	if _, err := s.js.CreateConsumer(s.t.Context(), subjects.RequestStream(), config); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) ownConsumer() {
	s.t.Helper()
	if err := s.js.DeleteConsumer(s.t.Context(), subjects.RequestStream(), string(jobs.Urgent)); err != nil {
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
			bubble.NeedsNATS(s.t, 11)
			if _, err := s.js.PauseConsumer(s.t.Context(), subjects.RequestStream(), "urgent", time.Now().Add(48*time.Hour)); err != nil {
				s.t.Fatal(err)
			}
		},
		undo: func(s *site) {
			if _, err := s.js.ResumeConsumer(s.t.Context(), subjects.RequestStream(), "urgent"); err != nil {
				s.t.Fatal(err)
			}
		},
	},
	{
		name: "filter", part: stream.PartUrgent, kind: "edited", says: []string{"filter subjects is [logoff.requests.urgent.one]", "nats consumer rm LOGOFF_REQUESTS urgent --force"},
		change: func(s *site) {
			s.editConsumer(func(c *jetstream.ConsumerConfig) { c.FilterSubjects = []string{"logoff.requests.urgent.one"} })
		},
		undo: func(s *site) {
			s.editConsumer(func(c *jetstream.ConsumerConfig) { c.FilterSubjects = subjects.Lane(jobs.Urgent) })
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
			bubble.NeedsNATS(s.t, 11)
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
		name: "subject removed", part: stream.PartStreams, kind: "edited LOGOFF_REQUESTS", says: []string{"subjects is [logoff.requests", "nats stream edit LOGOFF_REQUESTS --force --subjects='logoff.requests' --subjects="},
		change: func(s *site) {
			s.editStream(subjects.RequestStream(), func(c *jetstream.StreamConfig) { c.Subjects = c.Subjects[:3] })
		},
		undo: func(s *site) {
			s.editStream(subjects.RequestStream(), func(c *jetstream.StreamConfig) { c.Subjects = subjects.Requests() })
		},
	},
	{
		name: "messages replaced", part: stream.PartStreams, kind: "edited LOGOFF_DEAD", says: []string{"max messages per subject is 1"},
		change: func(s *site) {
			s.editStream(subjects.DeadStream(), func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject, c.MaxAge = 1, 0 })
		},
		undo: func(s *site) {
			s.editStream(subjects.DeadStream(), func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = -1 })
		},
	},
	{
		name: "results full", part: stream.PartStreams, kind: "full LOGOFF_RESULTS", says: []string{"of at most 1 messages", "raise or remove its limit"},
		change: func(s *site) { s.limitResults(1) },
		undo:   func(s *site) { s.limitResults(-1) },
	},
	{
		name: "results full of bytes", part: stream.PartStreams, kind: "full LOGOFF_RESULTS", says: []string{"at most 1000 bytes"},
		change: func(s *site) {
			s.editStream(subjects.ResultStream(), func(c *jetstream.StreamConfig) { c.MaxBytes, c.MaxAge = 1000, 0 })
		},
		undo: func(s *site) {
			s.editStream(subjects.ResultStream(), func(c *jetstream.StreamConfig) { c.MaxBytes, c.MaxAge = -1, 0 })
		},
	},
	{
		name: "sealed", part: stream.PartStreams, kind: "edited LOGOFF_RESULTS", says: []string{"sealed is true, needed is false"},
		change: func(s *site) {
			s.editStream(subjects.ResultStream(), func(c *jetstream.StreamConfig) { c.Sealed, c.MaxAge = true, 0 })
		},
	},
}

// Whether the stream of results has one result for each job by itself is known of the stream as it is; of one that is
// not seen it is not.
func TestStreamOfResultsTakesOneOrSeveral(t *testing.T) {
	bubbled(t, func(t *testing.T) {
		s := newSite(t)
		s.streams.Config.Provision = stream.ProvisionVerify
		is := func(when string, want bool) {
			t.Helper()
			if got := s.streams.TakesOneResult(); got != want {
				t.Errorf("%s: it takes one: %t", when, got)
			}
		}
		is("as it was made", true)
		s.watch(nil)
		passes(time.Second)
		is("at the first look", true)
		limit := func(most int64, refuses bool) {
			s.editStream(subjects.ResultStream(), func(c *jetstream.StreamConfig) {
				c.MaxMsgsPerSubject, c.DiscardNewPerSubject, c.MaxAge = most, refuses, 0
			})
			passes(15 * time.Second)
		}
		limit(-1, false)
		is("without a limit", false)
		limit(1, false)
		is("with one that drops the first", false)
		limit(2, true)
		is("with one that takes two", false)
		limit(1, true)
		is("set back", true)
		if err := s.js.DeleteStream(t.Context(), subjects.ResultStream()); err != nil {
			t.Fatal(err)
		}
		passes(15 * time.Second)
		is("gone", false)
	})
}

// Whatever somebody does to streams and consumers, the watch says within 15 seconds what it is and what to do;
// the worker is not ready, and ready again when it has been undone.
func TestNobodyMeddlesUnseen(t *testing.T) {
	for _, m := range meddlings {
		t.Run(m.name, func(t *testing.T) {
			bubble.Run(t, time.Minute, func(t *testing.T) {
				s := newSite(t)
				s.publish("logoff.results.one.1", strings.Repeat("x", 600))
				s.watch(nil)
				passes(33 * time.Second)
				if said := s.said(); said != "" {
					t.Fatalf("before: %s", said)
				}
				m.change(s)
				passes(15 * time.Second)
				said := s.said()
				for _, words := range append(m.says, m.part+": ", "(since ", "what to do: ") {
					if !strings.Contains(said, words) {
						t.Errorf("it does not say %q:\n%s", words, said)
					}
				}
				s.saidOnce(m, "")
				passes(40 * time.Second)
				s.saidOnce(m, "")
				if m.undo == nil {
					return
				}
				m.undo(s)
				passes(15 * time.Second)
				if said := s.said(); said != "" {
					t.Errorf("after: %s\n%s", said, s.log)
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

// limitResults sets how many results the stream takes; -1 is no limit.
func (s *site) limitResults(n int64) {
	s.t.Helper()
	s.editStream(subjects.ResultStream(), func(c *jetstream.StreamConfig) {
		c.MaxMsgs = n
		c.MaxAge = 0 // a change of limits makes the server look for old messages, by a clock outside the bubble
	})
}

package stream

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker/stage/bubble"
)

// A consumer is past a job that it takes for acknowledged, or has delivered while it knows of none in hand.
func TestConsumerThatIsPastAJobIsKnown(t *testing.T) {
	for name, test := range map[string]struct {
		consumer jetstream.ConsumerInfo
		past     bool
	}{
		"not delivered yet":          {consumer: jetstream.ConsumerInfo{NumPending: 1}},
		"none delivered, none waits": {consumer: jetstream.ConsumerInfo{Delivered: jetstream.SequenceInfo{Stream: 6}}},
		"acknowledged":               {consumer: jetstream.ConsumerInfo{AckFloor: jetstream.SequenceInfo{Stream: 7}, NumPending: 3}, past: true},
		"delivered, none in hand":    {consumer: jetstream.ConsumerInfo{Delivered: jetstream.SequenceInfo{Stream: 7}}, past: true},
		"delivered, one in hand":     {consumer: jetstream.ConsumerInfo{Delivered: jetstream.SequenceInfo{Stream: 7}, NumAckPending: 1}},
		"delivered, another waits":   {consumer: jetstream.ConsumerInfo{Delivered: jetstream.SequenceInfo{Stream: 7}, NumPending: 1}},
		"only those before are off":  {consumer: jetstream.ConsumerInfo{AckFloor: jetstream.SequenceInfo{Stream: 6}, NumPending: 1}},
	} {
		if got := isPast(&test.consumer, 7); got != test.past {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// A job that is stranded at two looks is told, and delivered again unless the consumers are the operator's.
func TestStrandedJobIsDeliveredAgain(t *testing.T) {
	for name, test := range map[string]struct {
		provision Provision
		consumer  string // that is there
		says      string
		again     bool
	}{
		"create":             {ProvisionCreate, "urgent", "1 jobs are stranded: they are in the stream LOGOFF_REQUESTS, from sequence 1 on, and their consumer is past them (since 2000-01-01T00:00:00Z); by itself: all that is in the stream is delivered again", true},
		"verify":             {ProvisionVerify, "urgent", "have the consumers made anew: `nats consumer rm LOGOFF_REQUESTS urgent --force; nats consumer rm LOGOFF_REQUESTS bulk --force; logoff-worker init`", false},
		"without a consumer": {ProvisionCreate, "", "they cannot be delivered again: ", false},
		"an older server":    {ProvisionCreate, "urgent", "have the consumers made anew", false},
	} {
		t.Run(name, func(t *testing.T) {
			c := DefaultConfig()
			c.Provision = test.provision
			withStreams(t, c, func(t *testing.T, s *told) {
				if _, err := s.js.Publish(t.Context(), "logoff.requests", nil); err != nil {
					t.Fatal(err)
				}
				if name == "an older server" {
					s.plan.resets = false
				} else {
					bubble.NeedsNATS(t, 14)
				}
				p := s.Puller(jobs.Urgent)
				if msgs, err := p.Pull(1, time.Second); err != nil || len(msgs) != 1 {
					t.Fatal(msgs, err)
				}
				if test.consumer == "" {
					if err := s.js.DeleteConsumer(t.Context(), "LOGOFF_REQUESTS", "urgent"); err != nil {
						t.Fatal(err)
					}
				}
				past, waits := &jetstream.ConsumerInfo{Delivered: jetstream.SequenceInfo{Stream: 1}}, &jetstream.ConsumerInfo{NumPending: 1}
				found := look{requests: jetstream.StreamState{Msgs: 1, FirstSeq: 1, LastSeq: 1}, lanes: map[jobs.Lane]*jetstream.ConsumerInfo{jobs.Urgent: past, jobs.Bulk: past}}
				counted := found
				counted.lanes = map[jobs.Lane]*jetstream.ConsumerInfo{jobs.Urgent: waits, jobs.Bulk: past}
				w := &Watch{Streams: s.Streams}
				if w.lookForStranded(t.Context(), counted) || w.stranded != (strandedJob{}) {
					t.Error("a job that waits is suspected")
				}
				if !w.lookForStranded(t.Context(), found) || s.said() != "[]" {
					t.Errorf("at the first look: %s", s.said())
				}
				if !w.lookForStranded(t.Context(), found) || !strings.Contains(s.said(), test.says) {
					t.Errorf("at the second look: %s", s.said())
				}
				if msgs, err := p.Pull(1, time.Second); (len(msgs) == 1) != test.again {
					t.Errorf("%d jobs, %v", len(msgs), err)
				}
				if w.lookForStranded(t.Context(), counted) || s.said() != "[]" {
					t.Errorf("afterwards: %s", s.said())
				}
			})
		})
	}
}

// What cannot be looked at, or is not past, is not stranded.
func TestJobThatIsNotPastIsNotStranded(t *testing.T) {
	withStreams(t, DefaultConfig(), func(t *testing.T, s *told) {
		past, waits := &jetstream.ConsumerInfo{AckFloor: jetstream.SequenceInfo{Stream: 9}}, &jetstream.ConsumerInfo{NumPending: 1}
		found := func(first uint64, urgent, bulk *jetstream.ConsumerInfo) look {
			return look{requests: jetstream.StreamState{FirstSeq: first}, lanes: map[jobs.Lane]*jetstream.ConsumerInfo{jobs.Urgent: urgent, jobs.Bulk: bulk}}
		}
		none := strandedJob{}
		w := &Watch{Streams: s.Streams}
		if job := w.findStranded(t.Context(), found(1, past, past)); job != none {
			t.Errorf("it is not there: %+v", job)
		}
		if _, err := s.js.Publish(t.Context(), "logoff.requests", nil); err != nil {
			t.Fatal(err)
		}
		if job := w.findStranded(t.Context(), found(1, past, waits)); job != (strandedJob{lane: jobs.Urgent, sequence: 1}) {
			t.Errorf("past: %+v", job)
		}
		if job := w.findStranded(t.Context(), found(1, waits, past)); job != none {
			t.Errorf("another lane's consumer is past it: %+v", job)
		}
		s.Config.Provision = ProvisionVerify
		w.silent = time.Now() // it may not read
		if job := w.findStranded(t.Context(), found(1, past, waits)); job != none {
			t.Errorf("one of the operator's consumers is not past it: %+v", job)
		}
		if job := w.findStranded(t.Context(), found(1, past, past)); job != (strandedJob{sequence: 1}) {
			t.Errorf("all of the operator's consumers are past it: %+v", job)
		}
		s.Config.Provision, w.silent = ProvisionCreate, time.Time{}
		if err := s.js.DeleteStream(t.Context(), "LOGOFF_REQUESTS"); err != nil {
			t.Fatal(err)
		}
		if job := w.findStranded(t.Context(), found(1, past, past)); job != none {
			t.Errorf("there is no stream: %+v", job)
		}
	})
}

// A message on a subject of no lane is told with what to do, whoever the consumers belong to, and hides no stranded job that
// is behind it.
func TestMessageOfNoLaneIsTold(t *testing.T) {
	for _, provision := range []Provision{ProvisionCreate, ProvisionVerify} {
		t.Run(string(provision), func(t *testing.T) {
			c := DefaultConfig()
			c.Provision = provision
			withStreams(t, c, func(t *testing.T, s *told) {
				w := &Watch{Streams: s.Streams}
				s.deliverLetter(t, "logoff.requests.urgent.hr")
				none := &jetstream.ConsumerInfo{}
				found := look{requests: jetstream.StreamState{Msgs: 1, FirstSeq: 1, LastSeq: 1}, lanes: map[jobs.Lane]*jetstream.ConsumerInfo{jobs.Urgent: none, jobs.Bulk: none}}
				if !w.lookForStranded(t.Context(), found) || s.said() != "[]" {
					t.Errorf("at the first look: %s", s.said())
				}
				if w.lookForStranded(t.Context(), found) || s.said() != "[]" {
					t.Errorf("jobs are worked, and the worker is not ready: %v", s.said())
				}
				for _, says := range []string{`messages in the stream LOGOFF_REQUESTS are on subjects of no lane (1), the first at sequence 1 on \"logoff.dead.partial\"`, "nats stream get LOGOFF_REQUESTS 1"} {
					if !strings.Contains(s.log.String(), says) {
						t.Errorf("the log does not say %q: %s", says, s.log)
					}
				}
				others := func(f Finding) bool { return !strings.HasPrefix(f.What, "stream ") } // an old server is a finding, too
				if found := slices.DeleteFunc(c.Examine(t.Context(), s.js).Findings, others); len(found) != 1 || found[0].Grave || !strings.HasPrefix(found[0].Words, `messages are on subjects of no lane (1), such as "logoff.dead.partial"`) {
					t.Errorf("what is examined: %+v", found)
				}
				if _, err := s.js.Publish(t.Context(), "logoff.requests", nil); err != nil {
					t.Fatal(err)
				}
				found.requests.Msgs, found.requests.LastSeq = 2, 2
				found.lanes = map[jobs.Lane]*jetstream.ConsumerInfo{jobs.Urgent: {AckFloor: jetstream.SequenceInfo{Stream: 2}}, jobs.Bulk: none}
				if job := w.findStranded(t.Context(), found); job != (strandedJob{lane: jobs.Urgent, sequence: 2}) {
					t.Errorf("behind a message of no lane: %+v", job)
				}
				s.removeByConsumer(t, "logoff.dead.partial")
				found.requests = jetstream.StreamState{FirstSeq: 2, LastSeq: 2}
				if w.lookForStranded(t.Context(), found) || s.said() != "[]" {
					t.Errorf("after it was removed: %s", s.said())
				}
			})
		})
	}
}

// deliverLetter has NATS deliver a dead letter to a subject of jobs, as whoever may read dead letters can.
func (s *told) deliverLetter(t *testing.T, to string) {
	t.Helper()
	ctx := t.Context()
	_, err := s.js.Publish(ctx, s.Config.Subjects.Dead(jobs.Partial), []byte(`{"users":[{"id":7}]}`))
	if err == nil {
		_, err = s.js.CreateConsumer(ctx, "LOGOFF_DEAD", jetstream.ConsumerConfig{Durable: "reader", AckPolicy: jetstream.AckExplicitPolicy})
	}
	if err == nil {
		err = s.NATS.PublishMsg(&nats.Msg{Subject: "$JS.API.CONSUMER.MSG.NEXT.LOGOFF_DEAD.reader", Reply: to, Data: []byte("1")})
	}
	if err == nil {
		err = s.NATS.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// removeByConsumer removes a message from the stream of jobs, which denies deletion, as deploy/nats/README.md says.
func (s *told) removeByConsumer(t *testing.T, subject string) {
	t.Helper()
	c, err := s.js.CreateConsumer(t.Context(), "LOGOFF_REQUESTS", jetstream.ConsumerConfig{Durable: "no_lane", FilterSubject: subject, AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	msg, err := c.Next()
	if err != nil {
		t.Fatal(err)
	}
	if err := msg.DoubleAck(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.plan.found["LOGOFF_REQUESTS"].GetMsg(t.Context(), 1); err == nil {
		t.Error("it is still there")
	}
}

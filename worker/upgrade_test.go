package worker_test

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker"
	"logoffworker/worker/stream"
	"logoffworker/worker/webserver/simulator"
)

// firstRelease is what a deployment of the first release leaves behind in NATS: it is never made anew from the code.
//
//go:embed testdata/release-1.json
var firstRelease []byte

// A release is what one leaves behind. SESSION in a payload stands for the ID of a session that is on.
type release struct {
	Streams, Consumers []json.RawMessage
	Jobs               []released
	Settled            struct {
		Subject, ID, Payload string
		Result               json.RawMessage
	}
	Dead released
}

type released struct {
	Subject string
	Header  nats.Header
	Payload string
	Status  jobs.Status // of the result
}

// leave makes streams and consumers as the release made them.
func (r release) leave(s *site) {
	s.t.Helper()
	for _, name := range []string{s.subjects.RequestStream(), s.subjects.ResultStream(), s.subjects.DeadStream()} {
		if err := s.js.DeleteStream(s.t.Context(), name); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, config := range r.Streams {
		s.api("STREAM.CREATE."+nameOf(s.t, config), config)
	}
	for _, config := range r.Consumers {
		request, err := json.Marshal(map[string]any{"stream_name": s.subjects.RequestStream(), "config": config})
		if err != nil {
			s.t.Fatal(err)
		}
		s.api("CONSUMER.CREATE."+s.subjects.RequestStream()+"."+nameOf(s.t, config), request)
	}
	var err error
	if s.results, err = s.js.CreateConsumer(s.t.Context(), s.subjects.ResultStream(), jetstream.ConsumerConfig{Durable: "reader", AckPolicy: jetstream.AckNonePolicy}); err != nil {
		s.t.Fatal(err)
	}
}

func nameOf(t *testing.T, config json.RawMessage) string {
	t.Helper()
	var named struct{ Name string }
	if err := json.Unmarshal(config, &named); err != nil {
		t.Fatal(err)
	}
	return named.Name
}

// api asks JetStream for something.
func (s *site) api(what string, request []byte) {
	s.t.Helper()
	answer, err := s.nc.Request("$JS.API."+what, request, time.Minute)
	if err != nil || strings.Contains(string(answer.Data), `"error"`) {
		s.t.Fatalf("%s: %v %s", what, err, answer.Data)
	}
}

// joe is the user whose sessions the release's jobs name. The job that ends users does not name him: a session that it
// ended would be undecided for the others.
const joe = 8

// put stores a message of the release, for a session of joe that is on, and returns where it is in the stream.
func (s *site) put(m released) (sequence uint64, session string) {
	s.t.Helper()
	session = s.sim.SignOnMany(joe, 1)[0]
	return s.publishMsg(m.Subject, m.Header, []byte(strings.ReplaceAll(m.Payload, "SESSION", session))), session
}

// What a deployment of the first release has in NATS when it is updated is worked as that release would have: its
// streams are taken as they are, its jobs are worked, what it settled stays settled, and its dead letters can be
// published again.
func TestWhatTheFirstReleaseLeftIsWorked(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var r release
		if err := json.Unmarshal(firstRelease, &r); err != nil {
			t.Fatal(err)
		}
		s := newSite(t, simulator.Settings{})
		s.sim.AddUser(simulator.User{ID: joe, Login: "joe", Display: "Joe", Password: "x"})
		s.sim.SignOnMany(7, 1)
		r.leave(s)

		sequence, left := s.put(released{Subject: r.Settled.Subject, Payload: r.Settled.Payload})
		requests, err := s.js.Stream(t.Context(), s.subjects.RequestStream())
		if err != nil {
			t.Fatal(err)
		}
		msg, err := requests.GetMsg(t.Context(), sequence)
		if err != nil {
			t.Fatal(err)
		}
		consumer, err := s.js.Consumer(t.Context(), s.subjects.RequestStream(), "urgent")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := consumer.Next(); err != nil { // the old worker had it, and did not live to acknowledge it
			t.Fatal(err)
		}
		s.put(released{
			Subject: fmt.Sprintf("logoff.results.%s.%d-%d", r.Settled.ID, sequence, msg.Time.UnixNano()),
			Header:  nats.Header{"Logoff-Status": {"failed"}}, Payload: strings.ReplaceAll(string(r.Settled.Result), "SESSION", left),
		})
		want := map[jobs.Status]int{}
		for _, job := range r.Jobs {
			s.put(job)
			want[job.Status]++
		}
		s.put(r.Dead)
		letter := s.deadLetter(1)
		s.put(released{Subject: letter.Subject, Payload: string(letter.Payload)})
		want[r.Dead.Status]++

		s.start(options{config: func(c *worker.Config) { c.Stream.Provision = stream.ProvisionVerify }})
		results := s.await(1 + len(r.Jobs) + 1)
		if results[0].JobID != r.Settled.ID || results[0].Worker != "of-release-1" {
			t.Errorf("the first result is another: %+v", results[0])
		}
		if got := statuses(results[1:]); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%v, want %v\n%+v", got, want, results)
		}
		passes(t, 5*time.Minute)
		if n := s.left(); n != 0 || len(s.awaitFor(1, time.Minute)) != 0 {
			t.Errorf("%d jobs are left, or one that was settled is settled again", n)
		}
		if s.alive([]string{left}) != 1 {
			t.Error("what the first release gave up was ended without a job for it")
		}
		if n := s.deadLetters(); n != 3 { // the old one, that of what was settled, and that of what is no job
			t.Errorf("%d dead letters", n)
		}
	})
}

package intake

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/jobs/signals"
	"logoffworker/worker/broker"
	"logoffworker/worker/stream"
)

var subjects = jobs.Subjects{Prefix: "logoff"}

// A rig is a broker with the streams of a deployment.
type rig struct {
	t     testing.TB
	store *Store
	js    jetstream.JetStream
}

// newRig starts a broker, whose streams have at most so many bytes each; 0 is no limit.
func newRig(t testing.TB, maxBytes int64) *rig {
	t.Helper()
	b, err := broker.Start(broker.Options{StoreDir: t.TempDir(), SyncAlways: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Shutdown)
	return newRigAt(t, maxBytes, func() (*nats.Conn, error) {
		return b.Connect(nats.ReconnectBufSize(-1))
	})
}

// newRigAt has the streams of a deployment wherever dial leads.
func newRigAt(t testing.TB, maxBytes int64, dial func() (*nats.Conn, error)) *rig {
	t.Helper()
	nc, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	config := stream.DefaultConfig()
	config.MaxBytes = maxBytes
	js, err := config.JetStream(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := config.ProvisionStreams(t.Context(), js); err != nil {
		t.Fatal(err)
	}
	return &rig{t, &Store{NATS: nc, Subjects: subjects}, js}
}

// newStreams makes the streams of a deployment.
func newStreams(t testing.TB, js jetstream.JetStream) {
	t.Helper()
	if err := stream.DefaultConfig().ProvisionStreams(t.Context(), js); err != nil {
		t.Fatal(err)
	}
}

// stored are the jobs in the stream, the earliest first.
func (r *rig) stored() []*jetstream.RawStreamMsg {
	r.t.Helper()
	return r.messages(subjects.RequestStream())
}

// jobs are those messages in the stream that are jobs.
func (r *rig) jobs() (all []*jetstream.RawStreamMsg) {
	r.t.Helper()
	for _, msg := range r.stored() {
		if _, err := jobs.Decode(msg.Data, jobs.Rules{}); err == nil {
			all = append(all, msg)
		}
	}
	return all
}

// messages are those of a stream, the earliest first.
func (r *rig) messages(stream string) (all []*jetstream.RawStreamMsg) {
	r.t.Helper()
	handle, err := r.js.Stream(r.t.Context(), stream)
	if err != nil {
		r.t.Fatal(err)
	}
	state := handle.CachedInfo().State
	for sequence := max(1, state.FirstSeq); sequence <= state.LastSeq; sequence++ {
		msg, err := handle.GetMsg(r.t.Context(), sequence)
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, msg)
	}
	return all
}

// idOf is the id of a job that is stored; empty for what is none.
func idOf(msg *jetstream.RawStreamMsg) string {
	job, err := jobs.Decode(msg.Data, jobs.Rules{})
	if err != nil {
		return ""
	}
	return job.ID
}

func jane(id string) jobs.Job {
	return jobs.Job{ID: id, Users: []jobs.User{{Email: "jane@corp.example"}}}
}

// A job is stored as its publisher's, under its id, with the signal that it answers.
func TestStoredJobSaysWhoseItIsAndWhatItAnswers(t *testing.T) {
	r := newRig(t, 0)
	signal := &jobs.Signal{Issuer: "idp", Event: "https://example.com/revoked", Rule: "session-revoked", ID: "jti-1", Token: "eyJ.x.y"}
	id := jobs.SignalID("https://idp.example", "jti-1")
	if got, err := r.store.Put(t.Context(), "idp", jobs.Urgent, signals.Answer{Job: jane(id), Signal: signal}); err != nil || got != id {
		t.Fatalf("%q, %v", got, err)
	}
	msg := r.stored()[0]
	var carried jobs.Signal
	if err := json.Unmarshal([]byte(msg.Header.Get(jobs.SignalHeader)), &carried); err != nil || carried != *signal {
		t.Errorf("it carries %+v, %v", carried, err)
	}
	if msg.Subject != "logoff.requests.urgent.idp" || msg.Header.Get(nats.MsgIdHdr) == "" {
		t.Errorf("it is stored on %s under %q", msg.Subject, msg.Header.Get(nats.MsgIdHdr))
	}
	job, err := jobs.Decode(msg.Data, jobs.Rules{})
	if err != nil || job.ID != id || job.Users[0].Email != "jane@corp.example" {
		t.Errorf("the job is %+v, %v", job, err)
	}
}

// The same is stored once, and nothing else is taken for it.
func TestOnlyTheSameJobIsStoredOnce(t *testing.T) {
	signal := &jobs.Signal{Issuer: "idp"}
	joe := jobs.Job{ID: "case-17", Users: []jobs.User{{Email: "joe@corp.example"}}}
	type put struct {
		publisher string
		answer    signals.Answer
	}
	for name, test := range map[string]struct {
		puts []put
		want int
	}{
		"an event again":                    {[]put{{"idp", signals.Answer{Job: jane("set-1"), Signal: signal}}, {"idp", signals.Answer{Job: jane("set-1"), Signal: signal}}}, 1},
		"a job again":                       {[]put{{"soar", signals.Answer{Job: jane("case-17")}}, {"soar", signals.Answer{Job: jane("case-17")}}}, 1},
		"another job under its id":          {[]put{{"soar", signals.Answer{Job: jane("case-17")}}, {"soar", signals.Answer{Job: joe}}}, 2},
		"another publisher under its id":    {[]put{{"soar", signals.Answer{Job: jane("case-17")}}, {"hr", signals.Answer{Job: jane("case-17")}}}, 2},
		"a job without an id, and again":    {[]put{{"soar", signals.Answer{Job: jane("")}}, {"soar", signals.Answer{Job: jane("")}}}, 2},
		"an event by another publisher":     {[]put{{"idp", signals.Answer{Job: jane("set-1"), Signal: signal}}, {"soar", signals.Answer{Job: jane("set-1"), Signal: signal}}}, 2},
		"an event with another proof":       {[]put{{"idp", signals.Answer{Job: jane("set-1"), Signal: signal}}, {"idp", signals.Answer{Job: jane("set-1"), Signal: signal, Proof: "eyJ.x.y"}}}, 2},
		"an event that has no id of itself": {[]put{{"hook", signals.Answer{Job: jane(""), Signal: signal}}, {"hook", signals.Answer{Job: jane(""), Signal: signal}}}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 0)
			for _, p := range test.puts {
				if id, err := r.store.Put(t.Context(), p.publisher, jobs.Urgent, p.answer); err != nil || jobs.LegalID(id) != nil {
					t.Fatalf("%q, %v", id, err)
				}
			}
			if got := len(r.stored()); got != test.want {
				t.Errorf("%d jobs are stored, want %d", got, test.want)
			}
		})
	}
}

// kindOf is the kind of a [StoreError], with its words.
func kindOf(t *testing.T, err error) (StoreKind, string) {
	t.Helper()
	var stored *StoreError
	if !errors.As(err, &stored) {
		t.Fatalf("%v is no StoreError", err)
	}
	return stored.Kind, err.Error()
}

// That NATS is away, and that the stream does not take a job, are told apart, in words.
func TestWhyAJobIsNotStored(t *testing.T) {
	r := newRig(t, 1<<20)
	large := jane("")
	large.Reason = strings.Repeat("x", 900<<10)
	big := jane("")
	big.Reason = strings.Repeat("x", 600<<10)
	put := func(job jobs.Job) error {
		_, err := r.store.Put(t.Context(), "soar", jobs.Urgent, signals.Answer{Job: job})
		return err
	}
	expect := func(what string, err error, kind StoreKind, words string) {
		t.Helper()
		if got, said := kindOf(t, err); got != kind || !strings.Contains(said, words) {
			t.Errorf("%s: %s: %s", what, got, said)
		}
	}
	expect("a large job", put(large), TooLarge, "more than the stream LOGOFF_REQUESTS takes")
	if err := put(big); err != nil {
		t.Fatal(err)
	}
	expect("a full stream", put(big), Full, "no room")
	if err := r.store.Ask(t.Context(), "soar", jobs.Urgent); err != nil {
		t.Errorf("a full stream is there: %v", err)
	}
	if err := r.js.DeleteStream(t.Context(), subjects.RequestStream()); err != nil {
		t.Fatal(err)
	}
	expect("no stream", put(jane("")), NoStream, "LOGOFF_REQUESTS is missing")
	expect("no stream, asked", r.store.Ask(t.Context(), "soar", jobs.Urgent), NoStream, "missing")
	if _, err := r.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"logoff.requests.>"}}); err != nil {
		t.Fatal(err)
	}
	expect("a stream of somebody else's", put(jane("")), Refused, "another stream")
	r.store.NATS.Close()
	expect("no connection", put(jane("")), Away, "connection to NATS is down")
}

// Whether the stream is there is asked without leaving anything in it.
func TestAskingStoresNothing(t *testing.T) {
	r := newRig(t, 0)
	if err := r.store.Ask(t.Context(), "idp", jobs.Urgent); err != nil {
		t.Fatal(err)
	}
	if n := len(r.stored()); n != 0 {
		t.Errorf("%d messages are stored", n)
	}
}

// A sender that went away does not keep its job from being stored.
func TestStoringIsNotBrokenOff(t *testing.T) {
	r := newRig(t, 0)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	cancel()
	if _, err := r.store.Put(ctx, "soar", jobs.Bulk, signals.Answer{Job: jane("")}); err != nil {
		t.Fatal(err)
	}
	if subject := r.stored()[0].Subject; subject != "logoff.requests.bulk.soar" {
		t.Errorf("it is stored on %s", subject)
	}
}

package intake

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"logoffworker/jobs"
	"logoffworker/jobs/signals"
	"logoffworker/worker/intake/ssf/transmitter"
	"logoffworker/worker/stage/pipe"
	"logoffworker/worker/stream"
)

func TestTokensWaitUntilTheirKeyIsKnown(t *testing.T) {
	polled(t, transmitter.Settings{}, "delivery: poll", func(t *testing.T, s *pollSite) {
		s.start()
		s.ready()
		before := s.issue(10)
		s.until(time.Minute, "they are stored", func() bool { return s.x.Pending() == 0 })
		s.x.Configure(func(s *transmitter.Settings) { s.KeysDown = true })
		s.x.Rotate("RS256")
		ids := s.issue(100)
		time.Sleep(10 * time.Minute)
		if n := len(s.stored()); n != len(before) {
			t.Errorf("%d jobs are stored", n)
		}
		s.x.Configure(func(s *transmitter.Settings) { s.KeysDown = false })
		took := s.until(5*time.Minute, "they are stored", func() bool { return s.x.Pending() == 0 })
		if took > time.Minute {
			t.Errorf("it took %v", took)
		}
		s.once(ids)
		for _, e := range s.x.Journal() {
			if len(e.Refused) > 0 {
				t.Errorf("refused are %v", e.Refused)
			}
		}
		if n := s.x.Count("keys"); n > 25 {
			t.Errorf("the key set was asked for %d times", n)
		}
	})
}

func TestTokensOfUnknownKeysHoldUpNoOthers(t *testing.T) {
	polled(t, transmitter.Settings{}, "delivery: poll", func(t *testing.T, s *pollSite) {
		s.start()
		s.ready()
		time.Sleep(time.Minute)
		const forged = 150
		s.x.Configure(func(s *transmitter.Settings) { s.Unlisted = true })
		s.issue(forged)
		s.x.Configure(func(s *transmitter.Settings) { s.Unlisted = false })
		ids := s.issue(150)
		took := s.until(5*time.Minute, "they are stored", func() bool { return len(s.stored()) == len(ids) })
		if took > 30*time.Second {
			t.Errorf("it took %v", took)
		}
		time.Sleep(50 * time.Minute)
		if n := s.x.Pending(); n < forged {
			t.Errorf("%d of %d tokens wait", n, forged)
		}
		s.until(time.Hour, "they are refused", func() bool { return s.x.Pending() == 0 })
		if n := len(s.stored()); n != len(ids)+forged {
			t.Errorf("%d are stored, with those that are refused", n)
		}
	})
}

func TestInvalidTokensAreRefusedWithTheirReasonAndKept(t *testing.T) {
	polled(t, transmitter.Settings{}, "delivery: poll", func(t *testing.T, s *pollSite) {
		r := s.start()
		s.ready()
		time.Sleep(time.Minute)
		large := strings.Repeat("x", 100_000)
		for jti, text := range map[string]string{"a": "no token", "b": "", "c": large} {
			s.x.Queue(jti, text)
		}
		d := s.x.Issue(transmitter.Event{Type: revoked, Subject: map[string]any{"format": "opaque", "id": "nobody"}, JTI: "d"})
		ids := s.issue(3)
		s.until(time.Minute, "all is answered", func() bool { return s.x.Pending() == 0 })
		s.once(ids)
		refused := map[string]string{}
		for _, e := range s.x.Journal() {
			for jti, code := range e.Refused {
				refused[jti] = code
			}
		}
		if len(refused) != 4 || refused["a"] != "invalid_request" || refused[d] == "" {
			t.Errorf("refused are %v", refused)
		}
		kept := map[string]string{}
		for _, msg := range s.stored() {
			if msg.Header.Get(jobs.SignalHeader) != "" {
				continue
			}
			if msg.Subject != "logoff.requests.urgent.idp" || msg.Header.Get("Content-Type") != "application/json" {
				t.Errorf("one is kept on %s with %v", msg.Subject, msg.Header)
			}
			var m struct {
				Refused struct{ Issuer, Code, Why, Token string }
			}
			if err := json.Unmarshal(msg.Data, &m); err != nil || m.Refused.Issuer != "idp" || m.Refused.Code != "invalid_request" {
				t.Errorf("one is kept as %s (%v)", msg.Data, err)
			}
			kept[m.Refused.Token] = m.Refused.Why
			a := r.Issuers.Reader(jobs.Rules{}, time.Now()).Message(msg.Header, msg.Data)
			if a.Verdict != signals.Invalid || !strings.HasPrefix(a.Why, "refused to idp when it came (invalid_request), and never read again: ") || !strings.Contains(a.Why, m.Refused.Why) {
				t.Errorf("a worker reads it as %s: %s", a.Verdict, a.Why)
			}
		}
		if len(kept) != 4 || kept["no token"] == "" || kept[""] == "" || kept[large[:64<<10+1]] == "" {
			t.Errorf("%d are kept", len(kept))
		}
		if !strings.Contains(s.log.String(), "an event of idp was refused") {
			t.Error("nothing is said of them")
		}
		if ok, conditions := r.health.Ready(); !ok {
			t.Errorf("the worker is not ready: %v", conditions)
		}
	})
}

func TestTokensStayWithTheTransmitterUntilTheyCanBeStored(t *testing.T) {
	polled(t, transmitter.Settings{Hold: 20 * time.Second}, "delivery: poll", func(t *testing.T, s *pollSite) {
		r := s.start()
		s.ready()
		if err := s.js.DeleteStream(t.Context(), subjects.RequestStream()); err != nil {
			t.Fatal(err)
		}
		ids := s.issue(20)
		time.Sleep(10 * time.Minute)
		if s.x.Pending() < 20 || r.condition("unstored") == nil {
			t.Errorf("%d wait, and it is told as %v", s.x.Pending(), r.condition("unstored"))
		}
		if err := stream.DefaultConfig().ProvisionStreams(context.Background(), s.js); err != nil {
			t.Fatal(err)
		}
		s.until(2*time.Minute, "they are stored", func() bool { return s.x.Pending() == 0 })
		s.once(ids)
		if r.condition("unstored") != nil {
			t.Error("it is told all the same")
		}
	})
}

// A token is refused where it comes to another issuer's address, and whatever its signature: no worker takes what is kept
// of it for a job, one of an older release neither, although it would be one at the right address.
func TestATokenOfAnotherIssuerIsNeverWorked(t *testing.T) {
	polled(t, transmitter.Settings{}, "delivery: poll", func(t *testing.T, s *pollSite) {
		keys, err := filepath.Abs(filepath.Join(examples, "keys/idp.jwks.json"))
		if err != nil {
			t.Fatal(err)
		}
		s.append(`  - name: good
    issuer: https://idp.example.com/123456789/
    audience: [https://sp.example.com/caep]
    keys: {file: ` + keys + `}
    subjects: {email: 'email:{email}'}
`)
		r := s.start()
		s.ready()
		time.Sleep(time.Minute)
		token := example(t, "push-ok")
		s.x.Queue("x", token)
		s.until(time.Minute, "it is answered", func() bool { return s.x.Pending() == 0 })
		reader := r.Issuers.Reader(jobs.Rules{}, time.Now())
		if a := reader.Message(map[string][]string{"Content-Type": {"application/secevent+jwt"}}, []byte(token)); a.Verdict != signals.Job {
			t.Fatalf("at the right address it is %s: %s", a.Verdict, a.Why)
		}
		all := s.stored()
		if len(all) != 1 {
			t.Fatalf("%d are stored", len(all))
		}
		a := reader.Message(all[0].Header, all[0].Data)
		if a.Verdict != signals.Invalid || a.Code != signals.InvalidIssuer || !strings.Contains(a.Why, "another issuer than this address is for") || a.Signal != nil || a.Job.ID != "" {
			t.Errorf("a worker reads it as %s (%s): %s", a.Verdict, a.Code, a.Why)
		}
		if job, err := jobs.Decode(all[0].Data, jobs.Rules{}); err == nil {
			t.Errorf("an older worker reads the job %+v", job)
		}
		if bytes.HasPrefix(all[0].Data, []byte("eyJ")) || all[0].Header.Get("Content-Type") != "application/json" {
			t.Errorf("an older worker reads a token: %s", all[0].Data)
		}
	})
}

// A transmitter whose answers are always too large is asked for less each time, then now and again, and that is told.
func TestAnswersThatAreTooLargeAreNotAskedForWithoutEnd(t *testing.T) {
	polled(t, transmitter.Settings{}, "delivery: poll", func(t *testing.T, s *pollSite) {
		var polls atomic.Int64
		dial, stop := pipe.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Path, "/poll/") {
				s.x.ServeHTTP(w, r)
				return
			}
			polls.Add(1)
			_, _ = w.Write(bytes.Repeat([]byte(" "), 17<<20))
		}))
		t.Cleanup(stop)
		s.dial = dial
		r := s.start()
		s.until(time.Minute, "it is asked for less", func() bool { return polls.Load() >= 7 })
		time.Sleep(10 * time.Minute)
		if n := polls.Load(); n > 200 {
			t.Errorf("it was polled %d times", n)
		}
		if c := r.condition("unreachable"); c == nil || !strings.Contains(c.What, "more than 16777216 bytes") {
			t.Errorf("it is told as %v", c)
		}
	})
}

func TestAJobThatWasPolledIsOneOfItsIssuer(t *testing.T) {
	polled(t, transmitter.Settings{}, "delivery: poll", func(t *testing.T, s *pollSite) {
		s.start()
		s.ready()
		jti := s.x.Issue(transmitter.Event{Type: disabled, Subject: email(7)})
		s.until(time.Minute, "it is stored", func() bool { return s.x.Pending() == 0 })
		all := s.stored()
		if len(all) != 1 {
			t.Fatalf("%d jobs are stored", len(all))
		}
		job, err := jobs.Decode(all[0].Data, jobs.Rules{})
		id := jobs.SignalID(issuerURL, jti)
		if err != nil || all[0].Subject != "logoff.requests.urgent.idp" || job.ID != id || !job.IncludeNewer || all[0].Header.Get(nats.MsgIdHdr) == "" {
			t.Errorf("it is %+v on %s with %v (%v)", job, all[0].Subject, all[0].Header, err)
		}
	})
}

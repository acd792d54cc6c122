package worker_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/worker"
	"logoffworker/worker/webserver/simulator"
)

// waitsForKeys is what a worker says of messages that wait for keys; empty while there is nothing to say.
func (r *running) waitsForKeys() metrics.Condition {
	for _, part := range r.health.Verdict().Parts {
		for _, c := range part.Conditions {
			if c.Kind == "keys" {
				return c
			}
		}
	}
	return metrics.Condition{}
}

// The key set is out of reach for ten minutes, and has another key then: all that was signed with it waits, is told, and
// is worked; nothing is invalid, and nobody is alarmed by its coming again.
func TestNothingIsLostWhileKeysRotate(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s, p := signalSite(t)
		w := s.start(options{issuers: p.issuers()})
		passes(t, time.Minute)
		p.breaks(true)
		p.roll("k2")
		on := s.sim.SignOn(50, simulator.ConsoleWeb)
		for i := range 100 {
			s.publishSET(p.sign(set{key: "k2", jti: fmt.Sprint(i), email: "bob@corp.example"}))
			passes(t, 6*time.Second)
		}
		if got := s.awaitFor(1, time.Second); len(got) > 0 {
			t.Errorf("%+v", got)
		}
		c := w.waitsForKeys()
		if !strings.HasPrefix(c.What, "100 messages of idp wait for its key set, which cannot be read since 2026-11-27T12:0") || c.ToDo == "" || !c.Harmless {
			t.Errorf("%+v", c)
		}
		if ready, problems := w.health.Ready(); !ready {
			t.Error(problems)
		}
		p.breaks(false)
		results := s.awaitFor(100, 2*time.Minute)
		if got := statuses(results); got[jobs.Done] != 100 || s.deadLetters() != 0 || s.left() != 0 || s.alive([]string{on}) != 0 {
			t.Errorf("%v", got)
		}
		passes(t, 3*time.Minute)
		if c := w.waitsForKeys(); c.What != "" || strings.Contains(s.log.String(), "had taken and not settled") {
			t.Errorf("%+v\n%s", c, s.log)
		}
	})
}

// While no key set can be read, a message waits for as long as it takes; one whose key is in no key set is invalid after
// an hour. A key set that was read before a message came does not count.
func TestMessageIsInvalidOnlyByAKeySetThatWasReadAfterIt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s, p := signalSite(t)
		p.make("evil")
		w := s.start(options{issuers: p.issuers()})
		passes(t, time.Minute)
		p.breaks(true)
		s.publishSET(p.sign(set{key: "evil", jti: "1", email: "bob@corp.example"}))
		if got := s.awaitFor(1, 6*time.Hour); len(got) > 0 {
			t.Fatalf("%+v", got)
		}
		p.breaks(false)
		r := s.awaitFor(1, 2*time.Minute)
		if len(r) != 1 || r[0].Status != jobs.Invalid || !strings.Contains(r[0].Error, "the key set was asked for again, for 1h0m0s") || s.deadLetters() != 1 {
			t.Fatalf("%+v", r)
		}
		if letter := s.deadLetter(1); letter.Signal != nil || letter.ContentType != "application/secevent+jwt" {
			t.Errorf("%+v", letter)
		}
		s.publishSET(p.sign(set{key: "evil", jti: "2", email: "bob@corp.example"}))
		if got := s.awaitFor(1, 59*time.Minute); len(got) > 0 {
			t.Fatalf("%+v", got)
		}
		if c := w.waitsForKeys(); c.What != "1 messages of idp wait for a key that its key set does not hold" {
			t.Errorf("%+v", c)
		}
		if got := s.awaitFor(1, 2*time.Minute); len(got) != 1 || got[0].Status != jobs.Invalid {
			t.Errorf("%+v", got)
		}
		if len(s.logoffs()) > 0 {
			t.Error("somebody was logged off")
		}
	})
}

// A thousand messages with keys that nobody has made cause one request for the key set in 30 seconds, and delay no
// rightful message.
func TestUnknownKeysDelayNobody(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s, p := signalSite(t)
		p.make("evil")
		s.start(options{issuers: p.issuers()})
		passes(t, time.Minute)
		s.publishSET(p.sign(set{jti: "before", email: "bob@corp.example"}))
		alone := s.await(1)[0].TimeToLogoffMS
		forged := make([]string, 1000)
		for i := range forged {
			forged[i] = p.sign(set{key: "evil", jti: fmt.Sprint(i), email: "bob@corp.example"})
		}
		begun := time.Now()
		s.publish("logoff.requests.urgent.idp", forged...)
		for i := range 20 {
			s.publishSET(p.sign(set{jti: fmt.Sprint("good", i), email: "bob@corp.example"}))
			if r := s.await(1)[0]; r.Status != jobs.Done || r.TimeToLogoffMS > alone+100 {
				t.Errorf("%s after %d ms, alone %d", r.Status, r.TimeToLogoffMS, alone)
			}
			passes(t, 7*time.Second)
		}
		asked := p.requests()
		asked = asked[slices.IndexFunc(asked, func(at time.Time) bool { return !at.Before(begun) }):]
		for i, at := range asked[1:] {
			if at.Sub(asked[i]) < 30*time.Second {
				t.Errorf("asked at %v and %v", asked[i], at)
			}
		}
		if s.deadLetters() != 0 || s.left() != 1000 {
			t.Errorf("%d dead letters, %d wait", s.deadLetters(), s.left())
		}
	})
}

// Beyond a thousand, what waits for a key is invalid as soon as a key set that was read after it does not hold it, so that
// JetStream goes on giving out others.
func TestSoManyUnknownKeysAreNotWaitedFor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s, p := signalSite(t)
		p.make("evil")
		s.start(options{issuers: p.issuers()})
		forged := make([]string, 1300)
		for i := range forged {
			forged[i] = p.sign(set{key: "evil", jti: fmt.Sprint(i), email: "bob@corp.example"})
		}
		passes(t, time.Minute)
		s.publish("logoff.requests.urgent.idp", forged...)
		early := s.awaitFor(1300, 10*time.Minute)
		if n := len(early); n < 290 || n > 310 {
			t.Errorf("%d are not waited for", n)
		}
		for _, r := range early {
			if r.Status != jobs.Invalid || !strings.Contains(r.Error, "more than 1000 messages wait for a key") {
				t.Fatalf("%+v", r)
			}
		}
	})
}

// A worker that stops leaves what waits to the others.
func TestWhatWaitsForAKeySurvivesTheWorker(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s, p := signalSite(t)
		first := s.start(options{issuers: p.issuers()})
		passes(t, time.Minute)
		p.breaks(true)
		p.roll("k2")
		s.publishSET(p.sign(set{key: "k2", jti: "1", email: "bob@corp.example"}))
		passes(t, 10*time.Second)
		first.stop()
		p.breaks(false)
		s.start(options{issuers: p.issuers(), config: func(c *worker.Config) { c.Name = "v" }})
		if got := s.awaitFor(1, 2*time.Minute); len(got) != 1 || got[0].Status != jobs.Done || got[0].Worker != "v" {
			t.Errorf("%+v", got)
		}
	})
}

// A key that a token brings along or points at is never used, and nobody connects to its address.
func TestAddressesInATokenAreNeverAsked(t *testing.T) {
	const env = "LOGOFF_TEST_ELSEWHERE"
	if os.Getenv(env) == "" { // beside the bubble, in which nobody waits for a network
		var visits atomic.Int64
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		server.Config.ConnState = func(net.Conn, http.ConnState) { visits.Add(1) }
		defer func() {
			if server.Close(); visits.Load() > 0 {
				t.Error("somebody connected to the address in a token")
			}
		}()
		if err := os.Setenv(env, server.URL); err != nil { // for the bubble's process
			t.Fatal(err)
		}
	}
	inBubble(t, func(t *testing.T) {
		url := os.Getenv(env)
		s, p := signalSite(t)
		s.start(options{issuers: p.issuers()})
		passes(t, time.Minute)
		before := len(s.sim.Journal())
		for i, header := range []map[string]any{{"jku": url + "/jwks.json"}, {"x5u": url + "/cert.pem"}, {"jku": url, "x5u": url}} {
			s.publishSET(p.sign(set{jti: fmt.Sprint(i), email: "bob@corp.example", header: header}))
			if r := s.await(1)[0]; r.Status != jobs.Invalid {
				t.Errorf("%+v", r)
			}
		}
		if n := len(s.sim.Journal()) - before; n > 0 {
			t.Errorf("%d requests to the Web Server", n)
		}
	})
}

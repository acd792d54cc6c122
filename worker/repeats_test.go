package worker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"logoffworker/jobs"
	"logoffworker/worker"
	"logoffworker/worker/stage/bubble"
	"logoffworker/worker/webserver/simulator"
)

// signalSite is a deployment that trusts an idp, at a time at which its messages are of use.
func signalSite(t *testing.T) (*site, *idp) {
	until(t, "2026-11-27T12:00:00Z")
	s := newSite(t, simulator.Settings{LatencyFixed: latency})
	s.crowd()
	s.sim.SignOn(52, simulator.ConsoleWeb) // so that lists are known not to be empty for want of a right
	return s, newIDP(t)
}

// publishSET stores a signed message.
func (s *site) publishSET(token string) (sequence uint64) {
	s.t.Helper()
	return s.publishMsg("logoff.requests.urgent.idp", nats.Header{"Content-Type": {"application/secevent+jwt"}}, []byte(token))
}

// publishEvent stores a job as the receiver does for an event.
func (s *site) publishEvent(publisher, id, signal, job string) {
	s.t.Helper()
	header := nats.Header{}
	if signal != "" {
		header[jobs.SignalHeader] = []string{signal}
	}
	job = strings.Replace(job, "{", fmt.Sprintf(`{"id":%q,`, id), 1)
	s.publishMsg(s.subjects.Request(jobs.Urgent, publisher), header, []byte(job))
}

// A transmitter that sends the same event again and again ends sessions once, and alarms nobody.
func TestSameEventAHundredTimesIsOneLogoff(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s, p := signalSite(t)
		on := s.sim.SignOn(50, simulator.ConsoleWeb)
		w := s.start(options{issuers: p.issuers()})
		token := p.sign(set{jti: "1", email: "bob@corp.example"})
		var results []jobs.Result
		for range 100 {
			s.publishSET(token)
			results = append(results, s.await(1)...)
			passes(t, 24*time.Hour/100)
		}
		if got := statuses(results); got[jobs.Done] != 1 || got[jobs.Ignored] != 99 || results[0].Status != jobs.Done {
			t.Errorf("%v", got)
		}
		first := results[0]
		for _, r := range results[1:] {
			if id, _, ok := s.subjects.ResultOf(r.Repeats); !ok || id != first.JobID || r.JobID != first.JobID || r.Signal == nil || len(r.Users)+len(r.Sessions) > 0 || r.EventToEndedMS != 0 {
				t.Fatalf("%+v", r)
			}
			if r.Repeats != results[1].Repeats {
				t.Errorf("%s, %s", r.Repeats, results[1].Repeats)
			}
		}
		if n := len(s.logoffs()); n != 1 || s.deadLetters() != 0 || s.left() != 0 || s.alive([]string{on}) != 0 {
			t.Errorf("%d logoffs, %d dead letters, %d jobs left", n, s.deadLetters(), s.left())
		}
		want := jobs.Signal{Issuer: "idp", Event: "https://schemas.openid.net/secevent/caep/event-type/session-revoked", Rule: first.Signal.Rule, ID: "1", Token: token}
		if diff := cmp.Diff(&want, first.Signal); diff != "" || first.Signal.Rule == "" {
			t.Errorf("%+v\n%s", first.Signal, diff)
		}
		pages := w.pages()
		for _, line := range []string{
			`logoff_jobs_settled_total{lane="urgent",status="ignored"} 99`, `logoff_jobs_format_total{format="set"} 100`,
			`logoff_revocation_seconds_count{issuer="idp"} 1`, `logoff_revocation_seconds_count{issuer="other"} 0`, `logoff_jobs_settled_total{lane="bulk",status="ignored"} 0`,
		} {
			if !strings.Contains(pages, line) {
				t.Errorf("no %s", line)
			}
		}
		if strings.Contains(s.log.String(), "came again") || !strings.Contains(s.log.String(), "worked before: "+results[1].Repeats) {
			t.Error(s.log)
		}
		if ready, problems := w.health.Ready(); !ready || len(problems) > 0 {
			t.Error(problems)
		}
	})
}

const (
	signalOfIDP = `{"issuer":"idp","event":"e","rule":"r","id":"1"}`
	bob         = `{"users":[{"email":"bob@corp.example"}]}`
)

// Only an event that was done, or asked for and accepted, for the same publisher is no reason to work it again.
func TestOnlyAnEventThatWasWorkedIsIgnored(t *testing.T) {
	id := jobs.SignalID("https://idp.example", "1")
	for name, c := range map[string]struct {
		first, again        string // jobs
		firstSignal, signal string
		publisher, id       string
		want                jobs.Status
	}{
		"the same":                   {first: bob, again: bob, want: jobs.Ignored},
		"of another publisher":       {first: bob, again: bob, publisher: "okta", want: jobs.Done},
		"of none":                    {first: bob, again: bob, publisher: "none", want: jobs.Done},
		"the first without a signal": {first: bob, again: bob, firstSignal: "none", want: jobs.Done},
		"without a signal":           {first: bob, again: bob, signal: "none", want: jobs.Done},
		"an id of no event":          {first: bob, again: bob, id: "case-1", want: jobs.Done},
		"a failed one":               {first: `{"users":[{"name":"nobody"}]}`, again: bob, want: jobs.Done},
		"a partial one":              {first: `{"users":[{"email":"bob@corp.example"},{"name":"nobody"}]}`, again: bob, want: jobs.Done},
		"an expired one":             {first: `{"notAfter":"2026-11-27T11:00:00Z","users":[{"email":"bob@corp.example"}]}`, again: bob, want: jobs.Done},
		"an invalid one":             {first: `{"users":[]}`, again: bob, want: jobs.Done},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s, p := signalSite(t)
				s.sim.SignOn(50, simulator.ConsoleWeb)
				s.start(options{issuers: p.issuers()})
				id := id
				if c.id != "" {
					id = c.id
				}
				given := func(signal string) string {
					if signal == "none" {
						return ""
					}
					return signalOfIDP
				}
				s.publishEvent("idp", id, given(c.firstSignal), c.first)
				first := s.await(1)[0]
				passes(t, time.Minute)
				publisher := "idp"
				if c.publisher != "" {
					publisher = strings.TrimSuffix(c.publisher, "none")
				}
				s.publishEvent(publisher, id, given(c.signal), c.again)
				if r := s.await(1)[0]; r.Status != c.want || (r.Repeats != "") != (c.want == jobs.Ignored) || r.JobID != first.JobID {
					t.Errorf("after %s: %s: %s", first.Status, r.Status, r.Error)
				}
			})
		})
	}
}

// A repeat after a failed try is worked, and what comes after its success is ignored again.
func TestEventThatFailedIsWorkedUntilItIsDone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s, p := signalSite(t)
		s.start(options{issuers: p.issuers()})
		token := p.sign(set{jti: "1", email: "eve@corp.example"})
		s.publishSET(token)
		if r := s.await(1)[0]; r.Status != jobs.Failed {
			t.Fatalf("%+v", r)
		}
		s.sim.AddUser(simulator.User{ID: 53, Login: "eve", Email: "eve@corp.example"})
		passes(t, time.Hour) // until what is known of users is looked up anew
		for _, want := range []jobs.Status{jobs.Done, jobs.Ignored, jobs.Ignored} {
			s.publishSET(token)
			if r := s.await(1)[0]; r.Status != want {
				t.Errorf("%s, want %s: %s", r.Status, want, r.Error)
			}
			passes(t, time.Minute)
		}
	})
}

// What is not done of a job that came as a signed message is kept as a job of our own, which needs no key, with its
// signal; published again it is worked.
func TestDeadLetterOfASignedMessageIsAJobWithItsSignal(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s, p := signalSite(t)
		s.start(options{issuers: p.issuers()})
		event := time.Now().Add(-time.Minute).Truncate(time.Second)
		token := p.sign(set{jti: "1", email: "eve@corp.example", at: event, event: "risc/event-type/account-disabled"})
		s.publishSET(token)
		r := s.await(1)[0]
		letter := s.deadLetter(1)
		job, err := jobs.Decode(letter.Payload, jobs.Rules{})
		if err != nil {
			t.Fatal(err)
		}
		want := jobs.Job{
			ID: jobs.SignalID("https://idp.example", "1"), Users: []jobs.User{{Email: "eve@corp.example"}}, EventTime: event.UTC(), IncludeNewer: true,
			Reason: r.Reason, RequestedBy: "https://idp.example", Labels: map[string]string{"issuer": "idp", "event": "account-disabled"},
		}
		if diff := cmp.Diff(want, job); diff != "" || letter.ContentType != "application/json" || letter.Reason != jobs.Failed {
			t.Errorf("%+v\n%s", letter, diff)
		}
		if diff := cmp.Diff(r.Signal, letter.Signal); diff != "" || letter.Signal.Token != token {
			t.Error(diff)
		}
		s.sim.AddUser(simulator.User{ID: 53, Login: "eve", Email: "eve@corp.example"})
		on := s.sim.SignOn(53, simulator.ConsoleWeb)
		p.breaks(true)
		p.roll("k2") // the key is gone by now
		passes(t, time.Hour)
		again := nats.Header{"Content-Type": {letter.ContentType}, jobs.SignalHeader: letter.Header()[jobs.SignalHeader]}
		s.publishMsg(letter.Subject, again, letter.Payload)
		if done := s.await(1)[0]; done.Status != jobs.Done || s.alive([]string{on}) != 0 || cmp.Diff(r.Signal, done.Signal) != "" || done.EventToEndedMS < time.Hour.Milliseconds() {
			t.Errorf("%+v", done)
		}
	})
}

// What was held of a signed message is kept as the job that it is: what is approved needs no key and no rule any more.
func TestHeldSignedMessageIsApprovedAsAJob(t *testing.T) {
	bubble.NeedsNATS(t, 12) // for the counters of an hour
	inBubble(t, func(t *testing.T) {
		s, p := signalSite(t)
		on := s.sim.SignOn(50, simulator.ConsoleWeb)
		s.start(options{issuers: p.issuers(), config: func(c *worker.Config) { c.HoldAboveHour = 1 }})
		s.publishSET(p.sign(set{jti: "0", email: "carol@corp.example"}))
		s.await(1)
		s.publishSET(p.sign(set{jti: "1", email: "bob@corp.example"}))
		held := s.await(1)[0]
		if held.Status != jobs.Held {
			t.Fatalf("%+v", held)
		}
		p.roll("k2")
		passes(t, 2*time.Hour) // the key is gone by now
		letter := s.deadLetter(1)
		s.publishMsg("logoff.approved.urgent.boss", nats.Header{
			"Logoff-Held": {letter.Result}, "Content-Type": {letter.ContentType}, jobs.SignalHeader: letter.Header()[jobs.SignalHeader],
		}, letter.Payload)
		r := s.await(1)[0]
		if r.Status != jobs.Done || r.ApprovedBy != "boss" || r.Publisher != "idp" || r.JobID != held.JobID || cmp.Diff(held.Signal, r.Signal) != "" || s.alive([]string{on}) != 0 {
			t.Errorf("%+v", r)
		}
	})
}

// The signal that whoever stored a job has verified ends in the result. One that cannot be read costs no session.
func TestSignalBesideAJobEndsInItsResult(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s, p := signalSite(t)
		w := s.start(options{issuers: p.issuers()})
		s.publishEvent("idp", "case-1", signalOfIDP, fmt.Sprintf(`{"eventTime":%q,"users":[{"email":"bob@corp.example"}]}`, time.Now().Add(-90*time.Second).Format(time.RFC3339)))
		r := s.await(1)[0]
		if diff := cmp.Diff(&jobs.Signal{Issuer: "idp", Event: "e", Rule: "r", ID: "1"}, r.Signal); r.Status != jobs.Done || diff != "" {
			t.Errorf("%+v\n%s", r, diff)
		}
		if got := time.Duration(r.EventToEndedMS) * time.Millisecond; got < 90*time.Second || got > 100*time.Second || got != r.CompletedAt.Sub(r.EventTime).Truncate(time.Millisecond) {
			t.Errorf("%v", got)
		}
		s.publishEvent("idp", "case-2", `{"issuer":`, bob)
		if r := s.await(1)[0]; r.Status != jobs.Done || r.Signal != nil || !strings.Contains(r.Error, "the header Logoff-Signal cannot be read") {
			t.Errorf("%+v", r)
		}
		s.publishEvent("somebody", "case-3", strings.Replace(signalOfIDP, "idp", "anybody", 1), fmt.Sprintf(`{"eventTime":%q,"users":[{"email":"bob@corp.example"}]}`, time.Now().Format(time.RFC3339)))
		s.await(1)
		for _, line := range []string{`logoff_revocation_seconds_count{issuer="idp"} 1`, `logoff_revocation_seconds_count{issuer="other"} 1`} {
			if !strings.Contains(w.pages(), line) {
				t.Errorf("no %s", line)
			}
		}
		if strings.Contains(w.pages(), "anybody") {
			t.Error("whom a header names is a label")
		}
	})
}

// The header counts for nothing beside a signed message, which says itself whose it is.
func TestSignalBesideASignedMessageCountsForNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s, p := signalSite(t)
		s.start(options{issuers: p.issuers()})
		token := p.sign(set{jti: "1", email: "bob@corp.example"})
		for body, want := range map[string]*jobs.Signal{token: {Issuer: "idp", ID: "1"}, token[:len(token)-4] + "AAAA": nil} {
			s.publishMsg("logoff.requests", nats.Header{jobs.SignalHeader: {`{"issuer":"boss","id":"2"}`}}, []byte(body))
			r := s.await(1)[0]
			if (r.Signal == nil) != (want == nil) || want != nil && (r.Signal.Issuer != want.Issuer || r.Signal.ID != want.ID) {
				t.Errorf("%s: %+v", r.Status, r.Signal)
			}
		}
	})
}

// A session that began shortly after the event is ended, because clocks differ; a later one is left on, unless the rule
// says that newer ones are ended, too.
func TestTimeBetweenClocksIsTolerated(t *testing.T) {
	for event, newer := range map[string]bool{"caep/event-type/session-revoked": false, "risc/event-type/account-disabled": true} {
		t.Run(event, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s, p := signalSite(t)
				at := time.Now().Add(5 * time.Minute).Truncate(time.Second)
				began := map[time.Duration]string{}
				for _, after := range []time.Duration{-4 * time.Minute, -time.Second, time.Second, 55 * time.Second, 65 * time.Second, 5 * time.Minute} {
					passes(t, time.Until(at.Add(after)))
					began[after] = s.sim.SignOn(50, simulator.ConsoleWeb)
				}
				passes(t, time.Minute)
				s.start(options{issuers: p.issuers()})
				s.publishSET(p.sign(set{jti: "1", email: "bob@corp.example", event: event, at: at}))
				if r := s.await(1)[0]; r.Status != jobs.Done {
					t.Errorf("%+v", r)
				}
				for after, id := range began {
					if on := s.alive([]string{id}) == 1; on != (after > time.Minute && !newer) {
						t.Errorf("the session that began %v after the event is on: %t", after, on)
					}
				}
			})
		})
	}
}

// Where no issuers file is set, nobody's signed messages are believed, and the result says why.
func TestWithoutAnIssuersFileNobodyIsTrusted(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s, p := signalSite(t)
		on := s.sim.SignOn(50, simulator.ConsoleWeb)
		s.start(options{})
		s.publishSET(p.sign(set{jti: "1", email: "bob@corp.example"}))
		if r := s.await(1)[0]; r.Status != jobs.Invalid || !strings.Contains(r.Error, "LOGOFF_ISSUERS_FILE is not set") || s.alive([]string{on}) != 1 || s.deadLetters() != 1 {
			t.Errorf("%+v", r)
		}
		s.publish("logoff.requests", jobOf(on))
		if r := s.await(1)[0]; r.Status != jobs.AcceptedJob {
			t.Errorf("%+v", r)
		}
	})
}

package worker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"logoffworker/jobs"
	"logoffworker/jobs/signals"
)

// What was refused to its sender has a result and a dead letter with the reason, and ends nobody's session, although its
// token would be a job by now; published again it is the same.
func TestRefusedEventHasAResultAndIsNeverWorked(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s, p := signalSite(t)
		s.start(options{issuers: p.issuers()})
		passes(t, time.Minute)
		token := p.sign(set{jti: "1", email: "bob@corp.example"})
		id := jobs.SignalID("https://idp.example", "1")
		data, err := signals.Refusal("idp", token, signals.Answer{
			Code: signals.InvalidRequest, Why: "nobody is known by it", Issuer: "idp", Job: jobs.Job{ID: id}, Signal: &jobs.Signal{Issuer: "idp", ID: "1", Token: token},
		})
		if err != nil {
			t.Fatal(err)
		}
		header := nats.Header{"Content-Type": {"application/json"}}
		for n := range 2 {
			s.publishMsg("logoff.requests.urgent.idp", header, data)
			r := s.await(1)[0]
			if r.Status != jobs.Invalid || r.JobID != id || r.Publisher != "idp" || r.Signal == nil || r.Signal.ID != "1" ||
				r.Error != "refused to idp when it came (invalid_request), and never read again: nobody is known by it" {
				t.Errorf("%+v", r)
			}
			letter := s.deadLetter(uint64(n + 1))
			if letter.Reason != jobs.Invalid || letter.Error != r.Error || string(letter.Payload) != string(data) || !strings.Contains(string(letter.Payload), token) {
				t.Errorf("%+v", letter)
			}
			header, data = nats.Header{"Content-Type": {letter.ContentType}}, letter.Payload
		}
		if len(s.logoffs()) > 0 {
			t.Error("somebody was logged off")
		}
		s.publishSET(token) // as a person may, who has seen to the reason
		if r := s.await(1)[0]; r.Status != jobs.Done && r.Status != jobs.AcceptedJob {
			t.Errorf("%+v", r)
		}
	})
}

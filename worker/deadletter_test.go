package worker

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

// A dead letter is counted when it is stored, and once: by whoever finds it stored already, it is not.
func TestDeadLetterIsCountedOnce(t *testing.T) {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	registry := prometheus.NewRegistry()
	s := &settler{metrics: metrics.New(registry, metrics.Build{}), health: metrics.NewHealth(log, Parts...), jobLog: newJobLog(log)}
	refused := errors.New("no room")
	for _, test := range []struct {
		reply error
		kept  bool
	}{
		{refused, false},
		{nil, true},
		{&jetstream.APIError{ErrorCode: jetstream.JSErrCodeStreamWrongLastSequence}, true},
		// The stream has another's dead letter of the same reason, and takes one for a subject since somebody changed it.
		{&jetstream.APIError{ErrorCode: 10077, Description: "maximum messages per subject exceeded"}, false},
	} {
		d := &delivery{status: jobs.Failed, result: &jobs.Result{Status: jobs.Failed}}
		if err := s.deadLetterStored(t.Context(), d, test.reply); (err == nil) != test.kept || d.kept != test.kept {
			t.Errorf("%v: %v, kept %t", test.reply, err, d.kept)
		}
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := 0.0
	for _, f := range families {
		if f.GetName() == "logoff_dead_letters_total" {
			for _, m := range f.GetMetric() {
				counted += m.GetCounter().GetValue()
			}
		}
	}
	if counted != 1 {
		t.Errorf("%v are counted, want 1", counted)
	}
}

// A dead letter holds what is left to do in a form that can be published again, and where to; with the event, as far as
// there is room for it and the payload does not hold it.
func TestDeadLetterCanBePublishedAgain(t *testing.T) {
	const guid, came = "CF1C660B-396F-44B7-86DA-5608CEC97453", "what came"
	token := strings.Repeat("t", 300)
	for name, test := range map[string]struct {
		format   jobs.Format
		status   jobs.Status
		approves string // the job that was held
		maxBytes int
		payload  string // a part of it
		subject  string
		signal   bool
		token    bool
	}{
		"failed":                    {format: jobs.JSON, status: jobs.Failed, maxBytes: 1000, payload: guid, subject: "logoff.requests.bulk", signal: true, token: true},
		"failed, the rest of one":   {format: jobs.JSON, status: jobs.Failed, approves: "x", maxBytes: 1000, payload: guid, subject: "logoff.requests.urgent.hr", signal: true, token: true},
		"held":                      {format: jobs.JSON, status: jobs.Held, maxBytes: 1000, payload: came, subject: "logoff.requests.bulk", signal: true, token: true},
		"invalid":                   {format: jobs.JSON, status: jobs.Invalid, maxBytes: 1000, payload: came, subject: "logoff.requests.bulk", signal: true, token: true},
		"a token that is invalid":   {format: jobs.SET, status: jobs.Invalid, maxBytes: 1000, payload: came, subject: "logoff.requests.bulk"},
		"a token that failed":       {format: jobs.SET, status: jobs.Failed, maxBytes: 1000, payload: guid, subject: "logoff.requests.bulk", signal: true, token: true},
		"no room for the token":     {format: jobs.JSON, status: jobs.Failed, maxBytes: 300, payload: guid, subject: "logoff.requests.bulk", signal: true},
		"no room for anything else": {format: jobs.JSON, status: jobs.Failed, maxBytes: 60, payload: guid, subject: "logoff.requests.bulk"},
	} {
		s := &settler{config: DefaultConfig(), maxBytes: test.maxBytes}
		d := jobNaming(guid)
		d.msg, d.format, d.key = &nats.Msg{Subject: "logoff.requests.bulk", Data: []byte(came)}, test.format, "7-1"
		d.job.ID, d.sequence, d.requested, d.signal = "a", 7, time.Unix(1, 0), &jobs.Signal{Issuer: "idp", Token: token}
		d.result = &jobs.Result{JobID: "a", Status: test.status, Approves: test.approves, Publisher: "hr"}
		if test.status == jobs.Invalid {
			d.invalid = "no job"
		}
		msg, err := s.deadLetterMessage(d)
		if err != nil {
			t.Fatal(err)
		}
		letter, err := jobs.DecodeDeadLetter(msg.Header, msg.Data)
		if err != nil || !strings.Contains(string(letter.Payload), test.payload) || letter.Subject != test.subject {
			t.Errorf("%s: %v, %q for %s", name, err, letter.Payload, letter.Subject)
		}
		if signal := letter.Signal; (signal != nil) != test.signal || signal != nil && (signal.Token == token) != test.token {
			t.Errorf("%s: the event is %+v", name, signal)
		}
	}
}

// A dead letter that cannot be written is an error, and not one without what is left to do.
func TestDeadLetterThatCannotBeWrittenIsNone(t *testing.T) {
	d := jobNaming("CF1C660B-396F-44B7-86DA-5608CEC97453")
	d.msg, d.job.Reason, d.result = nats.NewMsg("logoff.requests"), "no UTF-8: \xff", &jobs.Result{Status: jobs.Failed}
	if msg, err := (&settler{config: DefaultConfig()}).deadLetterMessage(d); err == nil {
		t.Errorf("it holds %q", msg.Data)
	}
}

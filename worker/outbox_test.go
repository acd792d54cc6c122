package worker

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Nothing but JetStream's own yes counts as stored.
func TestOnlyAYesIsStored(t *testing.T) {
	refused := func(code jetstream.ErrorCode) func(answer) bool {
		return func(a answer) bool {
			var e *jetstream.APIError
			return errors.As(a.err, &e) && e.ErrorCode == code
		}
	}
	unanswered := func(a answer) bool { return errors.Is(a.err, errNoAnswer) }
	for name, test := range map[string]struct {
		data   string
		status string
		right  func(answer) bool
	}{
		"yes":                {data: `{"stream":"LOGOFF_RESULTS","seq":7}`, right: func(a answer) bool { return a == answer{} }},
		"yes, in a domain":   {data: `{"stream":"LOGOFF_RESULTS","domain":"hub","seq":7}`, right: func(a answer) bool { return a == answer{} }},
		"known already":      {data: `{"stream":"LOGOFF_RESULTS","seq":7,"duplicate":true}`, right: func(a answer) bool { return a.err == nil && a.duplicate }},
		"settled":            {data: `{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 3"},"stream":"LOGOFF_RESULTS","seq":0}`, right: refused(codeSettled)},
		"settled, otherwise": {data: `{"stream":"LOGOFF_RESULTS","seq":0,"error":{"code":400,"err_code":10071}}`, right: refused(codeSettled)},
		"full":               {data: `{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"},"stream":"LOGOFF_RESULTS"}`, right: refused(10077)},
		"nobody there":       {status: "503", right: func(a answer) bool { return errors.Is(a.err, jetstream.ErrNoStreamResponse) }},
		"empty":              {right: unanswered},
		"no stream":          {data: `{"seq":7}`, right: unanswered},
		"not JSON":           {data: `stored!`, right: unanswered},
		"somebody else's":    {data: `{"ok":true}`, right: unanswered},
	} {
		msg := nats.NewMsg("x")
		msg.Data = []byte(test.data)
		if test.status != "" {
			msg.Header.Set("Status", test.status)
		}
		if a := read(msg); !test.right(a) {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

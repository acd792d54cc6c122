package signals

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"logoffworker/jobs"
)

// maxWhy is the most bytes of why a token was refused.
const maxWhy = 512

// A refusal is how a token is stored that was refused to whoever sent it.
type refusal struct {
	ID      string   `json:"id,omitzero"`
	Refused *refused `json:"refused"`
}

type refused struct {
	Issuer string       `json:"issuer"` // at whose address it came
	Code   Code         `json:"code"`
	Why    string       `json:"why"`
	Signal *jobs.Signal `json:"signal,omitzero"`
	Token  string       `json:"token"`
}

// Refusal is a message for a token that an issuer's address was given, and that an answer says is invalid: it is to have a
// result and a dead letter. No worker reads a job in it, one of an older release neither, whatever keys and rules there are
// by then: it is an object with a member that no job has. What of the token is not UTF-8 is replaced.
func Refusal(issuer, token string, a Answer) ([]byte, error) {
	m := refusal{Refused: &refused{Issuer: issuer, Code: a.Code, Why: a.Why, Token: token}}
	if a.Signal != nil && a.Issuer == issuer { // it is believed to be the issuer's
		signal := *a.Signal
		signal.Token = "" // which stands beside it
		m.ID, m.Refused.Signal = a.Job.ID, &signal
	}
	data, err := json.Marshal(m, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return nil, fmt.Errorf("write down a token that was refused: %w", err)
	}
	return data, nil
}

// refusal reads what [Refusal] made; nil is for any other message.
func (g *reading) refusal(body []byte) error {
	var m refusal
	if !bytes.Contains(body, []byte(`"refused"`)) || json.Unmarshal(body, &m, json.RejectUnknownMembers(true)) != nil || m.Refused == nil {
		return nil
	}
	r := m.Refused
	g.answer.Format = jobs.SET
	if jobs.LegalID(m.ID) == nil {
		g.answer.Job.ID = m.ID
	}
	if r.Signal != nil && jobs.LegalID(r.Signal.Issuer) == nil {
		g.answer.Issuer, g.answer.Signal = r.Signal.Issuer, r.Signal.Fitting()
	}
	return invalid(r.Code, "refused to %s when it came (%s), and never read again: %s", shown(r.Issuer, maxID), shown(string(r.Code), maxID), shown(r.Why, maxWhy))
}

// shown is foreign text as it may stand in a sentence.
func shown(text string, max int) string {
	return cut(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, cut(text, max)), max)
}

package jobs

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// encodedSession and encodedResult are about what one of them needs, so that a result is written into
// memory that need not grow.
const (
	encodedSession = 160
	encodedResult  = 512
)

// appendJSON appends the result as a JSON object. It is what the JSON library makes of a Result, and a
// test holds it to that; written by hand because every job has one.
func (r *Result) appendJSON(b []byte) ([]byte, error) {
	w := writer{b: append(b, '{')}
	w.integer("version", int64(r.Version))
	w.text("jobId", r.JobID)
	w.text("status", string(r.Status))
	w.text("lane", string(r.Lane))
	w.note("publisher", r.Publisher)
	w.name("sessions")
	w.b = append(w.b, '[')
	for i := range r.Sessions {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		r.Sessions[i].append(&w)
	}
	w.b = append(w.b, ']')
	w.users(r.Users)
	w.counts(r.Counts)
	w.number("usersLeft", int64(r.UsersLeft))
	w.note("error", r.Error)
	w.time("requestedAt", r.RequestedAt)
	w.time("receivedAt", r.ReceivedAt)
	w.time("completedAt", r.CompletedAt)
	w.integer("timeToLogoffMs", r.TimeToLogoffMS)
	if !r.EventTime.IsZero() {
		w.time("eventTime", r.EventTime)
	}
	w.text("worker", r.Worker)
	w.integer("deliveries", int64(r.Deliveries))
	w.note("reason", r.Reason)
	w.note("requestedBy", r.RequestedBy)
	w.labels(r.Labels)
	w.note("traceparent", string(r.Traceparent))
	w.note("heldSha256", r.HeldSHA256)
	w.note("approves", r.Approves)
	w.note("approvedBy", r.ApprovedBy)
	w.steps(r.Steps)
	w.number("stepsLeft", int64(r.StepsLeft))
	w.signal(r.Signal)
	w.note("repeats", r.Repeats)
	w.number("eventToEndedMs", r.EventToEndedMS)
	w.truth("trimmed", r.Trimmed)
	return append(w.b, '}'), w.err
}

func (s *SessionResult) append(w *writer) {
	w.b = append(w.b, '{')
	w.text("id", s.ID)
	w.number("userId", s.UserID)
	w.text("outcome", string(s.Outcome))
	w.note("requestId", s.RequestID)
	w.number("attempts", int64(s.Attempts))
	w.note("serverText", s.ServerText)
	w.note("error", s.Error)
	w.truth("found", s.Found)
	w.b = append(w.b, '}')
}

func (w *writer) users(users []UserResult) {
	if len(users) == 0 {
		return
	}
	w.name("users")
	w.b = append(w.b, '[')
	for i, u := range users {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = append(w.b, '{')
		w.number("id", u.ID)
		w.note("name", u.Name)
		w.note("email", u.Email)
		w.numbers("userIds", u.UserIDs)
		w.text("outcome", string(u.Outcome))
		w.note("error", u.Error)
		w.b = append(w.b, '}')
	}
	w.b = append(w.b, ']')
}

func (w *writer) steps(steps []Step) {
	if len(steps) == 0 {
		return
	}
	w.name("steps")
	w.b = append(w.b, '[')
	for i, s := range steps {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = append(w.b, '{')
		w.integer("atMs", s.AtMS)
		w.text("what", s.What)
		w.note("requestId", s.RequestID)
		w.note("verdict", s.Verdict)
		w.number("tookMs", s.TookMS)
		w.b = append(w.b, '}')
	}
	w.b = append(w.b, ']')
}

func (w *writer) signal(s *Signal) {
	if s == nil {
		return
	}
	w.name("signal")
	w.b = append(w.b, '{')
	w.text("issuer", s.Issuer)
	w.note("event", s.Event)
	w.note("rule", s.Rule)
	w.note("id", s.ID)
	w.note("token", s.Token)
	w.b = append(w.b, '}')
}

// A writer appends the members of an object. What is empty is left out by number and note.
type writer struct {
	b   []byte
	err error
}

// next begins a member, with a comma unless it is the first.
func (w *writer) next() {
	if w.b[len(w.b)-1] != '{' {
		w.b = append(w.b, ',')
	}
}

// name begins a member of ours, whose name needs no escapes.
func (w *writer) name(name string) {
	w.next()
	w.b = append(w.b, '"')
	w.b = append(w.b, name...)
	w.b = append(w.b, '"', ':')
}

// quote appends text as a string. Bytes that are no UTF-8 become replacement characters: a server's
// text may hold any, and must not keep a result from being stored.
func (w *writer) quote(text string) {
	w.b, _ = jsontext.AppendQuote(w.b, text)
}

func (w *writer) text(name, value string) {
	w.name(name)
	w.quote(value)
}

func (w *writer) note(name, value string) {
	if value != "" {
		w.text(name, value)
	}
}

func (w *writer) integer(name string, value int64) {
	w.name(name)
	w.b = strconv.AppendInt(w.b, value, 10)
}

func (w *writer) number(name string, value int64) {
	if value != 0 {
		w.integer(name, value)
	}
}

func (w *writer) numbers(name string, values []int64) {
	if len(values) == 0 {
		return
	}
	w.name(name)
	w.b = append(w.b, '[')
	for i, value := range values {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = strconv.AppendInt(w.b, value, 10)
	}
	w.b = append(w.b, ']')
}

func (w *writer) truth(name string, value bool) {
	if value {
		w.name(name)
		w.b = append(w.b, "true"...)
	}
}

func (w *writer) time(name string, t time.Time) {
	w.name(name)
	b, err := t.AppendText(append(w.b, '"'))
	if err != nil {
		w.err = fmt.Errorf("%s: %w", name, err)
		return
	}
	w.b = append(b, '"')
}

func (w *writer) counts(counts map[Outcome]int) {
	w.name("counts")
	w.b = append(w.b, '{')
	outcomes := make([]Outcome, 0, 16) // on the stack, which it leaves if a function ranges over the map
	for outcome := range counts {
		outcomes = append(outcomes, outcome)
	}
	slices.Sort(outcomes)
	for _, outcome := range outcomes {
		w.next()
		w.quote(string(outcome))
		w.b = append(w.b, ':')
		w.b = strconv.AppendInt(w.b, int64(counts[outcome]), 10)
	}
	w.b = append(w.b, '}')
}

func (w *writer) labels(labels map[string]string) {
	if len(labels) == 0 {
		return
	}
	w.name("labels")
	w.b = append(w.b, '{')
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		w.next()
		w.quote(name)
		w.b = append(w.b, ':')
		w.quote(labels[name])
	}
	w.b = append(w.b, '}')
}

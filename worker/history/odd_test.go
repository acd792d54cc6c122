package history

import (
	"strings"
	"testing"

	"logoffworker/jobs"
)

// odd adds a job that names a session with braces around it, and beside it what is no session.
func odd(h *History) {
	m := &maker{h: h, sequence: map[string]uint64{"trio": 500}, request: 500}
	spelled := "{" + id(400) + "}"
	p := m.publish("trio", jobs.Bulk, 40, spelled, "wrong")
	p.Wrong = []string{"wrong"}
	request := m.send(40.1, true, id(400))
	m.result(p, 40.2, jobs.Result{Sessions: []jobs.SessionResult{
		{ID: spelled, Outcome: jobs.Accepted, RequestID: request},
		{ID: "wrong", Outcome: jobs.InvalidSession},
	}})
	m.h.Dead[len(m.h.Dead)-1].Data = []byte(`{"sessions":["wrong"]}`)
	m.count()
}

// What is no session has an outcome that says so, nothing else has, and it is not sent.
func TestOddJobIsJudged(t *testing.T) {
	last := func(h *History) *Request { return &h.Requests[len(h.Requests)-1] }
	result := func(h *History, f func(*jobs.Result)) {
		change(h, len(h.Results)-1, func(r *jobs.Result) { f(r); r.Conclude() })
		h.Counters = nil
	}
	for name, test := range map[string]struct {
		rules  string
		breaks func(*History)
	}{
		"well":                  {"", func(*History) {}},
		"sent as it is spelled": {"I5", func(h *History) { last(h).Sessions = []string{"{" + id(400) + "}"} }},
		"sent what is wrong":    {"I5", func(h *History) { last(h).Sessions = append(last(h).Sessions, "wrong") }},
		"a good one is invalid": {"I4", func(h *History) { result(h, func(r *jobs.Result) { r.Sessions[0].Outcome = jobs.InvalidSession }) }},
		"a wrong one expired":   {"I4", func(h *History) { result(h, func(r *jobs.Result) { r.Sessions[1].Outcome = jobs.Expired }) }},
		"told as it was meant":  {"I4", func(h *History) { result(h, func(r *jobs.Result) { r.Sessions[0].ID = id(400) }) }},
		"wrong one left out":    {"I1", func(h *History) { h.Dead[len(h.Dead)-1].Data = []byte(`{"sessions":[null]}`) }},
	} {
		t.Run(name, func(t *testing.T) {
			h := good()
			odd(h)
			test.breaks(h)
			violations := h.Check(DefaultLimits())
			if got := rulesOf(violations); !strings.Contains(got, test.rules) || (got == "") != (test.rules == "") {
				t.Errorf("want %q, got %v", test.rules, violations)
			}
		})
	}
}

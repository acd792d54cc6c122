package history

import (
	"strings"
	"testing"

	"logoffworker/jobs"
)

// withPerson is a good history with a job that names a person, whose two sessions were ended and read back.
func withPerson(change func(p *Published, q *Request, r *jobs.Result)) *History {
	m := &maker{h: good(), request: 1000, sequence: map[string]uint64{"logoff": 500}}
	one, two := id(901), id(902)
	p := m.publish("logoff", jobs.Urgent, 90)
	p.Users, p.On = []int64{9}, []string{one, two}
	request := m.send(90.1, true, one, two)
	r := jobs.Result{
		Sessions: []jobs.SessionResult{
			{ID: one, UserID: 9, Outcome: jobs.LoggedOff, RequestID: request, Found: true},
			{ID: two, UserID: 9, Outcome: jobs.LoggedOff, RequestID: request, Found: true},
		},
		Users: []jobs.UserResult{{ID: 9, UserIDs: []int64{9}, Outcome: jobs.UserOff}},
	}
	if change != nil {
		change(p, &m.h.Requests[len(m.h.Requests)-1], &r)
	}
	published := *p
	m.result(&published, 90.3, r)
	m.count()
	return m.h
}

func TestClaimsAboutPeopleAreChecked(t *testing.T) {
	for name, test := range map[string]struct {
		rule   string // that is broken; empty for none
		change func(p *Published, q *Request, r *jobs.Result)
	}{
		"all is as it is told":                            {"", nil},
		"logged off, and the Web Server had not ended it": {"I3", func(_ *Published, q *Request, _ *jobs.Result) { q.Applied = q.Applied[:1] }},
		"found to be off, and was on": {"I3", func(_ *Published, q *Request, r *jobs.Result) {
			q.Applied = q.Applied[:1]
			r.Sessions[1].Outcome = jobs.AlreadyLoggedOff
		}},
		"ended without a word, and found to be off": {"", func(_ *Published, _ *Request, r *jobs.Result) {
			r.Sessions[1].Outcome, r.Sessions[1].RequestID = jobs.AlreadyLoggedOff, ""
		}},
		"logged off without a success": {"I3", func(_ *Published, q *Request, _ *jobs.Result) { q.Success = false }},
		"a person off with a session on": {"I3", func(p *Published, q *Request, r *jobs.Result) {
			q.Sessions, q.Applied = q.Sessions[:1], q.Applied[:1]
			r.Sessions = r.Sessions[:1]
		}},
		"nothing on, and two sessions are": {"I3", func(_ *Published, q *Request, r *jobs.Result) {
			q.Sessions, q.Applied = nil, nil
			r.Sessions, r.Users[0].Outcome = nil, jobs.UserNothingOn
		}},
		"not found, and was signed on": {"I3", func(_ *Published, _ *Request, r *jobs.Result) { r.Sessions[0].Outcome = jobs.NotFound }},
		"a session of somebody else":   {"I4", func(p *Published, _ *Request, _ *jobs.Result) { p.On = p.On[:1] }},
		"found twice":                  {"I4", func(_ *Published, _ *Request, r *jobs.Result) { r.Sessions[1].ID = strings.ToLower(r.Sessions[0].ID) }},
		"a person forgotten":           {"I4", func(_ *Published, _ *Request, r *jobs.Result) { r.Users = nil }},
	} {
		t.Run(name, func(t *testing.T) {
			violations := withPerson(test.change).Check(DefaultLimits())
			found := test.rule == "" && len(violations) == 0
			for _, v := range violations {
				found = found || v.Rule == test.rule
			}
			if !found {
				t.Errorf("want %q, got %v", test.rule, violations)
			}
		})
	}
}

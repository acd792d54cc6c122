package history

import (
	"slices"

	"logoffworker/jobs"
)

// claimed checks I3 and I6: no outcome says more than an answer of the Web Server, and no session that
// could have been ended is given up.
func (c *check) claimed() {
	covered := c.covered()
	for _, r := range c.results {
		for _, s := range r.Sessions {
			switch {
			case s.Outcome.Success():
				c.accepted(r, s, covered)
			case s.Outcome == jobs.Rejected:
				c.rejected(r, s)
			}
			c.givenUp(r, s)
		}
	}
}

// covered are the requests with a success that held a session, by session.
func (c *check) covered() map[string][]*Request {
	all := map[string][]*Request{}
	for i := range c.h.Requests {
		if q := &c.h.Requests[i]; q.Success && q.Answered {
			for _, id := range q.Sessions {
				all[fold(id)] = append(all[fold(id)], q)
			}
		}
	}
	return all
}

func (c *check) accepted(r *result, s jobs.SessionResult, covered map[string][]*Request) {
	if c.poison[fold(s.ID)] {
		c.violated("I3", r.JobID, "session %s is %s, and the Web Server never accepts it", s.ID, s.Outcome)
		return
	}
	if !slices.ContainsFunc(covered[fold(s.ID)], func(q *Request) bool {
		return q.RequestID == s.RequestID || s.RequestID == "" && r.Trimmed && q.Time.Before(r.CompletedAt)
	}) {
		c.violated("I3", r.JobID, "session %s is %s by request %q, which got no success for it", s.ID, s.Outcome, s.RequestID)
	}
}

// rejected checks that a rejection has an answer of its own.
func (c *check) rejected(r *result, s jobs.SessionResult) {
	if !c.poison[fold(s.ID)] {
		c.violated("I3", r.JobID, "session %s is rejected, and the Web Server accepts it", s.ID)
	}
	if r.Trimmed && s.RequestID == "" {
		return
	}
	q := c.requests[s.RequestID]
	if q == nil || q.Success || len(q.Sessions) != 1 || fold(q.Sessions[0]) != fold(s.ID) {
		c.violated("I3", r.JobID, "session %s is rejected by request %q, which did not refuse it alone", s.ID, s.RequestID)
	}
}

// givenUp checks that only what had a reason is not done: the session itself, or the time.
func (c *check) givenUp(r *result, s jobs.SessionResult) {
	if s.Outcome.Success() || c.poison[fold(s.ID)] || r.job == nil {
		return
	}
	overdue := !r.job.NotAfter.IsZero() && !r.CompletedAt.Before(r.job.NotAfter)
	if !overdue || s.Outcome != jobs.Expired && s.Outcome != jobs.Undecided {
		c.violated("I6", r.JobID, "session %s is %s (%s) without a reason in itself", s.ID, s.Outcome, s.ServerText)
	}
}

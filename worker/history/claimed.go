package history

import (
	"maps"
	"slices"

	"logoffworker/jobs"
)

// claimed checks I3 and I6: no outcome says more than an answer of the Web Server, no status more than
// the outcomes, and no session that could have been ended is given up.
func (c *check) claimed() {
	for _, r := range c.results {
		c.concluded(r)
		for _, s := range r.Sessions {
			switch s.Outcome {
			case jobs.Accepted:
				c.accepted(r, s)
			case jobs.LoggedOff:
				c.accepted(r, s)
				c.ended(r, s)
			case jobs.AlreadyLoggedOff:
				c.ended(r, s)
			case jobs.NotFound:
				c.violated("I3", r.name(), "session %q is not_found, and was signed on", s.ID)
			case jobs.Rejected:
				c.rejected(r, s)
			}
			c.givenUp(r, s)
		}
		for _, u := range r.Users {
			c.off(r, u)
		}
	}
}

// ended checks that a session that was read back as ended was.
func (c *check) ended(r *result, s jobs.SessionResult) {
	if !c.over(s.ID, r) {
		c.violated("I3", r.name(), "session %q is %s, and the Web Server had not ended it", s.ID, s.Outcome)
	}
}

// over reports whether the Web Server had ended a session when a result was complete.
func (c *check) over(id string, r *result) bool {
	session := c.session(id)
	return slices.ContainsFunc(session.requests, func(q *Request) bool {
		return q.Time.Before(r.CompletedAt) && slices.ContainsFunc(q.Applied, func(applied string) bool { return c.session(applied) == session })
	})
}

// off checks that a user of whom nothing is said to be on was off.
func (c *check) off(r *result, u jobs.UserResult) {
	if r.job == nil || !u.Outcome.Success() {
		return
	}
	for _, id := range r.job.On {
		if !c.over(id, r) {
			c.violated("I3", r.name(), "user %d is %s, and session %q was on", u.ID, u.Outcome, id)
		}
	}
}

// concluded checks that a result's status and counts follow from its outcomes.
func (c *check) concluded(r *result) {
	again := r.Result
	again.Conclude()
	switch {
	case again.Status != r.Status:
		c.violated("I3", r.name(), "its status is %s, its outcomes make it %s", r.Status, again.Status)
	case !maps.Equal(again.Counts, r.Counts):
		c.violated("I3", r.name(), "it counts its outcomes as %v, they are %v", r.Counts, again.Counts)
	}
}

func (c *check) accepted(r *result, s jobs.SessionResult) {
	session := c.session(s.ID)
	if session.poison {
		c.violated("I3", r.name(), "session %q is %s, and the Web Server never accepts it", s.ID, s.Outcome)
		return
	}
	if !slices.ContainsFunc(session.requests, func(q *Request) bool {
		return q.Success && q.Answered && behind(q, r, s)
	}) {
		c.violated("I3", r.name(), "session %q is %s by request %q, which got no success for it", s.ID, s.Outcome, s.RequestID)
	}
}

// rejected checks that a rejection has an answer of its own.
func (c *check) rejected(r *result, s jobs.SessionResult) {
	session := c.session(s.ID)
	if !session.poison && !c.repeated(r, s) {
		c.violated("I3", r.name(), "session %q is rejected, and the Web Server accepts it", s.ID)
	}
	if !slices.ContainsFunc(session.requests, func(q *Request) bool {
		return !q.Success && len(q.Sessions) == 1 && behind(q, r, s)
	}) {
		c.violated("I3", r.name(), "session %q is rejected by request %q, which did not refuse it alone", s.ID, s.RequestID)
	}
}

// behind reports whether a request is the one that an outcome refers to. Where the result had to leave
// that out, any that came in time may be.
func behind(q *Request, r *result, s jobs.SessionResult) bool {
	if s.RequestID == "" && r.Trimmed {
		return q.Time.Before(r.CompletedAt)
	}
	return q.RequestID == s.RequestID
}

// repeated reports whether an outcome is what the Web Server says to a session that has ended, by a request
// whose answer was lost, or was about another session. That one may have come a moment after the one that
// the outcome refers to: what overlaps is worked off in any order.
func (c *check) repeated(r *result, s jobs.SessionResult) bool {
	outcome, status := c.h.Run.ofEnded()
	if outcome == "" || s.Outcome != outcome || !c.over(s.ID, r) {
		return false
	}
	return slices.ContainsFunc(c.session(s.ID).requests, func(q *Request) bool {
		return q.Answered && q.Status == status && !q.Success && len(q.Sessions) == 1 && len(q.Applied) == 0 && behind(q, r, s)
	})
}

// ofEnded is the outcome of a session that had ended before, and the status of the answer that it stands
// on; nothing where such a session is accepted.
func (r Run) ofEnded() (outcome jobs.Outcome, status int) {
	switch r.Ended {
	case "500":
		return jobs.Undecided, 500
	case "error":
		return jobs.Rejected, 200
	}
	return "", 0
}

// givenUp checks that only what had a reason is not done: the session itself, or the time.
func (c *check) givenUp(r *result, s jobs.SessionResult) {
	if s.Outcome.Success() || s.Outcome == jobs.InvalidSession || s.Outcome == jobs.HeldSession && r.Status == jobs.Held || r.job == nil || c.session(s.ID).poison || c.repeated(r, s) {
		return
	}
	overdue := !r.job.NotAfter.IsZero() && !r.CompletedAt.Before(r.job.NotAfter)
	if !overdue || s.Outcome != jobs.Expired && s.Outcome != jobs.Undecided && s.Outcome != jobs.StillActive {
		c.violated("I6", r.name(), "session %q is %s (%s) without a reason in itself: an outage cost a job", s.ID, s.Outcome, s.ServerText)
	}
}

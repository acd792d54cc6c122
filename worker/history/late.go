package history

import (
	"cmp"
	"slices"
	"time"

	"logoffworker/jobs"
)

// late checks I8: while nothing was at fault, no urgent job waited for longer than allowed.
func (c *check) late() {
	if c.limits.Urgent == 0 {
		return
	}
	for _, w := range c.urgentWaits() {
		if w.wait > c.limits.Urgent {
			c.violated("I8", w.job.name(), "it waited for %v while nothing was at fault", w.wait.Round(time.Millisecond))
		}
	}
}

type wait struct {
	job  *job
	wait time.Duration
}

// urgentWaits are the times from stored to sent of urgent jobs that came while nothing was at fault, the
// shortest first; where a fault came before the job was sent, the time until the fault.
func (c *check) urgentWaits() (waits []wait) {
	faults := c.troubles(c.limits.Calm, func(Fault) bool { return true })
	for _, r := range c.results {
		if r.job == nil || r.job.Lane != jobs.Urgent || len(r.Sessions) == 0 || r.job.Held {
			continue // what is held waits for a person: it is sent for the job that approves it
		}
		sent, ok := c.session(r.Sessions[0].ID).firstSent(r.RequestedAt)
		if !ok {
			continue
		}
		if c.restsOf(r.Deployment, jobs.Urgent, c.limits.Calm).meet(r.RequestedAt, sent) {
			continue // it was to wait
		}
		if until := faults.next(r.RequestedAt, sent); until.After(r.RequestedAt) {
			waits = append(waits, wait{r.job, until.Sub(r.RequestedAt)})
		}
	}
	slices.SortFunc(waits, func(a, b wait) int { return cmp.Compare(a.wait, b.wait) })
	return waits
}

// firstSent is when a session was first sent after a job had asked for it; what was sent before was
// sent for an earlier job.
func (s *session) firstSent(since time.Time) (sent time.Time, ok bool) {
	i, _ := slices.BinarySearchFunc(s.requests, since, func(q *Request, t time.Time) int { return q.Time.Compare(t) })
	if i == len(s.requests) {
		return time.Time{}, false
	}
	return s.requests[i].Time, true
}

// A span is a stretch of time.
type span struct{ from, to time.Time }

// spans are in order and do not overlap.
type spans []span

// troubles are the times of the faults that are wanted, each longer by what is given. A fault that did
// not heal lasts to the end of the run.
func (c *check) troubles(after time.Duration, wanted func(Fault) bool) spans {
	var each []span
	for _, f := range c.h.Faults {
		if f.To.IsZero() {
			f.To = c.h.Run.End
		}
		if wanted(f) {
			each = append(each, span{f.From, f.To.Add(after)})
		}
	}
	return merged(each)
}

// merged puts stretches of time in order, and makes one of those that overlap.
func merged(each []span) (all spans) {
	slices.SortFunc(each, func(a, b span) int { return a.from.Compare(b.from) })
	for _, s := range each {
		if n := len(all); n > 0 && !s.from.After(all[n-1].to) {
			if s.to.After(all[n-1].to) {
				all[n-1].to = s.to
			}
			continue
		}
		all = append(all, s)
	}
	return all
}

// next is where the first of them begins that has a moment in common with a stretch of time, or the
// stretch's end.
func (all spans) next(from, to time.Time) time.Time {
	for _, s := range all {
		if s.to.After(from) && s.from.Before(to) {
			return s.from
		}
	}
	return to
}

// meet reports whether any of them has a moment in common with a stretch of time.
func (all spans) meet(from, to time.Time) bool {
	i, _ := slices.BinarySearchFunc(all, from, func(s span, t time.Time) int {
		if s.to.After(t) {
			return 1
		}
		return -1
	})
	return i < len(all) && all[i].from.Before(to)
}

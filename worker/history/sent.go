package history

import (
	"fmt"
	"slices"
	"time"

	"logoffworker/jobs"
)

// sent checks I5: nothing was sent that no job had asked for, and nothing was changed on the way.
func (c *check) sent() {
	asked := map[string]time.Time{} // first time that a job spelled a session so
	for _, j := range c.jobs {
		for _, id := range j.Sessions {
			if first, known := asked[id]; !known || j.Sent.Before(first) {
				asked[id] = j.Sent
			}
		}
	}
	for i := range c.h.Requests {
		c.document(&c.h.Requests[i], asked)
	}
}

func (c *check) document(q *Request, asked map[string]time.Time) {
	name := fmt.Sprintf("request %d (%s)", q.Number, q.RequestID)
	if c.limits.Document > 0 && len(q.Sessions) > c.limits.Document {
		c.violated("I5", name, "its document holds %d sessions, at most %d are allowed", len(q.Sessions), c.limits.Document)
	}
	held := map[string]bool{}
	for _, id := range q.Sessions {
		first, known := asked[id]
		switch {
		case !known:
			c.violated("I5", name, "it held %q, which no job has asked for so", id)
		case q.Time.Before(first):
			c.violated("I5", name, "it held %q before a job asked for it", id)
		case held[fold(id)]:
			c.violated("I5", name, "it held %q twice", id)
		}
		held[fold(id)] = true
	}
	for _, id := range q.Applied {
		if !held[fold(id)] {
			c.violated("I5", name, "it ended %q, which it did not hold", id)
		}
	}
}

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

// urgentWaits are the times from stored to sent of those urgent jobs that met no fault.
func (c *check) urgentWaits() (waits []wait) {
	first := map[string][]time.Time{}
	for i := range c.h.Requests {
		for _, id := range c.h.Requests[i].Sessions {
			first[fold(id)] = append(first[fold(id)], c.h.Requests[i].Time)
		}
	}
	for _, r := range c.results {
		if r.job == nil || r.Lane != jobs.Urgent || len(r.Sessions) == 0 {
			continue
		}
		for _, t := range first[fold(r.Sessions[0].ID)] {
			if t.Before(r.RequestedAt) {
				continue // for an earlier job
			}
			if c.calm(r.RequestedAt, t) {
				waits = append(waits, wait{r.job, t.Sub(r.RequestedAt)})
			}
			break
		}
	}
	slices.SortFunc(waits, func(a, b wait) int { return int(a.wait - b.wait) })
	return waits
}

// calm reports whether nothing was at fault in a time, nor shortly before and after.
func (c *check) calm(from, to time.Time) bool {
	return !slices.ContainsFunc(c.h.Faults, func(f Fault) bool {
		return f.From.Before(to.Add(c.limits.Calm)) && f.To.After(from.Add(-c.limits.Calm))
	})
}

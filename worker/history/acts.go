package history

import (
	"slices"
	"time"

	"logoffworker/jobs"
)

// An act is one that an operator wrote down.
type act struct {
	*Stored
	jobs.Act
}

// A pause is a time in which a lane was to rest.
type pause struct {
	deployment string
	lane       jobs.Lane
	span
}

// joinActs reads what operators wrote down. What is meant of a lane is what was written last.
func (c *check) joinActs() {
	for i := range c.h.Acts {
		s := &c.h.Acts[i]
		decoded, err := jobs.DecodeAct(s.Data)
		if err != nil {
			c.violated("I12", s.Subject, "what an operator wrote down cannot be read: %v", err)
			continue
		}
		c.acts = append(c.acts, act{s, decoded})
	}
	slices.SortStableFunc(c.acts, func(a, b act) int { return a.Time.Compare(b.Time) })
	resting := map[place]*pause{}
	for _, a := range c.acts {
		at := place{deployment: a.Deployment, id: string(a.Lane)}
		if p := resting[at]; p != nil && a.Time.Before(p.to) {
			p.to = a.Time
		}
		if a.Verb == jobs.ActPause {
			resting[at] = &pause{a.Deployment, a.Lane, span{a.Time, a.Until}}
			c.pauses = append(c.pauses, resting[at])
		}
	}
}

// restsOf are the times in which a lane was to rest, each longer by what is given.
func (c *check) restsOf(deployment string, lane jobs.Lane, after time.Duration) spans {
	var each []span
	for _, p := range c.pauses {
		if p.deployment == deployment && p.lane == lane {
			each = append(each, span{p.from, p.to.Add(after)})
		}
	}
	return merged(each)
}

// rested checks I11: nothing was sent for a lane that was to rest. After a fault of the Web Server, or of the way to it,
// a request may have been on its way for longer.
func (c *check) rested() {
	if len(c.pauses) == 0 {
		return
	}
	shaken := c.troubles(c.limits.Calm, func(f Fault) bool { return !f.WebServer })
	slow := c.troubles(0, func(f Fault) bool { return f.WebServer })
	askers := c.askers()
	for _, p := range c.pauses {
		for _, q := range c.requests {
			begin := p.from.Add(c.limits.Pause)
			if slow.meet(begin, q.Time) {
				begin = begin.Add(c.limits.Calm)
			}
			if q.Time.Before(begin) || !q.Time.Before(p.to) || shaken.meet(q.Time.Add(-c.limits.Pause), q.Time) {
				continue
			}
			for _, id := range q.Sessions {
				if lanes := askers[c.session(id)]; len(lanes) == 1 && lanes[place{deployment: p.deployment, id: string(p.lane)}] {
					c.violated("I11", q.RequestID, "it held %q at %s, and the %s lane of %s was paused since %s", id, since(q.Time), p.lane, p.deployment, since(p.from))
				}
			}
		}
	}
}

// askers are the lanes whose jobs name a session, for each.
func (c *check) askers() map[*session]map[place]bool {
	all := map[*session]map[place]bool{}
	for _, j := range c.jobs {
		if j.Malformed || j.Held {
			continue
		}
		for _, id := range slices.Concat(j.Sessions, j.On) {
			s := c.session(id)
			if all[s] == nil {
				all[s] = map[place]bool{}
			}
			all[s][place{deployment: j.Deployment, id: string(j.Lane)}] = true
		}
	}
	return all
}

// recorded checks I12 of approved jobs: that they were approved was written down, by whoever did, before it was done.
func (c *check) recorded() {
	for _, r := range c.results {
		if r.Approves == "" || r.Status == jobs.Invalid {
			continue
		}
		_, key, _ := jobs.Subjects{Prefix: r.Deployment}.ResultOf(r.Approves)
		if !c.actOn(r.Deployment, key, func(a act) bool {
			return a.Verb == jobs.ActApprove && a.Who == r.ApprovedBy && !a.Time.After(r.RequestedAt)
		}) {
			c.violated("I12", r.name(), "it was worked as approved by %s, and no act says that %s had approved %s", r.ApprovedBy, r.ApprovedBy, key)
		}
	}
}

// dealtWith reports whether an operator has written down what was done with a result's dead letter.
func (c *check) dealtWith(r *result) bool {
	return c.actOn(r.Deployment, r.key, func(act) bool { return true })
}

// actOn reports whether an act on a job, by its key, is as wanted.
func (c *check) actOn(deployment, key string, wanted func(act) bool) bool {
	return slices.ContainsFunc(c.acts, func(a act) bool {
		return a.Deployment == deployment && slices.Contains(a.Jobs, key) && wanted(a)
	})
}

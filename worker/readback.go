package worker

import (
	"fmt"
	"slices"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/gate"
	"logoffworker/worker/roster"
)

// The Web Server's success says nothing about single sessions, so what can be read back is: the sessions of
// whose owner a job tells, and everything of the users that it names. One list for each owner serves all
// jobs that are complete at once.

// A reader reads back what became of a lane's jobs, and looks up the users whom they name (users.go).
type reader struct {
	w      *Worker
	lane   jobs.Lane
	queue  *queue
	sender *sender
}

// readAgainAfter are the waits before a list is read again because something is still on: the effect of a logoff
// may show late.
var readAgainAfter = []time.Duration{time.Second, 3 * time.Second}

// readBackTime bounds how long read-back waits for the Web Server, or for the budget of reads: that of accepted
// sessions, and that of a job whose notAfter has passed. What is known is then told as it is.
const readBackTime = 30 * time.Second

// wrapUp takes jobs whose sessions all have an outcome: those of which more can be known are read back, the
// others are settled.
func (r *reader) wrapUp(ds []*delivery) {
	doubtful, settled := separate(ds, func(d *delivery) bool { return !d.returned && len(r.doubtful(d)) > 0 })
	r.w.settler.settle(settled)
	patient, others := separate(doubtful, func(d *delivery) bool { return len(d.users) > 0 }) // the first wait for as long as it takes
	for _, ds := range [][]*delivery{patient, others} {
		if len(ds) > 0 {
			r.w.readBacks.Go(func() { r.readBack(ds) })
		}
	}
}

// doubtful are the owners whose lists can say more about a job.
func (r *reader) doubtful(d *delivery) (owners []int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.w.Config.ReadBack {
		for i, s := range d.sessions {
			if d.targets[i].UserID != 0 && canBeReadBack(s.Outcome) {
				owners = append(owners, d.targets[i].UserID)
			}
		}
	}
	for _, p := range d.users {
		if p.outcome == "" {
			owners = append(owners, p.ids...)
		}
	}
	return owners
}

func canBeReadBack(o jobs.Outcome) bool {
	return o == jobs.Accepted || o == jobs.Undecided || o == jobs.Rejected
}

// sent reports whether a session of a job may have been ended by us.
func (d *delivery) sent() bool { return d.has(canBeReadBack) }

// inDoubt reports whether a session of a job has no verdict.
func (d *delivery) inDoubt() bool {
	return d.has(func(o jobs.Outcome) bool { return o == jobs.Undecided })
}

// has reports whether a session of a job has such an outcome.
func (d *delivery) has(is func(jobs.Outcome) bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.sessions, func(s jobs.SessionResult) bool { return is(s.Outcome) })
}

// readBack reads back until nothing that may change is on, or it was read as often as is worth it. Jobs of which more has
// to be ended are sent again, and come back.
func (r *reader) readBack(ds []*delivery) {
	soon := time.Now().Add(readBackTime)
	for try := 0; ; try++ {
		last, going := try == len(readAgainAfter), r.w.goingOn(r.lane)
		listings := r.list(ds, soon)
		if going.Err() != nil {
			r.settleAsIs(ds)
			return
		}
		var known, more, waiting []*delivery
		for _, d := range ds {
			switch added, on := r.apply(d, listings, last); {
			case added:
				more = append(more, d)
			case on:
				waiting = append(waiting, d)
			default:
				known = append(known, d)
			}
		}
		r.w.settler.settle(known)
		if len(more) > 0 {
			r.w.readBacks.Go(r.sender.sendWaiting)
		}
		if len(waiting) == 0 {
			return
		}
		if !gate.Pause(going, readAgainAfter[try]) {
			r.settleAsIs(waiting)
			return
		}
		ds = waiting
	}
}

// settleAsIs settles jobs as they are when the worker stops or the lane is paused; those with users, and those of which something
// is in doubt, are done anew, by somebody else or later.
func (r *reader) settleAsIs(ds []*delivery) {
	for _, d := range ds {
		d.returned = len(d.users) > 0 || d.inDoubt()
	}
	r.w.settler.settle(ds)
}

// list reads the lists of all owners about whom jobs are in doubt. Those of jobs with users are waited for as long
// as it takes; the others, and those of jobs that are overdue, no longer than until soon.
func (r *reader) list(ds []*delivery, soon time.Time) roster.Lists {
	wanted, began := roster.Wanted{}, time.Now()
	owners := make([][]int64, len(ds))
	for i, d := range ds {
		owners[i] = r.doubtful(d)
		for _, owner := range owners[i] {
			wanted.Want(owner, d.listUntil(soon))
		}
	}
	all := r.w.roster.Lists(rankOf(r.lane), wanted)
	for i, d := range ds {
		d.noteListed(owners[i], all, began)
	}
	return all
}

// listUntil is how long a job's lists are worth waiting for: those of its users until notAfter, because no
// outage makes a user undecided, and until soon, because what was sent is not given up unseen.
func (d *delivery) listUntil(soon time.Time) time.Time {
	due := d.job.NotAfter
	if len(d.users) > 0 && (due.IsZero() || due.After(soon) || !d.sent()) {
		return due
	}
	return soon
}

// apply takes what lists say over into a job. added reports that more is to be ended, on that something of
// the job is on which may go off yet; after the last look nothing is.
func (r *reader) apply(d *delivery, all roster.Lists, last bool) (added, on bool) {
	from := len(d.targets)
	var still []*user
	for _, u := range d.users {
		if !u.open(all) {
			continue
		}
		if r.look(d, u, all) {
			still = append(still, u)
		}
		d.looked()
	}
	added = len(d.targets) > from
	last = last && !added // what is added is looked at again, and the rest with it
	on = r.takeOver(d, all, last) || len(still) > 0
	if last {
		for _, u := range still {
			u.end(jobs.UserStillActive, fmt.Sprintf("something is on that began before the event, after %d rounds of ending", d.rounds))
		}
	}
	if !added {
		return false, on && !last
	}
	d.rounds++
	r.w.leases.weigh(d)
	r.queue.add(d, from, r.w.cap.sessions())
	return true, false
}

// looked notes that something was learned of a job just now.
func (d *delivery) looked() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.completed = time.Now()
}

// takeOver takes over what lists say about the sessions of a job that were not read back yet. waits reports that
// one is on which may go off yet.
func (r *reader) takeOver(d *delivery, all roster.Lists, last bool) (waits bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.sessions {
		s := &d.sessions[i]
		list, owner, read := all.Find(d.targets[i])
		sent := canBeReadBack(s.Outcome)
		if !read || !sent && s.Outcome != jobs.Expired {
			continue
		}
		s.UserID = owner
		switch accepted := s.Outcome == jobs.Accepted; list.Standing(d.targets[i].ID) {
		case roster.Off:
			if s.Outcome = jobs.AlreadyLoggedOff; accepted {
				s.Outcome = jobs.LoggedOff
			}
		case roster.Gone:
			s.Outcome = jobs.NotFound
		case roster.On:
			if !sent || s.Outcome == jobs.Rejected || s.Attempts == 0 { // it was refused, or never sent
				continue
			}
			if !last {
				waits = true // it may have been ended all the same, and show late
				continue
			}
			s.Outcome = jobs.StillActive
		default:
			continue
		}
		if s.Outcome.Success() {
			s.ServerText = ""
		}
		d.completed = time.Now()
	}
	return waits
}

package worker

import (
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/webserver"
)

// The Web Server's success says nothing about single sessions, so what can be read back is: the sessions of
// whose owner a job tells, and everything of the people that it names. One list for each owner serves all
// jobs that are complete at once.

// looks are the waits before a list is read again because something is still on: the effect of a logoff
// may show late.
var looks = []time.Duration{time.Second, 3 * time.Second}

// proofTime bounds how long read-back waits for the Web Server, or for the budget of reads: that of accepted
// sessions, and that of a job whose notAfter has passed. What is known is then told as it is.
const proofTime = 30 * time.Second

// wrapUp takes jobs whose sessions all have an outcome: those of which more can be known are read back, the
// others are settled.
func (l *lane) wrapUp(ds []*delivery) {
	var known []*delivery
	var open [2][]*delivery // those with users wait for the Web Server as long as it takes
	for _, d := range ds {
		switch {
		case d.returned || d.stored || len(l.doubtful(d)) == 0:
			known = append(known, d)
		case len(d.people) > 0:
			open[1] = append(open[1], d)
		default:
			open[0] = append(open[0], d)
		}
	}
	l.settle(known)
	for _, ds := range open {
		if len(ds) > 0 {
			l.proofs.Go(func() { l.prove(ds) })
		}
	}
}

// doubtful are the owners whose lists can say more about a job.
func (l *lane) doubtful(d *delivery) (owners []int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l.Config.ReadBack {
		for i, s := range d.sessions {
			if d.targets[i].UserID != 0 && canBeProved(s.Outcome) {
				owners = append(owners, d.targets[i].UserID)
			}
		}
	}
	for _, p := range d.people {
		if p.outcome == "" {
			owners = append(owners, p.ids...)
		}
	}
	return owners
}

func canBeProved(o jobs.Outcome) bool {
	return o == jobs.Accepted || o == jobs.Undecided || o == jobs.Rejected
}

// sent reports whether a session of a job may have been ended by us.
func (d *delivery) sent() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.sessions, func(s jobs.SessionResult) bool { return canBeProved(s.Outcome) })
}

// prove reads back until nothing that may change is on, or the looks are used up. Jobs of which more has to
// be ended are sent again, and come back.
func (l *lane) prove(ds []*delivery) {
	soon := time.Now().Add(proofTime)
	for try := 0; ; try++ {
		last := try == len(looks)
		listings := l.list(ds, soon)
		if l.stopping.Err() != nil {
			l.unproved(ds)
			return
		}
		var known, more, waiting []*delivery
		for _, d := range ds {
			switch added, on := l.apply(d, listings, last); {
			case added:
				more = append(more, d)
			case on:
				waiting = append(waiting, d)
			default:
				known = append(known, d)
			}
		}
		l.settle(known)
		if len(more) > 0 {
			l.proofs.Go(l.sendWaiting)
		}
		if len(waiting) == 0 {
			return
		}
		if !pause(l.stopping, looks[try]) {
			l.unproved(waiting)
			return
		}
		ds = waiting
	}
}

// unproved settles jobs as they are when the worker stops; those with users, and those of which something
// is in doubt, are done anew by somebody else.
func (l *lane) unproved(ds []*delivery) {
	for _, d := range ds {
		d.returned = len(d.people) > 0 || d.inDoubt()
	}
	l.settle(ds)
}

// inDoubt reports whether a session of a job has no verdict.
func (d *delivery) inDoubt() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.sessions, func(s jobs.SessionResult) bool { return s.Outcome == jobs.Undecided })
}

// A listed is an owner's list, or why there is none. With a problem, it may be an old one.
type listed struct {
	webserver.Listing
	problem string
	answer  *webserver.Error // that made it one, if any
	late    bool             // there was no time
	doubt   string           // why it is not believed that nothing is listed
}

// lists are those of several owners.
type lists struct {
	of    map[int64]listed
	owner map[string]int64 // of the sessions in them, by ID in capitals
}

func newLists(of map[int64]listed) lists {
	all := lists{of, map[string]int64{}}
	for owner, list := range of {
		for _, row := range list.Sessions {
			all.owner[strings.ToUpper(row.ID)] = owner
		}
	}
	return all
}

// list is that of a session's owner, who may be known from the lists alone.
func (all lists) list(s jobs.Session) (list listed, owner int64, read bool) {
	owner = s.UserID
	if owner == 0 {
		owner = all.owner[strings.ToUpper(s.ID)]
	}
	list, read = all.of[owner]
	return list, owner, read
}

// A standing is what a list says of one session.
type standing int

const (
	unknown standing = iota // it says nothing
	on
	off
	gone // it is not in the list, and would be
)

func (l listed) standing(id string) standing {
	switch row, found := l.Find(id); {
	case found && !row.LogoutTime.IsZero():
		return off // in an old list too
	case l.problem != "":
		return unknown
	case found:
		return on
	case l.Covers(time.Time{}):
		return gone
	}
	return unknown
}

// list reads the lists of all owners of whom jobs are in doubt, those of jobs without users, and of jobs that are
// overdue, until soon at most.
func (l *lane) list(ds []*delivery, soon time.Time) lists {
	deadlines := map[int64]time.Time{}
	for _, d := range ds {
		for _, owner := range l.doubtful(d) {
			until, known := deadlines[owner]
			if wanted := d.lookUntil(soon); !known || later(wanted, until) {
				deadlines[owner] = wanted
			}
		}
	}
	owners := slices.Sorted(maps.Keys(deadlines))
	read := l.listsOf(l.rank(), owners, deadlines)
	empty := slices.DeleteFunc(owners, func(owner int64) bool {
		list := read[owner]
		return list.problem != "" || list.Complete || len(list.Sessions) > 0
	})
	if len(empty) > 0 {
		maps.Copy(read, l.emptyLists(l.rank(), empty, deadlines))
	}
	return newLists(read)
}

// later reports whether one deadline is later than another; zero is none.
func later(a, b time.Time) bool { return !b.IsZero() && (a.IsZero() || a.After(b)) }

func (w *Worker) listsOf(who rank, owners []int64, deadlines map[int64]time.Time) map[int64]listed {
	lists := make(map[int64]listed, len(owners))
	var mu sync.Mutex
	each(people, owners, func(owner int64) {
		read := w.listOf(who, owner, deadlines[owner])
		mu.Lock()
		defer mu.Unlock()
		lists[owner] = read
	})
	return lists
}

// lookUntil is how long a job's lists are worth waiting for: those of its users until notAfter, because no
// outage makes a user undecided, and until soon, because what was sent is not given up unseen.
func (d *delivery) lookUntil(soon time.Time) time.Time {
	due := d.job.NotAfter
	if len(d.people) > 0 && (due.IsZero() || due.After(soon) || !d.sent()) {
		return due
	}
	return soon
}

func (w *Worker) listOf(who rank, owner int64, deadline time.Time) (read listed) {
	answer, err := w.ask(who, deadline, func() error {
		listing, err := w.Server.Sessions(w.finish, owner)
		if err == nil || len(listing.Sessions) > 0 {
			read.Listing = listing
		}
		return err
	})
	switch {
	case err != nil:
		read.late, read.problem = true, "there was no time to list the sessions"
	case answer != nil:
		read.answer, read.problem = answer, "the sessions were not listed: "+answer.Error()
	case len(read.Sessions) > 0:
		w.roll.listed(owner)
	}
	return read
}

// apply takes what lists say over into a job. added reports that more is to be ended, on that something of
// the job is on which may go off yet; after the last look nothing is.
func (l *lane) apply(d *delivery, all lists, last bool) (added, on bool) {
	from := len(d.targets)
	var still []*person
	for _, p := range d.people {
		if p.outcome != "" {
			continue
		}
		if l.look(d, p, all) {
			still = append(still, p)
		}
		d.looked()
	}
	added = len(d.targets) > from
	last = last && !added // what is added is looked at again, and the rest with it
	on = l.readBack(d, all, last) || len(still) > 0
	if last {
		for _, p := range still {
			p.stillOn(d.rounds)
		}
	}
	if !added {
		return false, on && !last
	}
	d.rounds++
	l.leases.weigh(d)
	l.queue.add(d, from, l.cap.sessions())
	return true, false
}

// looked notes that something was learned of a job just now.
func (d *delivery) looked() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.completed = time.Now()
}

// readBack takes over what lists say about the sessions of a job that are not proved yet. waits reports that
// one is on which may go off yet.
func (l *lane) readBack(d *delivery, all lists, last bool) (waits bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.sessions {
		s := &d.sessions[i]
		list, owner, read := all.list(d.targets[i])
		sent := canBeProved(s.Outcome)
		if !read || !sent && s.Outcome != jobs.Expired {
			continue
		}
		s.UserID = owner
		switch accepted := s.Outcome == jobs.Accepted; list.standing(d.targets[i].ID) {
		case off:
			if s.Outcome = jobs.AlreadyLoggedOff; accepted {
				s.Outcome = jobs.LoggedOff
			}
		case gone:
			s.Outcome = jobs.NotFound
		case on:
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

// sendWaiting sends what waits in the lane's queue, and returns when it is sent.
func (l *lane) sendWaiting() {
	var sent sync.WaitGroup
	defer sent.Wait()
	for {
		if all, _ := l.queue.length(); all == 0 {
			return
		}
		free := l.slot(l.stopping, l.name)
		if free == nil {
			l.handBack(l.queue.cut(math.MaxInt, math.MaxInt))
			return
		}
		doc := l.queue.cut(l.cap.sessions(), l.Config.BatchMaxBytes)
		if len(doc) == 0 {
			free()
			return
		}
		sent.Go(func() { l.send(doc, free) })
	}
}

// sift reads back the sessions of a document about which the Web Server gave no verdict, as far as their
// owners are known: those that are off need not be sent again, and are not the cause that is looked for.
func (l *lane) sift(doc document, request string) document {
	owners := l.queue.owners(doc)
	if len(owners) == 0 || !l.Config.ReadBack {
		return doc
	}
	deadlines := map[int64]time.Time{}
	for _, owner := range owners {
		deadlines[owner] = time.Now().Add(proofTime)
	}
	lists := l.listsOf(l.rank(), slices.Collect(maps.Keys(deadlines)), deadlines)
	found := map[standing]document{}
	for _, s := range doc {
		says := lists[owners[s]].standing(s.id) // nothing where nobody has told the owner
		if says != off {
			says = unknown // it is sent again: who its owner is, is the publisher's word alone
		}
		found[says] = append(found[says], s)
	}
	l.conclude(found[off], jobs.SessionResult{Outcome: jobs.AlreadyLoggedOff, RequestID: request})
	return found[unknown]
}

package worker

import (
	"maps"
	"math"
	"slices"
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

// proofTime bounds how long read-back of accepted sessions waits for the Web Server, or for the budget of
// reads: what is known is then told as it is.
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

// prove reads back until nothing that may change is on, or the looks are used up. Jobs of which more has to
// be ended are sent again, and come back.
func (l *lane) prove(ds []*delivery) {
	for try := 0; ; try++ {
		last := try == len(looks)
		listings := l.list(ds)
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

// A listed is an owner's list, or why there is none.
type listed struct {
	webserver.Listing
	problem string
	late    bool // there was no time
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
	if l.problem != "" {
		return unknown
	}
	switch row, found := l.Find(id); {
	case found && row.LogoutTime.IsZero():
		return on
	case found:
		return off
	case l.Covers(time.Time{}):
		return gone
	}
	return unknown
}

// list reads the lists of all owners of whom jobs are in doubt.
func (l *lane) list(ds []*delivery) map[int64]listed {
	deadlines := map[int64]time.Time{}
	soon := time.Now().Add(proofTime)
	for _, d := range ds {
		for _, owner := range l.doubtful(d) {
			until, known := deadlines[owner]
			switch wanted := d.lookUntil(soon); {
			case !known:
				deadlines[owner] = wanted
			case !until.IsZero() && (wanted.IsZero() || wanted.After(until)):
				deadlines[owner] = wanted
			}
		}
	}
	owners := slices.Sorted(maps.Keys(deadlines))
	lists := l.listsOf(owners, deadlines)
	// What is seen of one shows that an empty list of another is not for want of a right.
	empty := slices.DeleteFunc(owners, func(owner int64) bool {
		list := lists[owner]
		return list.problem != "" || list.Complete || len(list.Sessions) > 0
	})
	if len(empty) > 0 {
		maps.Copy(lists, l.emptyLists(empty, deadlines))
	}
	return lists
}

// emptyLists reads empty lists again, between two looks at somebody else of whom something is listed: that is
// when an empty list is not for want of a right.
func (l *lane) emptyLists(owners []int64, deadlines map[int64]time.Time) map[int64]listed {
	until := time.Now().Add(proofTime)
	if !l.sees(until) {
		return nil
	}
	lists := l.listsOf(owners, deadlines)
	if !l.sees(until) {
		return nil
	}
	for owner, list := range lists {
		if list.problem == "" && len(list.Sessions) == 0 {
			list.Complete = true
			lists[owner] = list
		}
	}
	return lists
}

// witnesses is how many people are looked at in search of one of whom something is listed.
const witnesses = 5

// sees reports whether sessions of somebody else are shown to us now. Where our own userId is unknown, one of
// two people certainly is somebody else.
func (l *lane) sees(until time.Time) bool {
	shown := map[int64]bool{}
	proved := func(who int64) bool {
		if list := l.listOf(who, until); who != l.Server.Self() && len(list.Sessions) > 0 {
			shown[who] = true
		}
		return len(shown) == 2 || len(shown) == 1 && l.Server.Self() != 0
	}
	if slices.ContainsFunc(l.seen.all(), proved) {
		return true
	}
	var latest []webserver.User
	answer, err := l.ask(l.rank(), until, func() (err error) {
		latest, err = l.Server.Latest(l.finish, witnesses)
		return err
	})
	return answer == nil && err == nil && slices.ContainsFunc(latest, func(u webserver.User) bool { return proved(u.ID) })
}

// seen remembers the last two people of whom sessions were listed.
type seen struct {
	mu  sync.Mutex
	ids []int64
}

func (s *seen) add(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.ids, id) {
		s.ids = append(s.ids, id)[max(0, len(s.ids)-1):]
	}
}

func (s *seen) all() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ids)
}

func (l *lane) listsOf(owners []int64, deadlines map[int64]time.Time) map[int64]listed {
	lists := make(map[int64]listed, len(owners))
	var mu sync.Mutex
	each(people, owners, func(owner int64) {
		read := l.listOf(owner, deadlines[owner])
		mu.Lock()
		defer mu.Unlock()
		lists[owner] = read
	})
	return lists
}

// lookUntil is how long a job's lists are worth waiting for: those of its users until notAfter, because no
// outage makes a user undecided.
func (d *delivery) lookUntil(soon time.Time) time.Time {
	if len(d.people) > 0 {
		return d.job.NotAfter
	}
	return soon
}

func (l *lane) listOf(owner int64, deadline time.Time) (read listed) {
	answer, err := l.ask(l.rank(), deadline, func() (err error) {
		read.Listing, err = l.Server.Sessions(l.finish, owner)
		return err
	})
	switch {
	case err != nil:
		read.late, read.problem = true, "there was no time to list the sessions"
	case answer != nil:
		read.problem = "the sessions were not listed: " + answer.Error()
	case len(read.Sessions) > 0 && owner != l.Server.Self():
		l.seen.add(owner)
	}
	return read
}

// apply takes what lists say over into a job. added reports that more is to be ended, on that something of
// the job is on which may go off yet; after the last look nothing is.
func (l *lane) apply(d *delivery, lists map[int64]listed, last bool) (added, on bool) {
	from := len(d.targets)
	var still []*person
	for _, p := range d.people {
		if p.outcome != "" {
			continue
		}
		if l.look(d, p, lists) {
			still = append(still, p)
		}
		d.looked()
	}
	added = len(d.targets) > from
	last = last && !added // what is added is looked at again, and the rest with it
	on = l.readBack(d, lists, last) || len(still) > 0
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
func (l *lane) readBack(d *delivery, lists map[int64]listed, last bool) (waits bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.sessions {
		s := &d.sessions[i]
		list, read := lists[d.targets[i].UserID]
		if !read || !canBeProved(s.Outcome) {
			continue
		}
		switch accepted := s.Outcome == jobs.Accepted; list.standing(s.ID) {
		case off:
			if s.Outcome = jobs.AlreadyLoggedOff; accepted {
				s.Outcome = jobs.LoggedOff
			}
		case gone:
			s.Outcome = jobs.NotFound
		case on:
			if s.Outcome == jobs.Rejected {
				continue
			}
			if !last {
				waits = true // it may have been ended all the same, and show late
				continue
			}
			if !accepted {
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
	lists := l.listsOf(slices.Collect(maps.Keys(deadlines)), deadlines)
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

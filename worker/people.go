package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/webserver"
)

// A person is one of a job's users, who may be several to the Web Server: an e-mail address need not be
// one user's alone.
type person struct {
	named    jobs.User
	ids      []int64 // of those who are not protected; of all where they are
	shielded bool    // one of them is protected
	found    bool    // a session that was on
	spared   bool    // a session that is on, and protected
	newer    int     // sessions that are on and began after the event
	outcome  jobs.UserOutcome
	problem  string
}

func (p *person) result() jobs.UserResult {
	r := p.named.Result(p.outcome)
	r.UserIDs, r.Error = p.ids, p.problem
	if r.Outcome == "" {
		r.Outcome = jobs.UserUndecided
	}
	return r
}

func (p *person) end(outcome jobs.UserOutcome, problem string) {
	p.outcome, p.problem = outcome, problem
}

// people is how many of them are seen to at once; how many are asked about is another matter ([Worker.ask]).
const people = 8

// apart keeps jobs of few users from waiting for the look-ups of those of many.
func apart(ds []*delivery) (groups [][]*delivery) {
	var small []*delivery
	for _, d := range ds {
		if len(d.people) > people {
			groups = append(groups, []*delivery{d})
		} else {
			small = append(small, d)
		}
	}
	if len(small) > 0 {
		groups = append(groups, small)
	}
	return groups
}

// lookUpPeople finds out who the users of jobs are and what is on of them, and sends that off together.
func (l *lane) lookUpPeople(ds []*delivery) {
	if ds = l.awaitWho(ds); len(ds) == 0 {
		return
	}
	type named struct {
		*delivery
		*person
	}
	var all []named
	for _, d := range ds {
		for _, p := range d.people {
			if p.outcome == "" {
				all = append(all, named{d, p})
			}
		}
	}
	l.lookUpTogether(ds)
	each(people, all, func(n named) { l.lookUpPerson(n.delivery, n.person) })
	lists := l.list(ds, time.Now().Add(proofTime))
	if l.stopping.Err() != nil {
		l.handBackJobs(ds)
		l.sendWaiting() // which hands back, too
		return
	}
	var complete []*delivery
	for _, d := range ds {
		l.apply(d, lists, false)
		if d.lookedUp() {
			complete = append(complete, d)
		}
	}
	l.wrapUp(complete)
	l.sendWaiting()
}

// awaitWho waits until it is known who is protected, and returns the jobs that have the time. The others are ended.
func (l *lane) awaitWho(ds []*delivery) []*delivery {
	for len(ds) > 0 {
		var due time.Time
		for _, d := range ds {
			if t := d.job.NotAfter; !t.IsZero() && (due.IsZero() || t.Before(due)) {
				due = t
			}
		}
		if err := l.awaitKnown(whoAlone, due); err == nil || stopped(err) {
			return ds
		}
		var late, inTime []*delivery
		for _, d := range ds {
			if !overdue(d.job.NotAfter) {
				inTime = append(inTime, d)
			} else if d.expirePeople(); d.lookedUp() {
				late = append(late, d)
			}
		}
		l.wrapUp(late)
		ds = inTime
	}
	return nil
}

// expirePeople ends a job's users before they were looked up.
func (d *delivery) expirePeople() {
	for _, p := range d.people {
		if p.outcome == "" {
			p.end(jobs.UserExpired, "notAfter passed before the user was looked up")
		}
	}
	d.looked()
}

// handBackJobs hands back jobs whose users were not looked up.
func (l *lane) handBackJobs(ds []*delivery) {
	var complete []*delivery
	for _, d := range ds {
		if d.giveBack() {
			complete = append(complete, d)
		}
	}
	l.settle(complete)
}

// lookedUp notes that a job's users were, and reports whether nothing else is to be decided.
func (d *delivery) lookedUp() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left--
	return d.left == 0
}

// lookUpPerson finds out who a user is, and whether that is somebody who is left alone. Until it is known who those are,
// it waits.
func (l *lane) lookUpPerson(d *delivery, p *person) {
	users, answer, err := l.whoIs(l.rank(), p.named, d.received, d.job.NotAfter)
	if err == nil && answer == nil && len(users) > 0 {
		err = l.awaitKnown(whoAlone, d.job.NotAfter)
	}
	switch {
	case stopped(err): // the job is handed back
		return
	case err != nil:
		p.end(jobs.UserExpired, "notAfter passed before the user was looked up")
	case answer != nil:
		p.end(jobs.UserUndecided, "not looked up: "+answer.Error())
	case len(users) == 0:
		p.end(jobs.UserUnknown, "the Web Server knows nobody of that name")
	}
	var protected []int64
	for _, u := range users {
		if l.guard.protectsUser(u.ID) {
			protected = append(protected, u.ID)
		} else {
			p.ids = append(p.ids, u.ID)
		}
	}
	p.shielded = len(protected) > 0
	if p.shielded && len(p.ids) == 0 {
		p.ids = protected
		p.end(jobs.UserProtected, "left alone, as the settings say")
	}
}

// whoIs looks a user up, unless that was done since a time; nobody is no error.
func (w *Worker) whoIs(who rank, named jobs.User, since, deadline time.Time) (users []webserver.User, answer *webserver.Error, err error) {
	users, known := w.directory.get(named, since)
	if known {
		return users, nil, nil
	}
	asked := time.Now()
	answer, err = w.ask(who, deadline, func() (err error) {
		users, err = usersNamed(w.finish, w.Server, named)
		return err
	})
	switch {
	case err != nil:
		return nil, nil, err
	case answer != nil && errors.Is(answer, webserver.ErrNoUser):
		users = nil
	case answer != nil:
		return nil, answer, nil
	}
	w.directory.put(named, users, asked)
	return users, nil, nil
}

// many is how many users make it worth reading the list of all at once.
const many = 3

// inList reports whether the list of all users is sure to tell who a user is: an e-mail address is found in
// nothing else, and a domain's name may be; a plain one may be somebody else's full name there.
func inList(named jobs.User) bool { return named.Email != "" || strings.Contains(named.Name, `\`) }

// lookUpTogether looks up users of jobs with one reading of the list of all users, if they are many.
func (l *lane) lookUpTogether(ds []*delivery) {
	var wanted []jobs.User
	var deadline time.Time
	for _, d := range ds {
		for _, p := range d.people {
			if _, known := l.directory.get(p.named, d.received); !known && inList(p.named) {
				wanted = append(wanted, p.named)
				if t := d.job.NotAfter; !t.IsZero() && (deadline.IsZero() || t.Before(deadline)) {
					deadline = t
				}
			}
		}
	}
	if len(wanted) >= many {
		l.lookUpInList(l.rank(), wanted, deadline)
	}
}

// lookUpInList looks up users with one reading of the list of all. Whom that leaves in doubt is to be looked up alone.
func (w *Worker) lookUpInList(who rank, wanted []jobs.User, deadline time.Time) {
	asked := time.Now()
	var all []webserver.User
	answer, err := w.ask(who, deadline, func() (err error) {
		all, err = w.Server.Users(w.finish)
		return err
	})
	if answer != nil || err != nil {
		return
	}
	byName, byAddress := map[string][]webserver.User{}, map[string][]webserver.User{}
	for _, u := range all {
		name := webserver.Fold(u.Name)
		byName[name] = append(byName[name], u)
		for _, address := range slices.Compact([]string{webserver.Fold(u.Email), webserver.Fold(u.UPN)}) {
			byAddress[address] = append(byAddress[address], u)
		}
	}
	for _, named := range wanted {
		if named.Email != "" {
			w.directory.put(named, byAddress[webserver.Fold(named.Email)], asked)
		} else if found := byName[webserver.Fold(named.Name)]; len(found) == 1 {
			w.directory.put(named, found, asked)
		}
	}
}

func usersNamed(ctx context.Context, server *webserver.Client, named jobs.User) ([]webserver.User, error) {
	switch {
	case named.Email != "":
		return server.UsersByEmail(ctx, named.Email)
	case named.Name != "":
		u, err := server.UserByName(ctx, named.Name)
		return []webserver.User{u}, err
	}
	u, err := server.UserByID(ctx, named.ID)
	return []webserver.User{u}, err
}

// mostNames bounds what is remembered.
const mostNames = 10_000

// A directory remembers who users are, for the jobs that were in hand when the Web Server was asked: a name may
// be another's by the next.
type directory struct {
	mu    sync.Mutex
	known map[string]remembered
}

type remembered struct {
	users []webserver.User
	asked time.Time
}

func (n *directory) get(named jobs.User, since time.Time) (users []webserver.User, known bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r, known := n.known[entry(named)]
	return r.users, known && !r.asked.Before(since)
}

func (n *directory) put(named jobs.User, users []webserver.User, asked time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known == nil || len(n.known) >= mostNames {
		n.known = map[string]remembered{}
	}
	n.known[entry(named)] = remembered{users, asked}
}

func entry(named jobs.User) string {
	return strconv.FormatInt(named.ID, 10) + "|" + webserver.Fold(named.Name) + "|" + webserver.Fold(named.Email)
}

// mostRounds is how often the sessions of a person are listed and ended before somebody who signs on again
// and again is left on.
const mostRounds = 5

// look says what lists tell about a person: that nothing is on any more, or what is to be ended, which it
// adds to the job, or why neither can be said. on reports that something is on.
func (l *lane) look(d *delivery, p *person, all lists) (on bool) {
	cut, problem, doubt := false, "", ""
	p.spared, p.newer = p.shielded, 0
	for _, id := range p.ids {
		list := all.of[id]
		if list.late && overdue(d.job.NotAfter) && !d.sent() {
			p.end(jobs.UserExpired, "notAfter passed before anything of the user could be ended")
			return false
		}
		problem, doubt = cmp.Or(list.problem, problem), cmp.Or(list.doubt, doubt)
		cut = cut || !list.Complete
		on = l.lookAt(d, p, list) || on
	}
	p.found = p.found || on
	switch {
	case on:
	case problem != "":
		p.end(jobs.UserUndecided, problem)
	case cut && p.found:
		p.end(jobs.UserUndecided, "nothing that is listed is on any more, but the list may be cut, so that an older session may be on")
	case cut:
		p.end(jobs.UserUndecided, cmp.Or(doubt, "nothing is listed as on, but the list may be cut, so that an older session may be on"))
	case p.spared:
		p.end(jobs.UserProtected, "what is on is the worker's own, or left alone as the settings say")
	case p.found:
		p.end(jobs.UserOff, p.leftOn())
	default:
		p.end(jobs.UserNothingOn, cmp.Or(p.leftOn(), "nothing was on"))
	}
	return on
}

// lookAt says whether one list of a person shows something that is on and not left alone, which it adds to the
// job. In an old list, what was sent already may have ended since.
func (l *lane) lookAt(d *delivery, p *person, list listed) (on bool) {
	for _, row := range list.Sessions {
		switch {
		case !row.LogoutTime.IsZero():
		case l.newer(d, row):
			p.newer++
		case row.Own || l.guard.protects(jobs.Session{ID: row.ID}):
			p.spared = true
		case list.problem != "" && d.names(row):
		default:
			on = true
			if d.rounds < mostRounds && !overdue(d.job.NotAfter) {
				d.target(row)
			}
		}
	}
	return on
}

// leftOn tells of sessions that began after the event.
func (p *person) leftOn() string {
	if p.newer == 0 {
		return ""
	}
	return fmt.Sprintf("left on, because they began after eventTime: %d", p.newer)
}

func overdue(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

// target adds a session to what the job ends, unless it is there already.
func (d *delivery) target(row webserver.Listed) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i, known := d.place(row); known {
		d.targets[i].UserID = row.UserID // the Web Server's word
		return
	}
	d.places[strings.ToUpper(row.ID)] = len(d.targets)
	d.targets = append(d.targets, jobs.Session{ID: row.ID, UserID: row.UserID})
	d.sessions = append(d.sessions, jobs.SessionResult{})
	d.left++
}

// names reports whether a session is in what the job ends.
func (d *delivery) names(row webserver.Listed) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, known := d.place(row)
	return known
}

// place finds a session in what the job ends, with the lock held.
func (d *delivery) place(row webserver.Listed) (i int, known bool) {
	if d.places == nil {
		d.targets = slices.Clone(d.targets) // the job keeps its own
		d.places = make(map[string]int, len(d.targets))
		for i, s := range d.targets {
			d.places[strings.ToUpper(s.ID)] = i
		}
	}
	i, known = d.places[strings.ToUpper(row.ID)]
	return i, known
}

// stillOn is the end of a person of whom something is on at the last look.
func (p *person) stillOn(rounds int) {
	p.end(jobs.UserStillActive, fmt.Sprintf("something is on that began before the event, after %d rounds of ending", rounds))
}

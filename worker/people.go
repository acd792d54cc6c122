package worker

import (
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
	named   jobs.User
	ids     []int64
	found   bool // a session that was on
	outcome jobs.UserOutcome
	problem string
}

func (p *person) result() jobs.UserResult {
	r := jobs.UserResult{ID: p.named.ID, Name: p.named.Name, Email: p.named.Email, UserIDs: p.ids, Outcome: p.outcome, Error: p.problem}
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

// lookUpPeople finds out who the users of jobs are and what is on of them, and sends that off together.
func (l *lane) lookUpPeople(ds []*delivery) {
	type named struct {
		*delivery
		*person
	}
	var all []named
	for _, d := range ds {
		for _, p := range d.people {
			all = append(all, named{d, p})
		}
	}
	each(people, all, func(n named) { l.lookUpPerson(n.delivery, n.person) })
	lists := l.list(ds)
	if l.stopping.Err() != nil {
		l.handBackJobs(ds)
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

// lookUpPerson finds out who a user is, and whether he is left alone.
func (l *lane) lookUpPerson(d *delivery, p *person) {
	users, answer, err := l.whoIs(p.named, d.job.NotAfter)
	if err == nil && answer == nil && len(users) > 0 {
		p.problem, err = l.protectedKnown(d.job.NotAfter)
	}
	switch {
	case stopped(err): // the job is handed back
	case err != nil:
		p.end(jobs.UserExpired, "notAfter passed before the user was looked up")
	case answer != nil:
		p.end(jobs.UserUndecided, "not looked up: "+answer.Error())
	case p.problem != "":
		p.end(jobs.UserUndecided, p.problem)
	case len(users) == 0:
		p.end(jobs.UserUnknown, "the Web Server knows nobody of that name")
	}
	for _, u := range users {
		if l.guard.protectsUser(u.ID) {
			p.end(jobs.UserProtected, "left alone, as the settings say")
		}
		p.ids = append(p.ids, u.ID)
	}
}

// whoIs looks a user up, unless that is remembered; nobody is no error.
func (l *lane) whoIs(named jobs.User, deadline time.Time) (users []webserver.User, answer *webserver.Error, err error) {
	key := strconv.FormatInt(named.ID, 10) + "|" + strings.ToLower(named.Name) + "|" + strings.ToLower(named.Email)
	users, known := l.directory.get(key, time.Now())
	if known {
		return users, nil, nil
	}
	answer, err = l.ask(l.rank(), deadline, func() (err error) {
		users, err = l.usersNamed(named)
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
	l.directory.put(key, users, time.Now())
	return users, nil, nil
}

func (w *Worker) usersNamed(named jobs.User) ([]webserver.User, error) {
	switch {
	case named.Email != "":
		return w.Server.UsersByEmail(w.finish, named.Email)
	case named.Name != "":
		u, err := w.Server.UserByName(w.finish, named.Name)
		return []webserver.User{u}, err
	}
	u, err := w.Server.UserByID(w.finish, named.ID)
	return []webserver.User{u}, err
}

const (
	// knownFor is how long it is remembered who a user is, unknownFor that there is nobody.
	knownFor   = 5 * time.Minute
	unknownFor = 10 * time.Second
	// mostNames bounds what is remembered.
	mostNames = 10_000
)

// A directory remembers who users are.
type directory struct {
	mu    sync.Mutex
	known map[string]remembered
}

type remembered struct {
	users []webserver.User
	until time.Time
}

func (n *directory) get(key string, now time.Time) (users []webserver.User, known bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r, known := n.known[key]
	return r.users, known && now.Before(r.until)
}

func (n *directory) put(key string, users []webserver.User, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known == nil || len(n.known) >= mostNames {
		n.known = map[string]remembered{}
	}
	until := now.Add(knownFor)
	if len(users) == 0 {
		until = now.Add(unknownFor)
	}
	n.known[key] = remembered{users, until}
}

// mostRounds is how often the sessions of a person are listed and ended before somebody who signs on again
// and again is left on.
const mostRounds = 5

// look says what lists tell about a person: that nothing is on any more, or what is to be ended, which it
// adds to the job, or why neither can be said. on reports that something is on.
func (l *lane) look(d *delivery, p *person, lists map[int64]listed) (on bool) {
	cut := false
	for _, id := range p.ids {
		list := lists[id]
		switch {
		case list.late && !p.found && overdue(d.job.NotAfter):
			p.end(jobs.UserExpired, "notAfter passed before the user's sessions were listed")
			return false
		case list.problem != "":
			p.end(jobs.UserUndecided, list.problem)
			return false
		}
		cut = cut || !list.Complete
		for _, row := range list.Sessions {
			if row.LogoutTime.IsZero() && !l.spared(d, row) {
				on = true
				if d.rounds < mostRounds {
					d.target(row)
				}
			}
		}
	}
	p.found = p.found || on
	switch {
	case on:
	case cut && p.found:
		p.end(jobs.UserUndecided, "nothing that is listed is on any more, but the list may be cut, so that an older session may be on")
	case cut:
		p.end(jobs.UserUndecided, "nothing is listed as on, but the list may be cut, or be empty for want of a right")
	case p.found:
		p.end(jobs.UserOff, "")
	default:
		p.end(jobs.UserNothingOn, "nothing was on")
	}
	return on
}

func overdue(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

// spared reports whether a session of a job's user is left on: it began after the event, or it is our own
// or another protected one.
func (l *lane) spared(d *delivery, row webserver.Listed) bool {
	newer := !d.job.IncludeNewer && !d.job.EventTime.IsZero() && row.LoginTime.After(d.job.EventTime)
	return newer || row.Own || l.guard.protects(jobs.Session{ID: row.ID})
}

// target adds a session to what the job ends, unless it is there already.
func (d *delivery) target(row webserver.Listed) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.places == nil {
		d.places = make(map[string]int, len(d.targets))
		for i, s := range d.targets {
			d.places[strings.ToUpper(s.ID)] = i
		}
	}
	key := strings.ToUpper(row.ID)
	if i, known := d.places[key]; known {
		if d.targets[i].UserID == 0 { // now its owner is known
			d.targets = slices.Clone(d.targets)
			d.targets[i].UserID = row.UserID
		}
		return
	}
	d.places[key] = len(d.targets)
	d.targets = append(d.targets, jobs.Session{ID: row.ID, UserID: row.UserID})
	d.sessions = append(d.sessions, jobs.SessionResult{})
	d.left++
}

// stillOn is the end of a person of whom something is on at the last look.
func (p *person) stillOn(rounds int) {
	p.end(jobs.UserStillActive, fmt.Sprintf("something is on that began before the event, after %d rounds of ending", rounds))
}

package worker

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"logoffworker/jobs"
	"logoffworker/worker/access"
	"logoffworker/worker/roster"
	"logoffworker/worker/webserver"
)

// A user is one of a job's users, who may be several to the Web Server: an e-mail address need not be one
// user's alone. One goroutine at a time writes it: whoever looks the job's users up, and then whoever reads
// the job back.
type user struct {
	named    jobs.User
	ids      []int64 // of those who are not protected; of all where they are
	shielded bool    // one of them is protected
	found    bool    // a session that was on
	spared   bool    // a session that is on, and protected
	newer    int     // sessions that are on and began after the event
	unlisted bool    // it ended undecided because of a list
	outcome  jobs.UserOutcome
	problem  string
}

func (u *user) result() jobs.UserResult {
	r := u.named.Result(u.outcome)
	r.UserIDs, r.Error = u.ids, u.problem
	if r.Outcome == "" {
		r.Outcome = jobs.UserUndecided
	}
	return r
}

func (u *user) end(outcome jobs.UserOutcome, problem string) {
	u.outcome, u.problem = outcome, problem
}

// open reports whether lists decide about a user: nobody has yet, or what was missing is there, because the user's
// sessions were still in doubt.
func (u *user) open(all roster.Lists) bool {
	return u.outcome == "" || u.unlisted && all.Read(u.ids)
}

// usersAtOnce is how many users are seen to at once; how many are asked about is another matter
// ([access.Server.Ask]).
const usersAtOnce = 8

// apart keeps jobs of few users from waiting for the look-ups of those of many.
func apart(ds []*delivery) (groups [][]*delivery) {
	large, small := separate(ds, func(d *delivery) bool { return len(d.users) > usersAtOnce })
	groups = slices.Collect(slices.Chunk(large, 1))
	if len(small) > 0 {
		groups = append(groups, small)
	}
	return groups
}

// lookUp finds out who the users of jobs are and what is on of them, and sends that off together.
func (r *reader) lookUp(ds []*delivery) {
	going := r.w.goingOn(r.lane)
	if ds = r.awaitProtection(ds); len(ds) == 0 {
		return
	}
	began := time.Now()
	r.lookUpTogether(ds)
	r.lookUpEach(ds)
	for _, d := range ds {
		d.noteLookedUp(began)
	}
	lists := r.list(ds, time.Now().Add(readBackTime))
	if going.Err() != nil {
		r.w.settler.giveBack(ds)
		r.sender.sendWaiting() // which hands back, too
		return
	}
	var complete []*delivery
	for _, d := range ds {
		r.apply(d, lists, false)
		if d.lookedUp() {
			complete = append(complete, d)
		}
	}
	r.wrapUp(complete)
	r.sender.sendWaiting()
}

// awaitKnown waits until it is known who is protected, for as long as the lane goes on.
func (r *reader) awaitKnown(due time.Time) error {
	return r.w.unlessPaused(r.lane, func() error { return r.w.roster.AwaitKnown(roster.WhoAlone, due) })
}

// awaitProtection waits until it is known who is protected, and returns the jobs that have the time. The others
// are ended.
func (r *reader) awaitProtection(ds []*delivery) []*delivery {
	for len(ds) > 0 {
		var due time.Time
		for _, d := range ds {
			due = earlier(due, d.job.NotAfter)
		}
		if err := r.awaitKnown(due); err == nil || access.Stopped(err) {
			return ds
		}
		var late, inTime []*delivery
		for _, d := range ds {
			if !overdue(d.job.NotAfter) {
				inTime = append(inTime, d)
			} else if d.expireUsers(); d.lookedUp() {
				late = append(late, d)
			}
		}
		r.wrapUp(late)
		ds = inTime
	}
	return nil
}

// expireUsers ends a job's users before they were looked up.
func (d *delivery) expireUsers() {
	for _, u := range d.users {
		if u.outcome == "" {
			u.end(jobs.UserExpired, "notAfter passed before the user was looked up")
		}
	}
	d.looked()
}

// lookedUp notes that a job's users were, and reports whether nothing else is to be decided.
func (d *delivery) lookedUp() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left--
	return d.left == 0
}

// question asks who a user of a job is. What was found out before the job came is no answer.
func (d *delivery) question(u *user) roster.Question {
	return roster.Question{Named: u.named, Since: d.received, Deadline: d.job.NotAfter}
}

// lookUpTogether looks users of jobs up in the list of all users, if they are many.
func (r *reader) lookUpTogether(ds []*delivery) {
	var questions []roster.Question
	for _, d := range ds {
		for _, u := range d.users {
			questions = append(questions, d.question(u))
		}
	}
	r.w.roster.LookUpTogether(rankOf(r.lane), questions)
}

// lookUpEach looks the users of jobs up, each by itself where that is still needed.
func (r *reader) lookUpEach(ds []*delivery) {
	var looking errgroup.Group
	looking.SetLimit(usersAtOnce)
	for _, d := range ds {
		for _, u := range d.users {
			if u.outcome == "" {
				looking.Go(func() error { r.lookUpUser(d, u); return nil })
			}
		}
	}
	_ = looking.Wait()
}

// lookUpUser finds out who a user is, and whether that is somebody who is left alone. Until it is known who
// those are, it waits.
func (r *reader) lookUpUser(d *delivery, u *user) {
	all, problem, err := r.w.roster.WhoIs(rankOf(r.lane), d.question(u))
	if len(all) > 0 {
		err = r.awaitKnown(d.job.NotAfter)
	}
	switch {
	case access.Stopped(err): // the job is handed back
		return
	case err != nil:
		u.end(jobs.UserExpired, "notAfter passed before the user was looked up")
	case problem != nil:
		u.end(jobs.UserUndecided, "not looked up: "+problem.Error())
	case len(all) == 0:
		u.end(jobs.UserUnknown, "the Web Server knows nobody of that name")
	}
	var protected []int64
	for _, one := range all {
		if r.w.roster.ProtectsUser(one.ID) {
			protected = append(protected, one.ID)
		} else {
			u.ids = append(u.ids, one.ID)
		}
	}
	u.shielded = len(protected) > 0
	if u.shielded && len(u.ids) == 0 {
		u.ids = protected
		u.end(jobs.UserProtected, "left alone, as the settings say")
	}
}

// mostRounds is how often the sessions of a user are listed and ended before somebody who signs on again
// and again is left on.
const mostRounds = 5

// look says what lists tell about a user: that nothing is on any more, or what is to be ended, which it
// adds to the job, or why neither can be said. on reports that something is on.
func (r *reader) look(d *delivery, u *user, all roster.Lists) (on bool) {
	cut, problem, doubt := false, "", ""
	u.spared, u.newer = u.shielded, 0
	for _, id := range u.ids {
		list := all.Of(id)
		if list.Late && overdue(d.job.NotAfter) && !d.sent() {
			u.end(jobs.UserExpired, "notAfter passed before anything of the user could be ended")
			return false
		}
		problem, doubt = cmp.Or(list.Problem, problem), cmp.Or(list.Doubt, doubt)
		cut = cut || !list.Complete
		on = r.lookAt(d, u, list) || on
	}
	u.found = u.found || on
	left := ""
	if u.newer > 0 {
		left = fmt.Sprintf("left on, because they began after eventTime: %d", u.newer)
	}
	u.outcome, u.problem = "", ""
	switch {
	case on:
	case problem != "":
		u.end(jobs.UserUndecided, problem)
	case cut && u.found:
		u.end(jobs.UserUndecided, "nothing that is listed is on any more, but the list may be cut, so that an older session may be on")
	case cut:
		u.end(jobs.UserUndecided, cmp.Or(doubt, "nothing is listed as on, but the list may be cut, so that an older session may be on"))
	case u.spared:
		u.end(jobs.UserProtected, "what is on is the worker's own, or left alone as the settings say")
	case u.found:
		u.end(jobs.UserOff, left)
	default:
		u.end(jobs.UserNothingOn, cmp.Or(left, "nothing was on"))
	}
	u.unlisted = u.outcome == jobs.UserUndecided
	return on
}

// lookAt says whether one list of a user shows something that is on and not left alone, which it adds to the
// job. In an old list, what was sent already may have ended since.
func (r *reader) lookAt(d *delivery, u *user, list roster.List) (on bool) {
	for _, row := range list.Sessions {
		switch {
		case !row.LogoutTime.IsZero():
		case r.newer(d, row):
			u.newer++
		case row.Own || r.w.roster.Protects(jobs.Session{ID: row.ID}):
			u.spared = true
		case list.Problem != "" && d.names(row):
		default:
			on = true
			if d.rounds < mostRounds && !overdue(d.job.NotAfter) {
				d.target(row)
			}
		}
	}
	return on
}

// newer reports whether a session began after the event that the job answers, so that it is left on. Login times
// are the Web Server's, and the event's is not. What began within the tolerance is ended: somebody signs on again,
// which is better than a revocation that is lost.
func (r *reader) newer(d *delivery, row webserver.Listed) bool {
	if d.job.IncludeNewer || d.job.EventTime.IsZero() {
		return false
	}
	ahead, _ := r.w.Server.ClockDifference()
	return row.LoginTime.Add(-ahead).After(d.job.EventTime.Add(r.w.Config.ClockTolerance))
}

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

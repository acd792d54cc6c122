package roster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/gate"
	"logoffworker/worker/webserver"
)

// Whoever the settings protect is looked up, and their sessions are listed: at the start, every minute, and for each
// document that holds sessions of which a job alone has told. Its lists were asked for after its jobs were taken, so
// that whatever session of a protected user a job can name is in them. Where requests are counted, or several users
// are protected, the lists may be as old as [Roster.listSpacing] says.

const (
	// lookAgain is how long it is remembered who somebody is.
	lookAgain = 5 * time.Minute
	// listAgain is how often protected users' sessions are listed while no job asks for it.
	listAgain = time.Minute
	// listShare is the part of the budget of reads that goes into that at most: one in so many.
	listShare = 4
	// guardTime bounds one look, and there is so much more for each user, guardTimeEach.
	guardTime     = 10 * time.Second
	guardTimeEach = time.Second
	// mostRetry is the longest time after a look that failed until the next.
	mostRetry = 15 * time.Second
)

// listSpacing is how old the lists of protected users' sessions may be that one more document relies on. It is zero
// where one user is protected and no budget is set.
func (r *Roster) listSpacing() time.Duration {
	users := time.Duration(r.guard.count())
	spacing := max(0, users-1) * 100 * time.Millisecond
	if perHour := r.config.ReadsPerHour; perHour > 0 {
		spacing = max(spacing, users*listShare*time.Hour/time.Duration(perHour))
	}
	if perSecond := r.config.RequestsPerSecond; perSecond > 0 {
		spacing = max(spacing, users*listShare*time.Second/time.Duration(perSecond))
	}
	return spacing
}

// LookTime is how long one look may take.
func (r *Roster) LookTime() time.Duration {
	return guardTime + time.Duration(r.guard.count())*guardTimeEach
}

// refresh looks at all of them, whether that is due or not.
func (r *Roster) refresh() {
	g := r.guard
	deadline := time.Now().Add(r.LookTime())
	done, err := r.server.TakePlace(g.turn, deadline)
	if err != nil {
		return
	}
	defer done()
	if rest, _ := g.rest(time.Now()); rest == 0 {
		r.lookAtProtected(g.looks(), 0, true, deadline)
	}
}

// Know finds out who the protected users are, and, unless that alone is wanted, what sessions they have, by lists that
// were asked for after so many looks. It reports whether it is known. An error means that the worker stops, or that
// the deadline, unless that is zero, has come.
func (r *Roster) Know(after int64, deadline time.Time) (known bool, err error) {
	g, spacing := r.guard, r.listSpacing()
	if g.enough(after, spacing, time.Now()) {
		return true, nil
	}
	done, err := r.server.TakePlace(g.turn, deadline)
	if err != nil {
		return false, err
	}
	defer done()
	if rest, _ := g.rest(time.Now()); rest == 0 && !g.enough(after, spacing, time.Now()) {
		r.lookAtProtected(after, spacing, false, deadline)
	}
	if r.stopping.Err() != nil {
		return false, r.stopping.Err()
	}
	return g.enough(after, spacing, time.Now()), nil
}

// AwaitKnown waits until that is known.
func (r *Roster) AwaitKnown(after int64, deadline time.Time) error {
	for {
		known, err := r.Know(after, deadline)
		if known || err != nil {
			return err
		}
		wait, _ := r.guard.rest(time.Now())
		wait = max(wait, r.config.Backoff.Min)
		if !deadline.IsZero() {
			wait = min(wait, time.Until(deadline))
		}
		if !gate.Pause(r.stopping, wait) {
			return r.stopping.Err()
		}
		if !deadline.IsZero() && !time.Now().Before(deadline) {
			return gate.ErrOverdue
		}
	}
}

// lookAtProtected makes one look, in the caller's turn: at who is not known, and all in a refresh, then at their
// sessions. What it fails over is told.
func (r *Roster) lookAtProtected(after int64, spacing time.Duration, all bool, deadline time.Time) {
	who := r.lookUpProtected(all, deadline)
	theirs, cut := r.listProtected(after, spacing, deadline)
	if r.stopping.Err() != nil {
		return
	}
	r.guard.looked(who.what+theirs.what == "", spacing, time.Now())
	r.tellLook(who, theirs, cut)
}

// A trouble is why something is not known of a protected user; what is empty where nothing is wrong.
type trouble struct {
	what  string
	grave bool // waiting does not mend it
}

// through is the part whose trouble it is: what mends itself, the Web Server does not answer.
func (t trouble) through() string {
	if t.grave {
		return ""
	}
	return webserver.Part
}

// lookUpProtected finds out who the protected users are of whom that is not known, or, where all are wanted, not any
// more. What was found before counts on where it cannot be found out again.
func (r *Roster) lookUpProtected(all bool, deadline time.Time) (wrong trouble) {
	now := time.Now()
	due := r.guard.dueForLookUp(all, r.lookUpSpacing(), now)
	var questions []Question
	for _, u := range due {
		questions = append(questions, Question{u.named, now, deadline})
	}
	r.LookUpTogether(gate.Own, questions)
	for _, u := range due {
		switch users, failure, err := r.whoIsProtected(u, now, deadline); {
		case err == nil && failure == nil:
			r.guard.found(u, users, now)
		case u.known:
		case err != nil:
			wrong.what = cmp.Or(wrong.what, "there was no time to find out who "+u.String()+" is")
		default:
			wrong = trouble{"it was not found out who " + u.String() + " is: " + failure.Error(), failure.NeedsPerson() || failure.Verdict == webserver.Refused}
		}
	}
	return wrong
}

// whoIsProtected looks one of the protected users up. That there is nobody is believed if others are shown to us.
func (r *Roster) whoIsProtected(u *protectedUser, now, deadline time.Time) (users []webserver.User, failure *webserver.Error, err error) {
	users, failure, err = r.WhoIs(gate.Own, Question{u.named, now, deadline})
	if err == nil && failure == nil && len(users) == 0 && u.named.Email != "" {
		users, failure, err = r.WhoIs(gate.Own, Question{u.asName(), now, deadline})
	}
	if err == nil && failure == nil && len(users) == 0 {
		failure, err = r.server.Ask(gate.Own, deadline, func(ctx context.Context) error { return seesOthers(ctx, r.server.Client) })
	}
	return users, failure, err
}

// seesOthers makes sure that other users are shown to us, so that one who is not does not exist.
func seesOthers(ctx context.Context, server *webserver.Client) error {
	all, err := server.Latest(ctx)
	self := server.Self()
	others := slices.DeleteFunc(all, func(u webserver.User) bool { return u.ID == self })
	if err != nil || len(others) > 1 || len(others) == 1 && self != 0 {
		return err
	}
	return &webserver.Error{Op: webserver.OpUser, Verdict: webserver.Forbidden, Err: errNoOthers}
}

var errNoOthers = errors.New("no other users are shown to the worker's account")

// lookUpSpacing is how long it is remembered who the protected users are.
func (r *Roster) lookUpSpacing() time.Duration {
	if perHour := r.config.ReadsPerHour; perHour > 0 {
		return max(lookAgain, time.Duration(r.guard.count())*5*listShare*time.Hour/time.Duration(perHour))
	}
	return lookAgain
}

// asName takes an address for a name to log in with, which may look like one.
func (u *protectedUser) asName() jobs.User { return jobs.User{Name: u.named.Email} }

// String tells a protected user for operators.
func (u *protectedUser) String() string {
	quoted := strings.ReplaceAll(strconv.Quote(u.setting), `\\`, `\`)
	return quoted + ", " + u.place + ","
}

// dueForLookUp are the users of whom it is to be found out who they are, or whether there are such.
func (g *guard) dueForLookUp(all bool, spacing time.Duration, now time.Time) (due []*protectedUser) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, u := range g.users {
		if !u.known || all && (u.missing || now.Sub(u.looked) >= spacing) {
			due = append(due, u)
		}
	}
	return due
}

// found takes over who a user of the settings is.
func (g *guard) found(u *protectedUser, users []webserver.User, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	u.known, u.looked, u.missing = true, now, len(users) == 0
	if u.named.ID == 0 {
		u.ids = nil
		for _, found := range users {
			u.ids = append(u.ids, found.ID)
		}
	}
	g.reckon()
}

// listProtected lists the sessions of protected users whose were not lately. cut are those whose lists may be cut.
func (r *Roster) listProtected(after int64, spacing time.Duration, deadline time.Time) (wrong trouble, cut []string) {
	g := r.guard
	ids, look := g.nextLook(after, spacing, time.Now())
	wanted := Wanted{}
	for _, id := range ids {
		wanted.Want(id, deadline)
	}
	lists := r.read(gate.Own, wanted)
	known := r.believeEmpty(lists, wanted, look.asked)
	for _, id := range ids {
		list := lists[id]
		if doubt := cmp.Or(list.Problem, list.Doubt); doubt != "" {
			wrong = trouble{"what sessions " + g.name(id) + " has is not known: " + doubt, list.Doubt != "" || list.Failure != nil && list.Failure.NeedsPerson()}
			continue
		}
		look.empty = known[id]
		g.listed(id, list.Listing, look)
		if !list.Complete {
			cut = append(cut, g.name(id))
		}
	}
	return wrong, cut
}

// nextLook begins a look at those whose sessions are not listed lately.
func (g *guard) nextLook(after int64, spacing time.Duration, now time.Time) (ids []int64, r listRead) {
	g.mu.Lock()
	defer g.mu.Unlock()
	ids = g.unlisted(after, spacing, now)
	g.begun++
	return ids, listRead{number: g.begun, asked: now}
}

// believeEmpty says of empty lists whether nothing is on: the Web Server shows them for want of a right, too. That is
// found out as for users whom jobs name, and then believed for a while; or it tells that somebody has never logged in.
// It returns since when it is believed.
func (r *Roster) believeEmpty(lists map[int64]List, wanted Wanted, now time.Time) (since map[int64]time.Time) {
	since = map[int64]time.Time{}
	var doubtful []int64
	for id, list := range lists {
		switch last := r.guard.knownEmpty(id); {
		case !list.isDoubtful():
		case now.Sub(last) < lookAgain:
			list.Complete, since[id] = true, last
			lists[id] = list
		default:
			doubtful = append(doubtful, id)
		}
	}
	if len(doubtful) == 0 {
		return since
	}
	for id, list := range r.emptyLists(gate.Own, wanted.of(doubtful)) {
		if list.Doubt != "" && r.companies.neverOn(id) {
			list.Complete, list.Doubt = true, ""
		}
		if list.Complete && len(list.Sessions) == 0 {
			since[id] = now
		}
		lists[id] = list
	}
	return since
}

// knownEmpty is when it was last certain that nothing of a user is on.
func (g *guard) knownEmpty(id int64) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.lists[id].empty
}

// name tells whose userId that is for operators.
func (g *guard) name(id int64) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, u := range g.users {
		if slices.Contains(u.ids, id) {
			return u.String()
		}
	}
	return fmt.Sprintf("the user %d", id)
}

// looked notes what came of a look, and when there may be the next.
func (g *guard) looked(well bool, spacing time.Duration, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if well {
		g.failures, g.retry = 0, time.Time{}
		return
	}
	g.failures++
	g.retry = now.Add(max(min(time.Second<<min(g.failures-1, 10), mostRetry), spacing))
}

// tryNow lets the next look be made at once.
func (g *guard) tryNow() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.retry = time.Time{}
}

// Rest is how long it is until what could not be found out of protected users may be asked again.
func (r *Roster) Rest() time.Duration {
	rest, _ := r.guard.rest(time.Now())
	return rest
}

// rest is how long it is until the next look may be made. troubled reports that the last one failed.
func (g *guard) rest(now time.Time) (rest time.Duration, troubled bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return max(0, g.retry.Sub(now)), g.failures > 0
}

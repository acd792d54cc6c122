package worker

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
// are protected, the lists may be as old as [Worker.listSpacing] says.

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
func (w *Worker) listSpacing() time.Duration {
	users := time.Duration(w.guard.count())
	spacing := max(0, users-1) * 100 * time.Millisecond
	if perHour := w.Config.ReadsPerHour; perHour > 0 {
		spacing = max(spacing, users*listShare*time.Hour/time.Duration(perHour))
	}
	if perSecond := w.Config.RequestsPerSecond; perSecond > 0 {
		spacing = max(spacing, users*listShare*time.Second/time.Duration(perSecond))
	}
	return spacing
}

// lookTime is how long one look may take.
func (w *Worker) lookTime() time.Duration {
	return guardTime + time.Duration(w.guard.count())*guardTimeEach
}

// watchProtected keeps what is known of protected users up to date.
func (w *Worker) watchProtected(ctx context.Context) {
	for {
		if w.guard.count() > 0 {
			w.refresh()
		}
		wait := max(listAgain, 2*w.listSpacing())
		if rest, troubled := w.guard.rest(time.Now()); troubled {
			wait = max(rest, time.Second)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-w.guard.refreshes:
		}
		if timer.Stop(); ctx.Err() != nil {
			return
		}
	}
}

// refresh looks at all of them, whether that is due or not.
func (w *Worker) refresh() {
	g := w.guard
	deadline := time.Now().Add(w.lookTime())
	done, err := w.takeTurn(g.turn, deadline)
	if err != nil {
		return
	}
	defer done()
	if rest, _ := g.rest(time.Now()); rest == 0 {
		w.lookAtProtected(g.looks(), 0, true, deadline)
	}
}

// know finds out who the protected users are, and, unless that alone is wanted, what sessions they have, by lists that
// were asked for after so many looks. It reports whether it is known. An error means that the worker stops, or that
// the deadline, unless that is zero, has come.
func (w *Worker) know(after int64, deadline time.Time) (known bool, err error) {
	g, spacing := w.guard, w.listSpacing()
	if g.enough(after, spacing, time.Now()) {
		return true, nil
	}
	done, err := w.takeTurn(g.turn, deadline)
	if err != nil {
		return false, err
	}
	defer done()
	if rest, _ := g.rest(time.Now()); rest == 0 && !g.enough(after, spacing, time.Now()) {
		w.lookAtProtected(after, spacing, false, deadline)
	}
	if w.stopping.Err() != nil {
		return false, w.stopping.Err()
	}
	return g.enough(after, spacing, time.Now()), nil
}

// awaitKnown waits until that is known.
func (w *Worker) awaitKnown(after int64, deadline time.Time) error {
	for {
		known, err := w.know(after, deadline)
		if known || err != nil {
			return err
		}
		wait, _ := w.guard.rest(time.Now())
		wait = max(wait, w.Config.Backoff.Min)
		if !deadline.IsZero() {
			wait = min(wait, time.Until(deadline))
		}
		if !pause(w.stopping, wait) {
			return w.stopping.Err()
		}
		if overdue(deadline) {
			return gate.ErrOverdue
		}
	}
}

// takeTurn waits for a turn; done ends it. The errors are those of ask.
func (w *Worker) takeTurn(turn chan struct{}, deadline time.Time) (done func(), err error) {
	ctx := w.stopping
	if !deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		if w.stopping.Err() != nil {
			return nil, w.stopping.Err()
		}
		return nil, gate.ErrOverdue
	}
}

// lookAtProtected makes one look, in the caller's turn: at who is not known, and all in a refresh, then at their
// sessions. What it fails over is told.
func (w *Worker) lookAtProtected(after int64, spacing time.Duration, all bool, deadline time.Time) {
	who := w.lookUpProtected(all, deadline)
	theirs, cut := w.listProtected(after, spacing, deadline)
	if w.stopping.Err() != nil {
		return
	}
	w.guard.looked(who.what+theirs.what == "", spacing, time.Now())
	w.tellLook(who, theirs, cut)
}

// A problem is why something is not known of a protected user; what is empty where nothing is wrong.
type problem struct {
	what  string
	grave bool // waiting does not mend it
}

// lookUpProtected finds out who the protected users are of whom that is not known, or, where all are wanted, not any
// more. What was found before counts on where it cannot be found out again.
func (w *Worker) lookUpProtected(all bool, deadline time.Time) (wrong problem) {
	now := time.Now()
	due := w.guard.dueForLookUp(all, w.lookUpSpacing(), now)
	if wanted := namesInList(due); len(wanted) >= many {
		w.lookUpInList(rankOwn, wanted, deadline)
	}
	for _, u := range due {
		users, answer, err := w.whoIs(rankOwn, u.named, now, deadline)
		if err == nil && answer == nil && len(users) == 0 && u.named.Email != "" {
			users, answer, err = w.whoIs(rankOwn, u.asName(), now, deadline)
		}
		if err == nil && answer == nil && len(users) == 0 {
			answer, err = w.ask(rankOwn, deadline, func() error { return seesOthers(w.finish, w.Server) })
		}
		switch {
		case err == nil && answer == nil:
			w.guard.found(u, users, now)
		case u.known:
		case err != nil:
			wrong.what = cmp.Or(wrong.what, "there was no time to find out who "+u.String()+" is")
		default:
			wrong = problem{"who " + u.String() + " is was not found out: " + answer.Error(), waitingMendsNothing(answer.Verdict) || answer.Verdict == webserver.Refused}
		}
	}
	return wrong
}

// seesOthers makes sure that other users are shown to us, so that one who is not does not exist.
func seesOthers(ctx context.Context, server *webserver.Client) error {
	all, err := server.Latest(ctx)
	self := server.Self()
	others := slices.DeleteFunc(all, func(u webserver.User) bool { return u.ID == self })
	if err != nil || len(others) > 1 || len(others) == 1 && self != 0 {
		return err
	}
	return &webserver.Error{Op: "user", Verdict: webserver.Forbidden, Err: errNoOthers}
}

var errNoOthers = errors.New("no other users are shown to the worker's account")

// lookUpSpacing is how long it is remembered who the protected users are.
func (w *Worker) lookUpSpacing() time.Duration {
	if perHour := w.Config.ReadsPerHour; perHour > 0 {
		return max(lookAgain, time.Duration(w.guard.count())*5*listShare*time.Hour/time.Duration(perHour))
	}
	return lookAgain
}

func namesInList(users []*protectedUser) (names []jobs.User) {
	for _, u := range users {
		if inList(u.named) {
			names = append(names, u.named)
		}
	}
	return names
}

// asName takes an address for a name to log in with, which may look like one.
func (u *protectedUser) asName() jobs.User { return jobs.User{Name: u.named.Email} }

// String tells a protected user for operators.
func (u *protectedUser) String() string {
	quoted := strings.ReplaceAll(strconv.Quote(u.setting), `\\`, `\`)
	return quoted + ", the value " + strconv.Itoa(u.place) + " of LOGOFF_PROTECTED_USERS,"
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
func (w *Worker) listProtected(after int64, spacing time.Duration, deadline time.Time) (wrong problem, cut []string) {
	g := w.guard
	ids, r := g.nextLook(after, spacing, time.Now())
	deadlines := map[int64]time.Time{}
	for _, id := range ids {
		deadlines[id] = deadline
	}
	lists := w.listsOf(rankOwn, ids, deadlines)
	proved := w.believeEmpty(lists, deadlines, r.asked)
	for _, id := range ids {
		list := lists[id]
		if doubt := cmp.Or(list.problem, list.doubt); doubt != "" {
			wrong = problem{"what sessions " + g.name(id) + " has is not known: " + doubt, list.doubt != "" || list.answer != nil && waitingMendsNothing(list.answer.Verdict)}
			continue
		}
		r.proved = proved[id]
		g.listed(id, list.Listing, r)
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
func (w *Worker) believeEmpty(lists map[int64]listed, deadlines map[int64]time.Time, now time.Time) (proved map[int64]time.Time) {
	proved = map[int64]time.Time{}
	var doubtful []int64
	for id, list := range lists {
		switch last := w.guard.provedEmpty(id); {
		case list.problem != "" || list.Complete || len(list.Sessions) > 0:
		case now.Sub(last) < lookAgain:
			list.Complete, proved[id] = true, last
			lists[id] = list
		default:
			doubtful = append(doubtful, id)
		}
	}
	if len(doubtful) == 0 {
		return proved
	}
	for id, list := range w.emptyLists(rankOwn, doubtful, deadlines) {
		if list.doubt != "" && w.roll.neverOn(id) {
			list.Complete, list.doubt = true, ""
		}
		if list.Complete && len(list.Sessions) == 0 {
			proved[id] = now
		}
		lists[id] = list
	}
	return proved
}

func (g *guard) provedEmpty(id int64) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.lists[id].proved
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

// rest is how long it is until the next look may be made. troubled reports that the last one failed.
func (g *guard) rest(now time.Time) (rest time.Duration, troubled bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return max(0, g.retry.Sub(now)), g.failures > 0
}

package worker

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/webserver"
)

// A guard knows the sessions and users that are left alone: those of the settings, and the worker's own
// session, whose end would cost it its token in the middle of the work.
type guard struct {
	own atomic.Pointer[string]

	mu         sync.Mutex
	sessions   map[string]bool // by ID in capitals
	users      map[int64]bool  // by userId
	named      []jobs.User     // users of the settings who have to be looked up
	found      map[int64]bool  // what came of that, by userId; nil until then
	foundAt    time.Time
	identified int64 // the number of the login whose session is own
	tried      int64 // the same of the login whose session was last looked for
	triedAt    time.Time
}

func newGuard(c Config) *guard {
	g := &guard{sessions: map[string]bool{}, users: map[int64]bool{}}
	for _, id := range c.ProtectedSessions {
		g.sessions[strings.ToUpper(id)] = true
	}
	for _, user := range c.ProtectedUsers {
		switch id, err := strconv.ParseInt(user, 10, 64); {
		case err == nil:
			g.users[id] = true
		case strings.Contains(user, "@"):
			g.named = append(g.named, jobs.User{Email: user})
		default:
			g.named = append(g.named, jobs.User{Name: user})
		}
	}
	return g
}

// protects reports whether a session is left alone; by its owner too, if the job names one.
func (g *guard) protects(s jobs.Session) bool {
	own := g.own.Load()
	return own != nil && strings.EqualFold(*own, s.ID) || g.protectsSession(s.ID) || s.UserID != 0 && g.protectsUser(s.UserID)
}

func (g *guard) protectsSession(id string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.sessions) > 0 && g.sessions[strings.ToUpper(id)]
}

func (g *guard) protectsUser(id int64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.users[id] || g.found[id]
}

// unsure reports whether an owner whom a job names may be protected, for all that is known yet.
func (g *guard) unsure(sessions []jobs.Session) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.named) > 0 && g.found == nil && slices.ContainsFunc(sessions, func(s jobs.Session) bool { return s.UserID != 0 })
}

// lookAgain is how long it is remembered who the users of the settings are, and identifyAgain how long
// after a search for the own session that failed there is another.
const (
	lookAgain     = 5 * time.Minute
	identifyAgain = time.Minute
)

func (g *guard) outdated(now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.named) > 0 && (g.found == nil || now.Sub(g.foundAt) >= lookAgain)
}

// toIdentify reports whether the own session is to be looked for: once after each login, and again some
// time after that failed.
func (g *guard) toIdentify(login int64, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.identified == login || g.tried == login && now.Sub(g.triedAt) < identifyAgain {
		return false
	}
	g.tried, g.triedAt = login, now
	return true
}

// protectedKnown looks up those users of the settings who are not named by userId, unless that was done
// lately. It returns why it cannot; what was found before counts on, and where nothing was, nobody can be
// told from a protected user.
func (w *Worker) protectedKnown(who rank, since, deadline time.Time) (problem string, err error) {
	if !w.guard.outdated(time.Now()) {
		return "", nil
	}
	g := w.guard
	wanted := g.toLookUp()
	found := map[int64]bool{}
	for _, named := range wanted {
		users, answer, err := w.whoIs(who, named, since, deadline)
		if err != nil {
			return "", err
		}
		if answer != nil {
			problem = fmt.Sprintf("the protected user %q was not looked up: %v", named.Name+named.Email, answer)
			break
		}
		for _, u := range users {
			found[u.ID] = true
		}
	}
	if g.replacedSince(wanted) {
		return w.protectedKnown(who, since, deadline)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if problem == "" {
		g.found, g.foundAt = found, time.Now()
	} else if g.found != nil {
		problem = ""
	}
	return problem, nil
}

// identifyTime bounds the search for the own session, and for the users of the settings.
const identifyTime = 30 * time.Second

// lookAround finds out what is left alone, as far as that is not known.
func (w *Worker) lookAround() {
	now := time.Now()
	switch problem, err := w.protectedKnown(rankBulk, now, now.Add(identifyTime)); {
	case err != nil: // there is no time; jobs that need it will ask
	case problem != "":
		w.Log.Error("until it is, jobs with users, and sessions with their owners, are not sent", "problem", problem)
	}
	if w.guard.toIdentify(w.Server.Logins(), now) {
		w.identify()
	}
}

// identify finds out which session is our own. Without it, and where the Web Server does not list sessions
// of our kind of token, nothing is lost but that a job can end it.
func (w *Worker) identify() {
	login, self := w.Server.Logins(), w.Server.Self()
	if self == 0 {
		return
	}
	var listing webserver.Listing
	answer, err := w.ask(rankBulk, time.Now().Add(identifyTime), func() (err error) {
		listing, err = w.Server.Sessions(w.finish, self)
		return err
	})
	if answer != nil || err != nil {
		return
	}
	for _, row := range listing.Sessions {
		if row.Own {
			w.guard.own.Store(&row.ID)
		}
	}
	w.guard.mu.Lock()
	defer w.guard.mu.Unlock()
	w.guard.identified = login
}

// toLookUp are the users of the settings who are not named by userId.
func (g *guard) toLookUp() []jobs.User {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.named
}

// replacedSince reports whether there are others to look up than those.
func (g *guard) replacedSince(wanted []jobs.User) bool { return !slices.Equal(wanted, g.toLookUp()) }

// replace protects others than before. Users that are new have to be looked up, and until then nobody is
// known not to be one of them.
func (g *guard) replace(r Reload) {
	fresh := newGuard(Config{ProtectedSessions: r.ProtectedSessions, ProtectedUsers: r.ProtectedUsers})
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sessions, g.users = fresh.sessions, fresh.users
	if !slices.Equal(g.named, fresh.named) {
		g.named, g.found, g.foundAt = fresh.named, nil, time.Time{}
	}
}

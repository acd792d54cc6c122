package worker

import (
	"fmt"
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
	sessions map[string]bool // by ID in capitals
	named    []jobs.User     // users of the settings who are yet to be looked up
	own      atomic.Pointer[string]
	logins   atomic.Int64 // those after which the own session was looked for

	mu    sync.Mutex
	users map[int64]bool // by userId
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
	return own != nil && strings.EqualFold(*own, s.ID) ||
		len(g.sessions) > 0 && g.sessions[strings.ToUpper(s.ID)] ||
		s.UserID != 0 && g.protectsUser(s.UserID)
}

func (g *guard) protectsUser(id int64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.users[id]
}

// protectedKnown looks up those users of the settings who are not named by userId. It returns why it cannot;
// then nobody can be told from a protected user.
func (l *lane) protectedKnown(deadline time.Time) (problem string, err error) {
	for _, named := range l.guard.named {
		users, answer, err := l.whoIs(named, deadline)
		if err != nil {
			return "", err
		}
		if answer != nil {
			return fmt.Sprintf("the protected user %q was not looked up: %v", named.Name+named.Email, answer), nil
		}
		l.guard.mu.Lock()
		for _, u := range users {
			l.guard.users[u.ID] = true
		}
		l.guard.mu.Unlock()
	}
	return "", nil
}

// identifyTime bounds the search for the own session.
const identifyTime = 30 * time.Second

// identify finds out which session is our own, once after each login. Without it, and where the Web Server
// does not list sessions of our kind of token, nothing is lost but that a job can end it.
func (w *Worker) identify() {
	logins := w.Server.Logins()
	if self := w.Server.Self(); self == 0 || w.guard.logins.Swap(logins) == logins {
		return
	}
	var listing webserver.Listing
	answer, err := w.ask(rankBulk, time.Now().Add(identifyTime), func() (err error) {
		listing, err = w.Server.Sessions(w.finish, w.Server.Self())
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
}

package roster

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"logoffworker/jobs"
	"logoffworker/worker/webserver"
)

// A guard knows the sessions and users that are left alone: those of the settings, and the worker's own
// session, whose end would cost it its token in the middle of the work. Who the users are, and which sessions are
// theirs, the Web Server is asked for (protected.go), and the worker lets nothing go before it has answered.
type guard struct {
	rules     jobs.Rules
	own       atomic.Pointer[string]
	turn      chan struct{} // of whoever asks about protected users
	ownTurn   chan struct{} // of whoever looks for the own session
	refreshes chan struct{} // asks for a look at them all

	mu       sync.Mutex
	sessions map[string]bool // of the settings, by ID in capitals
	wrong    []string        // the places of values of the settings that are no session IDs
	users    []*protectedUser
	ids      map[int64]bool     // who that is
	lists    map[int64]listRead // the latest of each
	theirs   map[string]sighting
	begun    int64     // how often lists were asked for
	retry    time.Time // nothing is asked before, because it failed
	failures int       // in a row

	identified int64 // the token whose session is own
	tried      int64 // the token whose session was last looked for
	triedAt    time.Time
}

// A protectedUser is one of the settings, who may be several to the Web Server: an e-mail address need not be one
// user's alone.
type protectedUser struct {
	setting string
	place   string // in the settings
	named   jobs.User
	known   bool // who that is
	ids     []int64
	looked  time.Time // when it was last found out whether there is such a user
	missing bool      // there is none
}

// A listRead tells of a list that was read.
type listRead struct {
	number int64 // of the look, see guard.begun
	asked  time.Time
	empty  time.Time // when it was last certain that such a list is empty because nothing is on
}

// A sighting is a session that was on, of a protected user.
type sighting struct {
	owner int64
	seen  time.Time
}

func newGuard(c Config) *guard {
	g := &guard{
		rules:     jobs.Rules{LooseIDs: c.LooseIDs},
		turn:      make(chan struct{}, 1),
		ownTurn:   make(chan struct{}, 1),
		refreshes: make(chan struct{}, 1),
		lists:     map[int64]listRead{},
		theirs:    map[string]sighting{},

		identified: -1, tried: -1,
	}
	g.protect(c.ProtectedSessions, c.ProtectedUsers, c.ProtectedPlaces)
	return g
}

// protect takes up settings. Of users who were in them before, what is known stays known.
func (g *guard) protect(sessions, users []string, places map[string]string) {
	place := func(variable, value string, i int) string {
		return cmp.Or(places[value], fmt.Sprintf("the value %d of %s", i+1, variable))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	before := map[string]*protectedUser{}
	for _, u := range g.users {
		before[u.setting] = u
	}
	g.sessions, g.wrong, g.users = map[string]bool{}, nil, nil
	for i, id := range sessions {
		switch known, ok := g.sessionID(id); {
		case ok:
			g.sessions[strings.ToUpper(known)] = true
		case strings.TrimSpace(id) != "":
			g.wrong = append(g.wrong, place("LOGOFF_PROTECTED_SESSIONS", id, i))
		}
	}
	for i, setting := range users {
		setting = strings.TrimSpace(setting)
		u := before[setting]
		if u == nil {
			u = newProtectedUser(setting)
		}
		if u.place = place("LOGOFF_PROTECTED_USERS", setting, i); setting != "" {
			g.users = append(g.users, u)
		}
	}
	g.reckon()
}

// sessionID reads a session ID of the settings as one of a job.
func (g *guard) sessionID(written string) (id string, ok bool) {
	data, err := json.Marshal(map[string][]string{"sessions": {strings.TrimSpace(written)}})
	if err != nil {
		return "", false
	}
	job, err := jobs.Decode(data, g.rules)
	if err != nil || len(job.Sessions) != 1 || job.Sessions[0].ID == "" {
		return "", false
	}
	return job.Sessions[0].ID, true
}

func newProtectedUser(setting string) *protectedUser {
	u := &protectedUser{setting: setting}
	switch id, err := strconv.ParseInt(setting, 10, 64); {
	case err == nil && id > 0:
		u.named, u.known, u.ids = jobs.User{ID: id}, true, []int64{id}
	case strings.Contains(setting, "@"):
		u.named = jobs.User{Email: setting}
	default:
		u.named = jobs.User{Name: setting}
	}
	return u
}

// reckon takes over who is protected now, with the lock held.
func (g *guard) reckon() {
	g.ids = map[int64]bool{}
	for _, u := range g.users {
		for _, id := range u.ids {
			g.ids[id] = true
		}
	}
	maps.DeleteFunc(g.lists, func(id int64, _ listRead) bool { return !g.ids[id] })
	maps.DeleteFunc(g.theirs, func(_ string, s sighting) bool { return !g.ids[s.owner] })
}

// Protects reports whether a session is left alone, for all that is known; by its owner too, if the session
// names one.
func (r *Roster) Protects(s jobs.Session) bool { return r.guard.protects(s) }

// ProtectsUser reports whether a user is one of those whom the settings protect, for all that is known.
func (r *Roster) ProtectsUser(userID int64) bool { return r.guard.protectsUser(userID) }

// ListsAskedFor is how often the sessions of protected users were asked for so far, for [Roster.Know].
func (r *Roster) ListsAskedFor() int64 { return r.guard.looks() }

// protects reports whether a session is left alone, for all that is known; by its owner too, if the job names one.
func (g *guard) protects(s jobs.Session) bool {
	own := g.own.Load()
	return own != nil && strings.EqualFold(*own, s.ID) || g.protectsSession(s.ID) || g.protectsUser(s.UserID)
}

func (g *guard) protectsSession(id string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.sessions)+len(g.theirs) == 0 {
		return false
	}
	key := strings.ToUpper(id)
	_, theirs := g.theirs[key]
	return g.sessions[key] || theirs
}

func (g *guard) protectsUser(id int64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ids[id]
}

// looks is how often lists of protected users' sessions were asked for so far.
func (g *guard) looks() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.begun
}

// WhoAlone is what is enough to know where the sessions of protected users do not matter.
const WhoAlone int64 = -1

// enough reports whether who the protected users are is known, and, unless that alone is wanted, which sessions are
// theirs, by lists that were asked for after so many looks; or by older ones, while the next are not due.
func (g *guard) enough(after int64, spacing time.Duration, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, u := range g.users {
		if !u.known {
			return false
		}
	}
	return after == WhoAlone || len(g.unlisted(after, spacing, now)) == 0
}

// unlisted are those whose sessions are to be listed, with the lock held.
func (g *guard) unlisted(after int64, spacing time.Duration, now time.Time) (ids []int64) {
	missing := map[int64]bool{}
	for _, u := range g.users {
		if u.missing {
			missing[u.named.ID] = true // of a name it is 0, which is nobody's
		}
	}
	for id := range g.ids {
		list, listed := g.lists[id]
		fresh := listed && (list.number > after || now.Sub(list.asked) < spacing)
		if !fresh && !missing[id] {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// count is how many users are protected.
func (g *guard) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return max(len(g.users), len(g.ids))
}

// believedOn is how long a session of a protected user is believed to be on that is in no list any more: lists are
// cut.
const believedOn = 48 * time.Hour

// listed takes over the list of a protected user. What a list that may be cut does not show stays known.
func (g *guard) listed(id int64, list webserver.Listing, r listRead) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.ids[id] {
		return
	}
	on := map[string]bool{}
	for _, row := range list.Sessions {
		key := strings.ToUpper(row.ID)
		on[key] = on[key] || row.LogoutTime.IsZero()
	}
	maps.DeleteFunc(g.theirs, func(key string, s sighting) bool {
		_, shown := on[key]
		return s.owner == id && (list.Complete || shown || r.asked.Sub(s.seen) > believedOn)
	})
	for key, is := range on {
		if is {
			g.theirs[key] = sighting{id, r.asked}
		}
	}
	g.lists[id] = r
}

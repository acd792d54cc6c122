package roster

import (
	"context"
	"slices"
	"sync"
	"time"

	"logoffworker/worker/gate"
	"logoffworker/worker/webserver"
)

const (
	// witnesses is how many people are looked at in search of one of whom something is listed.
	witnesses = 5
	// mostListed bounds those who are remembered because something was listed of them.
	mostListed = 256
)

// companies remember who is of which, and of whom sessions were listed.
type companies struct {
	mu     sync.Mutex
	read   time.Time        // when it was read last
	of     map[int64]string // companies by userId
	never  map[int64]bool   // users who have never logged in, where that is told
	latest []int64          // all users, who logged in last first
	seen   []int64          // of whom sessions were listed, the last first
}

func (c *companies) listed(id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	others := slices.DeleteFunc(c.seen, func(other int64) bool { return other == id })
	c.seen = append([]int64{id}, others[:min(len(others), mostListed-1)]...)
}

// company is that of a user, and empty where it is not known.
func (c *companies) company(id int64) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.of[id]
}

func (c *companies) set(all []webserver.User, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read, c.of, c.latest = now, make(map[int64]string, len(all)), make([]int64, 0, len(all))
	told := slices.ContainsFunc(all, func(u webserver.User) bool { return !u.LastLogin.IsZero() })
	c.never = map[int64]bool{}
	for _, u := range all {
		c.of[u.ID] = u.Company
		c.never[u.ID] = told && u.LastLogin.IsZero()
		c.latest = append(c.latest, u.ID)
	}
}

// neverOn reports whether a user has never logged in, as far as the Web Server tells when users did.
func (c *companies) neverOn(id int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.never[id]
}

// candidates are users of a company of whom something may be listed, the likeliest first. Those of whom nothing is
// listed are none: what is asked is whether their lists can be believed.
func (c *companies) candidates(company string, none []int64) (ids []int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range slices.Concat(c.seen, c.latest) {
		if len(ids) < witnesses && c.of[id] == company && !slices.Contains(none, id) && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// outdated reports whether what is known is to be read again for a user.
func (c *companies) outdated(owner int64, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.of[owner] == "" || now.Sub(c.read) >= lookAgain
}

// readCompanies reads who there is, where an owner asks for it.
func (r *Roster) readCompanies(who gate.Rank, owners []int64, until time.Time) (problem string) {
	now := time.Now()
	if !slices.ContainsFunc(owners, func(owner int64) bool { return r.companies.outdated(owner, now) }) {
		return ""
	}
	var all []webserver.User
	failure, err := r.server.Ask(who, until, func(ctx context.Context) (err error) {
		all, err = r.server.Client.Latest(ctx)
		return err
	})
	switch {
	case err != nil:
		return "there was no time to find out"
	case failure != nil:
		return failure.Error()
	}
	r.companies.set(all, now)
	return ""
}

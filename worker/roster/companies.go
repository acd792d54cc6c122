package roster

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"logoffworker/worker/gate"
	"logoffworker/worker/webserver"
)

// The Web Server shows an empty list of somebody who has no sessions, and also of somebody whose sessions it does
// not show us. An account may see one company and not the other, so an empty list is believed where something is
// listed, just before and just after, of somebody else of the same company.

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

// emptyLists reads empty lists again, between two looks at somebody else of the same company of whom something is
// listed. Those that are not believed say why.
func (r *Roster) emptyLists(who gate.Rank, wanted Wanted) map[int64]List {
	owners := slices.Sorted(maps.Keys(wanted))
	until := wanted[owners[0]]
	for _, owner := range owners {
		if later(wanted[owner], until) {
			until = wanted[owner]
		}
	}
	problem := r.readCompanies(who, owners, until)
	of := map[string][]int64{}
	for _, owner := range owners {
		company := r.companies.company(owner)
		of[company] = append(of[company], owner)
	}
	all := map[int64]List{}
	for company, owners := range of {
		look := look{who, owners, until}
		doubt := nothingListed + cmp.Or(problem, "the Web Server does not show the user's company")
		read := map[int64]List{}
		if company != "" {
			doubt = r.unseen(look, company)
		}
		if doubt == "" {
			read = r.read(who, wanted.of(owners))
			doubt = r.unseen(look, company)
		}
		for _, owner := range owners {
			list := read[owner]
			if list.Problem == "" && len(list.Sessions) == 0 {
				list.Complete, list.Doubt = doubt == "", doubt
			}
			all[owner] = list
		}
	}
	return all
}

// A look is who wants to know, of whom, and until when.
type look struct {
	who   gate.Rank
	users []int64
	until time.Time
}

const nothingListed = "nothing is listed, which may be for want of a right: "

// unseen says why it is not known that sessions of others in a company are shown to us now. Where our own userId
// is unknown, one of two people certainly is somebody else.
func (r *Roster) unseen(l look, company string) string {
	self, shown := r.server.Client.Self(), 0
	for _, id := range r.companies.candidates(company, slices.Concat(l.users, []int64{self})) {
		if list := r.listOf(l.who, id, l.until); list.Problem == "" && len(list.Sessions) > 0 {
			shown++
		}
		if shown == 2 || shown == 1 && self != 0 {
			return ""
		}
	}
	return nothingListed + "nothing is listed of anybody else of the user's company either"
}

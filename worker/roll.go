package worker

import (
	"cmp"
	"slices"
	"sync"
	"time"

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

// A roll remembers which companies users are of, and of whom sessions were listed.
type roll struct {
	mu     sync.Mutex
	read   time.Time        // when it was read last
	of     map[int64]string // companies by userId
	latest []int64          // all users, who logged in last first
	seen   []int64          // of whom sessions were listed, the last first
}

func (r *roll) listed(id int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	others := slices.DeleteFunc(r.seen, func(other int64) bool { return other == id })
	r.seen = append([]int64{id}, others[:min(len(others), mostListed-1)]...)
}

// company is that of a user, and empty where it is not known.
func (r *roll) company(id int64) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of[id]
}

func (r *roll) set(all []webserver.User, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read, r.of, r.latest = now, make(map[int64]string, len(all)), make([]int64, 0, len(all))
	for _, u := range all {
		r.of[u.ID] = u.Company
		r.latest = append(r.latest, u.ID)
	}
}

// candidates are users of a company of whom something may be listed, the likeliest first. Those of whom nothing is
// listed are none: what is asked is whether their lists can be believed.
func (r *roll) candidates(company string, none []int64) (ids []int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range slices.Concat(r.seen, r.latest) {
		if len(ids) < witnesses && r.of[id] == company && !slices.Contains(none, id) && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// outdated reports whether the roll is to be read for an owner.
func (r *roll) outdated(owner int64, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of[owner] == "" || now.Sub(r.read) >= lookAgain
}

// readRoll reads who there is, where an owner asks for it.
func (l *lane) readRoll(owners []int64, until time.Time) (problem string) {
	now := time.Now()
	if !slices.ContainsFunc(owners, func(owner int64) bool { return l.roll.outdated(owner, now) }) {
		return ""
	}
	var all []webserver.User
	answer, err := l.ask(l.rank(), until, func() (err error) {
		all, err = l.Server.Latest(l.finish)
		return err
	})
	switch {
	case err != nil:
		return "there was no time to find out"
	case answer != nil:
		return answer.Error()
	}
	l.roll.set(all, now)
	return ""
}

// emptyLists reads empty lists again, between two looks at somebody else of the same company of whom something is
// listed. Those that are not believed say why.
func (l *lane) emptyLists(owners []int64, deadlines map[int64]time.Time) map[int64]listed {
	var until time.Time
	for i, owner := range owners {
		if i == 0 || later(deadlines[owner], until) {
			until = deadlines[owner]
		}
	}
	problem := l.readRoll(owners, until)
	companies := map[string][]int64{}
	for _, owner := range owners {
		company := l.roll.company(owner)
		companies[company] = append(companies[company], owner)
	}
	all := map[int64]listed{}
	for company, owners := range companies {
		doubt := l.unseen(company, owners, problem, until)
		read := map[int64]listed{}
		if doubt == "" {
			read = l.listsOf(owners, deadlines)
			doubt = l.unseen(company, owners, problem, until)
		}
		for _, owner := range owners {
			list := read[owner]
			if list.problem == "" && len(list.Sessions) == 0 {
				list.Complete, list.doubt = doubt == "", doubt
			}
			all[owner] = list
		}
	}
	return all
}

// unseen says why it is not known that sessions of others in a company are shown to us now. Where our own userId
// is unknown, one of two people certainly is somebody else.
func (l *lane) unseen(company string, owners []int64, problem string, until time.Time) string {
	const nothing = "nothing is listed, which may be for want of a right: "
	if company == "" {
		return nothing + cmp.Or(problem, "the Web Server does not show the user's company")
	}
	self, shown := l.Server.Self(), 0
	for _, id := range l.roll.candidates(company, slices.Concat(owners, []int64{self})) {
		if list := l.listOf(id, until); list.problem == "" && len(list.Sessions) > 0 {
			shown++
		}
		if shown == 2 || shown == 1 && self != 0 {
			return ""
		}
	}
	return nothing + "nothing is listed of anybody else of the user's company either"
}

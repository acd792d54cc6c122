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
	never  map[int64]bool   // users who have never logged in, where that is told
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
	told := slices.ContainsFunc(all, func(u webserver.User) bool { return !u.LastLogin.IsZero() })
	r.never = map[int64]bool{}
	for _, u := range all {
		r.of[u.ID] = u.Company
		r.never[u.ID] = told && u.LastLogin.IsZero()
		r.latest = append(r.latest, u.ID)
	}
}

// neverOn reports whether a user has never logged in, as far as the Web Server tells when users did.
func (r *roll) neverOn(id int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.never[id]
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
func (w *Worker) readRoll(who rank, owners []int64, until time.Time) (problem string) {
	now := time.Now()
	if !slices.ContainsFunc(owners, func(owner int64) bool { return w.roll.outdated(owner, now) }) {
		return ""
	}
	var all []webserver.User
	answer, err := w.ask(who, until, func() (err error) {
		all, err = w.Server.Latest(w.finish)
		return err
	})
	switch {
	case err != nil:
		return "there was no time to find out"
	case answer != nil:
		return answer.Error()
	}
	w.roll.set(all, now)
	return ""
}

// emptyLists reads empty lists again, between two looks at somebody else of the same company of whom something is
// listed. Those that are not believed say why.
func (w *Worker) emptyLists(who rank, owners []int64, deadlines map[int64]time.Time) map[int64]listed {
	var until time.Time
	for i, owner := range owners {
		if i == 0 || later(deadlines[owner], until) {
			until = deadlines[owner]
		}
	}
	problem := w.readRoll(who, owners, until)
	companies := map[string][]int64{}
	for _, owner := range owners {
		company := w.roll.company(owner)
		companies[company] = append(companies[company], owner)
	}
	all := map[int64]listed{}
	for company, owners := range companies {
		unseen := func() string {
			if company == "" {
				return nothingListed + cmp.Or(problem, "the Web Server does not show the user's company")
			}
			return w.unseen(who, company, owners, until)
		}
		doubt := unseen()
		read := map[int64]listed{}
		if doubt == "" {
			read = w.listsOf(who, owners, deadlines)
			doubt = unseen()
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

const nothingListed = "nothing is listed, which may be for want of a right: "

// unseen says why it is not known that sessions of others in a company are shown to us now. Where our own userId
// is unknown, one of two people certainly is somebody else.
func (w *Worker) unseen(who rank, company string, owners []int64, until time.Time) string {
	self, shown := w.Server.Self(), 0
	for _, id := range w.roll.candidates(company, slices.Concat(owners, []int64{self})) {
		if list := w.listOf(who, id, until); list.problem == "" && len(list.Sessions) > 0 {
			shown++
		}
		if shown == 2 || shown == 1 && self != 0 {
			return ""
		}
	}
	return nothingListed + "nothing is listed of anybody else of the user's company either"
}

package roster

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"logoffworker/worker/gate"
)

// The Web Server shows an empty list of somebody who has no sessions, and also of somebody whose sessions it does
// not show us. An account may see one company and not the other, so an empty list is believed where something is
// listed, just before and just after, of somebody else of the same company.

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
			doubt = r.doubtOf(look, company)
		}
		if doubt == "" {
			read = r.read(who, wanted.of(owners))
			doubt = r.doubtOf(look, company)
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

// doubtOf says why an empty list of somebody of a company is not to be believed; empty says that it is: sessions of
// somebody else of the company are shown now. Where our own userId is unknown, it takes two users, one of whom
// certainly is somebody else.
func (r *Roster) doubtOf(l look, company string) string {
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

package roster

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"logoffworker/jobs"
	"logoffworker/worker/gate"
	"logoffworker/worker/webserver"
)

// A List is the sessions of a user, or why there is none. With a problem, it may be an old one.
type List struct {
	webserver.Listing
	Problem string           // why it was not read now
	Failure *webserver.Error // that is the cause of the problem, if any
	Late    bool             // there was no time to read it
	Doubt   string           // why it is not believed that nothing is listed
}

// Lists are those of several users.
type Lists struct {
	of    map[int64]List
	owner map[string]int64 // of the sessions in them, by ID in capitals
}

// Of is the list of a user; empty where none was wanted.
func (all Lists) Of(userID int64) List { return all.of[userID] }

// Read reports whether the lists of all these users were read.
func (all Lists) Read(users []int64) bool {
	return !slices.ContainsFunc(users, func(id int64) bool {
		list, wanted := all.of[id]
		return !wanted || list.Problem != ""
	})
}

// Find finds the list that tells of a session: its owner's, who may be known from the lists alone.
func (all Lists) Find(s jobs.Session) (list List, owner int64, found bool) {
	owner = s.UserID
	if owner == 0 {
		owner = all.owner[strings.ToUpper(s.ID)]
	}
	list, found = all.of[owner]
	return list, owner, found
}

func newLists(of map[int64]List) Lists {
	all := Lists{of, map[string]int64{}}
	for owner, list := range of {
		for _, row := range list.Sessions {
			all.owner[strings.ToUpper(row.ID)] = owner
		}
	}
	return all
}

// A Standing is what a list says of one session.
type Standing int

// The standings.
const (
	Unknown Standing = iota // it says nothing
	On
	Off
	Gone // it is not in the list, and would be
)

// Standing is what the list says of a session.
func (l List) Standing(id string) Standing {
	switch row, found := l.Find(id); {
	case !row.LogoutTime.IsZero():
		return Off // in an old list too
	case l.Problem != "":
		return Unknown
	case found:
		return On
	case l.Covers(time.Time{}):
		return Gone
	}
	return Unknown
}

// isDoubtful reports whether nothing is listed, and the list does not say itself that it is whole.
func (l List) isDoubtful() bool { return l.Problem == "" && !l.Complete && len(l.Sessions) == 0 }

// Wanted are the users whose sessions are to be listed, each with the time after which it is too late to ask;
// zero is never.
type Wanted map[int64]time.Time

// Want adds a user, and keeps the latest of the deadlines.
func (w Wanted) Want(userID int64, deadline time.Time) {
	if until, known := w[userID]; !known || later(deadline, until) {
		w[userID] = deadline
	}
}

// later reports whether one deadline is later than another; zero is none.
func later(a, b time.Time) bool { return !b.IsZero() && (a.IsZero() || a.After(b)) }

// of are the wants of some users alone.
func (w Wanted) of(users []int64) Wanted {
	some := Wanted{}
	for _, id := range users {
		some[id] = w[id]
	}
	return some
}

// Lists lists sessions, and finds out of empty lists whether they can be believed.
func (r *Roster) Lists(who gate.Rank, wanted Wanted) Lists {
	read := r.read(who, wanted)
	var empty []int64
	for id, list := range read {
		if list.isDoubtful() {
			empty = append(empty, id)
		}
	}
	if len(empty) > 0 {
		slices.Sort(empty)
		maps.Copy(read, r.emptyLists(who, wanted.of(empty)))
	}
	return newLists(read)
}

// Shown lists sessions as the Web Server shows them: an empty list may be one for want of a right.
func (r *Roster) Shown(who gate.Rank, wanted Wanted) Lists { return newLists(r.read(who, wanted)) }

// atOnce is how many lists are read at once; how many questions are asked at once is another matter
// ([access.Server.Ask]).
const atOnce = 8

func (r *Roster) read(who gate.Rank, wanted Wanted) map[int64]List {
	lists := make(map[int64]List, len(wanted))
	var mu sync.Mutex
	var reading errgroup.Group
	reading.SetLimit(atOnce)
	for _, id := range slices.Sorted(maps.Keys(wanted)) {
		reading.Go(func() error {
			list := r.listOf(who, id, wanted[id])
			mu.Lock()
			defer mu.Unlock()
			lists[id] = list
			return nil
		})
	}
	_ = reading.Wait()
	return lists
}

func (r *Roster) listOf(who gate.Rank, owner int64, deadline time.Time) (read List) {
	problem, err := r.server.Ask(who, deadline, func(ctx context.Context) error {
		listing, err := r.server.Client.Sessions(ctx, owner)
		if err == nil || len(listing.Sessions) > 0 {
			read.Listing = listing
		}
		return err
	})
	switch {
	case err != nil:
		read.Late, read.Problem = true, "there was no time to list the sessions"
	case problem != nil:
		read.Failure, read.Problem = problem, "the sessions were not listed: "+problem.Error()
	case len(read.Sessions) > 0:
		r.companies.listed(owner)
	}
	return read
}

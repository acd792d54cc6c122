package roster

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/gate"
	"logoffworker/worker/webserver"
)

// A Question is who somebody is.
type Question struct {
	Named jobs.User
	// Since is how old what is known may be.
	Since time.Time
	// Deadline is when it is too late to ask; zero is never.
	Deadline time.Time
}

// WhoIs looks a user up, unless that was done since the question's time. Nobody is no problem. The errors are
// those of [access.Server.Ask].
func (r *Roster) WhoIs(who gate.Rank, q Question) (users []webserver.User, problem *webserver.Error, err error) {
	users, known := r.directory.get(q.Named, q.Since)
	if known {
		return users, nil, nil
	}
	asked := time.Now()
	problem, err = r.server.Ask(who, q.Deadline, func(ctx context.Context) (err error) {
		users, err = usersNamed(ctx, r.server.Client, q.Named)
		return err
	})
	switch {
	case err != nil:
		return nil, nil, err
	case problem != nil && errors.Is(problem, webserver.ErrNoUser):
		users = nil
	case problem != nil:
		return nil, problem, nil
	}
	r.directory.put(q.Named, users, asked)
	return users, nil, nil
}

// many is how many users make it worth reading the list of all at once.
const many = 3

// LookUpTogether looks up users with one reading of the list of all users, if there are many of whom nothing
// is known since their question's time. What it does not find out is left to [Roster.WhoIs].
func (r *Roster) LookUpTogether(who gate.Rank, questions []Question) {
	var wanted []jobs.User
	var deadline time.Time
	for _, q := range questions {
		if _, known := r.directory.get(q.Named, q.Since); known || !inList(q.Named) {
			continue
		}
		wanted = append(wanted, q.Named)
		if !q.Deadline.IsZero() && (deadline.IsZero() || q.Deadline.Before(deadline)) {
			deadline = q.Deadline
		}
	}
	if len(wanted) >= many {
		r.lookUpInList(who, wanted, deadline)
	}
}

// inList reports whether the list of all users is sure to tell who a user is: an e-mail address is found in
// nothing else, and a domain's name may be; a plain one may be somebody else's full name there.
func inList(named jobs.User) bool { return named.Email != "" || strings.Contains(named.Name, `\`) }

// lookUpInList looks up users with one reading of the list of all. Whom that leaves in doubt is to be looked up alone.
func (r *Roster) lookUpInList(who gate.Rank, wanted []jobs.User, deadline time.Time) {
	asked := time.Now()
	var all []webserver.User
	problem, err := r.server.Ask(who, deadline, func(ctx context.Context) (err error) {
		all, err = r.server.Client.Users(ctx)
		return err
	})
	if problem != nil || err != nil {
		return
	}
	byName, byAddress := map[string][]webserver.User{}, map[string][]webserver.User{}
	for _, u := range all {
		name := webserver.Fold(u.Name)
		byName[name] = append(byName[name], u)
		for _, address := range slices.Compact([]string{webserver.Fold(u.Email), webserver.Fold(u.UPN)}) {
			byAddress[address] = append(byAddress[address], u)
		}
	}
	for _, named := range wanted {
		if named.Email != "" {
			r.directory.put(named, byAddress[webserver.Fold(named.Email)], asked)
		} else if found := byName[webserver.Fold(named.Name)]; len(found) == 1 {
			r.directory.put(named, found, asked)
		}
	}
}

func usersNamed(ctx context.Context, server *webserver.Client, named jobs.User) ([]webserver.User, error) {
	switch {
	case named.Email != "":
		return server.UsersByEmail(ctx, named.Email)
	case named.Name != "":
		u, err := server.UserByName(ctx, named.Name)
		return []webserver.User{u}, err
	}
	u, err := server.UserByID(ctx, named.ID)
	return []webserver.User{u}, err
}

// mostNames bounds what is remembered.
const mostNames = 10_000

// A directory remembers who users are, for the jobs that were in hand when the Web Server was asked: a name may
// be another's by the next.
type directory struct {
	mu    sync.Mutex
	known map[string]remembered
}

type remembered struct {
	users []webserver.User
	asked time.Time
}

func (n *directory) get(named jobs.User, since time.Time) (users []webserver.User, known bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r, known := n.known[entry(named)]
	return r.users, known && !r.asked.Before(since)
}

func (n *directory) put(named jobs.User, users []webserver.User, asked time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known == nil || len(n.known) >= mostNames {
		n.known = map[string]remembered{}
	}
	n.known[entry(named)] = remembered{users, asked}
}

func entry(named jobs.User) string {
	return strconv.FormatInt(named.ID, 10) + "|" + webserver.Fold(named.Name) + "|" + webserver.Fold(named.Email)
}

package roster

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"logoffworker/worker/webserver"
)

// CheckProtection says what of the settings would protect nobody, or keep jobs waiting, each with the place of the value
// and what to do; and what is in doubt. It asks once about each user, and lists their sessions; without a server it
// looks at the settings alone.
func CheckProtection(ctx context.Context, server *webserver.Client, c Config) (faults []error, doubts []string) {
	g := newGuard(c)
	if len(g.wrong) > 0 {
		faults = append(faults, errors.New(noSessionIDs(g.wrong)+"; "+correctSessionID))
	}
	if server == nil {
		return faults, nil
	}
	for _, u := range g.users {
		users, err := u.lookUp(ctx, server)
		if errors.Is(err, webserver.ErrNoUser) {
			err = cmp.Or(seesOthers(ctx, server), err)
		}
		switch {
		case errors.Is(err, webserver.ErrNoUser):
			faults = append(faults, errors.New(knownToNobody([]string{u.String()})+"; "+correctUser))
		case err != nil:
			faults = append(faults, fmt.Errorf("it was not found out who %s is: %w; jobs wait until it is known; %s", u, err, letLookUp))
		}
		for _, user := range users {
			list, err := server.Sessions(ctx, user.ID)
			switch {
			case err != nil:
				faults = append(faults, fmt.Errorf("what sessions %s has cannot be listed: %w; jobs with sessions wait until it can; %s", u, err, letList))
			case len(list.Sessions) == 0 && !list.Complete:
				doubts = append(doubts, fmt.Sprintf("of %s nothing is listed; if that is for want of a right, the worker says so, and jobs with sessions wait", u))
			case !list.Complete:
				doubts = append(doubts, cutLists([]string{u.String()})+"; "+protectByID)
			}
		}
	}
	return faults, doubts
}

// lookUp finds out who a user of the settings is, at least one.
func (u *protectedUser) lookUp(ctx context.Context, server *webserver.Client) ([]webserver.User, error) {
	users, err := usersNamed(ctx, server, u.named)
	if u.named.Email != "" && errors.Is(err, webserver.ErrNoUser) {
		users, err = usersNamed(ctx, server, u.asName())
	}
	if err != nil {
		return nil, err
	}
	return users, nil
}

// OwnSession reports whether the session of the token in use is found in the Web Server's list, so that a worker with
// this token leaves it alone. An error says why that is not known.
func OwnSession(ctx context.Context, server *webserver.Client) (found bool, err error) {
	self, err := server.Identify(ctx)
	if err != nil {
		return false, err
	}
	list, err := server.Sessions(ctx, self)
	if err != nil {
		return false, err
	}
	_, found = ownOf(list)
	return found, nil
}

// ownOf is the session of the token with which a list was read.
func ownOf(list webserver.Listing) (id string, found bool) {
	for _, row := range list.Sessions {
		if row.Own {
			return row.ID, true
		}
	}
	return "", false
}

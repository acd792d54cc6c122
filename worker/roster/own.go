package roster

import (
	"context"
	"time"

	"logoffworker/metrics"
	"logoffworker/worker/access"
	"logoffworker/worker/gate"
	"logoffworker/worker/webserver"
)

// identifyAgain is how long after a search for the own session that failed there is another.
const identifyAgain = time.Minute

// LookAround finds out which session is the worker's own, as far as that is not known.
func (r *Roster) LookAround() { _ = r.SeekOwn(time.Now().Add(guardTime), true) }

// SeekOwn looks for the own session, unless that was done with the token in use; once more some time after it failed,
// if it is to be done again. The errors are those of
// [access.Server.Ask]; what the Web Server answers is none, because without the
// own session nothing is lost but that a job can end it.
func (r *Roster) SeekOwn(deadline time.Time, again bool) error {
	if !r.OwnUnknown(again) {
		return nil
	}
	done, err := r.server.TakePlace(r.guard.ownTurn, deadline)
	if err != nil {
		return err
	}
	defer done()
	if !r.OwnUnknown(again) {
		return nil
	}
	return r.identify(deadline)
}

// OwnUnknown reports whether the worker's own session is to be looked for.
func (r *Roster) OwnUnknown(again bool) bool {
	token := r.server.Client.Tokens()
	if token == 0 && r.server.Client.LogsIn() {
		return false // what is not there yet, nobody can name
	}
	g := r.guard
	g.mu.Lock()
	defer g.mu.Unlock()
	switch token {
	case g.identified:
		return false
	case g.tried:
		return again && time.Since(g.triedAt) >= identifyAgain
	}
	return true
}

// identify finds out which session is our own, by the list of our own sessions.
func (r *Roster) identify(deadline time.Time) error {
	problem, err := r.whoAmI(deadline)
	token := r.server.Client.Tokens()
	var listing webserver.Listing
	if problem == nil && err == nil {
		problem, err = r.server.Ask(gate.Own, deadline, func(ctx context.Context) (err error) {
			listing, err = r.server.Client.Sessions(ctx, r.server.Client.Self())
			return err
		})
	}
	if access.Stopped(err) || err != nil && r.server.IsDown() {
		return err
	}
	r.identified(token, listing, problem, err)
	return nil
}

// whoAmI finds out our own userId, where no login has told it.
func (r *Roster) whoAmI(deadline time.Time) (*webserver.Error, error) {
	if r.server.Client.Self() != 0 {
		return nil, nil
	}
	return r.server.Ask(gate.Own, deadline, func(ctx context.Context) error {
		_, err := r.server.Client.Identify(ctx)
		return err
	})
}

// identified takes over what came of it.
func (r *Roster) identified(token int64, listing webserver.Listing, problem *webserver.Error, err error) {
	why := "there was no time to list its sessions"
	if problem != nil {
		why = problem.Error()
	}
	found := problem == nil && err == nil
	g := r.guard
	g.mu.Lock()
	defer g.mu.Unlock()
	if found && g.identified != g.tried { // before the first look they are the same
		r.health.End(PartProtected, ownUnknown)
	}
	if g.tried, g.triedAt = token, time.Now(); found {
		g.identified = token
	} else {
		r.health.Begin(metrics.Condition{
			Part: PartProtected, Kind: ownUnknown, Harmless: true,
			What: "it was not found out which session is the worker's own, so that a job which names it ends it: " + why, ToDo: logIn,
		})
	}
	if id, known := ownOf(listing); known {
		g.own.Store(&id)
	}
}

package worker

import (
	"time"

	"logoffworker/metrics"
	"logoffworker/worker/webserver"
)

// identifyAgain is how long after a search for the own session that failed there is another.
const identifyAgain = time.Minute

// lookAround finds out what is left alone, as far as that is not known.
func (w *Worker) lookAround() { _ = w.seekOwn(time.Now().Add(guardTime), true) }

// seekOwn looks for the own session, unless that was done with the token in use; once more some time after it failed,
// if it is to be done again. The errors are those of ask; what the Web Server answers is none, because without the
// own session nothing is lost but that a job can end it.
func (w *Worker) seekOwn(deadline time.Time, again bool) error {
	if !w.toSeek(again) {
		return nil
	}
	done, err := w.takeTurn(w.guard.ownTurn, deadline)
	if err != nil {
		return err
	}
	defer done()
	if !w.toSeek(again) {
		return nil
	}
	return w.identify(deadline)
}

func (w *Worker) toSeek(again bool) bool {
	token := w.Server.Tokens()
	if token == 0 && w.Server.LogsIn() {
		return false // what is not there yet, nobody can name
	}
	g := w.guard
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
func (w *Worker) identify(deadline time.Time) error {
	answer, err := w.whoAmI(deadline)
	token := w.Server.Tokens()
	var listing webserver.Listing
	if answer == nil && err == nil {
		answer, err = w.ask(rankOwn, deadline, func() (err error) {
			listing, err = w.Server.Sessions(w.finish, w.Server.Self())
			return err
		})
	}
	if stopped(err) || err != nil && w.isDown() {
		return err
	}
	w.identified(token, listing, answer, err)
	return nil
}

// whoAmI finds out our own userId, where no login has told it.
func (w *Worker) whoAmI(deadline time.Time) (*webserver.Error, error) {
	if w.Server.Self() != 0 {
		return nil, nil
	}
	return w.ask(rankOwn, deadline, func() error {
		_, err := w.Server.Identify(w.finish)
		return err
	})
}

// identified takes over what came of it.
func (w *Worker) identified(token int64, listing webserver.Listing, answer *webserver.Error, err error) {
	why := "there was no time to list its sessions"
	if answer != nil {
		why = answer.Error()
	}
	found := answer == nil && err == nil
	g := w.guard
	g.mu.Lock()
	defer g.mu.Unlock()
	if found && g.tried >= 0 && g.identified != g.tried {
		w.Health.End(PartProtected, ownUnknown)
	}
	if g.tried, g.triedAt = token, time.Now(); found {
		g.identified = token
	} else {
		w.Health.Begin(metrics.Condition{
			Part: PartProtected, Kind: ownUnknown, Harmless: true,
			What: "which session is the worker's own was not found out, so that a job which names it ends it: " + why, ToDo: logIn,
		})
	}
	if id, known := ownOf(listing); known {
		g.own.Store(&id)
	}
}

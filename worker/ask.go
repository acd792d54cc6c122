package worker

import (
	"context"
	"errors"
	"time"

	"logoffworker/worker/gate"
	"logoffworker/worker/webserver"
)

// The ranks of who asks.
type rank = gate.Rank

const (
	rankOwn    = gate.Own
	rankUrgent = gate.Urgent
	rankBulk   = gate.Bulk
)

// asks is how often something is asked of a Web Server that is well otherwise and does not answer it.
const asks = 3

// ask asks the Web Server something that changes nothing, and waits out, as calls that end sessions do,
// whatever concerns every call. A nil answer is success. An error means that the worker stops, or that the
// deadline, unless that is zero, has come.
//
// A question alone never opens the breaker: a Web Server that cannot answer it may well end sessions.
func (w *Worker) ask(who rank, deadline time.Time, question func() error) (*webserver.Error, error) {
	done, err := w.mayAsk(who, deadline)
	if err != nil {
		return nil, err
	}
	defer done()
	caller := &gate.Caller{Rank: who, Kind: gate.Read}
	for tries := 1; ; {
		pass, err := w.gate.Enter(w.stopping, caller, deadline)
		if err != nil {
			return nil, err
		}
		begun := time.Now()
		answer, err := facts(question())
		if err == nil && answer != nil && answer.Verdict == webserver.Unauthorized {
			if answer = w.renew(answer); answer == nil {
				pass.Cancel()
				continue
			}
		}
		switch {
		case err != nil:
			pass.Cancel()
			return nil, err
		case answer == nil:
			w.wellNow()
			pass.Succeeded()
			return nil, nil
		case w.concernsAll(answer, begun):
			w.Metrics.Retried(answer.Verdict.String())
			if wait := pass.Failed(answer, scopeOf(answer)); wait > 0 && !pause(w.stopping, wait) {
				return nil, w.stopping.Err()
			}
			continue
		case answer.Verdict != webserver.Unavailable && answer.Verdict != webserver.Unauthorized || tries == asks:
			pass.Cancel()
			return answer, nil
		}
		pass.Cancel()
		if !pause(w.stopping, w.Config.Backoff.After(10*tries)) {
			return nil, w.stopping.Err()
		}
		tries++
	}
}

// scopeOf says what a failure that concerns every call is a reason to hold. A login that there are too many
// of keeps everything from being asked.
func scopeOf(answer *webserver.Error) gate.Scope {
	if answer.Verdict == webserver.Throttled && answer.Op != "login" && answer.Op != "renew" {
		return gate.OfItsKind
	}
	return gate.Everything
}

// mayAsk waits for one of the few turns at asking; done ends it. Reading back is no reason to keep more
// connections busy than ending sessions does.
func (w *Worker) mayAsk(who rank, deadline time.Time) (done func(), err error) {
	ctx := w.stopping
	if !deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	turns := w.asking[who]
	select {
	case turns <- struct{}{}:
		return func() { <-turns }, nil
	case <-ctx.Done():
		if w.stopping.Err() != nil {
			return nil, w.stopping.Err()
		}
		return nil, gate.ErrOverdue
	}
}

// concernsAll reports whether what came of a question would come of every call.
func (w *Worker) concernsAll(answer *webserver.Error, begun time.Time) bool {
	switch answer.Op {
	case "login", "renew", "token": // without a token nothing else is answered
		return true
	}
	switch answer.Verdict {
	case webserver.Throttled:
		return true
	case webserver.Unauthorized, webserver.Unavailable, webserver.Misconfigured: // of one question alone, unless the others fare no better
		return !w.alive(begun)
	}
	return false
}

// stopped reports whether an error of ask means that the worker stops, and not that the time is up.
func stopped(err error) bool { return err != nil && !errors.Is(err, gate.ErrOverdue) }

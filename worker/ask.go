package worker

import (
	"context"
	"errors"
	"time"

	"logoffworker/worker/webserver"
)

// asks is how often something is asked of a Web Server that is well otherwise and does not answer it.
const asks = 3

// ask asks the Web Server something that changes nothing, and waits out, as calls that end sessions do,
// whatever concerns every call. A nil answer is success. An error means that the worker stops, or that the
// deadline, unless that is zero, has come.
//
// A question alone never closes the door: a Web Server that cannot answer it may well end sessions.
func (w *Worker) ask(who rank, deadline time.Time, question func() error) (*webserver.Error, error) {
	done, err := w.mayAsk(who, deadline)
	if err != nil {
		return nil, err
	}
	defer done()
	renewed := false
	for tries := 1; ; {
		p, err := w.admitted(w.stopping, who, deadline, w.budget.read)
		if err != nil {
			return nil, err
		}
		p.asks = true
		begun := time.Now()
		answer, err := facts(question())
		if err == nil && answer != nil && answer.Verdict == webserver.Unauthorized && !renewed {
			renewed = true
			if answer, err = facts(w.Server.Renew(w.finish, answer)); err == nil && answer == nil {
				w.door.leave(p)
				continue
			}
		}
		switch {
		case err != nil:
			w.door.leave(p)
			return nil, err
		case answer == nil:
			w.proved.Store(time.Now().UnixNano())
			w.door.answer(p)
			return nil, nil
		case w.concernsAll(answer, begun):
			w.Metrics.Retried(answer.Verdict.String())
			if wait := w.door.fail(p, answer); wait > 0 && !pause(w.stopping, wait) {
				return nil, w.stopping.Err()
			}
			continue
		case answer.Verdict != webserver.Unavailable || tries == asks:
			w.door.leave(p)
			return answer, nil
		}
		w.door.leave(p)
		if !pause(w.stopping, w.Config.Backoff.after(10*tries)) {
			return nil, w.stopping.Err()
		}
		tries++
	}
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
		return nil, errOverdue
	}
}

// concernsAll reports whether what came of a question would come of every call.
func (w *Worker) concernsAll(answer *webserver.Error, begun time.Time) bool {
	switch answer.Verdict {
	case webserver.Throttled, webserver.LoginRejected:
		return true
	case webserver.Unavailable, webserver.Unauthorized: // of one question alone, unless the others fare no better
		return !w.alive(begun)
	}
	return false
}

// stopped reports whether an error of ask means that the worker stops, and not that the time is up.
func stopped(err error) bool { return err != nil && !errors.Is(err, errOverdue) }

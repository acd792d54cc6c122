package access

import (
	"context"
	"errors"
	"time"

	"logoffworker/worker/gate"
	"logoffworker/worker/webserver"
)

// asks is how often something is asked of a Web Server that is well otherwise and does not answer it.
const asks = 3

// Ask asks the Web Server something that changes nothing, and waits out, as requests that end sessions do,
// whatever concerns every request. A nil problem is success. An error means that the worker stops, that nobody of that
// rank wants to know any more, or, being [gate.ErrOverdue], that the deadline, unless that is zero, has come.
//
// A question alone never opens the breaker: a Web Server that cannot answer it may well end sessions.
func (s *Server) Ask(who gate.Rank, deadline time.Time, question func(context.Context) error) (problem *webserver.Error, err error) {
	going := s.going(who)
	done, err := takePlace(going, s.asking[who], deadline)
	if err != nil {
		return nil, err
	}
	defer done()
	caller := &gate.Caller{Rank: who, Kind: gate.Read}
	renewed := false
	for tries := 1; ; {
		pass, err := s.Gate.Enter(going, caller, deadline)
		if err != nil {
			return nil, err
		}
		problem, next, err := s.askOnce(going, pass, question, renewed)
		switch {
		case err != nil:
			return nil, err
		case next == withAnotherToken:
			renewed = true
			continue
		case next == atOnce:
			continue
		case next == over || tries == asks:
			return problem, nil
		}
		gate.Pause(going, s.backoff.After(10*tries)) // a stop shows at the gate
		tries++
	}
}

// A follow says what follows from one request.
type follow int

const (
	over             follow = iota // there is an answer, or a problem that another request would not change
	atOnce                         // the request is made again; what holds it, the gate knows
	withAnotherToken               // the same, after the token was refused
	later                          // it is made again a few times, after a wait
)

// askOnce makes one request, and gives the pass back. Renewed says that another token was got for the same question before.
func (s *Server) askOnce(going context.Context, pass *gate.Pass, question func(context.Context) error, renewed bool) (problem *webserver.Error, next follow, err error) {
	begun := time.Now()
	problem, err = webserver.Problem(question(s.finish))
	if problem != nil && problem.Verdict == webserver.Unauthorized {
		if problem = s.Renew(problem, renewed); problem == nil {
			pass.Cancel()
			return nil, withAnotherToken, nil
		}
	}
	switch {
	case err != nil:
		pass.Cancel()
		return nil, over, err
	case problem == nil:
		s.Well()
		pass.Succeeded()
		return nil, over, nil
	case s.checkAll(problem, begun):
		s.repeated(problem.Verdict)
		gate.Pause(going, pass.Failed(problem, Reason(problem)))
		return problem, atOnce, nil
	}
	pass.Cancel()
	if problem.Verdict == webserver.Unavailable || problem.Verdict == webserver.Unauthorized {
		return problem, later, nil
	}
	return problem, over, nil
}

// Reason says what a failure that concerns every request is a reason to hold. A login that there are too many
// of keeps everything from being asked.
func Reason(problem *webserver.Error) gate.Scope {
	if problem.Verdict == webserver.Throttled && problem.Op != webserver.OpLogin && problem.Op != webserver.OpRenew {
		return gate.OfItsKind
	}
	return gate.Everything
}

// checkAll finds out whether what came of a question would come of every request, by the harmless question
// where the problem itself does not tell.
func (s *Server) checkAll(problem *webserver.Error, begun time.Time) bool {
	switch problem.Op {
	case webserver.OpLogin, webserver.OpRenew, webserver.OpToken: // without a token nothing else is answered
		return true
	}
	switch problem.Verdict {
	case webserver.Throttled:
		return true
	case webserver.Unauthorized, webserver.Unavailable, webserver.Misconfigured: // of one question alone, unless the others fare no better
		return !s.CheckAlive(begun)
	}
	return false
}

// TakePlace takes a place in a channel of places; done frees it. The errors are those of [Server.Ask].
func (s *Server) TakePlace(places chan struct{}, deadline time.Time) (done func(), err error) {
	return takePlace(s.stopping, places, deadline)
}

func takePlace(going context.Context, places chan struct{}, deadline time.Time) (done func(), err error) {
	ctx := going
	if !deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	case <-ctx.Done():
		if going.Err() != nil {
			return nil, going.Err()
		}
		return nil, gate.ErrOverdue
	}
}

// Stopped reports whether an error of [Server.Ask] means that the worker stops or the wish is gone, and not that the time is up.
func Stopped(err error) bool { return err != nil && !errors.Is(err, gate.ErrOverdue) }

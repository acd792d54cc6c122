// Package access is the one way from the worker to the Web Server: through the gate, with a token that is
// renewed where it was refused.
//
// [Server.Ask] makes requests that change nothing, and waits out whatever concerns every request.
// [Server.Ping] asks the one question that concerns nobody, which shows whether the Web Server is well.
// [Server.Renew] is what follows from a 401, whatever request met it. [Server.Watch] asks how the Web Server is
// while no job does, and [Server.WatchSecret] has a new secret tried at once.
//
// It guarantees that every request of the worker, renewals, logins and repeats included, is counted by the gate
// before it is made (the client waits for [gate.Gate.Await] before each login and renewal; see [New]), and that a
// Web Server which refuses every token is not asked for one after the other. What others do with the account,
// such as renewing a pair of tokens, is counted when it is known.
//
// It knows no job. Those who end sessions enter the gate themselves, because what an answer means for a
// document is theirs to say.
package access

import (
	"context"
	"sync/atomic"
	"time"

	"logoffworker/worker/gate"
	"logoffworker/worker/webserver"
)

// Config says how the Web Server is reached.
type Config struct {
	Client *webserver.Client
	// Gate is the configuration of the gate that is made.
	Gate gate.Config
	// Questions is how many of each rank may be asked at once.
	Questions int
	// Repeated hears of each request that is made again, with the verdict that caused it.
	Repeated func(webserver.Verdict)
	// Stopping ends when nothing new is to be begun, Finish when what was begun is to be given up.
	Stopping, Finish context.Context
	// Going, unless nil, lasts as long as there is a wish for what is asked for somebody of a rank; no longer than Stopping.
	Going func(gate.Rank) context.Context
}

// A Server is the Web Server, reached through a gate. Its methods may be called concurrently.
type Server struct {
	Client *webserver.Client
	Gate   *gate.Gate

	backoff  gate.Backoff
	repeated func(webserver.Verdict)
	stopping context.Context
	finish   context.Context
	going    func(gate.Rank) context.Context
	asking   [3]chan struct{} // the questions on their way, by rank
	renewal  renewal
	well     atomic.Int64 // when the Web Server last gave a clean answer, Unix nanoseconds; 0 before the first
}

// New returns the Web Server behind a gate that holds everything until the first answer. Logins of the client
// are counted by the gate from now on.
func New(c Config) *Server {
	s := &Server{
		Client:   c.Client,
		Gate:     gate.New(c.Gate),
		backoff:  c.Gate.Backoff,
		repeated: c.Repeated,
		stopping: c.Stopping,
		finish:   c.Finish,
		going:    c.Going,
	}
	if s.going == nil {
		s.going = func(gate.Rank) context.Context { return s.stopping }
	}
	for who := range s.asking {
		s.asking[who] = make(chan struct{}, c.Questions)
	}
	s.Client.AdmitLogins(func(context.Context) error { return s.Gate.Await(s.finish) })
	return s
}

// Well notes that the Web Server has just given a clean answer.
func (s *Server) Well() {
	s.well.Store(time.Now().UnixNano())
	s.renewal.proved()
}

// IsDown reports whether every request waits for the Web Server, as far as is known.
func (s *Server) IsDown() bool { return s.Gate.Held() != nil || s.well.Load() == 0 }

// CheckAlive finds out whether the Web Server has been well since a time: by the latest clean answer, and
// where that is older, by the harmless question. An old version that does not know the question answers all
// the same.
func (s *Server) CheckAlive(since time.Time) bool {
	if s.well.Load() > since.UnixNano() {
		return true
	}
	problem := s.Ping()
	return problem == nil || problem.OldVersion()
}

// Ping asks the harmless question; nil means that the Web Server is well and the token good. Where the limit
// or the budget of reads leaves no room for it, or it cannot be counted, the problem is Throttled, and nothing was asked.
func (s *Server) Ping() *webserver.Error {
	for renewed := false; ; renewed = true {
		if wait := s.Gate.Take(s.finish, gate.Read); wait > 0 {
			return &webserver.Error{Op: webserver.OpPing, Verdict: webserver.Throttled, RetryAfter: wait}
		}
		problem, err := webserver.Problem(s.Client.Ping(s.finish))
		switch {
		case err != nil:
			return &webserver.Error{Op: webserver.OpPing, Verdict: webserver.Unavailable, Err: err}
		case problem == nil:
			s.Well()
			return nil
		case problem.Verdict == webserver.Throttled && problem.Op == webserver.OpPing:
			s.Gate.Limit(gate.Read, problem)
		case problem.Verdict == webserver.Unauthorized && !renewed:
			if problem = s.Renew(problem, false); problem == nil {
				continue
			}
		}
		return problem
	}
}

// TryNow has what is held for the Web Server tried at once, a rejected login too, which counts towards the
// lock-out of the account if it is rejected again.
func (s *Server) TryNow() {
	s.Client.TryLoginAgain()
	s.Gate.TryNow()
}

// Watch asks the Web Server how it is when no job does, until ctx ends: at the start, while it is down with
// nothing to send, and when nothing was sent for keepAlive, so that the token would die. well is called after
// each clean answer.
func (s *Server) Watch(ctx context.Context, keepAlive time.Duration, well func()) {
	for {
		pass, err := s.Gate.EnterIdle(ctx, keepAlive)
		if err != nil {
			return
		}
		problem := s.Ping()
		switch {
		case problem == nil || problem.OldVersion():
			pass.Succeeded()
			well()
		case problem.Verdict == webserver.Throttled && problem.Op == webserver.OpPing:
			pass.Cancel()
			gate.Pause(ctx, min(max(problem.RetryAfter, s.backoff.Max), time.Minute))
		case problem.Verdict == webserver.NotFound:
			problem = problem.With(webserver.Misconfigured)
			fallthrough
		default:
			pass.Failed(problem, gate.Everything)
		}
	}
}

// secretInterval is how often it is looked whether a secret that was refused has been changed.
const secretInterval = 2 * time.Second

// WatchSecret has a changed password or token tried at once while the one before is refused, until ctx ends.
// changed is called before.
func (s *Server) WatchSecret(ctx context.Context, changed func()) {
	for gate.Pause(ctx, secretInterval) {
		held := s.Gate.Held()
		if held == nil || held.Verdict != webserver.LoginRejected && held.Verdict != webserver.Unauthorized || !s.Client.SecretChanged() {
			continue
		}
		changed()
		s.Client.TryLoginAgain()
		_ = s.Client.Renew(s.finish, held) // what comes of it, the next request shows
		s.Gate.TryNow()
	}
}

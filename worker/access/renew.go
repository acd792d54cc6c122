package access

import (
	"sync"
	"time"

	"logoffworker/worker/webserver"
)

// A renewal remembers what came of the latest token, so that a Web Server that refuses whatever token it
// hands out is not asked for one after the other.
type renewal struct {
	mu       sync.Mutex
	at       time.Time     // when the token was replaced
	unproved bool          // nothing was accepted with it yet
	rest     time.Duration // before it may be replaced again while that is so
	disputed bool          // a logoff was refused with 401, and a harmless question answered with the same token
	repeated bool          // the same token was tried once more after a refusal, and nothing was accepted since
}

// How long a token that was refused from the start is not replaced again, the first time and at most.
const (
	renewalRest    = 10 * time.Second
	renewalRestMax = 10 * time.Minute
)

// due is how long it is until the token may be replaced.
func (r *renewal) due(now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.unproved {
		return 0
	}
	return max(0, r.rest-now.Sub(r.at))
}

// renewed notes that the token was replaced since a time; those who waited for it together count once.
func (r *renewal) renewed(begun time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.at.Before(begun) {
		return
	}
	if r.unproved {
		r.rest = min(2*r.rest, renewalRestMax)
	} else {
		r.rest = renewalRest
	}
	r.at, r.unproved = time.Now(), true
}

// proved notes that something was accepted with the token.
func (r *renewal) proved() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unproved, r.repeated = false, false
}

// repeat reports whether a token that was refused, and that cannot be replaced, is tried once more: it was good
// until now, and a Web Server that is busy refuses a good one now and then.
func (r *renewal) repeat() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := !r.repeated
	r.repeated = true
	return first
}

func (r *renewal) dispute(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.disputed = on
}

func (r *renewal) isDisputed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.disputed
}

// Dispute notes whether a logoff was refused with 401 while the harmless question is answered with the same
// token.
func (s *Server) Dispute(on bool) { s.renewal.dispute(on) }

// Renew sees to it that the token that was refused is replaced: nil means that the request may be made again,
// and otherwise the problem is what came of the request: that of the renewal, or the refusal itself, where
// another token would not help. Whatever request meets a 401 comes here.
//
// Again says that another token was got for the same thing before. Then one is got only if the harmless question is
// refused as well: as long as others are accepted, one thing that is always refused would have the token replaced without
// end, and never be told.
func (s *Server) Renew(refused *webserver.Error, again bool) *webserver.Error {
	if (again || s.renewal.isDisputed()) && refused.Op != webserver.OpPing {
		problem := s.Ping() // which has the token replaced if it is that
		switch {
		case problem != nil && problem.Op == webserver.OpPing && problem.Verdict == webserver.Throttled: // nobody can tell now
		case problem != nil:
			return problem
		case s.Client.Current(refused):
			return refused
		}
	}
	if !s.Client.Current(refused) {
		return nil // somebody else was first
	}
	if wait := s.renewal.due(time.Now()); wait > 0 {
		held := *refused
		held.RetryAfter = wait
		return &held
	}
	begun := time.Now()
	problem, err := webserver.Problem(s.Client.Renew(s.finish, refused))
	switch {
	case err != nil: // a stop has taken too long
		return &webserver.Error{Op: webserver.OpRenew, Verdict: webserver.Unavailable, Err: err}
	case problem == nil:
		s.renewal.renewed(begun)
	case problem.Op == webserver.OpToken && s.renewal.repeat():
		return nil // it is the same token still
	}
	return problem
}

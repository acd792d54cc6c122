package worker

import (
	"sync"
	"time"

	"logoffworker/worker/gate"
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
	r.unproved = false
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

// renew sees to it that the token that was refused is replaced: nil means that the call may be made again,
// and otherwise the error is what came of the call: that of the renewal, or the refusal itself, where
// another token would not help. Whatever call meets a 401 comes here.
func (w *Worker) renew(refused *webserver.Error) *webserver.Error {
	if w.renewal.isDisputed() && refused.Op != "ping" {
		if problem := w.ping(); problem != nil { // which has the token replaced if it is that
			return problem
		}
		if w.Server.Current(refused) {
			return refused
		}
	}
	if !w.Server.Current(refused) {
		return nil // somebody else was first
	}
	if wait := w.renewal.due(time.Now()); wait > 0 {
		refused.RetryAfter = wait
		return refused
	}
	begun := time.Now()
	answer, err := facts(w.Server.Renew(w.finish, refused))
	switch {
	case err != nil: // a stop has taken too long
		return &webserver.Error{Op: "renew", Verdict: webserver.Unavailable, Err: err}
	case answer == nil:
		w.renewal.renewed(begun)
	}
	return answer
}

// ping asks the harmless question; nil means that the Web Server is well and our token good. Where the limit
// or the budget of reads leaves no room for it, the error is Throttled, and nothing was asked.
func (w *Worker) ping() *webserver.Error {
	for renewed := false; ; renewed = true {
		if wait := w.gate.Take(gate.Read); wait > 0 {
			return &webserver.Error{Op: "ping", Verdict: webserver.Throttled, RetryAfter: wait}
		}
		answer, err := facts(w.Server.Ping(w.finish))
		switch {
		case err != nil:
			return &webserver.Error{Op: "ping", Verdict: webserver.Unavailable, Err: err}
		case answer == nil:
			w.wellNow()
			return nil
		case answer.Verdict == webserver.Throttled && answer.Op == "ping":
			w.gate.Limit(gate.Read, answer)
		case answer.Verdict == webserver.Unauthorized && !renewed:
			if answer = w.renew(answer); answer == nil {
				continue
			}
		}
		return answer
	}
}

// CountOther counts a request with the worker's account that it did not make itself, by the name of its
// operation: those that renew a pair of tokens. It may be called before Run.
func (w *Worker) CountOther(op string) {
	kind := gate.Write
	if op == "ping" {
		kind = gate.Read
	}
	w.others[kind].Add(1)
}

// wellNow notes that the Web Server has just given a clean answer.
func (w *Worker) wellNow() {
	w.proved.Store(time.Now().UnixNano())
	w.renewal.proved()
}

// TryNow has what is held for the Web Server tried at once, a rejected login too, which counts towards the
// lock-out of the account if it is rejected again.
func (w *Worker) TryNow() {
	w.Server.TryLoginAgain()
	w.guard.tryNow()
	w.gate.TryNow()
}

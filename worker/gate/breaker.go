package gate

import (
	"context"
	"slices"
	"sync"
	"time"

	"logoffworker/worker/webserver"
)

// A State of a circuit breaker.
type State string

// The states: closed lets every request through, open holds all of them until a time, and half-open waits
// for the answer to the one that tries whether it can close.
const (
	Closed   State = "closed"
	HalfOpen State = "half_open"
	Open     State = "open"
)

// States lists them.
var States = []State{Closed, HalfOpen, Open}

// A Change is a new state of a breaker.
type Change struct {
	To    State
	Why   *webserver.Error // while it is not closed; nil before the first request
	Scope Scope            // of Why
	Until time.Time        // the next try, while it is open
	Age   time.Duration    // since it last opened or closed
}

// A Scope says what a failure is a reason to hold.
type Scope int

// The scopes.
const (
	// Everything: whatever is asked would fail.
	Everything Scope = iota
	// LogoffsOnly: the Web Server answers harmless questions, and refused a logoff in a way that may
	// concern that document alone.
	LogoffsOnly
	// OfItsKind: the Web Server was asked too often.
	OfItsKind
)

// A breaker is a circuit breaker. Open, it lets one try through after the other, each after a longer wait,
// until one succeeds: an urgent one first, and among those of a rank the one whose last refusal is the
// longest ago.
type breaker struct {
	backoff Backoff
	moved   func(Change)

	mu       sync.Mutex
	state    State
	until    time.Time        // while open, no try before this; zero while closed
	why      *webserver.Error // while not closed; nil before the first request, and while closed
	scope    Scope
	since    time.Time // of the last opening or closing
	answer   time.Time // when the Web Server last gave an answer that it stands behind
	failures int       // in a row
	lasting  int       // how many of the last of them waiting alone does not mend
	epoch    int       // counts openings, to tell requests that began before one
	waiting  []*Caller
	changed  chan struct{} // closed at every change
}

// A ticket is a breaker's half of a [Pass].
type ticket struct {
	tries bool // it is the one try of an open breaker
	idle  bool // it is the watch's, which has no job in hand
	epoch int
}

// failuresToOpen is how many requests in a row must fail before the breaker opens: one that fails alone is
// an accident, and only its own document waits.
const failuresToOpen = 3

func newBreaker(b Backoff, state State, moved func(Change)) *breaker {
	return &breaker{backoff: b, moved: moved, state: state, since: time.Now(), changed: make(chan struct{})}
}

func (b *breaker) enter(ctx context.Context, c *Caller, deadline time.Time) (ticket, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.turn(ctx, c, deadline); err != nil {
		return ticket{}, err
	}
	if !b.holds(c) {
		return ticket{epoch: b.epoch}, nil
	}
	b.move(HalfOpen)
	return ticket{tries: true, epoch: b.epoch}, nil
}

// turn waits until it is a caller's turn, with the lock given up meanwhile.
func (b *breaker) turn(ctx context.Context, c *Caller, deadline time.Time) error {
	b.waiting = append(b.waiting, c)
	defer b.forget(c)
	for {
		now := time.Now()
		switch {
		case ctx.Err() != nil:
			b.signal() // whom we were in front of may go
			return ctx.Err()
		case !deadline.IsZero() && !now.Before(deadline):
			b.signal()
			return ErrOverdue
		case !b.holds(c), b.isNext(c, now):
			return nil
		}
		b.wait(ctx, earliest(b.until, deadline, now))
	}
}

// holds reports whether a caller has to wait or to be the one that tries.
func (b *breaker) holds(c *Caller) bool {
	return b.state != Closed && (c.Kind == Write || !b.readsGoOn())
}

// readsGoOn reports whether what the breaker is open for concerns logoffs alone: they are refused, or answered with
// something that nobody knows. Whether they took effect all the same shows when the sessions are read back.
func (b *breaker) readsGoOn() bool {
	return b.scope == LogoffsOnly || b.why != nil && b.why.Op == webserver.OpLogoff && b.why.Unknown
}

// isNext reports whether a caller is the one that tries now.
func (b *breaker) isNext(c *Caller, now time.Time) bool {
	if b.state != Open {
		return false
	}
	var next *Caller
	for _, w := range b.waiting {
		if b.holds(w) && b.mayTry(w, now) && (next == nil || before(w, next)) {
			next = w
		}
	}
	return next == c
}

// mayTry reports whether the time of a caller has come: at once, if logoffs alone are refused and none of
// its own has been.
func (b *breaker) mayTry(c *Caller, now time.Time) bool {
	return !now.Before(b.until) || b.scope == LogoffsOnly && c.refusedAt().IsZero()
}

func before(a, b *Caller) bool {
	if a.Rank != b.Rank {
		return a.Rank < b.Rank
	}
	return a.refusedAt().Before(b.refusedAt())
}

func (b *breaker) forget(c *Caller) {
	if i := slices.Index(b.waiting, c); i >= 0 {
		b.waiting = slices.Delete(b.waiting, i, i+1)
	}
}

// wait waits, with the lock given up, for a change, a time unless it is zero, or the end of ctx.
func (b *breaker) wait(ctx context.Context, until time.Time) {
	var alarm <-chan time.Time
	if !until.IsZero() {
		alarm = time.After(time.Until(until))
	}
	changed := b.changed
	b.mu.Unlock()
	select {
	case <-changed:
	case <-alarm:
	case <-ctx.Done():
	}
	b.mu.Lock()
}

// earliest is the first of the times that lie ahead; zero when none does.
func earliest(a, b, now time.Time) time.Time {
	if !a.After(now) {
		a = time.Time{}
	}
	if b.After(now) && (a.IsZero() || b.Before(a)) {
		return b
	}
	return a
}

// answered gives a ticket back after an answer that the Web Server stands behind: it is there, so the
// breaker closes. The answer to a request that began before the breaker opened is older news than what
// opened it; and one to a harmless question does not show that logoffs are taken again.
func (b *breaker) answered(t ticket, kind Kind) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.signal()
	tried := b.back(t)
	b.answer = time.Now()
	harmless := kind == Read || t.idle
	switch {
	case t.epoch != b.epoch && !t.tries:
	case b.state == Closed && harmless: // that logoffs fail, it does not disprove
	case harmless && b.readsGoOn(), harmless && !b.clearedByRead():
		if tried {
			b.move(Open)
		}
	default:
		if kind == Write || t.idle { // else the next logoff that fails goes on where the last one was
			b.failures, b.lasting = 0, 0
		}
		b.close()
	}
}

// clearedByRead reports whether an answer to something that changes nothing shows that the reason is gone.
func (b *breaker) clearedByRead() bool {
	if b.why == nil || b.why.Op != webserver.OpLogoff {
		return true
	}
	switch b.why.Verdict {
	case webserver.Unavailable, webserver.Unauthorized, webserver.LoginRejected, webserver.Throttled:
		return true
	}
	return false
}

func (b *breaker) close() {
	if b.state == Closed {
		return
	}
	b.why, b.scope, b.until = nil, Everything, time.Time{}
	b.move(Closed)
	b.since = b.answer
}

// failed gives a ticket back after a request that failed for a reason that others share.
func (b *breaker) failed(t ticket, why *webserver.Error, scope Scope) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.signal()
	tried := b.back(t)
	stale := t.epoch != b.epoch && !t.tries
	if stale && why.RetryAfter == 0 {
		return 0 // it tells nothing new
	}
	b.failures++
	wait = max(b.backoff.after(b.failures), why.RetryAfter)
	if standing(why) {
		b.lasting++
		wait = max(b.backoff.standing(b.lasting), why.RetryAfter)
	} else {
		b.lasting = 0
	}
	if b.state == Closed && b.failures < failuresToOpen && isolated(why) && !t.idle {
		return wait
	}
	if stale && b.until.After(time.Now().Add(wait)) {
		wait = time.Until(b.until)
	}
	if b.state != Closed && !tried && scope == LogoffsOnly { // another document is refused as well
		return 0
	}
	b.open(why, scope, wait)
	return 0
}

// open opens the breaker, or has it stay open for a while longer.
func (b *breaker) open(why *webserver.Error, scope Scope, wait time.Duration) {
	now := time.Now()
	if b.state == Closed {
		b.epoch++
		b.since = now
	}
	b.until, b.why, b.scope = now.Add(wait), why, scope
	b.move(Open)
}

// trip opens the breaker from outside of a request that holds a ticket.
func (b *breaker) trip(why *webserver.Error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.signal()
	b.failures++
	b.open(why, OfItsKind, max(b.backoff.after(b.failures), why.RetryAfter))
}

// isolated reports whether a failure may concern its own request alone. What the Web Server says about
// load, rights or its address concerns all.
func isolated(why *webserver.Error) bool {
	return why.Verdict == webserver.Unavailable && why.RetryAfter == 0
}

// standing reports whether waiting alone does not mend a reason, so that there is no hurry to try again.
func standing(why *webserver.Error) bool {
	switch why.Verdict {
	case webserver.Unavailable:
		return why.Unknown
	case webserver.Unauthorized:
		return why.RetryAfter == 0 // else the token may be replaced then
	case webserver.Forbidden, webserver.LoginRejected, webserver.Misconfigured, webserver.NotFound, webserver.Refused, webserver.TooLarge:
		return true
	}
	return false
}

// leave gives a ticket back after a request that was not made, or tells nothing.
func (b *breaker) leave(t ticket) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.back(t) {
		b.move(Open)
	}
	b.signal()
}

// back takes a ticket back, and reports whether it was the try of the breaker as it is now.
func (b *breaker) back(t ticket) bool {
	return t.tries && t.epoch == b.epoch && b.state == HalfOpen
}

func (b *breaker) signal() {
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *breaker) move(to State) {
	b.state = to
	b.moved(Change{To: to, Why: b.why, Scope: b.scope, Until: b.until, Age: time.Since(b.since)})
}

// rest is how long the breaker holds everybody.
func (b *breaker) rest(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(0, b.until.Sub(now))
}

// tryNow lets the next caller try.
func (b *breaker) tryNow() {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.signal()
	b.until, b.failures, b.lasting = time.Time{}, 0, 0
}

func (b *breaker) held() *webserver.Error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.why
}

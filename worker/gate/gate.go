// Package gate decides whether a request to the Web Server may be made now, and hears what came of it.
//
// Three things hold a request back. The circuit breaker does while the Web Server is down, or refuses what
// it is asked (breaker.go). A limit does, one for reads and one for writes, after the Web Server has said
// that there were too many of that kind (HTTP 429): the other kind goes on. A budget does where the
// settings allow only so many requests (budget.go).
//
// Whoever wants to make a request is a [Caller]. [Gate.Enter] waits until the request may be made, and
// returns one [Pass], which must be given back with what came of the request: [Pass.Succeeded],
// [Pass.Failed] or [Pass.Cancel]. What is held keeps its place in hand, so that pulling jobs stops by
// itself.
//
// It guarantees that
//   - while the breaker is open, one request at a time tries whether it can close;
//   - a caller that has not been refused yet goes before one that has, so that a document which the Web
//     Server will never take does not keep it from being asked about others;
//   - within any hour, and any second, no more requests begin than the budgets allow. The hours are those of all
//     workers together where they can count together (fleet.go); while that cannot be asked, requests that have a
//     budget by the hour wait. The seconds are each worker's own.
//
// It makes no request itself, and knows no job.
package gate

import (
	"context"
	"errors"
	"sync"
	"time"

	"logoffworker/worker/webserver"
)

// A Kind of request is what the Web Server, and the gateways before it, count apart.
type Kind int

// The kinds of requests.
const (
	Read  Kind = iota // GET
	Write             // everything else: logoffs, logins and renewals
)

// Kinds lists them.
var Kinds = []Kind{Read, Write}

// String is the kind's name in words for operators: reads or writes.
func (k Kind) String() string {
	if k == Read {
		return "reads"
	}
	return "writes"
}

// A Rank orders who goes first, and who may use how much of a budget.
type Rank int

// The ranks.
const (
	Own    Rank = iota // what keeps the worker able to work: logins, renewals and pings
	Urgent             // urgent jobs
	Bulk               // bulk jobs
)

// String is the rank's name.
func (r Rank) String() string { return [...]string{"own", "urgent", "bulk"}[r] }

// ErrOverdue is the error of a caller whose deadline came first.
var ErrOverdue = errors.New("there was no time for the request")

// Config says how a gate holds requests. The functions must not block, and must not call the gate.
type Config struct {
	// Backoff spaces the tries while the breaker is open.
	Backoff Backoff
	// ReadsPerHour and WritesPerHour are the requests of the fleet within any hour, RequestsPerSecond both together
	// of this worker within any second; 0 is no limit.
	ReadsPerHour, WritesPerHour, RequestsPerSecond int
	// Count, unless nil, adds to the requests of a kind that the fleet has made, and returns how many those are within
	// the last hour, the added ones included; adding 0 only asks. It may take its time, and is called only for kinds
	// with a limit. [ErrAlone] means that nobody counts together, as nil does. It must not call the gate.
	Count func(ctx context.Context, kind Kind, n int64) (within int64, err error)
	// Others, unless nil, is how many requests of a kind somebody else has made so far with the worker's
	// account, such as renewals of a pair of tokens: they count too.
	Others func(Kind) int64
	// Moved hears of every change of the breaker.
	Moved func(Change)
	// Limited hears of every change of the limit of a kind.
	Limited func(Kind, Change)
	// Spent hears for how long requests of a kind and rank wait for the budget, when that begins to be long;
	// and of 0, when no request of the kind waits so long any more.
	Spent func(Kind, Rank, time.Duration)
	// Uncounted hears, unless nil, that requests of a kind wait because Count failed, and of nil when that is over.
	Uncounted func(Kind, error)
}

// Long is from when on a wait is worth telling.
const Long = 15 * time.Second

// A Gate stands before one Web Server. Its methods may be called concurrently.
type Gate struct {
	breaker *breaker
	limits  [2]*breaker
	budget  *budget

	tell  func(Kind, Rank, time.Duration)
	mu    sync.Mutex
	since [2][3]time.Time // when requests of a kind and rank began to wait for the budget; zero where none does
	waits [2][3]bool      // whether they wait long
}

// New returns a gate whose breaker is open until the first request has shown that the Web Server answers.
func New(c Config) *Gate {
	g := &Gate{budget: newBudget(c), tell: c.Spent}
	g.breaker = newBreaker(c.Backoff, Open, c.Moved)
	for _, kind := range Kinds {
		g.limits[kind] = newBreaker(c.Backoff, Closed, func(to Change) { c.Limited(kind, to) })
	}
	return g
}

// A Caller makes requests, one at a time: a document on its way, or a question.
type Caller struct {
	Rank Rank
	Kind Kind

	mu     sync.Mutex
	failed time.Time // when its last request was refused; zero when none was
}

func (c *Caller) refusedAt() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

func (c *Caller) refused(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = now
}

// A Pass is the right to make one request. Exactly one of its methods must be called, once.
type Pass struct {
	gate    *Gate
	caller  *Caller
	breaker ticket
	limit   ticket
}

// Enter waits until a request may be made. It returns ctx's error when ctx ends first, and [ErrOverdue] at
// the deadline, unless that is zero.
func (g *Gate) Enter(ctx context.Context, c *Caller, deadline time.Time) (*Pass, error) {
	for {
		p, err := g.enter(ctx, c, deadline)
		if err != nil {
			return nil, err
		}
		wait := g.budget.take(ctx, c.Kind, c.Rank)
		g.spent(c.Kind, c.Rank, wait)
		if wait == 0 {
			return p, nil
		}
		p.Cancel() // whoever waits for a budget keeps nobody from trying
		now := time.Now()
		if !deadline.IsZero() && deadline.Before(now.Add(wait)) {
			wait = max(0, deadline.Sub(now))
		}
		if !Pause(ctx, wait) {
			return nil, ctx.Err()
		}
	}
}

// Turn waits, as [Gate.Enter] does for the breaker, until it is a caller's turn, and takes nothing: whoever has
// waited without a slot takes one then, and enters.
func (g *Gate) Turn(ctx context.Context, c *Caller, deadline time.Time) error {
	g.breaker.mu.Lock()
	defer g.breaker.mu.Unlock()
	defer g.breaker.signal() // whoever it goes before may be next now
	return g.breaker.turn(ctx, c, deadline)
}

// enter waits for the limit of the caller's kind, then for the breaker.
func (g *Gate) enter(ctx context.Context, c *Caller, deadline time.Time) (*Pass, error) {
	limit, err := g.limits[c.Kind].enter(ctx, c, deadline)
	if err != nil {
		return nil, err
	}
	through, err := g.breaker.enter(ctx, c, deadline)
	if err != nil {
		g.limits[c.Kind].leave(limit)
		return nil, err
	}
	return &Pass{gate: g, caller: c, breaker: through, limit: limit}, nil
}

// Succeeded says that the Web Server gave an answer that it stands behind, be it yes or no.
func (p *Pass) Succeeded() {
	p.caller.refused(time.Time{})
	p.gate.limits[p.caller.Kind].answered(p.limit, p.caller.Kind)
	p.gate.breaker.answered(p.breaker, p.caller.Kind)
}

// Failed says that the next request would probably fail too. The caller waits as long as it is told before
// it comes again; where the breaker is open now, that is not at all, because Enter makes it wait.
func (p *Pass) Failed(why *webserver.Error, only Scope) (wait time.Duration) {
	p.caller.refused(time.Now())
	if only == OfItsKind {
		p.gate.breaker.leave(p.breaker)
		return p.gate.limits[p.caller.Kind].failed(p.limit, why, only)
	}
	p.gate.limits[p.caller.Kind].leave(p.limit)
	return p.gate.breaker.failed(p.breaker, why, only)
}

// Cancel gives the pass back after a request that was not made, or that tells nothing about the next.
func (p *Pass) Cancel() {
	p.gate.limits[p.caller.Kind].leave(p.limit)
	p.gate.breaker.leave(p.breaker)
}

// Take takes the right to one request of rank [Own] that waits for nothing, or says how long it is until
// there may be one.
func (g *Gate) Take(ctx context.Context, kind Kind) (wait time.Duration) {
	if wait := g.limits[kind].rest(time.Now()); wait > 0 {
		return wait
	}
	return g.budget.take(ctx, kind, Own)
}

// Left is how many requests of a kind may still be made within the hour, of how many; a limit of 0 is none. Both are
// the fleet's where it counts together.
func (g *Gate) Left(ctx context.Context, kind Kind) (left, limit int, err error) {
	return g.budget.left(ctx, kind)
}

// Await waits until a login or a renewal may be made, which is a write of rank [Own]. It returns ctx's error
// when ctx ends first.
func (g *Gate) Await(ctx context.Context) error {
	for {
		wait := g.budget.take(ctx, Write, Own)
		g.spent(Write, Own, wait)
		if wait == 0 {
			return nil
		}
		if !Pause(ctx, wait) {
			return ctx.Err()
		}
	}
}

// Limit holds the requests of a kind because the Web Server has said that there were too many.
func (g *Gate) Limit(kind Kind, why *webserver.Error) { g.limits[kind].trip(why) }

// TryNow lets the next request try at once whatever the breaker is open for.
func (g *Gate) TryNow() { g.breaker.tryNow() }

// Held is why the breaker holds requests; nil while it does not, and before the first request.
func (g *Gate) Held() *webserver.Error { return g.breaker.held() }

// spent tells of waits for the budget that begin or end to be long.
func (g *Gate) spent(kind Kind, who Rank, wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	since := &g.since[kind][who]
	switch {
	case wait == 0:
		*since = time.Time{}
	case since.IsZero():
		*since = time.Now()
	}
	long := wait >= Long || !since.IsZero() && time.Since(*since) >= Long
	if g.waits[kind][who] == long {
		return
	}
	g.waits[kind][who] = long
	switch {
	case long:
		g.tell(kind, who, wait)
	case g.waits[kind] == [3]bool{}:
		g.tell(kind, who, 0)
	}
}

// Pause waits, and reports whether it could wait to the end: it could not if ctx ended first. Where there is nothing to
// wait for, it could unless ctx has ended.
func Pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"logoffworker/worker/webserver"
)

// A door is the circuit breaker towards the Web Server. Open, it lets every call through. Closed,
// it holds all calls until a time, then lets one probe through after the other, an urgent one
// first, each after a longer wait, until an answer opens it again. What is held keeps its slot, so
// that pulling stops by itself.
type door struct {
	backoff Backoff
	moved   func(state string, why *webserver.Error, closedFor time.Duration)

	mu       sync.Mutex
	open     bool
	probing  bool
	until    time.Time        // while closed, no probe before this
	why      *webserver.Error // while closed; nil at the start
	since    time.Time        // of the last opening or closing
	answered time.Time        // when the Web Server last gave a clean answer
	failures int              // in a row
	epoch    int              // counts closings, to tell calls that began before one
	waiting  [2]int           // callers held, by rank
	changed  chan struct{}    // closed at every change
}

// A rank orders who probes first.
type rank int

const (
	rankUrgent rank = iota
	rankBulk
	rankIdle // the watch, which has no job in hand
)

// A pass is the right to make one call; it must be given back with the call's end.
type pass struct {
	probe bool
	idle  bool // the watch's, which logs nobody off
	asks  bool // a question's, which logs nobody off either
	epoch int
}

// failuresToClose is how many calls in a row must fail before the door closes: one that fails alone
// is an accident, and only its own document waits.
const failuresToClose = 3

var errOverdue = errors.New("the time of a held job ran out")

// newDoor returns a door that is closed until the first call has shown that the server answers.
func newDoor(b Backoff, moved func(string, *webserver.Error, time.Duration)) *door {
	return &door{backoff: b, moved: moved, since: time.Now(), changed: make(chan struct{})}
}

// enter waits until a call may be made. It returns ctx's error when ctx ends first, and errOverdue
// at the deadline, unless that is zero.
func (d *door) enter(ctx context.Context, who rank, deadline time.Time) (pass, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting[who]++
	defer func() { d.waiting[who]-- }()
	for {
		now := time.Now()
		switch {
		case ctx.Err() != nil:
			d.signal() // whom we held back may go
			return pass{}, ctx.Err()
		case !deadline.IsZero() && !now.Before(deadline):
			d.signal()
			return pass{}, errOverdue
		case d.open:
			return pass{epoch: d.epoch}, nil
		case d.mayProbe(who, now):
			d.probing = true
			d.move("probing")
			return pass{probe: true, epoch: d.epoch}, nil
		}
		d.wait(ctx, earliest(d.until, deadline, now))
	}
}

func (d *door) mayProbe(who rank, now time.Time) bool {
	return !d.probing && !now.Before(d.until) && (who == rankUrgent || d.waiting[rankUrgent] == 0)
}

// enterIdle waits until the watch has a reason to call: the door is closed for a reason that a
// harmless call can clear and no job is held that would probe it, or it has been open and idle for
// keepAlive.
func (d *door) enterIdle(ctx context.Context, keepAlive time.Duration) (pass, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for ctx.Err() == nil {
		now := time.Now()
		next := d.until
		switch {
		case d.open:
			next = d.answered.Add(keepAlive)
			if !now.Before(next) {
				d.answered = now
				return pass{idle: true, epoch: d.epoch}, nil
			}
		case d.waiting[rankUrgent]+d.waiting[rankBulk] > 0 || d.probing || !d.clearedByPing():
			next = time.Time{}
		case !now.Before(d.until):
			d.probing = true
			d.move("probing")
			return pass{probe: true, idle: true, epoch: d.epoch}, nil
		}
		d.wait(ctx, next)
	}
	return pass{}, ctx.Err()
}

// clearedByPing reports whether a call that logs nobody off can show that the reason is gone. A
// missing permission or a wrong path shows only at the real call.
func (d *door) clearedByPing() bool {
	if d.why == nil {
		return true
	}
	switch d.why.Verdict {
	case webserver.Unavailable, webserver.Unauthorized, webserver.LoginRejected:
		return true
	}
	return false
}

// clearedByQuestion reports whether a question about users or sessions can show that the reason is gone: a
// limit holds for it, too.
func (d *door) clearedByQuestion() bool {
	return d.clearedByPing() || d.why.Verdict == webserver.Throttled
}

// wait waits, with the lock given up, for a change, a time unless it is zero, or the end of ctx.
func (d *door) wait(ctx context.Context, until time.Time) {
	var alarm <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		alarm = timer.C
	}
	changed := d.changed
	d.mu.Unlock()
	select {
	case <-changed:
	case <-alarm:
	case <-ctx.Done():
	}
	d.mu.Lock()
}

// earliest is the first of the times that lie ahead; zero when none does.
func earliest(a, b, now time.Time) time.Time {
	switch {
	case !a.After(now):
		a = time.Time{}
	case !b.After(now):
		return a
	}
	if a.IsZero() || b.After(now) && b.Before(a) {
		return b
	}
	return a
}

// answer gives a pass back after the Web Server gave an answer that it stands behind, be it yes or
// no: it is there, so the door opens. The answer to a call that began before the door closed is
// older news than what closed it.
func (d *door) answer(p pass) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.back(p)
	d.answered = time.Now()
	if d.stale(p) {
		return
	}
	if d.open && p.idle {
		return // that real calls fail it does not disprove
	}
	if p.asks && (d.open || !d.clearedByQuestion()) {
		d.signal()
		return
	}
	if !p.asks { // else the next real call that fails goes on where the last one was
		d.failures = 0
	}
	if !d.open {
		d.open = true
		d.why = nil
		d.move("open")
		d.since = d.answered
	}
	d.signal()
}

// fail gives a pass back after a call that shows that the next one would fail too. The caller waits
// as long as it is told before it comes again; where the door has closed, that is not at all,
// because then the door makes it wait.
func (d *door) fail(p pass, why *webserver.Error) (wait time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.signal()
	d.back(p)
	stale := d.stale(p)
	if stale && why.RetryAfter == 0 {
		return 0 // and tells nothing new
	}
	d.failures++
	wait = max(d.backoff.after(d.failures), why.RetryAfter)
	if d.open && d.failures < failuresToClose && isolated(why) && !p.idle {
		return wait
	}
	now := time.Now()
	if d.open {
		d.epoch++
		d.since = now
	}
	if stale && d.until.After(now.Add(wait)) {
		wait = d.until.Sub(now)
	}
	d.open, d.until, d.why = false, now.Add(wait), why
	d.move("closed")
	return 0
}

// isolated reports whether a failure may concern its own call alone. What the server says about
// load, rights or its address concerns all.
func isolated(why *webserver.Error) bool {
	return why.Verdict == webserver.Unavailable && why.RetryAfter == 0
}

// leave gives a pass back after a call that was not made.
func (d *door) leave(p pass) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.back(p)
	d.signal()
}

// stale reports whether a call began before the door closed.
func (d *door) stale(p pass) bool { return p.epoch != d.epoch && !p.probe }

func (d *door) back(p pass) {
	if p.probe {
		d.probing = false
	}
}

func (d *door) signal() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// move tells of a new state, and how long ago the door last opened or closed.
func (d *door) move(state string) {
	d.moved(state, d.why, time.Since(d.since))
}

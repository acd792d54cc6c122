package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/worker/gate"
)

// leases holds every job in hand, and keeps JetStream from delivering it again while it is.
type leases struct {
	mu           sync.Mutex
	inHand       map[string]*delivery // by key
	urgent, bulk load
}

// A load is the jobs of a lane in hand: those that are worked, and those of which something cannot be stored. A job
// weighs one, or as much as its sessions once they are known.
type load struct{ worked, parked int }

func newLeases() *leases {
	return &leases{inHand: map[string]*delivery{}}
}

// takeOn takes a job in hand. It returns false for one that is in hand already, as happens when a
// connection was down for longer than a lease: the first delivery keeps its power, so the second is
// not needed.
func (l *leases) takeOn(d *delivery) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inHand[d.key] != nil {
		return false
	}
	l.inHand[d.key] = d
	l.put(d, false, 1)
	return true
}

func (l *leases) release(d *delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.inHand, d.key)
	l.put(d, d.parked, 0)
}

// park counts jobs apart of which something cannot be stored, so that they take no room from others.
func (l *leases) park(ds []*delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range ds {
		l.put(d, true, d.weight)
	}
}

// weigh counts a job as its sessions, once they are known.
func (l *leases) weigh(d *delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.put(d, d.parked, max(1, len(d.targets)+len(d.users)))
}

// put says what a job weighs and where, with the lock held.
func (l *leases) put(d *delivery, parked bool, weight int) {
	of := l.of(d.lane)
	of.add(d.parked, -d.weight)
	d.parked, d.weight = parked, weight
	of.add(d.parked, d.weight)
}

func (l *leases) of(name jobs.Lane) *load {
	if name == jobs.Urgent {
		return &l.urgent
	}
	return &l.bulk
}

func (o *load) add(parked bool, weight int) {
	if parked {
		o.parked += weight
	} else {
		o.worked += weight
	}
}

// lane is how many sessions of a lane are worked, and how many wait for something to be stored, with one for
// each job that has none.
func (l *leases) lane(name jobs.Lane) (worked, parked int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.of(name)
	return of.worked, of.parked
}

// weightOf is how many sessions of a lane are in hand in all.
func (l *leases) weightOf(name jobs.Lane) int {
	worked, parked := l.lane(name)
	return worked + parked
}

func (l *leases) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.inHand)
}

func (l *leases) all() []*delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Values(l.inHand))
}

// keep extends every lease at a third of it until ctx ends.
func (l *leases) keep(ctx context.Context, ackWait time.Duration, health *metrics.Health) {
	for gate.Pause(ctx, ackWait/3) {
		failed := 0
		for _, d := range l.all() {
			err := d.extend(ackWait)
			if err != nil && !errors.Is(err, nats.ErrMsgAlreadyAckd) {
				failed++
			}
		}
		if failed > 0 {
			health.Begin(metrics.Condition{
				Part: "jobs", Kind: "leases", Harmless: true, Quiet: ackWait,
				What: fmt.Sprintf("the leases of %d jobs in hand could not be extended; another worker may get them too, which is safe", failed),
			})
		}
	}
}

// extend starts the lease anew, unless it was started just now. A message that got no place on the wire
// extends nothing.
func (d *delivery) extend(ackWait time.Duration) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if d.lease.Sub(now) > ackWait*3/4 {
		return nil
	}
	if err := d.msg.InProgress(); err != nil {
		return err
	}
	d.renew(now, ackWait)
	return nil
}

// renew keeps the local clock of the lease. One that has run out stays so: somebody else may have the
// job, and is not to lose it.
func (d *delivery) renew(now time.Time, ackWait time.Duration) {
	d.lapsed = d.lapsed || !now.Before(d.lease)
	d.lease = now.Add(ackWait)
}

// leased reports whether the job is certainly still ours: only then may it be handed back, because
// a stale negative acknowledgement would hand out a job that somebody else works.
func (d *delivery) leased(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.lapsed && now.Before(d.lease)
}

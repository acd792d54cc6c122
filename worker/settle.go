package worker

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"logoffworker/jobs"
)

// conclude gives every session of a document the same outcome, and settles the jobs that are
// complete with it.
func (l *lane) conclude(doc document, outcome jobs.SessionResult) {
	now := time.Now()
	var complete []*delivery
	for _, s := range doc {
		outcome.Attempts = s.attempts
		for _, a := range l.queue.done(s) {
			if a.d.set(a.i, outcome, now) {
				complete = append(complete, a.d)
			}
		}
	}
	l.wrapUp(complete)
}

// dropOverdue takes those sessions out of a document that no job asks for any more, because its
// notAfter has passed. One that may have been ended all the same is undecided.
func (l *lane) dropOverdue(doc *document) {
	now := time.Now()
	var complete []*delivery
	kept := (*doc)[:0:0]
	for _, s := range *doc {
		outcome := jobs.SessionResult{Outcome: jobs.Expired, Attempts: s.attempts}
		if s.uncertain {
			outcome.Outcome = jobs.Undecided
			outcome.ServerText = "sent without a verdict until notAfter had passed"
		}
		for _, a := range l.queue.overdue(s, now) {
			if a.d.set(a.i, outcome, now) {
				complete = append(complete, a.d)
			}
		}
		if l.queue.wanted(s) {
			kept = append(kept, s)
		}
	}
	*doc = kept
	l.wrapUp(complete)
}

// handBack gives sessions that are not sent back to their jobs, and the jobs back to the stream.
func (l *lane) handBack(docs ...document) {
	var complete []*delivery
	for _, doc := range docs {
		for _, s := range doc {
			for _, a := range l.queue.done(s) {
				if a.d.giveBack() {
					complete = append(complete, a.d)
				}
			}
		}
	}
	l.settle(complete)
}

// settle stores the jobs' results, then acknowledges the jobs, in that order: a job leaves the stream
// only once its result is in one. It returns at once, unless so many are on their way that nothing
// more may be begun; then the callers' slots stop the pulling.
func (w *Worker) settle(ds []*delivery) {
	var finished []*delivery
	for _, d := range ds {
		if d.returned {
			w.release(d)
		} else {
			finished = append(finished, d)
		}
	}
	if len(finished) == 0 {
		return
	}
	permits := w.settling[finished[0].lane]
	weight := min(int64(len(finished)), w.mostSettling())
	if permits.Acquire(w.finish, weight) != nil {
		return // a stop has taken too long: the jobs stay in the stream
	}
	w.settles.Go(func() {
		defer permits.Release(weight)
		if left := w.settleOnce(finished); len(left) > 0 {
			w.park(left)
		}
	})
}

// settleOnce tries once, and returns the jobs of which something is not stored.
func (w *Worker) settleOnce(ds []*delivery) (left []*delivery) {
	w.reach(BeforeResult)
	stored, left, err := w.store(ds)
	if err != nil {
		w.storeFailed(len(left), err)
	} else {
		w.parked.well(w.Health)
	}
	w.reach(AfterResult)
	w.acknowledge(stored)
	w.reach(AfterAck)
	return left
}

// release hands a job back at once. It may have been partly done: whoever gets it does all of it.
func (w *Worker) release(d *delivery) {
	defer w.leases.release(d)
	if !d.leased(time.Now()) {
		return // somebody else may have it already
	}
	if err := d.msg.Nak(); err != nil {
		w.step(d, "not handed back", "error", err)
		w.harmless("not_handed_back", "jobs could not be handed back, and are delivered again when their leases have run out: "+err.Error())
		return
	}
	w.Metrics.HandedBack(1)
	w.reach(MidDrain)
}

// acknowledge lets jobs leave the stream. A plain acknowledgement may be lost without a word: the
// job then comes again and is found settled. At a stop nobody would be here for that, so there each
// is confirmed.
func (w *Worker) acknowledge(ds []*delivery) {
	confirm, cancel := context.WithTimeout(w.finish, 2*time.Second)
	defer cancel()
	for _, d := range ds {
		var err error
		if w.stopping.Err() != nil && confirm.Err() == nil {
			err = d.msg.AckSync(nats.Context(confirm))
		} else {
			err = d.msg.Ack()
		}
		if err != nil {
			w.step(d, "not acknowledged; it will come again and be found settled", "error", err)
		}
		w.step(d, "acknowledged")
		w.leases.release(d)
	}
}

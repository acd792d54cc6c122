package worker

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/semaphore"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/worker/stream"
)

// A settler has the results of jobs stored, and their dead letters (results.go), and then lets the jobs leave
// their stream.
type settler struct {
	config   Config
	streams  *stream.Streams
	outbox   *stream.Outbox
	maxBytes int // of one stored message
	leases   *leases
	jobLog   *jobLog
	metrics  *metrics.Metrics
	health   *metrics.Health
	reach    func(Point)
	stopping context.Context
	finish   context.Context

	permits map[jobs.Lane]*semaphore.Weighted // bounds the results that are being stored
	parked  waitlist[*delivery]               // jobs of which something could not be stored
	running sync.WaitGroup
}

// settle stores the jobs' results, then acknowledges the jobs, in that order: a job leaves the stream
// only once its result is in one. It returns at once, unless so many are on their way that nothing
// more may be begun; then the callers' slots stop the pulling.
func (s *settler) settle(ds []*delivery) {
	returned, finished := separate(ds, func(d *delivery) bool { return d.returned })
	for _, d := range returned {
		s.returnJob(d)
	}
	if len(finished) == 0 {
		return
	}
	permits := s.permits[finished[0].lane]
	weight := min(int64(len(finished)), s.most())
	if permits.Acquire(s.finish, weight) != nil {
		return // a stop has taken too long: the jobs stay in the stream
	}
	s.running.Go(func() {
		defer permits.Release(weight)
		if left := s.settleOnce(finished); len(left) > 0 {
			s.retryLater(left)
		}
	})
}

// giveBack hands jobs back of which something is not done by us, each once nothing of it is left to decide.
func (s *settler) giveBack(ds []*delivery) {
	var complete []*delivery
	for _, d := range ds {
		if d.giveBack() {
			complete = append(complete, d)
		}
	}
	s.settle(complete)
}

// settleOnce tries once, and returns the jobs of which something is not stored.
func (s *settler) settleOnce(ds []*delivery) (left []*delivery) {
	s.reach(BeforeResult)
	stored, left, err := s.store(ds)
	if err != nil {
		s.health.Begin(stream.Unstored(len(left), err))
	} else {
		s.parked.unlessAwaited(s.storedAgain)
	}
	s.reach(AfterResult)
	s.acknowledge(stored)
	s.reach(AfterAck)
	return left
}

// returnJob hands a job back at once. It may have been partly done: whoever gets it does all of it.
func (s *settler) returnJob(d *delivery) {
	if s.handBack(d, d.msg.Nak) {
		s.metrics.HandedBack(1)
		s.reach(MidDrain)
	}
}

// sendAway hands a message back that waits for a key, to be delivered again after a while.
func (s *settler) sendAway(d *delivery, wait time.Duration) {
	if s.handBack(d, func(opts ...nats.AckOpt) error { return d.msg.NakWithDelay(wait, opts...) }) {
		s.jobLog.step(d, "it waits for its issuer's key", "issuer", d.keys.issuer, "comes_again_in", wait.String())
	}
}

// handBack hands a job back in this way, unless its lease has run out, and reports whether it did.
func (s *settler) handBack(d *delivery, nak func(...nats.AckOpt) error) bool {
	defer s.leases.release(d)
	if !d.leased(time.Now()) {
		return false // somebody else may have it already
	}
	if err := nak(); err != nil {
		s.jobLog.step(d, "it could not be handed back", "error", err)
		harmless(s.health, "not_handed_back", "jobs could not be handed back, and are delivered again when their leases have run out: "+err.Error())
		return false
	}
	return true
}

// acknowledge lets jobs leave the stream. A plain acknowledgement may be lost without a word: the
// job then comes again and is found settled. At a stop nobody would be here for that, so there each
// is confirmed.
func (s *settler) acknowledge(ds []*delivery) {
	confirm, cancel := context.WithTimeout(s.finish, 2*time.Second)
	defer cancel()
	for _, d := range ds {
		var err error
		if s.stopping.Err() != nil && confirm.Err() == nil {
			err = d.msg.AckSync(nats.Context(confirm))
		} else {
			err = d.msg.Ack()
		}
		if err != nil {
			s.jobLog.step(d, "it could not be acknowledged; it will come again and be found settled", "error", err)
		} else {
			s.jobLog.step(d, "it is acknowledged")
		}
		s.leases.release(d)
	}
}

// most is how many results of a lane may be on their way to being stored: those of two full documents. NATS
// stores one after the other; more would not be stored any sooner, and be held meanwhile.
func (s *settler) most() int64 { return int64(2 * s.config.BatchMaxSessions) }

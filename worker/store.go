package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/worker/stream"
)

const (
	// headerRoom is what a stored message's subject and headers may need of NATS' size limit.
	headerRoom = 8 << 10
	// badJobsMemory is how long after the latest dead letter the log says that there are no more.
	badJobsMemory = time.Minute
	// headerStatus lets a reader of results choose without decoding.
	headerStatus = "Logoff-Status"
)

// store publishes the jobs' results at once and waits for every acknowledgement, then the dead letters
// of those that leave something to do in the same way. What is stored and what is not is known one by one; err
// is the last reason for something that is not.
func (w *Worker) store(ds []*delivery) (stored, left []*delivery, err error) {
	var open, failed []*delivery
	for _, d := range ds {
		if !d.stored {
			open = append(open, d)
		}
	}
	envelope, settled := newEnvelope(), &metrics.Settlement{}
	err = w.publish(open, storing{
		name: "results", grouped: stream.Shared,
		message: func(d *delivery) (*nats.Msg, error) { return w.resultMessage(envelope, d) },
		stored: func(ctx context.Context, d *delivery, r stream.Reply) error {
			return w.resultStored(ctx, settled, d, r)
		},
	})
	w.Metrics.Settled(settled)
	for _, d := range ds {
		if d.stored && !d.status.Success() {
			failed = append(failed, d)
		}
	}
	if len(failed) > 0 {
		w.reach(BeforeDeadLetter)
		if derr := w.publish(failed, storing{name: "dead", grouped: 1, message: w.deadLetterMessage, stored: w.deadLetterStored}); derr != nil {
			err = derr
		}
	}
	for _, d := range ds {
		if d.stored && (d.kept || d.status.Success()) {
			stored = append(stored, d)
		} else {
			left = append(left, d)
		}
	}
	return stored, left, err
}

// A storing is how one message of each job is stored.
type storing struct {
	name    string // of the stream in the metrics
	grouped int    // messages that share the subject of their replies
	message func(*delivery) (*nats.Msg, error)
	stored  func(context.Context, *delivery, stream.Reply) error // hears what became of it
}

// publish stores one message of each job, and returns the last reason for one that is not stored.
func (w *Worker) publish(ds []*delivery, s storing) (err error) {
	replies := w.outbox.Publish(w.finish, len(ds), s.grouped, func(i int) (*nats.Msg, error) { return s.message(ds[i]) })
	ctx, cancel := context.WithTimeout(w.finish, stream.PublishTimeout) // for all of them together
	defer cancel()
	for i, r := range replies {
		if serr := s.stored(ctx, ds[i], r); serr != nil {
			err = serr
			w.Metrics.StoreFailed(s.name)
		}
	}
	return err
}

// An envelope holds one result's message after the other, because what is published has been copied.
type envelope struct {
	result      jobs.Result
	msg         nats.Msg
	status, key [1]string
}

func newEnvelope() *envelope {
	e := &envelope{}
	e.msg.Header = nats.Header{
		"Content-Type": {"application/json"},
		headerStatus:   e.status[:],
		nats.MsgIdHdr:  e.key[:],
		// JetStream stores it only if its subject has none.
		jetstream.ExpectedLastSubjSeqHeader: {"0"},
	}
	return e
}

// resultMessage concludes a job's result and puts it into the envelope. The job keeps a copy if there is
// something left to do about it.
func (w *Worker) resultMessage(e *envelope, d *delivery) (*nats.Msg, error) {
	r := &e.result
	w.conclude(d, r)
	if d.status = r.Status; !d.status.Success() {
		kept := *r
		kept.Counts = maps.Clone(r.Counts)
		d.result = &kept
	}
	data, err := r.Append(e.msg.Data[:0], w.maxBytes)
	if err != nil {
		return nil, err
	}
	e.msg.Subject, e.msg.Data = w.resultSubject(d), data
	e.status[0], e.key[0] = string(r.Status), d.key
	return &e.msg, nil
}

func (w *Worker) resultSubject(d *delivery) string {
	return w.Config.Stream.Subjects.Result(d.job.ID, d.key)
}

// resultStored hears what became of a result. That somebody else stored one first is as good: theirs is
// the one that counts, and the dead letter has to agree with it.
func (w *Worker) resultStored(ctx context.Context, settled *metrics.Settlement, d *delivery, r stream.Reply) error {
	switch {
	case r.Stored():
		d.stored = true
		settled.Add(d.lane, d.status, d.sessions, d.took())
		w.step(d, "result stored")
		w.jobLog.finished(d)
		return nil
	case !r.Known():
		return r.Err
	}
	stored := w.storedResult(ctx, d)
	if stored == nil {
		return errors.New("a result is stored already, and cannot be read")
	}
	if stored.Worker == w.Config.Name && stored.ReceivedAt.Equal(d.received) {
		settled.Add(d.lane, stored.Status, stored.Sessions, stored.CompletedAt.Sub(stored.RequestedAt)) // an earlier try of ours
	} else {
		w.Metrics.AlreadySettled(1)
	}
	d.settledAs(stored)
	return nil
}

// deadLetterMessage keeps what a result says was not done, ready to be published again. It follows
// from the job and the stored result alone, so that whoever settles the job last makes the same.
func (w *Worker) deadLetterMessage(d *delivery) (*nats.Msg, error) {
	letter, err := w.deadLetter(d)
	if err != nil {
		return nil, err
	}
	msg := nats.NewMsg(w.Config.Stream.Subjects.Dead(letter.Reason))
	msg.Data = letter.Payload
	msg.Header = letter.Header()
	msg.Header.Set(nats.MsgIdHdr, d.key)
	return msg, nil
}

func (w *Worker) deadLetter(d *delivery) (jobs.DeadLetter, error) {
	letter := jobs.DeadLetter{
		Reason:      d.result.Status,
		JobID:       d.job.ID,
		Error:       d.result.Shortfall(),
		Subject:     d.msg.Subject,
		Result:      w.resultSubject(d),
		Sequence:    d.sequence,
		Stored:      d.requested,
		ContentType: d.header("Content-Type"),
		MessageID:   d.header(nats.MsgIdHdr),
		Payload:     d.msg.Data,
	}
	if letter.Reason == jobs.Invalid {
		return letter, nil
	}
	payload, err := d.job.Unfinished(*d.result, time.Now()).Encode()
	letter.Payload, letter.ContentType = payload, "application/json"
	return letter, err
}

// deadLetterStored hears what became of a dead letter.
func (w *Worker) deadLetterStored(_ context.Context, d *delivery, r stream.Reply) error {
	if r.Err != nil {
		return r.Err
	}
	d.kept = true
	if r.Stored() {
		w.Metrics.DeadLettered(d.status)
		w.step(d, "kept as a dead letter", "status", d.status)
		w.Health.Begin(metrics.Condition{
			Part: "jobs", Kind: string(d.status), Harmless: true, Quiet: badJobsMemory,
			What: fmt.Sprintf("jobs are %s and kept as dead letters, now job %s at sequence %d: %s", d.status, d.job.ID, d.sequence, d.result.Shortfall()),
			ToDo: "read Logoff-Error of the dead letters; publish their payload again to Logoff-Subject when the cause is mended",
		})
	}
	return nil
}

// unsettled are jobs of which something could not be stored. They are tried again together, by one
// goroutine, so that others, of which all can be stored, are not held up.
type unsettled struct {
	mu      sync.Mutex
	jobs    []*delivery
	retried bool // somebody tries again
}

// park leaves jobs to be settled later.
func (w *Worker) park(ds []*delivery) {
	w.leases.park(ds)
	u := &w.parked
	u.mu.Lock()
	defer u.mu.Unlock()
	u.jobs = append(u.jobs, ds...)
	if !u.retried {
		u.retried = true
		w.settles.Go(w.settleParked)
	}
}

// settleParked tries until everything is settled. Only the end of a stop that takes too long makes it
// give up: then the jobs stay in the stream.
func (w *Worker) settleParked() {
	for tries := 1; pause(w.finish, w.Config.Backoff.After(10*tries)); tries++ {
		ds := w.parked.take()
		left := w.settleOnce(ds)
		if len(left) < len(ds) {
			tries = 0
		}
		if w.parked.settled(left, w.Health) {
			return
		}
	}
}

func (u *unsettled) take() []*delivery {
	u.mu.Lock()
	defer u.mu.Unlock()
	ds := u.jobs
	u.jobs = nil
	return ds
}

// settled puts back what is left, and reports whether nothing is, others' leftovers included.
func (u *unsettled) settled(left []*delivery, health *metrics.Health) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.jobs = append(left, u.jobs...)
	u.retried = len(u.jobs) > 0
	if !u.retried {
		health.End(PartResults, unstored)
	}
	return !u.retried
}

// well says that results are being stored, unless some are known not to be.
func (u *unsettled) well(health *metrics.Health) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.retried {
		health.End(PartResults, unstored)
	}
}

// storeFailed tells operators.
func (w *Worker) storeFailed(n int, err error) {
	w.Health.Begin(metrics.Condition{
		Part: PartResults, Kind: unstored, Grave: true,
		What: fmt.Sprintf("results or dead letters of %d jobs cannot be stored, so these jobs are not acknowledged, and the worker keeps trying: %s", n, stream.Hint(err)),
	})
}

// unstored is the kind of condition in which results or dead letters cannot be stored.
const unstored = "unstored"

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
)

const (
	// publishTimeout is how long the acknowledgement of a stored message may take. A leader
	// election takes several seconds.
	publishTimeout = 10 * time.Second
	// headerRoom is what a stored message's subject and headers may need of NATS' size limit.
	headerRoom = 8 << 10
	// codeSettled is JetStream's error for a subject that has a message already.
	codeSettled jetstream.ErrorCode = 10071
	// headerLast makes the server store a message only if its subject's last sequence is this.
	headerLast = "Nats-Expected-Last-Subject-Sequence"
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
	err = w.publish(open, "results", shared,
		func(d *delivery) (*nats.Msg, error) { return w.resultMessage(envelope, d) },
		func(ctx context.Context, d *delivery, a answer) error { return w.resultStored(ctx, settled, d, a) })
	w.Metrics.Settled(settled)
	for _, d := range ds {
		if d.stored && !d.status.Success() {
			failed = append(failed, d)
		}
	}
	if len(failed) > 0 {
		w.reach(BeforeDeadLetter)
		if derr := w.publish(failed, "dead", 1, w.deadLetterMessage, w.deadLetterStored); derr != nil {
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

// publish publishes one message for each job, so many in a group, and hears what became of each.
func (w *Worker) publish(ds []*delivery, stream string, grouped int, message func(*delivery) (*nats.Msg, error), stored func(context.Context, *delivery, answer) error) (err error) {
	answers := w.outbox.publish(w.finish, len(ds), grouped, func(i int) (*nats.Msg, error) { return message(ds[i]) })
	ctx, cancel := context.WithTimeout(w.finish, publishTimeout) // for all of them together
	defer cancel()
	for i, a := range answers {
		if serr := stored(ctx, ds[i], a); serr != nil {
			err = serr
			w.Metrics.StoreFailed(stream)
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
		headerLast:     {"0"},
		nats.MsgIdHdr:  e.key[:],
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
	return w.Config.Subjects.Result(d.job.ID, d.key)
}

// resultStored hears what became of a result. That somebody else stored one first is as good: his is
// the one that counts, and the dead letter has to agree with it.
func (w *Worker) resultStored(ctx context.Context, settled *metrics.Settlement, d *delivery, a answer) error {
	switch {
	case a.err == nil && !a.duplicate:
		d.stored = true
		settled.Add(d.lane, d.status, d.sessions, d.took())
		w.step(d, "result stored")
		w.jobLog.finished(d)
		return nil
	case a.err != nil && !isSettled(a.err):
		return a.err
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

// isSettled reports whether JetStream refused a result because the job has one.
func isSettled(err error) bool {
	var refused *jetstream.APIError
	return errors.As(err, &refused) && refused.ErrorCode == codeSettled
}

// deadLetterMessage keeps what a result says was not done, ready to be published again. It follows
// from the job and the stored result alone, so that whoever settles the job last makes the same.
func (w *Worker) deadLetterMessage(d *delivery) (*nats.Msg, error) {
	letter, err := w.deadLetter(d)
	if err != nil {
		return nil, err
	}
	msg := nats.NewMsg(w.Config.Subjects.Dead(letter.Reason))
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
func (w *Worker) deadLetterStored(_ context.Context, d *delivery, a answer) error {
	if a.err != nil {
		return a.err
	}
	d.kept = true
	if !a.duplicate {
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
		What: fmt.Sprintf("results or dead letters of %d jobs cannot be stored, so these are not acknowledged; trying on: %s", n, storeHint(err)),
	})
}

// unstored is the kind of condition in which results or dead letters cannot be stored.
const unstored = "unstored"

// storeHint adds to an error what an operator can do about it.
func storeHint(err error) string {
	var refused *jetstream.APIError
	switch {
	case errors.As(err, &refused) && refused.ErrorCode == 10077:
		return err.Error() + " (the stream is full: raise its limit or remove old messages)"
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrDisconnected), errors.Is(err, nats.ErrConnectionReconnecting):
		return "there is no connection to NATS"
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		return err.Error() + " (the stream is missing: run `logoff-worker init`)"
	case errors.Is(err, errNoAnswer), errors.Is(err, context.DeadlineExceeded):
		return err.Error() + " (NATS is silent: its disk may be full, which needs space and a restart of the server, or a permission is missing)"
	}
	return err.Error()
}

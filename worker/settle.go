package worker

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
)

const (
	// publishTimeout is how long the acknowledgement of a stored message may take. A leader
	// election takes several seconds.
	publishTimeout = 10 * time.Second
	// maxPublishing is how many results may be on their way at once.
	maxPublishing = 4000
	// headerRoom is what a stored message's subject and headers may need of NATS' size limit.
	headerRoom = 8 << 10
	// codeSettled is JetStream's error for a subject that has a message already.
	codeSettled jetstream.ErrorCode = 10071
	// headerLast makes the server store a message only if its subject's last sequence is this.
	headerLast = "Nats-Expected-Last-Subject-Sequence"
	// headerStatus lets a reader of results choose without decoding.
	headerStatus = "Logoff-Status"
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
	l.settle(complete)
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
	l.settle(complete)
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

// settle stores the jobs' results and then acknowledges the jobs, in that order: a job leaves the
// stream only once its result is in one. It returns at once, unless so much is being stored already
// that nothing more may be begun: then results are not being stored, and the callers' slots stop
// the pulling.
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
	w.settling <- struct{}{}
	w.settles.Go(func() {
		defer func() { <-w.settling }()
		w.store(finished)
	})
}

// release hands a job back at once. It may have been partly done: whoever gets it does all of it.
func (w *Worker) release(d *delivery) {
	defer w.leases.release(d)
	if !d.leased() {
		return // somebody else may have it already
	}
	if err := d.msg.Nak(); err != nil {
		w.Log.Warn("a job could not be handed back; it is delivered again when its lease has run out", "job", d.job.ID, "error", err)
		return
	}
	w.Metrics.HandedBack(1)
}

// store stores results and dead letters until all are in, then acknowledges their jobs. Only the
// end of a stop that takes too long makes it give up: then the jobs stay in the stream.
func (w *Worker) store(ds []*delivery) {
	for tries := 1; len(ds) > 0; tries++ {
		stored, left, err := w.storeOnce(ds)
		w.acknowledge(stored)
		ds = left
		if err == nil {
			w.Health.Well(PartResults)
			continue
		}
		if w.Health.Problem(PartResults, "results cannot be stored, so no job is acknowledged: "+storeHint(err)) {
			w.Log.Error("results cannot be stored, so no job is acknowledged; trying on", "jobs", len(ds), "error", storeHint(err))
		}
		if !pause(w.finish, w.Config.Backoff.after(10*tries)) {
			return
		}
	}
}

// storeOnce publishes everything at once and waits for every acknowledgement. What is stored and
// what is not is known one by one; err is the last reason for something that is not.
func (w *Worker) storeOnce(ds []*delivery) (stored, left []*delivery, err error) {
	type publishing struct {
		d   *delivery
		ack jetstream.PubAckFuture
	}
	var inFlight []publishing
	for _, d := range ds {
		if d.stored {
			continue
		}
		ack, perr := w.publishResult(d)
		if perr != nil {
			err = perr
			w.Metrics.StoreFailed("results")
			continue
		}
		inFlight = append(inFlight, publishing{d, ack})
	}
	for _, p := range inFlight {
		if aerr := w.resultStored(p.d, p.ack); aerr != nil {
			err = aerr
			w.Metrics.StoreFailed("results")
		}
	}
	for _, d := range ds {
		if d.stored {
			if derr := w.storeDeadLetter(d); derr == nil {
				stored = append(stored, d)
				continue
			} else {
				err = derr
				w.Metrics.StoreFailed("dead")
			}
		}
		left = append(left, d)
	}
	return stored, left, err
}

func (w *Worker) publishResult(d *delivery) (jetstream.PubAckFuture, error) {
	d.result.Conclude()
	d.result.TimeToLogoffMS = max(0, d.result.CompletedAt.Sub(d.result.RequestedAt).Milliseconds())
	data, err := d.result.Encode(w.maxBytes)
	if err != nil {
		return nil, err
	}
	msg := nats.NewMsg(w.resultSubject(d))
	msg.Data = data
	msg.Header.Set("Content-Type", "application/json")
	msg.Header.Set(headerStatus, string(d.result.Status))
	msg.Header.Set(headerLast, "0")
	msg.Header.Set(nats.MsgIdHdr, d.key)
	return w.js.PublishMsgAsync(msg)
}

func (w *Worker) resultSubject(d *delivery) string {
	return w.Config.Subjects.Result(d.job.ID, d.key)
}

// resultStored waits until a result is in the stream. That somebody else stored one first is as
// good: his is the one that counts, and the dead letter has to agree with it.
func (w *Worker) resultStored(d *delivery, ack jetstream.PubAckFuture) error {
	var err error
	duplicate := false
	select {
	case pubAck := <-ack.Ok():
		duplicate = pubAck.Duplicate
	case err = <-ack.Err():
	case <-w.finish.Done():
		return w.finish.Err()
	}
	var refused *jetstream.APIError
	if errors.As(err, &refused) && refused.ErrorCode == codeSettled {
		duplicate, err = true, nil
	}
	switch {
	case err != nil:
		return err
	case !duplicate:
		d.stored = true
		w.Metrics.Settled(d.lane, d.result.Status, d.result.Counts, d.result.CompletedAt.Sub(d.result.RequestedAt))
		return nil
	}
	stored := w.storedResult(d)
	if stored == nil {
		return errors.New("a result is stored already, and cannot be read")
	}
	if stored.Worker == d.result.Worker && stored.ReceivedAt.Equal(d.result.ReceivedAt) {
		w.Metrics.Settled(d.lane, stored.Status, stored.Counts, stored.CompletedAt.Sub(stored.RequestedAt)) // an earlier try of ours
	} else {
		w.Metrics.AlreadySettled(1)
	}
	d.result = *stored
	d.stored = true
	return nil
}

// storeDeadLetter keeps what a result says was not done, ready to be published again. It follows
// from the job and the stored result alone, so that whoever settles the job last makes the same.
func (w *Worker) storeDeadLetter(d *delivery) error {
	if d.result.Status == jobs.Done {
		return nil
	}
	letter, err := w.deadLetter(d)
	if err != nil {
		return err
	}
	msg := nats.NewMsg(w.Config.Subjects.Dead(letter.Reason))
	msg.Data = letter.Payload
	msg.Header = letter.Header()
	msg.Header.Set(nats.MsgIdHdr, d.key)
	ctx, cancel := context.WithTimeout(w.finish, publishTimeout)
	defer cancel()
	ack, err := w.js.PublishMsg(ctx, msg)
	if err != nil {
		return err
	}
	if !ack.Duplicate {
		w.Metrics.DeadLettered(letter.Reason)
		w.Log.Warn("job not done, kept as a dead letter", "job", d.job.ID, "status", d.result.Status, "subject", msg.Subject, "sequence", ack.Sequence, "error", d.result.Error)
	}
	return nil
}

func (w *Worker) deadLetter(d *delivery) (jobs.DeadLetter, error) {
	letter := jobs.DeadLetter{
		Reason:      d.result.Status,
		JobID:       d.job.ID,
		Error:       d.result.Error,
		Subject:     d.msg.Subject,
		Result:      w.resultSubject(d),
		Sequence:    d.meta.Sequence.Stream,
		Stored:      d.meta.Timestamp,
		ContentType: d.msg.Header.Get("Content-Type"),
		MessageID:   d.msg.Header.Get(nats.MsgIdHdr),
		Payload:     d.msg.Data,
	}
	if letter.Reason == jobs.Invalid {
		return letter, nil
	}
	payload, err := d.job.Unfinished(d.result, time.Now()).Encode()
	letter.Payload, letter.ContentType = payload, "application/json"
	return letter, err
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
			w.Log.Debug("an acknowledgement failed; the job will come again and be found settled", "job", d.job.ID, "error", err)
		}
		w.leases.release(d)
	}
}

// storeHint adds to an error what an operator can do about it.
func storeHint(err error) string {
	var refused *jetstream.APIError
	switch {
	case errors.As(err, &refused) && refused.ErrorCode == 10077:
		return err.Error() + " (the stream is full: raise its limit or remove old messages)"
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		return err.Error() + " (the stream is missing: run `logoff-worker init`)"
	case errors.Is(err, jetstream.ErrAsyncPublishTimeout), errors.Is(err, context.DeadlineExceeded):
		return err.Error() + " (NATS is silent: its disk may be full, which needs space and a restart of the server, or a permission is missing)"
	}
	return err.Error()
}

package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/worker/gate"
	"logoffworker/worker/stream"
)

const (
	// headerRoom is what a stored message's subject and headers may need of NATS' size limit.
	headerRoom = 8 << 10
	// badJobsMemory is how long after the latest dead letter the log says that there are no more.
	badJobsMemory = time.Minute
)

// store publishes the jobs' results at once and waits for every acknowledgement, then the dead letters
// of those that leave something to do in the same way. What is stored and what is not is known one by one; err
// is the last reason for something that is not.
func (s *settler) store(ds []*delivery) (stored, left []*delivery, err error) {
	_, open := separate(ds, func(d *delivery) bool { return d.stored })
	envelope, settled := newEnvelope(), &metrics.Settlement{}
	err = s.publish(open, storing{
		name: "results", grouped: stream.Shared,
		message: func(d *delivery) (*nats.Msg, error) { return s.resultMessage(envelope, d) },
		stored: func(ctx context.Context, d *delivery, reply error) error {
			return s.resultStored(ctx, settled, d, reply)
		},
	})
	s.metrics.Settled(settled)
	failed, _ := separate(ds, func(d *delivery) bool { return d.stored && !d.status.Success() })
	if len(failed) > 0 {
		s.reach(BeforeDeadLetter)
		if derr := s.publish(failed, storing{name: "dead", grouped: 1, message: s.deadLetterMessage, stored: s.deadLetterStored}); derr != nil {
			err = derr
		}
	}
	left, stored = separate(ds, func(d *delivery) bool { return !d.stored || !d.kept && !d.status.Success() })
	return stored, left, err
}

// A storing is how one message of each job is stored.
type storing struct {
	name    string // of the stream in the metrics
	grouped int    // messages that share the subject of their replies
	message func(*delivery) (*nats.Msg, error)
	stored  func(context.Context, *delivery, error) error // hears the reply to it
}

// publish stores one message of each job, and returns the last reason for one that is not stored.
func (s *settler) publish(ds []*delivery, how storing) (err error) {
	replies := s.outbox.Publish(s.finish, len(ds), how.grouped, func(i int) (*nats.Msg, error) { return how.message(ds[i]) })
	ctx, cancel := context.WithTimeout(s.finish, stream.PublishTimeout) // for all of them together
	defer cancel()
	for i, r := range replies {
		if serr := how.stored(ctx, ds[i], r); serr != nil {
			err = serr
			s.metrics.StoreFailed(how.name)
		}
	}
	return err
}

// An envelope holds one result's message after the other, because what is published has been copied.
type envelope struct {
	result jobs.Result
	msg    nats.Msg
	status [1]string
	plain  nats.Header
	once   nats.Header // with which JetStream stores a message only if its subject has none
}

func newEnvelope() *envelope {
	e := &envelope{}
	e.plain = nats.Header{jobs.StatusHeader: e.status[:]}
	e.once = nats.Header{jobs.StatusHeader: e.status[:], jetstream.ExpectedLastSubjSeqHeader: {"0"}}
	return e
}

// headerOf is the header of a job's result. What makes it the only one is left out, because it is much of what storing
// a result costs NATS, where the stream sees to that by itself. The stream may have been changed since it was last
// looked at; so a result that may not be the first, because others may have had the job, or because it was tried
// before, has it in any case.
func (s *settler) headerOf(e *envelope, d *delivery) nats.Header {
	first := d.deliveries == 1 && !d.tried && d.leased(time.Now())
	d.tried = true
	if first && s.streams.TakesOneResult() {
		return e.plain
	}
	return e.once
}

// resultMessage concludes a job's result and puts it into the envelope. The job keeps a copy if there is
// something left to do about it.
func (s *settler) resultMessage(e *envelope, d *delivery) (*nats.Msg, error) {
	r := &e.result
	d.conclude(r, s.config.Name)
	if d.status = r.Status; !d.status.Success() {
		kept := *r
		kept.Counts = maps.Clone(r.Counts)
		d.result = &kept
	}
	data, err := r.Append(e.msg.Data[:0], s.maxBytes)
	if err != nil {
		return nil, err
	}
	e.msg.Subject, e.msg.Data, e.msg.Header = s.resultSubject(d), data, s.headerOf(e, d)
	e.status[0] = string(r.Status)
	return &e.msg, nil
}

func (s *settler) resultSubject(d *delivery) string {
	return s.config.Stream.Subjects.Result(d.job.ID, d.key)
}

// resultStored hears what became of a result. That somebody else stored one first is as good: theirs is
// the one that counts, and the dead letter has to agree with it.
func (s *settler) resultStored(ctx context.Context, settled *metrics.Settlement, d *delivery, reply error) error {
	if reply != nil {
		if !stream.TakenAlone(reply) {
			return reply
		}
		stored := s.storedResult(ctx, d)
		if stored == nil {
			return errors.New("a result is stored already, and cannot be read")
		}
		d.settledAs(stored)
		if stored.Worker != s.config.Name || !stored.ReceivedAt.Equal(d.received) { // else it is of an earlier try of ours
			s.metrics.AlreadySettled(1)
			return nil
		}
	}
	d.stored = true
	settled.Add(metrics.SettledJob{
		ID: d.job.ID, Publisher: d.publisher, Lane: d.lane, Status: d.status, Sessions: d.sessions, Users: d.userResults(),
		Stored: d.requested, Took: d.took(), EventTime: d.job.EventTime, Issuer: d.issuer(), Trace: d.trace,
	})
	s.jobLog.step(d, "its result is stored")
	s.jobLog.finished(d)
	return nil
}

// storedResult returns the result that a job has in the stream; nil when it has none or none could
// be read.
func (s *settler) storedResult(ctx context.Context, d *delivery) *jobs.Result {
	msg, err := s.streams.Result(ctx, s.resultSubject(d))
	if err != nil {
		if !errors.Is(err, jetstream.ErrMsgNotFound) {
			harmless(s.health, "not_looked_up", "it cannot be looked up whether jobs that came again are settled, so they are worked again: "+err.Error())
		}
		return nil
	}
	result, err := jobs.DecodeResult(msg.Data)
	if err != nil {
		harmless(s.health, "unreadable", fmt.Sprintf("stored results cannot be read, now that of job %s on %s: %v", d.job.ID, msg.Subject, err))
		return nil
	}
	return &result
}

// deadLetterMessage keeps what a result says was not done, ready to be published again. It follows
// from the job and the stored result alone, so that whoever settles the job last makes the same.
func (s *settler) deadLetterMessage(d *delivery) (*nats.Msg, error) {
	letter := jobs.DeadLetter{
		Reason:    d.result.Status,
		JobID:     d.job.ID,
		Error:     d.result.Shortfall(),
		Subject:   d.msg.Subject,
		Result:    s.resultSubject(d),
		Sequence:  d.sequence,
		Stored:    d.requested,
		MessageID: d.header(nats.MsgIdHdr),
		Trace:     d.trace,
		Signal:    d.signal,
	}
	letter.Payload, letter.ContentType = d.payload()
	if d.format == jobs.SET && letter.Reason == jobs.Invalid {
		letter.Signal = nil // the payload says it
	}
	if letter.Reason != jobs.Invalid && letter.Reason != jobs.Held {
		payload, err := d.job.Unfinished(*d.result, time.Now()).Encode()
		if err != nil {
			return nil, err
		}
		letter.Payload, letter.ContentType = payload, "application/json"
		if d.result.Approves != "" { // what is left of it was not held as it is
			letter.Subject = s.config.Stream.Subjects.Request(d.lane, d.result.Publisher)
		}
	}
	msg := nats.NewMsg(s.config.Stream.Subjects.Dead(letter.Reason))
	msg.Data = letter.Payload
	msg.Header = s.headerFor(letter)
	msg.Header.Set(nats.MsgIdHdr, d.key)
	return msg, nil
}

// headerFor is a dead letter's header, with as much of its signal as there is room for.
func (s *settler) headerFor(letter jobs.DeadLetter) nats.Header {
	if letter.Signal == nil {
		return letter.Header()
	}
	for range 2 {
		header := letter.Header()
		if len(header[jobs.SignalHeader][0])+len(letter.Payload) <= s.maxBytes {
			return header
		}
		bare := *letter.Signal
		bare.Token = ""
		letter.Signal = &bare
	}
	letter.Signal = nil
	return letter.Header()
}

// deadLetterStored hears what became of a dead letter.
func (s *settler) deadLetterStored(_ context.Context, d *delivery, reply error) error {
	if reply != nil && !stream.Taken(reply) {
		return reply
	}
	d.kept = true
	if reply != nil {
		return nil // it was counted when it was stored
	}
	s.metrics.DeadLettered(d.status)
	s.jobLog.step(d, "it is kept as a dead letter", "status", d.status)
	s.health.Begin(metrics.Condition{
		Part: "jobs", Kind: string(d.status), Harmless: true, Quiet: badJobsMemory,
		What: fmt.Sprintf("jobs are %s and kept as dead letters, now job %s at sequence %d: %s", d.status, d.job.ID, d.sequence, d.result.Shortfall()),
		ToDo: toDoOf(d.status),
	})
	return nil
}

// toDoOf says what a person can do about dead letters of a status.
func toDoOf(status jobs.Status) string {
	switch status {
	case jobs.Held:
		return "have somebody else than their publisher approve them (logoffctl approve), or deny them (logoffctl deny); published again they are held again"
	case jobs.Invalid:
		return "read where they are wrong (logoffctl dead ls), tell their publisher, and drop them (logoffctl dead drop)"
	}
	return "read what was not done and why (logoffctl dead ls); when the cause is mended, have it done (logoffctl dead replay), or drop it (logoffctl dead drop)"
}

// retryLater leaves jobs of which something could not be stored to be settled later. They are tried again together, by
// one goroutine, so that others, of which all can be stored, are not held up.
func (s *settler) retryLater(ds []*delivery) {
	s.leases.park(ds)
	s.parked.add(ds, func() { s.running.Go(s.settleParked) })
}

// settleParked tries until everything is settled. Only the end of a stop that takes too long makes it
// give up: then the jobs stay in the stream.
func (s *settler) settleParked() {
	for tries := 1; gate.Pause(s.finish, s.config.Backoff.After(10*tries)); tries++ {
		ds := s.parked.take()
		left := s.settleOnce(ds)
		if len(left) < len(ds) {
			tries = 0
		}
		if !s.parked.restore(left, s.storedAgain) {
			return
		}
	}
}

// storedAgain says that results are being stored.
func (s *settler) storedAgain() { s.health.End(PartResults, stream.KindUnstored) }

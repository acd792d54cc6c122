package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
)

// A delivery is a job in hand: pulled, not yet acknowledged, its lease kept.
type delivery struct {
	msg       *nats.Msg
	meta      *nats.MsgMetadata
	lane      jobs.Lane
	publisher string
	key       string // of its result
	received  time.Time
	job       jobs.Job

	mu       sync.Mutex
	result   jobs.Result
	left     int  // sessions that have neither an outcome nor been given back
	returned bool // a session was given back unsent, so the job is handed back
	stored   bool // the result is in the stream
	lease    time.Time
}

// receive makes deliveries of what was pulled and returns those whose sessions are to be sent. The
// others, which cannot be decoded or were settled before, are on their way out of the stream.
func (w *Worker) receive(lane jobs.Lane, msgs []*nats.Msg, ackWait time.Duration) []*delivery {
	var work, over []*delivery
	again := 0
	for _, msg := range msgs {
		d := w.newDelivery(lane, msg, ackWait)
		if d == nil || !w.leases.hold(d) {
			continue // not a job, or one that is in hand already
		}
		if d.meta.NumDelivered > 1 {
			again++
		}
		if w.open(d) {
			work = append(work, d)
		} else {
			over = append(over, d)
		}
	}
	w.Metrics.Received(lane, len(msgs))
	w.Metrics.Redelivered(lane, again)
	w.settle(over)
	return work
}

func (w *Worker) newDelivery(lane jobs.Lane, msg *nats.Msg, ackWait time.Duration) *delivery {
	meta, err := msg.Metadata()
	if err != nil {
		w.Log.Error("a message came without the marks of a job and is left alone", "error", err)
		return nil
	}
	now := time.Now()
	d := &delivery{
		msg:      msg,
		meta:     meta,
		lane:     lane,
		key:      jobs.Key(meta.Sequence.Stream, meta.Timestamp),
		received: now,
		lease:    now.Add(ackWait),
	}
	if _, publisher, err := w.Config.Subjects.Origin(msg.Subject); err == nil {
		d.publisher = publisher
	}
	return d
}

// open decodes a job and reports whether it has sessions to send.
func (w *Worker) open(d *delivery) bool {
	job, err := jobs.Decode(d.msg.Data, d.msg.Header.Get("Content-Type"), w.rules)
	job.ID = jobs.Identify(job.ID, d.msg.Header.Get(nats.MsgIdHdr), d.meta.Sequence.Stream, d.meta.Timestamp)
	d.job = job
	d.result = jobs.Result{
		Version:     1,
		JobID:       job.ID,
		Lane:        d.lane,
		Publisher:   d.publisher,
		RequestedAt: d.meta.Timestamp,
		ReceivedAt:  d.received,
		CompletedAt: d.received,
		EventTime:   job.EventTime,
		Worker:      w.Config.Name,
		Deliveries:  int(d.meta.NumDelivered),
		Reason:      job.Reason,
		RequestedBy: job.RequestedBy,
		Labels:      job.Labels,
	}
	if err != nil {
		d.result.Status = jobs.Invalid
		d.result.Error = err.Error()
		return false
	}
	if d.meta.NumDelivered > 1 && w.settledBefore(d) {
		return false
	}
	if len(job.Users) > 0 {
		d.result.UsersLeft = len(job.Users)
		d.result.Error = "users are not supported by this version: nobody was looked up; name the sessions instead"
	}
	d.left = len(job.Sessions)
	d.result.Sessions = make([]jobs.SessionResult, d.left)
	return d.left > 0
}

// settledBefore looks a job that comes again up among the results. An answer that fails to come
// counts as no: the job is then worked once more, and its result refused as the second one.
func (w *Worker) settledBefore(d *delivery) bool {
	stored := w.storedResult(d)
	if stored == nil {
		return false
	}
	d.result = *stored
	d.stored = true
	return true
}

// storedResult returns the result that a job has in the stream; nil when it has none or none could
// be read.
func (w *Worker) storedResult(d *delivery) *jobs.Result {
	ctx, cancel := context.WithTimeout(w.finish, publishTimeout)
	defer cancel()
	msg, err := w.results.GetLastMsgForSubject(ctx, w.resultSubject(d))
	if err != nil {
		if !errors.Is(err, jetstream.ErrMsgNotFound) {
			w.Log.Warn("cannot look up whether a job that came again is settled", "job", d.job.ID, "error", err)
		}
		return nil
	}
	result, err := jobs.DecodeResult(msg.Data)
	if err != nil {
		w.Log.Error("a stored result cannot be read", "job", d.job.ID, "subject", msg.Subject, "error", err)
		return nil
	}
	return &result
}

// set notes what became of the i-th session of a job, and reports whether it was the last.
func (d *delivery) set(i int, outcome jobs.SessionResult, now time.Time) (complete bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.job.Sessions[i]
	outcome.ID, outcome.UserID = s.ID, s.UserID
	d.result.Sessions[i] = outcome
	d.result.CompletedAt = now
	d.left--
	return d.left == 0
}

// giveBack notes that a session of the job is not sent by us, and reports whether it was the last
// to be decided.
func (d *delivery) giveBack() (complete bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.returned = true
	d.left--
	return d.left == 0
}

// leased reports whether the job is certainly still ours: only then may it be handed back, because
// a stale negative acknowledgement would hand out a job that somebody else works.
func (d *delivery) leased() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Now().Before(d.lease)
}

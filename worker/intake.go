package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
)

// A delivery is a job in hand: pulled, not yet acknowledged, its lease kept.
type delivery struct {
	msg        *nats.Msg
	sequence   uint64    // in the stream
	requested  time.Time // when it was stored there
	deliveries int
	received   time.Time
	lane       jobs.Lane
	publisher  string
	looks      int64  // at protected users that had begun by then
	key        string // of its result
	job        jobs.Job
	invalid    string // why it is no job

	mu        sync.Mutex
	targets   []jobs.Session       // those that the job names, then those that were found through its users
	sessions  []jobs.SessionResult // what became of each
	people    []*person            // the job's users
	places    map[string]int       // of the targets, by ID in capitals; made when it is needed
	rounds    int                  // of ending what is on of them
	completed time.Time
	left      int          // sessions that have neither an outcome nor been given back
	returned  bool         // a session was given back unsent, so the job is handed back
	status    jobs.Status  // of its result
	result    *jobs.Result // unless it is a success
	stored    bool         // the result is in the stream
	kept      bool         // so is the dead letter
	lease     time.Time
	weight    int  // in [leases], whose lock it needs
	parked    bool // so does this: something of it cannot be stored
	lapsed    bool // the lease has run out once, so that somebody else may have the job
}

// receive makes deliveries of what was pulled since a time and returns those whose sessions are to be
// sent. The others, which cannot be decoded or were settled before, are on their way out of the
// stream. All are in hand before the first is looked at, so that no lease runs out meanwhile.
func (l *lane) receive(msgs []*nats.Msg, pulled time.Time) []*delivery {
	var again, over []*delivery
	held := make([]*delivery, 0, len(msgs))
	work := make([]*delivery, 0, len(msgs))
	now := time.Now()
	for _, msg := range msgs {
		d := l.newDelivery(l.name, msg, now, pulled.Add(l.streams.AckWait()))
		if d == nil || !l.leases.hold(d) {
			continue // not a job, or one that is in hand already
		}
		held = append(held, d)
		if l.cameBefore(d) {
			again = append(again, d)
		}
	}
	l.Metrics.Received(l.name, len(msgs))
	l.Metrics.Redelivered(l.name, len(again))
	for _, d := range held {
		l.open(d)
		l.taken(d)
		l.leases.weigh(d)
	}
	l.lookUp(again)
	l.tellUnsettled(again)
	for _, d := range held {
		if !d.stored && d.left > 0 {
			work = append(work, d)
		} else {
			over = append(over, d)
		}
	}
	l.settle(over)
	return work
}

// tellUnsettled tells of jobs that somebody had and did not settle: a worker that died or was stopped, or
// somebody who is none and takes jobs from our consumer.
func (l *lane) tellUnsettled(again []*delivery) {
	n := 0
	for _, d := range again {
		if !d.stored && d.deliveries > 1 {
			n++
		}
	}
	if n > 0 {
		l.harmless("came_again", fmt.Sprintf("%d jobs came again that somebody had taken and not settled: a worker was stopped or died, or something that is no worker takes jobs from the consumer %s", n, l.name))
	}
}

// cameBefore reports whether a job may have been delivered before, to us or to others. The count of
// its deliveries begins anew with a consumer that was made anew, and a server that was killed may
// bring back what had left the stream; but new jobs come in the order of the stream.
func (l *lane) cameBefore(d *delivery) bool {
	before := d.deliveries > 1 || d.sequence <= l.latest
	l.latest = max(l.latest, d.sequence)
	return before
}

func (w *Worker) newDelivery(lane jobs.Lane, msg *nats.Msg, now, lease time.Time) *delivery {
	meta, err := msg.Metadata()
	if err != nil {
		w.harmless("no_job", "messages come without the marks of a job and are left alone: "+err.Error())
		return nil
	}
	d := &delivery{
		msg:        msg,
		sequence:   meta.Sequence.Stream,
		requested:  meta.Timestamp,
		deliveries: int(meta.NumDelivered),
		received:   now,
		completed:  now,
		lane:       lane,
		looks:      w.guard.looks(),
		key:        jobs.Key(meta.Sequence.Stream, meta.Timestamp),
		lease:      lease,
	}
	if _, publisher, err := w.Config.Stream.Subjects.Origin(msg.Subject); err == nil {
		d.publisher = publisher
	}
	return d
}

// header is the value of a message's header, however the publisher writes its name.
func (d *delivery) header(name string) string {
	for key, values := range d.msg.Header {
		if strings.EqualFold(key, name) && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

// open decodes a job. One that cannot be decoded has no session left to send.
func (w *Worker) open(d *delivery) {
	job, err := jobs.Decode(d.msg.Data, w.rules)
	job.ID = jobs.Identify(job.ID, d.header(nats.MsgIdHdr), d.sequence, d.requested)
	d.job = job
	if err != nil {
		d.invalid = err.Error()
		return
	}
	d.targets = job.Sessions
	d.left = len(job.Sessions)
	d.sessions = make([]jobs.SessionResult, d.left)
	for i, s := range d.targets {
		if why := s.Wrong(); why != "" {
			d.set(i, jobs.SessionResult{Outcome: jobs.InvalidSession, Error: why}, d.received)
		}
	}
	for _, u := range job.Users {
		p := &person{named: u}
		if why := u.Wrong(); why != "" {
			p.end(jobs.UserInvalid, why)
		}
		d.people = append(d.people, p)
	}
	if d.inquires() {
		d.left++
	}
	w.protect(d)
}

// inquires reports whether something is to be looked up before a job can be complete.
func (d *delivery) inquires() bool { return len(d.people) > 0 }

// found reports whether the i-th session was found through a user, so that the Web Server has told whose it is.
func (d *delivery) found(i int) bool { return i >= len(d.job.Sessions) }

// protect decides about those sessions of a job that are left alone, as far as that is known by now.
func (w *Worker) protect(d *delivery) {
	for i, s := range d.targets {
		if s.Wrong() == "" && w.guard.protects(s) {
			d.set(i, jobs.SessionResult{Outcome: jobs.Protected}, d.received)
		}
	}
}

// conclude writes down in r what became of a job.
func (w *Worker) conclude(d *delivery, r *jobs.Result) {
	clear(r.Counts)
	*r = jobs.Result{
		Version:        jobs.ResultVersion,
		JobID:          d.job.ID,
		Lane:           d.lane,
		Publisher:      d.publisher,
		Sessions:       d.sessions,
		Counts:         r.Counts,
		RequestedAt:    d.requested,
		ReceivedAt:     d.received,
		CompletedAt:    d.completed,
		TimeToLogoffMS: max(0, d.took().Milliseconds()),
		Error:          d.job.Remark(),
		EventTime:      d.job.EventTime,
		Worker:         w.Config.Name,
		Deliveries:     d.deliveries,
		Reason:         d.job.Reason,
		RequestedBy:    d.job.RequestedBy,
		Labels:         d.job.Labels,
	}
	if d.invalid != "" {
		r.Status, r.Error = jobs.Invalid, d.invalid
	}
	for _, p := range d.people {
		r.Users = append(r.Users, p.result())
	}
	r.Conclude()
}

// took is how long it was from the job being stored to the last answer.
func (d *delivery) took() time.Duration { return d.completed.Sub(d.requested) }

// settledAs notes the result that is in the stream.
func (d *delivery) settledAs(stored *jobs.Result) {
	d.result, d.status, d.stored = stored, stored.Status, true
}

const (
	// lookUpTime bounds how long jobs that came again are looked up, because others wait for it.
	lookUpTime = 2 * time.Second
	// lookUps is how many are looked up at once.
	lookUps = 16
)

// lookUp finds out which of the jobs that came again have a result already. An answer that fails to
// come counts as no: the job is then worked once more, and its result refused as the second one.
func (w *Worker) lookUp(again []*delivery) {
	if len(again) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(w.finish, lookUpTime)
	defer cancel()
	each(lookUps, again, func(d *delivery) {
		if stored := w.storedResult(ctx, d); stored != nil {
			w.step(d, "looked up: it has a result", "status", stored.Status)
			d.settledAs(stored)
		}
	})
}

// each does something for all, so many at once, and returns when it is done.
func each[T any](atOnce int, all []T, do func(T)) {
	var done sync.WaitGroup
	turns := make(chan struct{}, atOnce)
	for _, one := range all {
		turns <- struct{}{}
		done.Go(func() {
			defer func() { <-turns }()
			do(one)
		})
	}
	done.Wait()
}

// storedResult returns the result that a job has in the stream; nil when it has none or none could
// be read.
func (w *Worker) storedResult(ctx context.Context, d *delivery) *jobs.Result {
	msg, err := w.streams.Result(ctx, w.resultSubject(d))
	if err != nil {
		if !errors.Is(err, jetstream.ErrMsgNotFound) {
			w.harmless("not_looked_up", "it cannot be looked up whether jobs that came again are settled, so they are worked again: "+err.Error())
		}
		return nil
	}
	result, err := jobs.DecodeResult(msg.Data)
	if err != nil {
		w.harmless("unreadable", fmt.Sprintf("stored results cannot be read, now that of job %s on %s: %v", d.job.ID, msg.Subject, err))
		return nil
	}
	return &result
}

// set notes what became of the i-th session of a job, and reports whether it was the last.
func (d *delivery) set(i int, outcome jobs.SessionResult, now time.Time) (complete bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.targets[i]
	outcome.ID, outcome.UserID, outcome.Found = s.Spelled(), s.UserID, d.found(i)
	d.sessions[i] = outcome
	d.completed = now
	d.left--
	return d.left == 0
}

// owner is that of the i-th session; 0 when nobody has told.
func (d *delivery) owner(i int) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.targets[i].UserID
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

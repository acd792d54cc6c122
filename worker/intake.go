package worker

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"logoffworker/jobs"
	"logoffworker/jobs/signals"
	"logoffworker/worker/guard"
)

// receive makes deliveries of what was pulled since a time and returns those whose sessions are to be
// sent. The others, which cannot be decoded, were settled before or are held (guarded.go), are on their way out of the
// stream, or wait for the guard. All are in hand before the first is looked at, so that no lease runs out meanwhile.
func (l *lane) receive(msgs []*nats.Msg, pulled time.Time) []*delivery {
	var again []*delivery
	taken := make([]*delivery, 0, len(msgs))
	now := time.Now()
	for _, msg := range msgs {
		d := l.newDelivery(msg, now, pulled.Add(l.w.streams.AckWait()))
		if d == nil || !l.w.leases.takeOn(d) {
			continue // not a job, or one that is in hand already
		}
		taken = append(taken, d)
		if l.cameBefore(d) {
			again = append(again, d)
		}
	}
	l.w.Metrics.Received(l.name, len(msgs))
	l.w.Metrics.Redelivered(l.name, len(again))
	reader := l.w.reader()
	for _, d := range taken {
		l.open(reader, d)
		l.w.Metrics.Written(d.format)
		l.w.jobLog.taken(d)
		l.w.leases.weigh(d)
	}
	l.lookUpResults(again)
	l.tellUnsettled(again)
	taken = l.withKeys(taken)
	l.lookUpRepeats(taken)
	return l.settleOver(l.guarded(taken))
}

// settleOver settles those jobs of which nothing is to be sent, and returns the others.
func (l *lane) settleOver(ds []*delivery) (work []*delivery) {
	over, work := separate(ds, func(d *delivery) bool { return d.stored || d.left <= 0 })
	l.w.settler.settle(over)
	return work
}

// tellUnsettled tells of jobs that somebody had and did not settle: a worker that died or was stopped, or
// somebody who is none and takes jobs from our consumer. Signed messages come again for want of a key, too.
func (l *lane) tellUnsettled(again []*delivery) {
	unsettled := slices.DeleteFunc(again, func(d *delivery) bool { return d.stored || d.deliveries < 2 || d.format == jobs.SET })
	if n := len(unsettled); n > 0 {
		harmless(l.w.Health, "came_again", fmt.Sprintf("%d jobs came again that somebody had taken and not settled; probably a worker was stopped or died, and otherwise something that is no worker takes jobs from the consumer %s", n, l.name))
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

// newDelivery is a job as it came; nil where a message is no job.
func (l *lane) newDelivery(msg *nats.Msg, now, lease time.Time) *delivery {
	meta, err := msg.Metadata()
	if err != nil {
		harmless(l.w.Health, "no_job", "messages come that JetStream did not send as jobs (they lack the reply subject of one) and are left alone: "+err.Error())
		return nil
	}
	d := &delivery{
		msg:        msg,
		sequence:   meta.Sequence.Stream,
		requested:  meta.Timestamp,
		deliveries: int(meta.NumDelivered),
		received:   now,
		completed:  now,
		lane:       l.name,
		lists:      l.w.roster.ListsAskedFor(),
		key:        jobs.Key(meta.Sequence.Stream, meta.Timestamp),
		lease:      lease,
	}
	d.trace = jobs.ParseTrace(d.header("traceparent"))
	if _, publisher, err := l.w.Config.Stream.Subjects.Origin(msg.Subject); err == nil {
		d.publisher = publisher
	}
	return d
}

// open reads a job. One that cannot be read, or is none, has no session left to send; nor has one that waits for keys.
func (l *lane) open(reader signals.Reader, d *delivery) {
	a := reader.Message(d.msg.Header, d.msg.Data)
	job := a.Job
	job.ID = jobs.Identify(job.ID, d.header(nats.MsgIdHdr), d.key)
	if id, _, ok := l.w.Config.Stream.Subjects.ResultOf(d.header(guard.Header)); ok && l.w.isApproved(d) {
		job.ID = id // of the job that was held
	}
	d.format, d.signal, d.keys = a.Format, d.signalOf(a, &job), nil
	d.job = job
	switch a.Verdict {
	case signals.Job:
		l.target(d)
	case signals.Ignored:
		d.ignored = a.Why
	case signals.Retry:
		d.keys = &keyWait{issuer: a.Issuer, why: a.Why}
	default:
		d.invalid = l.w.refusal(a)
	}
}

// signalOf is the event that a job answers: as it was read, or as whoever stored the job says. A header that cannot be
// read is remarked in the job.
func (d *delivery) signalOf(a signals.Answer, job *jobs.Job) *jobs.Signal {
	if a.Signal != nil {
		return a.Signal.Fitting()
	}
	header := d.header(jobs.SignalHeader)
	if header == "" || a.Format == jobs.SET {
		return nil
	}
	signal, err := jobs.DecodeSignal(header)
	if err != nil {
		job.Remarks = append(job.Remarks, err.Error())
	}
	return signal
}

// refusal says in words why a message is invalid.
func (w *Worker) refusal(a signals.Answer) string {
	if w.Issuers == nil && a.Format == jobs.SET {
		return a.Why + "; nobody's signed messages are believed, because LOGOFF_ISSUERS_FILE is not set"
	}
	return a.Why
}

// target makes targets of what a job names.
func (l *lane) target(d *delivery) {
	d.targets = d.job.Sessions
	d.left = len(d.job.Sessions)
	d.sessions = make([]jobs.SessionResult, d.left)
	for i, s := range d.targets {
		switch why := s.Wrong(); {
		case why != "":
			d.set(i, jobs.SessionResult{Outcome: jobs.InvalidSession, Error: why}, d.received)
		case l.w.roster.Protects(s): // as far as that is known by now
			d.set(i, jobs.SessionResult{Outcome: jobs.Protected}, d.received)
		}
	}
	for _, named := range d.job.Users {
		u := &user{named: named}
		if why := named.Wrong(); why != "" {
			u.end(jobs.UserInvalid, why)
		}
		d.users = append(d.users, u)
	}
	if len(d.users) > 0 {
		d.left++ // for the look-up
	}
}

// lookUpTime bounds how long jobs that came again are looked up, because others wait for it.
const lookUpTime = 2 * time.Second

// lookUps is how many are looked up at once.
const lookUps = 16

// lookUpResults finds out which of the jobs that came again have a result already. An answer that fails to
// come counts as no: the job is then worked once more, and its result refused as the second one.
func (l *lane) lookUpResults(again []*delivery) {
	l.lookUpEach(again, func(ctx context.Context, d *delivery) {
		if stored := l.w.settler.storedResult(ctx, d); stored != nil {
			l.w.jobLog.step(d, "it has a result already", "status", stored.Status)
			d.settledAs(stored)
		}
	})
}

// lookUpEach looks something up about each of the jobs, and returns when all is known or the time is up.
func (l *lane) lookUpEach(ds []*delivery, look func(context.Context, *delivery)) {
	if len(ds) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(l.w.finish, lookUpTime)
	defer cancel()
	var looking errgroup.Group
	looking.SetLimit(lookUps)
	for _, d := range ds {
		looking.Go(func() error { look(ctx, d); return nil })
	}
	_ = looking.Wait()
}

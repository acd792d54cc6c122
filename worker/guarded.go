package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/worker/gate"
	"logoffworker/worker/guard"
	"logoffworker/worker/stream"
)

// judgeTime bounds how long the guard may take where others wait for it.
const judgeTime = 2 * time.Second

// kindUnjudged is the kind of condition in which jobs wait for the guard.
const kindUnjudged = "unjudged"

// newGuard is the guard of a worker whose streams are found.
func (w *Worker) newGuard() *guard.Guard {
	c := guard.Config{Subjects: w.Config.Stream.Subjects, AboveJob: w.Config.HoldAboveJob, AboveHour: w.Config.HoldAboveHour}
	return guard.New(c, w.addUp, w.heldResult, w.laterResults)
}

// guarded has the guard judge jobs, and returns those that do not wait for its verdict. What it holds or refuses has
// nothing left to send. At a stop nothing more is asked.
func (l *lane) guarded(ds []*delivery) (known []*delivery) {
	asked, known := separate(ds, func(d *delivery) bool { return !d.stored && !d.isNoJob() && l.w.guards(d) })
	if len(asked) > 0 && l.w.stopping.Err() == nil && !l.unjudged.isAwaited() {
		var judged []*delivery
		judged, asked = l.judge(asked)
		known = append(known, judged...)
	}
	l.unjudged.add(asked, func() { l.w.readBacks.Go(l.awaitVerdicts) })
	return known
}

// guards reports whether the guard has a say in a job.
func (w *Worker) guards(d *delivery) bool {
	return w.Config.HoldAboveJob > 0 || w.Config.HoldAboveHour > 0 || w.isApproved(d)
}

func (w *Worker) isApproved(d *delivery) bool {
	_, _, approved := w.Config.Stream.Subjects.Approver(d.msg.Subject)
	return approved
}

// judge judges jobs once, and returns those of which something can be told now, and the others.
func (l *lane) judge(ds []*delivery) (known, unknown []*delivery) {
	ctx, cancel := context.WithTimeout(l.w.finish, judgeTime)
	defer cancel()
	all := make([]guard.Job, len(ds))
	for i, d := range ds {
		payload, _ := d.payload()
		all[i] = guard.Job{
			Subject: d.msg.Subject, Held: d.header(guard.Header), Key: d.key, Lane: d.lane, Publisher: d.publisher,
			Payload: payload, Sessions: len(d.job.Sessions), People: len(d.job.Users), Received: d.received,
		}
	}
	var why error
	for i, v := range l.w.guard.Judge(ctx, all) {
		if v.Unknown != nil {
			unknown, why = append(unknown, ds[i]), v.Unknown
			continue
		}
		known = append(known, ds[i])
		ds[i].judged(v)
		if !v.Passes() {
			l.w.jobLog.step(ds[i], "it is not worked", "held", v.Held, "refused", v.Refused)
		}
	}
	if why != nil {
		l.w.Health.Begin(l.tellUnjudged(len(unknown), why))
	}
	return known, unknown
}

// tellUnjudged is the condition in which so many jobs wait for the guard.
func (l *lane) tellUnjudged(n int, why error) metrics.Condition {
	c := metrics.Condition{
		Part: string(l.name), Kind: kindUnjudged,
		What:     fmt.Sprintf("%d jobs wait, because it cannot be found out now whether they have to be held, or were approved: %v", n, why),
		ByItself: "they are worked, or held, as soon as NATS answers",
		ToDo:     "look at NATS, at its streams of counters and results, and at the worker's rights to them (deploy/nats/accounts.conf lists them)",
		Command:  "nats stream report",
	}
	if !l.w.NATS.IsConnected() {
		c.Through, c.ToDo, c.Command = stream.PartNATS, "", ""
	}
	return c
}

// judged writes down what the guard says.
func (d *delivery) judged(v guard.Verdict) {
	d.verdict = &v
	if v.ApprovedBy != "" {
		d.publisher = v.Publisher
	}
	if v.Passes() {
		return
	}
	d.left = 0
	if v.Refused != "" {
		d.invalid, d.targets, d.sessions, d.users = v.Refused, nil, nil, nil
		return
	}
	for i, s := range d.targets {
		if d.sessions[i].Outcome == "" {
			d.sessions[i] = jobs.SessionResult{ID: s.Spelled(), UserID: s.UserID, Outcome: jobs.HeldSession}
		}
	}
	for _, u := range d.users {
		if u.outcome == "" {
			u.end(jobs.UserHeld, "")
		}
	}
}

// awaitVerdicts judges jobs again until something is known of all of them, and begins those that may be worked. At a
// stop they are handed back.
func (l *lane) awaitVerdicts() {
	for tries := 1; gate.Pause(l.w.stopping, l.w.Config.Backoff.After(tries)); tries++ {
		known, unknown := l.judge(l.unjudged.take())
		l.beginJudged(known)
		if len(unknown) == 0 {
			l.w.Health.End(string(l.name), kindUnjudged)
			tries = 0
		}
		if !l.unjudged.restore(unknown, nil) {
			return
		}
	}
	for again := true; again; again = l.unjudged.restore(nil, nil) {
		ds := l.unjudged.take()
		for _, d := range ds {
			d.returned, d.left = true, 0
		}
		l.w.settler.settle(ds)
	}
}

// beginJudged begins what was judged late.
func (l *lane) beginJudged(ds []*delivery) {
	if work := l.settleOver(ds); len(work) > 0 {
		l.begin(work)
		l.w.readBacks.Go(l.sender.sendWaiting)
	}
}

// heldResult reads the result that an approved job names; nil when there is none.
func (w *Worker) heldResult(ctx context.Context, subject string) (*jobs.Result, error) {
	msg, err := w.streams.Result(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	result, err := jobs.DecodeResult(msg.Data)
	return &result, err
}

// laterResults reads the results of the same job id that were stored after the one on a subject.
func (w *Worker) laterResults(ctx context.Context, subject string, read func(string, *jobs.Result) bool) error {
	msg, err := w.streams.Result(ctx, subject)
	if err != nil {
		return err
	}
	id, _, _ := w.Config.Stream.Subjects.ResultOf(subject)
	for {
		msg, err = w.streams.NextResult(ctx, w.Config.Stream.Subjects.Result(id, "*"), msg.Sequence+1)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		result, err := jobs.DecodeResult(msg.Data)
		if err != nil || !read(msg.Subject, &result) {
			return err
		}
	}
}

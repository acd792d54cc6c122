package worker

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
)

// lookUpRepeats finds out which jobs answer an event that was worked before: security systems send the same event
// again. An answer that fails to come counts as no, and so does an event that was not done: then it is worked again. Two
// that are in hand together may both be worked.
func (l *lane) lookUpRepeats(ds []*delivery) {
	asking, _ := separate(ds, func(d *delivery) bool {
		return d.signal != nil && jobs.IsSignalID(d.job.ID) && !d.stored && !d.isNoJob() && !l.w.isApproved(d)
	})
	l.lookUpEach(asking, func(ctx context.Context, d *delivery) {
		if subject := l.w.settler.workedBefore(ctx, d); subject != "" {
			l.w.jobLog.step(d, "its event was worked before", "result", subject)
			d.repeat(subject)
		}
	})
}

// repeat has a job ignored whose event was worked before.
func (d *delivery) repeat(subject string) {
	d.ignored, d.repeats = "worked before: "+subject, subject
	d.targets, d.sessions, d.users, d.left = nil, nil, nil, 0
}

// workedBefore is the subject of a result of the same event that says that nothing is left; empty if there is none, or
// none could be read. The same event is one of the same publisher with the same id.
func (s *settler) workedBefore(ctx context.Context, d *delivery) (subject string) {
	msg, err := s.streams.Result(ctx, s.config.Stream.Subjects.Result(d.job.ID, "*"))
	if err != nil {
		if !errors.Is(err, jetstream.ErrMsgNotFound) {
			harmless(s.health, "not_looked_up", "it cannot be looked up whether events were worked before, so they are worked again: "+err.Error())
		}
		return ""
	}
	r, err := jobs.DecodeResult(msg.Data)
	switch {
	case err != nil, r.Publisher != d.publisher, r.Signal == nil:
		return ""
	case r.Status == jobs.Ignored:
		return r.Repeats
	case r.Status == jobs.Done, r.Status == jobs.AcceptedJob:
		return msg.Subject
	}
	return ""
}

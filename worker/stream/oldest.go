package stream

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
)

// silentFor is how long the oldest jobs are not looked up again after nobody answered: the worker may lack the right to,
// and would wait for each answer in vain.
const silentFor = time.Minute

// tellOldest tells when the oldest job of each lane was stored. A lane that has none costs no question.
func (w *Watch) tellOldest(ctx context.Context, found look) {
	for _, lane := range jobs.Lanes {
		var stored time.Time
		if info := found.lanes[lane]; info.NumPending > 0 || info.NumAckPending > 0 {
			stored = w.oldest(ctx, lane)
		}
		w.Streams.Metrics.OldestJob(lane, stored)
	}
}

// oldest is when the oldest job of a lane was stored; zero where that is not known.
func (w *Watch) oldest(ctx context.Context, lane jobs.Lane) time.Time {
	if time.Since(w.silent) < silentFor {
		return time.Time{}
	}
	stored, err := w.Streams.oldest(ctx, lane)
	if errors.Is(err, context.DeadlineExceeded) {
		w.silent = time.Now()
	}
	return stored
}

// oldest looks up the first job of each subject of a lane. How many wait makes no difference to what that costs.
func (s *Streams) oldest(ctx context.Context, lane jobs.Lane) (stored time.Time, err error) {
	for _, subject := range s.Config.Subjects.Lane(lane) {
		msg, err := s.plan.found[s.plan.requests.Name].GetMsg(ctx, 1, jetstream.WithGetMsgSubject(subject))
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			continue
		case err != nil:
			return time.Time{}, err
		}
		if stored.IsZero() || msg.Time.Before(stored) {
			stored = msg.Time
		}
	}
	return stored, nil
}

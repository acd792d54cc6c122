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
			if first, err := w.oldest(ctx, lane); err == nil && first != nil {
				stored = first.Time
			}
		}
		w.Streams.Metrics.OldestJob(lane, stored)
	}
}

// errUnanswered is of what is not asked, because nobody answered lately.
var errUnanswered = errors.New("nobody answers who may be asked for the oldest job")

// oldest is the oldest job of a lane; nil without an error where there is none.
func (w *Watch) oldest(ctx context.Context, lane jobs.Lane) (*jetstream.RawStreamMsg, error) {
	if time.Since(w.silent) < silentFor {
		return nil, errUnanswered
	}
	first, err := w.Streams.oldest(ctx, lane)
	if errors.Is(err, context.DeadlineExceeded) {
		w.silent = time.Now()
	}
	return first, err
}

// oldest looks up the first job of each subject of a lane. How many wait makes no difference to what that costs.
func (s *Streams) oldest(ctx context.Context, lane jobs.Lane) (first *jetstream.RawStreamMsg, err error) {
	for _, subject := range s.Config.Subjects.Lane(lane) {
		msg, err := s.plan.found[s.plan.requests.Name].GetMsg(ctx, 1, jetstream.WithGetMsgSubject(subject))
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			continue
		case err != nil:
			return nil, err
		}
		if first == nil || msg.Sequence < first.Sequence {
			first = msg
		}
	}
	return first, nil
}

package worker

import (
	"context"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

// slots are the requests that may be in flight. Bulk jobs cannot take the last few, so that an
// urgent job always finds one.
type slots struct {
	all     chan struct{}
	bulk    chan struct{}
	metrics *metrics.Metrics
}

func newSlots(n, urgent int, m *metrics.Metrics) *slots {
	return &slots{all: make(chan struct{}, n), bulk: make(chan struct{}, n-urgent), metrics: m}
}

// take waits for one of the slots that jobs of a lane can have, for a document of another or the same lane, and
// returns how to free it; nil when ctx ended first.
func (s *slots) take(ctx context.Context, of, document jobs.Lane) (free func()) {
	if of == jobs.Bulk {
		select {
		case s.bulk <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
	}
	select {
	case s.all <- struct{}{}:
		s.metrics.Slots(document, +1)
		return func() {
			s.metrics.Slots(document, -1)
			s.free(of)
		}
	case <-ctx.Done():
		if of == jobs.Bulk {
			<-s.bulk
		}
		return nil
	}
}

func (s *slots) free(of jobs.Lane) {
	<-s.all
	if of == jobs.Bulk {
		<-s.bulk
	}
}

// awaitFree waits until a slot is free without keeping it, so that a lane pulls only what it can send.
func (s *slots) awaitFree(ctx context.Context, lane jobs.Lane) bool {
	free := s.take(ctx, lane, lane)
	if free == nil {
		return false
	}
	free()
	return true
}

package worker

import (
	"context"

	"logoffworker/jobs"
)

// slots are the requests that may be in flight. Bulk jobs cannot take the last few, so that an
// urgent job always finds one.
type slots struct {
	all  chan struct{}
	bulk chan struct{}
}

func newSlots(n, urgent int) *slots {
	return &slots{all: make(chan struct{}, n), bulk: make(chan struct{}, n-urgent)}
}

// take waits for a slot and returns how to free it; nil when ctx ended first.
func (s *slots) take(ctx context.Context, lane jobs.Lane) (free func()) {
	if lane == jobs.Bulk {
		select {
		case s.bulk <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
	}
	select {
	case s.all <- struct{}{}:
		return func() { s.free(lane) }
	case <-ctx.Done():
		if lane == jobs.Bulk {
			<-s.bulk
		}
		return nil
	}
}

func (s *slots) free(lane jobs.Lane) {
	<-s.all
	if lane == jobs.Bulk {
		<-s.bulk
	}
}

// await waits until a slot is free without keeping it, so that a lane pulls only what it can send.
func (s *slots) await(ctx context.Context, lane jobs.Lane) bool {
	free := s.take(ctx, lane)
	if free == nil {
		return false
	}
	free()
	return true
}

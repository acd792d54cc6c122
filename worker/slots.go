package worker

import (
	"context"
	"slices"
	"sync"
	"time"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

// slots are the requests that may be in flight. Bulk jobs cannot take the last few, so that an
// urgent job always finds one.
type slots struct {
	all, bulk int
	metrics   *metrics.Metrics

	mu    sync.Mutex
	taken []*slot
	freed chan struct{} // closed when a slot is freed
}

// A slot is one that a document has.
type slot struct {
	of, document jobs.Lane // whose slot it is, and whose document
	begun        time.Time
}

func newSlots(n, urgent int, m *metrics.Metrics) *slots {
	return &slots{all: n, bulk: n - urgent, metrics: m, freed: make(chan struct{})}
}

// take waits for one of the slots that jobs of a lane can have, for a document of another or the same lane, and
// returns how to free it; nil when ctx ended first.
func (s *slots) take(ctx context.Context, of, document jobs.Lane) (free func()) {
	for ctx.Err() == nil {
		free, freed := s.takeFree(of, document)
		if free != nil {
			return free
		}
		select {
		case <-freed:
		case <-ctx.Done():
		}
	}
	return nil
}

// takeFree takes a slot if one is free; otherwise freed is closed when one is.
func (s *slots) takeFree(of, document jobs.Lane) (free func(), freed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.room(of).free == 0 {
		return nil, s.freed
	}
	one := &slot{of: of, document: document, begun: time.Now()}
	s.taken = append(s.taken, one)
	s.metrics.Slots(document, +1)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.taken = slices.DeleteFunc(s.taken, func(other *slot) bool { return other == one })
		s.metrics.Slots(document, -1)
		close(s.freed)
		s.freed = make(chan struct{})
	}, nil
}

// A room is what a lane has of the slots.
type room struct {
	all, free int           // slots that no document of another lane has, and those of them that it can have now
	eldest    time.Duration // since when the document has its slot that has it the longest; 0 when none has one
}

// look says what a lane has of the slots; freed is closed when that changes for the better.
func (s *slots) look(lane jobs.Lane) (r room, freed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.room(lane), s.freed
}

func (s *slots) room(lane jobs.Lane) (r room) {
	r.free = s.all - len(s.taken)
	bulk := s.bulk
	for _, one := range s.taken {
		if one.of == jobs.Bulk {
			bulk--
		}
		if one.document == lane {
			r.all++
			r.eldest = max(r.eldest, time.Since(one.begun))
		}
	}
	if lane == jobs.Bulk {
		r.free = min(r.free, bulk)
	}
	r.all += r.free
	return r
}

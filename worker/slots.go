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
	all     chan struct{}
	bulk    chan struct{}
	metrics *metrics.Metrics

	mu      sync.Mutex
	begun   map[jobs.Lane][]time.Time // when the documents of a lane that have a slot took it, the eldest first
	changed chan struct{}             // closed when a slot is freed
}

func newSlots(n, urgent int, m *metrics.Metrics) *slots {
	return &slots{
		all: make(chan struct{}, n), bulk: make(chan struct{}, n-urgent), metrics: m,
		begun: map[jobs.Lane][]time.Time{}, changed: make(chan struct{}),
	}
}

// take waits for one of the slots that jobs of a lane can have, for a document of another or the same lane, and
// returns how to free it; nil when ctx ended first.
func (s *slots) take(ctx context.Context, of, document jobs.Lane) (free func()) {
	if !s.wait(ctx, of) {
		return nil
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun[document] = append(s.begun[document], now)
	s.metrics.Slots(document, +1)
	return func() {
		s.metrics.Slots(document, -1)
		s.free(of)
		s.mu.Lock()
		defer s.mu.Unlock()
		i := slices.Index(s.begun[document], now)
		s.begun[document] = slices.Delete(s.begun[document], i, i+1)
		close(s.changed)
		s.changed = make(chan struct{})
	}
}

// wait waits for one of the slots that jobs of a lane can have, and keeps it. It returns false when ctx ended first.
func (s *slots) wait(ctx context.Context, of jobs.Lane) bool {
	if of == jobs.Bulk {
		select {
		case s.bulk <- struct{}{}:
		case <-ctx.Done():
			return false
		}
	}
	select {
	case s.all <- struct{}{}:
		return true
	case <-ctx.Done():
		if of == jobs.Bulk {
			<-s.bulk
		}
		return false
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
	if !s.wait(ctx, lane) {
		return false
	}
	s.free(lane)
	return true
}

// A room is what a lane has of the slots.
type room struct {
	all, free int           // slots that no document of another lane has, and those of them that are free
	eldest    time.Duration // since when the document has its slot that has it the longest; 0 when none has one
}

// room says what a lane has of the slots, and when to ask again: changed is closed when a slot is freed.
func (s *slots) room(lane jobs.Lane) (r room, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own, others := s.begun[lane], 0
	for name, begun := range s.begun {
		if name != lane {
			others += len(begun)
		}
	}
	r.all = cap(s.all) - others
	if lane == jobs.Bulk {
		r.all = min(r.all, cap(s.bulk))
	}
	r.all = max(1, r.all)
	r.free = max(0, r.all-len(own))
	if len(own) > 0 {
		r.eldest = time.Since(own[0])
	}
	return r, s.changed
}

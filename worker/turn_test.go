package worker

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/worker/access"
	"logoffworker/worker/gate"
)

// Of the documents that have stood aside, one alone takes a slot when their turn comes: the others would wait in theirs
// for its answer, and nobody else's job would be pulled.
func TestTurnTakesOneSlot(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			stopping, stop := context.WithCancel(t.Context())
			config := DefaultConfig()
			w := &Worker{Config: config, stopping: stopping, slots: newSlots(config.Slots, 1, metrics.New(prometheus.NewRegistry(), metrics.Build{}))}
			w.server = &access.Server{Gate: gate.New(gate.Config{
				Backoff: config.Backoff, Moved: func(gate.Change) {}, Limited: func(gate.Kind, gate.Change) {}, Spent: func(gate.Kind, gate.Rank, time.Duration) {},
			})}
			s := &sender{w: w, lane: jobs.Urgent, queue: newQueue(true)}
			var passes atomic.Int64
			for range 3 * config.Slots {
				go func() {
					free, pass := s.standAside(func() {}, &gate.Caller{Rank: gate.Urgent, Kind: gate.Write}, nil)
					if pass != nil {
						passes.Add(1)
						<-stopping.Done() // its request is on its way
						pass.Cancel()
					}
					if free != nil {
						free()
					}
				}()
			}
			time.Sleep(time.Second)
			if room, _ := w.slots.look(jobs.Urgent); passes.Load() != 1 || room.free != config.Slots-1 {
				t.Errorf("%d have a pass, %d of %d slots are free", passes.Load(), room.free, config.Slots)
			}
			stop()
			synctest.Wait()
		})
	}
}

// A document that stands aside ends with a slot, and with a pass if it was its turn; at a stop without either.
func TestDocumentStandsAsideForAsLongAsItIsWorth(t *testing.T) {
	for name, test := range map[string]struct {
		busy       bool // others have all slots
		tried      bool // another document is tried
		ever       bool // its time is never up
		others     int64
		slot, pass bool
		took       time.Duration
	}{
		"its turn":                        {slot: true, pass: true},
		"its time is up before its turn":  {tried: true, slot: true, took: time.Second},
		"no slot until the stop":          {busy: true, took: 3 * time.Second},
		"not its turn until the stop":     {tried: true, ever: true, took: 3 * time.Second},
		"so many wait that nobody should": {tried: true, others: 4 * mostRefused, slot: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			stopping, stop := context.WithTimeout(t.Context(), 3*time.Second)
			defer stop()
			config := DefaultConfig()
			w := &Worker{Config: config, stopping: stopping, slots: newSlots(config.Slots, 1, metrics.New(prometheus.NewRegistry(), metrics.Build{}))}
			w.server = &access.Server{Gate: gate.New(gate.Config{
				Backoff: config.Backoff, Moved: func(gate.Change) {}, Limited: func(gate.Kind, gate.Change) {}, Spent: func(gate.Kind, gate.Rank, time.Duration) {},
			})}
			s := &sender{w: w, lane: jobs.Urgent, queue: newQueue(true)}
			if test.others > 0 {
				s.refused.Store(test.others)
			}
			for test.busy && w.slots.room(jobs.Urgent).free > 0 {
				w.slots.take(t.Context(), jobs.Urgent, jobs.Urgent)
			}
			if test.tried {
				if _, err := w.server.Gate.Enter(t.Context(), &gate.Caller{Rank: gate.Urgent, Kind: gate.Write}, time.Time{}); err != nil {
					t.Fatal(err)
				}
			}
			d := jobNaming("a")
			if !test.ever {
				d.job.NotAfter = time.Now().Add(time.Second)
			}
			begun := time.Now()
			free, pass := s.standAside(func() {}, &gate.Caller{Rank: gate.Urgent, Kind: gate.Write}, []document{queued(s.queue, d)})
			if (free != nil) != test.slot || (pass != nil) != test.pass || time.Since(begun) != test.took || s.refused.Load() != test.others {
				t.Errorf("%s: a slot %t, a pass %t, after %v; %d wait still", name, free != nil, pass != nil, time.Since(begun), s.refused.Load())
			}
		})
	}
}

// Where nothing waits, no slot is waited for.
func TestNothingThatWaitsNeedsNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &Worker{slots: newSlots(2, 1, metrics.New(prometheus.NewRegistry(), metrics.Build{})), stopping: t.Context()}
		for range 2 {
			w.slots.take(t.Context(), jobs.Urgent, jobs.Urgent)
		}
		(&sender{w: w, lane: jobs.Urgent, queue: newQueue(true)}).sendWaiting()
	})
}

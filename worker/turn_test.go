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

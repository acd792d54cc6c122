package worker

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

// A bulk lane that stops to wait for a slot leaves to the next what it had of one.
func TestStopGivesBackTheSlotThatWasHalfTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(2, 1, metrics.New(prometheus.NewRegistry(), metrics.Build{}))
		frees := []func(){s.take(t.Context(), jobs.Urgent, jobs.Urgent), s.take(t.Context(), jobs.Urgent, jobs.Urgent)}
		ctx, stop := context.WithCancel(t.Context())
		waited := make(chan func())
		go func() { waited <- s.take(ctx, jobs.Bulk, jobs.Bulk) }()
		synctest.Wait()
		stop()
		if free := <-waited; free != nil {
			t.Fatal("there was a slot")
		}
		frees[0]()
		took := make(chan func(), 1)
		go func() { took <- s.take(t.Context(), jobs.Bulk, jobs.Bulk) }()
		synctest.Wait()
		select {
		case free := <-took:
			free()
		default:
			t.Fatal("the slot is not given back")
		}
		frees[1]()
	})
}

// Bulk jobs cannot take the last slots, and have theirs again when they are free.
func TestBulkLeavesTheLastSlotToUrgentJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(3, 1, metrics.New(prometheus.NewRegistry(), metrics.Build{}))
		frees := []func(){s.take(t.Context(), jobs.Bulk, jobs.Bulk), s.take(t.Context(), jobs.Bulk, jobs.Bulk)}
		ended, stop := context.WithCancel(t.Context())
		stop()
		if s.awaitFree(ended, jobs.Bulk) {
			t.Error("a third bulk document finds a slot")
		}
		for range 2 { // it is kept by nobody
			if !s.awaitFree(t.Context(), jobs.Urgent) {
				t.Error("an urgent one finds none")
			}
		}
		frees[0]()
		if !s.awaitFree(t.Context(), jobs.Bulk) {
			t.Error("no slot for bulk, although one is free")
		}
		frees[1]()
	})
}

package worker

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

// A lane that stops to wait for a slot has none.
func TestStopEndsTheWaitForASlot(t *testing.T) {
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
		free := func(lane jobs.Lane) int {
			r, _ := s.look(lane)
			return r.free
		}
		if free(jobs.Bulk) != 0 || free(jobs.Urgent) != 1 {
			t.Errorf("%d slots for bulk, %d for urgent jobs", free(jobs.Bulk), free(jobs.Urgent))
		}
		frees[0]()
		if free(jobs.Bulk) != 1 || free(jobs.Urgent) != 2 {
			t.Errorf("with one freed: %d slots for bulk, %d for urgent jobs", free(jobs.Bulk), free(jobs.Urgent))
		}
		frees[1]()
		ended, stop := context.WithCancel(t.Context())
		stop()
		if s.take(ended, jobs.Urgent, jobs.Urgent) != nil {
			t.Error("a slot is taken after the end")
		}
	})
}

package worker

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

// Of the slots, a lane has what no other has, and bulk jobs no more than theirs.
func TestRoomIsWhatOthersLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(4, 1, metrics.New(prometheus.NewRegistry(), metrics.Build{}))
		is := func(lane jobs.Lane, want room) {
			t.Helper()
			if got, _ := s.look(lane); got != want {
				t.Errorf("%s has %+v, want %+v", lane, got, want)
			}
		}
		is(jobs.Urgent, room{4, 4, 0})
		is(jobs.Bulk, room{3, 3, 0})
		first := s.take(t.Context(), jobs.Bulk, jobs.Bulk)
		time.Sleep(time.Second)
		second := s.take(t.Context(), jobs.Bulk, jobs.Bulk)
		time.Sleep(time.Second)
		is(jobs.Urgent, room{2, 2, 0})
		is(jobs.Bulk, room{3, 1, 2 * time.Second})
		_, changed := s.look(jobs.Urgent)
		first()
		select {
		case <-changed:
		default:
			t.Error("nobody hears of a slot that is freed")
		}
		is(jobs.Urgent, room{3, 3, 0})
		is(jobs.Bulk, room{3, 2, time.Second})
		second()
		third := s.take(t.Context(), jobs.Bulk, jobs.Urgent)
		is(jobs.Urgent, room{4, 3, 0})
		is(jobs.Bulk, room{2, 2, 0})
		third()
	})
}

// A document that is not full is held back for as long as its lane's spacing says, no longer than until a slot is
// freed or the worker stops, and not at all where the stream has more or nothing may be pulled.
func TestSpaceIsWaitedFor(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(l *lane)
		queued  int
		stopAt  time.Duration
		took    time.Duration
		stopped bool
		more    bool // is looked for afterwards
	}{
		"nothing to hold back":   {},
		"held back":              {prepare: justSent, queued: 1, took: 100 * time.Millisecond, more: true},
		"it came a while ago":    {prepare: func(l *lane) { justSent(l); l.came = time.Now().Add(-40 * time.Millisecond) }, queued: 1, took: 60 * time.Millisecond, more: true},
		"the first is to come":   {prepare: justSent},
		"an urgent one":          {prepare: lastUrgent, took: time.Second},
		"the stream has more":    {prepare: func(l *lane) { justSent(l); l.more = true }, more: true},
		"nothing may be pulled":  {prepare: justSent, queued: 200},
		"a job, and no wait":     {queued: 1},
		"a stop":                 {prepare: justSent, queued: 1, stopAt: 10 * time.Millisecond, stopped: true, took: 10 * time.Millisecond},
		"no slot before a stop":  {prepare: takeAll, stopAt: 10 * time.Millisecond, stopped: true, took: 10 * time.Millisecond},
		"no slot for some time":  {prepare: takeAll, queued: 1, took: 20 * time.Millisecond, more: true},
		"no slot, nothing waits": {prepare: takeAll, took: 20 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, m := DefaultConfig(), metrics.New(prometheus.NewRegistry(), metrics.Build{})
				w := &Worker{Config: c, leases: newLeases(), slots: newSlots(4, 1, m), cap: newDocumentCap(c.BatchMaxSessions, m)}
				l := &lane{w: w, name: jobs.Bulk, spacing: c.spacingOf(jobs.Bulk), queue: newQueue(true), sender: &sender{}}
				if test.prepare != nil {
					test.prepare(l)
				}
				for i := range test.queued {
					l.queue.add(jobNaming(fmt.Sprint(i)), 0, c.BatchMaxSessions)
				}
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				if test.stopAt > 0 {
					time.AfterFunc(test.stopAt, stop)
				}
				begun := time.Now()
				if went := l.space(ctx); went == test.stopped || time.Since(begun) != test.took || l.more != test.more {
					t.Errorf("there is space: %t, after %v; more is looked for: %t", went, time.Since(begun), l.more)
				}
			})
		})
	}
}

// justSent is a lane whose last document left just now, to a Web Server that takes its time.
func justSent(l *lane) {
	l.sent, l.came = time.Now(), time.Now()
	l.sender.took.Store(int64(time.Minute))
}

// lastUrgent is the urgent lane, of which the last document left just now, with one slot left.
func lastUrgent(l *lane) {
	justSent(l)
	l.name, l.spacing = jobs.Urgent, l.w.Config.spacingOf(jobs.Urgent)
	for l.w.slots.room(jobs.Urgent).free > 1 {
		l.w.slots.take(context.Background(), jobs.Urgent, jobs.Urgent)
	}
}

// takeAll takes all slots, and frees one after a while.
func takeAll(l *lane) {
	free := l.w.slots.take(context.Background(), jobs.Bulk, jobs.Urgent)
	for l.w.slots.room(jobs.Bulk).free > 0 {
		l.w.slots.take(context.Background(), jobs.Bulk, jobs.Urgent)
	}
	for l.w.slots.room(jobs.Urgent).free > 0 {
		l.w.slots.take(context.Background(), jobs.Urgent, jobs.Urgent)
	}
	time.AfterFunc(20*time.Millisecond, free)
}

// What is to be pulled is what is missing in a document, within what may be in hand and what may be parked.
func TestRoomOfALaneIsBounded(t *testing.T) {
	m := metrics.New(prometheus.NewRegistry(), metrics.Build{})
	for name, test := range map[string]struct {
		lane   jobs.Lane
		queued int
		worked int
		parked int
		want   int
	}{
		"nothing in hand":        {jobs.Bulk, 0, 0, 0, 200},
		"some wait":              {jobs.Bulk, 150, 0, 0, 50},
		"much is worked":         {jobs.Bulk, 0, 2*jobs.MaxSessions - 10, 0, 10},
		"much is worked, urgent": {jobs.Urgent, 0, 2*jobs.MaxSessions - 10, 0, 200},
		"too much, urgent":       {jobs.Urgent, 0, maxUrgent, 0, 0},
		"much is parked":         {jobs.Bulk, 0, 0, maxParked - 10, 10},
		"too much is parked":     {jobs.Urgent, 0, 0, maxParked, 0},
	} {
		w := &Worker{Config: DefaultConfig(), leases: newLeases(), cap: newDocumentCap(200, m)}
		l := &lane{w: w, name: test.lane, queue: newQueue(true)}
		*w.leases.of(test.lane) = load{worked: test.worked, parked: test.parked}
		for i := range test.queued {
			l.queue.add(jobNaming(fmt.Sprint(i)), 0, 200)
		}
		if got := l.room(); got != test.want {
			t.Errorf("%s: room for %d, want %d", name, got, test.want)
		}
	}
}

package worker

import (
	"context"
	"sync"
	"time"
)

// A budget bounds the requests to the Web Server where it, or a gateway in front of it, refuses more: reads
// and writes by the hour, as the SaaS gateway does, and all together by the second. Bulk work leaves a fifth
// of it to urgent jobs.
type budget struct {
	logins func() int64 // the client's own, which are writes too

	mu            sync.Mutex
	counted       int64 // logins
	reads, writes *quota
	second        *quota
}

// A quota is how many requests may begin within any stretch of time so long; a limit of 0 is none. Because
// any stretch counts, it is kept however the other side cuts its hours.
type quota struct {
	span  time.Duration
	limit int
	own   int         // kept for requests that are counted when they have been made
	used  []time.Time // of the latest, the oldest first
}

func newBudget(c Config, logins func() int64) *budget {
	return &budget{
		logins: logins,
		reads:  &quota{span: time.Hour, limit: c.ReadsPerHour, own: (c.ReadsPerHour + 19) / 20},
		writes: &quota{span: time.Hour, limit: c.WritesPerHour, own: (c.WritesPerHour + 19) / 20},
		second: &quota{span: time.Second, limit: c.RequestsPerSecond},
	}
}

// read and write take the right to one request, or say how long it is until there may be one.
func (b *budget) read(who rank, now time.Time) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return take(who, now, b.reads, b.second)
}

func (b *budget) write(who rank, now time.Time) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for logins := b.logins(); b.counted < logins; b.counted++ {
		b.writes.use(now)
	}
	return take(who, now, b.writes, b.second)
}

// asked counts a harmless question, which is not waited for.
func (b *budget) asked(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reads.use(now)
}

func take(who rank, now time.Time, quotas ...*quota) (wait time.Duration) {
	for _, q := range quotas {
		wait = max(wait, q.wait(who, now))
	}
	if wait == 0 {
		for _, q := range quotas {
			q.use(now)
		}
	}
	return wait
}

// wait is how long it is until another request may begin.
func (q *quota) wait(who rank, now time.Time) time.Duration {
	if q.limit == 0 {
		return 0
	}
	for len(q.used) > 0 && now.Sub(q.used[0]) >= q.span {
		q.used = q.used[1:]
	}
	most := q.limit - q.own
	if who != rankUrgent {
		most = q.limit * 4 / 5
	}
	if most = max(1, most); len(q.used) < most {
		return 0
	}
	return q.used[len(q.used)-most].Add(q.span).Sub(now)
}

func (q *quota) use(now time.Time) {
	if q.limit > 0 {
		q.used = append(q.used, now)
	}
}

// admitted waits at the door and for the budget, and returns with the right to make a call. The errors are
// those of [door.enter].
func (w *Worker) admitted(ctx context.Context, who rank, deadline time.Time, spend func(rank, time.Time) time.Duration) (pass, error) {
	for {
		p, err := w.door.enter(ctx, who, deadline)
		if err != nil {
			return p, err
		}
		now := time.Now()
		wait := spend(who, now)
		if wait == 0 {
			return p, nil
		}
		w.door.leave(p) // a probe is not to wait for us
		if !deadline.IsZero() && deadline.Before(now.Add(wait)) {
			wait = max(0, deadline.Sub(now))
		}
		if !pause(ctx, wait) {
			return pass{}, ctx.Err()
		}
	}
}

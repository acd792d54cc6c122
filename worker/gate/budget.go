package gate

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// A budget bounds the requests to the Web Server where it, or a gateway in front of it, refuses more: reads
// and writes by the hour, as the SaaS gateway does, and all together by the second. Bulk work leaves a fifth
// of it to urgent jobs, and urgent jobs a twentieth to what keeps the worker able to work.
//
// The hours are those of the fleet where that can count (fleet.go). The worker keeps to them alone as well, and to the
// seconds.
type budget struct {
	others func(Kind) int64
	fleet  [2]*fleet // by kind

	mu      sync.Mutex
	hour    [2]*quota // by kind
	second  *quota
	counted [2]int64 // of the others' requests
}

// A quota is how many requests may begin within any stretch of time so long; a limit of 0 is none. Because
// any stretch counts, it is kept however the other side cuts its hours.
type quota struct {
	span  time.Duration
	limit int
	own   int         // kept for rank Own
	used  []time.Time // the oldest first
}

// stretches is how many spans bulk requests are counted over, and bulkShare how many spans' worth of them
// may be made in that time: a fifth of less than five could not be left within one span.
const (
	stretches = 5
	bulkShare = 4
)

func newBudget(c Config) *budget {
	others := c.Others
	if others == nil {
		others = func(Kind) int64 { return 0 }
	}
	return &budget{
		others: others,
		fleet:  [2]*fleet{Read: newFleet(c, Read, c.ReadsPerHour), Write: newFleet(c, Write, c.WritesPerHour)},
		hour: [2]*quota{
			Read:  {span: time.Hour, limit: c.ReadsPerHour, own: (c.ReadsPerHour + 19) / 20},
			Write: {span: time.Hour, limit: c.WritesPerHour, own: (c.WritesPerHour + 19) / 20},
		},
		second: &quota{span: time.Second, limit: c.RequestsPerSecond},
	}
}

// take takes the right to one request, or says how long it is until there may be one, or until it is worth another
// try. It asks the fleet only when the worker's own seconds and hours have room, and takes of these when the request
// begins; a right of the fleet's that does not come to that soon is lost.
func (b *budget) take(ctx context.Context, kind Kind, who Rank) (wait time.Duration) {
	if wait = b.wait(kind, who, time.Now()); wait > 0 {
		return wait
	}
	if wait = b.fleet[kind].take(ctx, b.hour[kind].share(who)); wait > 0 {
		return wait
	}
	for begun := time.Now(); ; {
		wait = b.use(kind, who, time.Now())
		if wait == 0 || time.Since(begun)+wait > soon || !Pause(ctx, wait) {
			return wait
		}
	}
}

// soon is how long a right of the fleet's may wait for a worker's own seconds.
const soon = 2 * time.Second

// use takes the right to one request of this worker, or says how long it is until there may be one.
func (b *budget) use(kind Kind, who Rank, now time.Time) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if wait = b.longest(kind, who, now); wait == 0 {
		b.hour[kind].use(now)
		b.second.use(now)
	}
	return wait
}

// wait is how long it is until this worker may make a request.
func (b *budget) wait(kind Kind, who Rank, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.longest(kind, who, now)
}

// longest does what wait says, with the lock held.
func (b *budget) longest(kind Kind, who Rank, now time.Time) time.Duration {
	b.countOthers(kind, now)
	return max(b.hour[kind].wait(who, now), b.second.wait(who, now))
}

// countOthers counts what others have asked since it last did, with the lock held.
func (b *budget) countOthers(kind Kind, now time.Time) {
	for all := b.others(kind); b.counted[kind] < all; b.counted[kind]++ {
		b.hour[kind].use(now)
	}
}

// left is how many requests of a kind may still begin within the hour: the fleet's where it can count, else this
// worker's.
func (b *budget) left(ctx context.Context, kind Kind) (left, limit int, err error) {
	limit = b.hour[kind].limit
	if limit == 0 {
		return 0, 0, nil
	}
	made, err := b.fleet[kind].made(ctx)
	if errors.Is(err, ErrAlone) {
		made, err = b.made(kind, time.Now()), nil
	}
	return max(0, limit-int(made)), limit, err
}

// made is how many requests of a kind this worker, and the others that it knows of, have begun within the hour.
func (b *budget) made(kind Kind, now time.Time) (made int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.countOthers(kind, now)
	q := b.hour[kind]
	for _, begun := range slices.Backward(q.used) {
		if now.Sub(begun) >= q.span {
			break
		}
		made++
	}
	return made
}

// share is how many requests may have begun within a span with one of this rank.
func (q *quota) share(who Rank) int64 {
	switch {
	case who == Own:
		return int64(q.limit)
	case who == Urgent || q.limit < stretches:
		return int64(max(1, q.limit-q.own))
	}
	return int64((q.limit - q.own) * bulkShare / stretches)
}

// wait is how long it is until another request may begin.
func (q *quota) wait(who Rank, now time.Time) time.Duration {
	if q.limit == 0 {
		return 0
	}
	q.forget(now)
	wait := q.free(now, int(q.share(who)), q.span)
	if who == Bulk && q.limit < stretches {
		wait = max(wait, q.free(now, bulkShare*q.limit, stretches*q.span))
	}
	return wait
}

// free is how long it is until fewer than most requests began within a span.
func (q *quota) free(now time.Time, most int, span time.Duration) time.Duration {
	if len(q.used) < most {
		return 0
	}
	return max(0, q.used[len(q.used)-most].Add(span).Sub(now))
}

// forget forgets what counts no more.
func (q *quota) forget(now time.Time) {
	span := q.span
	if q.limit < stretches {
		span *= stretches
	}
	for len(q.used) > 0 && now.Sub(q.used[0]) >= span {
		q.used = q.used[1:]
	}
}

func (q *quota) use(now time.Time) {
	if q.limit > 0 {
		q.used = append(q.used, now)
	}
}

package gate

import (
	"slices"
	"sync"
	"time"
)

// A budget bounds the requests to the Web Server where it, or a gateway in front of it, refuses more: reads
// and writes by the hour, as the SaaS gateway does, and all together by the second. Bulk work leaves a fifth
// of it to urgent jobs, and urgent jobs a twentieth to what keeps the worker able to work.
type budget struct {
	others func(Kind) int64

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
		hour: [2]*quota{
			Read:  {span: time.Hour, limit: c.ReadsPerHour, own: (c.ReadsPerHour + 19) / 20},
			Write: {span: time.Hour, limit: c.WritesPerHour, own: (c.WritesPerHour + 19) / 20},
		},
		second: &quota{span: time.Second, limit: c.RequestsPerSecond},
	}
}

// take takes the right to one request, or says how long it is until there may be one.
func (b *budget) take(kind Kind, who Rank, now time.Time) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.countOthers(kind, now)
	quotas := []*quota{b.hour[kind], b.second}
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

// countOthers counts what others have asked since it last did, with the lock held.
func (b *budget) countOthers(kind Kind, now time.Time) {
	for all := b.others(kind); b.counted[kind] < all; b.counted[kind]++ {
		b.hour[kind].use(now)
	}
}

// left is how many requests of a kind may still begin within the hour.
func (b *budget) left(kind Kind, now time.Time) (left, limit int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.countOthers(kind, now)
	q := b.hour[kind]
	left = q.limit
	for _, begun := range slices.Backward(q.used) {
		if now.Sub(begun) >= q.span {
			break
		}
		left--
	}
	return max(0, left), q.limit
}

// wait is how long it is until another request may begin.
func (q *quota) wait(who Rank, now time.Time) time.Duration {
	if q.limit == 0 {
		return 0
	}
	q.forget(now)
	switch who {
	case Own:
		return q.free(now, q.limit, q.span)
	case Urgent:
		return q.free(now, max(1, q.limit-q.own), q.span)
	}
	if q.limit < stretches {
		return max(q.free(now, q.limit, q.span), q.free(now, bulkShare*q.limit, stretches*q.span))
	}
	return q.free(now, (q.limit-q.own)*bulkShare/stretches, q.span)
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

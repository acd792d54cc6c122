package gate

import (
	"context"
	"time"
)

// EnterIdle waits until there is a reason to ask the Web Server how it is without a job: the breaker is open
// for a reason that a harmless question can clear, and nobody waits who would try; or no answer has come for
// keepAlive, so that the token would die. It returns ctx's error when ctx ends first.
func (g *Gate) EnterIdle(ctx context.Context, keepAlive time.Duration) (*Pass, error) {
	t, err := g.breaker.enterIdle(ctx, keepAlive)
	if err != nil {
		return nil, err
	}
	return &Pass{gate: g, caller: &Caller{Rank: Own, Kind: Read}, breaker: t}, nil
}

func (b *breaker) enterIdle(ctx context.Context, keepAlive time.Duration) (ticket, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for ctx.Err() == nil {
		now := time.Now()
		next := b.until
		switch {
		case b.state == Closed, b.scope == LogoffsOnly, b.state == Open && !b.clearedByRead():
			next = b.answer.Add(keepAlive)
			if !now.Before(next) {
				b.answer = now
				return ticket{idle: true, epoch: b.epoch}, nil
			}
		case len(b.waiting) > 0 || b.state == HalfOpen:
			next = time.Time{}
		case !now.Before(b.until):
			b.move(HalfOpen)
			return ticket{tries: true, idle: true, epoch: b.epoch}, nil
		}
		b.wait(ctx, next)
	}
	return ticket{}, ctx.Err()
}

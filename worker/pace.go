package worker

import (
	"context"
	"time"

	"github.com/failsafe-go/failsafe-go/adaptivelimiter"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

// A pace is how many bulk requests may be in flight, within the slots that bulk jobs can take. It adapts
// to the Web Server where the settings say so: as long as one more request makes none of them slower there
// may be more, and where they get slower together, which means that they wait for each other over there,
// there may be fewer. An urgent request waits for no such guess.
type pace struct {
	limiter adaptivelimiter.AdaptiveLimiter[any] // nil where the slots are all there is
}

// What is compared: the times of so many requests of full documents in a row, and at least of so long.
// Others say nothing, because a document's size has a part in its time. They are compared with the mean
// of many such rows, which begins with one request at a time: what a Web Server that is not busy takes.
const (
	paceSamples  = 10
	paceWindow   = time.Second
	paceBaseline = 300
)

func newPace(c Config, m *metrics.Metrics) *pace {
	most := uint(c.Slots - c.UrgentSlots)
	if !c.AdaptSlots {
		m.BulkSlots(int(most))
		return &pace{}
	}
	m.BulkSlots(1)
	return &pace{adaptivelimiter.NewBuilder[any]().
		WithLimits(1, most, 1).
		WithRecentWindow(paceWindow, 30*time.Second, paceSamples).
		WithBaselineWindow(paceBaseline).
		OnLimitChanged(func(e adaptivelimiter.LimitChangedEvent) { m.BulkSlots(int(e.NewLimit)) }).
		Build()}
}

// enter waits until a request may be made. It must be told of the request's end, and asks whether its time
// can be compared with others'. The error is that of ctx.
func (p *pace) enter(ctx context.Context, lane jobs.Lane) (leave func(comparable func() bool), err error) {
	if p.limiter == nil || lane != jobs.Bulk {
		return func(func() bool) {}, nil
	}
	permit, err := p.limiter.AcquirePermit(ctx)
	if err != nil {
		return nil, err
	}
	return func(comparable func() bool) {
		if comparable() {
			permit.Record()
		} else {
			permit.Drop()
		}
	}, nil
}

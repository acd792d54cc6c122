package main

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"

	"logoffworker/metrics"
	"logoffworker/worker"
	"logoffworker/worker/canary"
	"logoffworker/worker/webserver"
)

// keepCanary has a canary set out every so often, if the settings want one, until ctx ends.
func (p *process) keepCanary(ctx context.Context, c worker.Config, nc *nats.Conn) {
	every := p.settings.CanaryEvery
	if every == 0 {
		return
	}
	js, err := c.Stream.JetStream(nc)
	if err != nil {
		p.log.Error("No canary sets out.", "error", err)
		return
	}
	flights := &canary.Canary{
		Every: every, JS: js, Subjects: c.Stream.Subjects, Metrics: metrics.NewCanary(p.registry, every), Health: p.health, Log: p.log,
		SignOn: func() (*webserver.Client, error) { return p.settings.client(nil, p.observe) },
	}
	flights.Run(ctx, every/10+rand.N(every/10+time.Second))
}

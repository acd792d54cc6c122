package main

import (
	"context"
	"slices"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/worker/intake"
	"logoffworker/worker/issuers"
)

// events are the instruments of what is received and polled.
func (p *process) events() *metrics.Receiver {
	if p.received == nil {
		p.received = metrics.NewReceiver(p.registry)
	}
	return p.received
}

// pollStreams looks after the streams that the issuers file has, or is given later, until stop. alive hears of each
// event that comes another way, and may be called afterwards, too.
func (p *process) pollStreams(nc *nats.Conn) (alive func(issuer string, updated bool), stop func(), err error) {
	if p.issuers == nil {
		return func(string, bool) {}, func() {}, nil
	}
	config := p.settings.streamConfig()
	js, err := config.JetStream(nc)
	if err != nil {
		return nil, nil, err
	}
	poller := p.settings.poller(js)
	poller.Issuers, poller.Store = p.issuers, &intake.Store{NATS: nc, Subjects: config.Subjects}
	poller.Rules = jobs.Rules{LooseIDs: p.settings.LooseSession.IDs}
	poller.Events, poller.Metrics, poller.Health, poller.Log = p.events(), metrics.NewStreams(p.registry), p.health, p.log
	ctx, cancel := context.WithCancel(context.Background())
	var polling sync.WaitGroup
	polling.Go(func() { poller.Run(ctx) })
	return poller.Alive, func() {
		cancel()
		polling.Wait()
	}, nil
}

// poller is one of which only the bucket is known.
func (s settings) poller(js jetstream.JetStream) *intake.Poller {
	return &intake.Poller{JS: js, Bucket: intake.PollBucket(s.streamConfig().Subjects), Create: s.createsBucket(), Replicas: s.NATS.Replicas}
}

// hasStreams reports whether the issuers file has a stream that is looked after.
func (s settings) hasStreams() bool {
	i, _ := s.openIssuers() // what is wrong with it is told
	return i != nil && slices.ContainsFunc(i.File().Issuers, func(i issuers.Issuer) bool { return i.Stream != nil })
}

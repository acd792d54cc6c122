package stream

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/metrics"
)

const (
	// auditInterval is how often the stream of acts and digests is looked for until it is found, auditAgain how often
	// after that, and auditTimeout how long it may take.
	auditInterval = 30 * time.Second
	auditAgain    = 10 * time.Minute
	auditTimeout  = 5 * time.Second
)

// keepAudit sees to it that the stream of acts and digests is there, until ctx ends. No job needs it, and a release
// before it had none, so that whatever is wrong with it is told and keeps nobody from working.
func (s *Streams) keepAudit(ctx context.Context) {
	for {
		again := auditInterval
		if s.NATS.IsConnected() && s.findAudit(ctx) {
			again = auditAgain
		}
		if !pause(ctx, again) {
			return
		}
	}
}

// findAudit looks once, and reports whether the stream is there and right.
func (s *Streams) findAudit(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, auditTimeout)
	defer cancel()
	found, err := s.Config.provisionStream(ctx, s.js, s.plan.audit, s.plan.domain)
	if err == nil {
		s.audit.Store(&found)
	}
	if ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return false // the worker stops
	}
	s.Health.Set(err != nil, metrics.Condition{
		Part: PartStreams, Kind: "audit", Harmless: true,
		What:    "acts of operators and digests of results cannot be kept, and a pause is lost with its consumer: " + errorText(err),
		ToDo:    "have the stream made, and give the worker's NATS user the permissions that deploy/nats/accounts.conf lists",
		Command: initCommand,
	})
	return err == nil
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Audit is the stream of acts and digests; nil while it has not been found.
func (s *Streams) Audit() jetstream.Stream {
	if found := s.audit.Load(); found != nil {
		return *found
	}
	return nil
}

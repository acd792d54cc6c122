package main

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"logoffworker/worker"
)

// Canaries set out only where the settings want them: without, the worker has no metrics of them, by which alerts would
// tell that none comes back.
func TestCanariesSetOutOnlyWhenWanted(t *testing.T) {
	_, nc := unconnected(t)
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	for _, every := range []time.Duration{0, 5 * time.Minute} {
		p := newProcess(works, settings{CanaryEvery: every}, slog.New(slog.DiscardHandler))
		p.keepCanary(stopped, worker.DefaultConfig(), nc)
		n, err := testutil.GatherAndCount(p.registry, "logoff_canary_interval_seconds")
		if err != nil || (n > 0) != (every > 0) {
			t.Errorf("every %v: %d metrics, %v", every, n, err)
		}
	}
}

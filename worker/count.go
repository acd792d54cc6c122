package worker

import (
	"context"
	"fmt"

	"logoffworker/worker/counts"
	"logoffworker/worker/gate"
)

// findCounts finds the counters of all replicas once the streams are found, and lets those go on who wait for them.
func (w *Worker) findCounts() error {
	if w.streams.HasCounts() {
		js, err := w.Config.Stream.JetStream(w.NATS)
		if err != nil {
			return err
		}
		w.counts = counts.New(js, w.Config.Stream.Subjects)
	}
	close(w.found)
	return nil
}

// count counts requests to the Web Server for all replicas, see [gate.Config].Count. Until it is known whether these
// can count together, nobody learns anything.
func (w *Worker) count(ctx context.Context, kind gate.Kind, n int64) (within int64, err error) {
	select {
	case <-w.found:
	case <-ctx.Done():
		return 0, fmt.Errorf("the streams are not found yet: %w", ctx.Err())
	}
	switch {
	case w.counts == nil:
		return 0, gate.ErrAlone
	case n == 0:
		return w.counts.Within(ctx, kind.String())
	}
	return w.counts.Add(ctx, kind.String(), n)
}

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
	if w.counts == nil {
		return 0, gate.ErrAlone
	}
	return w.addUp(ctx, kind.String(), n)
}

// addUp adds n to what is counted for all replicas, if it is not 0, and returns the sum of the hour.
func (w *Worker) addUp(ctx context.Context, what string, n int64) (within int64, err error) {
	if n == 0 {
		return w.counts.Within(ctx, what)
	}
	return w.counts.Add(ctx, what, n)
}

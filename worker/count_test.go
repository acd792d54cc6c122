package worker

import (
	"context"
	"errors"
	"testing"

	"logoffworker/worker/gate"
)

// Where the streams hold no counters, each worker counts alone; until that is known nobody says so.
func TestWorkerCountsAloneWhereNothingIsCountedForAll(t *testing.T) {
	w := &Worker{found: make(chan struct{})}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := w.count(ended, gate.Write, 1); err == nil || errors.Is(err, gate.ErrAlone) {
		t.Errorf("before the streams are found: %v", err)
	}
	close(w.found)
	if _, err := w.count(t.Context(), gate.Write, 1); !errors.Is(err, gate.ErrAlone) {
		t.Errorf("without counters: %v", err)
	}
}

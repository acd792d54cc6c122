package worker

import (
	"errors"
	"io"
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

// A dead letter is counted when it is stored, and once: by whoever finds it stored already, it is not.
func TestDeadLetterIsCountedOnce(t *testing.T) {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	registry := prometheus.NewRegistry()
	s := &settler{metrics: metrics.New(registry, metrics.Build{}), health: metrics.NewHealth(log, Parts...), jobLog: newJobLog(log)}
	refused := errors.New("no room")
	for _, test := range []struct {
		reply error
		kept  bool
	}{{refused, false}, {nil, true}, {&jetstream.APIError{ErrorCode: jetstream.JSErrCodeStreamWrongLastSequence}, true}} {
		d := &delivery{status: jobs.Failed, result: &jobs.Result{Status: jobs.Failed}}
		if err := s.deadLetterStored(t.Context(), d, test.reply); (err == nil) != test.kept || d.kept != test.kept {
			t.Errorf("%v: %v, kept %t", test.reply, err, d.kept)
		}
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := 0.0
	for _, f := range families {
		if f.GetName() == "logoff_dead_letters_total" {
			for _, m := range f.GetMetric() {
				counted += m.GetCounter().GetValue()
			}
		}
	}
	if counted != 1 {
		t.Errorf("%v are counted, want 1", counted)
	}
}

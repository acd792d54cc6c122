package worker

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"logoffworker/jobs"
)

// In a flood, a job that has no line of its own costs next to nothing.
func BenchmarkJobWithoutALine(b *testing.B) {
	l := newJobLog(slog.New(slog.NewJSONHandler(io.Discard, nil)))
	d := &delivery{lane: jobs.Bulk, status: jobs.AcceptedJob, sessions: []jobs.SessionResult{{Outcome: jobs.Accepted}}, requested: time.Now(), completed: time.Now()}
	b.ReportAllocs()
	for b.Loop() {
		l.finished(d)
	}
}

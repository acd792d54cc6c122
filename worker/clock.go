package worker

import (
	"context"
	"fmt"
	"time"

	"logoffworker/metrics"
	"logoffworker/worker/webserver"
)

// clockInterval is how often the clocks are compared.
const clockInterval = 10 * time.Second

// clockOff is how far the Web Server's clock may be off before somebody is told.
const clockOff = 30 * time.Second

// watchClock tells how far the Web Server's clock is off.
func (w *Worker) watchClock(ctx context.Context) {
	for {
		if ahead, known := w.Server.ClockDifference(); known {
			w.clockIs(ahead)
		}
		if !pause(ctx, clockInterval) {
			return
		}
	}
}

func (w *Worker) clockIs(ahead time.Duration) {
	w.Metrics.ClockDifference(ahead)
	for way, off := range map[string]time.Duration{"ahead": ahead, "behind": -ahead} {
		if off <= clockOff {
			w.Health.End(PartWebServer, "clock_"+way)
			continue
		}
		w.Health.Begin(metrics.Condition{
			Part: PartWebServer, Kind: "clock_" + way, Harmless: true,
			What: fmt.Sprintf("the Web Server's clock is %v %s; it is allowed for where an eventTime is compared with the time of a login", off.Round(time.Second), way),
			ToDo: "synchronize the clocks of the Web Server and of this machine",
		})
	}
}

// newer reports whether a session began after the event that the job answers, so that it is left on. Login times
// are the Web Server's, and the event's is not. What began within the tolerance is ended: somebody signs on again,
// which is better than a revocation that is lost.
func (w *Worker) newer(d *delivery, row webserver.Listed) bool {
	if d.job.IncludeNewer || d.job.EventTime.IsZero() {
		return false
	}
	ahead, _ := w.Server.ClockDifference()
	return row.LoginTime.Add(-ahead).After(d.job.EventTime.Add(w.Config.ClockTolerance))
}

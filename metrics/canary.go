package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Canary holds the instruments of the canary. They are there only where one is.
type Canary struct {
	took, latest fleeting
}

// NewCanary registers the instruments of a canary that sets out so often. It panics where one is registered already.
func NewCanary(reg prometheus.Registerer, every time.Duration) *Canary {
	f := factory{promauto.With(reg)}
	f.gauge("logoff_canary_interval_seconds", "How often the canary sets out: the worker signs on once more, and has that session ended by a job.").Set(every.Seconds())
	return &Canary{
		took:   f.fleeting("logoff_canary_seconds", "From the canary's latest job being stored until its session was ended and read back; the same at every worker. Absent until one came back."),
		latest: f.fleeting("logoff_canary_last_success_timestamp_seconds", "When a canary last came back: its session was ended, and its token refused. Absent until then."),
	}
}

// CameBack tells that a canary's session was ended, and how long that took.
func (c *Canary) CameBack(took time.Duration, at time.Time) {
	c.took.set(took.Seconds())
	c.latest.setTime(at)
}

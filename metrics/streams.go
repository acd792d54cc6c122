package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Streams holds the instruments of streams of Shared Signals. They are there only where one is looked after.
type Streams struct {
	age, interval fleeting
}

// NewStreams registers the instruments. It panics where they are registered already.
func NewStreams(reg prometheus.Registerer) *Streams {
	f := factory{promauto.With(reg)}
	return &Streams{
		age:      f.fleeting("logoff_signal_age_seconds", "How long nothing was heard of an issuer's stream: neither an event nor the answer to a question for one. Told by the worker that looks after the stream, and absent at others.", "issuer"),
		interval: f.fleeting("logoff_signal_verify_interval_seconds", "How often an issuer is asked for an event that shows that its stream delivers. Absent where it is not asked.", "issuer"),
	}
}

// Heard tells how long ago an issuer's stream was last heard of, and how often it is asked for a sign of life; 0 is never.
func (s *Streams) Heard(issuer string, ago, every time.Duration) {
	s.age.set(max(0, ago.Seconds()), issuer)
	s.interval.setLimit(int64(every/time.Second), issuer)
}

// Left tells that another looks after an issuer's stream, or nobody.
func (s *Streams) Left(issuer string) {
	s.age.DeleteLabelValues(issuer)
	s.interval.DeleteLabelValues(issuer)
}

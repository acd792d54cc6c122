package worker

import (
	"math/rand/v2"
	"time"
)

// Backoff is exponential backoff with full jitter: the wait after the n-th failure in a row is
// anything between 0 and Min·growthⁿ⁻¹, at most Max. Full jitter keeps replicas from trying in step.
type Backoff struct {
	Min, Max time.Duration
}

// growth is small because only one probe at a time is sent while the Web Server is down: what an
// outage adds to a job's time is the last wait, and with this growth that stays a fraction of the
// outage itself.
const growth = 1.05

// ceiling is the longest wait after n failures in a row.
func (b Backoff) ceiling(n int) time.Duration {
	d := float64(b.Min)
	for i := 1; i < n && d < float64(b.Max); i++ {
		d *= growth
	}
	return min(time.Duration(d), b.Max)
}

// after returns the wait after n failures in a row.
func (b Backoff) after(n int) time.Duration {
	return rand.N(b.ceiling(n) + 1)
}

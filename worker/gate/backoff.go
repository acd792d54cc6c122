package gate

import (
	"math/rand/v2"
	"time"
)

// Backoff is exponential backoff with full jitter: the wait after the n-th failure in a row is
// anything between 0 and Min·growthⁿ⁻¹, at most Max. Full jitter keeps replicas from trying in step.
type Backoff struct {
	Min, Max time.Duration
}

const (
	// growth is small because only one request at a time tries while the Web Server is down: what an
	// outage adds to a job's time is the last wait, and with this growth that stays a fraction of the
	// outage itself.
	growth = 1.05
	// standingGrowth is for what waiting alone does not mend, up to standingMax times Max: a person mends
	// it, in minutes.
	standingGrowth = 1.6
	standingMax    = 6
)

// Ceiling is the longest wait after n failures in a row.
func (b Backoff) Ceiling(n int) time.Duration { return b.ceiling(n, growth, b.Max) }

func (b Backoff) ceiling(n int, growth float64, most time.Duration) time.Duration {
	d := float64(b.Min)
	for i := 1; i < n && d < float64(most); i++ {
		d *= growth
	}
	return min(time.Duration(d), most)
}

// After returns the wait after n failures in a row.
func (b Backoff) After(n int) time.Duration { return rand.N(b.Ceiling(n) + 1) }

func (b Backoff) after(n int) time.Duration { return b.After(n) }

// standing returns the wait after n failures in a row for what waiting alone does not mend.
func (b Backoff) standing(n int) time.Duration {
	return rand.N(b.ceiling(n, standingGrowth, standingMax*b.Max) + 1)
}

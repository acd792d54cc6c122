package worker

import (
	"testing"
	"time"
)

// A login and a renewal are writes too: the quota holds for all of them together.
func TestLoginsAreWrites(t *testing.T) {
	logins := int64(0)
	now := time.Now()
	spent := func(logged int64) (n int) {
		c := DefaultConfig()
		c.WritesPerHour = 100
		b := newBudget(c, func() int64 { return logins })
		for logins = logged; b.write(rankUrgent, now) == 0; n++ {
		}
		return n
	}
	if without, with := spent(0), spent(40); without < 90 || with != without-40 {
		t.Errorf("%d writes, and %d beside 40 logins", without, with)
	}
}

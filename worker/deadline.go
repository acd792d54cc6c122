package worker

import "time"

// earlier is the earlier of two times; zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// overdue reports whether a time has come; zero never does.
func overdue(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

package metrics

import (
	"fmt"
	"testing"
	"time"

	"logoffworker/jobs"
)

// A flood of successes does not push out what a person has to look at, and the other way about.
func TestLatestJobsKeepFailures(t *testing.T) {
	m, _ := newMetrics(t)
	start := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	settle := func(status jobs.Status, from, to int) {
		var s Settlement
		for i := from; i < to; i++ {
			s.Add(SettledJob{ID: fmt.Sprint(i), Lane: jobs.Bulk, Status: status, Stored: start.Add(time.Duration(i) * time.Second), Took: time.Second})
		}
		m.Settled(&s)
	}
	if got := m.Latest(); len(got) != 0 {
		t.Errorf("%d jobs before the first", len(got))
	}
	settle(jobs.Failed, 0, 3)
	settle(jobs.Done, 3, 5000)
	settle(jobs.AcceptedJob, 5000, 5003)
	got := m.Latest()
	var ids []string
	for _, j := range got {
		ids = append(ids, j.ID)
	}
	want := "[5002 5001 5000 4999 4998 4997 4996 4995 4994 4993 2 1 0]"
	if fmt.Sprint(ids) != want {
		t.Errorf("%v, want %s", ids, want)
	}
	if at := got[0].Finished; !at.Equal(start.Add(5003 * time.Second)) {
		t.Errorf("finished at %v", at)
	}
}

package statuspage

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

// The page of one worker shows the others, what they have done, and in what they differ.
func TestPageShowsTheFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := newSite(t), newSite(t)
		one.isWell()
		two.isWell()
		two.page.config.Worker, two.page.config.Version = "w-2", "1.3.0"
		two.page.config.Settings = []Setting{{"LOGOFF_SLOTS", "8"}, {"LOGOFF_WEBSERVER_PASSWORD", "set"}, {"LOGOFF_WORKER_NAME", "w-2"}}
		one.settle(metrics.SettledJob{ID: "first", Lane: jobs.Urgent, Status: jobs.Done, Stored: time.Now()}, jobs.LoggedOff, 3)
		one.sample()
		two.sample()
		time.Sleep(time.Second)
		one.settle(metrics.SettledJob{ID: "second", Lane: jobs.Urgent, Status: jobs.Done, Stored: time.Now()}, jobs.LoggedOff, 3)
		two.settle(metrics.SettledJob{ID: "third", Lane: jobs.Urgent, Status: jobs.AcceptedJob, Stored: time.Now().Add(time.Second)}, jobs.Accepted, 1)
		two.health.Begin(metrics.Condition{Part: "budget", Kind: "used_up", What: "the budget is used up"})
		answers := [][]byte{two.page.Status(), one.page.Status(), []byte("no JSON"), []byte("{}"), nil}
		one.page.Join(func(context.Context) [][]byte { return answers })
		holds(t, one.whole(), "Workers", "2 workers", "4", "75.0 %", "Latest jobs", "third", "second", "first",
			"Workers", "2, which differ", "w-1", "well", "w-2", "waits", "1.3.0", "The budget is used up.", "LOGOFF_SLOTS", "8", "4")
		if strings.Contains(one.page.latest.html["workers"], "LOGOFF_WORKER_NAME") {
			t.Error("that workers have different names is told as a difference")
		}
		answers = nil
		time.Sleep(time.Minute)
		holds(t, one.whole(), "1 of 2", "1 no longer answer", "w-2", "silent", "It last answered at ")
		time.Sleep(forgetAfter)
		if page := one.whole(); strings.Contains(page, "w-2") {
			t.Error("a worker that has long gone is still shown")
		}
	})
}

// Who answers in place of workers cannot fill the memory.
func TestFleetIsBounded(t *testing.T) {
	f := fleet{heard: map[string]status{}}
	for i := range 1000 {
		f.hear([]byte(`{"worker":"` + strings.Repeat("w", 50) + count(float64(i)) + `"}`))
	}
	if len(f.heard) != mostWorkers {
		t.Errorf("%d workers are remembered", len(f.heard))
	}
	f.hear([]byte(`{"worker":"` + strings.Repeat("x", 5000) + `"}`))
}

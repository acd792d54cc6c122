package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"logoffworker/jobs"
)

// A key and a sequence mean one job, and no id that looks like one means another.
func TestANameMeansOneJob(t *testing.T) {
	const key = "2-1795786323022000000"
	for _, c := range []struct {
		name, id string
		means    bool
	}{
		{key, "case-1", true},
		{"2", "case-1", true},
		{"case-1", "case-1", true},
		{"02", "02", true},
		{key, key, true},
		{"3", "3", false},
		{"3-1795786323022000000", "3-1795786323022000000", false},
		{"02", "case-1", false},
		{"3", "case-1", false},
	} {
		r := record{Subject: "logoff.results." + c.id + "." + key}
		if got := slices.Contains(r.names(), jobName(c.name)); got != c.means {
			t.Errorf("%s means %s: %t", c.name, r.Subject, got)
		}
	}
}

// A stream that is made anew counts from the start. The result of a job before that is none of a job that waits now.
func TestASequenceMeansTheJobThatWaits(t *testing.T) {
	w := testWorld(t, 0)
	old := time.Now().Add(-time.Hour)
	r := jobs.Result{Version: jobs.ResultVersion, JobID: "old", Status: jobs.Done, Lane: jobs.Urgent, RequestedAt: old, CompletedAt: old, Counts: map[jobs.Outcome]int{}}
	if err := w.putResult(t.Context(), r, jobs.Key(1, old)); err != nil {
		t.Fatal(err)
	}
	if code, out, told := w.run(t, "submit", "42", "--id", "new"); code != 0 {
		t.Fatal(code, out, told)
	}
	if code, out, told := w.run(t, "watch", "1", "--timeout", "100ms"); code != codeLate || out != "" {
		t.Errorf("it ended with %d: %s%s", code, out, told)
	}
	if err := w.settle(jobs.Done); err != nil {
		t.Fatal(err)
	}
	if code, out, told := w.run(t, "watch", "1", "--timeout", "10s"); code != 0 || !strings.Contains(out, "new") || strings.Contains(out, "old") {
		t.Errorf("it ended with %d: %s%s", code, out, told)
	}
}

// Of many jobs the results are read once, and not asked for one by one.
func TestManyJobsAreWatchedWithFewRequests(t *testing.T) {
	w := testWorld(t, 0)
	const n = 300
	o := watching{}
	for i := range n {
		r := jobs.Result{Version: jobs.ResultVersion, JobID: fmt.Sprintf("case-%d", i), Status: jobs.Done, Lane: jobs.Bulk, Counts: map[jobs.Outcome]int{}}
		if err := w.putResult(t.Context(), r, jobs.Key(uint64(i+1), time.Now())); err != nil {
			t.Fatal(err)
		}
		o.names = append(o.names, jobName(r.JobID), jobName(strconv.Itoa(i+1)))
	}
	var out strings.Builder
	tool := &tool{where: whereabouts{server: w.broker.URL()}, stdout: &out, stderr: &out}
	here, err := tool.connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(here.close)
	before := here.nc.Stats().OutMsgs
	watch := &watch{tool: tool, watching: o, settled: map[jobName]jobs.Status{}}
	if err := watch.lookBack(t.Context(), here); err != nil || !watch.all() {
		t.Errorf("%d of %d have a result (%v)", len(watch.settled), len(o.names), err)
	}
	if asked := here.nc.Stats().OutMsgs - before; asked > 10 {
		t.Errorf("it took %d messages", asked)
	}
}

// What follows each other is printed as a range, which is read as it was printed.
func TestRangesAreReadAsTheyArePrinted(t *testing.T) {
	names := []jobName{"7", "8", "9", "case-1", "10", "11", "3", "4", "5", "6", "007", "8"}
	words := ranged(names)
	if want := []string{"7..9", "case-1", "10", "11", "3..6", "007", "8"}; !slices.Equal(words, want) {
		t.Errorf("%v, not %v", words, want)
	}
	var read []jobName
	for _, word := range words {
		some, err := namesIn(word)
		if err != nil {
			t.Fatal(err)
		}
		read = append(read, some...)
	}
	if !slices.Equal(read, names) {
		t.Errorf("%v are read as %v", names, read)
	}
}

package worker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/webserver"
)

// A job that one request has done carries no steps and costs nothing for them; any other carries all, or the first and
// the last and how many there were between.
func TestResultTellsTheStepsToIt(t *testing.T) {
	for _, test := range []struct {
		steps  int
		status jobs.Status
		kept   int
		left   int
	}{
		{0, jobs.Invalid, 0, 0},
		{1, jobs.Done, 0, 0},
		{1, jobs.AcceptedJob, 0, 0},
		{1, jobs.Failed, 1, 0},
		{2, jobs.Done, 2, 0},
		{32, jobs.Done, 32, 0},
		{33, jobs.Done, 32, 1},
		{100, jobs.Partial, 32, 68},
	} {
		var s steps
		for i := range test.steps {
			s.add(jobs.Step{What: fmt.Sprint(i)})
		}
		r := jobs.Result{Status: test.status}
		s.tell(&r)
		if len(r.Steps) != test.kept || r.StepsLeft != test.left {
			t.Errorf("%+v: %d steps, %d left out", test, len(r.Steps), r.StepsLeft)
		}
		for i, step := range r.Steps {
			want := i
			if i >= mostSteps/2 {
				want += test.left
			}
			if step.What != fmt.Sprint(want) {
				t.Errorf("%+v: step %d is %s", test, i, step.What)
			}
		}
	}
	if n := testing.AllocsPerRun(100, func() {
		var s steps
		s.add(jobs.Step{What: "sent"})
		s.tell(&jobs.Result{Status: jobs.Done})
	}); n > 0 {
		t.Errorf("the steps of a job of one request cost %v allocations", n)
	}
}

// A step of lists says what kept one of them from being read, not that all were.
func TestStepOfListsTellsWhichWasNotRead(t *testing.T) {
	_, all := listsOf(t, func(*Worker) {}, map[int64][]listRow{1: {{id: "on"}}, 2: {}}, 3) // that of 4 is refused
	for _, test := range []struct {
		owners []int64
		want   string
	}{
		{nil, ""},
		{[]int64{1, 2}, "listed"},
		{[]int64{1, 3}, "no_time"},
		{[]int64{4, 1}, "refused"},
	} {
		d := &delivery{}
		d.noteListed(test.owners, all, time.Now())
		if got := d.steps.first.Verdict; got != test.want {
			t.Errorf("of %v the step says %q, want %q", test.owners, got, test.want)
		}
	}
}

// A request is a step of each job that it was made for, once, with what came of it.
func TestRequestIsAStepOfEachOfItsJobs(t *testing.T) {
	q := newQueue(true)
	s := &sender{queue: q}
	a, b := jobNaming("x", "y", "z"), jobNaming("x")
	doc := queued(q, a, b)
	s.noteRequest(doc, "w-1", time.Now(), &webserver.Error{Verdict: webserver.Refused})
	s.noteRequest(doc[1:], "w-2", time.Now(), nil)
	for _, test := range []struct {
		d    *delivery
		want string
	}{{a, "w-1 refused w-2 accepted"}, {b, "w-1 refused"}} {
		var steps []string
		for _, step := range append([]jobs.Step{test.d.steps.first}, test.d.steps.rest...) {
			steps = append(steps, step.RequestID+" "+step.Verdict)
		}
		if got := strings.Join(steps, " "); got != test.want {
			t.Errorf("the steps are %s, want %s", got, test.want)
		}
	}
}

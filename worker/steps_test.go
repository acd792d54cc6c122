package worker

import (
	"fmt"
	"testing"

	"logoffworker/jobs"
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

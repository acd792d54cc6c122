package worker

import (
	"slices"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/roster"
	"logoffworker/worker/webserver"
)

// mostSteps is how many steps a result carries: the first half of them, and the last.
const mostSteps = 32

// The steps of a job are the requests that were made for it. Its first costs nothing to keep, because most jobs have no
// other. The lock of the delivery guards them.
type steps struct {
	first jobs.Step
	rest  []jobs.Step
	left  int // out
}

func (s *steps) add(step jobs.Step) {
	switch {
	case s.first.What == "":
		s.first = step
		return
	case len(s.rest) == mostSteps-1:
		s.rest = slices.Delete(s.rest, mostSteps/2-1, mostSteps/2)
		s.left++
	}
	s.rest = append(s.rest, step)
}

// tell writes the steps down of a job that took more than one request, or is not done.
func (s *steps) tell(r *jobs.Result) {
	if s.first.What == "" || len(s.rest) == 0 && r.Status.Success() {
		return
	}
	r.Steps, r.StepsLeft = append([]jobs.Step{s.first}, s.rest...), s.left
}

// step keeps a step that ended just now; with the lock held.
func (d *delivery) step(what jobs.Step, began time.Time) {
	now := time.Now()
	what.AtMS, what.TookMS = now.Sub(d.requested).Milliseconds(), now.Sub(began).Milliseconds()
	d.steps.add(what)
}

// noteRequest keeps a request as a step of each job that it was made for.
func (s *sender) noteRequest(doc document, request string, began time.Time, problem *webserver.Error) {
	what := jobs.Step{What: "sent", RequestID: request, Verdict: webserver.Accepted.String()}
	if problem != nil {
		what.Verdict = problem.Verdict.String()
	}
	s.queue.each(doc, func(a asker) {
		a.d.mu.Lock()
		defer a.d.mu.Unlock()
		if a.d.request != request { // else another session of the job has told
			a.d.request = request
			a.d.step(what, began)
		}
	})
}

// noteListed keeps that the sessions of a job's users and owners were listed.
func (d *delivery) noteListed(owners []int64, all roster.Lists, began time.Time) {
	if len(owners) == 0 {
		return
	}
	what := jobs.Step{What: "listed", Verdict: "listed"}
	for _, id := range owners {
		switch list := all.Of(id); {
		case list.Late:
			what.Verdict = "no_time"
		case list.Failure != nil:
			what.Verdict = list.Failure.Verdict.String()
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.step(what, began)
}

// noteLookedUp keeps that a job's users were looked up.
func (d *delivery) noteLookedUp(began time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.step(jobs.Step{What: "looked_up"}, began)
}

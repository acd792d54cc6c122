package worker

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/stage"
	"logoffworker/worker/webserver"
)

// settledJob is a job that is finished.
func settledJob(status jobs.Status) *delivery {
	d := jobNaming("a")
	d.job.ID, d.status = "job", status
	d.sessions[0].Outcome = jobs.Accepted
	if !status.Success() {
		d.result = &jobs.Result{Status: status, Sessions: d.sessions}
	}
	return d
}

// In a second, so many jobs have a line, and so many of those that failed beside them; the others are counted in a
// line of their own, once.
func TestSecondHasSoManyLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := &stage.Output{}
		l := newJobLog(slog.New(slog.NewTextHandler(said, nil)))
		finish := func(n int, status jobs.Status) {
			for range n {
				l.finished(settledJob(status))
			}
		}
		lines := func(words string) int { return strings.Count(said.String(), words) }
		finish(jobLines+2, jobs.AcceptedJob)
		finish(jobLines+3, jobs.Failed)
		if a, f := lines("status=accepted"), lines("status=failed"); a != jobLines || f != jobLines || lines("error=") != jobLines || lines("sessions.accepted=1 time_to_logoff=") != 2*jobLines {
			t.Errorf("%d of those that succeed and %d others have a line", a, f)
		}
		time.Sleep(time.Second - 1)
		finish(1, jobs.AcceptedJob)
		time.Sleep(time.Nanosecond)
		finish(1, jobs.AcceptedJob)
		if n := lines("status=accepted"); n != jobLines+1 {
			t.Errorf("%d lines when the next second has begun", n)
		}
		if n := lines("more jobs"); n != 0 {
			t.Errorf("%d lines of the others at once", n)
		}
		time.Sleep(summaryAfter)
		synctest.Wait()
		l.summarize() // nothing more
		if n := lines("more jobs were finished than have a line of their own\" jobs=6 accepted=3 failed=3\n"); n != 1 || lines("more jobs") != 1 {
			t.Errorf("it says %s", said)
		}
		time.Sleep(time.Hour)
		finish(jobLines+1, jobs.AcceptedJob)
		l.summarize()
		time.Sleep(time.Hour)
		if n := lines("jobs=1 accepted=1\n"); n != 1 || lines("more jobs") != 2 {
			t.Errorf("it says %s", said)
		}
	})
}

// Where nothing is logged, nothing is made ready for it.
func TestSilentLogCostsNothing(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	l, d, q := newJobLog(log), settledJob(jobs.AcceptedJob), newQueue(true)
	s := &sender{w: &Worker{Log: log, jobLog: l}, queue: q}
	doc := queued(q, d)
	for name, tell := range map[string]func(){
		"finished": func() { l.finished(d) },
		"taken":    func() { l.taken(d) },
		"step":     func() { l.step(d, "it goes on") },
		"request":  func() { s.logRequest(doc, "w-1", nil) },
	} {
		if n := testing.AllocsPerRun(100, tell); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	if l.summary != nil {
		t.Error("lines are counted that nobody would see")
	}
}

// The line of a job tells its trace, and why it was ignored; what was taken is told to those who look into single jobs.
func TestLineOfAJobTellsItsTraceAndWhyItIsIgnored(t *testing.T) {
	said := &stage.Output{}
	l := newJobLog(slog.New(slog.NewTextHandler(said, &slog.HandlerOptions{Level: slog.LevelDebug})))
	plain, ignored := settledJob(jobs.AcceptedJob), settledJob(jobs.Ignored)
	ignored.ignored, ignored.trace = "nothing is to be done", jobs.ParseTrace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	l.taken(plain)
	l.finished(plain)
	if text := said.String(); strings.Contains(text, "trace_id=") || strings.Contains(text, "why=") || !strings.Contains(text, "it was taken from the stream") {
		t.Errorf("of a plain job it says %s", text)
	}
	l.finished(ignored)
	for _, words := range []string{"trace_id=4bf92f3577b34da6a3ce929d0e0e4736", `why="nothing is to be done"`} {
		if !strings.Contains(said.String(), words) {
			t.Errorf("%q is not in %s", words, said)
		}
	}
}

// The way of a job tells what came of each request.
func TestRequestIsToldToEachJob(t *testing.T) {
	said := &stage.Output{}
	log := slog.New(slog.NewTextHandler(said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	q := newQueue(true)
	s := &sender{w: &Worker{Log: log, jobLog: newJobLog(log)}, queue: q}
	a, b := jobNaming("1", "2"), jobNaming("2")
	a.job.ID, b.job.ID = "a", "b"
	doc := queued(q, a, b)
	s.logRequest(doc, "w-1", nil)
	s.logRequest(doc, "w-2", &webserver.Error{Verdict: webserver.Undecided})
	for _, words := range []string{
		"job=a sequence=0 request=w-1 sessions=2 others=0 verdict=accepted", "job=b sequence=0 request=w-1 sessions=1 others=1 verdict=accepted",
		"job=a sequence=0 request=w-2 sessions=2 others=0 verdict=undecided",
	} {
		if !strings.Contains(said.String(), words) {
			t.Errorf("%q is not in %s", words, said)
		}
	}
}

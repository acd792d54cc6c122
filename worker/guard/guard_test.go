package guard

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"logoffworker/jobs"
)

var subjects = jobs.Subjects{Prefix: "logoff"}

// A ledger counts what guards add, and holds the results that they read.
type ledger struct {
	sums    map[string]int64
	calls   int
	broken  error
	results map[string]*jobs.Result
}

func newLedger() *ledger {
	return &ledger{sums: map[string]int64{}, results: map[string]*jobs.Result{}}
}

func (l *ledger) guard(aboveJob, aboveHour int) *Guard {
	return New(Config{Subjects: subjects, AboveJob: aboveJob, AboveHour: aboveHour}, l.add, l.read, l.later)
}

func (l *ledger) add(_ context.Context, what string, n int64) (int64, error) {
	l.calls++
	if l.broken == nil {
		l.sums[what] += n
	}
	return l.sums[what], l.broken
}

func (l *ledger) read(_ context.Context, subject string) (*jobs.Result, error) {
	return l.results[subject], l.broken
}

func (l *ledger) later(_ context.Context, _ string, read func(string, *jobs.Result) bool) error {
	for subject, r := range l.results {
		if r.Approves != "" && !read(subject, r) {
			break
		}
	}
	return l.broken
}

// of is a job of a publisher that names so many people.
func of(publisher string, people int) Job {
	return Job{Subject: subjects.Request(jobs.Bulk, publisher), Lane: jobs.Bulk, Publisher: publisher, Key: "7-8", Payload: []byte("{}"), People: people, Received: time.Now()}
}

func judge(t *testing.T, g *Guard, all ...Job) (verdicts []string) {
	t.Helper()
	for _, v := range g.Judge(t.Context(), all) {
		switch {
		case v.Passes():
			verdicts = append(verdicts, "passes")
		case v.Unknown != nil:
			verdicts = append(verdicts, "unknown")
		case v.Held != "":
			verdicts = append(verdicts, "held")
		default:
			verdicts = append(verdicts, "refused")
		}
	}
	return verdicts
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// What one job may name is sessions and people together, and the words say who may approve it, and how.
func TestJobThatNamesMoreIsHeld(t *testing.T) {
	g := newLedger().guard(500, 0)
	both := of("hr", 300)
	both.Sessions = 200
	same(t, "500 and less", judge(t, g, of("hr", 500), both), "passes", "passes")
	both.Sessions++
	for want, job := range map[string]Job{
		"2,400 people, more than the 500 that one job may name; somebody else than hr may approve it: logoffctl approve 7-8":                of("hr", 2400),
		"201 sessions and 300 people, more than the 500 that one job may name; somebody else than hr may approve it: logoffctl approve 7-8": both,
		"501 people, more than the 500 that one job may name; somebody else than its publisher may approve it: logoffctl approve 7-8":       of("", 501),
	} {
		if v := g.Judge(t.Context(), []Job{job})[0]; v.Held != want {
			t.Errorf("%q, want %q", v.Held, want)
		}
	}
}

// A guard that is off asks nobody, and holds nothing.
func TestGuardThatIsOffHoldsNothing(t *testing.T) {
	l := newLedger()
	l.broken = errors.New("nobody is there")
	same(t, "off", judge(t, l.guard(0, 0), of("hr", 10_000), of("", 1)), "passes", "passes")
	if l.calls > 0 {
		t.Errorf("it asked %d times", l.calls)
	}
}

// Jobs pulled together are counted with one addition for each publisher, and those that fit pass in their order.
func TestHourIsCountedOnceForEachPublisher(t *testing.T) {
	l := newLedger()
	g := l.guard(0, 100)
	same(t, "first", judge(t, g, of("hr", 60), of("soar", 100), of("hr", 30), of("", 100)), "passes", "passes", "passes", "passes")
	if l.calls != 3 {
		t.Errorf("three publishers were counted with %d calls", l.calls)
	}
	same(t, "then", judge(t, g, of("hr", 20), of("hr", 10), of("soar", 1), of("it", 1)), "held", "passes", "held", "passes")
}

// What is held is not counted again and again, so that a publisher passes again when the hour has.
func TestWhatIsHeldDoesNotKeepLaterJobsOut(t *testing.T) {
	l := newLedger()
	g := l.guard(0, 100)
	judge(t, g, of("hr", 90))
	judge(t, g, of("hr", 50))
	before := l.sums["publisher.hr"]
	for range 20 {
		same(t, "over", judge(t, g, of("hr", 50)), "held")
	}
	if l.sums["publisher.hr"] != before {
		t.Errorf("what was held is counted: %d after %d", l.sums["publisher.hr"], before)
	}
	l.sums["publisher.hr"] = 0 // an hour later
	same(t, "later", judge(t, g, of("hr", 50), of("hr", 50)), "passes", "passes")
}

// A job that is held for its own size is not counted, and one that is larger than an hour is held without asking.
func TestLargeJobIsNotCounted(t *testing.T) {
	l := newLedger()
	same(t, "large", judge(t, l.guard(10, 100), of("hr", 11)), "held")
	same(t, "larger than an hour", judge(t, l.guard(0, 100), of("hr", 101)), "held")
	if l.calls > 0 {
		t.Errorf("it asked %d times", l.calls)
	}
}

// Where it cannot be counted nobody passes.
func TestNobodyPassesUncounted(t *testing.T) {
	l := newLedger()
	g := l.guard(500, 100)
	l.broken = errors.New("no answer")
	same(t, "broken", judge(t, g, of("hr", 1), of("hr", 501)), "unknown", "held")
	l.broken = nil
	judge(t, g, of("hr", 100), of("hr", 1))
	l.broken = errors.New("no answer")
	same(t, "broken while over", judge(t, g, of("hr", 1)), "unknown")
}

// Whatever publishers send in whatever batches to several workers, no publisher gets more through than an hour allows.
func TestNoPublisherGetsMoreThroughThanAnHour(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		l := newLedger()
		limit := rapid.IntRange(1, 100).Draw(r, "limit")
		workers := []*Guard{l.guard(0, limit), l.guard(0, limit)}
		through := map[string]int{}
		for range rapid.IntRange(1, 20).Draw(r, "batches") {
			var batch []Job
			for range rapid.IntRange(1, 5).Draw(r, "jobs") {
				batch = append(batch, of(rapid.SampledFrom([]string{"", "hr", "soar"}).Draw(r, "publisher"), rapid.IntRange(1, 60).Draw(r, "people")))
			}
			for i, v := range rapid.SampledFrom(workers).Draw(r, "worker").Judge(context.Background(), batch) {
				if v.Passes() {
					through[batch[i].Publisher] += batch[i].People
				}
			}
		}
		for publisher, n := range through {
			if n > limit {
				r.Fatalf("%q got %d through, %d are allowed", publisher, n, limit)
			}
		}
	})
}

// An approved job is worked only if all of it is what was held, and its approver is not its publisher.
func TestApprovedJobIsComparedWithWhatWasHeld(t *testing.T) {
	const at = "logoff.results.leavers.7-8"
	l := newLedger()
	g := l.guard(500, 500)
	large := of("hr", 2400)
	held := g.Judge(t.Context(), []Job{large})[0]
	result := jobs.Result{JobID: "leavers", Lane: jobs.Bulk, Publisher: "hr"}
	held.Mark(&result)
	result.Conclude()
	if result.Status != jobs.Held {
		t.Fatalf("the result is %+v", result)
	}
	l.results[at] = &result
	settled := result
	settled.Status, settled.HeldSHA256 = jobs.Failed, ""
	l.results["logoff.results.leavers.9-9"] = &settled
	approved := func(change func(*Job)) Verdict {
		job := large
		job.Subject, job.Held, job.Publisher, job.Key = subjects.Approved(jobs.Bulk, "jane"), at, "", "12-13"
		job.Received = time.Now().Add(-time.Hour)
		change(&job)
		return g.Judge(t.Context(), []Job{job})[0]
	}
	if v := approved(func(*Job) {}); !v.Passes() || v.Publisher != "hr" || v.ApprovedBy != "jane" || v.Approves != at {
		t.Errorf("what was approved is %+v", v)
	}
	for name, test := range map[string]struct {
		change func(*Job)
		want   string
	}{
		"by its publisher":   {func(j *Job) { j.Subject = subjects.Approved(jobs.Bulk, "hr") }, "hr published the job that was held, so that somebody else has to approve it"},
		"changed":            {func(j *Job) { j.Payload = []byte("{ }") }, "the payloads differ"},
		"no header":          {func(j *Job) { j.Held = "" }, "Logoff-Held does not name the result"},
		"header of nonsense": {func(j *Job) { j.Held = "logoff.results.*.>" }, "Logoff-Held does not name the result"},
		"header of another":  {func(j *Job) { j.Held = "logoff.requests.bulk.hr" }, "Logoff-Held does not name the result"},
		"no such result":     {func(j *Job) { j.Held = "logoff.results.leavers.7-9" }, "there is no result logoff.results.leavers.7-9"},
		"another lane": {
			func(j *Job) { j.Subject, j.Lane = subjects.Approved(jobs.Urgent, "jane"), jobs.Urgent },
			"it was approved for the urgent lane, and the job was held in the bulk lane",
		},
		"not held": {func(j *Job) { j.Held = "logoff.results.leavers.9-9" }, "the job that it names is not held, but failed"},
	} {
		if v := approved(test.change); v.Passes() || v.Held != "" || v.Unknown != nil || !strings.Contains(v.Refused, test.want) {
			t.Errorf("%s: %+v", name, v)
		}
	}
	for name, test := range map[string]struct {
		result jobs.Result
		want   string
	}{
		"before":                 {jobs.Result{Status: jobs.Done, Approves: at, ApprovedBy: "tim"}, "was approved by tim before, and worked: its result is logoff.results.leavers.10-11"},
		"before, and it failed":  {jobs.Result{Status: jobs.Failed, Approves: at, ApprovedBy: "tim"}, "was approved by tim before"},
		"wrongly before":         {jobs.Result{Status: jobs.Invalid, Approves: at, ApprovedBy: "hr"}, ""},
		"of another held result": {jobs.Result{Status: jobs.Done, Approves: "logoff.results.leavers.1-1", ApprovedBy: "tim"}, ""},
	} {
		l.results["logoff.results.leavers.10-11"] = &test.result
		if v := approved(func(*Job) {}); v.Passes() != (test.want == "") || !strings.Contains(v.Refused, test.want) {
			t.Errorf("approved %s: %+v", name, v)
		}
	}
	l.results["logoff.results.leavers.12-13"] = &jobs.Result{Status: jobs.Done, Approves: at, ApprovedBy: "jane"}
	delete(l.results, "logoff.results.leavers.10-11")
	if v := approved(func(*Job) {}); !v.Passes() {
		t.Errorf("by its own result, a job that comes again is %+v", v)
	}
	plain := func(j *Job) { j.Subject, j.Publisher = subjects.Request(jobs.Bulk, "hr"), "hr" }
	if v := approved(plain); v.Held == "" {
		t.Errorf("with the header of an approved job, a plain one is %+v", v)
	}
	l.broken = errors.New("no answer")
	if v := approved(func(*Job) {}); v.Unknown == nil || v.Refused != "" {
		t.Errorf("while the result cannot be read, it is %+v", v)
	}
}

// A result that is not there yet at the copy that was asked is waited for.
func TestResultThatIsNotThereYetIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newLedger().guard(0, 0)
		job := of("", 1)
		job.Subject, job.Held = subjects.Approved(jobs.Bulk, "jane"), "logoff.results.leavers.7-8"
		same(t, "at once", judge(t, g, job), "unknown")
		time.Sleep(lag)
		same(t, "later", judge(t, g, job), "refused")
	})
}

// Marks say in a result what the guard decided.
func TestVerdictMarksTheResult(t *testing.T) {
	v := newLedger().guard(1, 0).Judge(t.Context(), []Job{of("hr", 2)})[0]
	r := jobs.Result{Error: "a label was left out"}
	v.Mark(&r)
	if r.Status != jobs.Held || r.HeldSHA256 != "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a" || !strings.HasSuffix(r.Error, "approve 7-8; a label was left out") {
		t.Errorf("%+v", r)
	}
	var plain jobs.Result
	Verdict{}.Mark(&plain)
	if plain.Status != "" || plain.HeldSHA256+plain.Approves+plain.ApprovedBy+plain.Error != "" {
		t.Errorf("%+v", plain)
	}
}

package worker

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"logoffworker/jobs"
	"logoffworker/worker/guard"
	"logoffworker/worker/stream"
)

// jobOn is a job of one session that was published on a subject.
func jobOn(subject string) *delivery {
	d := jobNaming("a")
	d.lane, d.format, d.msg = jobs.Bulk, jobs.JSON, nats.NewMsg(subject)
	return d
}

const plainSubject = "logoff.requests.bulk.hr"

// A job is judged at once, unless others wait for it already: they are counted together. At a stop it is handed back
// unasked. What is settled, is no job, or concerns no guard waits for nobody.
func TestJobIsJudgedAtOnceUnlessOthersWait(t *testing.T) {
	holding := func(w *Worker) { w.Config.HoldAboveJob = 1 }
	for name, test := range map[string]struct {
		change  func(*Worker)
		subject string
		job     func(*delivery)
		awaited bool // by others
		passes  bool
		back    bool
	}{
		"nobody waits":                    {change: holding, passes: true},
		"others wait":                     {change: holding, awaited: true},
		"others wait, it is settled":      {change: holding, job: func(d *delivery) { d.stored = true }, awaited: true, passes: true},
		"others wait, it is no job":       {change: holding, job: func(d *delivery) { d.invalid = "no job" }, awaited: true, passes: true},
		"others wait, nothing is held":    {awaited: true, passes: true},
		"others wait, it was approved":    {subject: "logoff.approved.bulk.jane", awaited: true},
		"others wait, an hour is guarded": {change: func(w *Worker) { w.Config.HoldAboveHour = 1 }, awaited: true},
		"a stop":                          {change: func(w *Worker) { holding(w); stoppedWorker(w) }, back: true},
	} {
		w := preparedWorker(t, test.change, nil)
		w.guard = w.newGuard()
		l := w.newLane(jobs.Bulk)
		l.unjudged.awaited = test.awaited
		subject := test.subject
		if subject == "" {
			subject = plainSubject
		}
		d := jobOn(subject)
		if test.job != nil {
			test.job(d)
		}
		passes := len(l.guarded([]*delivery{d})) == 1
		w.readBacks.Wait()
		if passes != test.passes || d.returned != test.back || l.unjudged.any() != (!passes && !test.back) {
			t.Errorf("%s: it passes %t, waits %t, is handed back %t", name, passes, l.unjudged.any(), d.returned)
		}
	}
}

// Jobs that were judged late are begun, and then nobody comes back to them. A lane that is paused meanwhile hands them
// back.
func TestLateVerdictBeginsTheJobAndEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := preparedWorker(t, func(w *Worker) { w.Config.HoldAboveJob = 1 }, nil)
		w.guard = w.newGuard()
		w.going[jobs.Bulk].pause(true)
		l, d := w.newLane(jobs.Bulk), jobOn(plainSubject)
		l.unjudged.add([]*delivery{d}, func() { w.readBacks.Go(l.awaitVerdicts) })
		time.Sleep(time.Minute)
		var over bool
		go func() { w.readBacks.Wait(); over = true }()
		synctest.Wait()
		if !over || l.unjudged.isAwaited() || !d.returned {
			t.Errorf("the wait is over %t, awaited %t, handed back %t", over, l.unjudged.isAwaited(), d.returned)
		}
	})
}

// That there is no result is an answer; that it cannot be read is none, so that an approved job waits, and is neither
// worked nor refused.
func TestResultThatCannotBeReadIsNoAnswerToTheGuard(t *testing.T) {
	withItsStreams(t, nil, func(t *testing.T, w withStreams) {
		js, subjects := w.jetStream(t), w.Config.Stream.Subjects
		publish := func(key, data string) (subject string) {
			t.Helper()
			subject = subjects.Result("case", key)
			if _, err := js.Publish(t.Context(), subject, []byte(data)); err != nil {
				t.Fatal(err)
			}
			return subject
		}
		const good = `{"version":1,"jobId":"case","status":"held"}`
		held, second, third := publish("1-1", good), publish("2-1", good), publish("3-1", good)
		later := func(subject string, read func(string) bool) (seen []string, err error) {
			err = w.laterResults(t.Context(), subject, func(subject string, r *jobs.Result) bool {
				seen = append(seen, subject)
				if r.Status != jobs.Held {
					t.Errorf("%+v", r)
				}
				return read(subject)
			})
			return seen, err
		}
		all := func(string) bool { return true }
		if r, err := w.heldResult(t.Context(), held); err != nil || r == nil || r.JobID != "case" {
			t.Errorf("a result: %+v, %v", r, err)
		}
		if r, err := w.heldResult(t.Context(), subjects.Result("case", "9-9")); r != nil || err != nil {
			t.Errorf("no result: %+v, %v", r, err)
		}
		if seen, err := later(held, all); err != nil || strings.Join(seen, " ") != second+" "+third {
			t.Errorf("those after the first: %v, %v", seen, err)
		}
		if seen, err := later(held, func(string) bool { return false }); err != nil || len(seen) != 1 {
			t.Errorf("no more than the next: %v, %v", seen, err)
		}
		if seen, err := later(subjects.Result("case", "9-9"), all); err == nil || len(seen) > 0 {
			t.Errorf("those after none: %v, %v", seen, err)
		}
		unreadable := publish("4-1", "{")
		if _, err := w.heldResult(t.Context(), unreadable); err == nil {
			t.Error("what cannot be read is read")
		}
		if seen, err := later(held, all); err == nil || len(seen) != 2 {
			t.Errorf("one cannot be read: %v, %v", seen, err)
		}
		gone := func(string) bool {
			if err := js.DeleteStream(t.Context(), subjects.ResultStream()); err != nil {
				t.Error(err)
			}
			return true
		}
		if seen, err := later(held, gone); err == nil || len(seen) != 1 {
			t.Errorf("the stream went meanwhile: %v, %v", seen, err)
		}
		if r, err := w.heldResult(t.Context(), held); r != nil || err == nil {
			t.Errorf("no stream: %+v, %v", r, err)
		}
	})
}

// Of jobs that wait for the guard somebody is told what to look at, unless there is no connection to NATS, which is told
// by itself.
func TestUnjudgedJobsTellWhatToLookAt(t *testing.T) {
	withNATS(t, func(t *testing.T, nc *nats.Conn) {
		l := &lane{w: &Worker{NATS: nc}, name: jobs.Bulk}
		c := l.tellUnjudged(3, errors.New("no counters"))
		if c.Part != "bulk" || !strings.HasPrefix(c.What, "3 jobs wait") || !strings.HasSuffix(c.What, ": no counters") || c.Through != "" || c.ToDo == "" || c.Command == "" {
			t.Errorf("connected: %+v", c)
		}
		nc.Close()
		if c := l.tellUnjudged(3, errors.New("no counters")); c.Through != stream.PartNATS || c.ToDo != "" || c.Command != "" {
			t.Errorf("not connected: %+v", c)
		}
	})
}

// An approved job is whose the held one was, and not its approver's.
func TestApprovedJobIsWhoseTheHeldOneWas(t *testing.T) {
	for approver, want := range map[string]string{"": "hr", "jane": "boss"} {
		d := jobOn(plainSubject)
		d.publisher = "hr"
		d.judged(guard.Verdict{Publisher: "boss", ApprovedBy: approver})
		if d.publisher != want || d.left != 1 {
			t.Errorf("approved by %q: the publisher is %q, %d are left", approver, d.publisher, d.left)
		}
	}
}

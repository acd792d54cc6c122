package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"logoffworker/jobs"
)

// Whoever may store some job may use any message id. What NATS takes for ours because of it is not ours, and ours is
// stored all the same, and known again.
func TestAMessageIDOfSomebodyElseKeepsNoJobFromBeingStored(t *testing.T) {
	w := testWorld(t, 0)
	tool := &tool{where: whereabouts{server: w.broker.URL()}}
	here, err := tool.connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(here.close)
	subject := w.subjects.Request(jobs.Urgent, "jane")
	made := func() *order {
		all, err := (&list{targets: []target{personOf("42")}}).orders("case-1", notes{})
		if err != nil || all[0].identify(subject) != nil {
			t.Fatal(err)
		}
		return all[0]
	}
	mallory := nats.NewMsg(w.subjects.Request(jobs.Urgent, "mallory"))
	mallory.Data = []byte(`{"id":"case-1","users":[{"id":7}]}`)
	mallory.Header.Set(nats.MsgIdHdr, made().messageID)
	if _, err := w.js.PublishMsg(t.Context(), mallory); err != nil {
		t.Fatal(err)
	}
	store := func(o *order) uint64 {
		if err := here.store(t.Context(), []*order{o}, subject, func(*order) {}); err != nil {
			t.Fatal(err)
		}
		return o.sequence
	}
	first := made()
	requests, err := w.js.Stream(t.Context(), w.subjects.RequestStream())
	if err != nil {
		t.Fatal(err)
	}
	msg, err := requests.GetMsg(t.Context(), store(first))
	if err != nil || msg.Subject != subject || !bytes.Equal(msg.Data, first.payload) {
		t.Fatalf("stored is %v (%v)", msg, err)
	}
	again := made()
	if err := here.recall(t.Context(), []*order{again}, subject); err != nil || !again.before || again.sequence != first.sequence {
		t.Errorf("it is not known again: %d, not %d (%v)", again.sequence, first.sequence, err)
	}
}

// What NATS knows because it is ours is not stored twice, be it that it waits or that it has a result.
func TestAMessageIDOfOurOwnIsNotStoredTwice(t *testing.T) {
	w := testWorld(t, 0)
	here, err := (&tool{where: whereabouts{server: w.broker.URL()}}).connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(here.close)
	subject := w.subjects.Request(jobs.Urgent, "jane")
	for _, settled := range []bool{false, false, true} {
		if settled {
			if err := w.settle(jobs.Done); err != nil {
				t.Fatal(err)
			}
		}
		all, err := (&list{targets: []target{personOf("42")}}).orders("case-1", notes{})
		if err != nil || all[0].identify(subject) != nil {
			t.Fatal(err)
		}
		if err := here.store(t.Context(), all, subject, func(*order) {}); err != nil || all[0].sequence != 1 || settled != (all[0].result != nil) {
			t.Errorf("it is stored as %d with %v (%v)", all[0].sequence, all[0].result, err)
		}
	}
}

// The same command with a duration has the same message id later, though its job has another time; and another duration
// has another.
func TestADurationIsTheSameLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made := func(o submission) *order {
			notes, err := o.readNotes()
			if err != nil {
				t.Fatal(err)
			}
			all, err := (&list{targets: []target{personOf("42")}}).orders("case-1", notes)
			if err != nil || all[0].identify("logoff.requests.urgent.jane") != nil {
				t.Fatal(err)
			}
			return all[0]
		}
		given := submission{eventTime: "-10m", notAfter: "2h"}
		first, begun := made(given), time.Now()
		time.Sleep(time.Hour)
		later := made(given)
		if later.messageID != first.messageID || bytes.Equal(later.payload, first.payload) {
			t.Errorf("%s and later %s, of %s and %s", first.messageID, later.messageID, first.payload, later.payload)
		}
		if !later.isStoredAs(record{Subject: "logoff.requests.urgent.jane", Data: first.payload}, "logoff.requests.urgent.jane") {
			t.Error("what is stored is not known again")
		}
		result := jobs.Result{RequestedAt: begun, EventTime: first.job.EventTime, Users: []jobs.UserResult{{ID: 42}}}
		if !later.isAnsweredBy(result) {
			t.Error("the result is not known again")
		}
		// One that came too late is that of the same command, and of none that had more time.
		late := result
		late.Status, late.CompletedAt, late.Users = jobs.Partial, begun.Add(2*time.Hour), []jobs.UserResult{{ID: 42, Outcome: jobs.UserExpired}}
		if !later.isAnsweredBy(late) || made(submission{eventTime: "-10m", notAfter: "4h"}).isAnsweredBy(late) || made(submission{eventTime: "-10m"}).isAnsweredBy(late) {
			t.Error("what came too late stands for what would not, or not for the same")
		}
		for _, other := range []submission{{eventTime: "-20m", notAfter: "2h"}, {eventTime: "-10m", notAfter: "3h"}, {eventTime: "-10m"}, {}} {
			if o := made(other); o.messageID == first.messageID || other.eventTime != "-10m" && o.isAnsweredBy(result) {
				t.Errorf("%+v is the same", other)
			}
		}
	})
}

// How old a result is counts from when it was stored: the job may have waited for longer than a day.
func TestAResultOfTodayCountsHoweverLongItsJobWaited(t *testing.T) {
	w := testWorld(t, 0)
	if err := w.forgetIDs(); err != nil { // which the broker heeds for ids that come later
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "list.txt")
	if err := os.WriteFile(path, []byte("CORP\\jane\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, told := w.run(t, "submit", "-f", path, "--id", "case-1", "--as", "hr"); code != 0 {
		t.Fatalf("it ended with %d: %s", code, told)
	}
	old := time.Now().Add(-25 * time.Hour)
	r := jobs.Result{
		Version: jobs.ResultVersion, JobID: "case-1", Status: jobs.Done, Lane: jobs.Urgent, Publisher: "hr", RequestedAt: old, ReceivedAt: old, CompletedAt: time.Now(),
		Counts: map[jobs.Outcome]int{}, Users: []jobs.UserResult{{Name: `CORP\jane`, Outcome: jobs.UserOff}},
	}
	consumer, err := w.js.Consumer(t.Context(), w.subjects.RequestStream(), string(jobs.Urgent))
	if err != nil {
		t.Fatal(err)
	}
	msg, err := consumer.Next()
	if err == nil {
		err = msg.DoubleAck(t.Context())
	}
	if err == nil {
		err = w.putResult(t.Context(), r, jobs.Key(1, old))
	}
	if err != nil {
		t.Fatal(err)
	}
	w.forgotten(t)
	before, _ := w.storedEver()
	code, _, told := w.run(t, "submit", "-f", path, "--id", "case-1", "--as", "hr")
	if after, err := w.storedEver(); code != 0 || err != nil || after != before || !strings.Contains(told, "1 job was settled within the last day") {
		t.Errorf("it ended with %d, and stored %d (%v): %s", code, after-before, err, told)
	}
}

// What is submitted again has the times of the job that is stored, which a duration made an hour ago; not those that it
// makes now.
func TestWhatIsSubmittedAgainHasTheTimesOfTheFirst(t *testing.T) {
	w := testWorld(t, 0)
	var told strings.Builder
	tool := &tool{where: whereabouts{server: w.broker.URL()}, stderr: &told}
	here, err := tool.connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(here.close)
	subject := w.subjects.Request(jobs.Urgent, "jane")
	made := func(now time.Time) *order {
		notes := notes{Job: jobs.Job{EventTime: now.Add(-10 * time.Minute), NotAfter: now.Add(90 * time.Minute)}, eventIn: "-10m", lateIn: "90m"}
		all, err := (&list{targets: []target{personOf("42")}}).orders("case-1", notes)
		if err != nil || all[0].identify(subject) != nil {
			t.Fatal(err)
		}
		return all[0]
	}
	now := time.Now().UTC().Truncate(time.Second)
	stored := now.Add(-time.Hour)
	first := made(stored)
	if err := here.store(t.Context(), []*order{first}, subject, func(*order) {}); err != nil {
		t.Fatal(err)
	}
	again := func(how string, o *order) {
		s := &sending{orders: []*order{o}, notes: notes{Job: jobs.Job{EventTime: now.Add(-10 * time.Minute), NotAfter: now.Add(90 * time.Minute)}}}
		want := "--event-time " + stored.Add(-10*time.Minute).Format(time.RFC3339) + " --not-after " + stored.Add(90*time.Minute).Format(time.RFC3339)
		if printed := tool.resubmit(s, &list{path: "list.txt"}); !o.before && !o.swallowed || !strings.Contains(printed, want) {
			t.Errorf("%s: %s has not %s", how, printed, want)
		}
	}
	waits := made(now)
	if err := here.recall(t.Context(), []*order{waits}, subject); err != nil {
		t.Fatal(err)
	}
	again("it waits", waits)
	swallowed := made(now)
	if err := here.store(t.Context(), []*order{swallowed}, subject, func(*order) {}); err != nil {
		t.Fatal(err)
	}
	again("its message id is known", swallowed)
	if err := w.settle(jobs.Done); err != nil {
		t.Fatal(err)
	}
	r := jobs.Result{
		Version: jobs.ResultVersion, JobID: "case-1", Status: jobs.Failed, Lane: jobs.Urgent, Publisher: "jane", RequestedAt: stored, CompletedAt: stored,
		EventTime: first.job.EventTime, Counts: map[jobs.Outcome]int{}, Users: []jobs.UserResult{{ID: 42, Outcome: jobs.UserUndecided}},
	}
	if err := w.putResult(t.Context(), r, jobs.Key(1, stored)); err != nil {
		t.Fatal(err)
	}
	settled := made(now)
	if err := here.recall(t.Context(), []*order{settled}, subject); err != nil {
		t.Fatal(err)
	}
	again("it has a result", settled)

	// A time that has passed is left out, and that is said.
	first.job.NotAfter = stored
	s := &sending{orders: []*order{first}, notes: notes{Job: jobs.Job{NotAfter: now.Add(time.Hour)}}}
	if printed := tool.resubmit(s, &list{path: "list.txt"}); strings.Contains(printed, "--not-after") || !strings.Contains(told.String(), "leaves out --not-after") {
		t.Errorf("%s, and %q is told", printed, told.String())
	}
}

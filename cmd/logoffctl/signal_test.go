package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"logoffworker/jobs"
)

// The event that a job answers goes with it when it is published again, so that its result tells of it, too.
func TestWhatIsPublishedAgainKeepsItsSignal(t *testing.T) {
	here := &site{subjects: jobs.Subjects{Prefix: "logoff"}}
	signal := &jobs.Signal{Issuer: "idp", Event: "e", Token: "a.b.c"}
	l := letter{DeadLetter: jobs.DeadLetter{JobID: "set-1", Reason: jobs.Failed, Signal: signal}, lane: jobs.Urgent, job: jobs.Job{ID: "set-1", Users: []jobs.User{{ID: 7}}}}
	replayed, err := here.replayed(l, "jane")
	if err != nil {
		t.Fatal(err)
	}
	for _, msg := range []*nats.Msg{replayed, here.approved(l, "jane")} {
		got, err := jobs.DecodeSignal(msg.Header.Get(jobs.SignalHeader))
		if diff := cmp.Diff(signal, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", msg.Subject, err, diff)
		}
	}
	l.Signal = nil
	if msg := here.approved(l, "jane"); msg.Header.Get(jobs.SignalHeader) != "" {
		t.Error(msg.Header)
	}
}

func TestIgnoredJobIsNoFailure(t *testing.T) {
	r := jobs.Result{Status: jobs.Ignored, Error: "worked before: logoff.results.set-1.7-8", Signal: &jobs.Signal{Issuer: "idp"}}
	if got, want := summary(r), "nobody is to be logged off for it: worked before: logoff.results.set-1.7-8"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if toneOf(r.Status) != good {
		t.Error("it looks like a failure")
	}
	if diff := cmp.Diff([]string{"", "for an event of idp"}, aboutResult(r)); diff != "" {
		t.Error(diff)
	}
}

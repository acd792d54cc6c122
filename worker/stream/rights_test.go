package stream

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"logoffworker/jobs"
	"logoffworker/worker/stage/bubble"
)

// What another server answers, as the hub of a leaf node does, says nothing about us.
func TestAnotherServersAnswerIsNotWhoWeAre(t *testing.T) {
	bubble.Run(t, time.Minute, func(t *testing.T) {
		mute, err := server.NewServer(&server.Options{DontListen: true, NoSystemAccount: true, NoLog: true, NoSigs: true})
		if err != nil {
			t.Fatal(err)
		}
		mute.Start()
		t.Cleanup(mute.Shutdown)
		nc, err := nats.Connect("", nats.InProcessServer(mute))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		_, err = nc.Subscribe("$SYS.REQ.USER.INFO", func(m *nats.Msg) {
			if err := m.Respond([]byte(`{"server":{"id":"hub"},"data":{"user":"somebody","permissions":{"publish":{"deny":["$JS.API.>"]}}}}`)); err != nil {
				t.Error(err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if who := AskIdentity(t.Context(), nc); who.Known {
			t.Errorf("it is said that we are %+v", who)
		}
	})
}

// A right covers a subject in all that its wildcards stand for.
func TestRightsIncludeWhatTheirWildcardsStandFor(t *testing.T) {
	for _, c := range []struct {
		right, subject string
		want           bool
	}{
		{"a.b", "a.b", true},
		{"a.*", "a.b", true},
		{"a.*", "a.*", true},
		{"a.b", "a.*", false},
		{"a.>", "a.b.c", true},
		{"a.>", "a", false},
		{">", "a", true},
		{"a.b", "a.b.c", false},
		{"a.b.c", "a.b", false},
	} {
		if got := includes(c.right, c.subject); got != c.want {
			t.Errorf("%q includes %q: %v", c.right, c.subject, got)
		}
	}
	who := Identity{Publish: []string{"a.>"}, Denied: []string{"a.b"}}
	if who.May("a.b") || !who.May("a.c") || who.May("b") {
		t.Error("what is denied is not taken from what is allowed")
	}
	if !(Identity{}).May("a") {
		t.Error("a user without permissions may not publish")
	}
}

// Who may publish a job and approve it under another name is told so, whatever wildcards, denials and lanes say; who
// may not, is not.
func TestSelfApprovalIsFound(t *testing.T) {
	for _, c := range []struct {
		allow, deny   []string
		job, approval string
	}{
		{nil, nil, "logoff.requests", "logoff.approved.urgent.*"},
		{[]string{">"}, nil, "logoff.requests", "logoff.approved.urgent.*"},
		{[]string{">"}, []string{"logoff.approved.>"}, "", ""},
		{[]string{">"}, []string{"logoff.approved.*.hr"}, "logoff.requests", "logoff.approved.urgent.*"},
		{[]string{"logoff.requests.bulk.hr"}, nil, "", ""},
		{[]string{"logoff.approved.*.jane"}, nil, "", ""},
		{[]string{"logoff.requests.bulk.hr", "logoff.approved.*.hr"}, nil, "", ""},
		{[]string{"logoff.requests.bulk.hr", "logoff.approved.*.jane"}, nil, "logoff.requests.bulk.hr", "logoff.approved.bulk.jane"},
		{[]string{"logoff.requests.bulk.hr", "logoff.approved.urgent.jane"}, nil, "", ""},
		{[]string{"logoff.requests.bulk.*", "logoff.approved.bulk.jane"}, nil, "logoff.requests.bulk.*", "logoff.approved.bulk.jane"},
		{[]string{"logoff.requests.bulk", "logoff.approved.bulk.bulk"}, nil, "logoff.requests.bulk", "logoff.approved.bulk.bulk"},
		{[]string{"logoff.requests", "logoff.approved.*.jane"}, nil, "logoff.requests", "logoff.approved.urgent.jane"},
		{[]string{"logoff.*.urgent.jane"}, nil, "", ""},
		{[]string{"*.*.*.*"}, []string{"logoff.requests.>"}, "", ""},
		{[]string{"logoff.requests.>", "logoff.results.>"}, nil, "", ""},
		{[]string{"other.>"}, nil, "", ""},
	} {
		job, approval := Identity{Publish: c.allow, Denied: c.deny}.SelfApproval(jobs.Subjects{Prefix: "logoff"})
		if job != c.job || approval != c.approval {
			t.Errorf("%v without %v: %q is approved on %q, want %q and %q", c.allow, c.deny, job, approval, c.job, c.approval)
		}
	}
}

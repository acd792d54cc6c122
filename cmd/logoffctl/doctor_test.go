package main

import (
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"logoffworker/worker/fleet"
)

// joinFleet has workers answer what files say; @now stands for the time.
func joinFleet(ts *testscript.TestScript, _ bool, files []string) {
	w := worldOf(ts)
	for _, file := range files {
		nc, err := w.broker.Connect()
		ts.Check(err)
		says := ts.ReadFile(file)
		member, err := fleet.Join(fleet.Config{NATS: nc, Subjects: w.subjects, Worker: file, Status: func() []byte {
			return []byte(strings.NewReplacer(
				`"@now"`, `"`+time.Now().UTC().Format(time.RFC3339Nano)+`"`,
				`"@past"`, `"`+time.Now().UTC().Add(-42*time.Second).Format(time.RFC3339Nano)+`"`,
				`"@soon"`, `"`+time.Now().UTC().Add(9*24*time.Hour+time.Hour).Format(time.RFC3339Nano)+`"`,
			).Replace(says))
		}})
		ts.Check(err)
		ts.Check(nc.Flush())
		ts.Defer(func() { member.Leave(); nc.Close() })
	}
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
	who := identity{Publish: []string{"a.>"}, Denied: []string{"a.b"}}
	if who.may("a.b") || !who.may("a.c") || who.may("b") {
		t.Error("what is denied is not taken from what is allowed")
	}
	if !(identity{}).may("a") {
		t.Error("a user without permissions may not publish")
	}
}

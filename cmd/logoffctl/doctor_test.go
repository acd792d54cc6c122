package main

import (
	"strings"
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

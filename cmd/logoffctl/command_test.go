package main

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// A command that the tool prints has each flag that says where NATS is, or what the jobs are; never a password.
func TestAPrintedCommandHasEveryFlagThatChangesItsJobs(t *testing.T) {
	given := map[string]string{"event-time": "2026-11-23T10:00:00Z", "not-after": "2100-01-01T00:00:00Z", "label": "case=INC-1", "server": "nats://127.0.0.1:4"}
	other := map[string]bool{ // these are of this run alone, or in the list
		"file": true, "column": true, "user": true, "id": true, "wait": true, "timeout": true, "again": true, "yes": true, "dry-run": true, "json": true, "help": true, "version": true,
	}
	tool := &tool{stdout: io.Discard, stderr: io.Discard}
	root := tool.root()
	cmd, _, err := root.Find([]string{"submit"})
	if err != nil {
		t.Fatal(err)
	}
	o := submission{labels: []string{given["label"]}}
	var want []string
	_ = cmd.InheritedFlags() // gives the command those of all verbs
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if other[f.Name] {
			return
		}
		value := given[f.Name]
		if value == "" {
			value = "value-of-" + f.Name
		}
		if err := cmd.Flags().Set(f.Name, value); err != nil {
			t.Fatal(err)
		}
		want = append(want, " --"+f.Name+" "+value)
	})
	o.lane, o.why, o.publisher, o.eventTime, o.notAfter = "value-of-lane", "value-of-why", "value-of-as", given["event-time"], given["not-after"]
	notes, err := o.readNotes()
	if err != nil || len(want) < 15 {
		t.Fatal(err, want)
	}
	printed := tool.resubmit(&sending{submission: o, notes: notes}, &list{path: "list.txt"})
	for _, flag := range want {
		if !strings.Contains(printed, flag) {
			t.Errorf("%q is not in %s", flag, printed)
		}
	}
	if err := cmd.Flags().Set("server", "nats://jane:canary@127.0.0.1:4"); err != nil {
		t.Fatal(err)
	}
	if printed := tool.command("watch", "1"); strings.Contains(printed, "canary") || !strings.Contains(printed, "--server URL") {
		t.Error(printed)
	}
}

// Of a submission that was stopped it is said that the same command goes on only where it does.
func TestTheSameCommandIsSaidToGoOnWhereItDoes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for want, s := range map[string]*sending{
		"1 of 2 jobs are stored; the same command again goes on from there\n":                       {list: &list{path: "list.txt"}},
		"1 of 2 jobs are stored; the same command again with --id x goes on from there; without it": {list: &list{}, name: "x"},
		"1 of 2 jobs are stored; the same command again stores them all once more":                  {list: &list{path: "list.txt"}, submission: submission{again: true}},
	} {
		var told strings.Builder
		s.orders = []*order{{sequence: 1}, {}}
		if err := (&tool{stderr: &told}).notStored(ctx, nil, s, ctx.Err()); exitCode(ctx, err) != codeInterrupted {
			t.Error(err)
		}
		if !strings.HasPrefix(told.String(), want) {
			t.Errorf("%q, not %q", told.String(), want)
		}
	}
}

package main

import (
	"context"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/worker/stage"
)

// anywhere are the flags that let the system choose the addresses.
var anywhere = []string{"-nats", "127.0.0.1:0", "-http", "127.0.0.1:0", "-webserver", "127.0.0.1:0", "-control", "127.0.0.1:0", "-provider", "127.0.0.1:0"}

// leavesNothing fails a test that leaves something in the directory for temporary files.
func leavesNothing(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Cleanup(func() {
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 0 {
			t.Errorf("it left %v behind, %v", left, err)
		}
	})
}

// The demo is the first thing that anybody runs: its sample jobs have to come out as they should.
func TestDemoWorksItsSampleJobs(t *testing.T) {
	leavesNothing(t)
	var out, log strings.Builder
	if err := run(t.Context(), append([]string{"-once"}, anywhere...), &out, &log); err != nil {
		t.Fatalf("%v\n%s%s", err, &out, &log)
	}
	for _, words := range []string{
		"accepted urgent job taken-over-account: 1 accepted in ",
		"done     urgent job with-its-owner: 1 logged_off in ",
		`done     urgent job person: CORP\jane off, 5 logged_off in `,
		"accepted bulk   job offboarding-list: ",
		"invalid  urgent job ",
		"failed   urgent job already-ended: 1 undecided in ",
		"answers 500 about a session that had ended before",
		"joe@corp.example off, 5 logged_off in ",
		"The issuer idp said so in a signed event, which the worker polled; rule: session-revoked, email by email:{email}. From the event to the end: ",
		"/metrics",
		"pub --jetstream logoff.requests '{\"sessions\":[\"",
	} {
		if !strings.Contains(out.String(), words) {
			t.Errorf("%q is missing in:\n%s", words, &out)
		}
	}
	if n := strings.Count(out.String(), "\n  failed "); n != 1 {
		t.Errorf("%d jobs failed, want the one that is explained:\n%s", n, &out)
	}
}

// What jobs/README.md gives as an example of a job ends sessions in the demo, whole and each user alone.
func TestReadmeExampleWorksInTheDemo(t *testing.T) {
	leavesNothing(t)
	data, err := os.ReadFile("../../jobs/testdata/job.json")
	if err != nil {
		t.Fatal(err)
	}
	var example struct {
		Users []jsontext.Value `json:"users"`
	}
	if err := json.Unmarshal(data, &example); err != nil || len(example.Users) < 3 {
		t.Fatalf("the example names %d users: %v", len(example.Users), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var out stage.Output
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, anywhere, &out, &out) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	said := func(words string) {
		t.Helper()
		if !stage.Await(t.Context(), time.Minute, func() bool { return strings.Contains(out.String(), words) }) {
			t.Fatalf("%q is missing in:\n%s", words, &out)
		}
	}
	said("More results:")
	nc, err := nats.Connect(regexp.MustCompile(`nats://[0-9.:]+`).FindString(out.String()))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{": userId 42 off, 5 logged_off in", `: CORP\jane nothing_on in`, ": jane@corp.example nothing_on in"} {
		if _, err := js.Publish(t.Context(), "logoff.requests", []byte(`{"users":[`+string(example.Users[i])+`]}`)); err != nil {
			t.Fatal(err)
		}
		said(want)
	}
}

// An address that is taken is one sentence that names it, its flag and who may have it.
func TestTakenAddressIsOneSentence(t *testing.T) {
	leavesNothing(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	for name := range probable {
		var out, log strings.Builder
		err := run(t.Context(), append(append([]string{}, anywhere...), "-"+name, taken.Addr().String()), &out, &log)
		if err == nil {
			t.Errorf("-%s: no error", name)
			continue
		}
		words := err.Error()
		if !strings.HasPrefix(words, "port "+port+" ") || !strings.Contains(words, "probably by") || !strings.Contains(words, "ARGS='-"+name+" ") || strings.Contains(words, "\n") {
			t.Errorf("-%s: %q", name, words)
		}
		if out.String() != "" || log.String() != "" {
			t.Errorf("-%s: it also says %q", name, out.String()+log.String())
		}
		err = run(t.Context(), append(append([]string{}, anywhere...), "-"+name, "192.0.2.1:80"), &out, &log)
		if err == nil || !strings.Contains(err.Error(), "nothing can listen at 192.0.2.1:80") || !strings.Contains(err.Error(), "-"+name) {
			t.Errorf("-%s: %v", name, err)
		}
	}
}

// A stop leaves nothing behind, whenever it comes.
func TestStoppedDemoLeavesNothing(t *testing.T) {
	leavesNothing(t)
	for _, moment := range []string{"", "the worker is ready", "Jobs submitted", "already-ended", "More results"} {
		ctx, cancel := context.WithCancel(t.Context())
		if moment == "" {
			cancel()
		}
		if err := run(ctx, anywhere, stopAt{moment, cancel}, &strings.Builder{}); err != nil {
			t.Errorf("stopped at %q, it ends with %v", moment, err)
		}
		cancel()
	}
}

// A reader who has gone away ends the demo, which leaves nothing behind.
func TestDemoEndsWithItsReader(t *testing.T) {
	leavesNothing(t)
	if err := run(t.Context(), anywhere, gone{}, &strings.Builder{}); err == nil {
		t.Error("it ended well")
	}
}

// stopAt stops a demo that says some words.
type stopAt struct {
	words string
	stop  func()
}

func (s stopAt) Write(p []byte) (int, error) {
	if s.words != "" && strings.Contains(string(p), s.words) {
		s.stop()
	}
	return len(p), nil
}

// gone is a reader who has gone away.
type gone struct{}

func (gone) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestBadUsageIsSaid(t *testing.T) {
	var out strings.Builder
	for _, args := range [][]string{{"extra"}, {"-people", "1"}, {"-unknown"}} {
		if err := run(t.Context(), args, &out, &out); err == nil || !strings.Contains(err.Error(), "bad usage") {
			t.Errorf("%q: %v", args, err)
		}
	}
	if err := run(t.Context(), []string{"-help"}, &out, &out); err != nil || !strings.Contains(out.String(), "-people") {
		t.Errorf("help: %v, %s", err, &out)
	}
}

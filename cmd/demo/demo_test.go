package main

import (
	"net"
	"strings"
	"testing"
)

// The demo is the first thing that anybody runs: its sample jobs have to come out as they should.
func TestDemoWorksItsSampleJobs(t *testing.T) {
	var out, log strings.Builder
	args := []string{"-once"}
	for _, name := range []string{"-nats", "-http", "-webserver", "-control"} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, name, listener.Addr().String())
		listener.Close()
	}
	if err := run(t.Context(), args, &out, &log); err != nil {
		t.Fatalf("%v\n%s%s", err, &out, &log)
	}
	for _, words := range []string{
		"accepted urgent job taken-over-account: 1 accepted in ",
		"accepted bulk   job offboarding-list: ",
		"invalid  urgent job ",
		"failed   urgent job already-ended: 1 undecided in ",
		"done     urgent job person: 5 logged_off in ",
		"/metrics",
		"pub logoff.requests '{\"sessions\":[\"",
	} {
		if !strings.Contains(out.String(), words) {
			t.Errorf("%q is missing in:\n%s", words, &out)
		}
	}
}

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

package main

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"logoffworker/worker/history"
	"logoffworker/worker/stage"
)

func TestMistakesAreUsageErrors(t *testing.T) {
	for _, args := range [][]string{{"-nonsense"}, {"run"}, {"-rate", "0"}, {"-duration", "-1s"}} {
		if err := run(t.Context(), args, io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("%v: %v", args, err)
		}
	}
	var help strings.Builder
	if err := run(t.Context(), []string{"-help"}, &help); err != nil || !strings.Contains(help.String(), "-duration") {
		t.Errorf("help: %v\n%s", err, help.String())
	}
}

// There is a fault for each way in which the worker promises that nothing is lost, and no two have the same name,
// which a report could not tell apart.
func TestFaultsAreComplete(t *testing.T) {
	e, err := newRedirectTarget()
	if err != nil {
		t.Fatal(err)
	}
	defer e.listener.Close()
	w := &world{web: &webServer{}, redirectTarget: e, unmount: func() {}, canaries: map[string]string{}}
	w.solo = &deployment{world: w, nodes: []*stage.Node{{}}}
	w.trio = &deployment{world: w}
	known := map[string]bool{}
	for _, group := range [][]fault{w.webFaults(), w.natsFaults(), w.workerFaults(), w.clusterFaults(), w.tokenFaults()} {
		for _, f := range group {
			if known[f.name] {
				t.Errorf("there are two faults %s", f.name)
			}
			known[f.name] = true
		}
	}
	for _, name := range []string{
		"worker/kill", "worker/terminate", "worker/freeze", "worker/crash-before-call", "worker/crash-after-call", "worker/crash-before-result",
		"worker/crash-after-result", "worker/crash-after-ack", "worker/crash-mid-split", "worker/crash-mid-login", "worker/crash-mid-drain",
		"nats/kill", "nats/restart", "nats/freeze", "nats/cut", "nats/black-hole-there", "nats/black-hole-back", "nats/slow", "cluster/leader-killed",
		"web/503", "web/429-soon", "web/429-absurd", "web/hang", "web/hang-applied", "web/reset", "web/reset-applied", "web/slow-body", "web/endless-body",
		"web/gzip-bomb", "web/page", "web/error-body", "web/redirect", "web/cut-off", "web/401", "web/token-revoked",
		"nats/results-full", "nats/disk-full", "nats/consumer-deleted", "nats/no-results", "nats/hostile",
		"token/renewed", "token/answer-lost", "token/crash-before-intent", "token/crash-after-intent", "token/crash-after-call", "token/crash-after-store",
	} {
		if !known[name] {
			t.Errorf("there is no fault %s", name)
		}
	}
}

func TestLivesAreFirstAndLastLooks(t *testing.T) {
	begin := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	var samples []history.Sample
	for i := range 100 {
		samples = append(samples, history.Sample{Process: "long", Time: begin.Add(time.Duration(i) * time.Second), Goroutines: i})
		if i < 30 {
			samples = append(samples, history.Sample{Process: "short", Time: begin.Add(time.Duration(i) * time.Second)})
		}
	}
	lives := lasting(samples)
	if len(lives) != 1 || lives[0].first.Goroutines != 10 || lives[0].last.Goroutines != 99 {
		t.Errorf("%+v", lives)
	}
}

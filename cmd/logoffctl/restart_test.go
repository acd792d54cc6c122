package main

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker/broker"
	"logoffworker/worker/stage"
)

// Who waits goes on waiting while NATS is away, and hears the result.
func TestAWaitOutlastsARestartOfNATS(t *testing.T) {
	store := t.TempDir()
	w, err := newWorld(store, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	url := w.broker.URL()
	cmd := w.command(t, "submit", "jane", "--id", "case-1", "--wait", "--timeout", "2m")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if !stage.Await(t.Context(), time.Minute, func() bool {
		n, err := w.storedEver()
		return err == nil && n == 1
	}) {
		t.Fatal("the job is not stored")
	}
	w.js.Conn().Close()
	w.broker.Shutdown()
	again, err := broker.Start(broker.Options{StoreDir: store, Listen: strings.TrimPrefix(url, "nats://")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.Shutdown)
	nc, err := again.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if w.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	if err := w.settle(jobs.Done); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), "case-1  done") {
		t.Errorf("it ended with %v:\n%s", err, out.String())
	}
}

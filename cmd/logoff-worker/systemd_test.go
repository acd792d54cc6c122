package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"logoffworker/metrics"
)

// notified is a socket on which a service manager hears.
func notified(t *testing.T) (hear func() string) {
	t.Helper()
	address := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", address)
	return func() string {
		message := make([]byte, 4096)
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := conn.Read(message)
		if err != nil {
			t.Fatal(err)
		}
		return string(message[:n])
	}
}

// systemd hears that the process has started, in the words of /readyz how the worker is, that it is alive, and that it
// stops.
func TestSystemdHearsHowTheWorkerIs(t *testing.T) {
	hear := notified(t)
	t.Setenv("WATCHDOG_USEC", "30000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	d, err := managedBySystemd()
	if err != nil || d.watchdog != 30*time.Millisecond || os.Getenv("NOTIFY_SOCKET") != "" || os.Getenv("WATCHDOG_USEC") != "" {
		t.Fatalf("%+v, %v", d, err)
	}
	health := metrics.NewHealth(slog.New(slog.NewTextHandler(io.Discard, nil)), "nats")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go d.watch(ctx, health)
	if said := hear(); !strings.HasPrefix(said, "READY=1\nSTATUS=not ready: ") {
		t.Errorf("at the start: %q", said)
	}
	health.Begin(metrics.Condition{Part: "nats", Kind: "down", What: "NATS is\nnot there", Grave: true})
	if said := hear(); !strings.HasPrefix(said, "WATCHDOG=1\nSTATUS=not ready: ") || !strings.Contains(said, "NATS is not there") || strings.Count(said, "\n") != 1 {
		t.Errorf("with something wrong: %q", said)
	}
	health.Well("nats")
	said := hear()
	for strings.Contains(said, "not ready") { // it may have been on its way
		said = hear()
	}
	if said != "WATCHDOG=1\nSTATUS=ready" {
		t.Errorf("with nothing wrong: %q", said)
	}
	stop()
	for said = hear(); strings.HasPrefix(said, "WATCHDOG=1"); said = hear() {
	}
	if !strings.HasPrefix(said, "STOPPING=1\n") {
		t.Errorf("at the end: %q", said)
	}
}

// A watchdog is fed three times in its interval, and one that is never or seldom hungry every five seconds.
func TestWatchdogIsFedInTime(t *testing.T) {
	for interval, every := range map[string]time.Duration{
		"": statusEvery, "0": statusEvery, "x": statusEvery, "-9": statusEvery, "99999999999999999999": statusEvery,
		"60000000": statusEvery, "9000000": 3 * time.Second,
	} {
		hear := notified(t)
		t.Setenv("WATCHDOG_USEC", interval)
		t.Setenv("WATCHDOG_PID", "")
		d, err := managedBySystemd()
		if err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			go d.watch(ctx, metrics.NewHealth(slog.New(slog.DiscardHandler)))
			synctest.Wait()
			time.Sleep(every - time.Nanosecond)
			d.tell("just before")
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			stop()
			var heard []string
			for said := ""; said != "STOPPING=1"; heard = append(heard, said) {
				said, _, _ = strings.Cut(hear(), "\n")
			}
			if want := []string{"READY=1", "just before", "WATCHDOG=1", "STOPPING=1"}; !slices.Equal(heard, want) {
				t.Errorf("with an interval of %q it hears %q, want %q", interval, heard, want)
			}
		})
	}
}

// Where no service manager asks, nothing is told; one that cannot be reached is an error in words; and a watchdog that
// is meant for another process is not fed.
func TestSystemdIsToldOnlyWhereItAsks(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	none, err := managedBySystemd()
	if none != nil || err != nil {
		t.Fatalf("%+v, %v", none, err)
	}
	none.tell("READY=1")
	none.watch(t.Context(), nil)
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	if _, err := managedBySystemd(); err == nil || !strings.Contains(err.Error(), "NOTIFY_SOCKET") {
		t.Error(err)
	}
	for interval, pid := range map[string]string{"0": "", "x": "", "30000": "1"} {
		notified(t)
		t.Setenv("WATCHDOG_USEC", interval)
		t.Setenv("WATCHDOG_PID", pid)
		if d, err := managedBySystemd(); err != nil || d == nil || d.watchdog != 0 {
			t.Errorf("%s, %s: %+v, %v", interval, pid, d, err)
		}
	}
}

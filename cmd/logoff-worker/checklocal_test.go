package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"logoffworker/worker/broker"
)

// What the system refuses to a store or an address is said with the variable and what to do about it.
func TestWhatTheSystemRefusesIsSaidWithARemedy(t *testing.T) {
	var s settings
	s.NATS.StoreDir, s.NATS.Listen = "jobs", "127.0.0.1:422"
	for _, test := range []struct {
		field string // of the broker that it comes of; empty is none
		err   error
		says  string
	}{
		{"StoreDir", &broker.InUse{Dir: "jobs"}, "stop that one first, or give this one a store of its own"},
		{"StoreDir", syscall.ENOSPC, `free space on the disk of "jobs"`},
		{"StoreDir", syscall.EDQUOT, `free space on the disk of "jobs"`},
		{"StoreDir", syscall.EROFS, `"jobs" has to be on a disk that can be written`},
		{"StoreDir", syscall.EACCES, `this user has to own "jobs" and all that is in it`},
		{"StoreDir", syscall.EPERM, `this user has to own "jobs" and all that is in it`},
		{"StoreDir", syscall.ENOTDIR, "it has to be a directory that this user can read and write"},
		{"Listen", syscall.EADDRINUSE, "LOGOFF_NATS_LISTEN: another program listens at 127.0.0.1:422 already"},
		{"Listen", syscall.EADDRNOTAVAIL, "LOGOFF_NATS_LISTEN: 127.0.0.1:422 is no address of this machine"},
		{"Listen", syscall.EACCES, "LOGOFF_NATS_LISTEN: this user may not listen at 127.0.0.1:422; choose a port from 1024 on"},
		{"Listen", syscall.EPERM, "LOGOFF_NATS_LISTEN: this user may not listen at 127.0.0.1:422; choose a port from 1024 on"},
		{"Listen", syscall.EINVAL, "LOGOFF_NATS_LISTEN: nothing can listen at 127.0.0.1:422: "},
		{"", errors.New("it did not start within 1m0s"), "it did not start within 1m0s"},
	} {
		err := test.err
		if test.field != "" {
			err = &broker.FieldError{Field: test.field, Err: fmt.Errorf("open jobs: %w", test.err)}
		}
		said := localProblem(s, err).Error()
		if !strings.Contains(said, test.says) || strings.Contains(said, "LOGOFF_NATS_STORE_DIR: ") != (test.field == "StoreDir") {
			t.Errorf("%s, %v: it says %q, want %q", test.field, test.err, said, test.says)
		}
		if test.field == "StoreDir" && !errors.Is(localProblem(s, err), test.err) {
			t.Errorf("%v is no part of %q", test.err, said)
		}
	}
	if err := localProblem(s, nil); err != nil {
		t.Errorf("of a broker that started it says %v", err)
	}
}

// A store belongs to the worker that has these settings, or it is in use; each is told from one that is free, and an
// address from one that is taken.
func TestCheckTellsAWorkerWithTheseSettingsFromAnother(t *testing.T) {
	store, free := filepath.Join(t.TempDir(), "store"), "127.0.0.1:0"
	b, err := broker.Start(broker.Options{StoreDir: store, Listen: free})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Shutdown()
	taken := strings.TrimPrefix(b.URL(), "nats://")
	for name, test := range map[string]struct {
		url, store, listen string
		running            bool
		says, not          string
	}{
		"the worker with these settings": {embedded, store, free, true, "ok    store      " + store + " is in use by a worker with this address: pid ", "FAIL"},
		"a worker with another address":  {embedded, store, "127.0.0.1:1", false, "FAIL  store      LOGOFF_NATS_STORE_DIR: ", "ok    store"},
		"a store of its own":             {embedded, filepath.Join(t.TempDir(), "store"), free, false, "warn  nats       the embedded broker is not running", "FAIL"},
		"an address that is taken":       {embedded, filepath.Join(t.TempDir(), "store"), taken, false, "FAIL  nats       LOGOFF_NATS_LISTEN: another program listens at " + taken, "not running"},
		"a NATS server elsewhere":        {"nats://nats.example:4222", store, taken, false, "ok    http", "store"},
	} {
		var with settings
		with.HTTPAddr, with.NATS.URL, with.NATS.StoreDir, with.NATS.Listen = free, test.url, test.store, test.listen
		var running bool
		said := tells(func(r *report) { running = r.checkLocal(t.Context(), with) })
		if running != test.running || !strings.Contains(said, test.says) || strings.Contains(said, test.not) {
			t.Errorf("%s: running is %t, and it says\n%s", name, running, said)
		}
	}
	if _, err := os.Stat(filepath.Join(store, "in-use-by.json")); err != nil {
		t.Errorf("the worker's store is not as it was: %v", err)
	}
}

// What wants a password or a certificate, which check does not know, may be a worker: it is no fault.
func TestProtectedAddressMayBeAWorkers(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	with := settings{HTTPAddr: listener.Addr().String(), HTTPConfigFile: "web.yml"}
	if said := tells(func(r *report) { r.checkHTTP(t.Context(), with) }); !strings.HasPrefix(said, "warn  http       something listens at "+with.HTTPAddr) || strings.Contains(said, "is free") {
		t.Errorf("it says %q", said)
	}
	with.HTTPAddr = "127.0.0.1:0"
	if said := tells(func(r *report) { r.checkHTTP(t.Context(), with) }); said != "ok    http       127.0.0.1:0 is free\n" {
		t.Errorf("of an address that is free it says %q", said)
	}
}

// What does not answer as a worker is none, and an address that is no part of a URL is asked nothing.
func TestWhatDoesNotAnswerIsNoWorker(t *testing.T) {
	gone := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer gone.Close()
	for _, address := range []string{gone.Listener.Addr().String(), "[fe80::1%eth0]:9464"} {
		if isWorker(t.Context(), address) {
			t.Errorf("%s is taken for a worker", address)
		}
	}
}

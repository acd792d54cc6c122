package main

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/worker/stage"
	"logoffworker/worker/webserver/simulator"
)

// The embedded broker is enough for one machine, demands the worker's credentials, and keeps jobs
// over a restart.
func TestEmbeddedBrokerKeepsJobs(t *testing.T) {
	w := newWorld(t, simulator.Settings{Down: 503})
	listen, err := stage.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	environment := []string{
		"LOGOFF_NATS_URL=embedded", "LOGOFF_NATS_LISTEN=" + listen, "LOGOFF_NATS_STORE_DIR=" + t.TempDir(),
		"LOGOFF_NATS_USER=soar", "LOGOFF_NATS_PASSWORD=canary-nats",
	}
	ids := w.sim.SignOnMany(7, 1)
	command := w.start(environment...)
	w.poll("/readyz", http.StatusServiceUnavailable, "jobs wait")
	if nc, err := nats.Connect("nats://" + listen); err == nil {
		nc.Close()
		t.Error("the embedded broker took a client without credentials")
	}
	nc, err := nats.Connect("nats://"+listen, nats.UserInfo("soar", "canary-nats"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	job, err := json.Marshal(map[string]any{"sessions": ids})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "logoff.requests", job); err != nil {
		t.Fatal(err)
	}
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	w.ended(command)

	w.sim.Configure(func(settings *simulator.Settings) { settings.Down = 0 })
	command = w.start(environment...)
	w.poll("/metrics", http.StatusOK, `logoff_jobs_settled_total{lane="urgent",status="accepted"} 1`)
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	w.ended(command)
	if strings.Contains(w.log.String(), "canary") {
		t.Errorf("a secret is in the log:\n%s", w.log.String())
	}
}

// embeddedIn is the environment of a worker with an embedded broker, and its address.
func embeddedIn(t *testing.T, store string) (environment []string, listen string) {
	t.Helper()
	listen, err := stage.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	web, err := stage.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return []string{"LOGOFF_NATS_URL=embedded", "LOGOFF_NATS_LISTEN=" + listen, "LOGOFF_NATS_STORE_DIR=" + store, "LOGOFF_HTTP_ADDR=" + web}, listen
}

// hurry is how long a program may take that has nothing to wait for. It only keeps a test from hanging.
const hurry = 30 * time.Second

// endsWith waits for the end of a program, which is to have the exit code and to have said the words.
func (w *world) endsWith(command *exec.Cmd, code int, words ...string) {
	w.t.Helper()
	late := time.AfterFunc(hurry, func() { _ = command.Process.Kill() })
	err := command.Wait()
	if !late.Stop() {
		w.t.Fatalf("the program did not end by itself\n%s", w.log.String())
	}
	var exit *exec.ExitError
	if got := 0; err != nil && (!errors.As(err, &exit) || exit.ExitCode() != code) || err == nil && got != code {
		w.t.Errorf("the program ended with %v, want exit code %d", err, code)
	}
	if log := w.log.String(); !containsAll(log, words) {
		w.t.Errorf("it did not say %q:\n%s", words, log)
	}
}

// publishTo stores jobs at an embedded broker, one for each session.
func publishTo(t *testing.T, listen string, ids []string) {
	t.Helper()
	nc, err := nats.Connect("nats://" + listen)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if _, err := js.Publish(t.Context(), "logoff.requests", []byte(`{"sessions":["`+id+`"]}`)); err != nil {
			t.Fatal(err)
		}
	}
}

// Another worker, or init, on the store of a worker that runs is told who has it and ends; nothing that
// was acknowledged is lost, nor when the first is killed and started again at once.
func TestSecondProcessOnAStoreLosesNothing(t *testing.T) {
	const n = 40
	w := newWorld(t, simulator.Settings{Down: 503})
	ids := w.sim.SignOnMany(7, n)
	store := filepath.Join(t.TempDir(), "store")
	environment, listen := embeddedIn(t, store)
	w.http = strings.TrimPrefix(environment[3], "LOGOFF_HTTP_ADDR=")
	first := w.start(environment...)
	w.poll("/readyz", 503, "jobs wait")
	publishTo(t, listen, ids[:n/2])

	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(store, link); err != nil {
		t.Fatal(err)
	}
	other, _ := embeddedIn(t, link)
	holder := "pid " + strconv.Itoa(first.Process.Pid)
	w.endsWith(w.start(other...), 1, "LOGOFF_NATS_STORE_DIR", holder, listen, "stop that one first")
	w.endsWith(w.startAs([]string{"init"}, other...), 1, "creates its streams itself")
	publishTo(t, listen, ids[n/2:])

	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait() // killed: that is the point
	w.sim.Configure(func(settings *simulator.Settings) { settings.Down = 0 })
	again := w.start(environment...)
	w.poll("/metrics", 200, "logoff_sessions_total{outcome=\"accepted\"} "+strconv.Itoa(n))
	if err := again.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	w.ended(again)
	last := w.startAs([]string{"init"}, environment...)
	w.ended(last) // the store is free
}

// What an embedded broker or the probes cannot have is said at once, by each command, with what to do.
func TestWhatThisMachineRefusesIsSaidAtOnce(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		setting string
		says    []string
		onlyRun bool
	}{
		"store is a file":       {"LOGOFF_NATS_STORE_DIR=" + file, []string{"LOGOFF_NATS_STORE_DIR: ", "not a directory", "read and write"}, false},
		"store under a file":    {"LOGOFF_NATS_STORE_DIR=" + file + "/store", []string{"LOGOFF_NATS_STORE_DIR: ", "not a directory"}, false},
		"store cannot be made":  {"LOGOFF_NATS_STORE_DIR=/proc/logoff", []string{"LOGOFF_NATS_STORE_DIR: "}, false},
		"taken port":            {"LOGOFF_NATS_LISTEN=" + taken.Addr().String(), []string{"LOGOFF_NATS_LISTEN: another program listens at " + taken.Addr().String()}, false},
		"taken probe port":      {"LOGOFF_HTTP_ADDR=" + taken.Addr().String(), []string{"LOGOFF_HTTP_ADDR: another program listens at"}, true},
		"foreign probe address": {"LOGOFF_HTTP_ADDR=192.0.2.1:9464", []string{"LOGOFF_HTTP_ADDR: 192.0.2.1:9464 is no address of this machine"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, simulator.Settings{})
			environment, _ := embeddedIn(t, filepath.Join(t.TempDir(), "store"))
			environment = append(environment, test.setting)
			w.endsWith(w.start(environment...), 1, test.says...)
			if !test.onlyRun {
				w.log.Reset()
				w.endsWith(w.startAs([]string{"init"}, environment...), 1, test.says...)
			}
			w.log.Reset()
			w.endsWith(w.startAs([]string{"check"}, environment...), 1, append(test.says, "FAIL")...)
		})
	}
}

// A worker that is still recovering its store stops when it is told to.
func TestTerminationWhileTheStoreIsRecovered(t *testing.T) {
	w := newWorld(t, simulator.Settings{})
	store := filepath.Join(t.TempDir(), "store")
	stream := filepath.Join(store, "jetstream", "$G", "streams", "LOGOFF_REQUESTS")
	if err := os.MkdirAll(stream, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(stream, "meta.inf"), 0o600); err != nil { // which nobody writes to
		t.Fatal(err)
	}
	environment, _ := embeddedIn(t, store)
	w.http = strings.TrimPrefix(environment[3], "LOGOFF_HTTP_ADDR=")
	command := w.start(environment...)
	w.poll("/livez", 200)
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	w.endsWith(command, 0)
}

// check tells a worker that runs from a store and addresses that are free, and leaves nothing behind.
func TestCheckLooksAtThisMachine(t *testing.T) {
	w := newWorld(t, simulator.Settings{})
	store := filepath.Join(t.TempDir(), "store")
	environment, listen := embeddedIn(t, store)
	w.http = strings.TrimPrefix(environment[3], "LOGOFF_HTTP_ADDR=")
	w.endsWith(w.startAs([]string{"check"}, environment...), 0, "ok    store", "nobody else has it", "ok    http", "is free", "warn  nats", "not running")
	if _, err := os.Stat(store); !os.IsNotExist(err) {
		t.Errorf("check made the store: %v", err)
	}
	command := w.start(environment...)
	w.poll("/readyz", 200)
	w.log.Reset()
	w.endsWith(w.startAs([]string{"check"}, environment...), 0, "ok    store", "is in use by a worker with this address", listen, "a worker answers at "+w.http, "ok    streams")
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	w.ended(command)
	w.log.Reset()
	w.endsWith(w.startAs([]string{"check"}, environment...), 0, "ok    store", "nobody else has it")
}

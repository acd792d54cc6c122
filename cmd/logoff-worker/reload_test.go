package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/webserver/simulator"
)

// write makes a file of what is protected, or of a secret, as a tool does that replaces it.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// A list in a file is read as it was meant, or refused in words.
func TestListsInFiles(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string
		says string
	}{
		"one a line":        {"5\n6\n", []string{"5", "6"}, ""},
		"comments":          {"# who\n5 # the boss\n  # more\n\n6\t#\n", []string{"5", "6"}, ""},
		"a # in a name":     {"CORP\\c#dev\n", []string{`CORP\c#dev`}, ""},
		"DOS":               {"\xef\xbb\xbfCORP\\jane \r\n jane@corp.example\r\n", []string{`CORP\jane`, "jane@corp.example"}, ""},
		"no line break":     {"5", []string{"5"}, ""},
		"commas and quotes": {"\"a.name\", 6,\n", []string{"a.name", "6"}, ""},
		"empty":             {"", nil, "nothing is in the file"},
		"comments alone":    {"# nobody\n", nil, "nothing is in the file"},
		"UTF-16":            {"\xff\xfe5\x00", nil, "not in UTF-8"},
	} {
		path := filepath.Join(t.TempDir(), "list")
		write(t, path, test.text)
		got, _, err := readList(path)
		if !slices.Equal(got, test.want) || (err != nil) != (test.says != "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, _, err := readList(filepath.Join(t.TempDir(), "nowhere")); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("a file that is not there: %v", err)
	}
}

// Of the settings only those that name a file are read: no other is taken for the name of one.
func TestFilesOfTheSettingsAreRead(t *testing.T) {
	there, gone := filepath.Join(t.TempDir(), "there"), filepath.Join(t.TempDir(), "gone")
	write(t, there, "canary")
	r := &reloader{}
	r.settings.Webserver.URL, r.settings.NATS.URL, r.settings.Prefix = "https://console.example", "nats://nats.example", there
	r.settings.Webserver.PasswordFile, r.settings.NATS.TokenFile = there, gone
	sums, unread := r.read()
	if names := slices.Sorted(maps.Keys(sums)); !slices.Equal(names, []string{"LOGOFF_WEBSERVER_PASSWORD_FILE"}) || !slices.Equal(unread, []string{"LOGOFF_NATS_TOKEN_FILE"}) {
		t.Errorf("read: %v; not read: %v", names, unread)
	}
}

// hangUp sends SIGHUP and waits until the worker has said so many times in all that it took it up.
func (w *world) hangUp(signal func(os.Signal) error, times int) {
	w.t.Helper()
	if err := signal(syscall.SIGHUP); err != nil {
		w.t.Fatal(err)
	}
	w.says("SIGHUP came: the files of the settings were read again", times)
}

// says waits until words are so many times in the log.
func (w *world) says(words string, times int) {
	w.t.Helper()
	deadline := time.NewTimer(hurry)
	defer deadline.Stop()
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	for w.log.Count(0, words) < times {
		select {
		case <-deadline.C:
			w.t.Fatalf("it did not say %q %d times\n%s", words, times, w.log.String())
		case <-every.C:
		}
	}
}

// A hang-up signal costs no work: not before the worker is ready, not with a job in hand, not in a row, and
// not during a stop.
func TestHangUpDropsNoWork(t *testing.T) {
	const n = 3
	w := newWorld(t, simulator.Settings{LatencyFixed: 2 * time.Second})
	ids := w.sim.SignOnMany(7, n)
	nobody, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	early := w.start("LOGOFF_NATS_URL=nats://" + nobody)
	w.poll("/livez", http.StatusOK)
	w.hangUp(early.Process.Signal, 1)
	if err := early.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	w.ended(early)

	command := w.start()
	w.poll("/readyz", http.StatusOK)
	w.publish(ids)
	<-w.arrived // a request is in flight
	for range 20 {
		if err := command.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	w.hangUp(command.Process.Signal, 2)
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if err := command.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	w.ended(command)
	last := w.start()
	w.poll("/livez", http.StatusOK)
	if counts := w.results(n); len(counts) != n {
		t.Errorf("%d of %d jobs have a result", len(counts), n)
	}
	if err := last.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	w.ended(last)
	if again := w.count(w.subjects.ResultStream()); again != n {
		t.Errorf("%d results for %d jobs", again, n)
	}
	for _, request := range w.sim.Journal() {
		if request.Op == "logoff" && (!request.Success || !request.Answered) {
			t.Errorf("a request in flight did not finish: %+v", request)
		}
	}
}

// A login that was rejected is tried at a hang-up signal, also where the secret is the same as before.
func TestHangUpTriesARejectedLogin(t *testing.T) {
	w := newWorld(t, simulator.Settings{})
	w.sim.ChangeUser(1, func(u *simulator.User) { u.Password = "another" })
	command := w.start()
	w.poll("/readyz", http.StatusServiceUnavailable, "login")
	w.sim.ChangeUser(1, func(u *simulator.User) { u.Password = "canary-password" })
	w.hangUp(command.Process.Signal, 1)
	w.poll("/readyz", http.StatusOK)
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	w.ended(command)
	if n := w.sim.Count("login"); n != 2 {
		t.Errorf("%d logins, want the rejected one and the one of the signal", n)
	}
	if strings.Contains(w.log.String(), "canary") {
		t.Errorf("a secret is in the log:\n%s", w.log.String())
	}
}

// What files protect is read again at a hang-up signal and when it changes; a file that will not do leaves
// protected who was.
func TestProtectedFilesAreReadAgain(t *testing.T) {
	w := newWorld(t, simulator.Settings{})
	ids := w.sim.SignOnMany(7, 4)
	path := filepath.Join(t.TempDir(), "protected")
	write(t, path, "# the monitoring\n"+ids[0]+"\n")
	command := w.start("LOGOFF_PROTECTED_SESSIONS_FILE="+path, "LOGOFF_PROTECTED_SESSIONS="+ids[1])
	w.poll("/readyz", http.StatusOK)
	done := 0
	protects := func(which ...int) {
		t.Helper()
		data, err := json.Marshal(map[string]any{"sessions": ids})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.js.Publish(t.Context(), "logoff.requests", data); err != nil {
			t.Fatal(err)
		}
		done++
		result := w.result(done)
		for i, s := range result.Sessions {
			if is := s.Outcome == jobs.Protected; is != slices.Contains(which, i) {
				t.Errorf("session %d is %s", i, s.Outcome)
			}
		}
	}
	protects(0, 1)
	write(t, path, ids[0]+"\n"+ids[2]+"\n")
	w.hangUp(command.Process.Signal, 1)
	protects(0, 1, 2)
	write(t, path, "")
	w.hangUp(command.Process.Signal, 2)
	w.poll("/readyz", http.StatusServiceUnavailable, "LOGOFF_PROTECTED_SESSIONS_FILE: nothing is in the file", "stays protected")
	protects(0, 1, 2)
	write(t, path, ids[3]+"\n")
	w.says("The protected sessions and users have changed", 1) // without a signal
	w.poll("/readyz", http.StatusOK)
	protects(1, 3)
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	w.ended(command)
}

// A list that cannot be read at the start is a mistake in the settings.
func TestProtectedFileThatIsMissingIsAMistake(t *testing.T) {
	w := newWorld(t, simulator.Settings{})
	w.endsWith(w.start("LOGOFF_PROTECTED_USERS_FILE="+filepath.Join(t.TempDir(), "nowhere")), 2, "LOGOFF_PROTECTED_USERS_FILE: the file cannot be read")
}

// result waits for the n-th result.
func (w *world) result(n int) jobs.Result {
	w.t.Helper()
	deadline := time.NewTimer(hurry)
	defer deadline.Stop()
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	for w.count(w.subjects.ResultStream()) < uint64(n) {
		select {
		case <-deadline.C:
			w.t.Fatalf("there is no result %d\n%s", n, w.log.String())
		case <-every.C:
		}
	}
	stream, err := w.js.Stream(w.t.Context(), w.subjects.ResultStream())
	if err != nil {
		w.t.Fatal(err)
	}
	msg, err := stream.GetMsg(w.t.Context(), uint64(n))
	if err != nil {
		w.t.Fatal(err)
	}
	result, err := jobs.DecodeResult(msg.Data)
	if err != nil {
		w.t.Fatal(err)
	}
	return result
}

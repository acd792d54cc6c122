package main

import (
	"encoding/json"
	"errors"
	"log/slog"
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
	"logoffworker/metrics"
	"logoffworker/worker"
	"logoffworker/worker/stage"
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
		"Latin-1":           {"CORP\\m\xfcller\n", nil, "not in UTF-8"},
		"UTF-16, no mark":   {"5\x00\n\x00", nil, "not in UTF-8"},
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

// reloading is a reloader with files of its own, what it logs, and what the worker is given by it.
func reloading(t *testing.T, s settings) (r *reloader, log *stage.Output, taken func() *worker.Reload) {
	t.Helper()
	log = &stage.Output{}
	to := slog.New(slog.NewTextHandler(log, nil))
	r, err := newReloader(s, metrics.NewHealth(to), to)
	if err != nil {
		t.Fatal(err)
	}
	return r, log, func() *worker.Reload {
		select {
		case reload := <-r.to:
			return &reload
		default:
			return nil
		}
	}
}

// A list that cannot be read when the worker starts is a mistake in the settings, and both are named.
func TestListsThatCannotBeReadAtTheStartAreNamed(t *testing.T) {
	var s settings
	s.ProtectedSessionsFile, s.ProtectedUsersFile = written(t, "sessions", ""), filepath.Join(t.TempDir(), "nowhere")
	_, err := newReloader(s, nil, nil)
	if !errors.Is(err, errUsage) || !containsAll(err.Error(), []string{"LOGOFF_PROTECTED_SESSIONS_FILE: nothing is in the file", "LOGOFF_PROTECTED_USERS_FILE: the file cannot be read"}) {
		t.Error(err)
	}
}

// A hang-up signal tells which files have changed, which of them the worker reads at its start alone, and which
// cannot be read.
func TestHangUpTellsWhatHasChanged(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string {
		path := filepath.Join(dir, name)
		write(t, path, "before")
		return path
	}
	change := func(names ...string) {
		for _, name := range names {
			write(t, filepath.Join(dir, name), "after")
		}
	}
	var s settings
	s.Webserver.PasswordFile, s.Webserver.TokenFile, s.Webserver.CAFile = file("password"), file("token"), file("ca")
	s.Webserver.PairKeyFile, s.NATS.PasswordFile, s.NATS.TokenFile = file("key"), file("nats"), file("gone")
	all := []string{"password", "ca", "key", "nats"}
	for name, test := range map[string]struct {
		url    string
		change []string
		says   string
	}{
		"nothing": {"nats://nats.example:4222", nil, "changed=none unreadable=LOGOFF_NATS_TOKEN_FILE changed_and_needs_a_restart=none"},
		"of others": {"nats://nats.example:4222", all, `changed="LOGOFF_NATS_PASSWORD_FILE, LOGOFF_WEBSERVER_PASSWORD_FILE" unreadable=LOGOFF_NATS_TOKEN_FILE ` +
			`changed_and_needs_a_restart="LOGOFF_WEBSERVER_CA_FILE, LOGOFF_WEBSERVER_PAIR_KEY_FILE"`},
		"of its own broker": {embedded, all, `changed=LOGOFF_WEBSERVER_PASSWORD_FILE unreadable=LOGOFF_NATS_TOKEN_FILE ` +
			`changed_and_needs_a_restart="LOGOFF_NATS_PASSWORD_FILE, LOGOFF_WEBSERVER_CA_FILE, LOGOFF_WEBSERVER_PAIR_KEY_FILE"`},
	} {
		for _, name := range append(all, "gone") {
			file(name)
		}
		s.NATS.URL = test.url
		r, log, taken := reloading(t, s)
		change(test.change...)
		if err := os.Remove(s.NATS.TokenFile); err != nil {
			t.Fatal(err)
		}
		r.hangup()
		if reload := taken(); !strings.Contains(log.String(), test.says) || reload == nil || !reload.Try {
			t.Errorf("%s: %+v, want %s\n%s", name, reload, test.says, log)
		}
		log.Reset()
		if r.hangup(); !strings.Contains(log.String(), "changed=none unreadable=LOGOFF_NATS_TOKEN_FILE changed_and_needs_a_restart=none") {
			t.Errorf("%s, again:\n%s", name, log)
		}
	}
}

// A list that has changed is taken up once two looks agree on it, whichever list it is, and at a hang-up signal at
// once. One that cannot be read any more protects whom it protected before, and is told until it can.
func TestListsAreLookedAt(t *testing.T) {
	for _, variable := range []string{"LOGOFF_PROTECTED_SESSIONS_FILE", "LOGOFF_PROTECTED_USERS_FILE"} {
		t.Run(variable, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "list")
			write(t, path, "first")
			var s settings
			of := func(r *worker.Reload) []string { return r.ProtectedSessions }
			if s.ProtectedSessionsFile = path; variable == "LOGOFF_PROTECTED_USERS_FILE" {
				s.ProtectedSessionsFile, s.ProtectedUsersFile = "", path
				of = func(r *worker.Reload) []string { return r.ProtectedUsers }
			}
			r, log, taken := reloading(t, s)
			write(t, path, "second")
			r.look()
			if reload := taken(); reload != nil {
				t.Errorf("after one look: %+v", reload)
			}
			r.look()
			if reload := taken(); reload == nil || !slices.Equal(of(reload), []string{"second"}) || reload.Try || reload.ProtectedPlaces["second"] != "line 1 of "+path+" ("+variable+")" {
				t.Errorf("after two looks: %+v", reload)
			}
			write(t, path, "")
			for range 3 {
				r.look()
			}
			reload := taken()
			ready, conditions := r.health.Ready()
			if reload != nil || ready || len(conditions) != 1 || !conditions[0].Grave || !strings.Contains(conditions[0].What, variable+": nothing is in the file; ") {
				t.Errorf("of an empty file: %+v, %+v", reload, conditions)
			}
			r.hangup()
			if reload := taken(); reload == nil || !slices.Equal(of(reload), []string{"second"}) {
				t.Errorf("at a signal: %+v\n%s", reload, log)
			}
			write(t, path, "second")
			r.look()
			if ready, conditions := r.health.Ready(); !ready || taken() != nil {
				t.Errorf("of a file that is mended: %+v", conditions)
			}
			write(t, path, "third")
			r.hangup()
			if reload := taken(); reload == nil || !slices.Equal(of(reload), []string{"third"}) {
				t.Errorf("at a signal after a change: %+v", reload)
			}
		})
	}
}

// Without lists in files, health has no part that tells of them.
func TestWithoutListsNothingIsLookedAt(t *testing.T) {
	r, _, taken := reloading(t, settings{ProtectedUsers: list{"7"}})
	if r.look(); len(r.health.Parts()) > 0 || taken() != nil {
		t.Errorf("parts %q", r.health.Parts())
	}
}

// A worker that is busy when two reloads come gets the newer lists, and tries the Web Server if one of them says so.
func TestNoReloadIsForgotten(t *testing.T) {
	for name, test := range map[string]struct{ earlier, latest, want bool }{
		"a signal, then lists": {true, false, true},
		"lists, then a signal": {false, true, true},
		"lists twice":          {false, false, false},
	} {
		r, _, taken := reloading(t, settings{})
		r.send(protection{users: []string{"7"}}.reload(test.earlier))
		r.send(protection{users: []string{"8"}}.reload(test.latest))
		if reload := taken(); reload == nil || reload.Try != test.want || !slices.Equal(reload.ProtectedUsers, []string{"8"}) || taken() != nil {
			t.Errorf("%s: %+v", name, reload)
		}
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
	nobody, err := stage.FreeAddress()
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

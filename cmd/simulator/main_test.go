package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// started is the program while it runs.
type started struct {
	web, control, text string
	stop               func() error
}

func start(t *testing.T, args ...string) started {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, append([]string{"-addr", "127.0.0.1:0", "-control", "127.0.0.1:0"}, args...), in, io.Discard)
		_ = in.CloseWithError(err)
		ended <- err
	}()
	s := started{stop: func() error { cancel(); return <-ended }}
	lines := bufio.NewScanner(out)
	for !strings.Contains(s.text, "journal") && lines.Scan() {
		s.text += lines.Text() + "\n"
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	addresses := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindAllString(s.text, -1)
	if len(addresses) < 2 {
		t.Fatalf("it printed %q, %v", s.text, lines.Err())
	}
	s.web, s.control = addresses[0]+"/commandcenter/api", addresses[1]
	return s
}

func call(t *testing.T, method, url, token, body string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authtoken", token)
	request.Header.Set("Accept", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %d, %v, %s", method, url, response.StatusCode, err, content)
	}
	return string(content)
}

func TestProgramServesLoginLogoffAndControl(t *testing.T) {
	s := start(t, "-people", "3", "-seed", "7", "-latency", "1ms")
	defer http.DefaultClient.CloseIdleConnections()
	for _, part := range []string{"seed 7", "3 people, 15 sessions", "admin, password simulator", "curl -s"} {
		if !strings.Contains(s.text, part) {
			t.Errorf("%q is not in\n%s", part, s.text)
		}
	}
	var login struct{ Token string }
	if err := json.Unmarshal([]byte(call(t, "POST", s.web+"/Login", "", `{"username":"admin","password":"c2ltdWxhdG9y"}`)), &login); err != nil || login.Token == "" {
		t.Fatalf("login: %v", err)
	}
	var sessions []struct{ ID string }
	if err := json.Unmarshal([]byte(call(t, "GET", s.control+"/sessions?active=true", "", "")), &sessions); err != nil || len(sessions) != 16 {
		t.Fatalf("%d sessions, %v", len(sessions), err)
	}
	id := sessions[0].ID
	call(t, "DELETE", s.web+"/Sessions", login.Token, `<Api_LogoffUsersRequest><sessions val="`+id+`"/></Api_LogoffUsersRequest>`)
	if left := call(t, "GET", s.control+"/sessions?active=true", "", ""); strings.Contains(left, id) {
		t.Error("the session is still on")
	}
	if journal := call(t, "GET", s.control+"/journal?op=logoff", "", ""); !strings.Contains(journal, id) || strings.Contains(journal, login.Token) {
		t.Errorf("journal %s", journal)
	}
	if settings := call(t, "GET", s.control+"/settings", "", ""); !strings.Contains(settings, `"latencyFixed": "1ms"`) {
		t.Errorf("settings %s", settings)
	}
	if err := s.stop(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if _, err := http.Get(s.control); err == nil { //nolint:bodyclose,noctx // nobody answers
		t.Error("something still listens")
	}
}

func TestFlagsBecomeSettings(t *testing.T) {
	flags := map[string][2]string{
		"-effect-delay": {"2s", `"effectDelay": "2s"`}, "-emc-sessions": {"stay", `"emcSessions": "stay"`}, "-drop-body": {"", `"dropBody": true`},
		"-numbers-as-text": {"", `"numbersAsText": true`}, "-session-path": {"plural", `"sessionPath": "plural"`},
		"-no-v4-users": {"", `"noV4Users": true`}, "-no-old-users": {"", `"noOldUsers": true`}, "-user-names": {"lower", `"userNames": "lower"`},
		"-path-backslash": {"slash", `"pathBackslash": "slash"`}, "-user-list-limit": {"7", `"userListLimit": 7`},
		"-latency-tail": {"3s", `"latencyTail": "3s"`}, "-latency-tail-rate": {"0.5", `"latencyTailRate": 0.5`}, "-v10-login": {"", `"v10Login": true`},
		"-renewal": {"mangled", `"renewal": "mangled"`}, "-renewal-delay": {"4s", `"renewalDelay": "4s"`},
		"-renewal-header": {"refused", `"renewalHeader": "refused"`}, "-bearer-sessions": {"", `"bearerSessions": true`},
		"-access-token-life": {"2h", `"accessTokenLife": "2h0m0s"`},
		"-unlisted-user":     {"7", `"unlistedUser": 7`},
		"-hidden-company":    {"3", `"hiddenCompany": 3`}, "-hidden-users": {"", `"hiddenUsers": true`}, "-caching": {"silent", `"caching": "silent"`},
		"-cache-life": {"7s", `"cacheLife": "7s"`}, "-clock-offset": {"-10m", `"clockOffset": "-10m0s"`}, "-frozen-date": {"", `"frozenDate": true`},
	}
	var args []string
	for name, flag := range flags {
		if args = append(args, name); flag[0] != "" {
			args = append(args, flag[0])
		}
	}
	s := start(t, args...)
	defer http.DefaultClient.CloseIdleConnections()
	settings := call(t, "GET", s.control+"/settings", "", "")
	for name, flag := range flags {
		if !strings.Contains(settings, flag[1]) {
			t.Errorf("%s: %s is not in\n%s", name, flag[1], settings)
		}
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

func TestMistakesAreUsageErrors(t *testing.T) {
	for _, test := range []struct {
		args  []string
		names []string
	}{
		{[]string{"-nonsense"}, []string{"nonsense"}},
		{[]string{"serve"}, []string{"serve"}},
		{[]string{"-addr", "0.0.0.0:0", "-control", ":8082"}, []string{"0.0.0.0:0", ":8082", "-allow-remote"}},
		{[]string{"-ended", "sometimes", "-partial", "half", "-people", "-1"}, []string{"ended", "partial", "-people"}},
		{[]string{"-password", ""}, []string{"-password"}},
	} {
		err := run(t.Context(), test.args, io.Discard, io.Discard)
		if !errors.Is(err, errUsage) {
			t.Errorf("%v: %v", test.args, err)
			continue
		}
		for _, name := range test.names {
			if !strings.Contains(err.Error(), name) {
				t.Errorf("%v: %q does not name %s", test.args, err, name)
			}
		}
	}
}

func TestTakenAddressIsOneSentence(t *testing.T) {
	s := start(t)
	defer func() { _ = s.stop() }()
	taken := strings.TrimPrefix(s.control, "http://")
	for args, says := range map[[4]string]string{
		{"-addr", taken, "-control", "127.0.0.1:0"}:             "is taken, probably by the demo or another simulator: stop that, or choose another address with -addr",
		{"-addr", "127.0.0.1:0", "-control", taken}:             "choose another address with -control",
		{"-addr", "127.0.0.1:70000", "-control", "127.0.0.1:0"}: "nothing can listen at 127.0.0.1:70000",
	} {
		err := run(t.Context(), args[:], io.Discard, io.Discard)
		if err == nil || errors.Is(err, errUsage) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %v, want %q", args, err, says)
		}
	}
}

func TestHelpIsReadable(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), []string{"-help"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"simulator [flags]", "-latency-per-session", "-allow-remote", "-ended"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("%q is missing in\n%s", part, out.String())
		}
	}
}

package main

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"logoffworker/worker/env"
	"logoffworker/worker/stage/bubble"
	"logoffworker/worker/webserver/simulator"
)

// complete are the settings that a worker cannot do without.
var complete = []string{
	"LOGOFF_NATS_URL=nats://nats.example:4222",
	"LOGOFF_WEBSERVER_URL=https://commvault.example/commandcenter/api",
	"LOGOFF_WEBSERVER_TOKEN=QSDK canary-token",
}

// given loads the settings of an environment that holds the complete ones and some more, or others.
func given(t *testing.T, more ...string) (settings, []string, error) {
	t.Helper()
	for _, assignment := range append(slices.Clone(complete), more...) {
		name, value, _ := strings.Cut(assignment, "=")
		t.Setenv(name, value)
	}
	return load()
}

// said is all that loading an environment says.
func said(t *testing.T, more ...string) string {
	t.Helper()
	_, warnings, err := given(t, more...)
	if err != nil {
		warnings = append(warnings, err.Error())
	}
	return strings.Join(warnings, "\n")
}

// All that is written for a list is in it, whatever stands around its entries.
func TestListsAreTrimmedWhateverTheyWereGivenAs(t *testing.T) {
	for value, want := range map[string][]string{
		"5, 6":                         {"5", "6"},
		`a.name, CORP\b.name`:          {"a.name", `CORP\b.name`},
		"A, B":                         {"A", "B"},
		" A ,\tB ,":                    {"A", "B"},
		"A\nB\r\nC\n":                  {"A", "B", "C"},
		"A,\n  B":                      {"A", "B"},
		"\ufeffA,\u00a0B\u200b":        {"A", "B"},
		`"A", 'B'`:                     {"A", "B"},
		`"A, B"`:                       {"A", "B"},
		"o'brien@corp.example,'t.hoof": {"o'brien@corp.example", "'t.hoof"},
	} {
		for _, variable := range []string{"LOGOFF_PROTECTED_USERS", "LOGOFF_PROTECTED_SESSIONS"} {
			t.Run(variable+"="+value, func(t *testing.T) {
				s, _, err := given(t, variable+"="+value)
				if err != nil {
					t.Fatal(err)
				}
				got := s.workerConfig().ProtectedUsers
				if variable == "LOGOFF_PROTECTED_SESSIONS" {
					got = s.workerConfig().ProtectedSessions
				}
				if !slices.Equal(got, want) {
					t.Errorf("it protects %q, want %q", got, want)
				}
			})
		}
	}
}

// A list in which nothing is left protects nobody, which nobody means by it.
func TestListOfNothingIsAMistake(t *testing.T) {
	for _, value := range []string{",", " , ,", `"", ""`, "'' , ,"} {
		if words := said(t, "LOGOFF_PROTECTED_USERS="+value); !strings.Contains(words, "LOGOFF_PROTECTED_USERS: must") {
			t.Errorf("%q: %s", value, words)
		}
	}
}

// Numbers, names, addresses, files and secrets are trimmed like lists.
func TestEverySettingIsTrimmed(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "user.creds")
	if err := os.WriteFile(ca, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _, err := given(t,
		"LOGOFF_NATS_URL= nats://a.example:4222 , nats://b.example:4222\n", "LOGOFF_WEBSERVER_URL=\thttps://commvault.example/api ",
		"LOGOFF_WEBSERVER_TOKEN= QSDK canary-token\r\n", "LOGOFF_NATS_CREDS_FILE="+ca+"\n", "LOGOFF_PREFIX=logoff ",
		"LOGOFF_WORKER_NAME= w1\n", "LOGOFF_HTTP_ADDR= :9464 ", "LOGOFF_SLOTS= 5 ", "LOGOFF_VERIFY=auto\n", "LOGOFF_LOG_FORMAT= json",
		"LOGOFF_WEBSERVER_TIMEOUT= 7s\n", "LOGOFF_WEBSERVER_ALLOW_HTTP= true ", "LOGOFF_LOG_LEVEL= warn", `LOGOFF_TRIES="4"`)
	if err != nil {
		t.Fatal(err)
	}
	c := s.workerConfig()
	for _, test := range []struct{ what, got, want string }{
		{"NATS", s.NATS.URL, "nats://a.example:4222,nats://b.example:4222"},
		{"Web Server", s.Webserver.URL, "https://commvault.example/api"},
		{"token", string(s.Webserver.Token), "QSDK canary-token"},
		{"file", s.NATS.CredsFile, ca},
		{"prefix", c.Stream.Subjects.Prefix, "logoff"},
		{"name", c.Name, "w1"},
		{"address", s.HTTPAddr, ":9464"},
	} {
		if test.got != test.want {
			t.Errorf("%s is %q, want %q", test.what, test.got, test.want)
		}
	}
	if c.Slots != 5 || c.Tries != 4 || s.Webserver.Timeout != 7*time.Second || !s.Webserver.AllowHTTP || !c.ReadBack {
		t.Errorf("the numbers are %+v", c)
	}
}

// A size is written as people and tools do.
func TestSizesHaveUnits(t *testing.T) {
	for value, want := range map[string]env.Size{
		"1048576": 1 << 20, "512M": 512 << 20, "512MB": 512 << 20, "512MiB": 512 << 20, "10 GiB": 10 << 30, "1Gi": 1 << 30, "2t": 2 << 40, "0": 0,
	} {
		s, _, err := given(t, "LOGOFF_NATS_MAX_BYTES="+value)
		if err != nil || s.NATS.MaxBytes != want {
			t.Errorf("%s is %d, want %d (%v)", value, s.NATS.MaxBytes, want, err)
		}
	}
	for _, value := range []string{"G", "-1", "1.5G", "1 parsec", "9999999T"} {
		if words := said(t, "LOGOFF_NATS_MAX_BYTES="+value); !strings.Contains(words, "LOGOFF_NATS_MAX_BYTES: must be a number of bytes") {
			t.Errorf("%s: %s", value, words)
		}
	}
}

// A secret is what stands between blanks; quotes may be part of it.
func TestSecretKeepsItsQuotes(t *testing.T) {
	s, _, err := given(t, `LOGOFF_WEBSERVER_TOKEN= "QSDK x" `)
	if err != nil || s.Webserver.Token != `"QSDK x"` {
		t.Errorf("%q %v", string(s.Webserver.Token), err)
	}
}

// A variable that is set and empty is as good as none: its default applies.
func TestEmptyVariableIsNotSet(t *testing.T) {
	want, _, err := given(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, blank := range []string{"", " ", "\n", "\t\u200b"} {
		var empty []string
		for _, name := range variableNames() {
			if !slices.ContainsFunc(complete, func(c string) bool { return strings.HasPrefix(c, name+"=") }) {
				empty = append(empty, name+"="+blank)
			}
		}
		got, warnings, err := given(t, empty...)
		if err != nil || len(warnings) > 0 {
			t.Fatalf("%q: %v %v", blank, err, warnings)
		}
		if a, b := got.shown(), want.shown(); !slices.Equal(a, b) {
			t.Errorf("%q makes %v of %v", blank, a, b)
		}
	}
}

// Only variables with the program's prefix have an effect.
func TestUnprefixedVariableHasNoEffect(t *testing.T) {
	want, _, err := given(t)
	if err != nil {
		t.Fatal(err)
	}
	var unprefixed []string
	for _, name := range variableNames() {
		bare := strings.TrimPrefix(name, prefix+"_")
		unprefixed = append(unprefixed, bare+"=1", strings.ToLower(bare)+"=1")
	}
	got, warnings, err := given(t, unprefixed...)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v %v", err, warnings)
	}
	if a, b := got.shown(), want.shown(); !slices.Equal(a, b) {
		t.Errorf("they make %v of %v", a, b)
	}
}

// A file that holds more than the secret is refused in words, where a variable is trimmed.
func TestSecretFileSaysWhatIsWrongWithIt(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct{ name, content, says string }{
		{"bom", "\xef\xbb\xbfcanary-token", "byte order mark"},
		{"utf16le", "\xff\xfec\x00a\x00n\x00", "UTF-16"},
		{"utf16be", "\xfe\xff\x00c\x00a", "UTF-16"},
		{"utf16 bare", "c\x00a\x00n\x00a\x00r\x00y\x00", "UTF-16"},
		{"latin1", "canary-p\xe4ss", "UTF-8"},
		{"lines", "canary\nother\n", "more than one line"},
		{"empty", " \r\n", "empty"},
	} {
		path := filepath.Join(dir, test.name)
		if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, variable := range []string{"LOGOFF_WEBSERVER_TOKEN", "LOGOFF_WEBSERVER_PASSWORD", "LOGOFF_NATS_PASSWORD", "LOGOFF_NATS_TOKEN"} {
			words := said(t, variable+"=", variable+"_FILE="+path)
			if !strings.Contains(words, variable+"_FILE: the file") || !strings.Contains(words, test.says) || strings.Contains(words, "canary") {
				t.Errorf("%s, %s:\n%s", variable, test.name, words)
			}
			t.Setenv(variable+"_FILE", "")
		}
	}
	path := filepath.Join(dir, "good")
	if err := os.WriteFile(path, []byte(" canary-token \r\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if value, err := env.ReadSecret(path); err != nil || value != "canary-token" {
		t.Errorf("%q %v", value, err)
	}
}

// No message repeats a text, because a value in the wrong place may be a secret.
func TestNoMessageRepeatsAValue(t *testing.T) {
	bubble.SkipsUnderRace(t)
	for _, value := range []string{"hunter2", "nats://hunter2@x:4222", "hunter2/hunter2", "x:hunter2", "/hunter2/secret", "hunter2 hunter2", "https://u:hunter2@x/api", "-hunter2", "nats://hunter2#y@x", "nats://u:hunter2/y@x"} {
		for _, name := range variableNames() {
			switch name {
			case "LOGOFF_PROTECTED_USERS", "LOGOFF_PROTECTED_SESSIONS", "LOGOFF_WORKER_NAME":
				continue // a name may be anything, and is shown as what it is
			}
			t.Run(name+"="+value, func(t *testing.T) {
				if words := said(t, name+"="+value); strings.Contains(words, "hunter2") {
					t.Errorf("it says:\n%s", words)
				}
			})
		}
	}
}

// What is wrong is said about the variable that it is wrong in, with the rule.
func TestMessageNamesItsVariableAndTheRule(t *testing.T) {
	for assignment, says := range map[string]string{
		"LOGOFF_WEBSERVER_TIMEOUT=0":                    "LOGOFF_WEBSERVER_TIMEOUT: must be more than 0",
		"LOGOFF_WEBSERVER_TIMEOUT=-5s":                  "LOGOFF_WEBSERVER_TIMEOUT: must be more than 0",
		"LOGOFF_WEBSERVER_MAX_RETRY_AFTER=-1s":          "LOGOFF_WEBSERVER_MAX_RETRY_AFTER: must be more than 0",
		"LOGOFF_SHUTDOWN_TIMEOUT=0s":                    "LOGOFF_SHUTDOWN_TIMEOUT: must be more than 0",
		"LOGOFF_WEBSERVER_TIMEOUT=30":                   "LOGOFF_WEBSERVER_TIMEOUT: must be a duration",
		"LOGOFF_WEBSERVER_CA_FILE=settings_test.go":     "LOGOFF_WEBSERVER_CA_FILE: ",
		"LOGOFF_WEBSERVER_CA_FILE=/nowhere":             "LOGOFF_WEBSERVER_CA_FILE: the file cannot be read",
		"LOGOFF_WEBSERVER_URL=commvault.example":        "LOGOFF_WEBSERVER_URL: must begin with https://",
		"LOGOFF_NATS_CREDS_FILE=/nowhere":               "LOGOFF_NATS_CREDS_FILE: the file cannot be read",
		"LOGOFF_NATS_CA_FILE=.":                         "LOGOFF_NATS_CA_FILE: the file cannot be read",
		"LOGOFF_NATS_PROVISION=hunter2":                 "LOGOFF_NATS_PROVISION: must be create or verify",
		"LOGOFF_CLOCK_TOLERANCE=-1s":                    "LOGOFF_CLOCK_TOLERANCE: must be 0s to 24h",
		"LOGOFF_TRIES=0":                                "LOGOFF_TRIES: must be 1 or more",
		"LOGOFF_SLOTS=1":                                "LOGOFF_SLOTS: must be 2 to 1000",
		"LOGOFF_READS_PER_HOUR=-1":                      "LOGOFF_READS_PER_HOUR: must be 0 or more",
		"LOGOFF_VERIFY=yes":                             "LOGOFF_VERIFY: must be auto or off",
		"LOGOFF_HTTP_ADDR=9464":                         "LOGOFF_HTTP_ADDR: must be host:port",
		"LOGOFF_HTTP_ADDR=localhost:metrics-port":       "LOGOFF_HTTP_ADDR: must be host:port",
		"LOGOFF_NATS_URL=http://nats.example:8222":      "LOGOFF_NATS_URL: ",
		"LOGOFF_NATS_URL=nats://nats.example:4222/jobs": "LOGOFF_NATS_URL: ",
		"LOGOFF_NATS_URL=embedded,nats://x":             "LOGOFF_NATS_URL: 'embedded' stands alone",
		"LOGOFF_NATS_URL=ws://x,nats://x":               "LOGOFF_NATS_URL: ",
		"LOGOFF_NATS_INBOX_PREFIX=_INBOX.>":             "LOGOFF_NATS_INBOX_PREFIX: ",
	} {
		t.Run(assignment, func(t *testing.T) {
			words := said(t, assignment)
			if !strings.Contains(words, says) {
				t.Errorf("it says %q, want %q", words, says)
			}
			if n := strings.Count(words, "\n  LOGOFF_"); n != 1 {
				t.Errorf("%d variables are wrong:\n%s", n, words)
			}
		})
	}
}

// What does not go together, or is half of something, is said about one variable, with the rule.
func TestSettingsThatDoNotGoTogetherAreNamed(t *testing.T) {
	secret := written(t, "secret", "hunter2\n")
	cert, key := selfSigned(t)
	login := []string{"LOGOFF_WEBSERVER_TOKEN=", "LOGOFF_WEBSERVER_USERNAME=admin"}
	pair, pairKey := pairFiles(t)
	for _, test := range []struct {
		says  string
		given []string
	}{
		{"LOGOFF_NATS_URL: required", []string{"LOGOFF_NATS_URL="}},
		{"LOGOFF_NATS_URL: a server of the list is no URL", []string{"LOGOFF_NATS_URL=nats://u:%zz@a:4222"}},
		{"LOGOFF_NATS_URL: a server of the list must begin with", []string{"LOGOFF_NATS_URL=nats://a:4222,http://a:4222"}},
		{"LOGOFF_NATS_URL: a server of the list has no name", []string{"LOGOFF_NATS_URL=nats://:4222"}},
		{"LOGOFF_NATS_URL: a server of the list must end with its port", []string{"LOGOFF_NATS_URL=nats://a:4222/x,nats://b:4222/y"}},
		{"LOGOFF_NATS_URL: a server of the list must end with its port", []string{"LOGOFF_NATS_URL=nats://a:4222?x=y"}},
		{"LOGOFF_NATS_URL: a server of the list must end with its port", []string{"LOGOFF_NATS_URL=nats://a:4222?"}},
		{"LOGOFF_NATS_URL: a server of the list must end with its port", []string{"LOGOFF_NATS_URL=nats://a:4222#x"}},
		{"LOGOFF_NATS_URL: a server of the list must end with its port", []string{"LOGOFF_NATS_URL=ws://user:1/x@a:4222"}},
		{"LOGOFF_NATS_URL: servers with ws:// or wss:// and others", []string{"LOGOFF_NATS_URL=nats://a:4222,wss://b"}},
		{"LOGOFF_NATS_URL: servers with ws:// or wss:// and others", []string{"LOGOFF_NATS_URL=ws://a,nats://b:4222"}},
		{"LOGOFF_NATS_*: more than one kind of credential", []string{"LOGOFF_NATS_CREDS_FILE=" + secret, "LOGOFF_NATS_NKEY_FILE=" + secret}},
		{"LOGOFF_NATS_*: more than one kind of credential", []string{"LOGOFF_NATS_USER=u", "LOGOFF_NATS_TOKEN=hunter2"}},
		{"LOGOFF_NATS_*: more than one kind of credential", []string{"LOGOFF_NATS_USER=u", "LOGOFF_NATS_TOKEN_FILE=" + secret}},
		{"LOGOFF_NATS_*: more than one kind of credential", []string{"LOGOFF_NATS_USER=u", "LOGOFF_NATS_URL=nats://a:4222,nats://u:hunter2@b:4222"}},
		{"LOGOFF_NATS_PASSWORD: given as a value and as a file", []string{"LOGOFF_NATS_USER=u", "LOGOFF_NATS_PASSWORD=hunter2", "LOGOFF_NATS_PASSWORD_FILE=" + secret}},
		{"LOGOFF_NATS_TOKEN: given as a value and as a file", []string{"LOGOFF_NATS_TOKEN=hunter2", "LOGOFF_NATS_TOKEN_FILE=" + secret}},
		{"LOGOFF_NATS_PASSWORD: given without LOGOFF_NATS_USER", []string{"LOGOFF_NATS_PASSWORD=hunter2"}},
		{"LOGOFF_NATS_PASSWORD: given without LOGOFF_NATS_USER", []string{"LOGOFF_NATS_PASSWORD_FILE=" + secret}},
		{"LOGOFF_NATS_CERT_FILE: certificate and key go together", []string{"LOGOFF_NATS_CERT_FILE=" + cert}},
		{"LOGOFF_NATS_CERT_FILE: certificate and key go together", []string{"LOGOFF_NATS_KEY_FILE=" + key}},
		{"LOGOFF_NATS_MONITOR_URL: must be an http or https address", []string{"LOGOFF_NATS_MONITOR_URL=nats://a:8222"}},
		{"LOGOFF_NATS_MONITOR_URL: must be an http or https address", []string{"LOGOFF_NATS_MONITOR_URL=http:a:8222"}},
		{"LOGOFF_NATS_MONITOR_URL: must be an http or https address", []string{"LOGOFF_NATS_MONITOR_URL=http://%zz"}},
		{"LOGOFF_NATS_INBOX_PREFIX: must be tokens of a subject", []string{"LOGOFF_NATS_INBOX_PREFIX=_INBOX b"}},
		{"LOGOFF_NATS_INBOX_PREFIX: must be tokens of a subject", []string{"LOGOFF_NATS_INBOX_PREFIX=_INBOX.*"}},
		{"LOGOFF_NATS_INBOX_PREFIX: must be tokens of a subject", []string{"LOGOFF_NATS_INBOX_PREFIX=_INBOX..b"}},
		{"LOGOFF_NATS_DOMAIN: given beside LOGOFF_NATS_API_PREFIX", []string{"LOGOFF_NATS_DOMAIN=hub", "LOGOFF_NATS_API_PREFIX=$JS.hub.API"}},
		{"LOGOFF_NATS_DOMAIN: must be one token", []string{"LOGOFF_NATS_DOMAIN=hub.spoke"}},
		{"LOGOFF_NATS_DOMAIN: must be one token", []string{"LOGOFF_NATS_DOMAIN=h*b"}},
		{"LOGOFF_NATS_API_PREFIX: must be tokens", []string{"LOGOFF_NATS_API_PREFIX=$JS.h*b.API"}},
		{"LOGOFF_NATS_DOMAIN: the embedded broker has no domain", []string{"LOGOFF_NATS_URL=embedded", "LOGOFF_NATS_DOMAIN=hub"}},
		{"LOGOFF_NATS_DOMAIN: the embedded broker has no domain", []string{"LOGOFF_NATS_URL=embedded", "LOGOFF_NATS_API_PREFIX=$JS.hub.API"}},
		{"LOGOFF_NATS_TLS_FIRST: the embedded broker is reached without TLS", []string{"LOGOFF_NATS_URL=embedded", "LOGOFF_NATS_TLS_FIRST=true"}},
		{"LOGOFF_NATS_CREDS_FILE: the embedded broker knows no user JWTs", []string{"LOGOFF_NATS_URL=embedded", "LOGOFF_NATS_CREDS_FILE=" + secret}},
		{"LOGOFF_NATS_CA_FILE: the embedded broker is reached without TLS", []string{"LOGOFF_NATS_URL=embedded", "LOGOFF_NATS_CA_FILE=" + cert}},
		{"LOGOFF_NATS_CA_FILE: the embedded broker is reached without TLS", []string{"LOGOFF_NATS_URL=embedded", "LOGOFF_NATS_CERT_FILE=" + cert, "LOGOFF_NATS_KEY_FILE=" + key}},
		{"LOGOFF_NATS_LISTEN: must be host:port with an address of this machine", []string{"LOGOFF_NATS_URL=embedded", "LOGOFF_NATS_LISTEN=10.0.0.1:4222"}},
		{"LOGOFF_NATS_LISTEN: must be host:port with an address of this machine", []string{"LOGOFF_NATS_URL=embedded", "LOGOFF_NATS_LISTEN=:4222"}},
		{"LOGOFF_NATS_LISTEN: must be host:port with an address of this machine", []string{"LOGOFF_NATS_URL=embedded", "LOGOFF_NATS_LISTEN=127.0.0.1:nats"}},
		{"LOGOFF_NATS_LISTEN: the same address as LOGOFF_HTTP_ADDR", []string{"LOGOFF_NATS_URL=embedded", "LOGOFF_NATS_LISTEN=127.0.0.1:9464"}},
		{"LOGOFF_PREFIX: a pair needs a bucket in NATS", []string{"LOGOFF_PREFIX=log+off", "LOGOFF_WEBSERVER_TOKEN=", pair, pairKey}},
		{"LOGOFF_LOG_FORMAT: must be text or json", []string{"LOGOFF_LOG_FORMAT=xml"}},
		{"LOGOFF_CANARY_EVERY: must be 0 or 1m or more", append(login, "LOGOFF_WEBSERVER_PASSWORD=hunter2", "LOGOFF_CANARY_EVERY=59s")},
		{"LOGOFF_CANARY_EVERY: needs LOGOFF_WEBSERVER_USERNAME", []string{"LOGOFF_CANARY_EVERY=5m"}},
		{"LOGOFF_WEBSERVER_URL: required", []string{"LOGOFF_WEBSERVER_URL="}},
		{"LOGOFF_WEBSERVER_TOKEN: required, or", []string{"LOGOFF_WEBSERVER_TOKEN="}},
		{"LOGOFF_WEBSERVER_TOKEN: given as a value and as a file", []string{"LOGOFF_WEBSERVER_TOKEN_FILE=" + secret}},
		{"LOGOFF_WEBSERVER_TOKEN: a token and a user name are given", []string{"LOGOFF_WEBSERVER_USERNAME=admin", "LOGOFF_WEBSERVER_PASSWORD=hunter2"}},
		{"LOGOFF_WEBSERVER_TOKEN: a token and a user name are given", append(login, "LOGOFF_WEBSERVER_PASSWORD=hunter2", "LOGOFF_WEBSERVER_TOKEN_FILE="+secret)},
		{"LOGOFF_WEBSERVER_PAIR_FILE: given beside a token or a user name", []string{pair, pairKey}},
		{"LOGOFF_WEBSERVER_PAIR_FILE: given beside a token or a user name", append(login, "LOGOFF_WEBSERVER_PASSWORD=hunter2", pair, pairKey)},
		{"LOGOFF_WEBSERVER_PAIR_KEY_FILE: required with LOGOFF_WEBSERVER_PAIR_FILE", []string{"LOGOFF_WEBSERVER_TOKEN=", pair}},
		{"LOGOFF_WEBSERVER_PASSWORD: required with LOGOFF_WEBSERVER_USERNAME", login},
		{"LOGOFF_WEBSERVER_PASSWORD: given as a value and as a file", append(login, "LOGOFF_WEBSERVER_PASSWORD=hunter2", "LOGOFF_WEBSERVER_PASSWORD_FILE="+secret)},
		{"LOGOFF_WEBSERVER_CERT_FILE: certificate and key go together", []string{"LOGOFF_WEBSERVER_CERT_FILE=" + cert}},
		{"LOGOFF_WEBSERVER_CERT_FILE: certificate and key go together", []string{"LOGOFF_WEBSERVER_KEY_FILE=" + key}},
		{"LOGOFF_WEBSERVER_CERT_FILE: the client certificate or its key cannot be read", []string{"LOGOFF_WEBSERVER_CERT_FILE=" + cert, "LOGOFF_WEBSERVER_KEY_FILE=" + cert}},
		{"LOGOFF_WEBSERVER_CA_FILE: the file holds no PEM certificate", []string{"LOGOFF_WEBSERVER_CA_FILE=" + secret}},
	} {
		t.Run(strings.Join(test.given, " "), func(t *testing.T) {
			words := said(t, test.given...)
			if n := strings.Count(words, "\n  LOGOFF_"); n != 1 || !strings.Contains(words, test.says) || strings.Contains(words, "hunter2") {
				t.Errorf("it says %q of %d variables, want %q", words, n, test.says)
			}
		})
	}
}

// What is written as the help says is taken, without a word.
func TestSettingsThatGoTogetherAreTaken(t *testing.T) {
	secret := written(t, "secret", "canary\n")
	cert, key := selfSigned(t)
	login := []string{"LOGOFF_WEBSERVER_TOKEN=", "LOGOFF_WEBSERVER_USERNAME=admin"}
	pair, pairKey := pairFiles(t)
	for _, given := range [][]string{
		{"LOGOFF_NATS_URL=wss://nats.example/path"},
		{"LOGOFF_NATS_URL=nats://a:4222/,nats://u:canary@b:4222"},
		{"LOGOFF_NATS_USER=u", "LOGOFF_NATS_PASSWORD=canary"},
		{"LOGOFF_NATS_USER=u", "LOGOFF_NATS_PASSWORD_FILE=" + secret},
		{"LOGOFF_NATS_TOKEN_FILE=" + secret},
		{"LOGOFF_NATS_CA_FILE=" + cert, "LOGOFF_NATS_CERT_FILE=" + cert, "LOGOFF_NATS_KEY_FILE=" + key},
		{"LOGOFF_NATS_MONITOR_URL=http://nats.example:8222"},
		{"LOGOFF_NATS_MONITOR_URL=https://nats.example:8222"},
		{"LOGOFF_NATS_INBOX_PREFIX=_INBOX.logoff"},
		{"LOGOFF_NATS_DOMAIN=hub"},
		{"LOGOFF_NATS_API_PREFIX=$JS.hub.API"},
		{"LOGOFF_NATS_URL=embedded"},
		{"LOGOFF_NATS_URL=embedded", "LOGOFF_NATS_LISTEN=localhost:4222"},
		{"LOGOFF_NATS_URL=embedded", "LOGOFF_NATS_LISTEN=[::1]:4222"},
		{"LOGOFF_NATS_URL=embedded", "LOGOFF_NATS_LISTEN=127.0.0.1:0", "LOGOFF_HTTP_ADDR=127.0.0.1:0"},
		{"LOGOFF_VERIFY=off"},
		{"LOGOFF_LOG_FORMAT=text"},
		{"LOGOFF_PREFIX=log+off"},
		{"LOGOFF_WEBSERVER_TOKEN=", "LOGOFF_WEBSERVER_TOKEN_FILE=" + secret},
		{"LOGOFF_WEBSERVER_TOKEN=", pair, pairKey},
		append(login, "LOGOFF_WEBSERVER_PASSWORD=canary", "LOGOFF_CANARY_EVERY=1m"),
		append(login, "LOGOFF_WEBSERVER_PASSWORD_FILE="+secret),
		{"LOGOFF_WEBSERVER_CA_FILE=" + cert, "LOGOFF_WEBSERVER_CERT_FILE=" + cert, "LOGOFF_WEBSERVER_KEY_FILE=" + key},
	} {
		t.Run(strings.Join(given, " "), func(t *testing.T) {
			if words := said(t, given...); words != "" {
				t.Errorf("it says %q", words)
			}
		})
	}
}

// pairFiles are the assignments of a file with a pair and of its key.
func pairFiles(t *testing.T) (pair, key string) {
	t.Helper()
	sim := simulator.New(simulator.Settings{}, 1)
	sim.AddUser(simulator.User{ID: 1, Login: "admin", Administrator: true})
	file := filepath.Join(t.TempDir(), "pair.json")
	if err := writePair(file, sim); err != nil {
		t.Fatal(err)
	}
	return "LOGOFF_WEBSERVER_PAIR_FILE=" + file, "LOGOFF_WEBSERVER_PAIR_KEY_FILE=" + written(t, "key", strings.Repeat("0f", 32)+"\n")
}

// Everything that is wrong is told at once, also where one mistake hides in another's file.
func TestMistakesAreToldAtOnce(t *testing.T) {
	words := said(t, "LOGOFF_SLOTS=many", "LOGOFF_HTTP_PPROF=perhaps", "LOGOFF_WEBSERVER_TIMEOUT=soon", "LOGOFF_LOG_LEVEL=loud", "LOGOFF_NATS_MAX_BYTES=lots", "LOGOFF_PROTECTED_USERS=,",
		"LOGOFF_TRIES=0", "LOGOFF_CLOCK_TOLERANCE=-1s", "LOGOFF_NATS_URL=", "LOGOFF_NATS_DOMAIN=h*b", "LOGOFF_WEBSERVER_URL=", "LOGOFF_WEBSERVER_TOKEN=",
		"LOGOFF_WEBSERVER_CERT_FILE=settings_test.go", "LOGOFF_WEBSERVER_CA_FILE=settings_test.go")
	for _, want := range []string{
		"LOGOFF_SLOTS: must be a whole number", "LOGOFF_HTTP_PPROF: must be true or false", "LOGOFF_WEBSERVER_TIMEOUT: must be a duration such as",
		"LOGOFF_LOG_LEVEL: must be debug, info, warn or error", "LOGOFF_NATS_MAX_BYTES: must be a number of bytes", "LOGOFF_PROTECTED_USERS: must be a list",
		"LOGOFF_TRIES: must be 1 or more", "LOGOFF_CLOCK_TOLERANCE: must be 0s to 24h", "LOGOFF_NATS_URL: required", "LOGOFF_NATS_DOMAIN: must be one token", "LOGOFF_WEBSERVER_URL: required", "LOGOFF_WEBSERVER_TOKEN: required",
		"LOGOFF_WEBSERVER_CERT_FILE: certificate and key go together", "LOGOFF_WEBSERVER_CA_FILE: the file holds no PEM certificate",
	} {
		if strings.Count(words, "\n  "+want) != 1 {
			t.Errorf("it does not say %q once:\n%s", want, words)
		}
	}
	words = said(t, "LOGOFF_WEBSERVER_CERT_FILE=", "LOGOFF_WEBSERVER_KEY_FILE=settings_test.go", "LOGOFF_WEBSERVER_CA_FILE=settings_test.go")
	if !strings.Contains(words, "LOGOFF_WEBSERVER_CA_FILE: the file holds no PEM certificate") {
		t.Errorf("beside a key without its certificate:\n%s", words)
	}
}

// A mistake that is known of no variable is told as the client words it.
func TestMistakeOfNoVariableIsTold(t *testing.T) {
	var p problems
	p.addClient(errors.New("UserAgent: holds a control character\nURL: names no host"))
	if words := errors.Join(p...).Error(); words != "LOGOFF_WEBSERVER_*: UserAgent: holds a control character\nLOGOFF_WEBSERVER_URL: names no host" {
		t.Errorf("it says %q", words)
	}
}

// The Web Server's client is given what the settings hold, and what is in their files.
func TestClientIsGivenWhatTheSettingsHold(t *testing.T) {
	secret := written(t, "secret", "canary-file\n")
	pair, pairKey := pairFiles(t)
	none := "LOGOFF_WEBSERVER_TOKEN="
	for name, test := range map[string]struct {
		given                     []string
		username, password, token string // as they begin
	}{
		"a token":              {nil, "", "", "QSDK canary-token"},
		"a token in a file":    {[]string{none, "LOGOFF_WEBSERVER_TOKEN_FILE=" + secret}, "", "", "canary-file"},
		"a login":              {[]string{none, "LOGOFF_WEBSERVER_USERNAME=admin", "LOGOFF_WEBSERVER_PASSWORD=canary"}, "admin", "canary", ""},
		"a password in a file": {[]string{none, "LOGOFF_WEBSERVER_USERNAME=admin", "LOGOFF_WEBSERVER_PASSWORD_FILE=" + secret}, "admin", "canary-file", ""},
		"a pair":               {[]string{none, pair, pairKey}, "", "", "Bearer "},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, err := given(t, test.given...)
			if err != nil {
				t.Fatal(err)
			}
			c, err := s.webserverConfig()
			if err != nil || c.Username != test.username {
				t.Fatalf("the user is %q: %v", c.Username, err)
			}
			for what, of := range map[string]struct {
				source func() (string, error)
				want   string
			}{"password": {c.Password, test.password}, "token": {c.Token, test.token}} {
				if (of.source == nil) != (of.want == "") {
					t.Errorf("there is a %s: %v", what, of.source != nil)
				} else if of.source != nil {
					if got, err := of.source(); err != nil || !strings.HasPrefix(got, of.want) {
						t.Errorf("the %s is %q: %v", what, got, err)
					}
				}
			}
			if c.Certificate != nil || c.RootCAs != nil {
				t.Error("it has TLS files that nobody gave")
			}
		})
	}
	cert, key := selfSigned(t)
	s, _, err := given(t, "LOGOFF_WEBSERVER_CERT_FILE="+cert, "LOGOFF_WEBSERVER_KEY_FILE="+key, "LOGOFF_WEBSERVER_CA_FILE="+cert)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.webserverConfig()
	if err != nil || c.RootCAs == nil || c.Certificate == nil {
		t.Fatalf("the TLS files are not there: %v", err)
	}
	if shown, err := c.Certificate(); err != nil || len(shown.Certificate) != 1 {
		t.Errorf("the certificate is %v: %v", shown, err)
	}
}

// A worker reads back unless it is told not to, and has a name of its own unless it is given one.
func TestWorkerTakesItsSettings(t *testing.T) {
	s, _, err := given(t)
	if c := s.workerConfig(); err != nil || !c.ReadBack || c.Name != defaultName {
		t.Errorf("%v, %q: %v", c.ReadBack, c.Name, err)
	}
	s, _, err = given(t, "LOGOFF_VERIFY=off", "LOGOFF_WORKER_NAME=w1")
	if c := s.workerConfig(); err != nil || c.ReadBack || c.Name != "w1" {
		t.Errorf("%v, %q: %v", c.ReadBack, c.Name, err)
	}
}

// A server of NATS needs no scheme.
func TestServersOfNATSNeedNoScheme(t *testing.T) {
	for value, want := range map[string]string{
		"nats.example:4222":                      "nats://nats.example:4222",
		"127.0.0.1:4222":                         "nats://127.0.0.1:4222",
		"nats.example":                           "nats://nats.example",
		"a:4222,b:4222, tls://c:4222":            "nats://a:4222,nats://b:4222,tls://c:4222",
		"a:4222\nb:4222\n":                       "nats://a:4222,nats://b:4222",
		"[::1]:4222":                             "nats://[::1]:4222",
		"::1":                                    "nats://[::1]",
		"2001:db8::1,[2001:db8::2]":              "nats://[2001:db8::1],nats://[2001:db8::2]",
		"wss://nats.example":                     "wss://nats.example",
		"tls://nats.example:4443":                "tls://nats.example:4443",
		"canary-user:canary-pass@nats.example:1": "nats://canary-user:canary-pass@nats.example:1",
		"embedded":                               "embedded",
		"Embedded ":                              "embedded",
	} {
		t.Run(value, func(t *testing.T) {
			s, _, err := given(t, "LOGOFF_NATS_URL="+value)
			if err != nil || s.NATS.URL != want {
				t.Errorf("%q %v, want %q", s.NATS.URL, err, want)
			}
		})
	}
}

// A misspelled name is told beside the error that it causes, and beside none.
func TestTypoIsToldBesideItsError(t *testing.T) {
	for typo, meant := range map[string]string{
		"LOGOFF_NATS_URLS":            "LOGOFF_NATS_URL",
		"LOGOFF_NATS_UR":              "LOGOFF_NATS_URL",
		"LOGOFF_WEB_SERVER_URL":       "LOGOFF_WEBSERVER_URL",
		"LOGOF_WEBSERVER_URL":         "LOGOFF_WEBSERVER_URL",
		"logoff_webserver_url":        "LOGOFF_WEBSERVER_URL",
		"LOGOFF_WEBSERVER_USER":       "LOGOFF_WEBSERVER_USERNAME",
		"LOGOFF_SLOT":                 "LOGOFF_SLOTS",
		"LOGOFF_PROTECTED_USER":       "LOGOFF_PROTECTED_USERS",
		"LOGOFF_WEBSERVER_TOKEN_PATH": "LOGOFF_WEBSERVER_TOKEN_FILE",
	} {
		for _, url := range []string{"", "https://commvault.example/api"} {
			t.Run(typo+" "+url, func(t *testing.T) {
				words := said(t, typo+"=hunter2", "LOGOFF_WEBSERVER_URL="+url)
				if want := typo + " is not a variable of this program; did you mean " + meant + "?"; strings.Count(words, want) != 1 || strings.Contains(words, "hunter2") {
					t.Errorf("it says %q, want %q", words, want)
				}
			})
		}
	}
	if words := said(t, "LOGOFF_FLUX_CAPACITOR=1", "NATS_URL=x", "HOME=x"); words != "LOGOFF_FLUX_CAPACITOR is not a variable of this program" {
		t.Errorf("it says %q", words)
	}
}

// What Kubernetes puts into an environment for its services makes one line.
func TestServiceLinksMakeOneLine(t *testing.T) {
	links := []string{
		"LOGOFF_WORKER_SERVICE_HOST=10.0.0.1", "LOGOFF_WORKER_SERVICE_PORT=9464", "LOGOFF_WORKER_SERVICE_PORT_METRICS=9464",
		"LOGOFF_WORKER_PORT=tcp://10.0.0.1:9464", "LOGOFF_WORKER_PORT_9464_TCP=tcp://10.0.0.1:9464",
		"LOGOFF_WORKER_PORT_9464_TCP_PROTO=tcp", "LOGOFF_WORKER_PORT_9464_TCP_PORT=9464", "LOGOFF_WORKER_PORT_9464_TCP_ADDR=10.0.0.1",
		"LOGOFF_SERVICE_HOST=10.0.0.2", "LOGOFF_PORT=tcp://10.0.0.2:80", "LOGOFF_PORT_80_TCP_ADDR=10.0.0.2", "LOGOFF_DNS_PORT_53_UDP=udp://10.0.0.3:53",
	}
	words := said(t, links...)
	if strings.Contains(words, "\n") || !strings.Contains(words, "12 ") || !strings.Contains(words, "Kubernetes") {
		t.Errorf("it says:\n%s", words)
	}
	if words := said(t, "LOGOFF_HTTP_PORT=9464"); !strings.Contains(words, "LOGOFF_HTTP_PORT is not a variable") {
		t.Errorf("a port of somebody's own: %s", words)
	}
	if words := said(t, "DATABASE_PORT=tcp://10.0.0.4:5432", "LOGOFF_PROXY=http://10.0.0.5"); !strings.Contains(words, "12 ") || !strings.Contains(words, "LOGOFF_PROXY is not a variable") {
		t.Errorf("addresses that are no links of ours: %s", words)
	}
}

// No address that is shown holds a user, a password or a token.
func TestShownSettingsHoldNoSecret(t *testing.T) {
	for _, assignment := range []string{
		"LOGOFF_NATS_URL=nats://canary@a:4222,canary@b", "LOGOFF_NATS_URL=nats://u:canary@a:4222", "LOGOFF_NATS_URL=wss://canary:x@a",
		"LOGOFF_NATS_MONITOR_URL=http://canary@a:8222/?canary", "LOGOFF_NATS_MONITOR_URL=http://u:canary@a:8222",
		"LOGOFF_NATS_TOKEN=canary", "LOGOFF_WEBSERVER_TOKEN=canary",
	} {
		t.Run(assignment, func(t *testing.T) {
			s, _, err := given(t, assignment)
			if err != nil {
				t.Fatal(err)
			}
			for _, setting := range s.shown() {
				if strings.Contains(setting.Value, "canary") {
					t.Errorf("%s is shown as %q", setting.Name, setting.Value)
				}
			}
		})
	}
}

// Init, which makes the bucket of a pair, needs the files of NATS, and not the pair, which is the workers' alone.
func TestInitReadsNoPair(t *testing.T) {
	for variable, says := range map[string]string{
		"LOGOFF_WEBSERVER_PAIR_FILE": "",
		"LOGOFF_NATS_CREDS_FILE":     "LOGOFF_NATS_CREDS_FILE: the file cannot be read",
	} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv("LOGOFF_NATS_URL", "nats://nats.example:4222")
			t.Setenv(variable, filepath.Join(t.TempDir(), "nowhere"))
			_, _, err := loadFor(creates)
			if (err != nil) != (says != "") || err != nil && !strings.Contains(err.Error(), says) {
				t.Errorf("it says %v, want %q", err, says)
			}
		})
	}
}

// Each line that a document gives for init has all the settings that it needs.
func TestInitIsDocumentedWithItsSettings(t *testing.T) {
	lines := 0
	for _, document := range documents(t) {
		for _, line := range regexp.MustCompile(`(?m)^(LOGOFF_\w+=.*) logoff-worker init$`).FindAllStringSubmatch(read(t, document), -1) {
			lines++
			t.Run(line[1], func(t *testing.T) {
				t.Chdir(t.TempDir())
				for assignment := range strings.FieldsSeq(line[1]) {
					variable, value, _ := strings.Cut(assignment, "=")
					t.Setenv(variable, value)
					if strings.HasSuffix(variable, "_FILE") {
						if err := os.WriteFile(value, []byte("secret\n"), 0o600); err != nil {
							t.Fatal(err)
						}
					}
				}
				if _, warnings, err := loadFor(creates); err != nil || len(warnings) > 0 {
					t.Errorf("it says %v %v", err, warnings)
				}
			})
		}
	}
	if lines == 0 {
		t.Error("no document gives such a line")
	}
}

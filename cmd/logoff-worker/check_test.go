package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker/broker"
	"logoffworker/worker/env"
	"logoffworker/worker/stage"
	"logoffworker/worker/stream"
	"logoffworker/worker/webserver/simulator"
)

// tells is what check says to one of its questions.
func tells(question func(*report)) string {
	var out strings.Builder
	question(&report{w: &out})
	return out.String()
}

// check tells a broker that writes through from one that does not, and says so when it cannot see.
func TestCheckSeesHowNATSStores(t *testing.T) {
	for _, test := range []struct {
		name   string
		always bool
		says   string
	}{
		{"always", true, "ok    sync"},
		{"default", false, "warn  sync       NATS acknowledges jobs and results before they are on the disk"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := stage.StartNATS(&server.Options{
				Host: "127.0.0.1", Port: -1, HTTPHost: "127.0.0.1", HTTPPort: -1,
				JetStream: true, StoreDir: t.TempDir(), SyncAlways: test.always,
			})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Shutdown()
			var out strings.Builder
			r := report{w: &out}
			var with settings
			with.NATS.URL, with.NATS.MonitorURL = s.ClientURL(), "http://"+s.MonitorAddr().String()
			r.checkSync(t.Context(), with)
			if !strings.Contains(out.String(), test.says) || r.failed != 0 {
				t.Errorf("it says %q, want %q", out.String(), test.says)
			}
		})
	}
	for name, change := range map[string]func(*settings){
		"the embedded broker writes": func(s *settings) { s.NATS.URL = embedded },
		"LOGOFF_NATS_MONITOR_URL":    func(s *settings) { s.NATS.URL = "nats://nats.example:4222" },
		"does not tell":              func(s *settings) { s.NATS.MonitorURL = "http://127.0.0.1:1" },
	} {
		var out strings.Builder
		var with settings
		change(&with)
		r := report{w: &out}
		r.checkSync(t.Context(), with)
		if !strings.Contains(out.String(), name) {
			t.Errorf("it says %q, want %q", out.String(), name)
		}
	}
}

// A worker is known at an address however it is written; anything else that listens there is in the way.
func TestCheckTellsAWorkerFromAnotherProgram(t *testing.T) {
	for name, test := range map[string]struct{ serves, says string }{
		"a worker":        {"logoff_build_info 1", "ok    http       a worker answers at "},
		"another program": {"go_goroutines 1", "FAIL  http       LOGOFF_HTTP_ADDR: another program listens at "},
	} {
		t.Run(name, func(t *testing.T) {
			page := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, test.serves) }))
			listener, err := net.Listen("tcp", "0.0.0.0:0")
			if err != nil {
				t.Fatal(err)
			}
			page.Listener = listener
			page.Start()
			defer page.Close()
			port := listener.Addr().(*net.TCPAddr).Port
			for _, host := range []string{"127.0.0.1", "localhost", "0.0.0.0", ""} {
				var out strings.Builder
				r := report{w: &out}
				r.checkHTTP(t.Context(), settings{HTTPAddr: fmt.Sprintf("%s:%d", host, port)})
				if !strings.HasPrefix(out.String(), test.says) {
					t.Errorf("at host %q it says %q, want %q", host, out.String(), test.says)
				}
			}
		})
	}
}

// Whoever may publish to the embedded broker is said where nothing keeps anybody from it.
func TestCheckSaysThatTheBrokerAsksForNothing(t *testing.T) {
	for name, change := range map[string]func(*settings){
		"":           func(*settings) {},
		"user":       func(s *settings) { s.NATS.User = "worker" },
		"token":      func(s *settings) { s.NATS.Token = "canary" },
		"token file": func(s *settings) { s.NATS.TokenFile = "token" },
		"nkey file":  func(s *settings) { s.NATS.NkeyFile = "nkey" },
	} {
		var out strings.Builder
		var with settings
		with.HTTPAddr, with.NATS.URL, with.NATS.Listen, with.NATS.StoreDir = "127.0.0.1:0", embedded, "127.0.0.1:0", t.TempDir()
		change(&with)
		r := report{w: &out}
		r.checkLocal(t.Context(), with)
		if warned := strings.Contains(out.String(), "asks for no credentials"); warned != (name == "") {
			t.Errorf("with a %s it says %q", name, out.String())
		}
	}
}

// Why NATS is not reached is said, and nothing else of it.
func TestCheckSaysWhyNATSIsNotReached(t *testing.T) {
	nobody, err := stage.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for says, change := range map[string]func(*settings){
		"FAIL  nats       NATS credentials: ":     func(s *settings) { s.NATS.CredsFile = filepath.Join(t.TempDir(), "gone") },
		"FAIL  nats       NATS cannot be reached": func(s *settings) {},
	} {
		with, _, err := given(t, "LOGOFF_NATS_URL=nats://"+nobody)
		if err != nil {
			t.Fatal(err)
		}
		change(&with)
		said := tells(func(r *report) {
			if access := r.checkNATS(stopped, with); access != "" {
				t.Errorf("it has an access token")
			}
		})
		if !strings.HasPrefix(said, says) || strings.Count(said, "\n") != 1 {
			t.Errorf("it says\n%swant %q", said, says)
		}
	}
}

// What is missing in JetStream is made by the worker, or by who may; what is there and is of an earlier version is told.
func TestCheckSaysWhoMakesWhatIsMissing(t *testing.T) {
	js, subjects := jetStream(t, natsServer(t, "jetstream { store_dir: STORE }").ClientURL()), jobs.Subjects{Prefix: "logoff"}
	remove := func(t *testing.T, stream string) {
		if err := js.DeleteStream(context.WithoutCancel(t.Context()), stream); err != nil {
			t.Error(err)
		}
	}
	noConsumer := func(t *testing.T) {
		if err := js.DeleteConsumer(t.Context(), subjects.RequestStream(), string(jobs.Bulk)); err != nil {
			t.Fatal(err)
		}
	}
	noApproval := func(t *testing.T) {
		requests, err := js.Stream(t.Context(), subjects.RequestStream())
		if err != nil {
			t.Fatal(err)
		}
		config := requests.CachedInfo().Config
		config.Subjects = slices.DeleteFunc(config.Subjects, func(s string) bool { return strings.HasPrefix(s, "logoff.approved.") })
		if _, err := js.UpdateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
	}
	tooShort := func(t *testing.T) { // beside a stream that is missing
		remove(t, subjects.AuditStream())
		dead, err := js.Stream(t.Context(), subjects.DeadStream())
		if err != nil {
			t.Fatal(err)
		}
		config := dead.CachedInfo().Config
		config.MaxAge = time.Hour
		if _, err := js.UpdateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { remove(t, subjects.DeadStream()) })
	}
	overlap := func(t *testing.T) {
		remove(t, subjects.DeadStream())
		if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVERYTHING", Subjects: []string{"logoff.dead.failed"}}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { remove(t, "EVERYTHING") })
	}
	noStream := func(t *testing.T) { remove(t, subjects.DeadStream()) }
	for name, test := range map[string]struct {
		change    func(*testing.T)
		provision string
		says      string // after the first line, which is about the account
	}{
		"nothing":                       {nil, "create", "ok    streams    streams and consumers are as the worker needs them\n"},
		"a consumer":                    {noConsumer, "create", "warn  streams    consumer bulk of LOGOFF_REQUESTS: nats: API error: code=404 err_code=10014 description=consumer not found; the worker creates it when it starts\n"},
		"a consumer, which others make": {noConsumer, "verify", "FAIL  streams    consumer bulk of LOGOFF_REQUESTS: nats: API error: code=404 err_code=10014 description=consumer not found; create it with `logoff-worker init` (LOGOFF_NATS_PROVISION=create), as a NATS user who may\n"},
		"a stream":                      {noStream, "create", "warn  streams    stream LOGOFF_DEAD is missing (1 copy, no limit of bytes, messages kept for 90 days); the worker creates it when it starts\n"},
		"a stream, which others make":   {noStream, "verify", "FAIL  streams    stream LOGOFF_DEAD: nats: API error: code=404 err_code=10059 description=stream not found; create it with `logoff-worker init` (LOGOFF_NATS_PROVISION=create), as a NATS user who may\n"},
		"approvals":                     {noApproval, "create", "warn  streams    stream LOGOFF_REQUESTS takes no approved jobs, and is changed so that it does; the worker creates it when it starts\nok    streams    streams and consumers are as the worker needs them\n"},
		"what is there is wrong":        {tooShort, "create", "warn  streams    stream LOGOFF_AUDIT is missing (1 copy, no limit of bytes, messages kept for 365 days); the worker creates it when it starts\nFAIL  streams    stream LOGOFF_DEAD is not as the worker needs it: max age is 1h0m0s, needed is 24h0m0s or more (change it, or delete it when it is empty and let `logoff-worker init` create it)\n"},
		"another stream has it":         {overlap, "create", "warn  streams    stream LOGOFF_DEAD is missing (1 copy, no limit of bytes, messages kept for 90 days); the worker creates it when it starts\nFAIL  streams    stream LOGOFF_DEAD cannot be created: stream EVERYTHING has some of its subjects: take them out of that stream, or choose another LOGOFF_PREFIX\n"},
		"approvals, which others take":  {noApproval, "verify", "warn  jetstream  the stream LOGOFF_REQUESTS takes no approved jobs, so that none may be held\nok    streams    streams and consumers are as the worker needs them\n"},
	} {
		t.Run(name, func(t *testing.T) {
			with, _, err := given(t, "LOGOFF_NATS_PROVISION="+test.provision)
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.DefaultConfig().ProvisionStreams(t.Context(), js); err != nil {
				t.Fatal(err)
			}
			if test.change != nil {
				test.change(t)
			}
			account, said, _ := strings.Cut(tells(func(r *report) { r.checkStreams(t.Context(), with, js) }), "\n")
			if !strings.HasPrefix(account, "ok    jetstream  without a domain; ") || said != test.says {
				t.Errorf("it says\n%s\n%s", account, said)
			}
		})
	}
}

// A clock that no answer has told is not known to agree.
func TestCheckKnowsNoClockBeforeAnAnswer(t *testing.T) {
	s, sim := loopbackSettings(t)
	s.Webserver.Token = env.Secret(sim.Token(proveUser))
	client, err := s.client(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdle()
	for _, says := range []string{"warn  clock      the Web Server's answers tell no time", "ok    clock      the Web Server's clock agrees with this machine's to 30s", "warn  clock      the Web Server's clock is off by 1m"} {
		if said := tells(func(r *report) { r.checkClock(client) }); !strings.HasPrefix(said, says) {
			t.Errorf("it says %q, want %q", said, says)
		}
		if err := client.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		sim.Configure(func(c *simulator.Settings) { c.ClockOffset = 100 * time.Second })
	}
}

// What the Web Server answers is told apart: well, with a token that is not taken, and not as it should.
func TestCheckTellsARefusedTokenFromAnAnswerThatIsNone(t *testing.T) {
	const (
		well       = "ok    webserver  answers, and takes the credentials; whether they may end sessions shows with `check --prove`, or with the first job\n"
		expired    = "warn  webserver  answers, and refuses the access token, which has probably expired: the worker renews it when it starts; this check does not\n"
		clock      = "ok    clock      the Web Server's clock agrees with this machine's to 30s\n"
		own        = "ok    own        the session of the token is known, and left alone\n"
		noOwn      = "warn  own        no session that the Web Server lists belongs to the token"
		protected  = "ok    protected  1 users and 0 sessions are left alone\n"
		unseen     = "warn  protected  whether there are the protected users was not looked up, since the Web Server does not answer as it should\n"
		logsIn     = "note  webserver  logs in now: if the Web Server rejects that, it counts towards the lock-out of the account\n"
		notRefused = "FAIL  webserver  ping: "
	)
	token := func(_ *testing.T, s *settings, sim *simulator.Server) { s.Webserver.Token = env.Secret(sim.Token(1)) }
	login := func(_ *testing.T, s *settings, _ *simulator.Server) {
		s.Webserver.Username, s.Webserver.Password = "admin", provePassword
	}
	gone := func(t *testing.T, s *settings, _ *simulator.Server) {
		s.Webserver.CAFile = filepath.Join(t.TempDir(), "gone")
	}
	pair := func(t *testing.T, s *settings, sim *simulator.Server) {
		s.Webserver.PairFile = filepath.Join(t.TempDir(), "pair.json")
		if err := writePair(s.Webserver.PairFile, sim); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		credentials func(*testing.T, *settings, *simulator.Server)
		before      func(*simulator.Server)
		says        []string // lines begin so, in this order, and there is none besides
	}{
		"a token":               {token, nil, []string{well, clock, own, protected}},
		"a token that is dead":  {token, (*simulator.Server).RevokeLogins, []string{notRefused, unseen}},
		"a pair":                {pair, nil, []string{well, clock, noOwn, protected}},
		"a pair that has ended": {pair, (*simulator.Server).RevokeTokens, []string{expired, unseen}},
		"a pair, not answered":  {pair, func(sim *simulator.Server) { sim.Configure(func(c *simulator.Settings) { c.Down = 503 }) }, []string{notRefused, unseen}},
		"a login":               {login, nil, []string{logsIn, well, clock, protected}},
		"a login that stays":    {login, func(sim *simulator.Server) { sim.FailNextOn("logout", simulator.Status(403)) }, []string{logsIn, well, clock, protected, "warn  webserver  the check's own session was not logged out: logout: 403 Forbidden"}},
		"a file that went away": {gone, nil, []string{"FAIL  webserver  bad usage or configuration: LOGOFF_WEBSERVER_CA_FILE: the file cannot be read\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, sim := loopbackSettings(t)
			sim.AddUser(simulator.User{ID: 1, Login: "admin", Password: provePassword, Administrator: true})
			s.Verify, s.ProtectedUsers = "auto", list{"admin"}
			test.credentials(t, &s, sim)
			if test.before != nil {
				test.before(sim)
			}
			said := tells(func(r *report) { r.checkWebServer(t.Context(), s, "") })
			checkSaid(t, said, test.says)
			checkNoSecrets(t, said, sim)
		})
	}
}

// The access token that is stored in NATS counts, and not that of the file, which may be old.
func TestCheckAsksWithTheStoredToken(t *testing.T) {
	s, sim := loopbackSettings(t)
	s.Webserver.PairFile = filepath.Join(t.TempDir(), "pair.json")
	stored, _ := sim.AccessToken(proveUser)
	if said := tells(func(r *report) { r.checkWebServer(t.Context(), s, stored) }); !strings.HasPrefix(said, "ok    webserver") {
		t.Errorf("it says\n%s", said)
	}
}

// A proxy's address that is no URL is said to be that, for Go passes over it, and the Web Server is asked without it.
func TestCheckSaysThatAProxyIsPassedOver(t *testing.T) {
	s, sim := loopbackSettings(t)
	s.Webserver.Token = env.Secret(sim.Token(proveUser))
	const says = "HTTP_PROXY is no URL, and is passed over"
	for address, warned := range map[string]bool{
		"": false, "proxy.example:3128": false, "http://user:p%40ss@proxy.example:3128": false,
		"http://proxy.example:3128\n": true, "http://user:canary%zz@proxy.example:3128": true,
	} {
		for _, name := range []string{"HTTP_PROXY", "http_proxy"} {
			t.Run(name+"="+address, func(t *testing.T) {
				t.Setenv("HTTP_PROXY", "")
				t.Setenv("http_proxy", "")
				t.Setenv(name, address)
				if said := tells(func(r *report) { r.checkProxy(s) }); strings.Contains(said, says) != warned || strings.Contains(said, "canary") {
					t.Errorf("it says %q", said)
				}
			})
		}
	}
	t.Setenv("HTTPS_PROXY", "%zz")
	if said := tells(func(r *report) { r.checkProxy(s) }); said != "" {
		t.Errorf("of the proxy for another scheme it says %q", said)
	}
}

// checkSaid compares a report with how its lines begin.
func checkSaid(t *testing.T, report string, says []string) {
	t.Helper()
	lines := strings.SplitAfter(report, "\n")
	for i, line := range lines[:len(lines)-1] {
		if i >= len(says) || !strings.HasPrefix(line, says[i]) {
			t.Errorf("line %d is not as wanted", i+1)
		}
	}
	if len(lines)-1 != len(says) || t.Failed() {
		t.Errorf("it says\n%swant\n%s", report, strings.Join(says, "\n"))
	}
}

// Who may not make streams is told so where the settings have them made, and nothing of it where they have not.
func TestCheckSaysWhichRightToMakeStreamsIsMissing(t *testing.T) {
	s := natsServer(t, `jetstream { store_dir: STORE }
accounts { A { jetstream: enabled, users: [ { user: admin, password: p }, { user: w, password: p, permissions: { publish: [ "$JS.API.INFO", "$JS.API.STREAM.INFO.*", "$JS.API.CONSUMER.INFO.*.*", "$SYS.REQ.USER.INFO" ] } } ] } }`)
	if err := stream.DefaultConfig().ProvisionStreams(t.Context(), jetStream(t, s.ClientURL(), nats.UserInfo("admin", "p"))); err != nil {
		t.Fatal(err)
	}
	js := jetStream(t, s.ClientURL(), nats.UserInfo("w", "p"))
	for provision, told := range map[string]bool{"create": true, "verify": false} {
		with, _, err := given(t, "LOGOFF_NATS_PROVISION="+provision)
		if err != nil {
			t.Fatal(err)
		}
		said := tells(func(r *report) { r.checkStreams(t.Context(), with, js) })
		if strings.Contains(said, "takes the right to publish on $JS.API.STREAM.CREATE.LOGOFF_REQUESTS, which this NATS user does not have") != told || !strings.Contains(said, "ok    streams    ") {
			t.Errorf("with %s it says\n%s", provision, said)
		}
	}
}

// check asks what the settings have, and fails when any of it does.
func TestCheckAsksWhatTheSettingsHave(t *testing.T) {
	web, sim := loopbackSettings(t)
	free, err := stage.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	store := t.TempDir()
	b, err := broker.Start(broker.Options{StoreDir: store, Listen: free})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Shutdown()
	token := sim.Token(proveUser)
	runs := []string{"LOGOFF_NATS_URL=embedded", "LOGOFF_NATS_LISTEN=" + free, "LOGOFF_NATS_STORE_DIR=" + store}
	rests := []string{"LOGOFF_NATS_URL=embedded", "LOGOFF_NATS_LISTEN=127.0.0.1:0", "LOGOFF_NATS_STORE_DIR=" + t.TempDir()}
	const fails, notRunning, connected = "1 of the checks failed", "the embedded broker is not running", "ok    nats       connected to "
	const notProved = "FAIL  prove      nothing was proved"
	for name, test := range map[string]struct {
		with      []string
		prove     proving
		fails     string // empty: nothing does
		says, not []string
	}{
		"settings that are wrong":    {[]string{"LOGOFF_NATS_URL=" + b.URL(), "LOGOFF_SLOTS=0"}, proving{}, "bad usage or configuration:\n  LOGOFF_SLOTS: ", nil, []string{"settings"}},
		"a NATS server":              {[]string{"LOGOFF_NATS_URL=" + b.URL()}, proving{}, "", []string{connected + b.URL(), "ok    webserver"}, []string{notProved, notRunning}},
		"a broker that runs":         {append(runs, "LOGOFF_HOLD_ABOVE_JOB=50", "LOGOFF_CANARY_EVERY=5m", "LOGOFF_WEBSERVER_TOKEN=", "LOGOFF_WEBSERVER_USERNAME=svc", "LOGOFF_WEBSERVER_PASSWORD="+provePassword), proving{}, "", []string{connected + b.URL(), "warn  approval", "ok    canary", "ok    webserver"}, []string{notRunning}},
		"a broker that does not run": {rests, proving{}, "", []string{notRunning, "ok    webserver"}, []string{connected}},
		"a proof":                    {rests, proving{asked: true}, fails, []string{notProved}, nil},
		"a misspelled variable":      {append(rests, "LOGOFF_SLOT=5"), proving{}, "", []string{"warn  settings   LOGOFF_SLOT is not a variable"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			for _, assignment := range append([]string{"LOGOFF_HTTP_ADDR=127.0.0.1:0", "LOGOFF_WEBSERVER_URL=" + web.Webserver.URL, "LOGOFF_WEBSERVER_TOKEN=" + token}, test.with...) {
				variable, value, _ := strings.Cut(assignment, "=")
				t.Setenv(variable, value)
			}
			var out strings.Builder
			err := check(t.Context(), &out, test.prove)
			if (err == nil) != (test.fails == "") || err != nil && !strings.HasPrefix(err.Error(), test.fails) || !containsAll(out.String(), test.says) {
				t.Errorf("it ends with %v and says\n%s", err, out.String())
			}
			for _, words := range test.not {
				if strings.Contains(out.String(), words) {
					t.Errorf("it says %q:\n%s", words, out.String())
				}
			}
			for _, secret := range []string{provePassword, token} {
				if strings.Contains(out.String(), secret) {
					t.Errorf("a secret is shown:\n%s", out.String())
				}
			}
		})
	}
}

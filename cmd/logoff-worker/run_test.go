package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/metrics"
	"logoffworker/metrics/statuspage"
	"logoffworker/worker"
	"logoffworker/worker/broker"
	"logoffworker/worker/stage"
	"logoffworker/worker/stage/pipe"
	"logoffworker/worker/stream"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

// nkey is the seed of a new NKey, and its public key.
func nkey(t *testing.T) (seed, public string) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	secret, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	if public, err = pair.PublicKey(); err != nil {
		t.Fatal(err)
	}
	return string(secret), public
}

// The embedded broker writes through to the disk, and demands what the worker was given; without any
// credentials that is said.
func TestEmbeddedBrokerSyncsAndDemandsCredentials(t *testing.T) {
	seed, public := nkey(t)
	file := func(text string) string { return written(t, "secret", text) }
	for name, test := range map[string]struct {
		set     func(*settings)
		want    broker.Options
		problem string
	}{
		"nothing":       {set: func(*settings) {}},
		"user":          {set: func(s *settings) { s.NATS.User, s.NATS.Password = "u", "p" }, want: broker.Options{User: "u", Password: "p"}},
		"user, file":    {set: func(s *settings) { s.NATS.User, s.NATS.PasswordFile = "u", file("p\n") }, want: broker.Options{User: "u", Password: "p"}},
		"token":         {set: func(s *settings) { s.NATS.Token = "t" }, want: broker.Options{Token: "t"}},
		"token, file":   {set: func(s *settings) { s.NATS.TokenFile = file("t\n") }, want: broker.Options{Token: "t"}},
		"NKey":          {set: func(s *settings) { s.NATS.NkeyFile = file(seed + "\n") }, want: broker.Options{NKey: public}},
		"no NKey":       {set: func(s *settings) { s.NATS.NkeyFile = file("SU") }, problem: "LOGOFF_NATS_NKEY_FILE holds no NKey seed"},
		"no such NKey":  {set: func(s *settings) { s.NATS.NkeyFile = file("") + "x" }, problem: ": the file cannot be read"},
		"no such token": {set: func(s *settings) { s.NATS.TokenFile = file("") + "x" }, problem: ": the file cannot be read"},
	} {
		var s settings
		s.NATS.StoreDir, s.NATS.Listen = "d", "l"
		test.set(&s)
		output := &stage.Output{}
		o, err := brokerOptions(s, slog.New(slog.NewTextHandler(output, nil)))
		if (err != nil) != (test.problem != "") || err != nil && !containsAll(err.Error(), []string{"credentials of the embedded broker: ", test.problem}) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		o.Log = nil
		test.want.StoreDir, test.want.Listen, test.want.SyncAlways = "d", "l", true
		if o != test.want {
			t.Errorf("%s: %+v, want %+v", name, o, test.want)
		}
		if warned := strings.Contains(output.String(), "no credentials"); warned != (name == "nothing") {
			t.Errorf("%s: %s", name, output)
		}
	}
}

// The metrics count what they know by name from the start and pass over the rest. They know every operation that the
// client makes and every verdict that it gives, and no other.
func TestMetricsKnowTheOperationsAndVerdictsOfTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made, registry := everyOperation(t)
		labels := labelsOf(t, registry, "logoff_webserver_requests_total", "operation")
		if want := slices.Sorted(maps.Keys(made)); !slices.Equal(labels, want) {
			t.Errorf("the operations of the metrics are %v, those of the client %v", labels, want)
		}
		var verdicts []string
		for v := webserver.Verdict(1); v.String() != webserver.Verdict(0).String(); v++ {
			verdicts = append(verdicts, v.String())
		}
		slices.Sort(verdicts)
		for _, family := range []string{"logoff_webserver_requests_total", "logoff_webserver_retries_total"} {
			if labels := labelsOf(t, registry, family, "verdict"); !slices.Equal(labels, verdicts) {
				t.Errorf("%s: the verdicts of the metrics are %v, those of the client %v", family, labels, verdicts)
			}
		}
	})
}

// everyOperation has a client call everything that it can, and returns the operations that it made.
func everyOperation(t *testing.T) (made map[string]bool, registry *prometheus.Registry) {
	t.Helper()
	sim := simulator.New(simulator.Settings{}, 1)
	sim.AddUser(simulator.User{ID: 1, Login: "admin", Password: "canary", Administrator: true})
	sim.AddUser(simulator.User{ID: 7, Login: "jane"})
	dial, stop := pipe.Serve(sim)
	defer stop()
	registry = prometheus.NewRegistry()
	metrics.New(registry, metrics.Build{})
	made = map[string]bool{}
	c, err := webserver.New(webserver.Config{
		URL: "http://127.0.0.1/commandcenter/api", Username: "admin", Password: func() (string, error) { return "canary", nil },
		DialContext: dial, Observe: func(c webserver.Call) { made[c.Op] = true },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseIdle()
	ctx := t.Context()
	err = errors.Join(c.Ping(ctx), c.Logoff(ctx, webserver.Origin{}, sim.SignOnMany(7, 1)))
	sim.RevokeTokens()
	refused, _ := errors.AsType[*webserver.Error](c.Ping(ctx))
	access, refresh := sim.AccessToken(1)
	_, err2 := c.RenewPair(ctx, webserver.Pair{Access: access, Refresh: refresh})
	err = errors.Join(err, err2, c.Renew(ctx, refused))
	_, err2 = c.Sessions(ctx, 7)
	_, err3 := c.UserByID(ctx, 7)
	if err := errors.Join(err, err2, err3, c.Logout(ctx)); err != nil {
		t.Fatal(err)
	}
	return made, registry
}

// labelsOf returns the values of one label of a metric, sorted.
func labelsOf(t *testing.T, registry *prometheus.Registry, metric, label string) []string {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]bool{}
	for _, family := range families {
		if family.GetName() != metric {
			continue
		}
		for _, m := range family.GetMetric() {
			for _, pair := range m.GetLabel() {
				if pair.GetName() == label {
					values[pair.GetValue()] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(values))
}

// runs runs the program in this process, with a Web Server that is not there, until it ends; heard hears each line that
// it logs.
func runs(t *testing.T, ctx context.Context, heard func(line string), args []string, environment ...string) (said string, err error) {
	t.Helper()
	nobody, err := stage.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	all := []string{"LOGOFF_NATS_URL=nats://" + nobody, "LOGOFF_WEBSERVER_URL=http://" + nobody + "/api", "LOGOFF_WEBSERVER_TOKEN=QSDK canary", "LOGOFF_HTTP_ADDR=127.0.0.1:0"}
	for _, assignment := range append(all, environment...) {
		name, value, _ := strings.Cut(assignment, "=")
		t.Setenv(name, value)
	}
	ctx, cancel := context.WithTimeout(ctx, hurry)
	defer cancel()
	var out stage.Output
	err = program{&out, listening{&out, heard}, nil}.run(ctx, args)
	if strings.Contains(out.String()+fmt.Sprint(err), "canary") {
		t.Errorf("a secret is shown: %v\n%s", err, &out)
	}
	return out.String(), err
}

// listening is an output that is listened to.
type listening struct {
	*stage.Output
	heard func(line string)
}

func (l listening) Write(p []byte) (int, error) {
	if l.heard != nil {
		l.heard(string(p))
	}
	return l.Output.Write(p)
}

// What keeps a worker from starting is said, also where it was there when the settings were read.
func TestStartThatFailsSaysWhy(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	taken := busy.Addr().String()
	authority, _ := selfSigned(t)
	pair := []string{"LOGOFF_WEBSERVER_TOKEN=", "LOGOFF_WEBSERVER_PAIR_FILE=" + written(t, "pair", `{"accessToken":"canary","refreshToken":"canary"}`)}
	for name, test := range map[string]struct {
		variable, file string   // of the setting
		vanishes       bool     // the file does, after the settings were read
		with           []string // other settings
		code           int
		says           string
	}{
		"a wrong setting":        {"LOGOFF_NATS_URL", "", false, nil, 2, "LOGOFF_NATS_URL: required"},
		"a list":                 {"LOGOFF_PROTECTED_USERS_FILE", written(t, "list", "7"), true, nil, 2, "LOGOFF_PROTECTED_USERS_FILE: the file cannot be read"},
		"the issuers":            {issuersFile, written(t, "issuers", trustedText), true, nil, 2, "LOGOFF_ISSUERS_FILE: "},
		"the key of the pair":    {"LOGOFF_WEBSERVER_PAIR_KEY_FILE", written(t, "key", pairKey), true, pair, 2, "LOGOFF_WEBSERVER_PAIR_KEY_FILE: the file cannot be read"},
		"the authority":          {"LOGOFF_WEBSERVER_CA_FILE", authority, true, nil, 2, "LOGOFF_WEBSERVER_CA_FILE: the file cannot be read"},
		"an NKey":                {"LOGOFF_NATS_NKEY_FILE", written(t, "seed", "SUcanary"), false, nil, 2, "NATS NKey seed"},
		"an NKey of the broker":  {"LOGOFF_NATS_NKEY_FILE", written(t, "seed", "SUcanary"), false, []string{"LOGOFF_NATS_URL=embedded", "LOGOFF_NATS_STORE_DIR=" + t.TempDir(), "LOGOFF_NATS_LISTEN=127.0.0.1:0"}, 2, "credentials of the embedded broker: LOGOFF_NATS_NKEY_FILE holds no NKey seed"},
		"the port":               {"LOGOFF_HTTP_ADDR", taken, false, nil, 1, "LOGOFF_HTTP_ADDR: another program listens at " + taken},
		"the port of a receiver": {receiverAddr, taken, false, []string{issuersFile + "=" + written(t, "issuers", trustedText)}, 1, "LOGOFF_RECEIVER_ADDR: another program listens at " + taken},
	} {
		t.Run(name, func(t *testing.T) {
			begun := func(line string) {
				if test.vanishes && strings.Contains(line, "The worker starts.") {
					if err := os.Remove(test.file); err != nil {
						t.Error(err)
					}
				}
			}
			said, err := runs(t, t.Context(), begun, nil, append(test.with, test.variable+"="+test.file)...)
			if err == nil || exitCode(err) != test.code || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v, want %s\n%s", err, test.says, said)
			}
		})
	}
}

// A service manager that cannot be told is a warning, and no reason not to start.
func TestServiceManagerThatIsGoneIsNoObstacle(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	said, err := runs(t, ctx, func(line string) {
		if strings.Contains(line, "probes are served") {
			stop()
		}
	}, nil)
	if err != nil || !strings.Contains(said, "systemd cannot be told how the worker is, over the socket in NOTIFY_SOCKET") {
		t.Errorf("%v\n%s", err, said)
	}
}

// A stop while the embedded broker starts is none that failed; init has not done then what it was to do.
func TestStopWhileTheBrokerStarts(t *testing.T) {
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	environment, _ := embeddedIn(t, filepath.Join(t.TempDir(), "store"))
	if said, err := runs(t, stopped, nil, nil, environment...); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
	if said, err := runs(t, stopped, nil, []string{"init"}, environment...); err == nil || !strings.Contains(err.Error(), "stopped before the streams were looked at") {
		t.Errorf("init: %v\n%s", err, said)
	}
}

// unconnected is an address at which nothing listens, and a connection that waits for NATS there.
func unconnected(t *testing.T) (nobody string, nc *nats.Conn) {
	t.Helper()
	nobody, err := stage.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	if nc, err = nats.Connect(nobody, nats.RetryOnFailedConnect(true)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nobody, nc
}

// A worker that is stopped before it has a token begins nothing.
func TestStopWithoutATokenBeginsNothing(t *testing.T) {
	nobody, nc := unconnected(t)
	s := settings{Prefix: "logoff"}
	s.Webserver.URL = "http://" + nobody + "/api"
	s.Webserver.PairFile, s.Webserver.PairKeyFile = filepath.Join(t.TempDir(), "nowhere"), written(t, "key", pairKey)
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newProcess(works, s, slog.New(slog.DiscardHandler), s.parts()...).work(stopped, &worker.Worker{NATS: nc}); err != nil {
		t.Error(err)
	}
}

// init says what it has made, and what keeps it from that.
func TestInitSaysWhatItMakesAndWhatItCannot(t *testing.T) {
	issuer := issuersFile + "=" + written(t, "issuers.yaml", `issuers:
  - name: idp
    issuer: https://idp.example
    subjects: {email: 'email:{email}'}
    stream: {delivery: poll, client: {token_url: 'https://idp.example/token', id: logoff, secret: client-canary}}
`)
	ready := []string{"streams LOGOFF_REQUESTS, LOGOFF_RESULTS, LOGOFF_DEAD, LOGOFF_AUDIT and their consumers are ready\n"}
	pair, verify := "LOGOFF_WEBSERVER_PAIR_FILE=nowhere", "LOGOFF_NATS_PROVISION=verify"
	for name, test := range map[string]struct {
		there func(context.Context, jetstream.JetStream) error
		with  []string
		makes []string
		says  string // of what is wrong; empty where nothing is
	}{
		"all": {nil, []string{pair, issuer}, append(ready, "bucket LOGOFF_TOKENS is ready\n", "bucket LOGOFF_SIGNALS is ready\n"), ""},
		"a stream that overlaps": {func(ctx context.Context, js jetstream.JetStream) error {
			_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "EVERYTHING", Subjects: []string{"logoff.>"}})
			return err
		}, nil, nil, "EVERYTHING"},
		"a bucket that forgets": {func(ctx context.Context, js jetstream.JetStream) error {
			_, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "LOGOFF_TOKENS", TTL: time.Hour})
			return err
		}, []string{pair, issuer}, ready, "bucket LOGOFF_TOKENS: it forgets what is older than 1h0m0s"},
		"a bucket that lacks": {func(ctx context.Context, js jetstream.JetStream) error {
			return stream.DefaultConfig().ProvisionStreams(ctx, js)
		}, []string{issuer, verify}, ready, "bucket LOGOFF_SIGNALS: "},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := broker.Start(broker.Options{StoreDir: t.TempDir(), Listen: "127.0.0.1:0"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(b.Shutdown)
			js := jetStream(t, b.URL())
			if test.there != nil {
				if err := test.there(t.Context(), js); err != nil {
					t.Fatal(err)
				}
			}
			said, err := runs(t, t.Context(), nil, []string{"init"}, append([]string{"LOGOFF_NATS_URL=" + b.URL()}, test.with...)...)
			if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) || !containsAll(said, test.makes) || strings.Count(said, "ready\n") != len(test.makes) {
				t.Errorf("%v, want %q; it says\n%s", err, test.says, said)
			}
		})
	}
}

// init whose settings are wrong says so before it makes anything.
func TestInitWithWrongSettingsSaysSo(t *testing.T) {
	for setting, says := range map[string]string{
		"LOGOFF_NATS_URL=": "LOGOFF_NATS_URL: required",
		"LOGOFF_NATS_NKEY_FILE=" + written(t, "seed", "SUcanary"): "NATS NKey seed",
	} {
		t.Run(says, func(t *testing.T) {
			said, err := runs(t, t.Context(), nil, []string{"init"}, setting)
			if err == nil || exitCode(err) != 2 || !strings.Contains(err.Error(), says) || strings.Contains(said, "ready") {
				t.Errorf("%v, want %q; it says\n%s", err, says, said)
			}
		})
	}
}

// init beside the worker that has the store is told that it is of no use.
func TestInitBesideAWorkerIsOfNoUse(t *testing.T) {
	store := t.TempDir()
	b, err := broker.Start(broker.Options{StoreDir: store})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Shutdown()
	environment, _ := embeddedIn(t, store)
	if _, err := runs(t, t.Context(), nil, []string{"init"}, environment...); err == nil || exitCode(err) != 1 || !strings.Contains(err.Error(), "a worker creates its streams itself") {
		t.Error(err)
	}
}

// init that does not reach NATS says why not, whatever else of its health is not known.
func TestInitSaysWhyNATSIsNotReached(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var accepting sync.WaitGroup
	defer accepting.Wait()
	defer listener.Close()
	accepting.Go(func() {
		for n := 1; ; n++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Close()
			if n == 2 { // it is waited for
				stop()
			}
		}
	})
	said, err := runs(t, ctx, nil, []string{"init"}, "LOGOFF_NATS_URL=nats://"+listener.Addr().String(), "LOGOFF_WEBSERVER_PAIR_FILE=nowhere")
	if err == nil || !strings.Contains(err.Error(), "NATS cannot be reached: no connection to NATS can be made") {
		t.Errorf("%v\n%s", err, said)
	}
}

// A receiver goes on while NATS cannot be reached, as a worker does, and says so.
func TestReceiverOutlivesNATS(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	said, err := runs(t, ctx, func(line string) {
		if strings.Contains(line, "no connection to NATS can be made") {
			stop()
		}
	}, []string{"receive"}, receiverAddr+"=127.0.0.1:0", issuersFile+"="+written(t, "issuers", trustedText))
	if err != nil || !strings.Contains(said, "no connection to NATS can be made") || !strings.Contains(said, "The receiver stops") {
		t.Errorf("%v\n%s", err, said)
	}
}

// What is logged is text for a person at a terminal, JSON for a program, and what the settings say for both.
func TestLogIsTextOnATerminal(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminal is to be had here: %v", err)
	}
	defer terminal.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, test := range []struct {
		to     io.Writer
		format string
		text   bool
	}{
		{terminal, "", true},
		{terminal, "json", false},
		{terminal, "text", true},
		{file, "", false},
		{file, "json", false},
		{file, "text", true},
		{&stage.Output{}, "", false},
		{&stage.Output{}, "text", true},
	} {
		var s settings
		s.Log.Format = test.format
		if _, text := newLog(s, test.to).Handler().(*slog.TextHandler); text != test.text {
			t.Errorf("to %T with format %q: text %v", test.to, test.format, text)
		}
	}
}

// A login and a renewal are the points at which a worker can be in the middle of one; no other request is.
func TestLoginsAndRenewalsAreTheMiddleOfALogin(t *testing.T) {
	p := newProcess(works, settings{}, slog.New(slog.DiscardHandler))
	for op, want := range map[string]int{webserver.OpLogin: 1, webserver.OpRenew: 1, webserver.OpLogoff: 0} {
		reached := 0
		p.reached = func(point string) {
			if point == string(worker.MidLogin) {
				reached++
			}
		}
		if p.observe(webserver.Call{Op: op}); reached != want {
			t.Errorf("%s: %d times", op, reached)
		}
	}
}

// A worker that cannot tell the others how it is says so, and works.
func TestWorkerThatCannotJoinTheOthersSaysSo(t *testing.T) {
	b, err := broker.Start(broker.Options{StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Shutdown()
	nc, err := b.Connect()
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	var log stage.Output
	p := newProcess(works, settings{}, slog.New(slog.NewTextHandler(&log, nil)))
	config := worker.DefaultConfig()
	leave := p.joinFleet(config, nc, statuspage.New(p.pageConfig(config)))
	if !strings.Contains(log.String(), "does not tell others how it is") {
		t.Errorf("it says\n%s", &log)
	}
	leave()
}

// The token that the workers share takes the place of any that the settings have.
func TestSharedTokenTakesThePlaceOfTheSettings(t *testing.T) {
	s, sim := loopbackSettings(t)
	s.Webserver.Token = "QSDK canary"
	access, _ := sim.AccessToken(proveUser)
	for name, token := range map[string]func() (string, error){"shared": func() (string, error) { return "Bearer " + access, nil }, "": nil} {
		client, err := s.client(token, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Ping(t.Context()); (err == nil) != (token != nil) {
			t.Errorf("with the token %q: %v", name, err)
		}
		client.CloseIdle()
	}
}

// A session of the worker's own that cannot be logged out at the end is told; one that is logged out is over.
func TestLogoutThatFailsIsTold(t *testing.T) {
	s, sim := loopbackSettings(t)
	s.Webserver.Username, s.Webserver.Password = "svc", provePassword
	for _, fails := range []bool{false, true} {
		client, err := s.client(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		if fails {
			sim.FailNextOn("logout", simulator.Status(http.StatusForbidden))
		}
		var log stage.Output
		logout(&worker.Worker{Server: client}, slog.New(slog.NewTextHandler(&log, nil)))
		if told := strings.Contains(log.String(), "was not logged out; it ends by its idle time-out"); told != fails {
			t.Errorf("of a logout that fails (%v) it says %q", fails, &log)
		}
	}
	if n := sim.Count("logout"); n != 2 {
		t.Errorf("%d logouts", n)
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/metrics"
	"logoffworker/worker"
	"logoffworker/worker/broker"
	"logoffworker/worker/stage"
	"logoffworker/worker/stage/bubble"
	"logoffworker/worker/stage/pipe"
	"logoffworker/worker/stream"
	"logoffworker/worker/tokens"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

// Two workers with one pair do their jobs before and after its renewal, which one of them makes.
func TestWorkersShareAPairOfTokens(t *testing.T) {
	w := newWorld(t, simulator.Settings{})
	dir := t.TempDir()
	pair, key := filepath.Join(dir, "pair.json"), filepath.Join(dir, "key")
	if err := writePair(pair, w.sim); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, []byte(strings.Repeat("0f", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	given, err := os.ReadFile(pair)
	if err != nil {
		t.Fatal(err)
	}
	other, err := stage.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	with := []string{"LOGOFF_WEBSERVER_USERNAME=", "LOGOFF_WEBSERVER_PASSWORD=", "LOGOFF_WEBSERVER_PAIR_FILE=" + pair, "LOGOFF_WEBSERVER_PAIR_KEY_FILE=" + key}
	first := w.start(with...)
	second := w.start(append(with, "LOGOFF_HTTP_ADDR="+other)...)
	pages := w.poll("/readyz", http.StatusOK)
	ids := w.sim.SignOnMany(7, 20)
	w.publish(ids[:10])
	before := w.results(10)
	w.sim.RevokeTokens() // the access token is dead, its refresh token is not
	w.publish(ids[10:])
	after := w.results(10)
	pages += w.poll("/metrics", http.StatusOK, `logoff_token_state{state="good"} 1`) + w.poll("/", http.StatusOK, "PAIR_FILE")
	for _, process := range []*os.Process{first.Process, second.Process} {
		if err := process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	w.ended(first)
	w.ended(second)
	if chain := w.sim.Chains()[0]; len(before) != 10 || len(after) != 10 || chain.Renewals != 1 || chain.Reused != 0 {
		t.Errorf("%d results before and %d after the renewal, %+v\n%s", len(before), len(after), chain, w.log.String())
	}
	for _, secret := range secretsOf(string(given), w.sim) {
		if strings.Contains(pages, secret) || strings.Contains(w.log.String(), secret) {
			t.Errorf("a token is shown:\n%s", w.log.String())
		}
	}
}

// secretsOf are the tokens of a pair file, and those that requests came with.
func secretsOf(file string, sim *simulator.Server) (secrets []string) {
	for part := range strings.SplitSeq(file, `"`) {
		if len(part) >= 64 {
			secrets = append(secrets, part)
		}
	}
	for _, r := range sim.Journal() {
		if token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); bearer {
			secrets = append(secrets, token)
		}
	}
	return secrets
}

// pairKey is the text of a key file.
const pairKey = "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f"

// check says of the stored pair how it is and how the file stands to it, and what a person has to do; it returns its
// access token where that is the one to be used.
func TestCheckSaysHowTheStoredPairIs(t *testing.T) {
	bubble.Run(t, time.Minute, func(t *testing.T) {
		b, err := broker.Start(broker.Options{StoreDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Shutdown)
		nc, err := b.Connect()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		sim := simulator.New(simulator.Settings{}, 1)
		sim.AddUser(simulator.User{ID: 1, Login: "admin", Password: "canary", Administrator: true})
		dial, stop := pipe.Serve(sim)
		t.Cleanup(stop)

		const day = 24 * time.Hour
		expires, renewable := time.Now().Add(day).Truncate(time.Second), time.Now().Add(60*day).Truncate(time.Second)
		give := func(until time.Time) (file, access string) {
			p := sim.Grant(simulator.AccessGrant{UserID: 1, RenewableUntil: until})
			return written(t, "pair", fmt.Sprintf(`{"accessToken":%q,"refreshToken":%q,"tokenExpiryTimestamp":%d,"renewableUntilTimestamp":%d}`, p.Access, p.Refresh, expires.Unix(), until.Unix())), p.Access
		}
		s := settings{Prefix: "logoff"}
		s.NATS.Provision, s.NATS.Replicas, s.Webserver.PairKeyFile = string(stream.ProvisionCreate), 1, written(t, "key", pairKey)
		check := func(s settings, file, access string, failed int, says ...string) {
			t.Helper()
			s.Webserver.PairFile = file
			var out strings.Builder
			r := report{w: &out}
			got := r.checkPair(t.Context(), s, js)
			if got != access || r.failed != failed || !containsAll(out.String(), says) || strings.Count(out.String(), "\n") != len(says) {
				t.Errorf("%d failed, the right token: %v, want %d and %q; it says\n%s", r.failed, got == access, failed, says, out.String())
			}
		}
		// keep has a worker keep the pair of a file, and use it; its token is refused where that is wanted.
		keep := func(file string, refused bool) {
			t.Helper()
			key, err := tokens.ReadKey(s.Webserver.PairKeyFile)
			if err != nil {
				t.Fatal(err)
			}
			silent := slog.New(slog.DiscardHandler)
			keeper, err := tokens.New(tokens.Config{
				Name: "w1", Bucket: s.bucketName(), Create: true, Replicas: 1, Key: key, PairFile: file, NATS: nc,
				WebServer: webserver.Config{URL: "http://127.0.0.1/commandcenter/api", DialContext: dial},
				Metrics:   metrics.NewToken(prometheus.NewRegistry()), Health: metrics.NewHealth(silent, tokens.Part), Log: silent,
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() { keeper.Run(ctx); close(ended) }()
			<-keeper.First()
			if refused {
				<-time.After(time.Minute) // no pair is presented earlier
				for range 2 {
					if _, err := keeper.Token(); err != nil {
						t.Error(err)
					}
				}
			}
			cancel()
			<-ended
		}
		verify, other := s, s
		verify.NATS.Provision, other.Webserver.PairKeyFile = string(stream.ProvisionVerify), written(t, "other", strings.Repeat("e", 64))
		good := fmt.Sprintf("ok    pair       key and pair file are good; the stored pair was renewed 0 times, its access token ends at %s and can be renewed until %s\n",
			expires.UTC().Format(time.RFC3339), renewable.UTC().Format(time.RFC3339))

		first, access := give(renewable)
		begins := "ok    pair       key and pair file are good; nothing is stored yet, the worker begins with the pair of the file, its access token ends at "
		check(s, first, "", 0, begins+expires.UTC().Format(time.RFC3339)+" and can be renewed until "+renewable.UTC().Format(time.RFC3339)+"\n")
		check(s, written(t, "pair", `{"accessToken":"a","refreshToken":"r"}`), "", 0, begins+"a time that is not known and can be renewed until a time that is not known\n")
		check(verify, first, "", 1, "FAIL  pair       bucket LOGOFF_TOKENS: ")
		if made := streams(t, js); made != "" {
			t.Errorf("check made %s", made)
		}
		keep(first, false)
		check(s, first, access, 0, good)
		check(verify, first, access, 0, good)
		check(other, first, "", 1, "FAIL  pair       the stored pair")

		second, access := give(renewable)
		check(s, second, "", 0, "ok    pair       key and pair file are good; the file holds a new pair, which takes the place of the stored one, its access token ends at ")
		keep(second, false)
		check(s, first, access, 0, good, "warn  pair       the pair file holds a pair that another has replaced since; the stored pair is used\n")

		third, access := give(time.Now().Add(10 * day))
		keep(third, false)
		check(s, third, access, 0, "ok    pair       key and pair file are good; the stored pair was renewed 0 times", "warn  pair       it can be renewed for not much longer: make a new access token and put it into the pair file\n")

		fourth, access := give(renewable)
		sim.Configure(func(s *simulator.Settings) { s.Renewal = simulator.Renewal403 })
		keep(fourth, true)
		check(s, fourth, access, 1, "FAIL  pair       the stored pair is dead (")
	})
}

// A key or a pair that cannot be read is told by check, and by a worker that finds it so at its start, with its variable.
func TestPairThatCannotBeReadIsNamed(t *testing.T) {
	s := settings{Prefix: "logoff"}
	s.Webserver.PairFile, s.Webserver.PairKeyFile = written(t, "pair", "{}"), written(t, "key", pairKey)
	s.Webserver.CAFile = written(t, "ca", "canary")
	badKey, badName := s, s
	badKey.Webserver.PairKeyFile = written(t, "key", "canary")
	badName.Webserver.CAFile, badName.Prefix = "", "log/off"
	for name, test := range map[string]struct {
		s            settings
		check, start string
		isUsage      bool
	}{
		"key":        {badKey, "FAIL  pair       must hold 32 bytes in base64 or hex", "LOGOFF_WEBSERVER_PAIR_KEY_FILE: must hold 32 bytes in base64 or hex", true},
		"authority":  {s, `FAIL  pair       must hold JSON with the texts "accessToken" and "refreshToken"`, "LOGOFF_WEBSERVER_CA_FILE: the file holds no PEM certificate", true},
		"the prefix": {badName, "FAIL  pair       must hold JSON", "the bucket's name", false},
	} {
		var out strings.Builder
		r := report{w: &out}
		if access := r.checkPair(t.Context(), test.s, nil); access != "" || r.failed != 1 || !strings.HasPrefix(out.String(), test.check) || strings.Contains(out.String(), "canary") {
			t.Errorf("%s: check says %s", name, &out)
		}
		p := newProcess(works, test.s, slog.New(slog.DiscardHandler))
		_, _, err := p.keepPair(t.Context(), nil, nil)
		if err == nil || errors.Is(err, errUsage) != test.isUsage || !strings.Contains(err.Error(), test.start) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A pair takes a file and a key, and each of them is read.
func TestPairTakesAFileAndAKey(t *testing.T) {
	pair, key := "LOGOFF_WEBSERVER_PAIR_FILE="+written(t, "pair", `{"accessToken":"a","refreshToken":"r"}`), "LOGOFF_WEBSERVER_PAIR_KEY_FILE="+written(t, "key", pairKey)
	for name, test := range map[string]struct{ pair, key, says string }{
		"both":      {pair, key, ""},
		"no key":    {pair, "LOGOFF_WEBSERVER_PAIR_KEY_FILE=", "LOGOFF_WEBSERVER_PAIR_KEY_FILE: required with LOGOFF_WEBSERVER_PAIR_FILE"},
		"no file":   {"LOGOFF_WEBSERVER_PAIR_FILE=", key, "LOGOFF_WEBSERVER_PAIR_FILE: required with LOGOFF_WEBSERVER_PAIR_KEY_FILE"},
		"wrong key": {pair, "LOGOFF_WEBSERVER_PAIR_KEY_FILE=" + written(t, "key", "canary"), "LOGOFF_WEBSERVER_PAIR_KEY_FILE: must hold 32 bytes"},
		"no pair":   {"LOGOFF_WEBSERVER_PAIR_FILE=" + written(t, "pair", "canary"), key, "LOGOFF_WEBSERVER_PAIR_FILE: must hold JSON"},
	} {
		words := said(t, "LOGOFF_WEBSERVER_TOKEN=", test.pair, test.key)
		if (words == "") != (test.says == "") || !strings.Contains(words, test.says) || strings.Count(words, "LOGOFF_") > strings.Count(test.says, "LOGOFF_") || strings.Contains(words, "canary") {
			t.Errorf("%s: it says %q, want %q", name, words, test.says)
		}
	}
}

// Where the settings have no pair, none is looked for and none is kept.
func TestWithoutAPairNothingIsKept(t *testing.T) {
	var out strings.Builder
	r := report{w: &out}
	access := r.checkPair(t.Context(), settings{}, nil)
	token, stop, err := newProcess(works, settings{}, slog.New(slog.DiscardHandler)).keepPair(t.Context(), nil, nil)
	if access != "" || out.Len() > 0 || token != nil || err != nil {
		t.Fatalf("check says %q; %v", &out, err)
	}
	stop()
}

// The health of a worker has a part for all that its settings have it do, and for nothing else, before those of each
// worker.
func TestPartsOfTheHealthFollowFromTheSettings(t *testing.T) {
	for want, change := range map[string]func(*settings){
		"":         func(*settings) {},
		"token":    func(s *settings) { s.Webserver.PairFile = "pair" },
		"digests":  func(s *settings) { s.Audit.SeedFile = "seed" },
		"issuers":  func(s *settings) { s.IssuersFile = "issuers" },
		"receiver": func(s *settings) { s.Receiver.Addr = ":8443" },
	} {
		var s settings
		change(&s)
		if parts := s.parts(); !slices.Equal(parts, append(strings.Fields(want), worker.Parts...)) {
			t.Errorf("with %q: %q", want, parts)
		}
	}
}

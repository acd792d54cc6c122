package main

import (
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/nats-io/nkeys"
	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/metrics"
	"logoffworker/worker/broker"
	"logoffworker/worker/stage"
	"logoffworker/worker/stage/pipe"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

// The embedded broker writes through to the disk, and demands what the worker was given; without any
// credentials that is said.
func TestEmbeddedBrokerSyncsAndDemandsCredentials(t *testing.T) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, test := range map[string]struct {
		set     func(*settings)
		want    broker.Options
		problem bool
	}{
		"nothing":       {set: func(*settings) {}},
		"user":          {set: func(s *settings) { s.NATS.User, s.NATS.Password = "u", "p" }, want: broker.Options{User: "u", Password: "p"}},
		"user, file":    {set: func(s *settings) { s.NATS.User, s.NATS.PasswordFile = "u", file("p\n") }, want: broker.Options{User: "u", Password: "p"}},
		"token":         {set: func(s *settings) { s.NATS.Token = "t" }, want: broker.Options{Token: "t"}},
		"token, file":   {set: func(s *settings) { s.NATS.TokenFile = file("t\n") }, want: broker.Options{Token: "t"}},
		"NKey":          {set: func(s *settings) { s.NATS.NkeyFile = file(string(seed) + "\n") }, want: broker.Options{NKey: public}},
		"no NKey":       {set: func(s *settings) { s.NATS.NkeyFile = file("SU") }, problem: true},
		"no such token": {set: func(s *settings) { s.NATS.TokenFile = file("") + "x" }, problem: true},
	} {
		var s settings
		s.NATS.StoreDir, s.NATS.Listen = "d", "l"
		test.set(&s)
		output := &stage.Output{}
		o, err := brokerOptions(s, slog.New(slog.NewTextHandler(output, nil)))
		if (err != nil) != test.problem {
			t.Errorf("%s: %v", name, err)
		}
		if test.problem {
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

package stream

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/metrics"
	"logoffworker/worker/broker"
	"logoffworker/worker/stage"
	"logoffworker/worker/stage/bubble"
)

// file writes one, and returns its path.
func file(t *testing.T, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return file(t, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})), file(t, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}))
}

// Each setting of a connection has its effect, and none has another's.
func TestSettingsOfAConnectionTakeEffect(t *testing.T) {
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	cert, key := certificate(t)
	secret := func() (string, error) { return "secret", nil }
	for name, test := range map[string]struct {
		connection Connection
		sets       string
	}{
		"nothing":         {Connection{}, ""},
		"inbox":           {Connection{InboxPrefix: "mine"}, "inbox"},
		"creds":           {Connection{CredsFile: file(t, nil)}, "jwt"},
		"nkey":            {Connection{NKeyFile: file(t, seed)}, "nkey"},
		"user":            {Connection{User: "u", Password: secret}, "user"},
		"token":           {Connection{Token: secret}, "token"},
		"CA":              {Connection{CAFile: cert}, "ca"},
		"certificate":     {Connection{CertFile: cert, KeyFile: key}, "certificate"},
		"handshake first": {Connection{TLSFirst: true}, "first"},
	} {
		options, err := test.connection.options()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var o nats.Options
		for _, option := range options {
			if err := option(&o); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for what, set := range map[string]bool{
			"inbox": o.InboxPrefix == "mine", "jwt": o.UserJWT != nil, "nkey": o.Nkey != "", "token": o.TokenHandler != nil && o.TokenHandler() == "secret",
			"user": o.UserInfo != nil, "ca": o.RootCAsCB != nil, "certificate": o.TLSCertCB != nil, "first": o.TLSHandshakeFirst,
		} {
			if set != (what == test.sets) {
				t.Errorf("%s: %s is set: %t", name, what, set)
			}
		}
	}
}

// Settings that can never work are refused, in words without their secrets.
func TestConnectionThatCanNeverWorkIsRefused(t *testing.T) {
	cert, _ := certificate(t)
	health := metrics.NewHealth(slog.New(slog.DiscardHandler))
	for name, test := range map[string]struct {
		connection Connection
		says       string
	}{
		"creds":       {Connection{CredsFile: "/none"}, "NATS credentials: open /none"},
		"nkey":        {Connection{NKeyFile: file(t, []byte("canary"))}, "NATS NKey seed: the file cannot be read or holds no user seed"},
		"CA":          {Connection{CAFile: "/none"}, "NATS CA file: open /none"},
		"certificate": {Connection{CertFile: cert, KeyFile: cert}, "NATS client certificate: "},
		"URL":         {Connection{URL: "nats://u:can%zzcanary@h"}, "a server of the list is no URL"},
		"an option":   {Connection{Options: []nats.Option{func(*nats.Options) error { return errors.New("no such option") }}}, "NATS: no such option"},
	} {
		nc, err := Connect(test.connection, health, metrics.New(prometheus.NewRegistry(), metrics.Build{}), slog.New(slog.DiscardHandler))
		if err == nil || nc != nil || !strings.HasPrefix(strings.TrimPrefix(err.Error(), "NATS: "), strings.TrimPrefix(test.says, "NATS: ")) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if shown := ShownURLs("canary,nats://h"); shown != "(not a URL),nats://h" {
		t.Error(shown)
	}
}

// A told is Streams at a broker, with what they tell.
type told struct {
	*Streams
	broker *broker.Broker
	log    *stage.Output
}

// withStreams runs a test in fake time with streams that are found.
func withStreams(t *testing.T, c Config, test func(t *testing.T, s *told)) {
	bubble.Run(t, time.Minute, func(t *testing.T) {
		b, err := broker.Start(broker.Options{StoreDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Shutdown)
		s := &told{broker: b, log: &stage.Output{}}
		log, m := slog.New(slog.NewTextHandler(s.log, nil)), metrics.New(prometheus.NewRegistry(), metrics.Build{})
		health := metrics.NewHealth(log, Parts...)
		nc, err := Connect(Connection{Options: []nats.Option{b.InProcess()}}, health, m, log)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		synctest.Wait()
		s.Streams = &Streams{Config: c, NATS: nc, Metrics: m, Health: health, Log: log, Wait: func(int) time.Duration { return time.Second }}
		made := c
		made.Provision = ProvisionCreate
		if s.js, err = c.JetStream(nc); err != nil {
			t.Fatal(err)
		}
		if err := made.ProvisionStreams(t.Context(), s.js); err != nil {
			t.Fatal(err)
		}
		if err := s.Find(t.Context()); err != nil {
			t.Fatal(err)
		}
		test(t, s)
	})
}

// said is what keeps the worker from being ready.
func (s *told) said() string {
	_, conditions := s.Health.Ready()
	return fmt.Sprint(conditions)
}

// A connection that is made again is told once, one that is ended here is not lost, and what NATS complains of is told by its kind.
func TestHowTheConnectionStandsIsTold(t *testing.T) {
	withStreams(t, DefaultConfig(), func(t *testing.T, s *told) {
		if err := s.NATS.ForceReconnect(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := strings.Count(s.log.String(), "The worker is connected to NATS."); n != 1 || s.NATS.Stats().Reconnects != 1 {
			t.Errorf("told %d times:\n%s", n, s.log)
		}
		watch := &connectionWatch{health: s.Health, metrics: s.Metrics, log: s.Log}
		watch.failed(nil, nil, fmt.Errorf("%w: publish to x", nats.ErrPermissionViolation))
		if said := s.said(); !strings.Contains(said, "a NATS permission is missing") {
			t.Error(said)
		}
		watch.failed(nil, nil, fmt.Errorf(`%w: Permissions Violation for Publish to "$JS.API.STREAM.MSG.GET.LOGOFF_REQUESTS"`, nats.ErrPermissionViolation))
		if said := s.said(); strings.Contains(said, "how old") || !strings.Contains(s.log.String(), "without which it is not known how old the oldest job is") {
			t.Errorf("%s\n%s", said, s.log)
		}
		watch.failed(nil, nil, nats.ErrSlowConsumer)
		watch.failed(nil, nil, errors.New("something else"))
		if log := s.log.String(); strings.Count(log, "messages came faster than they were taken") != 1 || strings.Count(log, "kind=error") != 1 {
			t.Error(log)
		}
		watch.lost("it is down", nats.ErrAuthorization)
		if said := s.said(); !strings.Contains(said, "give the worker the credentials") || s.Health.Verdict().State != metrics.StateBroken {
			t.Error(said)
		}
		watch.lost("it is down", nil)
		if said := s.said(); !strings.Contains(said, "it is down (") {
			t.Error(said)
		}
		watch.lost("it is down", errors.New("for a reason"))
		if said := s.said(); !strings.Contains(said, "it is down: for a reason") {
			t.Error(said)
		}
		watch.connected(s.NATS)
		s.NATS.Close()
		synctest.Wait()
		if said := s.said(); strings.Contains(said, "lost") {
			t.Error(said)
		}
	})
}

// A pull that failed is told by its reason, unless the connection is down, which is told already.
func TestPullThatFailedIsTold(t *testing.T) {
	withStreams(t, DefaultConfig(), func(t *testing.T, s *told) {
		s.PullFailed(t.Context(), "urgent", errSilent)
		if said := s.said(); !strings.Contains(said, "no urgent jobs can be taken: a pull got no answer") {
			t.Error(said)
		}
		s.PullsAgain("urgent")
		if err := s.js.DeleteConsumer(t.Context(), "LOGOFF_REQUESTS", "urgent"); err != nil {
			t.Fatal(err)
		}
		s.PullFailed(t.Context(), "urgent", errMissing)
		if said := s.said(); !strings.Contains(said, "is missing: somebody deleted it") || strings.Contains(said, "jobs can be taken") {
			t.Error(said)
		}
		s.PullsAgain("urgent")
		s.broker.Shutdown()
		time.Sleep(time.Second)
		s.PullFailed(t.Context(), "urgent", errSilent)
		if said := s.said(); strings.Contains(said, "jobs can be taken") || !strings.Contains(s.log.String(), "the connection to NATS was lost") {
			t.Errorf("%s\n%s", said, s.log)
		}
		p := s.Puller("urgent")
		if _, err := p.Pull(1, time.Second); err == nil || !strings.Contains(err.Error(), "ask for jobs: ") {
			t.Errorf("a pull without a connection: %v", err)
		}
	})
}

// Streams that are missing are waited for until the stop, and what is wrong with them ends the wait.
func TestStreamsAreWaitedFor(t *testing.T) {
	c := DefaultConfig()
	c.Provision = ProvisionVerify
	withStreams(t, c, func(t *testing.T, s *told) {
		if _, err := s.Result(t.Context(), "logoff.results.a.b"); err == nil || !strings.Contains(err.Error(), "message not found") {
			t.Errorf("a result that is not there: %v", err)
		}
		if _, err := s.js.Publish(t.Context(), "logoff.results.a.b", []byte("done")); err != nil {
			t.Fatal(err)
		}
		if msg, err := s.Result(t.Context(), "logoff.results.a.b"); err != nil || string(msg.Data) != "done" {
			t.Errorf("%v, %v", msg, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		other := &Streams{Config: c, NATS: s.NATS, Metrics: s.Metrics, Health: s.Health, Log: s.Log, Wait: s.Wait}
		other.Config.Subjects.Prefix = "other.site"
		begun := time.Now()
		if err := other.Find(ctx); !errors.Is(err, ctx.Err()) || err == nil || time.Since(begun) > 4*time.Second {
			t.Errorf("missing: %v after %v", err, time.Since(begun))
		}
		if said := s.said(); !strings.Contains(said, "streams and consumers are not ready") {
			t.Error(said)
		}
		s.Provision(t.Context())
		if said := s.said(); said != "[]" {
			t.Errorf("found: %s", said)
		}
		other.Provision(ctx)
		if said := s.said(); said != "[]" {
			t.Errorf("after the stop: %s", said)
		}
		config := c.results()
		config.Discard, config.DiscardNewPerSubject, config.MaxAge = 0, false, 0
		if _, err := s.js.UpdateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		begun = time.Now()
		var mismatch *MismatchError
		if err := s.Find(t.Context()); !errors.As(err, &mismatch) || time.Since(begun) != 0 {
			t.Errorf("changed: %v after %v", err, time.Since(begun))
		}
	})
}

// Each setting is looked at.
func TestSettingsOfStreamsAreLookedAt(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Config)
		says   string
	}{
		"verify":       {func(c *Config) { c.Provision = ProvisionVerify }, ""},
		"five copies":  {func(c *Config) { c.Replicas = 5 }, ""},
		"six copies":   {func(c *Config) { c.Replicas = 6 }, "Replicas"},
		"one MiB":      {func(c *Config) { c.MaxBytes = minStreamBytes }, ""},
		"an API":       {func(c *Config) { c.API = "$JS.hub.API" }, ""},
		"a blank":      {func(c *Config) { c.API = "a b" }, "API"},
		"empty tokens": {func(c *Config) { c.API = "a." }, "API"},
	} {
		c := DefaultConfig()
		test.change(&c)
		if err := c.Validate(); (err == nil) != (test.says == "") || err != nil && !strings.HasPrefix(err.Error(), test.says+": ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

package stream_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"logoffworker/metrics"
	"logoffworker/worker/stage"
)

// numbers are the values of gauges by name, and by the only label where there is one.
func numbers(t *testing.T, reg prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			name := family.GetName()
			for _, label := range metric.GetLabel() {
				name += " " + label.GetValue()
			}
			all[name] = metric.GetGauge().GetValue()
		}
	}
	return all
}

// A stream that fills is told before it is full, and what it holds and may hold is a number.
func TestStreamThatFillsIsTold(t *testing.T) {
	bubbled(t, func(t *testing.T) {
		s := newSite(t)
		reg := prometheus.NewRegistry()
		s.streams.Metrics = metrics.New(reg, metrics.Build{})
		s.watch(nil)
		s.editStream(subjects.RequestStream(), func(c *jetstream.StreamConfig) { c.MaxBytes = 100_000 })
		for range 8 {
			s.publish("logoff.requests", strings.Repeat("x", 10_000))
		}
		passes(15 * time.Second)
		if said := s.log.String(); strings.Contains(said, "nearly full") {
			t.Errorf("too early:\n%s", said)
		}
		for range 20 {
			s.publish("logoff.requests", strings.Repeat("x", 550)) // of which there is room for some more
		}
		passes(15 * time.Second)
		if said := s.said(); strings.Contains(said, "full") || !strings.Contains(s.log.String(), "streams: the stream LOGOFF_REQUESTS is nearly full: it holds 28 messages") {
			t.Errorf("%s\n%s", said, s.log)
		}
		n := numbers(t, reg)
		if n["logoff_stream_limit_bytes requests"] != 100_000 || n["logoff_stream_bytes requests"] < 90_000 || n["logoff_stream_bytes dead"] != 0 {
			t.Errorf("%v", n)
		}
		if count, err := testutil.GatherAndCount(reg, "logoff_stream_bytes", "logoff_stream_limit_bytes"); err != nil || count != 4 {
			t.Errorf("%d values, %v", count, err)
		}
		s.publish("logoff.requests", strings.Repeat("x", 5000))
		passes(15 * time.Second)
		for _, words := range []string{"the stream LOGOFF_REQUESTS is full", "NATS refuses new jobs, and tells their publishers", "nats stream edit LOGOFF_REQUESTS --force --max-msgs=-1 --max-bytes=-1"} {
			if said := s.said(); !strings.Contains(said, words) {
				t.Errorf("it does not say %q:\n%s", words, said)
			}
		}
	})
}

// Dead letters are counted by reason.
func TestDeadLettersThatAreThereAreCounted(t *testing.T) {
	bubbled(t, func(t *testing.T) {
		s := newSite(t)
		reg := prometheus.NewRegistry()
		s.streams.Metrics = metrics.New(reg, metrics.Build{})
		s.publish("logoff.dead.failed", "{}")
		s.publish("logoff.dead.failed", "{}")
		s.publish("logoff.dead.invalid", "{}")
		s.publish("logoff.dead.other", "{}")
		s.watch(nil)
		passes(time.Second)
		n := numbers(t, reg)
		if n["logoff_dead_letters_present failed"] != 2 || n["logoff_dead_letters_present invalid"] != 1 || n["logoff_dead_letters_present partial"] != 0 {
			t.Errorf("%v", n)
		}
		if count, err := testutil.GatherAndCount(reg, "logoff_dead_letters_present"); err != nil || count != 5 {
			t.Errorf("%d reasons, %v", count, err)
		}
	})
}

// An account that may store no more is told, before that as well, and what it has stored is a number.
func TestAccountThatFillsIsTold(t *testing.T) {
	bubbled(t, func(t *testing.T) {
		s := newSite(t)
		account := server.NewAccount("LIMITED")
		b, err := stage.StartNATS(&server.Options{
			JetStream: true, StoreDir: t.TempDir(), DontListen: true, Accounts: []*server.Account{account},
			Users: []*server.User{{Username: "u", Password: "p", Account: account}},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Shutdown(); b.WaitForShutdown() })
		const limit = 20 << 20
		if account, err = b.LookupAccount("LIMITED"); err != nil {
			t.Fatal(err)
		}
		enable := reflect.ValueOf(account.EnableJetStream) // which has a parameter more since nats-server 2.11
		with := []reflect.Value{reflect.ValueOf(map[string]server.JetStreamAccountLimits{"": {MaxStore: limit, MaxStreams: -1, MaxConsumers: -1}})}
		for i := 1; i < enable.Type().NumIn(); i++ {
			with = append(with, reflect.Zero(enable.Type().In(i)))
		}
		if err := enable.Call(with)[0]; !err.IsNil() {
			t.Fatal(err)
		}
		reg := prometheus.NewRegistry()
		s.reconnect(reg, nats.InProcessServer(b), nats.UserInfo("u", "p"))
		s.watch(nil)
		stored := 0
		fill := func(most float64) {
			for n := 0.0; n < most*limit; n = numbers(t, reg)["logoff_nats_storage_bytes"] {
				for range 5 {
					stored++
					s.publish(fmt.Sprint("logoff.results.a.", stored), strings.Repeat("x", 100_000))
				}
				passes(10 * time.Second)
			}
		}
		fill(0.5)
		if said := s.said() + s.log.String(); strings.Contains(said, "may soon store no more") {
			t.Error(said)
		}
		if n := numbers(t, reg)["logoff_nats_storage_limit_bytes"]; n != limit {
			t.Errorf("the limit is %v", n)
		}
		fill(0.91)
		if said := s.said(); said != "" || !strings.Contains(s.log.String(), "streams: the worker's account at NATS may soon store no more") {
			t.Errorf("%s\n%s", said, s.log)
		}
		fill(0.96)
		if said := s.said(); !strings.Contains(said, "streams: the worker's account at NATS may store no more") || !strings.Contains(said, "raise the limit of the account's storage") {
			t.Errorf("%s\n%s", said, s.log)
		}
	})
}

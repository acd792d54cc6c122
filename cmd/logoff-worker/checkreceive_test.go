package main

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/worker/stage"
	"logoffworker/worker/stream"
)

// receiverAndAdmin are two users of a NATS server: one that may do what a receiver has to, and one that may do everything.
const receiverAndAdmin = `jetstream { store_dir: STORE }
accounts { A { jetstream: enabled, users: [
	{ user: admin, password: p },
	{ user: receiver, password: p, permissions: {
		publish: [ "logoff.requests.urgent.siem", "logoff.requests.bulk.siem" ], subscribe: "_INBOX_receiver.>"
	} }
] } }`

// check says of a receiver what it would do and what keeps it from that, and fails with the number of what does.
func TestCheckOfAReceiver(t *testing.T) {
	s := natsServer(t, receiverAndAdmin)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	trusted, addr := "LOGOFF_ISSUERS_FILE="+written(t, "issuers.yaml", trustedText), "LOGOFF_RECEIVER_ADDR=127.0.0.1:0"
	if err := stream.DefaultConfig().ProvisionStreams(t.Context(), jetStream(t, s.ClientURL(), nats.UserInfo("admin", "p"))); err != nil {
		t.Fatal(err)
	}
	type words []string
	for _, test := range []struct {
		name       string
		with       []string
		fails      string
		says, nots words
	}{
		{"settings", nil, "LOGOFF_ISSUERS_FILE: required", nil, words{"settings", "nats"}},
		{"all it needs", []string{trusted, addr}, "", words{
			"ok    receiver   127.0.0.1:0 is free", "ok    nats       connected to " + s.ClientURL(),
			"ok    rights     jobs of siem can be stored", "ok    rights     this NATS user may do nothing else",
		}, words{"polling", "warn"}},
		{"too many rights", []string{trusted, addr, "LOGOFF_NATS_USER=admin"}, "", words{"warn  rights     this NATS user may do more than a receiver has to"}, words{"may do nothing else"}},
		{"an address that is taken", []string{trusted, "LOGOFF_RECEIVER_ADDR=" + taken.Addr().String()}, "", words{"warn  receiver   something listens at " + taken.Addr().String()}, words{"is free\nok    nats"}},
		{"no address of this machine", []string{trusted, "LOGOFF_RECEIVER_ADDR=192.0.2.1:8443"}, "1 of the checks failed", words{"FAIL  receiver   LOGOFF_RECEIVER_ADDR: 192.0.2.1:8443 is no address"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			receiverEnvironment(t, s.ClientURL(), append([]string{"LOGOFF_NATS_USER=receiver", "LOGOFF_NATS_PASSWORD=p"}, test.with...)...)
			var out strings.Builder
			err := checkReceiver(t.Context(), &out)
			if (err == nil) != (test.fails == "") || err != nil && !strings.Contains(err.Error(), test.fails) {
				t.Errorf("it ends with %v, want %q", err, test.fails)
			}
			if !containsAll(out.String(), test.says) {
				t.Errorf("it does not say %q:\n%s", test.says, out.String())
			}
			for _, not := range test.nots {
				if strings.Contains(out.String(), not) {
					t.Errorf("it says %q:\n%s", not, out.String())
				}
			}
		})
	}
}

// A receiver that only polls has no address, of which nothing is said.
func TestCheckOfNoAddressSaysNothing(t *testing.T) {
	var out strings.Builder
	r := report{w: &out}
	r.checkReceiverAddr(t.Context(), settings{})
	if out.String() != "" {
		t.Errorf("it says %q", out.String())
	}
}

// What keeps a receiver from NATS is said, and nothing of what would have been asked there.
func TestCheckSaysWhyAReceiverHasNoNATS(t *testing.T) {
	nobody, err := stage.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		set  func(*settings)
		says string
	}{
		"nobody listens": {func(*settings) {}, "FAIL  nats       NATS cannot be reached: "},
		"no seed":        {func(s *settings) { s.NATS.NkeyFile = written(t, "seed", "SU") }, "FAIL  nats       NATS NKey seed: "},
		"a wrong file":   {func(s *settings) { s.IssuersFile = written(t, "issuers.yaml", "publisher: []\n") }, "FAIL  issuers    "},
	} {
		t.Run(name, func(t *testing.T) {
			s := settings{Prefix: "logoff", IssuersFile: written(t, "issuers.yaml", trustedText)}
			s.NATS.URL = "nats://" + nobody
			test.set(&s)
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // NATS is not waited for
			var out strings.Builder
			r := report{w: &out}
			r.checkReceiverNATS(ctx, s)
			if said := out.String(); !strings.HasPrefix(said, test.says) || strings.Contains(said, "ok ") || r.failed != 1 {
				t.Errorf("it says %q, want %q", said, test.says)
			}
		})
	}
}

// A worker that receives, too, is told whether it could store what it receives; one that does not is told nothing.
func TestCheckOfAWorkerThatReceives(t *testing.T) {
	t.Parallel() // NATS is asked more than once for a stream that is not there
	const (
		cloudEvents = "recipes:\n  - {name: graph, cloudevent: Microsoft.Graph.UserDeleted, user: 'email:{/data/mail}'}\n"
		hook        = "recipes:\n  - {name: splunk, path: /v1/hooks/splunk, query: {token: hook-secret}, user: 'name:{/result/user}'}\n"
	)
	s := natsServer(t, "jetstream { store_dir: STORE }")
	js := jetStream(t, s.ClientURL())
	closed, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for _, test := range []struct {
		name, addr, issuers string
		nc                  *nats.Conn
		says                string
		failed              int
	}{
		{"no address", "", trustedText, js.Conn(), "", 0},
		{"no issuers file", ":8443", "", js.Conn(), "", 0},
		{"a wrong one", ":8443", "publisher: []\n", js.Conn(), "", 0},
		{"nobody who may send", ":8443", cloudEvents, js.Conn(), "note  rights     the issuers file has nobody who may send to LOGOFF_RECEIVER_ADDR", 0},
		{"no stream", ":8443", hook, js.Conn(), "warn  rights     whether what is received can be stored was not tried", 0},
		{"no connection", ":8443", trustedText, closed, "FAIL  rights     jobs of siem cannot be stored: the connection to NATS is down", 1},
		{"streams", ":8443", trustedText, js.Conn(), "ok    rights     jobs of siem can be stored", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.name == "streams" {
				if err := stream.DefaultConfig().ProvisionStreams(t.Context(), js); err != nil {
					t.Fatal(err)
				}
			}
			s := settings{Prefix: "logoff"}
			s.Receiver.Addr = test.addr
			if test.issuers != "" {
				s.IssuersFile = written(t, "issuers.yaml", test.issuers)
			}
			var out strings.Builder
			r := report{w: &out}
			r.checkReceiving(t.Context(), s, test.nc)
			if said := out.String(); (said == "") != (test.says == "") || !strings.HasPrefix(said, test.says) || strings.Count(said, "\n") > 1 || r.failed != test.failed {
				t.Errorf("it says %q, want %q", said, test.says)
			}
		})
	}
}

// Whether streams can be polled is said by the bucket that those share who poll, where a stream is polled.
func TestCheckSaysWhetherStreamsCanBePolled(t *testing.T) {
	s := natsServer(t, "jetstream { store_dir: STORE }\naccounts { A { jetstream: enabled, users: [ { user: all }, { user: none, permissions: { publish: none } } ] } }\nno_auth_user: all")
	js := jetStream(t, s.ClientURL())
	polled := issuersWith(t, "{delivery: poll}")
	bucket := func(t *testing.T, name string) {
		if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: name}); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name, issuers string
		provision     stream.Provision
		have          func(t *testing.T)
		user          string
		says          string
	}{
		{"no issuers file", "", stream.ProvisionCreate, nil, "all", ""},
		{"no stream", written(t, "issuers.yaml", trustedText), stream.ProvisionCreate, nil, "all", ""},
		{"no bucket yet", polled, stream.ProvisionCreate, nil, "all", "ok    polling    the bucket LOGOFF_SIGNALS will be made"},
		{"no bucket", polled, stream.ProvisionVerify, nil, "all", "FAIL  polling    the bucket LOGOFF_SIGNALS is not there, and no stream is polled until it is: run logoff-worker init"},
		{"no right to see it", polled, stream.ProvisionCreate, nil, "none", "FAIL  polling    bucket LOGOFF_SIGNALS: context deadline exceeded: no stream is polled until it can be read; deploy/nats/accounts.conf"},
		{"a bucket", polled, stream.ProvisionVerify, func(t *testing.T) { bucket(t, "LOGOFF_SIGNALS") }, "all", "ok    polling    the bucket LOGOFF_SIGNALS is there and can be written"},
		{"a bucket that takes nothing", polled, stream.ProvisionVerify, func(t *testing.T) {
			kv, err := js.Stream(t.Context(), "KV_LOGOFF_SIGNALS")
			if err != nil {
				t.Fatal(err)
			}
			config := kv.CachedInfo().Config
			config.Sealed = true
			if _, err := js.UpdateStream(t.Context(), config); err != nil {
				t.Fatal(err)
			}
		}, "all", "FAIL  polling    no stream is polled until the bucket can be written, too: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.have != nil {
				test.have(t)
			}
			ctx := t.Context()
			if test.user == "none" { // NATS does not answer what it does not let through
				short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
				defer cancel()
				ctx = short
			}
			with := settings{Prefix: "logoff", IssuersFile: test.issuers}
			with.NATS.Provision = string(test.provision)
			var out strings.Builder
			r := report{w: &out}
			quiet := nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})
			r.checkPolling(ctx, with, jetStream(t, s.ClientURL(), nats.UserInfo(test.user, ""), quiet))
			if said := out.String(); (said == "") != (test.says == "") || !strings.HasPrefix(said, test.says) {
				t.Errorf("it says %q, want %q", said, test.says)
			}
		})
	}
}

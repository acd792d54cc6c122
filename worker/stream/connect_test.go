package stream_test

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/metrics"
	"logoffworker/worker/broker"
	"logoffworker/worker/stage"
	"logoffworker/worker/stage/bubble"
	"logoffworker/worker/stream"
)

func TestShownURLsHoldNoUser(t *testing.T) {
	for list, want := range map[string]string{
		"nats://canary@a:4222":                      "nats://a:4222",
		"nats://u:canary@a:4222,tls://canary@[::1]": "nats://a:4222,tls://[::1]",
		"https://h/path?canary#canary":              "https://h/path",
		"wss://canary:@h":                           "wss://h",
		"canary@h:4222":                             "(not a URL)",
		"nats://u:can%ary@h":                        "(not a URL)",
		"embedded":                                  "embedded",
		"":                                          "",
	} {
		if got := stream.ShownURLs(list); got != want {
			t.Errorf("%s is shown as %s, want %s", list, got, want)
		}
	}
}

// The log tells which server is reached, and not the token that is in its URL.
func TestTokenInTheURLIsNotLogged(t *testing.T) {
	bubble.Run(t, time.Minute, func(t *testing.T) {
		b, err := broker.Start(broker.Options{StoreDir: t.TempDir(), Token: "canary"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Shutdown)
		var output stage.Output
		log := slog.New(slog.NewTextHandler(&output, nil))
		connection := stream.Connection{URL: "nats://canary@nats.example:4222", Options: []nats.Option{b.InProcess()}}
		nc, err := stream.Connect(connection, metrics.NewHealth(log, stream.Parts...), metrics.New(prometheus.NewRegistry(), metrics.Build{}), log)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		synctest.Wait()
		if said := output.String(); strings.Contains(said, "canary") || !strings.Contains(said, "nats.example:4222") {
			t.Errorf("the log says %s", said)
		}
	})
}

// What is published while there is no connection fails at once, and never lands later.
func TestNothingIsBufferedWithoutAConnection(t *testing.T) {
	bubble.Run(t, time.Minute, func(t *testing.T) {
		b, err := broker.Start(broker.Options{StoreDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		log := slog.New(slog.DiscardHandler)
		connection := stream.Connection{Options: []nats.Option{b.InProcess()}}
		nc, err := stream.Connect(connection, metrics.NewHealth(log, stream.Parts...), metrics.New(prometheus.NewRegistry(), metrics.Build{}), log)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		synctest.Wait()
		if err := nc.Publish("x", nil); err != nil {
			t.Error(err)
		}
		b.Shutdown()
		synctest.Wait()
		if err := nc.Publish("x", nil); err == nil {
			t.Error("it is kept for later")
		}
	})
}

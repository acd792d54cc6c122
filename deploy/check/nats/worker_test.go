package nats_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/metrics"
	"logoffworker/worker"
	"logoffworker/worker/stage"
	"logoffworker/worker/stage/pipe"
	"logoffworker/worker/stream"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

// webServer is a simulated Web Server with a person of userId 7, and a client of it.
func webServer(t *testing.T) (*simulator.Server, *webserver.Client) {
	t.Helper()
	sim := simulator.New(simulator.Settings{}, 1)
	sim.AddUser(simulator.User{ID: 1, Login: "admin", Password: "secret", Administrator: true})
	sim.AddUser(simulator.User{ID: 7, Login: "jane", Password: "x"})
	dial, stop := pipe.Serve(sim)
	t.Cleanup(stop)
	client, err := webserver.New(webserver.Config{
		URL: "http://127.0.0.1/commandcenter/api", Username: "admin", Password: func() (string, error) { return "secret", nil },
		Timeout: 30 * time.Second, DialContext: dial,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdle)
	return sim, client
}

// work runs a worker that creates nothing until ctx ends, and returns its log.
func work(ctx context.Context, t *testing.T, s *server.Server, client *webserver.Client, config stream.Config, user nats.Option) string {
	t.Helper()
	output := &stage.Output{}
	log := slog.New(slog.NewTextHandler(output, nil))
	m, health := metrics.New(prometheus.NewRegistry(), metrics.Build{}), metrics.NewHealth(log, worker.Parts...)
	nc, err := stream.Connect(stream.Connection{
		InboxPrefix: inbox("worker"), Options: []nats.Option{nats.InProcessServer(s), user},
	}, health, m, log)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer nc.Close()
	w := &worker.Worker{Config: worker.DefaultConfig(), NATS: nc, Server: client, Metrics: m, Health: health, Log: log}
	w.Config.Name, w.Config.Stream = "w", config
	w.Config.Stream.Provision = stream.ProvisionVerify
	if err := w.Run(ctx); err != nil {
		t.Error(err)
	}
	return output.String()
}

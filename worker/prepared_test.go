package worker

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/metrics"
	"logoffworker/worker/webserver"
)

// preparedWorker is a worker that does not run, with a Web Server that a test has made, if it needs one.
func preparedWorker(t *testing.T, change func(*Worker), answers http.HandlerFunc) *Worker {
	t.Helper()
	url := "http://127.0.0.1:1"
	if answers != nil {
		server := httptest.NewServer(answers)
		t.Cleanup(server.Close)
		url = server.URL
	}
	client, err := webserver.New(webserver.Config{URL: url, AllowHTTP: true, Token: func() (string, error) { return "token", nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdle)
	log := slog.New(slog.DiscardHandler)
	w := &Worker{
		Config: DefaultConfig(), Server: client, Log: log,
		Metrics: metrics.New(prometheus.NewRegistry(), metrics.Build{}), Health: metrics.NewHealth(log, Parts...),
	}
	w.Config.Name = "w"
	w.stopping, w.finish = t.Context(), t.Context()
	if change != nil {
		change(w)
	}
	if err := w.prepare(); err != nil {
		t.Fatal(err)
	}
	return w
}

// A told worker has a log and metrics in which a test can read, and nothing else.
type told struct {
	*Worker
	registry *prometheus.Registry
	lines    *strings.Builder
}

func newTold() told {
	lines, registry := &strings.Builder{}, prometheus.NewRegistry()
	log := slog.New(slog.NewTextHandler(lines, nil))
	return told{&Worker{Metrics: metrics.New(registry, metrics.Build{}), Health: metrics.NewHealth(log), Log: log}, registry, lines}
}

// kinds are the kinds of what is wrong.
func (w told) kinds() (kinds []string) {
	_, conditions := w.Health.Ready()
	for _, c := range conditions {
		kinds = append(kinds, c.Kind)
	}
	return kinds
}

// A prepared worker with its streams, and what it says and counts.
type withStreams struct {
	told
	nc *nats.Conn
}

// withItsStreams runs a test in fake time with a worker that does not run, and the streams of a real broker.
func withItsStreams(t *testing.T, change func(*Worker), test func(t *testing.T, w withStreams)) {
	withNATS(t, func(t *testing.T, nc *nats.Conn) {
		w := newTold()
		w.Worker = preparedWorker(t, func(prepared *Worker) {
			prepared.NATS, prepared.Metrics, prepared.Health, prepared.Log = nc, w.Metrics, w.Health, w.Log
			if change != nil {
				change(prepared)
			}
		}, nil)
		if err := w.streams.Find(t.Context()); err != nil {
			t.Fatal(err)
		}
		test(t, withStreams{w, nc})
	})
}

// counted is the sum of a counter over all its labels.
func (w told) counted(t *testing.T, name string) (sum float64) {
	t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			for _, metric := range family.GetMetric() {
				sum += metric.GetCounter().GetValue()
			}
		}
	}
	return sum
}

package fleet

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/worker/stage"
	"logoffworker/worker/stage/bubble"
	"logoffworker/worker/stream"
)

// A worker with the rights of before there was a fleet says once what it lacks, and is ready all the same.
func TestRightsOfTheFleetMayBeMissing(t *testing.T) {
	bubble.Run(t, time.Minute, func(t *testing.T) {
		broker, err := stage.StartNATS(&server.Options{
			JetStream: true, StoreDir: t.TempDir(), DontListen: true,
			Users: []*server.User{{Username: "worker", Password: "w", Permissions: &server.Permissions{
				Publish:   &server.SubjectPermission{Allow: []string{"logoff.results.>"}},
				Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX_logoff.>"}},
			}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { broker.Shutdown(); broker.WaitForShutdown() }()
		said := &stage.Output{}
		log := slog.New(slog.NewTextHandler(said, nil))
		health := metrics.NewHealth(log, stream.PartNATS)
		nc, err := stream.Connect(stream.Connection{
			User: "worker", Password: func() (string, error) { return "w", nil }, InboxPrefix: "_INBOX_logoff",
			Options: []nats.Option{nats.InProcessServer(broker)},
		}, health, metrics.New(prometheus.NewRegistry(), metrics.Build{}), log)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		m, err := Join(Config{NATS: nc, Subjects: jobs.Subjects{Prefix: "logoff"}, Worker: "w-1", Status: func() []byte { return []byte("well") }})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Leave()
		for range 5 {
			if got := m.Ask(t.Context()); len(got) != 0 {
				t.Errorf("%v answer", said)
			}
		}
		if ready, conditions := health.Ready(); !ready {
			t.Errorf("the worker is not ready: %v", conditions)
		}
		if n := strings.Count(said.String(), "cannot tell each other how they are"); n != 1 {
			t.Errorf("it is said %d times:\n%s", n, said)
		}
	})
}

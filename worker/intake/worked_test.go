package intake

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/worker"
	"logoffworker/worker/stage"
	"logoffworker/worker/stage/pipe"
	"logoffworker/worker/stream"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

// worked has a worker work what is stored, and returns the results of each job by its id once there are n. The Web Server
// knows p0 and so on at corp.example, each with a session.
func (r *rig) worked(t *testing.T, connection stream.Connection, n int) map[string][]jobs.Result {
	t.Helper()
	sim := simulator.New(simulator.Settings{}, 1)
	sim.AddUser(simulator.User{ID: 1, Login: "admin", Password: "secret", Administrator: true})
	for i := range n {
		id := 100 + i
		sim.AddUser(simulator.User{ID: id, Login: fmt.Sprint("p", i), Password: "x", Email: fmt.Sprintf("p%d@corp.example", i)})
		sim.SignOn(id, simulator.ConsoleWeb)
	}
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
	out := &stage.Output{}
	log := slog.New(slog.NewTextHandler(out, nil))
	m, health := metrics.New(prometheus.NewRegistry(), metrics.Build{}), metrics.NewHealth(log, worker.Parts...)
	nc, err := stream.Connect(connection, health, m, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	w := &worker.Worker{Config: worker.DefaultConfig(), NATS: nc, Server: client, Metrics: m, Health: health, Log: log}
	w.Config.Name = "w"
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	if !stage.Await(t.Context(), 2*time.Minute, func() bool {
		handle, err := r.js.Stream(t.Context(), subjects.ResultStream())
		return err == nil && handle.CachedInfo().State.Msgs >= uint64(n)
	}) {
		t.Errorf("%d jobs do not have their results\n%s", n, out)
	}
	if cancel(); <-ended != nil {
		t.Error("the worker ended with an error")
	}
	results := map[string][]jobs.Result{}
	for _, msg := range r.messages(subjects.ResultStream()) {
		result, err := jobs.DecodeResult(msg.Data)
		if err != nil {
			t.Fatal(err)
		}
		results[result.JobID] = append(results[result.JobID], result)
	}
	return results
}

package schema

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/worker"
	"logoffworker/worker/broker"
	"logoffworker/worker/stage"
	"logoffworker/worker/stage/pipe"
	"logoffworker/worker/stream"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

// A deployment is a broker, a simulated Web Server on which jane (userId 7) is signed on, and a worker.
type deployment struct {
	js  jetstream.JetStream
	sim *simulator.Server
}

func newDeployment(t *testing.T) deployment {
	t.Helper()
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
	if err := stream.DefaultConfig().ProvisionStreams(t.Context(), js); err != nil {
		t.Fatal(err)
	}
	sim := simulator.New(simulator.Settings{}, 1)
	sim.AddUser(simulator.User{ID: 1, Login: "admin", Password: "secret", Administrator: true})
	sim.AddUser(simulator.User{ID: 7, Login: "jane", Password: "x"})
	work(t, b, sim)
	return deployment{js, sim}
}

// work has a worker that holds jobs of more than three sessions and people work until the test ends.
func work(t *testing.T, b *broker.Broker, sim *simulator.Server) {
	t.Helper()
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
	log := slog.New(slog.NewTextHandler(&stage.Output{}, nil))
	m, health := metrics.New(prometheus.NewRegistry(), metrics.Build{}), metrics.NewHealth(log, worker.Parts...)
	nc, err := stream.Connect(stream.Connection{Options: []nats.Option{b.InProcess()}}, health, m, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	w := &worker.Worker{Config: worker.DefaultConfig(), NATS: nc, Server: client, Metrics: m, Health: health, Log: log}
	w.Config.Name, w.Config.HoldAboveJob, w.Config.ProtectedUsers = "w", 3, []string{"admin"}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		if cancel(); <-ended != nil {
			t.Error("the worker ended with an error")
		}
	})
}

// publish publishes a job, and returns once it is stored.
func (d deployment) publish(t *testing.T, subject, body string, header ...string) {
	t.Helper()
	msg := nats.NewMsg(subject)
	msg.Data = []byte(body)
	for i := 0; i < len(header); i += 2 {
		msg.Header.Set(header[i], header[i+1])
	}
	if _, err := d.js.PublishMsg(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
}

// stored are the first n messages of a stream, for which it waits.
func (d deployment) stored(t *testing.T, name string, n int) (all []*jetstream.RawStreamMsg) {
	t.Helper()
	s, err := d.js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	last := func() int {
		info, err := s.Info(t.Context())
		if err != nil {
			return 0
		}
		return int(info.State.LastSeq)
	}
	if !stage.Await(t.Context(), time.Minute, func() bool { return last() >= n }) {
		t.Fatalf("%s has %d messages, want %d", name, last(), n)
	}
	for sequence := range n {
		msg, err := s.GetMsg(t.Context(), uint64(sequence+1))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, msg)
	}
	return all
}

// What a worker stores fits the schemas, as strictly as this version writes it.
func TestWhatAWorkerStoresFits(t *testing.T) {
	d := newDeployment(t)
	session := d.sim.SignOn(7, 0)
	d.sim.SignOn(7, 0)
	signal := `{"issuer":"idp","event":"urn:e","rule":"session-revoked","id":"1","token":"eyJ.a.b"}`
	event := `{"id":"` + jobs.SignalID("1") + `","users":[{"id":7}],"eventTime":"2026-11-23T10:00:00Z","includeNewer":true}`
	d.publish(t, "logoff.requests.bulk.soar", `{"sessions":[{"id":"`+session+`","userId":7}],"labels":{"a":"b"},"reason":"r","requestedBy":"me"}`,
		"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	d.publish(t, "logoff.requests", `{"sessions":["CF1C660B-396F-44B7-86DA-5608CEC97453"]}`)
	d.publish(t, "logoff.requests", `<Api_LogoffUsersRequest/>`, "Content-Type", "application/xml", "Nats-Msg-Id", "mine")
	d.publish(t, "logoff.requests.urgent", `{"sessions":["EMCAE92D1DD-0C68-49A6-BEBB-404D96D7A4BF","x"],"users":[{}],"notAfter":"2999-01-01T00:00:00Z"}`)
	d.publish(t, "logoff.requests.urgent.soar", `{"users":["jane","admin"],"sessions":["EMCAE92D1DD-0C68-49A6-BEBB-404D96D7A4BF"]}`)
	d.publish(t, "logoff.requests.urgent.soar", `{"users":[1,2,3,4]}`)
	d.publish(t, "logoff.requests.urgent.soar", `{"users":["jane"],"notAfter":"2020-01-01T00:00:00Z"}`)
	d.publish(t, "logoff.requests.urgent.idp", event, jobs.SignalHeader, signal)
	s := jobs.Subjects{Prefix: "logoff"}
	d.stored(t, s.ResultStream(), 8)
	d.publish(t, "logoff.requests.urgent.idp", event, jobs.SignalHeader, signal)

	result, statuses := compile(t, "result.schema.json"), map[jobs.Status]bool{}
	known, header := compile(t, "result.schema.json#/$defs/status"), part(t, "/components/messages/result/headers")
	left := 0
	for _, msg := range d.stored(t, s.ResultStream(), 9) {
		if err := validate(result, msg.Data); err != nil {
			t.Errorf("%s\n%v", msg.Data, err)
		}
		r, err := jobs.DecodeResult(msg.Data)
		if err != nil || known.Validate(string(r.Status)) != nil || header.Validate(ofNATS(msg)) != nil {
			t.Errorf("%s %v: %v", r.Status, msg.Header, err)
		}
		if statuses[r.Status] = true; !r.Status.Success() {
			left++
		}
	}
	if got := slices.Sorted(maps.Keys(statuses)); len(got) < 6 {
		t.Errorf("only %v are seen", got)
	}
	d.lettersFit(t, d.stored(t, s.DeadStream(), left))
}

// lettersFit holds dead letters to their schema, and what is left of their jobs to that of a job.
func (d deployment) lettersFit(t *testing.T, letters []*jetstream.RawStreamMsg) {
	t.Helper()
	header, left := compile(t, "dead-letter.schema.json"), compile(t, "dead-letter.schema.json#/$defs/left")
	whole := 0
	for _, msg := range letters {
		if err := header.Validate(ofNATS(msg)); err != nil {
			t.Errorf("%v\n%v", msg.Header, err)
		}
		switch jobs.Status(msg.Header.Get("Logoff-Reason")) {
		case jobs.Invalid, jobs.Held:
			continue
		}
		if err := validate(left, msg.Data); err != nil {
			t.Errorf("%s\n%v", msg.Data, err)
		}
		if !strings.Contains(string(msg.Data), "{}") && validate(compile(t, "job.schema.json"), msg.Data) == nil {
			whole++
		}
	}
	if whole == 0 {
		t.Error("no dead letter can be published again as a whole")
	}
}

// ofNATS are a message's headers, as a schema sees them.
func ofNATS(msg *jetstream.RawStreamMsg) map[string]any {
	header := map[string]any{}
	for name, values := range msg.Header {
		header[name] = values[0]
	}
	return header
}

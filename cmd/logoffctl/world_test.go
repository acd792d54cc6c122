package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/worker"
	"logoffworker/worker/broker"
	"logoffworker/worker/stage"
	"logoffworker/worker/stream"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

// A world is what the tool is used in: NATS, a simulated Web Server, and a worker where one was started.
type world struct {
	broker    *broker.Broker
	sim       *simulator.Server
	webserver *httptest.Server
	js        jetstream.JetStream
	publisher jetstream.JetStream // where only others may store jobs; else nil
	subjects  jobs.Subjects
	stops     []func()
	idle      func() // stops the worker; nil where none works
	notary    *notary
}

// password is that of the worker's account on the simulated Web Server.
const password = "canary-password"

// newWorld has streams, and people who are signed on; no worker.
func newWorld(store string, people int) (*world, error) {
	w := &world{subjects: jobs.Subjects{Prefix: "logoff"}}
	listen, err := stage.FreeAddress()
	if err != nil {
		return nil, err
	}
	if w.broker, err = broker.Start(broker.Options{StoreDir: store, Listen: listen}); err != nil {
		return nil, err
	}
	w.stops = append(w.stops, w.broker.Shutdown)
	w.sim = simulator.New(simulator.Settings{}, 1)
	w.sim.AddUser(simulator.User{ID: 1, Login: "admin", Display: "Administrator", Password: password, Administrator: true})
	w.sim.SignOnEverywhere(w.sim.AddUser(simulator.Example), 1)
	w.sim.Populate(people)
	w.webserver = httptest.NewServer(w.sim)
	w.stops = append(w.stops, w.webserver.Close)
	nc, err := w.broker.Connect()
	if err != nil {
		w.close()
		return nil, err
	}
	w.stops = append(w.stops, nc.Close)
	if w.js, err = jetstream.New(nc); err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		err = stream.DefaultConfig().ProvisionStreams(ctx, w.js)
	}
	if err != nil {
		w.close()
	}
	return w, err
}

func (w *world) close() {
	w.rest()
	for i := len(w.stops) - 1; i >= 0; i-- {
		w.stops[i]()
	}
}

// work starts a worker.
func (w *world) work() error {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	config := worker.DefaultConfig()
	config.Name, config.ShutdownTimeout = "worker-1", 2*time.Second
	m := metrics.New(prometheus.NewRegistry(), metrics.Build{})
	health := metrics.NewHealth(log, worker.Parts...)
	nc, err := stream.Connect(stream.Connection{Name: "worker", Options: []nats.Option{w.broker.InProcess()}}, health, m, log)
	if err != nil {
		return err
	}
	client, err := webserver.New(webserver.Config{
		URL: w.webserver.URL + "/commandcenter/api", Username: "admin",
		Password: func() (string, error) { return password, nil },
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = (&worker.Worker{Config: config, NATS: nc, Server: client, Metrics: m, Health: health, Log: log}).Run(ctx)
	}()
	w.idle = func() {
		cancel()
		<-ended
		nc.Close()
		client.CloseIdle()
	}
	return nil
}

// rest stops the worker.
func (w *world) rest() {
	if w.idle != nil {
		w.idle()
		w.idle = nil
	}
}

// storedEver is how many jobs were ever stored.
func (w *world) storedEver() (uint64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	requests, err := w.js.Stream(ctx, w.subjects.RequestStream())
	if err != nil {
		return 0, err
	}
	return requests.CachedInfo().State.LastSeq, nil
}

// settle stores a result of a status for the latest job, as a worker would, and takes the job from the stream.
func (w *world) settle(status jobs.Status) error { return w.settleBy(w.js, status) }

// settleBy is settle by another user, who may do that.
func (w *world) settleBy(by jetstream.JetStream, status jobs.Status) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	latest, err := w.storedEver()
	if err != nil {
		return err
	}
	for _, lane := range jobs.Lanes {
		consumer, err := by.Consumer(ctx, w.subjects.RequestStream(), string(lane))
		if err != nil {
			return err
		}
		batch, err := consumer.FetchNoWait(100)
		if err != nil {
			return err
		}
		for msg := range batch.Messages() {
			meta, err := msg.Metadata()
			if err == nil && meta.Sequence.Stream != latest {
				err = msg.Nak()
			} else if err == nil {
				err = errors.Join(w.storeResult(ctx, by, msg, status), msg.DoubleAck(ctx))
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// storeResult stores a result of a status for a job.
func (w *world) storeResult(ctx context.Context, by jetstream.JetStream, msg jetstream.Msg, status jobs.Status) error {
	job, err := jobs.Decode(msg.Data(), jobs.Rules{})
	if err != nil {
		return err
	}
	meta, err := msg.Metadata()
	if err != nil {
		return err
	}
	lane, publisher, _ := w.subjects.Origin(msg.Subject())
	at := meta.Timestamp
	r := jobs.Result{
		Version: jobs.ResultVersion, JobID: job.ID, Status: status, Lane: lane, Publisher: publisher, Worker: "worker-1", Deliveries: 1,
		RequestedAt: at, ReceivedAt: at, CompletedAt: at.Add(time.Second), TimeToLogoffMS: 1000, Counts: map[jobs.Outcome]int{},
		EventTime: job.EventTime, Error: fmt.Sprintf("stored by a test as %s", status), Reason: job.Reason, Labels: job.Labels,
	}
	if status == jobs.Held {
		r.HeldSHA256 = fmt.Sprintf("%x", sha256.Sum256(msg.Data()))
	}
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	out := nats.NewMsg(w.subjects.Result(job.ID, jobs.Key(meta.Sequence.Stream, at)))
	out.Data = data
	out.Header.Set("Logoff-Status", string(status))
	_, err = by.PublishMsg(ctx, out)
	return err
}

// testWorld is a world for one test.
func testWorld(t *testing.T, people int) *world {
	t.Helper()
	w, err := newWorld(t.TempDir(), people)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	return w
}

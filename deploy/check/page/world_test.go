package page

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/metrics/statuspage"
	"logoffworker/worker"
	"logoffworker/worker/broker"
	"logoffworker/worker/fleet"
	"logoffworker/worker/stage"
	"logoffworker/worker/stream"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

var subjects = stream.DefaultConfig().Subjects

// A world is a deployment in this process: a broker, a Web Server with something in front of it, and workers.
type world struct {
	*testing.T
	sim     *simulator.Server
	web     *httptest.Server
	refuses atomic.Bool // what is in front of the Web Server refuses each DELETE
	broker  *broker.Broker
	js      jetstream.JetStream
	log     *stage.Output
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, log: &stage.Output{}, sim: simulator.New(simulator.Settings{LatencyFixed: 40 * time.Millisecond}, 1)}
	w.sim.AddUser(simulator.User{ID: 1, Login: "admin", Password: "canary-password", Administrator: true})
	w.sim.AddUser(simulator.User{ID: 7, Login: "canary-jane", Password: "x"})
	w.web = httptest.NewServer(http.HandlerFunc(func(response http.ResponseWriter, r *http.Request) {
		if w.refuses.Load() && r.Method == http.MethodDelete {
			http.Error(response, "<html><body>Method Not Allowed</body></html>", http.StatusMethodNotAllowed)
			return
		}
		w.sim.ServeHTTP(response, r)
	}))
	t.Cleanup(w.web.Close)
	var err error
	if w.broker, err = broker.Start(broker.Options{StoreDir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.broker.Shutdown)
	nc, err := w.broker.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if w.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	if err := stream.DefaultConfig().ProvisionStreams(t.Context(), w.js); err != nil {
		t.Fatal(err)
	}
	return w
}

// A replica is a worker with its page.
type replica struct {
	URL   string
	Lives atomic.Int64 // streams of the page that were opened
	stop  func()       // stops serving the page
}

// start starts a worker.
func (w *world) start(name string, change func(*webserver.Config)) *replica {
	w.Helper()
	log := slog.New(slog.NewTextHandler(w.log, nil))
	reg := prometheus.NewRegistry()
	m, health := metrics.New(reg, metrics.Build{Version: "1.4.0"}), metrics.NewHealth(log, worker.Parts...)
	reg.MustRegister(health)
	nc, err := stream.Connect(stream.Connection{Name: name, Options: []nats.Option{w.broker.InProcess()}}, health, m, log)
	if err != nil {
		w.Fatal(err)
	}
	c := webserver.Config{
		URL: w.web.URL + "/commandcenter/api", Username: "admin", Password: func() (string, error) { return "canary-password", nil }, Timeout: 10 * time.Second,
		Observe: func(c webserver.Call) { m.Called(c.Op, c.Verdict.String(), c.Sessions, c.Took) },
	}
	if change != nil {
		change(&c)
	}
	client, err := webserver.New(c)
	if err != nil {
		w.Fatal(err)
	}
	config := worker.DefaultConfig()
	config.Name = name
	page := statuspage.New(statuspage.Config{
		Registry: reg, Health: health, Metrics: m, Subjects: subjects, Version: "1.4.0", Worker: name, WebServer: "https://commvault.example/commandcenter/api", Slots: config.Slots,
		Settings: []statuspage.Setting{{Name: "LOGOFF_SLOTS", Value: "4"}, {Name: "LOGOFF_WEBSERVER_URL", Value: "https://commvault.example/commandcenter/api"}, {Name: "LOGOFF_WEBSERVER_PASSWORD", Value: "set"}},
	})
	member, err := fleet.Join(fleet.Config{NATS: nc, Subjects: subjects, Worker: name, Version: "1.4.0", Status: page.Status})
	if err != nil {
		w.Fatal(err)
	}
	page.Join(member.Ask)
	r := &replica{}
	r.stop = w.serve(r, metrics.Handler(reg, health, page))
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { page.Run(ctx) })
	running.Go(func() {
		work := &worker.Worker{Config: config, NATS: nc, Server: client, Metrics: m, Health: health, Log: log}
		if err := work.Run(ctx); err != nil {
			w.Error(err)
		}
	})
	w.Cleanup(func() {
		r.stop()
		member.Leave()
		cancel()
		running.Wait()
		nc.Close()
	})
	return r
}

// serve serves a page as a worker does, with the same times for an answer.
func (w *world) serve(r *replica, handler http.Handler) (stop func()) {
	w.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.Fatal(err)
	}
	r.URL = "http://" + listener.Addr().String() + "/"
	server := metrics.Server(http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		if request.URL.Path == "/live" {
			r.Lives.Add(1)
		}
		handler.ServeHTTP(response, request)
	}))
	go func() { _ = server.Serve(listener) }()
	return func() { _ = server.Close() }
}

// publish publishes a job with so many sessions, whose owner it tells or not.
func (w *world) publish(lane jobs.Lane, publisher string, n int, owned bool) {
	var ids []string
	for _, id := range w.sim.SignOnMany(7, n) {
		if owned {
			ids = append(ids, fmt.Sprintf(`{"id":%q,"userId":7}`, id))
		} else {
			ids = append(ids, fmt.Sprintf("%q", id))
		}
	}
	if _, err := w.js.Publish(context.Background(), subjects.Request(lane, publisher), []byte(`{"sessions":[`+strings.Join(ids, ",")+`]}`)); err != nil {
		w.Error(err)
	}
}

// flows publishes jobs all the time, until the test ends.
func (w *world) flows() {
	stopped, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		every := time.NewTicker(250 * time.Millisecond)
		defer every.Stop()
		for i := 0; ; i++ {
			select {
			case <-stopped:
				return
			case <-every.C:
			}
			if i%8 == 3 {
				w.publish(jobs.Bulk, "hr", 12, false)
			} else {
				w.publish(jobs.Urgent, "soar", 1+i%3, true)
			}
		}
	}()
	w.Cleanup(func() { close(stopped); <-done })
}

// limitResults has the stream of results take no more than it has; -1 has it take any number.
func (w *world) limitResults(n int64) {
	w.Helper()
	handle, err := w.js.Stream(w.Context(), subjects.ResultStream())
	if err != nil {
		w.Fatal(err)
	}
	config := handle.CachedInfo().Config
	if config.MaxMsgs = n; n == 0 {
		config.MaxMsgs = int64(handle.CachedInfo().State.Msgs) + 1
	}
	if _, err := w.js.UpdateStream(w.Context(), config); err != nil {
		w.Fatal(err)
	}
}

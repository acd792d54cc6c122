package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"syscall"
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
	"logoffworker/worker/intake/ssf/transmitter"
	"logoffworker/worker/stream"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

// servicePassword is that of the worker's account on the simulated Web Server.
const servicePassword = "demo"

// A demo is the running whole. What is started last is stopped first.
type demo struct {
	options  options
	config   worker.Config
	health   *metrics.Health
	sim      *simulator.Server
	service  int // the worker's userId there
	broker   *broker.Broker
	js       jetstream.JetStream
	provider *transmitter.Transmitter
	stops    []func()
	worked   chan error // the worker's end
}

// start starts everything, or nothing: what had been started when something failed is stopped again.
func start(ctx context.Context, o options, stderr io.Writer) (*demo, error) {
	d := &demo{options: o, config: worker.DefaultConfig(), worked: make(chan error, 1)}
	if err := d.start(ctx, stderr); err != nil {
		d.stop()
		return nil, err
	}
	return d, nil
}

func (d *demo) start(ctx context.Context, stderr io.Writer) error {
	d.config.Name = "demo"
	d.config.ShutdownTimeout = 2 * time.Second
	registry := prometheus.NewRegistry()
	m := metrics.New(registry, metrics.Build{Version: "demo", GoVersion: runtime.Version()})
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	d.health = metrics.NewHealth(log, worker.Parts...)
	registry.MustRegister(d.health)

	if err := d.startSimulator(); err != nil {
		return err
	}
	if err := d.startBroker(log); err != nil {
		return err
	}
	nc, err := stream.Connect(stream.Connection{Name: "demo", Options: []nats.Option{d.broker.InProcess()}}, d.health, m, log)
	if err != nil {
		return err
	}
	d.stops = append(d.stops, nc.Close)
	if d.js, err = jetstream.New(nc); err != nil {
		return err
	}
	client, err := webserver.New(webserver.Config{
		URL:       "http://" + d.options.webserver + "/commandcenter/api",
		Username:  "admin",
		Password:  func() (string, error) { return servicePassword, nil },
		UserAgent: "logoff-worker/demo",
		Observe:   func(c webserver.Call) { m.Called(c.Op, c.Verdict.String(), c.Sessions, c.Took) },
	})
	if err != nil {
		return err
	}
	d.stops = append(d.stops, client.CloseIdle)
	if err := d.startPage(ctx, nc, statuspage.Config{Registry: registry, Health: d.health, Metrics: m}); err != nil {
		return err
	}
	trusted, err := d.startProvider(ctx, nc, registry, log)
	if err != nil {
		return err
	}
	w := &worker.Worker{Config: d.config, NATS: nc, Server: client, Metrics: m, Health: d.health, Log: log, Issuers: trusted}
	d.startWorker(ctx, w)
	return nil
}

// startPage serves the status page, the metrics and the probes.
func (d *demo) startPage(ctx context.Context, nc *nats.Conn, c statuspage.Config) error {
	c.Version, c.Worker, c.Subjects, c.Slots = "demo", d.config.Name, d.config.Stream.Subjects, d.config.Slots
	c.WebServer = "http://" + d.options.webserver + "/commandcenter/api"
	page := statuspage.New(c)
	member, err := fleet.Join(fleet.Config{NATS: nc, Subjects: c.Subjects, Worker: c.Worker, Version: c.Version, Status: page.Status})
	if err != nil {
		return err
	}
	page.Join(member.Ask)
	ctx, cancel := context.WithCancel(ctx)
	var remembering sync.WaitGroup
	remembering.Go(func() { page.Run(ctx) })
	d.stops = append(d.stops, member.Leave, func() { cancel(); remembering.Wait() })
	return d.serve("http", &d.options.http, metrics.Handler(c.Registry, d.health, page))
}

func (d *demo) startSimulator() error {
	d.sim = simulator.New(simulator.Settings{LatencyFixed: 20 * time.Millisecond, LatencyPerSession: 20 * time.Microsecond}, uint64(time.Now().UnixNano()))
	d.service = d.sim.AddUser(simulator.User{Login: "admin", Display: "Administrator", Password: servicePassword, Administrator: true})
	d.sim.SignOnEverywhere(d.sim.AddUser(simulator.Example), 1)
	d.sim.SignOnEverywhere(d.sim.AddUser(suspect), 1)
	d.sim.Populate(d.options.people - 2)
	if err := d.serve("webserver", &d.options.webserver, d.sim); err != nil {
		return err
	}
	return d.serve("control", &d.options.control, d.sim.Control())
}

func (d *demo) startBroker(log *slog.Logger) error {
	store, err := os.MkdirTemp("", "logoff-demo-")
	if err != nil {
		return err
	}
	d.stops = append(d.stops, func() { _ = os.RemoveAll(store) })
	d.broker, err = broker.Start(broker.Options{StoreDir: store, Listen: d.options.nats, Log: log})
	var field *broker.FieldError
	if errors.As(err, &field) && field.Field == "Listen" {
		return refused("nats", d.options.nats, field.Err)
	}
	if err != nil {
		return err
	}
	d.stops = append(d.stops, d.broker.Shutdown)
	return nil
}

// probable is who is likely to listen at an address, by the flag that chooses another one.
var probable = map[string]string{
	"nats":      "a NATS server, a worker with an embedded broker, or another demo",
	"http":      "a worker or another demo",
	"webserver": "a simulator or another demo",
	"control":   "a simulator or another demo",
	"provider":  "another demo",
}

// refused says why nothing can listen at an address, and what to do.
func refused(name, address string, err error) error {
	remedy := fmt.Sprintf("choose another address with -%[1]s, as in make run ARGS='-%[1]s 127.0.0.1:0'", name)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("nothing can listen at %s (%w); %s", address, err, remedy)
	}
	_, port, _ := net.SplitHostPort(address)
	return fmt.Errorf("port %s (%s) is taken, probably by %s: stop that, or %s", port, address, probable[name], remedy)
}

// serve serves at an address, and notes which one it is where the system was to choose.
func (d *demo) serve(name string, address *string, handler http.Handler) error {
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		return refused(name, *address, err)
	}
	*address = listener.Addr().String()
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(listener) })
	d.stops = append(d.stops, func() {
		_ = server.Close()
		served.Wait()
	})
	return nil
}

func (d *demo) startWorker(ctx context.Context, w *worker.Worker) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.worked <- w.Run(ctx)
	}()
	d.stops = append(d.stops, func() {
		cancel()
		<-done
	})
}

func (d *demo) stop() {
	for i := len(d.stops) - 1; i >= 0; i-- {
		d.stops[i]()
	}
}

// show submits the sample jobs, prints their results, says where everything is, and then prints the
// results of whatever else is published.
func (d *demo) show(ctx context.Context, out io.Writer) error {
	if err := d.awaitReady(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d people are signed on at the simulated Web Server with %d sessions; the worker is ready.\n\n", d.options.people, d.signedOn())
	results, stop, err := d.results(ctx)
	if err != nil {
		return err
	}
	defer stop()
	if err := d.showSamples(ctx, out, results); err != nil {
		return err
	}
	d.sim.SignOnEverywhere(simulator.Example.ID, 0)
	fmt.Fprintf(out, "\n%s has signed on again.\n", simulator.Example.Login)
	d.printAddresses(out)
	for !d.options.once {
		if err := d.printNext(ctx, out, results); err != nil {
			return err
		}
	}
	return nil
}

// showSamples submits the sample jobs, and has the identity provider tell of somebody, and prints the results.
func (d *demo) showSamples(ctx context.Context, out io.Writer, results <-chan jetstream.Msg) error {
	samples, err := d.samples()
	if err != nil {
		return err
	}
	last := len(samples) - 1
	fmt.Fprintln(out, "Jobs submitted:")
	if err := d.submit(ctx, out, samples[:last]...); err != nil {
		return err
	}
	d.revoke()
	fmt.Fprintf(out, "  %-7s a signed event of the identity provider: session-revoked of %s\n\nResults, and what they mean:\n", jobs.Urgent, suspect.Email)
	for range samples {
		if err := d.printNext(ctx, out, results); err != nil {
			return err
		}
	}
	fmt.Fprintln(out, "\nOne more job:")
	if err := d.submit(ctx, out, samples[last]); err != nil {
		return err
	}
	return d.printNext(ctx, out, results)
}

// ignoreEnd makes the end that was asked for no error.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (d *demo) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		ready, conditions := d.health.Ready()
		if ready && len(d.provider.Streams()) > 0 {
			return nil
		}
		select {
		case err := <-d.worked:
			return fmt.Errorf("the worker ended: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("the worker did not become ready: %v", conditions)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// signedOn is how many sessions are on.
func (d *demo) signedOn() (n int) {
	for _, s := range d.sim.Sessions() {
		if s.Active() {
			n++
		}
	}
	return n
}

func (d *demo) results(ctx context.Context) (<-chan jetstream.Msg, func(), error) {
	consumer, err := d.js.OrderedConsumer(ctx, d.config.Stream.Subjects.ResultStream(), jetstream.OrderedConsumerConfig{})
	if err != nil {
		return nil, nil, err
	}
	results := make(chan jetstream.Msg, 100)
	consuming, err := consumer.Consume(func(msg jetstream.Msg) {
		select {
		case results <- msg:
		case <-ctx.Done():
		}
	})
	if err != nil {
		return nil, nil, err
	}
	return results, consuming.Stop, nil
}

func (d *demo) printNext(ctx context.Context, out io.Writer, results <-chan jetstream.Msg) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-d.worked:
		if err == nil {
			err = errors.New("it was stopped")
		}
		return fmt.Errorf("the worker ended: %w", err)
	case msg := <-results:
		result, err := jobs.DecodeResult(msg.Data())
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "%s\n           %s%s\n", line(result), meaning(result), signalled(result))
		return err
	}
}

func (d *demo) printAddresses(out io.Writer) {
	o := d.options
	fmt.Fprintf(out, `
Status page        http://%[1]s/
Metrics            http://%[1]s/metrics
Simulator          http://%[2]s/   (its sessions: curl -s http://%[2]s/sessions)
Identity provider  http://%[5]s/   (its streams of signed events: curl -s http://%[5]s/streams)
NATS               %[3]s

Publish a job from another terminal:
  nats -s %[3]s pub --jetstream logoff.requests '{"users":[{"name":"CORP\\jane"}]}'
  nats -s %[3]s pub --jetstream logoff.requests '{"sessions":["%[4]s"]}'
Ctrl-C stops. More results:
`, o.http, o.control, d.broker.URL(), d.someoneActive(), o.provider)
}

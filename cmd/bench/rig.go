package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker/stage"
	"logoffworker/worker/stream"
)

// What both subjects get: the same slots, two of which bulk jobs of the worker cannot take, and the same sessions in
// a document.
const (
	slots    = 8
	reserved = 2
	document = 1000
	password = "bench"
)

// The subjects that are measured.
const (
	theWorker = "worker"
	theFloor  = "floor"
)

// theProgram is the worker's.
const theProgram = "logoff-worker"

// A bench measures cases.
type bench struct {
	options
	dir     string
	rigs    int
	figures figures

	processors func() (processorTime, error)
	repeated   int // measurements that were made again
	disturbed  int // those that count although others had too much of the processors
}

// judged reports whether goals are: in a part of the jobs and of the time, figures mean nothing.
func (b *bench) judged() bool { return b.scale >= 1 }

// scaled is a number of jobs.
func (b *bench) scaled(n int) int { return max(50, int(float64(n)*b.scale)) }

// lasting is a time, at least long enough for one job to come.
func (b *bench) lasting(d time.Duration) time.Duration {
	return max(500*time.Millisecond, time.Duration(float64(d)*b.scale))
}

// A rig is one NATS server, one Web Server and the processes that are measured between them.
type rig struct {
	b        *bench
	dir      string
	node     *stage.Node
	web      *stage.WebServer
	nc       *nats.Conn
	js       jetstream.JetStream
	subjects jobs.Subjects
	measured []*stage.Process
	http     int                   // of the latest worker
	refused  atomic.Pointer[error] // the first job that NATS did not store
}

// on builds a rig, measures on it and takes it down. The flags are the simulator's.
func (b *bench) on(ctx context.Context, flags []string, measure func(r *rig) error) (err error) {
	b.rigs++
	r := &rig{b: b, dir: filepath.Join(b.dir, strconv.Itoa(b.rigs)), subjects: jobs.Subjects{Prefix: "logoff"}}
	defer func() { err = errors.Join(err, r.close(err == nil)) }()
	if err := r.open(ctx, flags); err != nil {
		return err
	}
	return measure(r)
}

func (r *rig) open(ctx context.Context, flags []string) (err error) {
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return err
	}
	ports, err := stage.FreePorts(1)
	if err != nil {
		return err
	}
	r.node = &stage.Node{Name: "nats", Store: r.dir, File: filepath.Join(r.dir, "nats.conf"), Port: ports[0], WorkerPassword: password, Out: &stage.Output{}}
	if err := r.node.Start(); err != nil {
		return err
	}
	// No session needs to exist: this Web Server accepts IDs that it does not know.
	flags = append([]string{"-ended", "ignore", "-partial", "atomic", "-password", password, "-seed", "1"}, flags...)
	if r.web, err = stage.StartWebServer(ctx, filepath.Join(r.b.dir, "simulator"), flags...); err != nil {
		return err
	}
	if !stage.Await(ctx, 10*time.Second, func() bool {
		err = r.connect()
		return err == nil
	}) {
		return fmt.Errorf("the NATS server does not answer: %w\n%s", err, r.node.Out.Tail())
	}
	return stream.DefaultConfig().ProvisionStreams(ctx, r.js)
}

// connect connects to the NATS server, unless there is a connection.
func (r *rig) connect() (err error) {
	if r.nc != nil && !r.nc.IsClosed() {
		return nil
	}
	if r.nc, err = nats.Connect(r.node.URL(), nats.UserInfo("admin", stage.AdminPassword)); err != nil {
		return err
	}
	r.js, err = jetstream.New(r.nc, jetstream.WithPublishAsyncMaxPending(10_000), jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, _ *nats.Msg, err error) {
		r.refused.CompareAndSwap(nil, &err)
	}))
	return err
}

// close ends everything. The measured processes are stopped as an operator does it, and it is an error when they do
// not stop well. After a failure there is nothing to learn from that, and they are killed.
func (r *rig) close(well bool) error {
	var stops []error
	if well {
		stops = append(stops, r.stop())
	}
	for _, p := range r.measured {
		p.Kill()
	}
	if r.nc != nil {
		r.nc.Close()
	}
	for _, p := range r.servers() {
		if well {
			stops = append(stops, p.Stop(20*time.Second))
		}
		p.Kill()
	}
	if r.b.keep {
		return errors.Join(append(stops, r.keep())...)
	}
	return errors.Join(append(stops, os.RemoveAll(r.dir))...)
}

// stop stops the measured processes, all at once.
func (r *rig) stop() error {
	stops := make([]error, len(r.measured))
	var all sync.WaitGroup
	for i, p := range r.measured {
		all.Go(func() { stops[i] = p.Stop(30 * time.Second) })
	}
	all.Wait()
	return errors.Join(stops...)
}

// servers are the processes beside the measured ones.
func (r *rig) servers() (all []*stage.Process) {
	if r.web != nil {
		all = append(all, r.web.Process)
	}
	if r.node != nil && r.node.Process != nil {
		all = append(all, r.node.Process)
	}
	return all
}

// keep writes what the processes put out into files.
func (r *rig) keep() error {
	var faults []error
	for i, p := range append(r.servers(), r.measured...) {
		file := filepath.Join(r.dir, fmt.Sprintf("%d-%s.log", i, p.Name))
		faults = append(faults, os.WriteFile(file, p.Out.Bytes(), 0o600))
	}
	return errors.Join(faults...)
}

// start starts a worker or a floor. The settings are the worker's variables; the floor understands those
// that are set here.
func (r *rig) start(name string, settings ...string) (p *stage.Process, err error) {
	ports, err := stage.FreePorts(1)
	if err != nil {
		return nil, err
	}
	r.http = ports[0]
	environment := append(
		clean(os.Environ()),
		"LOGOFF_NATS_URL="+strings.Replace(r.node.URL(), "://", "://worker:"+password+"@", 1),
		fmt.Sprintf("LOGOFF_WEBSERVER_URL=http://127.0.0.1:%d/commandcenter/api", r.web.Port),
		"LOGOFF_WEBSERVER_USERNAME=admin",
		"LOGOFF_WEBSERVER_PASSWORD="+password,
		fmt.Sprintf("LOGOFF_SLOTS=%d", slots),
		fmt.Sprintf("LOGOFF_URGENT_SLOTS=%d", reserved),
		fmt.Sprintf("LOGOFF_BATCH_MAX_SESSIONS=%d", document),
		fmt.Sprintf("LOGOFF_HTTP_ADDR=127.0.0.1:%d", r.http),
	)
	if r.b.delay > 0 {
		environment = append(environment, fmt.Sprintf("%s=%d", floorDelay, r.b.delay.Milliseconds()))
	}
	environment = append(environment, settings...)
	program, args := filepath.Join(r.b.dir, theProgram), []string(nil)
	if name == theFloor {
		if program, err = os.Executable(); err != nil {
			return nil, err
		}
		args = []string{floorMode}
	}
	if p, err = stage.Launch(name, &stage.Output{}, environment, append([]string{program}, args...)...); err != nil {
		return nil, err
	}
	r.measured = append(r.measured, p)
	return p, nil
}

// clean leaves out the variables that are settings of a worker.
func clean(environment []string) (kept []string) {
	for _, variable := range environment {
		if !strings.HasPrefix(variable, "LOGOFF_") {
			kept = append(kept, variable)
		}
	}
	return kept
}

// startReady starts one and waits until it says that it is ready.
func (r *rig) startReady(ctx context.Context, name string, settings ...string) (*stage.Process, error) {
	p, err := r.start(name, settings...)
	if err != nil {
		return nil, err
	}
	ready := func() bool { return p.Out.Count(0, floorReady) > 0 }
	if name == theWorker {
		url := fmt.Sprintf("http://127.0.0.1:%d/readyz", r.http)
		ready = func() bool { return succeeds(ctx, url) }
	}
	const patience = 20 * time.Second
	if !stage.Await(ctx, patience, func() bool { return !p.Running() || ready() }) || !p.Running() {
		return nil, fmt.Errorf("the %s is not ready after %v\n%s", name, patience, p.Out.Tail())
	}
	return p, nil
}

func succeeds(ctx context.Context, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// endedEarly reports whether one of the measured processes has ended by itself.
func (r *rig) endedEarly() bool {
	for _, p := range r.measured {
		if !p.Running() {
			return true
		}
	}
	return false
}

// tails is the end of the output of every process.
func (r *rig) tails() string {
	var b strings.Builder
	for _, p := range append(r.measured, r.servers()...) {
		fmt.Fprintf(&b, "--- %s\n%s\n", p.Name, p.Out.Tail())
	}
	return b.String()
}

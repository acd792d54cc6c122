package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker"
	"logoffworker/worker/stage"
)

// What both subjects get: the same slots, and the same sessions in a document.
const (
	slots    = 8
	document = 1000
	password = "bench"
)

// A bench measures cases.
type bench struct {
	options
	dir      string
	out      io.Writer
	rigs     int
	measured map[string]map[string][]float64 // by case and measure, then subject
}

// note keeps one figure.
func (b *bench) note(what, subject string, value float64) {
	if b.measured[what] == nil {
		b.measured[what] = map[string][]float64{}
	}
	b.measured[what][subject] = append(b.measured[what][subject], value)
}

// scaled is a number of jobs.
func (b *bench) scaled(n int) int { return max(50, int(float64(n)*b.scale)) }

// A rig is one NATS server and one Web Server for one measurement.
type rig struct {
	b        *bench
	node     *stage.Node
	web      *stage.WebServer
	nc       *nats.Conn
	js       jetstream.JetStream
	subjects jobs.Subjects
	subject  []*stage.Process
	http     int // of the latest worker
}

// rig builds one; the flags are the simulator's.
func (b *bench) rig(ctx context.Context, flags ...string) (r *rig, err error) {
	b.rigs++
	dir := filepath.Join(b.dir, strconv.Itoa(b.rigs))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	ports, err := stage.FreePorts(1)
	if err != nil {
		return nil, err
	}
	r = &rig{b: b, subjects: jobs.Subjects{Prefix: "logoff"}}
	r.node = &stage.Node{Name: "nats", Store: dir, File: filepath.Join(dir, "nats.conf"), Port: ports[0], WorkerPassword: password, Out: &stage.Book{}}
	if err := r.node.Start(); err != nil {
		return nil, err
	}
	r.web, err = stage.StartWebServer(ctx, filepath.Join(b.dir, "simulator"), append([]string{"-ended", "ignore", "-partial", "atomic", "-password", password, "-seed", "1"}, flags...)...)
	if err != nil {
		return r, err
	}
	if !stage.Await(ctx, 10*time.Second, func() bool {
		r.nc, err = nats.Connect(r.node.URL(), nats.UserInfo("admin", stage.AdminPassword))
		return err == nil
	}) {
		return r, fmt.Errorf("%w\n%s", err, r.node.Out.Tail())
	}
	if r.js, err = jetstream.New(r.nc, jetstream.WithPublishAsyncMaxPending(10_000)); err != nil {
		return r, err
	}
	return r, worker.ProvisionStreams(ctx, r.js, r.subjects, worker.ProvisionCreate, 1)
}

// close ends everything, and leaves nothing.
func (r *rig) close() {
	for _, p := range r.subject {
		p.Kill()
	}
	if r.nc != nil {
		r.nc.Close()
	}
	if r.web != nil {
		r.web.Process.Kill()
	}
	r.node.Process.Kill()
	_ = os.RemoveAll(r.node.Store)
}

const (
	theWorker = "worker"
	theFloor  = "floor"
)

// start starts a subject.
func (r *rig) start(name string, settings ...string) (p *stage.Process, err error) {
	url := strings.Replace(r.node.URL(), "://", "://worker:"+password+"@", 1)
	web := fmt.Sprintf("http://127.0.0.1:%d/commandcenter/api", r.web.Port)
	if name == theFloor {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		p, err = stage.Launch(name, &stage.Book{}, os.Environ(), self, floorMode, url, web, password, strconv.Itoa(slots), strconv.Itoa(document))
		r.subject = append(r.subject, p)
		return p, err
	}
	ports, err := stage.FreePorts(1)
	if err != nil {
		return nil, err
	}
	r.http = ports[0]
	environment := append(os.Environ(), "LOGOFF_NATS_URL="+url, "LOGOFF_WEBSERVER_URL="+web, "LOGOFF_WEBSERVER_USERNAME=admin", "LOGOFF_WEBSERVER_PASSWORD="+password,
		fmt.Sprintf("LOGOFF_SLOTS=%d", slots), fmt.Sprintf("LOGOFF_BATCH_MAX_SESSIONS=%d", document), fmt.Sprintf("LOGOFF_HTTP_ADDR=127.0.0.1:%d", r.http))
	p, err = stage.Launch(name, &stage.Book{}, append(environment, settings...), filepath.Join(r.b.dir, "logoff-worker"))
	r.subject = append(r.subject, p)
	return p, err
}

// ready waits until a worker says that it is.
func (r *rig) ready(ctx context.Context, p *stage.Process) error {
	if p.Name == theFloor {
		if !stage.Await(ctx, 20*time.Second, func() bool { return p.Out.Count(0, "ready") > 0 }) {
			return fmt.Errorf("the floor is not ready\n%s", p.Out.Tail())
		}
		return nil
	}
	if !stage.Await(ctx, 20*time.Second, func() bool {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/readyz", r.http), nil)
		if err != nil {
			return false
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	}) {
		return fmt.Errorf("the worker is not ready\n%s", p.Out.Tail())
	}
	return nil
}

// id is the n-th of a run's sessions.
func id(n int) string { return fmt.Sprintf("%08X-BE4C-4000-8000-%012X", n, n) }

// publish stores n jobs, each with some sessions of its own, as fast as the server takes them.
func (r *rig) publish(lane jobs.Lane, from, n, sessions int) error {
	for i := range n {
		if _, err := r.js.PublishAsync(r.subjects.Request(lane, ""), job(from+i*sessions, sessions), jetstream.WithStallWait(time.Minute)); err != nil {
			return err
		}
	}
	<-r.js.PublishAsyncComplete()
	return nil
}

func job(from, sessions int) []byte {
	var b strings.Builder
	b.WriteString(`{"sessions":["`)
	for i := range sessions {
		if i > 0 {
			b.WriteString(`","`)
		}
		b.WriteString(id(from + i))
	}
	b.WriteString(`"]}`)
	return []byte(b.String())
}

// pace publishes at a rate for a time, as a publisher who waits for no answer.
func (r *rig) pace(ctx context.Context, lane jobs.Lane, from, perSecond int, d time.Duration) (n int, err error) {
	every := time.NewTicker(2 * time.Millisecond)
	defer every.Stop()
	begun := time.Now()
	for time.Since(begun) < d {
		select {
		case <-ctx.Done():
			return n, ctx.Err()
		case <-every.C:
		}
		for due := int(time.Since(begun).Seconds() * float64(perSecond)); n < due; n++ {
			if _, err := r.js.PublishAsync(r.subjects.Request(lane, ""), job(from+n, 1)); err != nil {
				return n, err
			}
		}
	}
	<-r.js.PublishAsyncComplete()
	return n, nil
}

// stored is how many results there are.
func (r *rig) stored(ctx context.Context) int {
	stream, err := r.js.Stream(ctx, r.subjects.ResultStream())
	if err != nil {
		return -1
	}
	return int(stream.CachedInfo().State.Msgs)
}

// await waits until there are n results.
func (r *rig) await(ctx context.Context, n int) error {
	if !stage.Await(ctx, 3*time.Minute, func() bool { return r.stored(ctx) >= n }) {
		return fmt.Errorf("%d of %d results came\n%s", r.stored(ctx), n, r.subject[len(r.subject)-1].Out.Tail())
	}
	return nil
}

// A done job is when it was stored, and its result.
type done struct {
	sequence       uint64 // of the job
	jobAt, storeAt time.Time
}

// results reads all of them, in the order in which they were stored.
func (r *rig) results(ctx context.Context) (all []done, err error) {
	stream, err := r.js.Stream(ctx, r.subjects.ResultStream())
	if err != nil {
		return nil, err
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{HeadersOnly: true})
	if err != nil {
		return nil, err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return nil, err
	}
	defer messages.Stop()
	for range stream.CachedInfo().State.Msgs {
		msg, err := messages.Next(jetstream.NextMaxWait(30 * time.Second))
		if err != nil {
			return nil, err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return nil, err
		}
		key := msg.Subject()[strings.LastIndexByte(msg.Subject(), '.')+1:]
		place, nanos, _ := strings.Cut(key, "-")
		sequence, err1 := strconv.ParseUint(place, 10, 64)
		stored, err2 := strconv.ParseInt(nanos, 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		all = append(all, done{sequence: sequence, jobAt: time.Unix(0, stored), storeAt: meta.Timestamp})
	}
	return all, nil
}

// cpu is what a process has used, in seconds.
func cpu(p *stage.Process) (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	user, err1 := strconv.ParseFloat(fields[11], 64)
	system, err2 := strconv.ParseFloat(fields[12], 64)
	const ticks = 100 // per second, on every Linux
	return (user + system) / ticks, errors.Join(err1, err2)
}

// memory is a line of a process's status, in MiB: VmRSS, or VmHWM for its peak.
func memory(p *stage.Process, line string) (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return 0, err
	}
	_, rest, found := strings.Cut(string(data), line+":")
	fields := strings.Fields(rest)
	if !found || len(fields) == 0 {
		return 0, fmt.Errorf("the status of process %d has no %s", p.PID(), line)
	}
	kib, err := strconv.ParseFloat(fields[0], 64)
	return kib / 1024, err
}

// stop stops a subject where it knows how to stop.
func (r *rig) stop(p *stage.Process) error {
	if p.Name == theFloor {
		p.Signal(syscall.SIGKILL)
		return nil
	}
	return p.Stop(30 * time.Second)
}

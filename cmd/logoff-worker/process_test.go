package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker/broker"
	"logoffworker/worker/stage"
	"logoffworker/worker/stage/bubble"
	"logoffworker/worker/stream"
	"logoffworker/worker/webserver/simulator"
)

// A world is what a worker's process has around it.
type world struct {
	t        *testing.T
	sim      *simulator.Server
	web      *httptest.Server
	broker   *broker.Broker
	store    string
	js       jetstream.JetStream
	subjects jobs.Subjects
	http     string
	log      stage.Output
	arrived  chan struct{} // holds one when a logoff has arrived since it was emptied
}

func newWorld(t *testing.T, settings simulator.Settings) *world {
	t.Helper()
	bubble.SampledUnderRace(t, 4)
	t.Parallel() // these tests wait more than they work
	w := &world{t: t, subjects: jobs.Subjects{Prefix: "logoff"}, sim: simulator.New(settings, 1), arrived: make(chan struct{}, 1)}
	w.sim.AddUser(simulator.User{ID: 1, Login: "admin", Display: "Administrator", Password: "canary-password", Administrator: true})
	w.sim.AddUser(simulator.User{ID: 7, Login: "jane", Display: "Jane", Password: "x"})
	w.web = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			select {
			case w.arrived <- struct{}{}:
			default:
			}
		}
		w.sim.ServeHTTP(rw, r)
	}))
	t.Cleanup(w.web.Close)
	w.store = t.TempDir()
	listen, err := stage.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	w.startBroker(listen)
	if w.http, err = stage.FreeAddress(); err != nil {
		t.Fatal(err)
	}
	return w
}

// startBroker starts the broker with what it had stored.
func (w *world) startBroker(listen string) {
	w.t.Helper()
	b, err := broker.Start(broker.Options{StoreDir: w.store, Listen: listen})
	if err != nil {
		w.t.Fatal(err)
	}
	w.broker = b
	w.t.Cleanup(b.Shutdown)
	nc, err := b.Connect()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(nc.Close)
	if w.js, err = jetstream.New(nc); err != nil {
		w.t.Fatal(err)
	}
}

// start starts a worker in a process of its own.
func (w *world) start(extra ...string) *exec.Cmd {
	w.t.Helper()
	return w.startAs(nil, extra...)
}

// startAs starts the program with arguments.
func (w *world) startAs(args []string, extra ...string) *exec.Cmd {
	w.t.Helper()
	command := w.command(args, extra...)
	command.Stdout, command.Stderr = &w.log, &w.log
	if err := command.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = command.Process.Kill() })
	return command
}

// command is the program with arguments, in a process of its own.
func (w *world) command(args []string, extra ...string) *exec.Cmd {
	command := exec.Command(os.Args[0], args...)
	command.Args[0] = "logoff-worker" // by which the test binary knows what to be
	command.Path = os.Args[0]
	command.Env = append(os.Environ(),
		"LOGOFF_NATS_URL="+w.broker.URL(),
		"LOGOFF_WEBSERVER_URL="+w.web.URL+"/commandcenter/api",
		"LOGOFF_WEBSERVER_USERNAME=admin",
		"LOGOFF_WEBSERVER_PASSWORD=canary-password",
		"LOGOFF_HTTP_ADDR="+w.http)
	command.Env = append(command.Env, extra...)
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return command
}

// shortLeases makes the consumers as an operator might, so that a killed worker's jobs come again
// soon.
func (w *world) shortLeases() {
	w.t.Helper()
	if err := stream.DefaultConfig().ProvisionStreams(w.t.Context(), w.js); err != nil {
		w.t.Fatal(err)
	}
	for _, lane := range jobs.Lanes {
		consumer, err := w.js.Consumer(w.t.Context(), w.subjects.RequestStream(), string(lane))
		if err != nil {
			w.t.Fatal(err)
		}
		config := consumer.CachedInfo().Config
		config.AckWait = 3 * time.Second
		if _, err := w.js.UpdateConsumer(w.t.Context(), w.subjects.RequestStream(), config); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) publish(ids []string) {
	w.t.Helper()
	for _, id := range ids {
		if _, err := w.js.PublishAsync("logoff.requests.bulk", []byte(`{"id":"job-`+id+`","sessions":["`+id+`"]}`), jetstream.WithStallWait(time.Minute)); err != nil {
			w.t.Fatal(err)
		}
	}
	<-w.js.PublishAsyncComplete()
}

// results waits for n results and returns how many each job has.
func (w *world) results(n int) map[string]int {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	consumer, err := w.js.CreateConsumer(ctx, w.subjects.ResultStream(), jetstream.ConsumerConfig{Durable: "reader", AckPolicy: jetstream.AckNonePolicy})
	if err != nil {
		w.t.Fatal(err)
	}
	counts := map[string]int{}
	for got := 0; got < n && ctx.Err() == nil; {
		batch, err := consumer.Fetch(n-got, jetstream.FetchContext(ctx))
		if err != nil {
			w.t.Fatal(err)
		}
		for msg := range batch.Messages() {
			got++
			counts[strings.Split(msg.Subject(), ".")[2]]++
		}
	}
	return counts
}

func (w *world) count(stream string) uint64 {
	w.t.Helper()
	handle, err := w.js.Stream(w.t.Context(), stream)
	if err != nil {
		w.t.Fatal(err)
	}
	return handle.CachedInfo().State.Msgs
}

// ended waits for the program to end and fails unless it ended well.
func (w *world) ended(command *exec.Cmd) {
	w.t.Helper()
	if err := command.Wait(); err != nil {
		w.t.Fatalf("the program ended with %v\n%s", err, w.log.String())
	}
}

// awaitLogoffs waits until so many more logoffs have arrived; what arrives at the same time may count as one.
func (w *world) awaitLogoffs(n int) {
	w.t.Helper()
	for range n {
		select {
		case <-w.arrived:
		case <-time.After(2 * time.Minute):
			w.t.Fatalf("no logoff arrives\n%s", w.log.String())
		}
	}
}

// killAfter kills a program in the middle of what it does, and forgets what had arrived of it.
func (w *world) killAfter(command *exec.Cmd, d time.Duration) {
	time.AfterFunc(d, func() { _ = command.Process.Kill() })
	_ = command.Wait() // killed: that is the point
	select {
	case <-w.arrived:
	default:
	}
}

// Every job has exactly one result, however often workers are killed while they work.
func TestKilledWorkersLeaveOneResultPerJob(t *testing.T) {
	const n, kills = 20_000, 20
	w := newWorld(t, simulator.Settings{Ended: simulator.EndedIgnore, LatencyFixed: 120 * time.Millisecond})
	w.shortLeases()
	ids := w.sim.SignOnMany(7, n)
	w.publish(ids)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var starting time.Duration // how long a start takes here, under this load
	for i := range kills {
		begun := time.Now()
		command := w.start("LOGOFF_BATCH_MAX_SESSIONS=50")
		if i%5 == 4 { // before it works, or as it begins to
			w.killAfter(command, time.Duration(random.Int64N(int64(starting))))
			continue
		}
		w.awaitLogoffs(1)
		starting = time.Since(begun)
		w.awaitLogoffs(random.IntN(12))
		w.killAfter(command, time.Duration(random.IntN(120))*time.Millisecond)
	}
	atKills := w.count(w.subjects.ResultStream())
	last := w.start()
	counts := w.results(n)
	if err := last.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	w.ended(last)
	if len(counts) != n {
		t.Errorf("%d of %d jobs have a result", len(counts), n)
	}
	if stored := w.count(w.subjects.ResultStream()); stored != n {
		t.Errorf("%d results for %d jobs", stored, n)
	}
	if left := w.count(w.subjects.RequestStream()); left != 0 {
		t.Errorf("%d jobs left", left)
	}
	t.Logf("%d results were stored before the last of %d kills, %d requests in all", atKills, kills, w.sim.Count("logoff"))
	if atKills == 0 || atKills == n {
		t.Errorf("the kills came too early or too late to mean anything: %d results at the last", atKills)
	}
}

// A broker that goes away in the middle of the work, and comes back, costs nothing but time.
func TestBrokerRestartsLeaveOneResultPerJob(t *testing.T) {
	const n = 5000
	w := newWorld(t, simulator.Settings{Ended: simulator.EndedIgnore, LatencyFixed: 100 * time.Millisecond})
	w.shortLeases()
	w.publish(w.sim.SignOnMany(7, n))
	command := w.start("LOGOFF_BATCH_MAX_SESSIONS=50")
	<-w.arrived
	for range 3 {
		listen := strings.TrimPrefix(w.broker.URL(), "nats://")
		w.broker.Shutdown()
		w.startBroker(listen)
		w.poll("/readyz", http.StatusOK)
	}
	counts := w.results(n)
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	w.ended(command)
	if stored := w.count(w.subjects.ResultStream()); len(counts) != n || stored != n {
		t.Errorf("%d jobs of %d have a result, %d results", len(counts), n, stored)
	}
	if left := w.count(w.subjects.RequestStream()); left != 0 {
		t.Errorf("%d jobs left", left)
	}
	t.Logf("%d requests for %d jobs", w.sim.Count("logoff"), n)
}

// A termination signal lets requests in flight finish; what was not sent is in the stream at once.
func TestTerminationHandsBack(t *testing.T) {
	const n = 5000
	w := newWorld(t, simulator.Settings{LatencyFixed: 300 * time.Millisecond})
	if err := stream.DefaultConfig().ProvisionStreams(t.Context(), w.js); err != nil {
		t.Fatal(err)
	}
	w.publish(w.sim.SignOnMany(7, n))
	command := w.start()
	<-w.arrived // a request is in flight
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	w.ended(command)
	sent := 0
	for _, request := range w.sim.Journal() {
		if request.Op == "logoff" {
			sent += len(request.Sessions)
			if !request.Success || !request.Answered {
				t.Errorf("a request in flight did not finish: %+v", request)
			}
		}
	}
	if stored := w.count(w.subjects.ResultStream()); int(stored) != sent || sent == 0 {
		t.Errorf("%d results for %d sessions that were sent", stored, sent)
	}
	consumer, err := w.js.Consumer(t.Context(), w.subjects.RequestStream(), string(jobs.Bulk))
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	batch, err := consumer.Fetch(n-sent, jetstream.FetchMaxWait(20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	for range batch.Messages() {
		got++
	}
	t.Logf("%d of %d sessions were sent; the next pull got %d jobs in %v, a lease is 30s", sent, n, got, time.Since(begun))
	if got != n-sent {
		t.Errorf("the next pull got %d jobs, want %d", got, n-sent)
	}
}

// Neither NATS nor the Web Server being away stops the program: it says so, and goes on when they
// are back.
func TestUnreachablePartsAreNamedAndWaitedFor(t *testing.T) {
	w := newWorld(t, simulator.Settings{})
	nobody, err := stage.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	command := w.start("LOGOFF_NATS_URL=nats://canary-user:canary-password@"+nobody, "LOGOFF_WEBSERVER_URL=http://"+nobody+"/api", "GOGC=")
	body := w.poll("/readyz", http.StatusServiceUnavailable, "nats: no connection to NATS can be made", "webserver: jobs wait")
	t.Logf("not ready: %s", body)
	w.poll("/livez", http.StatusOK)
	w.poll("/metrics", http.StatusOK, "go_gc_gogc_percent 200\n") // garbage is collected less often, unless GOGC says how often
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	w.ended(command)
	if log := w.log.String(); strings.Contains(log, "canary") || !strings.Contains(log, "nats: no connection to NATS can be made") || !strings.Contains(log, "Web Server") {
		t.Errorf("log:\n%s", log)
	}
}

// poll asks until the answer has the status and all the words.
func (w *world) poll(path string, status int, words ...string) string {
	w.t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	var seen string
	for {
		select {
		case <-deadline.C:
			w.t.Fatalf("%s says %q, want %d and %q\n%s", path, seen, status, words, w.log.String())
		case <-every.C:
		}
		response, err := http.Get("http://" + w.http + path)
		if err != nil {
			continue
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		seen = fmt.Sprint(response.StatusCode, " ", string(body))
		if err == nil && response.StatusCode == status && containsAll(seen, words) {
			return string(body)
		}
	}
}

func containsAll(text string, words []string) bool {
	for _, word := range words {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

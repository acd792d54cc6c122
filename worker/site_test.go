package worker_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/metrics/statuspage"
	"logoffworker/worker"
	"logoffworker/worker/broker"
	"logoffworker/worker/issuers"
	"logoffworker/worker/stage"
	"logoffworker/worker/stage/bubble"
	"logoffworker/worker/stage/pipe"
	"logoffworker/worker/stream"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

const servicePassword = "canary-password-7f3a"

// inBubble runs a test in fake time, in a process of its own.
func inBubble(t *testing.T, test func(t *testing.T)) {
	ofRun() // read here, too: go test keeps results by what it sees a test read
	bubble.Run(t, 9*time.Minute, test)
}

// ofRun are the switches that a run of all tests has set: what the Web Server answers to sessions that have
// ended, and what becomes of the others in their document.
func ofRun() (simulator.Ended, simulator.Partial) {
	return simulator.Ended(os.Getenv("LOGOFF_TEST_ENDED")), simulator.Partial(os.Getenv("LOGOFF_TEST_PARTIAL"))
}

// switched sets the switches that a test leaves open. It panics about a value that there is not.
func switched(s simulator.Settings) simulator.Settings {
	ended, partial := ofRun()
	s.Ended = cmp.Or(s.Ended, ended, simulator.Ended500)
	s.Partial = cmp.Or(s.Partial, partial, simulator.PartialApply)
	if err := s.Check(); err != nil {
		panic(err)
	}
	return s
}

// A site is one deployment: a broker, a simulated Web Server, and whatever workers a test starts.
type site struct {
	t        *testing.T
	sim      *simulator.Server
	switches simulator.Settings // that it began with
	dial     func(context.Context, string, string) (net.Conn, error)
	broker   *broker.Broker
	store    string // the broker's directory
	nc       *nats.Conn
	js       jetstream.JetStream
	subjects jobs.Subjects
	log      *stage.Output
	results  jetstream.Consumer
	seen     []jobs.Result
}

// newSite starts broker and simulator. Everything ends with the test.
func newSite(t *testing.T, settings simulator.Settings) *site {
	t.Helper()
	s := &site{t: t, switches: switched(settings), subjects: jobs.Subjects{Prefix: "logoff"}, log: &stage.Output{}}
	s.sim = simulator.New(s.switches, 1)
	s.sim.AddUser(simulator.User{ID: 1, Login: "admin", Display: "Administrator", Password: servicePassword, Administrator: true})
	s.sim.AddUser(simulator.User{ID: 7, Login: "jane", Display: "Jane", Password: "x"})
	dial, stop := pipe.Serve(s.sim)
	s.dial = dial
	t.Cleanup(stop)
	var err error
	s.store = t.TempDir()
	if s.broker, err = broker.Start(broker.Options{StoreDir: s.store}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.broker.Shutdown)
	if s.nc, err = s.broker.Connect(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.nc.Close)
	if s.js, err = jetstream.New(s.nc); err != nil {
		t.Fatal(err)
	}
	if err := stream.DefaultConfig().ProvisionStreams(t.Context(), s.js); err != nil {
		t.Fatal(err)
	}
	s.results, err = s.js.CreateConsumer(t.Context(), s.subjects.ResultStream(), jetstream.ConsumerConfig{Durable: "reader", AckPolicy: jetstream.AckNonePolicy})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A running worker is what a test can see of one.
type running struct {
	site     *site
	registry *prometheus.Registry
	health   *metrics.Health
	metrics  *metrics.Metrics
	client   *webserver.Client
	worker   *worker.Worker
	nc       *nats.Conn
	cancel   context.CancelFunc
	ended    chan error
	stopped  bool
}

// options change what a started worker is given.
type options struct {
	config  func(*worker.Config)
	client  func(*webserver.Config)
	connect []nats.Option // instead of those that reach the broker
	reached func(worker.Point)
	reloads <-chan worker.Reload
	issuers *issuers.Issuers
}

// start starts a worker that logs in at the simulator.
func (s *site) start(o options) *running {
	s.t.Helper()
	registry := prometheus.NewRegistry()
	m := metrics.New(registry, metrics.Build{Version: "test"})
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	health := metrics.NewHealth(log, worker.Parts...)
	registry.MustRegister(health)
	if o.connect == nil {
		o.connect = []nats.Option{s.broker.InProcess()}
	}
	nc, err := stream.Connect(stream.Connection{Name: "test", Options: o.connect}, health, m, log)
	if err != nil {
		s.t.Fatal(err)
	}
	r := s.run(nc, health, m, log, o)
	r.registry = registry
	return r
}

// run starts a worker over a connection that the test has made.
func (s *site) run(nc *nats.Conn, health *metrics.Health, m *metrics.Metrics, log *slog.Logger, o options) *running {
	s.t.Helper()
	r := &running{site: s, nc: nc, health: health, metrics: m, ended: make(chan error, 1)}
	clientConfig := webserver.Config{
		URL:         "http://127.0.0.1/commandcenter/api",
		Username:    "admin",
		Password:    func() (string, error) { return servicePassword, nil },
		UserAgent:   "logoff-worker/test",
		Timeout:     30 * time.Second,
		DialContext: s.dial,
		Observe:     func(c webserver.Call) { m.Called(c.Op, c.Verdict.String(), c.Sessions, c.Took) },
	}
	if o.client != nil {
		o.client(&clientConfig)
	}
	var err error
	if r.client, err = webserver.New(clientConfig); err != nil {
		s.t.Fatal(err)
	}
	config := worker.DefaultConfig()
	config.Name = "w"
	if o.config != nil {
		o.config(&config)
	}
	s.keepCounts(config)
	w := &worker.Worker{Config: config, NATS: nc, Server: r.client, Metrics: m, Health: health, Log: log, Reached: o.reached, Reloads: o.reloads, Issuers: o.issuers}
	r.worker = w
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { r.ended <- w.Run(ctx) }()
	s.t.Cleanup(r.stop)
	return r
}

// keepCounts makes the stream of counters before the workers do, without an age: the server's clock by which it forgets
// is not that of a bubble, and would have it forget everything at once.
func (s *site) keepCounts(c worker.Config) {
	s.t.Helper()
	account, err := s.js.AccountInfo(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	if !c.Counts() || account.API.Level < 2 {
		return
	}
	_, err = s.js.CreateOrUpdateStream(s.t.Context(), jetstream.StreamConfig{
		Name: s.subjects.CountStream(), Subjects: []string{s.subjects.Counts()}, AllowMsgCounter: true, AllowDirect: true, DenyDelete: true, DenyPurge: true,
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// stop stops the worker as a signal would, and waits for its end.
func (r *running) stop() {
	if r.stopped {
		return
	}
	r.stopped = true
	r.cancel()
	if err := <-r.ended; err != nil {
		r.site.t.Errorf("the worker ended with %v", err)
	}
	r.client.CloseIdle()
	r.nc.Close()
}

// publish stores jobs and fails when the stream does not take them.
func (s *site) publish(subject string, jobs ...string) {
	s.t.Helper()
	for _, job := range jobs {
		if _, err := s.js.PublishAsync(subject, []byte(job)); err != nil {
			s.t.Fatal(err)
		}
	}
	<-s.js.PublishAsyncComplete()
}

// publishMsg stores a message with headers as they are spelled, and returns where it is in its stream.
func (s *site) publishMsg(subject string, header nats.Header, data []byte) (sequence uint64) {
	s.t.Helper()
	ack, err := s.js.PublishMsg(s.t.Context(), &nats.Msg{Subject: subject, Header: header, Data: data})
	if err != nil {
		s.t.Fatal(err)
	}
	return ack.Sequence
}

// oneEach makes a job of each session.
func oneEach(ids []string) (list []string) {
	for _, id := range ids {
		list = append(list, jobOf(id))
	}
	return list
}

func jobOf(ids ...string) string {
	return `{"sessions":["` + strings.Join(ids, `","`) + `"]}`
}

// await returns the next n results in the order in which they were stored.
func (s *site) await(n int) []jobs.Result {
	s.t.Helper()
	results := s.awaitFor(n, 24*time.Hour)
	if len(results) < n {
		s.t.Fatalf("%d of %d results came\nlog:\n%s", len(results), n, s.log)
	}
	return results
}

// awaitFor returns the results that come in time, n at most.
func (s *site) awaitFor(n int, patience time.Duration) (results []jobs.Result) {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for len(results) < n && time.Now().Before(deadline) {
		batch, err := s.results.Fetch(n-len(results), jetstream.FetchMaxWait(min(time.Until(deadline), time.Hour)))
		if err != nil {
			s.t.Fatal(err)
		}
		for msg := range batch.Messages() {
			result, err := jobs.DecodeResult(msg.Data())
			if err != nil {
				s.t.Fatal(err)
			}
			if got := msg.Headers().Get("Logoff-Status"); got != string(result.Status) {
				s.t.Errorf("header says %q, result says %q", got, result.Status)
			}
			results = append(results, result)
		}
		if err := batch.Error(); err != nil {
			s.t.Fatal(err)
		}
	}
	s.seen = append(s.seen, results...)
	return results
}

// left is what the request stream still holds.
func (s *site) left() uint64 { return s.count(s.subjects.RequestStream()) }

// deadLetters is how many there are.
func (s *site) deadLetters() uint64 { return s.count(s.subjects.DeadStream()) }

func (s *site) count(stream string) uint64 {
	s.t.Helper()
	synctest.Wait() // the server works off acknowledgements in its own time
	handle, err := s.js.Stream(s.t.Context(), stream)
	if err != nil {
		s.t.Fatal(err)
	}
	return handle.CachedInfo().State.Msgs
}

// consumer is how a lane's consumer stands.
func (s *site) consumer(lane jobs.Lane) *jetstream.ConsumerInfo {
	s.t.Helper()
	consumer, err := s.js.Consumer(s.t.Context(), s.subjects.RequestStream(), string(lane))
	if err != nil {
		s.t.Fatal(err)
	}
	return consumer.CachedInfo()
}

// takesAtOnce checks that the next pull gets n jobs, no more and no fewer, with no wait for a lease.
func (s *site) takesAtOnce(lane jobs.Lane, n int) {
	s.t.Helper()
	synctest.Wait()
	consumer, err := s.js.Consumer(s.t.Context(), s.subjects.RequestStream(), string(lane))
	if err != nil {
		s.t.Fatal(err)
	}
	batch, err := consumer.Fetch(n+1, jetstream.FetchMaxWait(time.Second))
	if err != nil {
		s.t.Fatal(err)
	}
	got := 0
	for range batch.Messages() {
		got++
	}
	if got != n {
		s.t.Errorf("the next pull gets %d jobs, want %d", got, n)
	}
}

// deadLetter reads one. It follows its job's result.
func (s *site) deadLetter(sequence uint64) jobs.DeadLetter {
	s.t.Helper()
	synctest.Wait()
	stream, err := s.js.Stream(s.t.Context(), s.subjects.DeadStream())
	if err != nil {
		s.t.Fatal(err)
	}
	msg, err := stream.GetMsg(s.t.Context(), sequence)
	if err != nil {
		s.t.Fatal(err)
	}
	letter, err := jobs.DecodeDeadLetter(msg.Header, msg.Data)
	if err != nil {
		s.t.Fatal(err)
	}
	return letter
}

// passes lets fake time pass, and waits until all is quiet.
func passes(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	<-timer.C
	synctest.Wait()
}

// statuses counts results by status.
func statuses(results []jobs.Result) map[jobs.Status]int {
	counts := map[jobs.Status]int{}
	for _, r := range results {
		counts[r.Status]++
	}
	return counts
}

// outcomes counts sessions by outcome.
func outcomes(results []jobs.Result) map[jobs.Outcome]int {
	counts := map[jobs.Outcome]int{}
	for _, r := range results {
		for _, s := range r.Sessions {
			counts[s.Outcome]++
		}
	}
	return counts
}

// tokens is how often one was asked for.
func (s *site) tokens() int { return s.sim.Count("login") + s.sim.Count("renew") }

// logoffs are the DELETE requests that the simulator got.
func (s *site) logoffs() (requests []simulator.Request) {
	for _, r := range s.sim.Journal() {
		if r.Op == "logoff" {
			requests = append(requests, r)
		}
	}
	return requests
}

// repeated is what a session comes to that had ended before, and whose owner nobody tells.
func (s *site) repeated() jobs.Outcome {
	switch s.switches.Ended {
	case simulator.EndedError:
		return jobs.Rejected
	case simulator.EndedIgnore:
		return jobs.Accepted
	}
	return jobs.Undecided
}

// honest is what a session comes to that was on, that the Web Server takes, and whose owner nobody tells: it
// is accepted, unless it was ended by a request that got no success, and had ended when it was sent again.
func (s *site) honest(id string) jobs.Outcome {
	for _, request := range s.logoffs() {
		if !request.Success && slices.Contains(request.Applied, id) {
			return s.repeated()
		}
	}
	return jobs.Accepted
}

// alive are the sessions among ids that are still on.
func (s *site) alive(ids []string) (n int) {
	active := map[string]bool{}
	for _, session := range s.sim.Sessions() {
		if session.Active() {
			active[session.ID] = true
		}
	}
	for _, id := range ids {
		if active[id] {
			n++
		}
	}
	return n
}

// problem is what a worker says about one part of itself; empty when it is well.
func (r *running) problem(part string) string {
	_, conditions := r.health.Ready()
	for _, c := range conditions {
		if c.Part == part {
			return c.What
		}
	}
	return ""
}

// settleByHand takes the only job as another worker would, leaves it unacknowledged, and stores
// that worker's result of it.
func (s *site) settleByHand(outcome jobs.Outcome) {
	s.t.Helper()
	consumer, err := s.js.Consumer(s.t.Context(), s.subjects.RequestStream(), string(jobs.Urgent))
	if err != nil {
		s.t.Fatal(err)
	}
	msg, err := consumer.Next()
	if err != nil {
		s.t.Fatal(err)
	}
	meta, err := msg.Metadata()
	if err != nil {
		s.t.Fatal(err)
	}
	s.storeResult(msg.Data(), meta.Sequence.Stream, meta.Timestamp, outcome)
}

// storeResult stores another worker's result of a job.
func (s *site) storeResult(data []byte, sequence uint64, stored time.Time, outcome jobs.Outcome) {
	s.t.Helper()
	job, err := jobs.Decode(data, jobs.Rules{})
	if err != nil {
		s.t.Fatal(err)
	}
	result := jobs.Result{Version: 1, JobID: jobs.Identify(job.ID, "", jobs.Key(sequence, stored)), Worker: "other", Lane: jobs.Urgent}
	for _, session := range job.Sessions {
		result.Sessions = append(result.Sessions, jobs.SessionResult{ID: session.ID, Outcome: outcome})
	}
	result.Conclude()
	encoded, err := result.Append(nil, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	s.publishMsg(s.subjects.Result(result.JobID, jobs.Key(sequence, stored)), nats.Header{"Logoff-Status": {string(result.Status)}}, encoded)
}

// limitResults sets how many results the stream takes; -1 is no limit.
func (s *site) limitResults(n int64) {
	s.t.Helper()
	stream, err := s.js.Stream(s.t.Context(), s.subjects.ResultStream())
	if err != nil {
		s.t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.MaxMsgs = n
	config.MaxAge = 0 // a change of limits makes the server look for old messages, by a clock outside the bubble
	if _, err := s.js.UpdateStream(s.t.Context(), config); err != nil {
		s.t.Fatal(err)
	}
}

// stored is all that a stream holds, headers included.
func (s *site) stored(name string) string {
	s.t.Helper()
	stream, err := s.js.Stream(s.t.Context(), name)
	if err != nil {
		s.t.Fatal(err)
	}
	var all strings.Builder
	for seq := range stream.CachedInfo().State.LastSeq {
		msg, err := stream.GetMsg(s.t.Context(), seq+1)
		if err != nil {
			s.t.Fatal(err)
		}
		fmt.Fprintln(&all, msg.Subject, msg.Header, string(msg.Data))
	}
	return all.String()
}

// pages are everything that the worker serves over HTTP, the first seconds of the page's stream too, and what it tells
// the other workers.
func (r *running) pages() string {
	page := statuspage.New(statuspage.Config{Registry: r.registry, Health: r.health, Metrics: r.metrics, Subjects: r.site.subjects, Version: "test", Worker: "w"})
	handler := metrics.Handler(r.registry, r.health, page)
	var all strings.Builder
	all.Write(page.Status())
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, path := range []string{"/", "/metrics", "/live", "/livez", "/readyz"} {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
		all.WriteString(recorder.Body.String())
	}
	return all.String()
}

// metric is the value of a gauge without labels.
func (r *running) metric(name string) float64 {
	families, err := r.registry.Gather()
	if err != nil {
		panic(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	panic("no metric " + name)
}

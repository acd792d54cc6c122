package tokens_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/metrics"
	"logoffworker/worker"
	"logoffworker/worker/broker"
	"logoffworker/worker/stage"
	"logoffworker/worker/stage/bubble"
	"logoffworker/worker/stage/pipe"
	"logoffworker/worker/tokens"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

const (
	bucket       = "LOGOFF_TOKENS"
	keyText      = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n"
	otherKeyText = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
)

// inBubble runs a test in fake time, in a process of its own.
func inBubble(t *testing.T, test func(t *testing.T)) { bubble.Run(t, 9*time.Minute, test) }

// A fleet is a broker, a simulated Web Server, an operator's files, and whatever replicas a test starts.
type fleet struct {
	t       *testing.T
	sim     *simulator.Server
	dial    func(context.Context, string, string) (net.Conn, error)
	broker  atomic.Pointer[broker.Broker] // the one that runs, or ran last
	connect func() (net.Conn, error)      // to NATS
	user    string                        // there
	store   string
	keyFile string
	pair    string // the pair file
	log     *stage.Output

	mu       sync.Mutex
	given    []simulator.AccessPair
	fatal    tokens.Point  // the next replica that reaches it dies
	died     chan *replica // those that did
	reached  map[tokens.Point]int
	onReach  func(tokens.Point) // before anybody dies
	replicas []*replica
}

func newFleet(t *testing.T, settings simulator.Settings) *fleet {
	t.Helper()
	dir := t.TempDir()
	f := &fleet{
		t: t, sim: simulator.New(settings, 1), log: &stage.Output{}, store: t.TempDir(),
		keyFile: filepath.Join(dir, "key"), pair: filepath.Join(dir, "pair"),
		died: make(chan *replica, 10), reached: map[tokens.Point]int{},
	}
	f.sim.AddUser(simulator.User{ID: 1, Login: "admin", Display: "Administrator", Password: "x", Administrator: true})
	var stop func()
	f.dial, stop = pipe.Serve(f.sim)
	t.Cleanup(stop)
	f.startBroker()
	f.connect = func() (net.Conn, error) { return f.broker.Load().Dial() }
	t.Cleanup(func() { f.broker.Load().Shutdown() })
	f.write(f.keyFile, keyText)
	t.Cleanup(func() { // before the broker
		for _, r := range f.replicas {
			r.stop()
		}
		f.noSecrets(f.log.String())
	})
	return f
}

func (f *fleet) startBroker() {
	f.t.Helper()
	started, err := broker.Start(broker.Options{StoreDir: f.store})
	if err != nil {
		f.t.Fatal(err)
	}
	f.broker.Store(started)
}

func (f *fleet) write(path, text string) {
	f.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// give has a person make an access token and put it into the pair file.
func (f *fleet) give(g simulator.AccessGrant) simulator.AccessPair {
	f.t.Helper()
	g.UserID = 1
	p := f.sim.Grant(g)
	chain := f.sim.Chains()[p.Chain-1]
	text, err := json.Marshal(map[string]any{
		"accessToken": p.Access, "refreshToken": p.Refresh,
		"tokenExpiryTimestamp": chain.Expiry.Unix(), "renewableUntilTimestamp": chain.RenewableUntil.Unix(),
	})
	if err != nil {
		f.t.Fatal(err)
	}
	f.write(f.pair, string(text))
	f.given = append(f.given, p)
	return p
}

// A replica is what a test can see of one process.
type replica struct {
	f        *fleet
	name     string
	keeper   *tokens.Keeper
	client   *webserver.Client
	health   *metrics.Health
	registry *prometheus.Registry
	nc       *nats.Conn
	ear      atomic.Pointer[hearing]
	cancel   context.CancelFunc
	ended    chan struct{}
	working  sync.WaitGroup
	quit     context.CancelFunc // of its worker, if it has one
	once     sync.Once

	mu     sync.Mutex
	pings  int
	failed []error
}

// start starts a replica; change, unless nil, changes its settings.
func (f *fleet) start(name string, change func(*tokens.Config)) *replica {
	f.t.Helper()
	log := slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug})).With("replica", name)
	r := &replica{f: f, name: name, health: metrics.NewHealth(log, tokens.Part), registry: prometheus.NewRegistry(), ended: make(chan struct{})}
	var err error
	r.nc, err = nats.Connect("", nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
		nats.ReconnectWait(250*time.Millisecond), nats.SetCustomDialer(r), nats.Timeout(5*time.Second),
		nats.PingInterval(10*time.Second), nats.MaxPingsOutstanding(2), nats.UserInfo(f.user, f.user))
	if err != nil {
		f.t.Fatal(err)
	}
	key, err := tokens.ReadKey(f.keyFile)
	if err != nil {
		f.t.Fatal(err)
	}
	web := webserver.Config{URL: "http://127.0.0.1/commandcenter/api", Timeout: 30 * time.Second, DialContext: f.dial}
	c := tokens.Config{
		Name: name, Bucket: bucket, Create: true, Replicas: 1, Key: key, PairFile: f.pair, NATS: r.nc, WebServer: web,
		Metrics: metrics.NewToken(r.registry), Health: r.health,
		Log:     log,
		Reached: func(p tokens.Point) { f.reach(r, p) },
	}
	if change != nil {
		change(&c)
	}
	if r.keeper, err = tokens.New(c); err != nil {
		f.t.Fatal(err)
	}
	web.Token, web.Kept = r.keeper.Token, true
	if r.client, err = webserver.New(web); err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() {
		defer close(r.ended)
		r.keeper.Run(ctx)
	}()
	f.mu.Lock()
	f.replicas = append(f.replicas, r)
	f.mu.Unlock()
	return r
}

// Dial connects to whatever broker there is.
func (r *replica) Dial(_, _ string) (net.Conn, error) {
	conn, err := r.f.connect()
	if err != nil {
		return nil, err
	}
	ear := &hearing{Conn: conn}
	r.ear.Store(ear)
	return ear, nil
}

// A hearing is a connection that can go deaf: it sends on, and nothing comes back.
type hearing struct {
	net.Conn
	deaf atomic.Bool
}

func (h *hearing) Read(b []byte) (int, error) {
	for {
		n, err := h.Conn.Read(b)
		if err != nil || !h.deaf.Load() {
			return n, err
		}
	}
}

// deafen lets no answer of NATS reach a replica any more, until it connects anew.
func (r *replica) deafen() { r.ear.Load().deaf.Store(true) }

// work has a replica call the Web Server every so often, as a worker does with its jobs: a refused token
// is replaced once.
func (r *replica) work(every time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	r.working.Go(func() {
		<-r.ended
		cancel()
	})
	r.working.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(every):
			}
			err := r.call(ctx)
			if ctx.Err() != nil {
				return
			}
			r.mu.Lock()
			if r.pings++; err != nil {
				r.failed = append(r.failed, fmt.Errorf("%v: %w", time.Now().UTC(), err))
			}
			r.mu.Unlock()
		}
	})
}

// employ has a replica work jobs, as the program does.
func (r *replica) employ() *replica {
	registry := prometheus.NewRegistry()
	log := slog.New(slog.NewTextHandler(r.f.log, nil)).With("replica", r.name)
	w := &worker.Worker{
		Config: worker.DefaultConfig(), NATS: r.nc, Server: r.client, Metrics: metrics.New(registry, metrics.Build{}),
		Health: metrics.NewHealth(log, worker.Parts...), Log: log,
	}
	w.Config.Name = r.name
	ctx, cancel := context.WithCancel(context.Background())
	r.quit = cancel
	r.working.Go(func() {
		if err := w.Run(ctx); err != nil {
			r.f.t.Errorf("%s: %v", r.name, err)
		}
	})
	return r
}

func (r *replica) call(ctx context.Context) error {
	err := r.client.Ping(ctx)
	var e *webserver.Error
	if errors.As(err, &e) && e.Verdict == webserver.Unauthorized {
		if err = r.client.Renew(ctx, e); err == nil {
			err = r.client.Ping(ctx)
		}
	}
	return err
}

// stop ends a replica as a signal would, or buries one that died.
func (r *replica) stop() {
	r.once.Do(func() {
		if r.quit != nil {
			r.quit()
		}
		r.cancel()
		<-r.ended
		r.working.Wait()
		r.client.CloseIdle()
		r.nc.Close()
	})
}

// reach lets a replica die where that is wanted: nothing of it runs any more.
func (f *fleet) reach(r *replica, p tokens.Point) {
	f.mu.Lock()
	f.reached[p]++
	fatal := f.fatal == p
	if fatal {
		f.fatal = ""
	}
	onReach := f.onReach
	f.mu.Unlock()
	if onReach != nil {
		onReach(p)
	}
	if fatal {
		f.died <- r
		runtime.Goexit()
	}
}

// kill lets the next replica die that reaches a point, and waits for it.
func (f *fleet) kill(p tokens.Point) *replica {
	f.t.Helper()
	f.mu.Lock()
	f.fatal = p
	f.mu.Unlock()
	select {
	case r := <-f.died:
		r.stop()
		return r
	case <-time.After(renewalTime):
		f.t.Fatalf("nobody reached %s\n%s", p, f.log)
		return nil
	}
}

// renewalTime is longer than any life of an access token in these tests.
const renewalTime = 2 * time.Hour

// renewal waits until a pair is presented.
func (f *fleet) renewal() {
	f.t.Helper()
	before := len(f.presented())
	for began := time.Now(); len(f.presented()) == before; passes(100 * time.Millisecond) {
		if time.Since(began) > renewalTime {
			f.t.Fatalf("no pair is presented\n%s", f.log)
		}
	}
}

// problem is what a replica says about the token; empty when it is well.
func (r *replica) problem() string {
	_, conditions := r.health.Ready()
	for _, c := range conditions {
		return c.What
	}
	return ""
}

// metric is the value of an instrument, with its label value if it has one.
func (r *replica) metric(name, label string) float64 {
	families, err := r.registry.Gather()
	if err != nil {
		panic(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name && (label == "" || m.GetLabel()[0].GetValue() == label) {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	panic("no metric " + name)
}

// passes lets fake time pass, and waits until all is quiet.
func passes(d time.Duration) {
	<-time.NewTimer(d).C
	synctest.Wait()
}

// intact fails the test if any chain was presented with an old pair.
func (f *fleet) intact() {
	f.t.Helper()
	for _, c := range f.sim.Chains() {
		if c.Reused != 0 || c.Dead {
			f.t.Errorf("chain %d: an old pair was presented %d times, dead: %v\n%s", c.ID, c.Reused, c.Dead, f.log)
		}
	}
}

// presented are the renewals that the Web Server was asked for.
func (f *fleet) presented() (all []simulator.Request) {
	for _, r := range f.sim.Journal() {
		if r.Op == "refresh" {
			all = append(all, r)
		}
	}
	return all
}

// secrets are all tokens that there ever were, and the key.
func (f *fleet) secrets() (all []string) {
	for _, p := range f.given {
		all = append(all, p.Access, p.Refresh)
	}
	for _, r := range f.presented() {
		var form map[string]string
		if json.Unmarshal(r.Body, &form) == nil {
			all = append(all, form["accessToken"], form["refreshToken"])
		}
	}
	return append(all, strings.TrimSpace(keyText), "0123456789abcdef0123456789abcdef")
}

// noSecrets fails the test where a text shows a token or the key.
func (f *fleet) noSecrets(text string) {
	f.t.Helper()
	for _, secret := range f.secrets() {
		if secret != "" && strings.Contains(text, secret) {
			f.t.Errorf("a secret is shown in\n%.2000s", text)
			return
		}
	}
}

func (f *fleet) js() jetstream.JetStream {
	f.t.Helper()
	nc, err := f.broker.Load().Connect()
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		f.t.Fatal(err)
	}
	return js
}

// stored are the bytes in the bucket.
func (f *fleet) stored() []byte {
	f.t.Helper()
	kv, err := f.js().KeyValue(f.t.Context(), bucket)
	if err != nil {
		f.t.Fatal(err)
	}
	entry, err := kv.Get(f.t.Context(), "pair")
	if err != nil {
		f.t.Fatal(err)
	}
	return entry.Value()
}

// says fails the test unless a text holds all of some words.
func says(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q does not say %q", text, w)
		}
	}
}

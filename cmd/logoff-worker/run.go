package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/nats-io/nuid"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/term"

	"logoffworker/metrics"
	"logoffworker/metrics/statuspage"
	"logoffworker/worker"
	"logoffworker/worker/broker"
	"logoffworker/worker/env"
	"logoffworker/worker/fleet"
	"logoffworker/worker/issuers"
	"logoffworker/worker/stream"
	"logoffworker/worker/webserver"
)

// defaultName is this worker's name where none is set: it tells replicas on one host apart.
var defaultName = hostName() + "-" + strings.ToLower(nuid.Next()[16:])

func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "logoff-worker"
	}
	name, _, _ = strings.Cut(name, ".")
	return name
}

// loadSettings loads what every command needs, and logs what is probably a mistake.
func loadSettings(r role, stderr io.Writer) (settings, *slog.Logger, error) {
	s, warnings, err := loadFor(r)
	if err != nil {
		return s, nil, err
	}
	log := newLog(s, stderr)
	for _, warning := range warnings {
		log.Warn(warning)
	}
	return s, log, nil
}

func newLog(s settings, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: s.Log.Level}
	file, _ := w.(*os.File) // nil is no terminal
	if s.Log.Format == "text" || s.Log.Format == "" && term.IsTerminal(int(file.Fd())) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// A process is what everything in a running worker's process shares.
type process struct {
	settings settings
	log      *slog.Logger
	registry *prometheus.Registry
	metrics  *metrics.Metrics
	health   *metrics.Health
	reached  func(point string) // hears of each point that the work passes
	issuers  *issuers.Issuers   // whom the issuers file trusts; nil trusts nobody
	received *metrics.Receiver  // nil until something may be received or polled
}

func newProcess(r role, s settings, log *slog.Logger, parts ...string) *process {
	p := &process{settings: s, log: log, registry: prometheus.NewRegistry(), health: metrics.NewHealth(log, parts...), reached: crashes()}
	instruments := metrics.NewIdle
	if r == works {
		instruments = metrics.New
	}
	p.metrics = instruments(p.registry, metrics.Build{Version: version(), Revision: revision(), GoVersion: runtime.Version(), Settings: s.hash()})
	p.registry.MustRegister(p.health)
	return p
}

// runWorker wires everything together, from the outside in, and takes it apart in reverse.
func runWorker(ctx context.Context, hangups <-chan os.Signal, stderr io.Writer) error {
	s, log, err := loadSettings(works, stderr)
	if err != nil {
		return err
	}
	manager, err := managedBySystemd()
	if err != nil {
		log.Warn(err.Error())
	}
	p := newProcess(works, s, log, s.parts()...)
	config := s.workerConfig()
	log.Info("The worker starts.", "version", version(), "revision", revision(), "worker", config.Name, "webserver", stream.ShownURLs(s.Webserver.URL))
	files, err := newReloader(s, p.health, log)
	if err != nil {
		return err
	}
	config.ProtectedSessions, config.ProtectedUsers, config.ProtectedPlaces = files.protection.sessions, files.protection.users, files.protection.places
	defer files.start(hangups)()
	stopIssuers, err := p.keepIssuers()
	if err != nil {
		return err
	}
	defer stopIssuers()
	page := statuspage.New(p.pageConfig(config))
	watched, endWatch := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer endWatch()
	watching.Go(func() { page.Run(watched) })
	stopHTTP, err := serveHTTP(s, metrics.Handler(p.registry, p.health, page), log)
	if err != nil {
		return err
	}
	defer stopHTTP()
	nc, stopNATS, err := p.connect(ctx)
	if ctx.Err() != nil {
		return nil // while the broker recovered its store
	}
	if err != nil {
		return err
	}
	defer stopNATS()
	defer p.joinFleet(config, nc, page)()
	alive, stopPolling, err := p.pollStreams(nc)
	if err != nil {
		return err
	}
	defer stopPolling()
	stopReceiving, err := p.receive(nc, alive, metrics.CheckCommand)
	if err != nil {
		return err
	}
	defer stopReceiving()
	stopSigning, err := p.signResults(nc)
	if err != nil {
		return err
	}
	defer stopSigning()
	watching.Go(func() { manager.watch(watched, p.health) })
	watching.Go(func() { p.keepCanary(watched, config, nc) })
	return p.work(ctx, &worker.Worker{
		Config: config, NATS: nc, Metrics: p.metrics, Health: p.health, Log: log, Reloads: files.to, Issuers: p.issuers,
		Reached: func(point worker.Point) { p.reached(string(point)) },
	})
}

// work gives a worker its Web Server, and runs it.
func (p *process) work(ctx context.Context, w *worker.Worker) error {
	token, stopTokens, err := p.keepPair(ctx, w.NATS, func(c webserver.Call) { p.observe(c); w.CountOther(c.Op) })
	if err != nil {
		return err
	}
	defer stopTokens()
	if ctx.Err() != nil {
		return nil // while there was no token yet
	}
	if w.Server, err = p.settings.client(token, p.observe); err != nil {
		return err
	}
	defer logout(w, p.log)
	return w.Run(ctx)
}

// observe hears of a request to the Web Server.
func (p *process) observe(c webserver.Call) {
	p.metrics.Called(c.Op, c.Verdict.String(), c.Sessions, c.Took)
	if c.Op == webserver.OpLogin || c.Op == webserver.OpRenew {
		p.reached(string(worker.MidLogin))
	}
}

func (p *process) pageConfig(c worker.Config) statuspage.Config {
	return statuspage.Config{
		Registry: p.registry, Health: p.health, Metrics: p.metrics, Subjects: c.Stream.Subjects,
		Version: version(), Worker: c.Name, WebServer: stream.ShownURLs(p.settings.Webserver.URL), Slots: c.Slots, Settings: p.settings.shown(),
	}
}

// joinFleet has the worker tell the others how it is, and its page show how they are. Without, the page shows this
// worker alone.
func (p *process) joinFleet(c worker.Config, nc *nats.Conn, page *statuspage.Page) (leave func()) {
	member, err := fleet.Join(fleet.Config{NATS: nc, Subjects: c.Stream.Subjects, Worker: c.Name, Version: version(), Status: page.Status})
	if err != nil {
		p.log.Warn("The worker does not tell others how it is, and its status page shows it alone.", "error", err)
		return func() {}
	}
	page.Join(member.Ask)
	return member.Leave
}

// connect connects to NATS, which may be a broker of our own.
func (p *process) connect(ctx context.Context) (nc *nats.Conn, stop func(), err error) {
	s := p.settings
	c := s.connection()
	stopBroker := func() {}
	if s.NATS.URL == embedded {
		b, err := startBroker(ctx, s, p.log)
		if err != nil {
			return nil, nil, err
		}
		stopBroker = b.Shutdown
		c.URL, c.Options = "", []nats.Option{b.InProcess()}
		p.log.Info("The embedded NATS broker runs.", "url", b.URL(), "store", s.NATS.StoreDir)
	}
	nc, err = stream.Connect(c, p.health, p.metrics, p.log)
	if err != nil {
		stopBroker()
		return nil, nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	return nc, func() {
		nc.Close()
		stopBroker()
	}, nil
}

func startBroker(ctx context.Context, s settings, log *slog.Logger) (*broker.Broker, error) {
	o, err := brokerOptions(s, log)
	if err != nil {
		return nil, err
	}
	b, err := broker.StartContext(ctx, o)
	return b, localProblem(s, err)
}

// brokerOptions are those of the embedded broker, which demands from its clients the credentials that the
// worker is given.
func brokerOptions(s settings, log *slog.Logger) (broker.Options, error) {
	n := s.NATS
	o := broker.Options{StoreDir: n.StoreDir, Listen: n.Listen, SyncAlways: true, User: n.User, Log: log}
	var err error
	switch {
	case n.User != "":
		o.Password, err = env.Source(n.Password, n.PasswordFile)()
	case n.Token != "" || n.TokenFile != "":
		o.Token, err = env.Source(n.Token, n.TokenFile)()
	case n.NkeyFile != "":
		o.NKey, err = publicKey(n.NkeyFile)
	default:
		log.Warn("the embedded broker asks for no credentials: every program on this machine may publish jobs; set LOGOFF_NATS_USER and its password")
	}
	if err != nil {
		return o, fmt.Errorf("%w: credentials of the embedded broker: %w", errUsage, err)
	}
	return o, nil
}

func publicKey(seedFile string) (string, error) {
	seed, err := env.ReadSecret(seedFile)
	if err != nil {
		return "", err
	}
	pair, err := nkeys.FromSeed([]byte(strings.TrimSpace(seed)))
	if err != nil {
		return "", errors.New("LOGOFF_NATS_NKEY_FILE holds no NKey seed")
	}
	return pair.PublicKey()
}

// client returns the Web Server's client, with a token in place of that of the settings unless it is nil;
// observe hears of each call.
func (s settings) client(token func() (string, error), observe func(webserver.Call)) (*webserver.Client, error) {
	config, err := s.webserverConfig()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	config.Observe = observe
	if token != nil {
		config.Token, config.Kept = token, true
	}
	return webserver.New(config)
}

// logout ends the session that the worker's own login made.
func logout(w *worker.Worker, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := w.Logout(ctx); err != nil {
		log.Warn("The worker's own session was not logged out; it ends by its idle time-out.", "error", err)
	}
	w.Server.CloseIdle()
}

// initStreams creates what is missing in NATS, and asks for no Web Server: who may create it may have none.
func initStreams(ctx context.Context, stdout, stderr io.Writer) error {
	s, log, err := loadSettings(creates, stderr)
	if err != nil {
		return err
	}
	p := newProcess(creates, s, log, s.parts()...)
	nc, stop, err := p.connect(ctx)
	var inUse *broker.InUse
	if errors.As(err, &inUse) {
		return fmt.Errorf("%w; a worker creates its streams itself, so that init beside it is of no use", err)
	}
	if ctx.Err() != nil {
		return errors.New("stopped before the streams were looked at")
	}
	if err != nil {
		return err
	}
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := awaitConnection(ctx, nc, p.health); err != nil {
		return err
	}
	config := s.workerConfig().Streams()
	js, err := config.JetStream(nc)
	if err != nil {
		return err
	}
	streams, err := config.MakeStreams(ctx, js)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "streams %s and their consumers are ready\n", strings.Join(streams, ", "))
	if s.hasPair() {
		if err := s.bucket(js).Provision(ctx); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "bucket %s is ready\n", s.bucketName())
	}
	if s.hasStreams() {
		poller := s.poller(js)
		if err := poller.Provision(ctx); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "bucket %s is ready\n", poller.Bucket)
	}
	return nil
}

// awaitConnection waits until NATS is reached, and otherwise says why it was not.
func awaitConnection(ctx context.Context, nc *nats.Conn, health *metrics.Health) error {
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	for !nc.IsConnected() {
		select {
		case <-ctx.Done():
			_, conditions := health.Ready()
			for _, c := range conditions {
				if c.Part == stream.PartNATS {
					return fmt.Errorf("NATS cannot be reached: %s", c.What)
				}
			}
			return errors.New("NATS cannot be reached")
		case <-every.C:
		}
	}
	return nil
}

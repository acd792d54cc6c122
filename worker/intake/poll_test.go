package intake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
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
	"logoffworker/worker/broker"
	"logoffworker/worker/intake/ssf/transmitter"
	"logoffworker/worker/issuers"
	"logoffworker/worker/stage"
	"logoffworker/worker/stage/bubble"
	"logoffworker/worker/stage/pipe"
)

const (
	issuerURL = "http://127.0.0.1/realms/staff"
	caep      = "https://schemas.openid.net/secevent/caep/event-type/"
	revoked   = caep + "session-revoked"
	disabled  = "https://schemas.openid.net/secevent/risc/event-type/account-disabled"
)

// A pollSite is a broker and a transmitter, and whatever pollers a test starts. All of it is in fake time.
type pollSite struct {
	*rig
	broker *broker.Broker
	x      *transmitter.Transmitter
	dial   func(context.Context, string, string) (net.Conn, error)
	file   string
	log    *stage.Output
	latest atomic.Pointer[poller] // that polled last
}

// polled runs a test with a broker and a transmitter in fake time. stream is the issuers file's, in YAML on one line.
func polled(t *testing.T, settings transmitter.Settings, stream string, test func(*testing.T, *pollSite)) {
	bubble.Run(t, 9*time.Minute, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC))) // tokens of the year 2000 are refused
		b, err := broker.Start(broker.Options{StoreDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Shutdown)
		s := &pollSite{rig: newRigAt(t, 0, func() (*nats.Conn, error) { return b.Connect() }), broker: b, log: &stage.Output{}}
		settings.Issuer = issuerURL
		s.x = transmitter.New(settings)
		var stop func()
		s.dial, stop = pipe.Serve(s.x)
		t.Cleanup(stop)
		s.file = filepath.Join(t.TempDir(), "issuers.yaml")
		text := fmt.Sprintf(`issuers:
  - name: idp
    issuer: %s
    events: {session-revoked: {}, account-disabled: {newer: true}}
    subjects: {email: 'email:{email}'}
    push: {path: /v1/events/idp, bearer: push-canary}
    stream: {%s}
`, issuerURL, stream)
		if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		test(t, s)
		for _, secret := range []string{"push-canary", "stream-canary"} {
			if strings.Contains(s.log.String(), secret) {
				t.Errorf("the log holds a secret:\n%s", s.log)
			}
		}
	})
}

// A poller is one replica's, as a test sees it.
type poller struct {
	*Poller
	site     *pollSite
	nc       *nats.Conn
	registry *prometheus.Registry
	health   *metrics.Health
	cancel   context.CancelFunc
	ended    chan struct{}

	mu    sync.Mutex
	conns []net.Conn // to the transmitter
	dead  bool
}

// start starts a replica. It ends with the test.
func (s *pollSite) start() *poller {
	s.t.Helper()
	r := &poller{site: s, registry: prometheus.NewRegistry(), ended: make(chan struct{})}
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.health = metrics.NewHealth(log)
	var err error
	if r.nc, err = nats.Connect("", s.broker.InProcess(), nats.ReconnectBufSize(-1), nats.ReconnectWait(100*time.Millisecond), nats.MaxReconnects(-1)); err != nil {
		s.t.Fatal(err)
	}
	js, err := jetstream.New(r.nc)
	if err != nil {
		s.t.Fatal(err)
	}
	file, err := issuers.Open(s.file)
	if err != nil {
		s.t.Fatal(err)
	}
	file.Dial, file.Health = s.dial, r.health
	r.Poller = &Poller{
		Issuers: file, Store: &Store{NATS: r.nc, Subjects: subjects}, JS: js, Bucket: PollBucket(subjects), Create: true, DialContext: r.dial,
		Events: metrics.NewReceiver(r.registry), Metrics: metrics.NewStreams(r.registry), Health: r.health, Log: log,
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() {
		defer close(r.ended)
		var both sync.WaitGroup
		defer both.Wait()
		both.Go(func() { file.Run(ctx) })
		r.Run(ctx)
	}()
	s.t.Cleanup(r.stop)
	return r
}

// dial connects to the transmitter, as long as the replica lives.
func (r *poller) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead {
		return nil, errors.New("this replica is dead")
	}
	conn, err := r.site.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	conn = &heardConn{conn, r}
	r.conns = append(r.conns, conn)
	return conn, nil
}

// A heardConn notes who polls.
type heardConn struct {
	net.Conn
	by *poller
}

func (c *heardConn) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte("POST /realms/staff/poll/")) {
		c.by.site.latest.Store(c.by)
	}
	return c.Conn.Write(p)
}

// kill ends a replica as if its machine lost power: nothing that it does afterwards reaches anybody.
func (r *poller) kill() {
	r.mu.Lock()
	r.dead = true
	for _, conn := range r.conns {
		conn.Close()
	}
	r.mu.Unlock()
	r.nc.Close()
	r.cancel()
}

// stop ends a replica as it is meant to end.
func (r *poller) stop() {
	r.cancel()
	<-r.ended
	r.nc.Close()
}

// append writes more into the issuers file, of its only issuer.
func (s *pollSite) append(text string) {
	s.t.Helper()
	file, err := os.ReadFile(s.file)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(s.file, append(file, text...), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// until waits in fake time.
func (s *pollSite) until(limit time.Duration, what string, is func() bool) time.Duration {
	s.t.Helper()
	begun := time.Now()
	for !is() {
		if time.Since(begun) > limit {
			s.t.Fatalf("after %v it is not so that %s\n%s", limit, what, s.log)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return time.Since(begun)
}

// ready waits until the transmitter has a stream for us.
func (s *pollSite) ready() {
	s.t.Helper()
	s.until(time.Minute, "there is a stream", func() bool { return len(s.x.Streams()) > 0 })
}

func email(n int) map[string]any {
	return map[string]any{"format": "email", "email": fmt.Sprintf("user%d@corp.example", n)}
}

// issue has the transmitter tell of n sessions that were revoked, and returns the ids of their jobs by jti.
func (s *pollSite) issue(n int) map[string]string {
	ids := map[string]string{}
	for i := range n {
		jti := s.x.Issue(transmitter.Event{Type: revoked, Subject: email(i)})
		ids[jti] = jobs.SignalID(issuerURL, jti)
	}
	return ids
}

// times counts how often each job is in the stream, by its id.
func (s *pollSite) times() map[string]int {
	s.t.Helper()
	times := map[string]int{}
	for _, msg := range s.stored() {
		times[idOf(msg)]++
	}
	return times
}

// once fails unless the stream has each job once.
func (s *pollSite) once(ids map[string]string) {
	s.t.Helper()
	times, never, again := s.times(), 0, 0
	for _, id := range ids {
		switch n := times[id]; {
		case n == 0:
			never++
		case n > 1:
			again++
		}
	}
	if never+again > 0 {
		s.t.Errorf("of %d jobs %d are not in the stream, and %d are there more than once\n%s", len(ids), never, again, s.log)
	}
}

// condition is what is wrong with streams, by its kind; nil if it is not.
func (r *poller) condition(kind string) *metrics.Condition {
	_, conditions := r.health.Ready()
	for _, c := range conditions {
		if c.Part == SignalsPart && c.Kind == kind+" idp" {
			return &c
		}
	}
	return nil
}

// gauge is a metric of the issuer; -1 if it is absent.
func (r *poller) gauge(name string) float64 {
	families, err := r.registry.Gather()
	if err != nil {
		r.site.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return -1
}

func TestEverySETIsStoredOnceAlthoughPollersDie(t *testing.T) {
	polled(t, transmitter.Settings{Hold: 20 * time.Second}, "delivery: poll, bearer: stream-canary", func(t *testing.T, s *pollSite) {
		const events, deaths = 1000, 10
		ids, inStream := map[string]string{}, map[string]bool{}
		var mu sync.Mutex
		var last, early uint64
		s.x.Acked = func(jti string) {
			mu.Lock()
			defer mu.Unlock()
			id, is := ids[jti]
			if !is {
				return // of the stream itself
			}
			handle, err := s.js.Stream(context.Background(), subjects.RequestStream())
			if err != nil {
				t.Error(err)
				return
			}
			for end := handle.CachedInfo().State.LastSeq; last < end; {
				last++
				msg, err := handle.GetMsg(context.Background(), last)
				if err != nil {
					t.Error(err)
					return
				}
				inStream[idOf(msg)] = true
			}
			if !inStream[id] {
				early++
			}
		}
		// A poller dies as one of its jobs reaches NATS, before it can have heard that it is stored. The next has time to
		// get further: what is stored again after two minutes is another job for JetStream, which the worker ignores.
		published, died, latest := 0, 0, time.Time{}
		next := rand.IntN(80)
		deadly := make(chan struct{}, events)
		if _, err := s.store.NATS.Subscribe("logoff.requests.>", func(*nats.Msg) {
			mu.Lock()
			defer mu.Unlock()
			if published++; published >= next && died < deaths && time.Since(latest) > 30*time.Second {
				died++
				next, latest = published+rand.IntN(40), time.Now()
				s.latest.Load().kill()
				deadly <- struct{}{}
			}
		}); err != nil {
			t.Fatal(err)
		}
		s.start()
		s.start()
		s.ready()
		for range events / 50 {
			mu.Lock()
			for jti, id := range s.issue(50) {
				ids[jti] = id
			}
			mu.Unlock()
			time.Sleep(40*time.Second + time.Duration(rand.IntN(int(20*time.Second)))) // so that twice as many deaths have room
			for len(deadly) > 0 {
				<-deadly
				s.start()
			}
		}
		s.until(10*time.Minute, "all is acknowledged", func() bool {
			for len(deadly) > 0 {
				<-deadly
				s.start()
			}
			return s.x.Pending() == 0
		})
		if died != deaths {
			t.Errorf("%d pollers died, and not %d", died, deaths)
		}
		if early > 0 {
			t.Errorf("%d were acknowledged before they were in the stream", early)
		}
		s.once(ids)
		t.Logf("%d SETs, %d polls, %d pollers died", len(ids), s.x.Count("poll"), died)
	})
}

func TestAnotherPollerTakesOverWithinSeconds(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(*poller)
		most time.Duration
	}{
		"of one that stops": {(*poller).stop, 4 * time.Second},
		"of one that dies":  {(*poller).kill, 14 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			polled(t, transmitter.Settings{}, "delivery: poll, every: 1s", func(t *testing.T, s *pollSite) {
				first := s.start()
				s.ready()
				second := s.start()
				time.Sleep(time.Minute)
				if s.latest.Load() != first {
					t.Fatal("two poll")
				}
				test.end(first)
				ids := s.issue(5)
				took := s.until(time.Minute, "they are stored", func() bool { return s.x.Pending() == 0 })
				if s.latest.Load() != second || took > test.most {
					t.Errorf("it took %v", took)
				}
				s.once(ids)
			})
		})
	}
}

func TestAStopAcknowledgesWhatIsStored(t *testing.T) {
	polled(t, transmitter.Settings{}, "delivery: poll", func(t *testing.T, s *pollSite) {
		var acked sync.Map // by jti; questions of the stream, too
		s.x.Acked = func(jti string) { acked.Store(jti, true) }
		r := s.start()
		s.ready()
		ended := make(chan struct{})
		if _, err := s.store.NATS.Subscribe("logoff.requests.>", func(*nats.Msg) {
			r.cancel()
			<-r.ended // the job is stored, and its poller is not told before this
			close(ended)
		}); err != nil {
			t.Fatal(err)
		}
		ids := s.issue(1)
		<-ended
		s.once(ids)
		for jti := range ids {
			if _, is := acked.Load(jti); !is {
				t.Error("the transmitter has not heard that it is stored")
			}
		}
	})
}

func TestAPollIsHeldOpenOrMadeEverySoOften(t *testing.T) {
	for name, test := range map[string]struct {
		settings    transmitter.Settings
		slow        time.Duration
		least, most int
	}{
		"held open":     {transmitter.Settings{Hold: 30 * time.Second}, 100 * time.Millisecond, 15, 30},
		"not held open": {transmitter.Settings{}, 5100 * time.Millisecond, 110, 140},
	} {
		t.Run(name, func(t *testing.T) {
			polled(t, test.settings, "delivery: poll, verify: 0s", func(t *testing.T, s *pollSite) {
				s.start()
				s.ready()
				time.Sleep(10 * time.Minute)
				if n := s.x.Count("poll"); n < test.least || n > test.most {
					t.Errorf("%d polls in 10 minutes", n)
				}
				ids := s.issue(250)
				if took := s.until(time.Minute, "they are stored", func() bool { return s.x.Pending() == 0 }); took > test.slow {
					t.Errorf("it took %v", took)
				}
				s.once(ids)
			})
		})
	}
}

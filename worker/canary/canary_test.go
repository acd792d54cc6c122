package canary_test

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/worker"
	"logoffworker/worker/broker"
	"logoffworker/worker/canary"
	"logoffworker/worker/stage"
	"logoffworker/worker/stage/bubble"
	"logoffworker/worker/stage/pipe"
	"logoffworker/worker/stream"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

const every = 5 * time.Minute

// A site is a deployment in fake time.
type site struct {
	t      *testing.T
	broker *broker.Broker
	sim    *simulator.Server
	dial   func(context.Context, string, string) (net.Conn, error)
	js     jetstream.JetStream
	log    *stage.Output
}

// inBubble runs a test with a broker and a simulated Web Server.
func inBubble(t *testing.T, test func(*site)) {
	t.Helper()
	bubble.Run(t, 3*time.Minute, func(t *testing.T) {
		s := &site{t: t, log: &stage.Output{}, sim: simulator.New(simulator.Settings{LatencyFixed: 20 * time.Millisecond}, 1)}
		s.sim.AddUser(simulator.User{ID: 1, Login: "admin", Password: "secret", Administrator: true})
		var stop func()
		s.dial, stop = pipe.Serve(s.sim)
		t.Cleanup(stop)
		var err error
		if s.broker, err = broker.Start(broker.Options{StoreDir: t.TempDir()}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.broker.Shutdown)
		nc, err := s.broker.Connect()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		if s.js, err = jetstream.New(nc); err != nil {
			t.Fatal(err)
		}
		if err := stream.DefaultConfig().ProvisionStreams(t.Context(), s.js); err != nil {
			t.Fatal(err)
		}
		test(s)
	})
}

func (s *site) client() (*webserver.Client, error) {
	return webserver.New(webserver.Config{
		URL: "http://127.0.0.1/commandcenter/api", Username: "admin", Password: func() (string, error) { return "secret", nil },
		Timeout: 30 * time.Second, DialContext: s.dial,
	})
}

// A replica is a worker with a canary.
type replica struct {
	registry *prometheus.Registry
	health   *metrics.Health
}

// start has a worker work until the test ends, with a canary that first sets out after some time.
func (s *site) start(name string, first time.Duration, signOn func() (*webserver.Client, error)) replica {
	s.t.Helper()
	log := slog.New(slog.NewTextHandler(s.log, nil))
	r := replica{registry: prometheus.NewRegistry(), health: metrics.NewHealth(log, worker.Parts...)}
	m := metrics.New(r.registry, metrics.Build{})
	nc, err := stream.Connect(stream.Connection{Options: []nats.Option{s.broker.InProcess()}}, r.health, m, log)
	if err != nil {
		s.t.Fatal(err)
	}
	server, err := s.client()
	if err != nil {
		s.t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		s.t.Fatal(err)
	}
	w := &worker.Worker{Config: worker.DefaultConfig(), NATS: nc, Server: server, Metrics: m, Health: r.health, Log: log}
	w.Config.Name = name
	c := &canary.Canary{Every: every, JS: js, Subjects: w.Config.Stream.Subjects, SignOn: signOn, Metrics: metrics.NewCanary(r.registry, every), Health: r.health, Log: log}
	ctx, cancel := context.WithCancel(s.t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := w.Run(ctx); err != nil {
			s.t.Error(err)
		}
	})
	running.Go(func() { c.Run(ctx, first) })
	s.t.Cleanup(func() {
		cancel()
		running.Wait()
		server.CloseIdle()
		nc.Close()
	})
	return r
}

// stored is how many jobs were stored, ever.
func (s *site) stored() uint64 {
	s.t.Helper()
	requests, err := s.js.Stream(s.t.Context(), "LOGOFF_REQUESTS")
	if err != nil {
		s.t.Fatal(err)
	}
	return requests.CachedInfo().State.LastSeq
}

// latest is the latest result.
func (s *site) latest() jobs.Result {
	s.t.Helper()
	results, err := s.js.Stream(s.t.Context(), "LOGOFF_RESULTS")
	if err != nil {
		s.t.Fatal(err)
	}
	msg, err := results.GetLastMsgForSubject(s.t.Context(), "logoff.results.canary.*")
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := jobs.DecodeResult(msg.Data)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// value is a gauge; false where it is absent.
func (r replica) value(t *testing.T, name string) (float64, bool) {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name && len(family.GetMetric()) > 0 {
			return family.GetMetric()[0].GetGauge().GetValue(), true
		}
	}
	return 0, false
}

// The session of each canary is ended by a job that went the way of every job, and all workers know of it; they send one
// out together.
func TestOneCanaryComesBackForAllWorkers(t *testing.T) {
	inBubble(t, func(s *site) {
		one := s.start("w-1", 10*time.Second, s.client)
		two := s.start("w-2", 40*time.Second, s.client)
		time.Sleep(16 * time.Minute)
		if n := s.stored(); n < 3 || n > 4 {
			s.t.Errorf("%d canaries set out", n)
		}
		if r := s.latest(); r.Status != jobs.Done || r.Publisher != canary.Publisher || r.Counts[jobs.LoggedOff] != 1 {
			s.t.Errorf("the result is %+v", r)
		}
		for _, r := range []replica{one, two} {
			at, known := r.value(s.t, "logoff_canary_last_success_timestamp_seconds")
			took, _ := r.value(s.t, "logoff_canary_seconds")
			if !known || time.Since(time.Unix(int64(at), 0)) > 2*every || took <= 0 || took > 10 {
				s.t.Errorf("the latest came back at %v after %v s", at, took)
			}
			if ready, conditions := r.health.Ready(); !ready {
				s.t.Errorf("not ready: %v", conditions)
			}
		}
	})
}

// A session that is told as ended, and whose token is still taken, makes the worker not ready, until a canary comes back.
func TestCanaryFindsTokensThatLiveOn(t *testing.T) {
	inBubble(t, func(s *site) {
		lies := true
		r := s.start("w-1", 10*time.Second, func() (*webserver.Client, error) {
			if lies { // as a cache before the Web Server would
				for range 6 {
					s.sim.FailNextOn("whoami", simulator.Answer(200, "application/json", `{"user":{"userId":1,"userName":"admin"}}`))
				}
			}
			return s.client()
		})
		time.Sleep(time.Minute)
		ready, conditions := r.health.Ready()
		if ready || len(conditions) != 1 || conditions[0].Part != canary.Part || !conditions[0].Grave || !strings.Contains(conditions[0].What, "its token is still taken") {
			s.t.Errorf("ready: %v, %v", ready, conditions)
		}
		if _, known := r.value(s.t, "logoff_canary_last_success_timestamp_seconds"); known {
			s.t.Error("it is told as come back")
		}
		lies = false
		time.Sleep(2 * every)
		if ready, conditions := r.health.Ready(); !ready {
			s.t.Errorf("not ready after it came back: %v", conditions)
		}
	})
}

// While the lane is paused no canary comes back, which is told and keeps nobody from working; and none is stored while
// one waits.
func TestCanariesDoNotPileUpInAPause(t *testing.T) {
	bubble.NeedsNATS(t, 11) // for pauses
	inBubble(t, func(s *site) {
		r := s.start("w-1", 10*time.Second, s.client)
		if _, err := s.js.PauseConsumer(s.t.Context(), "LOGOFF_REQUESTS", "urgent", time.Now().Add(40*time.Minute)); err != nil {
			s.t.Fatal(err)
		}
		time.Sleep(38 * time.Minute)
		if n := s.stored(); n != 1 {
			s.t.Errorf("%d are stored", n)
		}
		if !strings.Contains(s.log.String(), "the canary did not come back") {
			s.t.Errorf("it is not told:\n%s", s.log)
		}
		time.Sleep(15 * time.Minute)
		if at, known := r.value(s.t, "logoff_canary_last_success_timestamp_seconds"); !known || time.Since(time.Unix(int64(at), 0)) > 2*every {
			s.t.Errorf("none came back after the pause")
		}
		if dead, err := s.js.Stream(s.t.Context(), "LOGOFF_DEAD"); err != nil || dead.CachedInfo().State.Msgs != 0 {
			s.t.Errorf("there are dead letters, or %v", err)
		}
	})
}

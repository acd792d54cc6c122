package worker_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker"
	"logoffworker/worker/broker"
	"logoffworker/worker/stage/bubble"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

// A fleet is workers that share a quota, and can be killed.
type fleet struct {
	*site
	now    atomic.Pointer[broker.Broker]
	writes int
	lives  []life
	hired  int
}

type life struct {
	*running
	line *lifeline
}

func newFleet(t *testing.T, writes, workers int) *fleet {
	t.Helper()
	f := &fleet{site: newSite(t, simulator.Settings{LatencyFixed: latency, WritesPerHour: writes, JournalLimit: 100_000}), writes: writes}
	f.now.Store(f.broker)
	for range workers {
		f.hire()
	}
	return f
}

func (f *fleet) hire() {
	f.t.Helper()
	f.hired++
	line := &lifeline{toNATS: func() (net.Conn, error) { return f.now.Load().Dial() }, toWeb: f.dial}
	r := f.start(options{
		connect: []nats.Option{nats.InProcessServer(line)},
		config: func(c *worker.Config) {
			c.Name, c.WritesPerHour, c.BatchMaxSessions = fmt.Sprint("w", f.hired), f.writes, 5
		},
		client: func(c *webserver.Config) { c.DialContext = line.dial },
	})
	f.lives = append(f.lives, life{r, line})
}

// replace kills a worker, and starts another.
func (f *fleet) replace() {
	i := rand.IntN(len(f.lives))
	f.lives[i].line.cut()
	f.hire()
	f.lives[i].stop() // what is left of it can do nothing any more
	f.lives = append(f.lives[:i], f.lives[i+1:]...)
}

// restart takes the broker away for a time.
func (f *fleet) restart(away time.Duration) {
	f.t.Helper()
	f.nc.Close()
	f.broker.Shutdown()
	passes(f.t, away)
	var err error
	if f.broker, err = broker.Start(broker.Options{StoreDir: f.store}); err != nil {
		f.t.Fatal(err)
	}
	f.now.Store(f.broker)
	f.t.Cleanup(f.broker.Shutdown)
	if f.nc, err = f.broker.Connect(); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(f.nc.Close)
	if f.js, err = jetstream.New(f.nc); err != nil {
		f.t.Fatal(err)
	}
	if f.results, err = f.js.Consumer(f.t.Context(), f.subjects.ResultStream(), "reader"); err != nil {
		f.t.Fatal(err)
	}
}

// most is the most writes that reached the Web Server within any hour, and all how many did.
func (f *fleet) most() (most, all int) {
	var times []time.Time
	for _, r := range f.sim.Journal() {
		if r.Method == http.MethodGet {
			continue
		}
		times = append(times, r.Time)
		begin := 0
		for r.Time.Sub(times[begin]) >= time.Hour {
			begin++
		}
		most = max(most, len(times)-begin)
		times = times[begin:]
		all++
	}
	return most, all
}

// Three workers that may make 100 writes an hour make no more than that together, in any hour: with more to do than
// that, while workers die and others take their place, and through a restart of the broker. They use most of what they
// may, and what is urgent does not wait for bulk jobs.
func TestFleetNeverExceedsItsQuota(t *testing.T) {
	bubble.NeedsNATS(t, 12)
	inBubble(t, func(t *testing.T) {
		const writes, hours, urgent = 100, 2, 6
		f := newFleet(t, writes, 3)
		passes(t, time.Second)
		for i := range hours {
			f.publish("logoff.requests.bulk", fmt.Sprintf(`{"id":"list-%d","sessions":["%s"]}`, i, strings.Join(f.sim.SignOnMany(7, 1000), `","`)))
		}
		for i := range urgent {
			id := f.sim.SignOn(7, simulator.ConsoleWeb)
			f.publish("logoff.requests", jobOf(id))
			passes(t, 2*time.Second)
			if f.alive([]string{id}) != 0 && i != urgent/2 {
				t.Errorf("urgent session %d is on after two seconds", i)
			}
			passes(t, 9*time.Minute)
			f.replace()
			passes(t, 11*time.Minute-2*time.Second)
			if i == urgent/2 {
				f.restart(time.Minute)
			}
		}
		most, all := f.most()
		if refused := f.sim.Traffic().WritesRefused; most > writes || refused != 0 {
			t.Errorf("%d writes within an hour, %d were refused", most, refused)
		}
		if all < hours*writes*6/10 || most < writes*7/10 {
			t.Errorf("%d writes in %d hours, at most %d within one", all, hours, most)
		}
		if got := statuses(f.awaitFor(urgent, time.Hour)); got[jobs.AcceptedJob] < urgent {
			t.Errorf("statuses %v", got)
		}
		t.Logf("%d writes in %d hours, at most %d within one, by %d workers", all, hours, most, f.hired)
	})
}

// A worker that starts again and again has no more than one that runs on: what it did before counts.
func TestRestartForgetsNoRequest(t *testing.T) {
	bubble.NeedsNATS(t, 12)
	inBubble(t, func(t *testing.T) {
		const writes = 20
		f := newFleet(t, writes, 1)
		for range 30 {
			f.publish("logoff.requests", jobOf(f.sim.SignOn(7, simulator.ConsoleWeb)))
			passes(t, 40*time.Second)
			f.replace()
		}
		if most, _ := f.most(); most > writes || most < writes/2 {
			t.Errorf("%d writes within an hour", most)
		}
		if got := len(f.awaitFor(30, 10*time.Hour)); got != 30 {
			t.Errorf("%d jobs were done", got)
		}
	})
}

// The end of a worker's own session is a write like others.
func TestLogoutIsCounted(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const writes = 5
		s := newSite(t, simulator.Settings{LatencyFixed: latency})
		r := s.start(options{config: func(c *worker.Config) { c.WritesPerHour = writes }})
		passes(t, time.Second)
		for range writes - 2 { // one is for the login
			s.publish("logoff.requests", jobOf(s.sim.SignOn(7, simulator.ConsoleWeb)))
			passes(t, 10*time.Second)
		}
		logout := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			return r.worker.Logout(ctx)
		}
		if err := logout(); err != nil || s.sim.Traffic().Writes != writes {
			t.Errorf("%v, after %d writes", err, s.sim.Traffic().Writes)
		}
		if err := logout(); err == nil {
			t.Error("a logout is made beyond the budget")
		}
	})
}

// While NATS says nothing of the counters, what has a budget waits, which is told; and it goes on when it does.
func TestWhatCannotBeCountedWaits(t *testing.T) {
	bubble.NeedsNATS(t, 12)
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: latency})
		r := s.start(options{config: func(c *worker.Config) { c.WritesPerHour = 20 }})
		passes(t, time.Second)
		if err := s.js.DeleteStream(t.Context(), s.subjects.CountStream()); err != nil {
			t.Fatal(err)
		}
		before := s.sim.Traffic().Writes
		id := s.sim.SignOn(7, simulator.ConsoleWeb)
		s.publish("logoff.requests", jobOf(id))
		passes(t, time.Minute)
		if s.sim.Traffic().Writes != before || s.alive([]string{id}) != 1 {
			t.Error("a write was made that nobody counted")
		}
		ready, conditions := r.health.Ready()
		told := false
		for _, c := range conditions {
			told = told || c.Part == worker.PartBudget && c.Kind == "writes_uncounted"
		}
		if ready || !told {
			t.Errorf("it is told %v", conditions)
		}
		s.keepCounts(r.worker.Config)
		passes(t, 15*time.Second)
		if s.alive([]string{id}) != 0 {
			t.Error("the session is on although writes can be counted again")
		}
		if ready, conditions := r.health.Ready(); !ready {
			t.Errorf("it is still told %v", conditions)
		}
	})
}

package worker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker"
	"logoffworker/worker/broker"
	"logoffworker/worker/stage/bubble"
	"logoffworker/worker/stream"
	"logoffworker/worker/webserver/simulator"
)

// act stores what somebody wants a lane to do, as logoffctl does before it is done.
func (s *site) act(lane jobs.Lane, verb jobs.Verb, until time.Time) {
	s.t.Helper()
	data, err := jobs.Act{Verb: verb, Who: "operator", Why: "a test", At: time.Now(), Lane: lane, Until: until}.Encode()
	if err != nil {
		s.t.Fatal(err)
	}
	s.publish(s.subjects.LaneAct(lane, "operator"), string(data))
}

// pause pauses a lane as logoffctl does.
func (s *site) pause(lane jobs.Lane, until time.Time) {
	s.t.Helper()
	s.act(lane, jobs.ActPause, until)
	if _, err := s.js.PauseConsumer(s.t.Context(), s.subjects.RequestStream(), string(lane), until); err != nil {
		s.t.Fatal(err)
	}
}

// resume lets a lane go on.
func (s *site) resume(lane jobs.Lane) {
	s.t.Helper()
	s.act(lane, jobs.ActResume, time.Time{})
	if _, err := s.js.ResumeConsumer(s.t.Context(), s.subjects.RequestStream(), string(lane)); err != nil {
		s.t.Fatal(err)
	}
}

// consumerAnew makes a lane's consumer anew, as an operator does.
func (s *site) consumerAnew(lane jobs.Lane) {
	s.t.Helper()
	if err := s.js.DeleteConsumer(s.t.Context(), s.subjects.RequestStream(), string(lane)); err != nil {
		s.t.Fatal(err)
	}
	if err := stream.DefaultConfig().ProvisionStreams(s.t.Context(), s.js); err != nil {
		s.t.Fatal(err)
	}
}

// brokerAnew restarts the broker.
func (s *site) brokerAnew() {
	s.t.Helper()
	s.nc.Close()
	s.broker.Shutdown()
	b, err := broker.Start(broker.Options{StoreDir: s.store})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(b.Shutdown)
	s.broker = b
	if s.nc, err = b.Connect(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(s.nc.Close)
	if s.js, err = jetstream.New(s.nc); err != nil {
		s.t.Fatal(err)
	}
}

// sentOf is how many requests named one of these sessions.
func (s *site) sentOf(ids []string) (n int) {
	for _, request := range s.logoffs() {
		if slices.ContainsFunc(request.Sessions, func(id string) bool { return slices.Contains(ids, id) }) {
			n++
		}
	}
	return n
}

// Two seconds after a lane is paused, nothing of it is sent any more: not what waits with full slots in an outage, nor
// after its end, nor through restarts of worker and broker, nor with a consumer made anew. All goes on within two
// seconds when it is resumed. Urgent jobs are as fast as ever.
func TestNothingOfAPausedLaneIsSent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		bubble.NeedsNATS(t, 11)
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		small := options{config: func(c *worker.Config) { c.BatchMaxSessions = 5 }}
		r := s.start(small)
		passes(t, 5*time.Second)
		s.sim.Configure(func(c *simulator.Settings) { c.Down = 503 })
		bulk := s.sim.SignOnMany(7, 200)
		s.publish("logoff.requests.bulk", oneEach(bulk)...)
		passes(t, 20*time.Second)
		if n := s.consumer(jobs.Bulk).NumAckPending; n < 5 {
			t.Fatalf("%d jobs are in hand", n)
		}
		s.pause(jobs.Bulk, time.Now().Add(24*time.Hour))
		passes(t, 2*time.Second)
		sent := s.sentOf(bulk)
		if n := s.consumer(jobs.Bulk).NumAckPending; n > 0 && n != s.consumer(jobs.Bulk).NumRedelivered {
			t.Logf("%d are pending, %d of them handed back", n, s.consumer(jobs.Bulk).NumRedelivered)
		}
		nothing := func(when string) {
			t.Helper()
			urgent := s.sim.SignOnMany(7, 3)
			s.publish("logoff.requests", oneEach(urgent)...)
			passes(t, time.Minute)
			if n := s.sentOf(bulk) - sent; n > 0 {
				t.Errorf("%s: %d requests of the paused lane\n%s", when, n, s.log)
			}
			if n := s.alive(urgent); s.switches.Down == 0 && when != "in the outage" && n > 0 {
				t.Errorf("%s: %d urgent sessions are on", when, n)
			}
			if said := r.problem("bulk"); !strings.Contains(said, "is paused by operator") {
				t.Errorf("%s: it says %q", when, said)
			}
		}
		nothing("in the outage")
		s.sim.Configure(func(c *simulator.Settings) { c.Down = 0 })
		passes(t, 20*time.Second)
		nothing("after it")
		r.stop()
		r = s.start(small)
		nothing("after a restart of the worker")
		s.consumerAnew(jobs.Bulk)
		nothing("with a consumer made anew")
		if !s.consumer(jobs.Bulk).Paused {
			t.Error("the consumer is not paused again")
		}
		r.stop()
		s.consumerAnew(jobs.Bulk)
		r = s.start(small)
		nothing("with a consumer made anew while no worker ran")
		r.stop()
		s.brokerAnew()
		r = s.start(small)
		nothing("after a restart of the broker")
		s.resume(jobs.Bulk)
		passes(t, 2*time.Second)
		if s.sentOf(bulk) == sent {
			t.Error("nothing is sent two seconds after the lane was resumed")
		}
		passes(t, time.Minute)
		if n := s.alive(bulk); n > 0 || s.left() > 0 {
			t.Errorf("%d sessions are on, %d jobs are left", n, s.left())
		}
	})
}

// A lane that is held by its workers alone, where the consumers are an operator's, or somebody lets the consumer go on
// beside the record of acts, is paused all the same; so is one whose consumer is paused without an act.
func TestLaneIsPausedByActOrConsumer(t *testing.T) {
	for name, test := range map[string]struct {
		provision stream.Provision
		pause     func(*site, time.Time)
		resume    func(*site)
		consumer  bool // is paused meanwhile
	}{
		"act alone":       {stream.ProvisionCreate, func(s *site, t time.Time) { s.act(jobs.Bulk, jobs.ActPause, t) }, func(s *site) { s.resume(jobs.Bulk) }, true},
		"act, verified":   {stream.ProvisionVerify, func(s *site, t time.Time) { s.act(jobs.Bulk, jobs.ActPause, t) }, func(s *site) { s.act(jobs.Bulk, jobs.ActResume, time.Time{}) }, false},
		"it is over":      {stream.ProvisionVerify, func(s *site, _ time.Time) { s.act(jobs.Bulk, jobs.ActPause, time.Now().Add(30*time.Second)) }, func(*site) {}, false},
		"without any act": {stream.ProvisionVerify, (*site).pauseByHand, (*site).resumeByHand, true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				bubble.NeedsNATS(t, 11)
				s := newSite(t, simulator.Settings{LatencyFixed: 3 * time.Second})
				s.start(options{config: func(c *worker.Config) { c.BatchMaxSessions, c.Stream.Provision = 1, test.provision }})
				passes(t, 5*time.Second)
				bulk := s.sim.SignOnMany(7, 60)
				s.publish("logoff.requests.bulk", oneEach(bulk)...)
				passes(t, time.Second)
				test.pause(s, time.Now().Add(time.Hour))
				passes(t, 2*time.Second)
				sent := s.sentOf(bulk)
				passes(t, 20*time.Second)
				if n := s.sentOf(bulk) - sent; n > 0 || sent == 0 {
					t.Errorf("%d requests of the paused lane, %d before\n%s", n, sent, s.log)
				}
				if s.consumer(jobs.Bulk).Paused != test.consumer {
					t.Errorf("the consumer is paused: %t", !test.consumer)
				}
				test.resume(s)
				passes(t, 10*time.Second)
				if s.sentOf(bulk) == sent {
					t.Errorf("nothing is sent after it was resumed\n%s", s.log)
				}
			})
		})
	}
}

func (s *site) pauseByHand(until time.Time) {
	if _, err := s.js.PauseConsumer(s.t.Context(), s.subjects.RequestStream(), "bulk", until); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) resumeByHand() {
	if _, err := s.js.ResumeConsumer(s.t.Context(), s.subjects.RequestStream(), "bulk"); err != nil {
		s.t.Fatal(err)
	}
}

// Users are not looked up, and sessions not read back, for a paused lane: the job is done when it goes on.
func TestUsersOfAPausedLaneWait(t *testing.T) {
	for _, protected := range [][]string{nil, {"admin"}} {
		t.Run(fmt.Sprint(protected), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				bubble.NeedsNATS(t, 11)
				s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
				bulk := s.sim.SignOnMany(7, 10)
				s.sim.Configure(func(c *simulator.Settings) { c.Down = 503 })
				s.start(options{config: func(c *worker.Config) { c.ProtectedUsers = protected }})
				s.publish("logoff.requests.bulk", `{"users":[{"name":"jane"}]}`, jobOf(bulk[0]))
				passes(t, 20*time.Second)
				s.pause(jobs.Bulk, time.Now().Add(time.Hour))
				passes(t, 2*time.Second)
				if n := s.awaitFor(1, time.Second); len(n) > 0 {
					t.Errorf("there are results: %v", n)
				}
				s.sim.Configure(func(c *simulator.Settings) { c.Down = 0 })
				passes(t, time.Minute)
				if n := s.alive(bulk); n != 10 || s.left() != 2 {
					t.Errorf("%d of 10 sessions are on, %d jobs left\n%s", n, s.left(), s.log)
				}
				s.resume(jobs.Bulk)
				if got := statuses(s.await(2)); got[jobs.Done]+got[jobs.AcceptedJob]+got[jobs.Partial]+got[jobs.Failed] != 2 || s.alive(bulk) != 0 {
					t.Errorf("statuses %v, %d sessions are on\n%s", got, s.alive(bulk), s.log)
				}
			})
		})
	}
}

// Whatever a lane's jobs wait for when it is paused, two seconds later nobody is looked up, nothing listed and nothing
// logged off for them any more. What sessions protected users have is found out for the whole worker: a look that was
// begun has its 11 s to end in an outage, and after that it is one a minute, as ever.
func TestNothingIsAskedForAPausedLane(t *testing.T) {
	const window = 10 * time.Minute
	people := func(s *site) (all []string) {
		for id := 100; id < 140; id++ {
			s.sim.AddUser(simulator.User{ID: id, Login: fmt.Sprint("user", id)})
			s.sim.SignOnMany(id, 2)
			all = append(all, fmt.Sprintf(`{"users":[{"name":"user%d"}]}`, id))
		}
		return all
	}
	sessions := func(s *site) []string { return oneEach(s.sim.SignOnMany(7, 40)) }
	owned := func(s *site) (all []string) {
		for _, id := range s.sim.SignOnMany(7, 40) {
			all = append(all, fmt.Sprintf(`{"sessions":[{"id":%q,"userId":7}]}`, id))
		}
		return all
	}
	for _, test := range []struct {
		name     string
		settings simulator.Settings
		jobs     func(*site) []string
		begun    string // what has been asked for the lane when it is paused
	}{
		{"outage before the look-ups", simulator.Settings{Down: 503}, people, ""},
		{"in the look-ups", simulator.Settings{LatencyFixed: 1900 * time.Millisecond}, people, "user"},
		{"in the lists before the logoff", simulator.Settings{LatencyFixed: 1200 * time.Millisecond}, people, "session"},
		{"in the read-back of people", simulator.Settings{EffectDelay: time.Hour}, people, "logoff"},
		{"in the read-back of sessions", simulator.Settings{EffectDelay: time.Hour, LatencyFixed: 300 * time.Millisecond}, owned, "logoff"},
		{"sessions in an outage", simulator.Settings{Down: 503}, sessions, ""},
		{"sessions", simulator.Settings{LatencyFixed: 1900 * time.Millisecond}, sessions, "logoff"},
	} {
		for _, protected := range [][]string{nil, {"50"}} {
			t.Run(fmt.Sprint(test.name, protected), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					bubble.NeedsNATS(t, 11)
					s := newSite(t, simulator.Settings{})
					s.crowd()
					s.sim.SignOnMany(50, 1)
					s.start(options{config: func(c *worker.Config) { c.ProtectedUsers, c.BatchMaxSessions = protected, 3 }})
					passes(t, 5*time.Second)
					all := test.jobs(s)
					s.sim.Configure(func(c *simulator.Settings) { *c = test.settings })
					before := len(s.asked())
					s.publish("logoff.requests.bulk", all...)
					begun := func() bool {
						return slices.ContainsFunc(s.asked()[before:], func(r simulator.Request) bool { return strings.HasPrefix(r.Op, test.begun) })
					}
					for passes(t, 300*time.Millisecond); !begun(); passes(t, 300*time.Millisecond) {
					}
					s.pause(jobs.Bulk, time.Now().Add(24*time.Hour))
					passes(t, 2*time.Second)
					paused := len(s.asked())
					passes(t, 10*time.Second)
					s.sim.Configure(func(c *simulator.Settings) { c.Down = 0 })
					later := len(s.asked())
					passes(t, window)
					for _, r := range s.asked()[paused:] {
						if protected == nil || r.Op == "logoff" || !strings.Contains(r.Path+r.Query, protected[0]) {
							t.Errorf("%s %s?%s of a paused lane", r.Op, r.Path, r.Query)
						}
					}
					if n := len(s.asked()) - later; n > 12 { // a list each minute, and twice who it is
						t.Errorf("%d requests in %v\n%s", n, window, s.log)
					}
					if s.left() == 0 {
						t.Error("no job was left to be paused")
					}
				})
			})
		}
	}
}

// asked are the requests that looked somebody up, listed sessions or logged off, so far.
func (s *site) asked() []simulator.Request {
	return slices.DeleteFunc(s.sim.Journal(), func(r simulator.Request) bool {
		return !slices.Contains([]string{"user", "userv4", "session", "logoff"}, r.Op)
	})
}

// The result of a job tells what was asked of the Web Server for it, unless that is one request that did it.
func TestStepsAreInTheResult(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		ids := s.sim.SignOnMany(7, 3)
		s.start(options{})
		passes(t, 5*time.Second)
		s.publish("logoff.requests", jobOf(ids[0]))
		if r := s.await(1)[0]; len(r.Steps) > 0 {
			t.Errorf("of one request: %+v", r.Steps)
		}
		s.sim.FailNext(simulator.Status(503))
		s.publish("logoff.requests", jobOf(ids[1]))
		if r := s.await(1)[0]; len(r.Steps) != 2 || r.Steps[0].Verdict != "unavailable" || r.Steps[1].Verdict != "accepted" || r.Steps[1].RequestID != r.Sessions[0].RequestID || r.Steps[1].TookMS != 40 || r.Steps[1].AtMS != r.TimeToLogoffMS {
			t.Errorf("of two: %+v", r)
		}
		s.publish("logoff.requests", `{"users":[{"name":"jane"}]}`)
		r := s.await(1)[0]
		var what []string
		for _, step := range r.Steps {
			what = append(what, step.What)
		}
		if got := strings.Join(what, " "); got != "looked_up listed sent listed" {
			t.Errorf("of a user: %s of %+v", got, r)
		}
	})
}

// While bulk jobs rest, urgent ones are as quick as ever.
func TestUrgentJobsDoNotFeelAPause(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		bubble.NeedsNATS(t, 11)
		slowest := func(paused bool) (worst int64) {
			s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
			s.start(options{})
			s.publish("logoff.requests.bulk", oneEach(s.sim.SignOnMany(7, 500))...)
			if paused {
				s.pause(jobs.Bulk, time.Now().Add(time.Hour))
				time.Sleep(3 * time.Second)
			} else {
				s.await(500)
			}
			for range 100 {
				s.publish("logoff.requests", oneEach(s.sim.SignOnMany(7, 1))...)
				for s.await(1)[0].Lane != jobs.Urgent { // what was sent before the pause
				}
				worst = max(worst, s.seen[len(s.seen)-1].TimeToLogoffMS)
				time.Sleep(50 * time.Millisecond)
			}
			return worst
		}
		if alone, beside := slowest(false), slowest(true); beside > alone*105/100 {
			t.Errorf("the slowest takes %d ms beside a paused lane, and %d ms without", beside, alone)
		}
	})
}

package access_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"logoffworker/worker/access"
	"logoffworker/worker/gate"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

const latency = 20 * time.Millisecond

// A site is a simulated Web Server, and the way to it.
type site struct {
	*access.Server
	sim  *simulator.Server
	stop context.CancelFunc
}

// inBubble runs a test in fake time with a Web Server that was reached once.
func inBubble(t *testing.T, change func(*access.Config), test func(t *testing.T, s *site)) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(simulator.Settings{LatencyFixed: latency}, 1)
		sim.AddUser(simulator.User{ID: 1, Login: "admin", Display: "Administrator", Password: "p", Administrator: true})
		sim.AddUser(simulator.User{ID: 7, Login: "jane", Display: "Jane"})
		dial, endPipe := sim.Pipe()
		defer endPipe()
		client, err := webserver.New(webserver.Config{
			URL: "http://127.0.0.1/commandcenter/api", Username: "admin", DialContext: dial,
			Password: func() (string, error) { return "p", nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		defer client.CloseIdle()
		stopping, stop := context.WithCancel(t.Context())
		defer stop()
		c := access.Config{
			Client: client,
			Gate: gate.Config{
				Backoff: gate.Backoff{Min: 100 * time.Millisecond, Max: 10 * time.Second},
				Moved:   func(gate.Change) {}, Limited: func(gate.Kind, gate.Change) {}, Spent: func(gate.Kind, gate.Rank, time.Duration) {},
			},
			Questions: 4, Repeated: func(webserver.Verdict) {}, Stopping: stopping, Finish: t.Context(),
		}
		if change != nil {
			change(&c)
		}
		s := &site{access.New(c), sim, stop}
		if problem, err := s.ask(time.Time{}); problem != nil || err != nil {
			t.Fatal(problem, err)
		}
		test(t, s)
	})
}

// ask lists somebody's sessions.
func (s *site) ask(deadline time.Time) (*webserver.Error, error) {
	return s.Ask(gate.Urgent, deadline, func(ctx context.Context) error {
		_, err := s.Client.Sessions(ctx, 7)
		return err
	})
}

// tokens is how often one was asked for.
func (s *site) tokens() int { return s.sim.Count("login") + s.sim.Count("renew") }

func TestRefusedTokenIsRenewedOnceForAll(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *site) {
		before := s.tokens()
		s.sim.RevokeTokens()
		var asking sync.WaitGroup
		for range 10 {
			asking.Go(func() {
				if problem, err := s.ask(time.Time{}); problem != nil || err != nil {
					t.Error(problem, err)
				}
			})
		}
		asking.Wait()
		if n := s.tokens() - before; n != 1 {
			t.Errorf("%d tokens for one refusal", n)
		}
	})
}

// A Web Server that refuses whatever token it hands out is not asked for one after the other.
func TestTokensThatAreAllRefusedAreFew(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *site) {
		s.sim.FailNextOn("whoami", slices.Repeat([]simulator.Fault{simulator.Status(401)}, 1000)...)
		before := s.tokens()
		for range 60 {
			if problem := s.Ping(); problem == nil || problem.Verdict != webserver.Unauthorized {
				t.Fatalf("the harmless question: %v", problem)
			}
			time.Sleep(time.Second)
		}
		if n := s.tokens() - before; n < 1 || n > 5 {
			t.Errorf("%d tokens in a minute", n)
		}
	})
}

// A question that fails alone is given up after three tries, and holds nobody.
func TestQuestionThatFailsAloneHoldsNobody(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *site) {
		before := s.sim.Count("session")
		s.sim.FailNextOn("session", slices.Repeat([]simulator.Fault{simulator.Status(503)}, 3)...)
		problem, err := s.ask(time.Time{})
		if err != nil || problem == nil || problem.Verdict != webserver.Unavailable {
			t.Errorf("%v, %v", problem, err)
		}
		if n := s.sim.Count("session") - before; n != 3 {
			t.Errorf("asked %d times", n)
		}
		if s.Gate.Held() != nil || s.IsDown() {
			t.Error("requests are held")
		}
	})
}

// While the Web Server is down, a question waits for its end, its deadline or a stop.
func TestQuestionWaitsOutAnOutage(t *testing.T) {
	for name, test := range map[string]struct {
		deadline time.Duration
		end      func(s *site)
		overdue  bool
		stopped  bool
	}{
		"its end":      {end: func(s *site) { s.sim.Configure(func(c *simulator.Settings) { c.Down = 0 }) }},
		"its deadline": {deadline: time.Minute, end: func(*site) {}, overdue: true},
		"a stop":       {end: func(s *site) { s.stop() }, stopped: true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, s *site) {
				s.sim.Configure(func(c *simulator.Settings) { c.Down = 503 })
				var deadline time.Time
				if test.deadline > 0 {
					deadline = time.Now().Add(test.deadline)
				}
				begun, done := time.Now(), make(chan struct{})
				go func() {
					defer close(done)
					problem, err := s.ask(deadline)
					if problem != nil || (err != nil) != (test.overdue || test.stopped) || access.Stopped(err) != test.stopped {
						t.Errorf("%v, %v", problem, err)
					}
				}()
				time.Sleep(30 * time.Second)
				select {
				case <-done:
					t.Error("it did not wait")
				default:
				}
				if !s.IsDown() {
					t.Error("nobody knows that the Web Server is down")
				}
				test.end(s)
				<-done
				if took := time.Since(begun); took > time.Minute+latency {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// The harmless question is a read like others: without budget nothing is asked.
func TestPingIsWithinTheBudgetOfReads(t *testing.T) {
	inBubble(t, func(c *access.Config) { c.Gate.ReadsPerHour = 3 }, func(t *testing.T, s *site) {
		for range 2 { // the first read was that of the list
			if problem := s.Ping(); problem != nil {
				t.Fatal(problem)
			}
		}
		problem := s.Ping()
		if problem == nil || problem.Verdict != webserver.Throttled || problem.RetryAfter <= 0 || s.sim.Count("whoami") != 2 {
			t.Errorf("%+v after %d pings", problem, s.sim.Count("whoami"))
		}
		time.Sleep(time.Hour)
		if problem := s.Ping(); problem != nil {
			t.Errorf("an hour later: %v", problem)
		}
	})
}

// A clean answer that is new enough says that the Web Server is well; an older one leads to the question.
func TestCheckAliveAsksOnlyWhereNothingNewerIsKnown(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *site) {
		before := s.sim.Count("whoami")
		if !s.CheckAlive(time.Now().Add(-time.Second)) || s.sim.Count("whoami") != before {
			t.Error("it asked although an answer had just come")
		}
		if !s.CheckAlive(time.Now()) || s.sim.Count("whoami") != before+1 {
			t.Error("it did not ask")
		}
		s.sim.Configure(func(c *simulator.Settings) { c.Down = 503 })
		time.Sleep(time.Second)
		if s.CheckAlive(time.Now()) {
			t.Error("a Web Server that is down is alive")
		}
	})
}

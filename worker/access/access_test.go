package access_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"logoffworker/worker/access"
	"logoffworker/worker/gate"
	"logoffworker/worker/stage/pipe"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

const latency = 20 * time.Millisecond

// A site is a simulated Web Server, and the way to it.
type site struct {
	*access.Server
	sim    *simulator.Server
	stop   context.CancelFunc
	giveUp context.CancelFunc // of what was begun
}

// inBubble runs a test in fake time with a Web Server that was reached once.
func inBubble(t *testing.T, change func(*access.Config), test func(t *testing.T, s *site)) {
	inColdBubble(t, nil, change, func(t *testing.T, s *site) {
		if problem, err := s.ask(time.Time{}); problem != nil || err != nil {
			t.Fatal(problem, err)
		}
		test(t, s)
	})
}

// inColdBubble runs one with a Web Server that nobody has asked yet.
func inColdBubble(t *testing.T, secret func(*simulator.Server, *webserver.Config), change func(*access.Config), test func(t *testing.T, s *site)) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(simulator.Settings{LatencyFixed: latency}, 1)
		sim.AddUser(simulator.User{ID: 1, Login: "admin", Display: "Administrator", Password: "p", Administrator: true})
		sim.AddUser(simulator.User{ID: 7, Login: "jane", Display: "Jane"})
		dial, endPipe := pipe.Serve(sim)
		defer endPipe()
		config := webserver.Config{
			URL: "http://127.0.0.1/commandcenter/api", Username: "admin", DialContext: dial,
			Password: func() (string, error) { return "p", nil },
		}
		if secret != nil {
			secret(sim, &config)
		}
		client, err := webserver.New(config)
		if err != nil {
			t.Fatal(err)
		}
		defer client.CloseIdle()
		stopping, stop := context.WithCancel(t.Context())
		defer stop()
		finish, giveUp := context.WithCancel(t.Context())
		defer giveUp()
		c := access.Config{
			Client: client,
			Gate: gate.Config{
				Backoff: gate.Backoff{Min: 100 * time.Millisecond, Max: 10 * time.Second},
				Moved:   func(gate.Change) {}, Limited: func(gate.Kind, gate.Change) {}, Spent: func(gate.Kind, gate.Rank, time.Duration) {},
			},
			Questions: 4, Repeated: func(webserver.Verdict) {}, Stopping: stopping, Finish: finish,
		}
		if change != nil {
			change(&c)
		}
		test(t, &site{access.New(c), sim, stop, giveUp})
	})
}

// given has the worker use a token that somebody gave it.
func given(token func() (string, error)) func(*simulator.Server, *webserver.Config) {
	return func(_ *simulator.Server, c *webserver.Config) { c.Username, c.Password, c.Token = "", nil, token }
}

// ask lists somebody's sessions. That there is no problem means that they were listed.
func (s *site) ask(deadline time.Time) (*webserver.Error, error) {
	var last error
	problem, err := s.Ask(gate.Urgent, deadline, func(ctx context.Context) error {
		_, last = s.Client.Sessions(ctx, 7)
		return last
	})
	if problem == nil && err == nil && last != nil {
		return nil, fmt.Errorf("it counts as answered: %w", last)
	}
	return problem, err
}

// refused is a logoff that is refused with 401.
func (s *site) refused(t *testing.T) *webserver.Error {
	t.Helper()
	s.sim.FailNext(simulator.Status(401))
	problem, err := webserver.Problem(s.Client.Logoff(t.Context(), webserver.Origin{ID: "1"}, s.sim.SignOnMany(7, 1)))
	if err != nil || problem == nil || problem.Verdict != webserver.Unauthorized {
		t.Fatalf("%v, %v", problem, err)
	}
	return problem
}

func always(f simulator.Fault) []simulator.Fault { return slices.Repeat([]simulator.Fault{f}, 1000) }

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
		if n := s.tokens() - before; n != 1 || s.sim.Count("whoami") != 0 {
			t.Errorf("%d tokens for one refusal, %d pings", n, s.sim.Count("whoami"))
		}
		begun := time.Now()
		s.sim.RevokeTokens()
		if problem, err := s.ask(time.Time{}); problem != nil || err != nil || time.Since(begun) > time.Second {
			t.Errorf("one that was good and is refused soon after: %v, %v after %v", problem, err, time.Since(begun))
		}
	})
}

// Those who wait for one token together count as one who asked for it.
func TestTokenRefusedToManyIsReplacedTenSecondsLater(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *site) {
		s.sim.FailNextOn("whoami", always(simulator.Status(401))...)
		var asking sync.WaitGroup
		for range 10 {
			asking.Go(func() { s.Ping() })
		}
		asking.Wait()
		before := s.tokens()
		time.Sleep(11 * time.Second)
		if s.Ping(); s.tokens() != before+1 {
			t.Errorf("%d tokens", s.tokens()-before)
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
				// A request that began just before the deadline is waited for, and the harmless question that follows.
				if took := time.Since(begun); took > time.Minute+2*latency {
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

// Before the first answer nobody knows that the Web Server is well.
func TestServerIsDownUntilItAnswers(t *testing.T) {
	inColdBubble(t, nil, nil, func(t *testing.T, s *site) {
		if !s.IsDown() {
			t.Error("nobody has asked it")
		}
		if _, err := s.ask(time.Time{}); err != nil || s.IsDown() {
			t.Errorf("it has answered: %v", err)
		}
	})
}

func TestOldVersionIsAlive(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *site) {
		s.sim.FailNextOn("whoami", simulator.Answer(404, "application/json", `{"errorCode":404}`))
		if !s.CheckAlive(time.Now()) {
			t.Error("a version that does not know the harmless question counts as down")
		}
	})
}

// A ping that cannot be finished is no answer, nor is a renewal or a question.
func TestNothingIsAnsweredWhenTimeIsUp(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *site) {
		refused := s.refused(t)
		s.giveUp()
		if problem := s.Ping(); problem == nil || problem.Verdict != webserver.Unavailable {
			t.Errorf("a ping: %v", problem)
		}
		if problem := s.Renew(refused, false); problem == nil || problem.Verdict != webserver.Unavailable {
			t.Errorf("a renewal: %v", problem)
		}
		if problem, err := s.ask(time.Time{}); problem != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("a question: %v, %v", problem, err)
		}
	})
}

// Too many pings hold reads; too many logins, met by a ping, do not.
func TestPingThatIsThrottledHoldsReads(t *testing.T) {
	for op, held := range map[string]bool{"whoami": true, "login": false} {
		inColdBubble(t, nil, nil, func(t *testing.T, s *site) {
			s.sim.FailNextOn(op, simulator.Throttle(60))
			problem := s.Ping()
			if problem == nil || problem.Verdict != webserver.Throttled || s.Gate.Take(t.Context(), gate.Read) > 0 != held {
				t.Errorf("%s: %v, and the next read waits %v", op, problem, s.Gate.Take(t.Context(), gate.Read))
			}
		})
	}
}

// Only a refused token is replaced.
func TestPingThatFailsCostsNoToken(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *site) {
		before := s.tokens()
		s.sim.FailNextOn("whoami", simulator.Status(503))
		if problem := s.Ping(); problem == nil || problem.Verdict != webserver.Unavailable || s.tokens() != before {
			t.Errorf("%v, %d tokens", problem, s.tokens()-before)
		}
	})
}

// The watch asks at the start and when nothing else does, and opens the gate or closes it by what it hears.
func TestWatchTellsHowTheServerIs(t *testing.T) {
	const keepAlive = 5 * time.Minute
	for name, test := range map[string]struct {
		op    string
		fault simulator.Fault
		well  bool
		held  webserver.Verdict // 0 is not at all
	}{
		"well":                  {op: "user", well: true},
		"an old version":        {op: "whoami", fault: simulator.Answer(404, "application/json", `{"errorCode":404}`), well: true},
		"a wrong path":          {op: "whoami", fault: simulator.Answer(404, "text/html", "<html><title>no</title></html>"), held: webserver.Misconfigured},
		"down":                  {op: "whoami", fault: simulator.Status(503), held: webserver.Unavailable},
		"asked too often":       {op: "whoami", fault: simulator.Throttle(40)},
		"too many tokens asked": {op: "login", fault: simulator.Throttle(40), held: webserver.Throttled},
	} {
		t.Run(name, func(t *testing.T) {
			inColdBubble(t, nil, nil, func(t *testing.T, s *site) {
				s.sim.FailNextOn(test.op, always(test.fault)...)
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan bool)
				var well atomic.Int64
				go func() {
					defer close(ended)
					s.Watch(ctx, keepAlive, func() { well.Add(1) })
				}()
				time.Sleep(30 * time.Second)
				synctest.Wait()
				if held := s.Gate.Held(); (well.Load() == 1) != test.well || (held == nil) != (test.held == 0) || held != nil && held.Verdict != test.held {
					t.Errorf("well %d times, held for %v", well.Load(), held)
				}
				time.Sleep(2*keepAlive - 40*time.Second)
				synctest.Wait()
				if test.well && (well.Load() != 2 || s.sim.Count("whoami") != 2) {
					t.Errorf("asked %d times in twice the time that a token lives", s.sim.Count("whoami"))
				}
				s.sim.ClearFaults()
				time.Sleep(3 * keepAlive)
				synctest.Wait()
				if well.Load() == 0 || s.Gate.Held() != nil {
					t.Errorf("when all is well again: well %d times, held for %v", well.Load(), s.Gate.Held())
				}
				stop()
				<-ended
			})
		})
	}
}

// A secret that was refused is tried at once when it has been changed, and not before.
func TestChangedSecretIsTriedAtOnce(t *testing.T) {
	for _, login := range []bool{true, false} {
		t.Run(fmt.Sprint("login ", login), func(t *testing.T) {
			var secret atomic.Value
			read := func() (string, error) { return secret.Load().(string), nil }
			use := given(read)
			if login {
				use = func(_ *simulator.Server, c *webserver.Config) { c.Password = read }
			}
			rarely := func(c *access.Config) { c.Gate.Backoff.Max = time.Hour } // is it tried without the watch
			inColdBubble(t, use, rarely, func(t *testing.T, s *site) {
				if secret.Store("wrong"); !login {
					secret.Store(s.sim.Token(1))
					s.sim.RevokeTokens()
				}
				var changes atomic.Int64
				go s.WatchSecret(t.Context(), func() { changes.Add(1) })
				answered := make(chan time.Time, 1)
				go func() {
					if problem, err := s.ask(time.Time{}); problem != nil || err != nil {
						t.Error(problem, err)
					}
					answered <- time.Now()
				}()
				time.Sleep(11 * time.Minute)
				if changes.Load() != 0 || s.Gate.Held() == nil {
					t.Fatalf("%d changes, held for %v", changes.Load(), s.Gate.Held())
				}
				if secret.Store("p"); !login {
					secret.Store(s.sim.Token(1))
				}
				changed := time.Now()
				took := (<-answered).Sub(changed)
				if alone := took < 2*time.Second && changes.Load() == 0; took > 3*time.Second || changes.Load() != 1 && !alone {
					t.Errorf("it took %v with %d changes", took, changes.Load())
				}
				time.Sleep(10 * time.Second)
				changes.Store(0)
				s.sim.Configure(func(c *simulator.Settings) { c.Down = 503 })
				go func() { _, _ = s.ask(time.Now().Add(time.Minute)) }()
				time.Sleep(50 * time.Second)
				if changes.Load() != 0 || s.Gate.Held() == nil {
					t.Errorf("in an outage: %d changes, held for %v", changes.Load(), s.Gate.Held())
				}
			})
		})
	}
}

// Where all places for questions are taken, one more waits for its time or a stop.
func TestQuestionWaitsForAPlace(t *testing.T) {
	inBubble(t, func(c *access.Config) { c.Questions = 1 }, func(t *testing.T, s *site) {
		end := make(chan bool)
		go func() {
			_, _ = s.Ask(gate.Urgent, time.Time{}, func(context.Context) error { <-end; return nil })
		}()
		defer close(end)
		synctest.Wait()
		begun := time.Now()
		if problem, err := s.ask(begun.Add(time.Second)); problem != nil || !errors.Is(err, gate.ErrOverdue) || time.Since(begun) != time.Second {
			t.Errorf("%v, %v after %v", problem, err, time.Since(begun))
		}
		s.stop()
		if problem, err := s.ask(time.Now().Add(time.Hour)); problem != nil || !access.Stopped(err) {
			t.Errorf("stopped: %v, %v", problem, err)
		}
	})
}

// What a question alone is refused for is asked again only where that may help.
func TestQuestionIsAskedAgainWhereThatMayHelp(t *testing.T) {
	for status, want := range map[int]struct {
		asked, tokens int
		verdict       webserver.Verdict
	}{
		403: {1, 0, webserver.Forbidden}, 503: {3, 0, webserver.Unavailable}, 401: {4, 1, webserver.Unauthorized},
	} {
		inBubble(t, nil, func(t *testing.T, s *site) {
			asked, tokens := s.sim.Count("session"), s.tokens()
			s.sim.FailNextOn("session", always(simulator.Status(status))...)
			problem, err := s.ask(time.Now().Add(time.Hour))
			if err != nil || problem == nil || problem.Verdict != want.verdict || s.sim.Count("session")-asked != want.asked || s.tokens()-tokens != want.tokens {
				t.Errorf("%d: %v, %v, asked %d times with %d tokens", status, problem, err, s.sim.Count("session")-asked, s.tokens()-tokens)
			}
			if s.Gate.Held() != nil {
				t.Errorf("%d holds all for %v", status, s.Gate.Held())
			}
		})
	}
}

func TestReasonIsTheKindWhereItWasAskedTooOften(t *testing.T) {
	for _, test := range []struct {
		op      string
		verdict webserver.Verdict
		want    gate.Scope
	}{
		{webserver.OpSessions, webserver.Throttled, gate.OfItsKind},
		{webserver.OpLogin, webserver.Throttled, gate.Everything},
		{webserver.OpRenew, webserver.Throttled, gate.Everything},
		{webserver.OpSessions, webserver.Unavailable, gate.Everything},
	} {
		if got := access.Reason(&webserver.Error{Op: test.op, Verdict: test.verdict}); got != test.want {
			t.Errorf("%s %s: %d", test.op, test.verdict, got)
		}
	}
}

// A logoff that is refused with a token that is good for everything else costs no token, and neither does what was
// refused before.
func TestDisputedTokenIsAskedAboutFirst(t *testing.T) {
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprint(again), func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, s *site) {
				s.Dispute(!again)
				refused, before := s.refused(t), s.tokens()
				if problem := s.Renew(refused, again); problem != refused || s.tokens() != before || s.sim.Count("whoami") != 1 {
					t.Errorf("good: %v, %d tokens, %d pings", problem, s.tokens()-before, s.sim.Count("whoami"))
				}
				s.sim.FailNextOn("whoami", simulator.Status(503))
				if problem := s.Renew(refused, again); problem == nil || problem.Verdict != webserver.Unavailable || s.tokens() != before {
					t.Errorf("down: %v, %d tokens", problem, s.tokens()-before)
				}
				s.sim.FailNextOn("whoami", simulator.Status(401))
				if problem := s.Renew(refused, again); problem != nil || s.tokens() != before+1 {
					t.Errorf("refused to the ping too: %v, %d tokens", problem, s.tokens()-before)
				}
			})
		})
	}
}

// While nobody may ask the harmless question, a token that was refused is replaced, as if it had never been good: that
// there were too many reads is no reason to hold logoffs. That there were too many logins is.
func TestTokenIsReplacedWhereNobodyCanTell(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *site) {
		s.sim.FailNextOn("whoami", simulator.Throttle(3600))
		for range 2 { // the second question is not asked any more
			refused, before := s.refused(t), s.tokens()
			if problem := s.Renew(refused, true); problem != nil || s.tokens() != before+1 {
				t.Errorf("%v, %d tokens", problem, s.tokens()-before)
			}
			s.Well()
		}
	})
	inBubble(t, nil, func(t *testing.T, s *site) {
		refused := s.refused(t)
		s.sim.FailNextOn("whoami", simulator.Status(401))
		s.sim.FailNextOn("renew", simulator.Throttle(60))
		if problem := s.Renew(refused, true); problem == nil || problem.Verdict != webserver.Throttled || problem.Op != webserver.OpRenew {
			t.Errorf("too many logins: %v", problem)
		}
	})
}

// A question that is always refused, while everything else is accepted, costs one token, and comes to an end.
func TestQuestionThatIsRefusedAloneComesToAnEnd(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *site) {
		before, asked := s.tokens(), 0
		problem, err := s.Ask(gate.Urgent, time.Now().Add(time.Hour), func(ctx context.Context) error {
			asked++
			s.Well() // somebody else's answer to the same token
			s.sim.FailNextOn("session", simulator.Status(401))
			_, err := s.Client.Sessions(ctx, 7)
			s.Well()
			return err
		})
		if err != nil || problem == nil || problem.Verdict != webserver.Unauthorized || asked > 6 || s.tokens() != before+1 {
			t.Errorf("%v, %v; asked %d times, %d tokens", problem, err, asked, s.tokens()-before)
		}
	})
}

// Who was refused with an old token comes again with the new one, and asks for none.
func TestRefusalOfAnOldTokenIsNoNews(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *site) {
		first, second, before := s.refused(t), s.refused(t), s.tokens()
		for _, refused := range []*webserver.Error{first, second} {
			if problem := s.Renew(refused, false); problem != nil || s.tokens() != before+1 {
				t.Errorf("%v, %d tokens", problem, s.tokens()-before)
			}
		}
	})
}

// A given token that is refused is tried once more, and then holds everything until there is another.
func TestGivenTokenIsTriedOnceMore(t *testing.T) {
	var sim *simulator.Server
	var token string
	read := func() (string, error) {
		if token == "" {
			return "", errors.New("no such file")
		}
		return token, nil
	}
	use := func(s *simulator.Server, c *webserver.Config) {
		sim, token = s, s.Token(1)
		given(read)(s, c)
	}
	inColdBubble(t, use, nil, func(t *testing.T, s *site) {
		for range 2 {
			sim.FailNextOn("session", simulator.Status(401))
			if problem, err := s.ask(time.Time{}); problem != nil || err != nil || s.IsDown() {
				t.Fatalf("refused by accident: %v, %v", problem, err)
			}
		}
		refused := s.refused(t)
		good := token
		token = ""
		if problem := s.Renew(refused, false); problem == nil || problem.Verdict != webserver.Misconfigured {
			t.Errorf("a token that cannot be read: %v", problem)
		}
		token = good
		sim.RevokeTokens()
		asked := sim.Count("session")
		if problem, err := s.ask(time.Now().Add(time.Minute)); problem != nil || !errors.Is(err, gate.ErrOverdue) || s.Gate.Held() == nil || sim.Count("session")-asked > 50 {
			t.Errorf("refused for good: %v, %v, asked %d times", problem, err, sim.Count("session")-asked)
		}
	})
}

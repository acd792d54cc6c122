package gate

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"logoffworker/worker/webserver"
)

func newTestGate(c Config) *Gate {
	c.Backoff = Backoff{Min: 100 * time.Millisecond, Max: 10 * time.Second}
	c.Moved, c.Limited = func(Change) {}, func(Kind, Change) {}
	if c.Spent == nil {
		c.Spent = func(Kind, Rank, time.Duration) {}
	}
	g := New(c)
	g.breaker.close()
	return g
}

// enters returns how long a caller waits.
func (g *Gate) enters(t *testing.T, c *Caller) (*Pass, time.Duration) {
	t.Helper()
	begun := time.Now()
	p, err := g.Enter(t.Context(), c, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return p, time.Since(begun)
}

// Too many requests of one kind hold up that kind alone.
func TestLimitHoldsItsOwnKind(t *testing.T) {
	for _, kind := range Kinds {
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newTestGate(Config{})
				p, _ := g.enters(t, &Caller{Rank: Urgent, Kind: kind})
				p.Failed(&webserver.Error{Op: "any", Verdict: webserver.Throttled, RetryAfter: 5 * time.Minute}, OfItsKind)
				other, waited := g.enters(t, &Caller{Rank: Bulk, Kind: 1 - kind})
				if waited != 0 {
					t.Errorf("the other kind waits %v", waited)
				}
				other.Succeeded()
				if wait := g.Take(t.Context(), kind); wait != 5*time.Minute {
					t.Errorf("a ping of that kind is to wait %v", wait)
				}
				same, waited := g.enters(t, &Caller{Rank: Urgent, Kind: kind})
				if waited != 5*time.Minute {
					t.Errorf("its own kind waits %v", waited)
				}
				same.Succeeded()
				if _, waited := g.enters(t, &Caller{Rank: Bulk, Kind: kind}); waited != 0 {
					t.Errorf("after the limit has passed, a request waits %v", waited)
				}
			})
		})
	}
}

// A failure that is everybody's opens the breaker, be it for a throttled login; the limits stay as they are.
func TestFailureOfEverythingIsNoLimitOfAKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTestGate(Config{})
		p, _ := g.enters(t, &Caller{Rank: Urgent, Kind: Read})
		p.Failed(&webserver.Error{Op: webserver.OpLogin, Verdict: webserver.Throttled, RetryAfter: time.Minute}, Everything)
		if g.Held() == nil || g.Take(t.Context(), Read) != 0 {
			t.Errorf("held for %v, a ping waits %v", g.Held(), g.Take(t.Context(), Read))
		}
		if _, waited := g.enters(t, urgent()); waited < time.Minute {
			t.Errorf("a logoff waits %v", waited)
		}
	})
}

// Who gives up at the breaker leaves the try of the limit to another.
func TestWhoGivesUpAtTheBreakerHoldsNoLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTestGate(Config{})
		g.Limit(Write, &webserver.Error{Op: "logoff", Verdict: webserver.Throttled, RetryAfter: time.Second})
		read, _ := g.enters(t, &Caller{Rank: Urgent, Kind: Read})
		read.Failed(&webserver.Error{Op: "session", Verdict: webserver.Unavailable, RetryAfter: time.Minute}, Everything)
		if _, err := g.Enter(t.Context(), urgent(), time.Now().Add(10*time.Second)); !errors.Is(err, ErrOverdue) {
			t.Fatal(err)
		}
		begun := time.Now()
		if _, err := g.Enter(t.Context(), urgent(), begun.Add(time.Hour)); err != nil || time.Since(begun) > time.Minute {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	})
}

// The watch gives up when it is told to, and leaves a Web Server alone that somebody tries already.
func TestWatchLeavesTheTryToWhoeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTestGate(Config{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		p, _ := g.enters(t, urgent())
		p.Failed(&webserver.Error{Op: "logoff", Verdict: webserver.Unavailable, RetryAfter: time.Minute}, Everything)
		watched := make(chan error)
		go func() {
			_, err := g.EnterIdle(ctx, 24*time.Hour)
			watched <- err
		}()
		synctest.Wait()
		try, waited := g.enters(t, urgent())
		time.Sleep(time.Minute)
		synctest.Wait()
		select {
		case err := <-watched:
			t.Fatalf("the watch goes on beside the try: %v", err)
		default:
		}
		if try.Succeeded(); waited != time.Minute {
			t.Errorf("the try came after %v", waited)
		}
		if err := <-watched; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with nothing to ask about, the watch ends with %v", err)
		}
	})
}

func TestKindsHaveNames(t *testing.T) {
	if Read.String() != "reads" || Write.String() != "writes" {
		t.Errorf("%s and %s", Read, Write)
	}
}

// At every size of a budget, bulk requests leave a fifth to urgent ones.
func TestBudgetKeepsAFifthForUrgentJobs(t *testing.T) {
	for _, limit := range []int{1, 2, 3, 4, 5, 6, 9, 10, 40, 100, 1000} {
		synctest.Test(t, func(t *testing.T) {
			g := newTestGate(Config{WritesPerHour: limit})
			bulkCaller, spans := bulk(), 1
			if limit < stretches {
				spans = stretches
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(spans)*time.Hour-time.Second)
			defer cancel()
			n := 0
			for {
				p, err := g.Enter(ctx, bulkCaller, time.Time{})
				if err != nil {
					break
				}
				p.Succeeded()
				n++
			}
			if n < 1 || n > spans*limit*4/5 {
				t.Errorf("of %d writes in %d hours bulk takes %d", spans*limit, spans, n)
			}
			if limit >= stretches {
				if _, waited := g.enters(t, urgent()); waited != 0 {
					t.Errorf("limit %d: an urgent request waits %v beside bulk ones", limit, waited)
				}
			}
		})
	}
}

// Whatever is asked for, no more requests begin within any span than the budget allows.
func TestBudgetIsKeptInAnySpan(t *testing.T) {
	for _, c := range []Config{{WritesPerHour: 5}, {WritesPerHour: 40}, {RequestsPerSecond: 1}, {RequestsPerSecond: 7}} {
		synctest.Test(t, func(t *testing.T) {
			g := newTestGate(c)
			limit, span := c.WritesPerHour, time.Hour
			if c.RequestsPerSecond > 0 {
				limit, span = c.RequestsPerSecond, time.Second
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*span)
			defer cancel()
			begun := make(chan time.Time, 1000)
			ended := make(chan bool)
			for _, caller := range []*Caller{bulk(), urgent()} {
				go func() {
					defer func() { ended <- true }()
					for {
						p, err := g.Enter(ctx, caller, time.Time{})
						if err != nil {
							return
						}
						begun <- time.Now()
						p.Succeeded()
					}
				}()
			}
			go func() {
				defer func() { ended <- true }()
				for g.Await(ctx) == nil {
					begun <- time.Now()
				}
			}()
			for range 3 {
				<-ended
			}
			close(begun)
			var all []time.Time
			for at := range begun {
				if all = append(all, at); len(all) > limit && at.Sub(all[len(all)-1-limit]) < span {
					t.Fatalf("%+v: more than %d requests within %v", c, limit, span)
				}
			}
			if len(all) < 9*limit {
				t.Errorf("%+v: %d requests in ten spans", c, len(all))
			}
		})
	}
}

// What was spent a quarter of an hour apart comes back a quarter of an hour apart.
func TestBudgetComesBackAsItWasSpent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTestGate(Config{WritesPerHour: 5}) // one of which is not for jobs
		for i := range 12 {
			want := time.Duration(0)
			if i >= 4 {
				want = 15 * time.Minute
			}
			p, waited := g.enters(t, urgent())
			if p.Succeeded(); waited != want {
				t.Fatalf("request %d waits %v, want %v", i, waited, want)
			}
			if i < 3 {
				time.Sleep(15 * time.Minute)
			}
		}
	})
}

func TestLongWaitForTheBudgetIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []time.Duration
		g := newTestGate(Config{WritesPerHour: 5, Spent: func(_ Kind, _ Rank, wait time.Duration) { told = append(told, wait) }})
		for range 4 {
			p, _ := g.enters(t, urgent())
			p.Succeeded()
		}
		if len(told) != 0 {
			t.Fatalf("told of %v with budget left", told)
		}
		if _, waited := g.enters(t, urgent()); waited != time.Hour || len(told) != 2 || told[0] != time.Hour || told[1] != 0 {
			t.Errorf("told of %v, waited %v", told, waited)
		}
	})
}

func TestWaitForTheBudgetEndsAtDeadlineAndStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTestGate(Config{WritesPerHour: 5, Others: func(kind Kind) int64 { return 5 * int64(kind) }})
		begun := time.Now()
		if _, err := g.Enter(t.Context(), urgent(), begun.Add(time.Minute)); !errors.Is(err, ErrOverdue) || time.Since(begun) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := g.Enter(ctx, urgent(), time.Time{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if err := g.Await(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if _, err := g.Enter(t.Context(), urgent(), begun.Add(2*time.Hour)); err != nil || time.Since(begun) != time.Hour {
			t.Errorf("with a deadline after the budget is free: %v after %v", err, time.Since(begun))
		}
	})
}

func TestPauseOfNothingEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		begun := time.Now()
		for range 100 { // a select would choose either way
			if !Pause(ctx, 0) || !Pause(ctx, -time.Second) {
				t.Fatal("it could not wait for nothing")
			}
		}
		cancel()
		for range 100 {
			if Pause(ctx, 0) {
				t.Fatal("it waited though ctx had ended")
			}
		}
		if waited := time.Since(begun); waited > 0 {
			t.Errorf("it waited %v", waited)
		}
	})
}

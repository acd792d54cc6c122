package gate

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"logoffworker/worker/webserver"
)

func newTestBreaker() *breaker {
	return newBreaker(Backoff{Min: 100 * time.Millisecond, Max: 10 * time.Second}, Open, func(Change) {})
}

// closeForTest gets a breaker closed, as the first answer does.
func (b *breaker) closeForTest(t *testing.T) {
	t.Helper()
	try, err := b.enter(t.Context(), bulk(), time.Time{})
	if err != nil || !try.tries {
		t.Fatalf("the first request is %+v, %v; want the one that tries", try, err)
	}
	b.answered(try, Write)
}

func bulk() *Caller   { return &Caller{Rank: Bulk, Kind: Write} }
func urgent() *Caller { return &Caller{Rank: Urgent, Kind: Write} }

var (
	down      = &webserver.Error{Op: "logoff", Verdict: webserver.Unavailable}
	throttled = &webserver.Error{Op: "logoff", Verdict: webserver.Throttled, RetryAfter: 90 * time.Second}
	forbidden = &webserver.Error{Op: "logoff", Verdict: webserver.Forbidden}
	wrongPath = &webserver.Error{Op: "ping", Verdict: webserver.Misconfigured}
)

func (b *breaker) fails(t *testing.T, c *Caller, why *webserver.Error, scope Scope) {
	t.Helper()
	ticket, err := b.enter(t.Context(), c, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	c.refused(time.Now())
	b.failed(ticket, why, scope)
}

func TestBreakerStaysClosedForOneFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBreaker()
		b.closeForTest(t)
		b.fails(t, bulk(), down, Everything)
		if ticket, err := b.enter(t.Context(), bulk(), time.Time{}); err != nil || ticket.tries {
			t.Errorf("after one failure a request is %+v, %v", ticket, err)
		}
	})
}

func TestOpenBreakerLetsOneTryThroughUrgentFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBreaker()
		b.closeForTest(t)
		b.fails(t, bulk(), forbidden, Everything)
		went := make(chan Rank, 3)
		for _, c := range []*Caller{bulk(), bulk(), urgent()} {
			go func() {
				ticket, err := b.enter(t.Context(), c, time.Time{})
				if err != nil {
					t.Error(err)
				}
				went <- c.Rank
				if ticket.tries {
					timer := time.NewTimer(time.Second)
					<-timer.C
					if len(went) != 1 {
						t.Errorf("%d requests went through with the one that tries", len(went)-1)
					}
					b.answered(ticket, Write)
				}
			}()
			synctest.Wait()
		}
		timer := time.NewTimer(time.Minute)
		<-timer.C
		if len(went) != 3 {
			t.Fatalf("%d of 3 requests went through in the end", len(went))
		}
		if first := <-went; first != Urgent {
			t.Errorf("the one that tries has rank %v, want urgent", first)
		}
	})
}

// Who was refused gives way to who was not, so that one document cannot keep all others out.
func TestRefusedCallerGivesWay(t *testing.T) {
	for name, scope := range map[string]Scope{"everything": Everything, "logoffs only": LogoffsOnly} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newTestBreaker()
				b.closeForTest(t)
				refused := urgent()
				b.fails(t, refused, forbidden, scope)
				order := make(chan *Caller, 2)
				fresh := urgent()
				for _, c := range []*Caller{refused, fresh} {
					go func() {
						ticket, err := b.enter(t.Context(), c, time.Time{})
						if err != nil {
							t.Error(err)
						}
						order <- c
						b.answered(ticket, Write)
					}()
					if scope == Everything {
						synctest.Wait()
					}
				}
				if first := <-order; first != fresh {
					t.Error("the caller that was refused goes first again")
				}
				<-order
			})
		})
	}
}

// While only logoffs are refused, a document that has not been is tried at once.
func TestFreshCallerDoesNotWaitForTheRefusalOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBreaker()
		b.closeForTest(t)
		refused := urgent()
		for range 12 {
			b.fails(t, refused, forbidden, LogoffsOnly)
		}
		begun := time.Now()
		ticket, err := b.enter(t.Context(), bulk(), time.Time{})
		if err != nil || !ticket.tries || time.Since(begun) != 0 {
			t.Errorf("%+v, %v after %v", ticket, err, time.Since(begun))
		}
		question, err := b.enter(t.Context(), &Caller{Rank: Bulk, Kind: Read}, time.Time{})
		if err != nil || question.tries || time.Since(begun) != 0 {
			t.Errorf("a question: %+v, %v after %v", question, err, time.Since(begun))
		}
		b.answered(question, Read)
		if b.held() == nil {
			t.Error("an answer to a question closes the breaker that a refused logoff opened")
		}
	})
}

// What waiting does not mend is tried less and less.
func TestStandingReasonIsTriedLessAndLess(t *testing.T) {
	for name, test := range map[string]struct {
		why         *webserver.Error
		least, most int
	}{"down": {down, 100, 1500}, "forbidden": {forbidden, 40, 160}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newTestBreaker()
				b.closeForTest(t)
				c, n := bulk(), 0
				for begun := time.Now(); time.Since(begun) < time.Hour; n++ {
					b.fails(t, c, test.why, Everything)
				}
				if n < test.least || n > test.most {
					t.Errorf("%d tries in an hour, want %d to %d", n, test.least, test.most)
				}
				b.tryNow()
				begun := time.Now()
				if _, err := b.enter(t.Context(), c, time.Time{}); err != nil || time.Since(begun) != 0 {
					t.Errorf("asked to try now, a request is let through after %v, %v", time.Since(begun), err)
				}
			})
		})
	}
}

// How long what waiting does not mend is waited for depends on how often that was the reason, not on an outage before it.
func TestStandingReasonAfterAnOutageIsTriedAgainSoon(t *testing.T) {
	for name, before := range map[string][]*webserver.Error{"an outage": {down}, "another reason, and an outage": {forbidden, down}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for range 5 {
					b, c := newTestBreaker(), bulk()
					for _, why := range before {
						for range 20 {
							b.fails(t, c, why, Everything)
						}
					}
					b.fails(t, c, unknown200, Everything)
					begun := time.Now()
					if _, err := b.enter(t.Context(), c, time.Time{}); err != nil || time.Since(begun) > 100*time.Millisecond {
						t.Fatalf("an answer that is not known is tried again after %v, %v", time.Since(begun), err)
					}
				}
			})
		})
	}
}

func TestBreakerKeepsRetryAfterAgainstOlderSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBreaker()
		b.closeForTest(t)
		older, _ := b.enter(t.Context(), bulk(), time.Time{})
		b.fails(t, bulk(), throttled, OfItsKind)
		b.answered(older, Write)
		begun := time.Now()
		if ticket, err := b.enter(t.Context(), urgent(), time.Time{}); err != nil || !ticket.tries {
			t.Errorf("%+v, %v", ticket, err)
		}
		if waited := time.Since(begun); waited < 90*time.Second {
			t.Errorf("a request went through after %v", waited)
		}
	})
}

func TestCallerGivesUpAtTheDeadlineAndAtTheStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBreaker()
		b.closeForTest(t)
		b.fails(t, bulk(), throttled, OfItsKind)
		begun := time.Now()
		if _, err := b.enter(t.Context(), bulk(), begun.Add(5*time.Second)); !errors.Is(err, ErrOverdue) || time.Since(begun) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.enter(ctx, bulk(), time.Time{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if len(b.waiting) != 0 {
			t.Errorf("%d callers are still in line", len(b.waiting))
		}
	})
}

// A try that was not made is somebody else's.
func TestCancelledTryIsLeftToAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBreaker()
		b.closeForTest(t)
		b.fails(t, bulk(), forbidden, Everything)
		first, _ := b.enter(t.Context(), bulk(), time.Time{})
		b.leave(first)
		begun := time.Now()
		if next, err := b.enter(t.Context(), bulk(), time.Time{}); err != nil || !next.tries || time.Since(begun) != 0 {
			t.Errorf("%+v, %v after %v", next, err, time.Since(begun))
		}
	})
}

// What only a real logoff can clear is not asked about by the watch, but for keeping the token alive.
func TestWatchTriesOnlyWhatItCanClear(t *testing.T) {
	for name, test := range map[string]struct {
		why   *webserver.Error
		scope Scope
		tries bool
	}{
		"down":                       {down, Everything, true},
		"a wrong path for questions": {wrongPath, Everything, true},
		"forbidden":                  {forbidden, Everything, false},
		"logoffs refused":            {&webserver.Error{Op: "logoff", Verdict: webserver.Unauthorized}, LogoffsOnly, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newTestBreaker()
				b.closeForTest(t)
				for range failuresToOpen {
					b.fails(t, bulk(), test.why, test.scope)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				ticket, err := b.enterIdle(ctx, 5*time.Minute)
				if err != nil || ticket.tries != test.tries {
					t.Fatalf("the watch tries: %v, %v, want %v", ticket.tries, err, test.tries)
				}
				b.answered(ticket, Read)
				if closed := b.held() == nil; closed != test.tries {
					t.Errorf("the breaker is closed by that: %v", closed)
				}
			})
		})
	}
}

func TestBackoffGrowsToItsLimit(t *testing.T) {
	b := Backoff{Min: 100 * time.Millisecond, Max: 10 * time.Second}
	if b.Ceiling(1) != b.Min || b.Ceiling(1000) != b.Max {
		t.Errorf("from %v to %v", b.Ceiling(1), b.Ceiling(1000))
	}
	for n := 1; n < 200; n++ {
		if b.Ceiling(n) > b.Ceiling(n+1) {
			t.Fatalf("the ceiling falls after %d failures", n)
		}
		if wait := b.After(n); wait < 0 || wait > b.Ceiling(n) {
			t.Fatalf("a wait of %v after %d failures", wait, n)
		}
		if wait := b.standing(n); wait < 0 || wait > time.Minute {
			t.Fatalf("a wait of %v for what waiting does not mend", wait)
		}
	}
}

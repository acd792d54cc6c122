package worker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"logoffworker/worker/webserver"
)

func newTestDoor() *door {
	return newDoor(Backoff{Min: 100 * time.Millisecond, Max: 10 * time.Second}, func(string, *webserver.Error, time.Duration) {})
}

// open gets a door open, as the first answer does.
func (d *door) openForTest(t *testing.T) {
	t.Helper()
	p, err := d.enter(t.Context(), rankBulk, time.Time{})
	if err != nil || !p.probe {
		t.Fatalf("the first call is %+v, %v; want a probe", p, err)
	}
	d.answer(p)
}

var (
	down      = &webserver.Error{Verdict: webserver.Unavailable}
	throttled = &webserver.Error{Verdict: webserver.Throttled, RetryAfter: 90 * time.Second}
	forbidden = &webserver.Error{Verdict: webserver.Forbidden}
)

func TestDoorStaysOpenForOneFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestDoor()
		d.openForTest(t)
		p, _ := d.enter(t.Context(), rankBulk, time.Time{})
		d.fail(p, down)
		if p, err := d.enter(t.Context(), rankBulk, time.Time{}); err != nil || p.probe {
			t.Errorf("after one failure a call is %+v, %v", p, err)
		}
	})
}

func TestClosedDoorLetsOneProbeThroughUrgentFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestDoor()
		d.openForTest(t)
		p, _ := d.enter(t.Context(), rankBulk, time.Time{})
		d.fail(p, forbidden)
		went := make(chan rank, 3)
		for _, who := range []rank{rankBulk, rankBulk, rankUrgent} {
			go func() {
				p, err := d.enter(t.Context(), who, time.Time{})
				if err != nil {
					t.Error(err)
				}
				went <- who
				if p.probe {
					timer := time.NewTimer(time.Second)
					<-timer.C
					if len(went) != 1 {
						t.Errorf("%d calls went through with the probe", len(went)-1)
					}
					d.answer(p)
				}
			}()
			synctest.Wait()
		}
		timer := time.NewTimer(time.Minute)
		<-timer.C
		if len(went) != 3 {
			t.Fatalf("%d of 3 calls went through in the end", len(went))
		}
		if first := <-went; first != rankUrgent {
			t.Errorf("the probe has rank %d, want the urgent one", first)
		}
	})
}

func TestDoorKeepsRetryAfterAgainstOlderSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestDoor()
		d.openForTest(t)
		older, _ := d.enter(t.Context(), rankBulk, time.Time{})
		p, _ := d.enter(t.Context(), rankBulk, time.Time{})
		d.fail(p, throttled)
		d.answer(older)
		begun := time.Now()
		if p, err := d.enter(t.Context(), rankUrgent, time.Time{}); err != nil || !p.probe {
			t.Errorf("%+v, %v", p, err)
		}
		if waited := time.Since(begun); waited < 90*time.Second {
			t.Errorf("a call went through after %v", waited)
		}
	})
}

func TestDoorGivesUpAtTheDeadlineAndAtTheStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestDoor()
		d.openForTest(t)
		p, _ := d.enter(t.Context(), rankBulk, time.Time{})
		d.fail(p, throttled)
		begun := time.Now()
		if _, err := d.enter(t.Context(), rankBulk, begun.Add(5*time.Second)); !errors.Is(err, errOverdue) || time.Since(begun) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := d.enter(ctx, rankBulk, time.Time{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}

// What only a real call can clear is not asked about by the watch.
func TestWatchProbesOnlyWhatItCanClear(t *testing.T) {
	for name, test := range map[string]struct {
		why    *webserver.Error
		probes bool
	}{"down": {down, true}, "forbidden": {forbidden, false}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newTestDoor()
				d.openForTest(t)
				for range failuresToClose {
					p, _ := d.enter(t.Context(), rankBulk, time.Time{})
					d.fail(p, test.why)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				p, err := d.enterIdle(ctx, time.Minute)
				if got := err == nil && p.probe; got != test.probes {
					t.Errorf("the watch probes: %v, want %v", got, test.probes)
				}
			})
		})
	}
}

func TestBackoffGrowsToItsLimit(t *testing.T) {
	b := Backoff{Min: 100 * time.Millisecond, Max: 10 * time.Second}
	if b.ceiling(1) != b.Min || b.ceiling(1000) != b.Max {
		t.Errorf("from %v to %v", b.ceiling(1), b.ceiling(1000))
	}
	for n := 1; n < 200; n++ {
		if b.ceiling(n) > b.ceiling(n+1) {
			t.Fatalf("the ceiling falls after %d failures", n)
		}
		if wait := b.after(n); wait < 0 || wait > b.ceiling(n) {
			t.Fatalf("a wait of %v after %d failures", wait, n)
		}
	}
}

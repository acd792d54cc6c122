package worker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/access"
	"logoffworker/worker/gate"
)

// A lane that is paused goes on when it is resumed and not before, and never after a stop. What goes on hears of the next
// pause, however often it was said before that there is none.
func TestLaneGoesOnWhileItIsNotPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopping, stop := context.WithCancel(t.Context())
		g := newGoing(stopping)
		first := g.now()
		g.pause(false)
		if g.pause(true); first.Err() == nil || g.now().Err() == nil {
			t.Error("what went on does not hear of the pause")
		}
		awaited := make(chan context.Context, 1)
		await := func() { awaited <- g.await() }
		is := func(when string, goes bool) {
			t.Helper()
			synctest.Wait()
			select {
			case ctx := <-awaited:
				if !goes || ctx == nil || ctx.Err() != nil {
					t.Errorf("%s: it goes on: %v", when, ctx)
				}
			default:
				if goes {
					t.Errorf("%s: it does not go on", when)
				}
			}
		}
		go await()
		is("paused", false)
		g.pause(true)
		is("paused again", false)
		g.pause(false)
		is("resumed", true)
		go await()
		is("not paused", true)
		second := g.now()
		g.pause(false)
		if g.pause(true); second.Err() == nil {
			t.Error("what goes on again does not hear of the next pause")
		}
		go await()
		stop()
		if ctx := <-awaited; ctx != nil {
			t.Errorf("at a stop: %v", ctx)
		}
		if g.pause(false); g.now().Err() == nil || g.await() != nil {
			t.Error("it goes on after a stop")
		}
	})
}

// Whatever is done for a paused lane waits no longer, and nothing new is asked for it; the other lane, and what is the
// worker's own, go on.
func TestPauseIsOfOneLane(t *testing.T) {
	w := preparedWorker(t, nil, nil)
	w.going[jobs.Bulk].pause(true)
	for name, test := range map[string]struct {
		ctx    context.Context
		paused bool
	}{
		"bulk":            {w.goingOn(jobs.Bulk), true},
		"urgent":          {w.goingOn(jobs.Urgent), false},
		"asks for bulk":   {w.goingFor(gate.Bulk), true},
		"asks for urgent": {w.goingFor(gate.Urgent), false},
		"its own":         {w.goingFor(gate.Own), false},
	} {
		if paused := test.ctx.Err() != nil; paused != test.paused {
			t.Errorf("%s: paused %t", name, paused)
		}
	}
	trouble := errors.New("trouble")
	asked := 0
	ask := func() error { asked++; return trouble }
	if err := w.unlessPaused(jobs.Urgent, ask); !errors.Is(err, trouble) {
		t.Errorf("the urgent lane hears %v", err)
	}
	err := w.unlessPaused(jobs.Bulk, ask)
	if w.readBacks.Wait(); !access.Stopped(err) || errors.Is(err, trouble) || asked != 1 {
		t.Errorf("the paused lane hears %v, after %d questions", err, asked)
	}
	answer := make(chan struct{})
	time.AfterFunc(time.Millisecond, func() { w.going[jobs.Urgent].pause(true) })
	if err := w.unlessPaused(jobs.Urgent, func() error { <-answer; return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a lane that is paused while it waits hears %v", err)
	}
	close(answer)
	w.readBacks.Wait()
}

package worker

import (
	"context"
	"sync"

	"logoffworker/jobs"
	"logoffworker/worker/gate"
)

// A going lane is one that is neither paused nor told to stop. Whatever waits for the sake of its jobs waits no longer
// than that, and then hands them back: a pause is to a lane what a stop is to a worker. What is in flight finishes.
type going struct {
	stopping context.Context

	mu      sync.Mutex
	ctx     context.Context // ends when the lane is paused, or the worker stops
	end     context.CancelFunc
	resumed chan struct{} // closed when the lane goes on
}

func newGoing(stopping context.Context) *going {
	g := &going{stopping: stopping, resumed: make(chan struct{})}
	g.ctx, g.end = context.WithCancel(stopping)
	return g
}

// pause hears whether the lane is paused, as often as anybody looks.
func (g *going) pause(paused bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case paused:
		g.end()
	case g.ctx.Err() != nil:
		g.ctx, g.end = context.WithCancel(g.stopping)
		close(g.resumed)
		g.resumed = make(chan struct{})
	}
}

// now lasts as long as the lane goes on; it is over already while the lane is paused.
func (g *going) now() context.Context {
	ctx, _ := g.look()
	return ctx
}

func (g *going) look() (ctx context.Context, resumed <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ctx, g.resumed
}

// await waits until the lane goes on; nil when the worker stops.
func (g *going) await() context.Context {
	for g.stopping.Err() == nil {
		ctx, resumed := g.look()
		if ctx.Err() == nil {
			return ctx
		}
		select {
		case <-resumed:
		case <-g.stopping.Done():
		}
	}
	return nil
}

func (w *Worker) newGoing() map[jobs.Lane]*going {
	all := map[jobs.Lane]*going{}
	for _, lane := range jobs.Lanes {
		all[lane] = newGoing(w.stopping)
	}
	return all
}

// goingOn lasts as long as a lane goes on.
func (w *Worker) goingOn(lane jobs.Lane) context.Context {
	if g := w.going[lane]; g != nil {
		return g.now()
	}
	return w.stopping
}

// goingFor lasts as long as the lane does whose requests have a rank; those of rank own are no lane's.
func (w *Worker) goingFor(who gate.Rank) context.Context {
	for _, lane := range jobs.Lanes {
		if rankOf(lane) == who {
			return w.goingOn(lane)
		}
	}
	return w.stopping
}

// unlessPaused waits for something that serves others too, for as long as a lane goes on: they still get it.
func (w *Worker) unlessPaused(lane jobs.Lane, wait func() error) error {
	ctx, done := w.goingOn(lane), make(chan error, 1)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	w.readBacks.Go(func() { done <- wait() })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

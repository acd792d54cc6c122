package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"syscall"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker"
	"logoffworker/worker/stage"
)

// workerFaults are the ways in which a worker ends, or does not react for a while.
func (w *world) workerFaults() []fault {
	faults := []fault{
		{name: "worker/kill", inject: w.onWorker(killWorker)},
		{name: "worker/terminate", inject: w.onWorker(terminateWorker)},
		{name: "worker/freeze", inject: w.onWorker(freezeWorker)},
	}
	for _, point := range worker.Points {
		faults = append(faults, fault{name: "worker/crash-" + string(point), inject: w.onWorker(func(ctx context.Context, r *replica, _ *rand.Rand) (int, string, error) {
			return w.crashWorker(ctx, r, point)
		})})
	}
	return faults
}

const stoodStill = "times it was seen to stand still"

type workerAttack func(context.Context, *replica, *rand.Rand) (int, string, error)

// onWorker attacks one of the three workers, and starts it again if it is gone.
func (w *world) onWorker(attack workerAttack) func(context.Context, *rand.Rand) (int, string, error) {
	return func(ctx context.Context, random *rand.Rand) (int, string, error) {
		r := w.solo.workers[random.IntN(len(w.solo.workers))]
		r.attacked.Lock()
		defer r.attacked.Unlock()
		effect, counts, err := attack(ctx, r, random)
		if err != nil {
			return effect, counts, err
		}
		stage.Pause(ctx, time.Duration(random.IntN(1000))*time.Millisecond)
		if !r.process.Running() {
			err = r.start()
		}
		return effect, counts, err
	}
}

func killWorker(_ context.Context, r *replica, _ *rand.Rand) (int, string, error) {
	r.process.Kill()
	return oneIf(r.process.Killed()), "processes killed", nil
}

// terminateWorker stops a worker as an operator does. It must end well, and in time.
func terminateWorker(ctx context.Context, r *replica, _ *rand.Rand) (int, string, error) {
	stage.Await(ctx, 10*time.Second, func() bool { return r.page(ctx, "/livez") != nil }) // before, it does not handle signals
	r.look(ctx, false)
	r.process.Signal(syscall.SIGTERM)
	if !r.process.EndsWithin(15 * time.Second) {
		return 0, "", errors.New("a worker did not stop within 15s of SIGTERM")
	}
	if r.process.Err() != nil {
		return 0, "", errors.Join(errors.New("a worker that was told to stop failed"), r.process.Err())
	}
	return 1, "processes ended well", nil
}

// freezeWorker stops a worker's process for longer than a lease.
func freezeWorker(ctx context.Context, r *replica, random *rand.Rand) (int, string, error) {
	r.process.Signal(syscall.SIGSTOP)
	frozen := 0
	for end := time.Now().Add(ackWait + time.Duration(500+random.IntN(2500))*time.Millisecond); time.Now().Before(end) && stage.Pause(ctx, 100*time.Millisecond); {
		frozen += oneIf(r.process.Frozen())
	}
	r.process.Signal(syscall.SIGCONT)
	return frozen, stoodStill, nil
}

// crashPatience is how long a worker may take to reach a crash point: other faults may keep it from there.
const crashPatience = 30 * time.Second

// crashWorker makes a worker die at a crash point, and brings about that it gets there.
func (w *world) crashWorker(ctx context.Context, r *replica, point worker.Point) (int, string, error) {
	const counts = "processes that died there"
	mark := w.solo.log.Mark()
	for end := time.Now().Add(crashPatience); time.Now().Before(end) && ctx.Err() == nil; {
		// A process that has just started may have missed the first signal.
		if err := errors.Join(r.arm(string(point)), w.provoke(ctx, r, point)); err != nil {
			return 0, counts, err
		}
		if r.process.EndsWithin(500 * time.Millisecond) {
			break
		}
	}
	reached := w.solo.log.Count(mark, "crash point reached: "+string(point))
	if r.process.Running() {
		r.process.Kill()
	}
	return oneIf(reached > 0), counts, nil
}

// provoke brings about what leads a worker to a crash point that is rare.
func (w *world) provoke(ctx context.Context, r *replica, point worker.Point) error {
	switch point {
	case worker.MidLogin:
		return w.web.Ask(ctx, "POST /logins/revoke", nil, nil)
	case worker.MidSplit, worker.BeforeDeadLetter:
		for range 4 {
			if err := w.solo.load.poison(ctx, jobs.Urgent); err != nil {
				return err
			}
		}
	case worker.MidDrain:
		return w.provokeDrain(ctx, r)
	}
	return nil
}

// provokeDrain tells a worker to stop while it has jobs in hand that it has not sent.
func (w *world) provokeDrain(ctx context.Context, r *replica) error {
	stage.Await(ctx, 10*time.Second, func() bool { return r.page(ctx, "/livez") != nil })
	if err := w.web.Ask(ctx, "PUT /settings", `{"down":503}`, nil); err != nil {
		return err
	}
	stage.Pause(ctx, 500*time.Millisecond) // jobs gather in its hands
	r.process.Signal(syscall.SIGTERM)
	ended := r.process.EndsWithin(10 * time.Second)
	if err := w.web.Ask(ctx, "PUT /settings", `{"down":0}`, nil); err != nil {
		return err
	}
	if ended && !r.process.Killed() {
		return r.start() // it had nothing to hand back
	}
	return nil
}

func oneIf(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

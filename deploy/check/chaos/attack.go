package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"logoffworker/worker/history"
	"logoffworker/worker/stage"
)

// A fault is one way to attack. Inject brings it about and heals it again. It returns what a counter says of its
// effect, so that a fault which does nothing is noticed, and what the counter counts.
type fault struct {
	name   string
	web    bool // meanwhile the Web Server, or the network to it, has a fault
	inject func(ctx context.Context, random *rand.Rand) (effect int, counts string, err error)
}

// Faults are injected for the time of faulty, then there are none for the time of calm, and so on.
const (
	faulty = 20 * time.Second
	calm   = 9 * time.Second
)

// attack publishes jobs and injects faults until the time is up and every fault has come at least once, then lets
// everything heal and waits until all jobs are settled.
func (w *world) attack(ctx context.Context) error {
	groups, err := w.groups()
	if err != nil {
		return err
	}
	loading, endLoad := context.WithCancel(ctx)
	defer endLoad()
	watching, endWatch := context.WithCancel(ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer endWatch()
	errs := make(chan error, 16)
	for d, rate := range map[*deployment]int{w.solo: w.rate, w.trio: max(1, w.rate/20)} {
		background.Go(func() { errs <- d.load.run(loading, rate) })
	}
	background.Go(func() { w.watch(watching) })
	if !stage.Pause(ctx, calm) { // everything works before the first fault
		return ctx.Err()
	}
	w.injectGroups(ctx, groups, errs)
	if _, err := w.trio.token.give(ctx, long); err != nil {
		return err
	}
	w.mu.Lock()
	w.healed = time.Now()
	w.mu.Unlock()
	endLoad()
	if err := w.drain(ctx); err != nil {
		return err
	}
	for {
		select {
		case err := <-errs:
			if err != nil {
				return err
			}
		default:
			return ctx.Err()
		}
	}
}

// groups returns the faults that are asked for. Those of one group never come at the same time.
func (w *world) groups() (groups [][]fault, err error) {
	if w.soak {
		return nil, nil
	}
	asked := 0
	for _, all := range [][]fault{w.webFaults(), w.natsFaults(), w.workerFaults(), w.clusterFaults(), w.tokenFaults()} {
		group := slices.DeleteFunc(all, func(f fault) bool { return !strings.HasPrefix(f.name, w.only) })
		groups = append(groups, group)
		asked += len(group)
	}
	if asked == 0 {
		return nil, fmt.Errorf("there is no fault whose name begins with %q", w.only)
	}
	return groups, nil
}

// injectGroups injects the faults of all groups side by side, with times of calm, while operators act.
func (w *world) injectGroups(ctx context.Context, groups [][]fault, errs chan<- error) {
	if w.soak {
		stage.Pause(ctx, w.duration)
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	var injecting, beside sync.WaitGroup
	for i, group := range groups {
		random := rand.New(rand.NewPCG(w.seed, uint64(100+i)))
		injecting.Go(func() { errs <- w.injectAll(ctx, group, random) })
	}
	if !w.soak {
		beside.Go(func() { w.pauseFaults(ctx) })
		for _, d := range []*deployment{w.solo, w.trio} {
			beside.Go(func() { errs <- d.operator.run(ctx) })
		}
	}
	injecting.Wait()
	end()
	beside.Wait()
}

// injectAll injects the faults of a group one after the other, again and again in another order, until the time is
// up; the first round is always completed.
func (w *world) injectAll(ctx context.Context, group []fault, random *rand.Rand) error {
	end := time.Now().Add(w.duration)
	for round := 0; len(group) > 0; round++ {
		random.Shuffle(len(group), func(i, j int) { group[i], group[j] = group[j], group[i] })
		for _, f := range group {
			if round > 0 && time.Now().After(end) || ctx.Err() != nil {
				return ctx.Err()
			}
			for tries := 0; tries < mostTries && ctx.Err() == nil; tries++ {
				effect, err := w.inject(ctx, f, random)
				if err != nil {
					return fmt.Errorf("fault %s: %w", f.name, err)
				}
				stage.Pause(ctx, time.Duration(random.IntN(1500))*time.Millisecond)
				if effect > 0 {
					break // otherwise another fault kept it from having one
				}
			}
		}
	}
	return nil
}

// mostTries is how often a fault is injected at most until it shows an effect.
const mostTries = 3

// inject injects one fault as soon as there may be one, and returns its effect.
func (w *world) inject(ctx context.Context, f fault, random *rand.Rand) (int, error) {
	w.quiet.RLock()
	defer w.quiet.RUnlock()
	injected := history.Fault{Name: f.name, From: time.Now(), WebServer: f.web}
	effect, counts, err := f.inject(ctx, random)
	injected.To, injected.Effect, injected.Note = time.Now(), effect, counts
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, injected)
	return effect, err
}

// pauseFaults sees that there are times without faults. In every second of them bulk jobs rest.
func (w *world) pauseFaults(ctx context.Context) {
	for rests := true; stage.Pause(ctx, faulty); rests = !rests {
		w.quiet.Lock()
		if rests {
			w.solo.operator.restBulk(ctx, calm)
		} else {
			stage.Pause(ctx, calm)
		}
		w.quiet.Unlock()
	}
}

// watch takes samples of everything that runs.
func (w *world) watch(ctx context.Context) {
	for stage.Pause(ctx, 2*time.Second) {
		for _, d := range []*deployment{w.solo, w.trio} {
			for _, r := range d.workers {
				r.look(ctx, false)
			}
			if n := d.backlog(ctx); n >= 0 {
				w.mu.Lock()
				w.samples = append(w.samples, history.Sample{Time: time.Now(), Deployment: d.subjects.Prefix, Backlog: n})
				w.mu.Unlock()
			}
		}
	}
}

// drain waits until the publishers know what became of each of their jobs and the streams hold no job any more, or
// that is overdue.
func (w *world) drain(ctx context.Context) error {
	for _, d := range []*deployment{w.solo, w.trio} {
		select {
		case <-d.load.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	stage.Await(ctx, 90*time.Second, func() bool { return w.solo.backlog(ctx) == 0 && w.trio.backlog(ctx) == 0 })
	stage.Pause(ctx, 2*time.Second) // for the last metrics and acknowledgements to arrive
	return ctx.Err()
}

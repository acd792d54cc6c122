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

// A card is one way to attack. Play inflicts the fault and heals it. It returns what a counter says
// of the effect, so that a card that does nothing is found out, and what the counter counts.
type card struct {
	name string
	web  bool // the Web Server, or the way to it, is not well meanwhile
	play func(ctx context.Context, random *rand.Rand) (effect int, counts string, err error)
}

// stretch is how long faults are dealt between two quiet stretches, which last for calm.
const (
	stretch = 20 * time.Second
	calm    = 9 * time.Second
)

// attack publishes and deals until the time is up and every card has come, then lets everything heal
// and drain.
func (w *world) attack(ctx context.Context) error {
	loading, endLoad := context.WithCancel(ctx)
	defer endLoad()
	watching, endWatch := context.WithCancel(ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer endWatch()
	errs := make(chan error, 8)
	for d, rate := range map[*deployment]int{w.solo: w.rate, w.trio: max(1, w.rate/20)} {
		background.Go(func() { errs <- d.load.run(loading, rate) })
	}
	background.Go(func() { w.watch(watching) })

	if !stage.Pause(ctx, calm) { // everything runs before anything is at fault
		return ctx.Err()
	}
	decks := [][]card{w.webCards(), w.natsCards(), w.workerCards(), w.trioCards(), w.tokenCards()}
	if !w.soak && !slices.ContainsFunc(decks, func(deck []card) bool {
		return slices.ContainsFunc(deck, func(c card) bool { return strings.HasPrefix(c.name, w.only) })
	}) {
		return fmt.Errorf("there is no card whose name begins with %q", w.only)
	}
	var dealers sync.WaitGroup
	dealing, endDeal := context.WithCancel(ctx)
	if w.soak {
		decks = nil
		stage.Pause(ctx, w.duration)
	}
	for i, deck := range decks {
		deck = slices.DeleteFunc(deck, func(c card) bool { return !strings.HasPrefix(c.name, w.only) })
		random := rand.New(rand.NewPCG(w.seed, uint64(100+i)))
		dealers.Go(func() { errs <- w.deal(dealing, deck, random) })
	}
	background.Go(func() { w.rest(dealing) })
	dealers.Wait()
	endDeal()
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

// deal plays a deck again and again, shuffled anew each time, until the time is up; the first time
// to its end.
func (w *world) deal(ctx context.Context, deck []card, random *rand.Rand) error {
	end := time.Now().Add(w.duration)
	for round := 0; len(deck) > 0; round++ {
		random.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		for _, c := range deck {
			if round > 0 && time.Now().After(end) || ctx.Err() != nil {
				return ctx.Err()
			}
			for tries := 0; tries < plays && ctx.Err() == nil; tries++ {
				effect, err := w.play(ctx, c, random)
				if err != nil {
					return fmt.Errorf("card %s: %w", c.name, err)
				}
				stage.Pause(ctx, time.Duration(random.IntN(1500))*time.Millisecond)
				if effect > 0 {
					break // otherwise some other fault was in its way
				}
			}
		}
	}
	return nil
}

// plays is how often a card is played until it shows an effect.
const plays = 3

// play plays one card, unless it is a quiet stretch, and returns its effect.
func (w *world) play(ctx context.Context, c card, random *rand.Rand) (int, error) {
	w.quiet.RLock()
	defer w.quiet.RUnlock()
	fault := history.Fault{Card: c.name, From: time.Now(), WebServer: c.web}
	effect, counts, err := c.play(ctx, random)
	fault.To, fault.Effect, fault.Note = time.Now(), effect, counts
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, fault)
	return effect, err
}

// rest lets the quiet stretches come.
func (w *world) rest(ctx context.Context) {
	for stage.Pause(ctx, stretch) {
		w.quiet.Lock()
		stage.Pause(ctx, calm)
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

// drain waits until the publishers know of all their jobs and nothing is left, or that is overdue.
func (w *world) drain(ctx context.Context) error {
	for _, d := range []*deployment{w.solo, w.trio} {
		select {
		case <-d.load.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	stage.Await(ctx, 90*time.Second, func() bool { return w.solo.backlog(ctx) == 0 && w.trio.backlog(ctx) == 0 })
	stage.Pause(ctx, 2*time.Second) // for the last words of metrics and acknowledgements
	return ctx.Err()
}

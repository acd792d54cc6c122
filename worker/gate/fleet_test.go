package gate

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// A model counts for a fleet of gates, as the counters in NATS do, but that it can be told to fail, and that what is
// only asked may be wrong.
type model struct {
	mu    sync.Mutex
	added []time.Time
	fails func() (before, after bool)
	lies  bool
}

var errModel = errors.New("nobody answers")

func (m *model) count(ctx context.Context, _ Kind, n int64) (within int64, err error) {
	Pause(ctx, time.Duration(rand.N(20))*time.Millisecond)
	m.mu.Lock()
	defer m.mu.Unlock()
	before, after := false, false
	if m.fails != nil {
		before, after = m.fails()
	}
	if before {
		return 0, errModel
	}
	for range n {
		m.added = append(m.added, time.Now())
	}
	for _, at := range slices.Backward(m.added) {
		if time.Since(at) > time.Hour+time.Minute {
			break
		}
		within++
	}
	if n == 0 && m.lies {
		within = rand.N(within + 1)
	}
	if after {
		return 0, errModel
	}
	return within, nil
}

// A crowd makes requests through a gate until it dies, and notes when they begin.
type crowd struct {
	mu    sync.Mutex
	begun map[Rank][]time.Time
	all   []time.Time
}

func (c *crowd) work(ctx context.Context, g *Gate, who Rank) {
	for {
		p, err := g.Enter(ctx, &Caller{Rank: who, Kind: Write}, time.Time{})
		if err != nil {
			return
		}
		c.mu.Lock()
		c.begun[who] = append(c.begun[who], time.Now())
		c.all = append(c.all, time.Now())
		c.mu.Unlock()
		p.Succeeded()
	}
}

// most is the most requests that began within any hour.
func most(begun []time.Time) (n int) {
	slices.SortFunc(begun, time.Time.Compare)
	for i, at := range begun {
		within := 0
		for _, earlier := range begun[:i+1] {
			if at.Sub(earlier) < time.Hour {
				within++
			}
		}
		n = max(n, within)
	}
	return n
}

// Three gates that count together make no more requests within any hour than the budget allows, whatever comes: they
// die and others take their place, counting fails before or after it counted, and what is only asked is wrong. Bulk
// requests leave a fifth to urgent ones in all of them together.
func TestFleetKeepsTheBudget(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		limit := rapid.SampledFrom([]int{5, 20, 100}).Draw(r, "limit")
		lives := rapid.SliceOfN(rapid.Int64Range(60, 3600), 3, 9).Draw(r, "lives")
		trouble, lies := rapid.IntRange(0, 3).Draw(r, "trouble"), rapid.Bool().Draw(r, "lies")
		ranks := rapid.SliceOfNDistinct(rapid.SampledFrom([]Rank{Own, Urgent, Bulk}), 1, 3, rapid.ID).Draw(r, "ranks")
		c := &crowd{begun: map[Rank][]time.Time{}}
		synctest.Test(t, func(*testing.T) {
			m := &model{lies: lies, fails: func() (before, after bool) {
				return rand.N(100) < 5*trouble, rand.N(100) < 5*trouble
			}}
			var running sync.WaitGroup
			for worker := range 3 {
				running.Go(func() {
					for i := worker; i < len(lives); i += 3 {
						g := newTestGate(Config{WritesPerHour: limit, Count: m.count})
						life, end := context.WithTimeout(context.Background(), time.Duration(lives[i])*time.Second)
						var working sync.WaitGroup
						for _, who := range ranks {
							working.Go(func() { c.work(life, g, who) })
							working.Go(func() { c.work(life, g, who) })
						}
						working.Wait()
						end()
					}
				})
			}
			running.Wait()
		})
		if got := most(c.all); got > limit {
			r.Fatalf("%d requests began within an hour, and %d may", got, limit)
		}
		if got, may := most(c.begun[Bulk]), (limit-(limit+19)/20)*4/5; got > may {
			r.Fatalf("%d bulk requests began within an hour, and %d may", got, may)
		}
	})
}

// Three busy gates use nearly all of the budget: what they take in vain is little.
func TestFleetUsesItsBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, hours = 100, 6
		m, c := &model{}, &crowd{begun: map[Rank][]time.Time{}}
		ctx, cancel := context.WithTimeout(t.Context(), hours*time.Hour)
		defer cancel()
		var working sync.WaitGroup
		for range 3 {
			g := newTestGate(Config{WritesPerHour: limit, Count: m.count})
			for range 4 {
				working.Go(func() { c.work(ctx, g, Own) })
			}
		}
		working.Wait()
		if got := len(c.all); got < limit*hours*95/100 || most(c.all) > limit {
			t.Errorf("%d requests in %d hours, %d within one", got, hours, most(c.all))
		}
	})
}

// While nobody counts, requests with a budget wait, and those without one do not; it is told after a while, and when
// it is over.
func TestRequestsThatCannotBeCountedWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		var mu sync.Mutex
		var told []error
		tell := func(_ Kind, err error) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, err)
		}
		m := &model{fails: func() (bool, bool) { return down.Load(), false }}
		g := newTestGate(Config{WritesPerHour: 5, Count: m.count, Uncounted: tell})
		if _, waited := g.enters(t, &Caller{Rank: Urgent, Kind: Read}); waited != 0 {
			t.Errorf("a read, which has no budget, waits %v", waited)
		}
		if wait := g.Take(t.Context(), Write); wait == 0 {
			t.Error("a write that is not counted goes through")
		}
		if left, _, err := g.Left(t.Context(), Write); err == nil {
			t.Errorf("it is said that %d are left", left)
		}
		entered := make(chan bool)
		go func() {
			g.enters(t, urgent())
			entered <- true
		}()
		time.Sleep(brief - time.Second)
		mu.Lock()
		if len(told) != 0 {
			t.Errorf("told %v at once", told)
		}
		mu.Unlock()
		time.Sleep(time.Hour)
		select {
		case <-entered:
			t.Error("a write went through")
		default:
		}
		down.Store(false)
		if <-entered; len(told) < 2 || !errors.Is(told[0], errModel) || told[len(told)-1] != nil {
			t.Errorf("told %v", told)
		}
		if left, limit, err := g.Left(t.Context(), Write); err != nil || left != 4 || limit != 5 {
			t.Errorf("%d of %d are left (%v)", left, limit, err)
		}
	})
}

// Who gives up says nothing of the counting.
func TestWhoGivesUpTellsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		count := func(ctx context.Context, _ Kind, _ int64) (int64, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}
		g := newTestGate(Config{WritesPerHour: 5, Count: count, Uncounted: func(_ Kind, err error) { t.Errorf("told %v", err) }})
		for range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := g.Enter(ctx, urgent(), time.Time{}); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			cancel()
		}
	})
}

// A fleet that cannot count leaves each worker its own budget.
func TestWhoCountsAloneKeepsItsOwnBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alone := func(context.Context, Kind, int64) (int64, error) { return 0, ErrAlone }
		g := newTestGate(Config{WritesPerHour: 5, Count: alone, Uncounted: func(_ Kind, err error) { t.Errorf("told %v", err) }})
		for range 4 {
			if p, waited := g.enters(t, urgent()); waited != 0 {
				t.Errorf("a request waits %v", waited)
			} else {
				p.Succeeded()
			}
		}
		if left, limit, err := g.Left(t.Context(), Write); err != nil || left != 1 || limit != 5 {
			t.Errorf("%d of %d are left (%v)", left, limit, err)
		}
		if _, waited := g.enters(t, urgent()); waited != time.Hour {
			t.Errorf("the fifth waits %v", waited)
		}
	})
}

// What others ask with the account counts for the fleet, once.
func TestFleetCountsWhatOthersAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, others := &model{}, int64(0)
		g := newTestGate(Config{WritesPerHour: 100, Count: m.count, Others: func(Kind) int64 { return others }})
		other := newTestGate(Config{WritesPerHour: 100, Count: m.count})
		others = 7
		for range 3 {
			if left, _, err := g.Left(t.Context(), Write); err != nil || left != 93 {
				t.Errorf("%d are left (%v)", left, err)
			}
		}
		if left, _, err := other.Left(t.Context(), Write); err != nil || left != 93 {
			t.Errorf("%d are left at the other worker (%v)", left, err)
		}
		others = 95
		if wait := other.Take(t.Context(), Write); wait != 0 {
			t.Errorf("before the others' requests are known, one waits %v", wait)
		}
		if wait := g.Take(t.Context(), Write); wait != 0 || len(m.added) != 97 {
			t.Errorf("%d are counted, the next waits %v", len(m.added), wait)
		}
	})
}

// A wait for the fleet's budget is told when it has been long, and when it is over.
func TestLongWaitForTheFleetIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []time.Duration
		m := &model{}
		other := newTestGate(Config{WritesPerHour: 20, Count: m.count})
		for other.Take(t.Context(), Write) == 0 {
		}
		begun := time.Now()
		var first time.Duration
		g := newTestGate(Config{WritesPerHour: 20, Count: m.count, Spent: func(_ Kind, _ Rank, wait time.Duration) {
			if told = append(told, wait); len(told) == 1 {
				first = time.Since(begun)
			}
		}})
		if _, waited := g.enters(t, urgent()); waited < time.Hour || waited > 62*time.Minute {
			t.Errorf("it waited %v", waited)
		}
		if len(told) != 2 || told[0] == 0 || told[1] != 0 || first < Long || first > 2*Long {
			t.Errorf("told %v, first after %v", told, first)
		}
	})
}

package worker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"logoffworker/jobs"
)

// A flow is jobs that come by themselves, each ready to go along with any other, to a Web Server that takes the same
// time for every request.
type flow struct {
	perSecond float64
	slots     int
	request   time.Duration
	regular   bool // they come evenly
}

// run returns how long each job took, in order, and how many documents left. hold is the rule.
func (f flow) run(hold func(r room, took, sent, came time.Duration) time.Duration) (latencies []time.Duration, documents int) {
	random := rand.New(rand.NewPCG(1, 2))
	n := 4000 + int(20*f.perSecond*f.request.Seconds())
	arrivals := make([]time.Duration, n)
	at := time.Duration(0)
	for i := range arrivals {
		gap := random.ExpFloat64()
		if f.regular {
			gap = 1
		}
		at += time.Duration(gap / f.perSecond * float64(time.Second))
		arrivals[i] = at
	}
	var busy []time.Duration // when the requests on their way began
	now, sent := time.Duration(0), -time.Hour
	for next := 0; next < n; {
		now = max(now, arrivals[next])
		busy = slices.DeleteFunc(busy, func(begun time.Duration) bool { return begun+f.request <= now })
		if len(busy) == f.slots {
			now = busy[0] + f.request
			continue
		}
		r := room{all: f.slots, free: f.slots - len(busy)}
		if len(busy) > 0 {
			r.eldest = now - busy[0]
		}
		if wait := hold(r, f.request, now-sent, now-arrivals[next]); wait > 0 {
			freed := now + wait
			if len(busy) > 0 {
				freed = busy[0] + f.request
			}
			now = min(now+wait, freed)
			continue
		}
		for ; next < n && arrivals[next] <= now; next++ {
			if arrivals[next] > 10*f.request { // when it has run in
				latencies = append(latencies, now+f.request-arrivals[next])
			}
		}
		busy, sent = append(busy, now), now
		documents++
	}
	slices.Sort(latencies)
	return latencies, documents
}

func never(room, time.Duration, time.Duration, time.Duration) time.Duration { return 0 }

// evenly is the best that there is for a flow that is never without a job: documents that leave as far from each other
// as a request's time divided by the slots.
func evenly(r room, took, sent, _ time.Duration) time.Duration {
	return max(0, took/time.Duration(r.all)-sent)
}

func (f flow) String() string {
	return fmt.Sprintf("%v jobs/s, %d slots, requests of %v, evenly %t", f.perSecond, f.slots, f.request, f.regular)
}

func percentile(sorted []time.Duration, percent int) float64 {
	return sorted[len(sorted)*percent/100].Seconds()
}

// Whatever comes, urgent jobs are about as quick as in documents that leave evenly. Where so few come that holding
// nothing back is quicker, they are not much slower than that, and most of them as quick.
func TestSpacingIsCloseToTheBest(t *testing.T) {
	for _, perSecond := range []float64{1, 5, 20, 100, 500, 2000} {
		for _, slots := range []int{2, 4, 8, 16} {
			for _, request := range []time.Duration{5 * time.Millisecond, 40 * time.Millisecond, 250 * time.Millisecond, 2 * time.Second} {
				for _, regular := range []bool{false, true} {
					f := flow{perSecond, slots, request, regular}
					have, _ := f.run(DefaultConfig().spacingOf(jobs.Urgent).hold)
					even, _ := f.run(evenly)
					free, _ := f.run(never)
					for _, test := range []struct {
						percent int
						best    []time.Duration
						within  float64
					}{{99, even, 1.1}, {99, free, 1.4}, {50, even, 1.1}, {50, free, 1.1}} {
						if is, best := percentile(have, test.percent), percentile(test.best, test.percent); is > test.within*best {
							t.Errorf("%v: the percentile %d is %.4f s, not within %v of %.4f s", f, test.percent, is, test.within, best)
						}
					}
				}
			}
		}
	}
}

// Bulk jobs make fewer requests of their slots than urgent ones, and are not much slower.
func TestBulkMakesFewerRequests(t *testing.T) {
	c := DefaultConfig()
	for _, slots := range []int{4, 6, 8} {
		f := flow{500, slots, 40 * time.Millisecond, false}
		have, documents := f.run(c.spacingOf(jobs.Bulk).hold)
		even, most := f.run(evenly)
		if slower := percentile(have, 99) / percentile(even, 99); slower > 1.1 || float64(documents) > 0.8*float64(most) {
			t.Errorf("%v: p99 is %.3f of the best, with %d requests instead of %d", f, slower, documents, most)
		}
	}
}

// A job that comes alone leaves at once, and so does every other while a slot beside its own is free.
func TestNothingIsHeldBackWhileAnotherSlotIsFree(t *testing.T) {
	c := DefaultConfig()
	const request = 40 * time.Millisecond
	for name, test := range map[string]struct {
		lane       jobs.Lane
		room       room
		sent, came time.Duration
		want       time.Duration
	}{
		"urgent, all are free":                     {jobs.Urgent, room{all: 8, free: 8}, time.Hour, 0, 0},
		"urgent, two are free":                     {jobs.Urgent, room{8, 2, 30 * time.Millisecond}, 0, 0, 0},
		"urgent, the last, just after another":     {jobs.Urgent, room{8, 1, 40 * time.Millisecond}, time.Millisecond, time.Hour, 4 * time.Millisecond},
		"urgent, the last, the next is far off":    {jobs.Urgent, room{8, 1, 10 * time.Millisecond}, time.Millisecond, 0, 14 * time.Millisecond},
		"urgent, the last, long after another":     {jobs.Urgent, room{8, 1, 10 * time.Millisecond}, 20 * time.Millisecond, 0, 0},
		"urgent, the others are late":              {jobs.Urgent, room{8, 1, time.Hour}, time.Hour, 0, 0},
		"bulk, all are free, just after another":   {jobs.Bulk, room{all: 8, free: 8}, time.Millisecond, 0, 6172839 * time.Nanosecond},
		"bulk, it came a while ago":                {jobs.Bulk, room{all: 8, free: 8}, 3 * time.Millisecond, 2 * time.Millisecond, 4172839 * time.Nanosecond},
		"bulk, it came a while after another left": {jobs.Bulk, room{all: 8, free: 8}, 4 * time.Millisecond, 0, 3716048 * time.Nanosecond},
		"bulk, alone":                              {jobs.Bulk, room{all: 8, free: 8}, time.Hour, 0, 0},
		"bulk, the last":                           {jobs.Bulk, room{8, 1, 0}, 0, 0, 20 * time.Millisecond},
	} {
		if have := c.spacingOf(test.lane).hold(test.room, request, test.sent, test.came); have != test.want {
			t.Errorf("%s: held back for %v, want %v", name, have, test.want)
		}
	}
	for lane, want := range map[jobs.Lane]time.Duration{jobs.Urgent: time.Second, jobs.Bulk: c.BulkLinger} {
		if have := c.spacingOf(lane).hold(room{2, 1, 0}, time.Minute, 0, 0); have != want {
			t.Errorf("%s: held back for %v where requests take a minute, want %v", lane, have, want)
		}
	}
}

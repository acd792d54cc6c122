package history

import (
	"slices"
	"time"

	"logoffworker/jobs"
)

// alive checks that work went on: L1 when all had healed, L2 while the Web Server was well, L3 without
// growing.
func (c *check) alive() {
	last := c.lastResult()
	if late := last.Sub(c.h.Run.Healed); late > c.limits.Settle {
		c.violated("L1", "run", "the last job was settled %v after all had healed, at most %v are allowed", late.Round(time.Millisecond), c.limits.Settle)
	}
	c.emptied()
	c.flowing()
	c.lean()
}

// emptied checks that nothing waits at the end, and nothing lies where no consumer will find it.
func (c *check) emptied() {
	left, known := map[string]int{}, map[string]int{}
	for i := range c.h.Left {
		left[c.h.Left[i].Deployment]++
	}
	for _, q := range c.h.Queues {
		known[q.Deployment] += q.Pending + q.AckPending
		if q.Pending+q.AckPending > 0 {
			c.violated("L1", q.Deployment, "%d jobs of lane %s wait, %d are in hand", q.Pending, q.Lane, q.AckPending)
		}
	}
	for deployment, n := range left {
		if known[deployment] == 0 {
			c.violated("L1", deployment, "%d jobs are stranded: they are in the stream, and no lane knows of any", n)
		} else {
			c.violated("L1", deployment, "%d jobs are left in the stream", n)
		}
	}
}

func (c *check) lastResult() (last time.Time) {
	for _, r := range c.results {
		if r.Time.After(last) {
			last = r.Time
		}
	}
	return last
}

// flowing checks every stretch of the given length in which the Web Server was well, no lane rested and jobs waited all
// the time: at least half as many were settled in it as were published.
func (c *check) flowing() {
	settled, published := c.settledTimes(), map[string][]time.Time{}
	for _, j := range c.jobs {
		if !j.Confirmed.IsZero() {
			published[j.Deployment] = append(published[j.Deployment], j.Confirmed)
		}
	}
	unwell := c.troubles(time.Second, func(f Fault) bool { return f.WebServer })
	for deployment, samples := range c.samples(func(s Sample) string { return s.Deployment }) {
		came := published[deployment]
		unwell := unwell
		for _, lane := range jobs.Lanes {
			unwell = merged(slices.Concat(unwell, c.restsOf(deployment, lane, time.Second)))
		}
		slices.SortFunc(came, time.Time.Compare)
		for _, stretch := range c.stretches(samples, unwell) {
			out, in := within(settled[deployment], stretch), within(came, stretch)
			if out == 0 || 2*out < in {
				c.violated("L2", deployment, "from %s to %s the Web Server was well, %d jobs came and %d were settled", since(stretch.from), since(stretch.to), in, out)
			}
		}
	}
}

// settledTimes are when results were stored, in order, by deployment.
func (c *check) settledTimes() map[string][]time.Time {
	all := map[string][]time.Time{}
	for _, r := range c.results {
		all[r.Deployment] = append(all[r.Deployment], r.Time)
	}
	for _, times := range all {
		slices.SortFunc(times, time.Time.Compare)
	}
	return all
}

// samples are those with a key, in order, by key.
func (c *check) samples(key func(Sample) string) map[string][]Sample {
	all := map[string][]Sample{}
	for _, s := range c.h.Samples {
		if k := key(s); k != "" {
			all[k] = append(all[k], s)
		}
	}
	for _, samples := range all {
		slices.SortStableFunc(samples, func(a, b Sample) int { return a.Time.Compare(b.Time) })
	}
	return all
}

// stretches are the times of the given length in which the Web Server was well and the backlog was never
// seen empty.
func (c *check) stretches(samples []Sample, unwell spans) (all []span) {
	var begin time.Time
	for i, s := range samples {
		previous := samples[max(0, i-1)].Time
		switch {
		case s.Backlog == 0 || unwell.meet(s.Time, s.Time):
			begin = time.Time{}
		case begin.IsZero() || unwell.meet(previous, s.Time):
			begin = s.Time
		case s.Time.Sub(begin) >= c.limits.Healthy:
			all = append(all, span{begin, s.Time})
			begin = s.Time
		}
	}
	return all
}

// within counts the times in a stretch; they are in order.
func within(times []time.Time, stretch span) int {
	from, _ := slices.BinarySearchFunc(times, stretch.from, time.Time.Compare)
	to, _ := slices.BinarySearchFunc(times, stretch.to, time.Time.Compare)
	return to - from
}

// lean compares each worker that lived to the end with its beginning.
func (c *check) lean() {
	samples := c.samples(func(s Sample) string { return s.Process })
	for _, n := range c.h.Counters {
		process, all := n.Worker, samples[n.Worker]
		if !n.Final || len(all) == 0 {
			continue // it ended in the middle of something
		}
		first, last := all[0], all[len(all)-1]
		for _, s := range all[:(len(all)+2)/3] {
			first.RSS, first.Goroutines = max(first.RSS, s.RSS), max(first.Goroutines, s.Goroutines)
		}
		if grown := last.RSS - first.RSS; grown > c.limits.RSS {
			c.violated("L3", process, "its memory grew by %d bytes, to %d", grown, last.RSS)
		}
		if grown := last.Goroutines - first.Goroutines; grown > c.limits.Goroutines {
			c.violated("L3", process, "its goroutines grew by %d, to %d", grown, last.Goroutines)
		}
	}
}

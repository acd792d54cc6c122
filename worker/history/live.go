package history

import (
	"math"
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
	for _, q := range c.h.Queues {
		left := slices.ContainsFunc(c.h.Left, func(s Stored) bool { return s.Deployment == q.Deployment })
		switch {
		case q.Pending+q.AckPending > 0:
			c.violated("L1", q.Deployment, "%d jobs of lane %s wait, %d are in hand", q.Pending, q.Lane, q.AckPending)
		case left:
			c.violated("L1", q.Deployment, "jobs are stranded: they are in the stream, and lane %s knows of none", q.Lane)
		}
	}
	c.flowing()
	c.lean()
}

func (c *check) lastResult() (last time.Time) {
	for _, r := range c.results {
		if r.Time.After(last) {
			last = r.Time
		}
	}
	return last
}

// flowing checks every stretch of the given length in which the Web Server was well and jobs waited all
// the time: at least half as many were settled in it as were published.
func (c *check) flowing() {
	backlog, settled, published := map[string][]Sample{}, map[string][]time.Time{}, map[string][]time.Time{}
	for _, s := range c.h.Samples {
		if s.Deployment != "" {
			backlog[s.Deployment] = append(backlog[s.Deployment], s)
		}
	}
	for _, r := range c.results {
		settled[r.Deployment] = append(settled[r.Deployment], r.Time)
	}
	for _, j := range c.jobs {
		published[j.Deployment] = append(published[j.Deployment], j.Confirmed)
	}
	for deployment, samples := range backlog {
		for _, stretch := range c.stretches(samples) {
			out := within(settled[deployment], stretch.From, stretch.To)
			in := within(published[deployment], stretch.From, stretch.To)
			if out == 0 || 2*out < in {
				c.violated("L2", deployment, "from %s to %s the Web Server was well, %d jobs came and %d were settled", since(stretch.From), since(stretch.To), in, out)
			}
		}
	}
}

// stretches are the times in which the Web Server was well and the backlog was never seen empty.
func (c *check) stretches(samples []Sample) (all []Fault) {
	var begin time.Time
	for _, s := range samples {
		if s.Backlog == 0 || slices.ContainsFunc(c.h.Faults, func(f Fault) bool {
			return f.WebServer && f.From.Before(s.Time) && f.To.Add(time.Second).After(s.Time)
		}) {
			begin = time.Time{}
			continue
		}
		if begin.IsZero() {
			begin = s.Time
		}
		if s.Time.Sub(begin) >= c.limits.Healthy {
			all = append(all, Fault{From: begin, To: s.Time})
			begin = s.Time
		}
	}
	return all
}

func within(times []time.Time, from, to time.Time) (n int) {
	for _, t := range times {
		if !t.Before(from) && t.Before(to) {
			n++
		}
	}
	return n
}

// lean compares each process at its end with its beginning.
func (c *check) lean() {
	samples := map[string][]Sample{}
	for _, s := range c.h.Samples {
		if s.Process != "" {
			samples[s.Process] = append(samples[s.Process], s)
		}
	}
	for process, all := range samples {
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

// budget checks what a run may cost: repeats, and requests.
func (c *check) budget() {
	f := c.figures()
	if f.Repeats > c.limits.Repeats {
		c.violated("B1", "run", "%.1f %% of the logoffs were of sessions that had ended, at most %.1f %% are allowed", 100*f.Repeats, 100*c.limits.Repeats)
	}
	if f.RequestRatio > c.limits.Requests {
		c.violated("B2", "run", "%.2f requests for each success, at most %.2f are allowed", f.RequestRatio, c.limits.Requests)
	}
}

// Figures computes what a report shows.
func (h *History) Figures() Figures { return newCheck(h, DefaultLimits()).figures() }

func (c *check) figures() Figures {
	f := Figures{Results: map[jobs.Status]int{}, Stalls: map[string]time.Duration{}, DeadLetters: len(c.h.Dead), Requests: len(c.h.Requests)}
	for _, j := range c.jobs {
		f.Published++
		switch j.State {
		case StateStored:
			f.Stored++
		case StateUnknown:
			f.Unknown++
		case StateRefused:
			f.Refused++
		}
	}
	for _, r := range c.results {
		f.Results[r.Status]++
		f.MostDeliveries = max(f.MostDeliveries, r.Deliveries)
		if r.Deliveries > 1 {
			f.Redelivered++
		}
	}
	c.figuresOfRequests(&f)
	c.figuresOfTime(&f)
	return f
}

// figuresOfRequests counts as repeated what is sent again after it had taken effect, unless another
// job had asked for it since.
func (c *check) figuresOfRequests(f *Figures) {
	asked, ended := map[string]int{}, map[string]int{}
	for _, j := range c.jobs {
		for _, id := range j.Sessions {
			asked[fold(id)]++
		}
	}
	sent := map[string]bool{}
	splitting := 0.0
	for i := range c.h.Requests {
		q := &c.h.Requests[i]
		for _, id := range q.Sessions {
			sent[fold(id)] = true
			if c.poison[fold(id)] {
				continue
			}
			if q.Success || len(q.Applied) > 0 {
				ended[fold(id)]++
			}
		}
		if q.Success {
			f.Successes++
		}
	}
	repeats := 0
	for id, n := range ended {
		repeats += max(0, n-asked[id])
	}
	for id := range sent {
		if c.poison[id] {
			splitting += float64(asked[id]) * (1 + 2*math.Log2(float64(max(2, c.limits.Document))))
		}
	}
	f.Sessions = len(sent)
	if len(sent) > 0 {
		f.Repeats = float64(repeats) / float64(len(sent))
	}
	if f.Successes > 0 {
		f.RequestRatio = max(0, float64(f.Requests)-splitting) / float64(f.Successes)
	}
}

func (c *check) figuresOfTime(f *Figures) {
	if waits := c.urgentWaits(); len(waits) > 0 {
		f.UrgentCalm = waits[len(waits)*99/100].wait
	}
	times := map[string][]time.Time{}
	for _, r := range c.results {
		times[r.Deployment] = append(times[r.Deployment], r.Time)
	}
	for deployment, all := range times {
		slices.SortFunc(all, time.Time.Compare)
		for i := 1; i < len(all); i++ {
			f.Stalls[deployment] = max(f.Stalls[deployment], all[i].Sub(all[i-1]))
		}
	}
	if last := c.lastResult(); !last.IsZero() {
		f.Settled = max(0, last.Sub(c.h.Run.Healed))
	}
}

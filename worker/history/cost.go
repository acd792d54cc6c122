package history

import (
	"math"
	"time"

	"logoffworker/jobs"
)

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

// Figures computes what a report shows of a history that was held to these limits.
func (h *History) Figures(limits Limits) Figures { return newCheck(h, limits).figures() }

func (c *check) figures() Figures {
	f := Figures{Results: map[jobs.Status]int{}, Stalls: map[string]time.Duration{}, Acts: map[jobs.Verb]int{}, DeadLetters: len(c.h.Dead), Requests: len(c.h.Requests)}
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
	for _, a := range c.acts {
		f.Acts[a.Verb]++
	}
	c.figuresOfRequests(&f)
	c.figuresOfTime(&f)
	return f
}

// figuresOfRequests counts as repeated what is sent again after it had taken effect, unless another
// job had asked for it since.
func (c *check) figuresOfRequests(f *Figures) {
	for _, q := range c.requests {
		if q.Success {
			f.Successes++
		}
	}
	repeats, splitting := 0, 0.0
	for _, s := range c.sessions {
		if len(s.requests) == 0 {
			continue
		}
		f.Sessions++
		if s.poison {
			splitting += float64(s.asked) * c.toIsolate()
		} else {
			repeats += max(0, s.effective()-s.asked)
		}
	}
	if f.Sessions > 0 {
		f.Repeats = float64(repeats) / float64(f.Sessions)
	}
	// Without any success, every request is one too many but those of one document.
	f.RequestRatio = max(0, float64(f.Requests)-splitting) / float64(max(1, f.Successes))
}

// toIsolate is how many requests it may take to find one bad session in a document.
func (c *check) toIsolate() float64 {
	return 1 + 2*math.Log2(float64(max(2, c.limits.Document)))
}

// effective counts the requests with this session that had an effect.
func (s *session) effective() (n int) {
	for _, q := range s.requests {
		if q.Success || len(q.Applied) > 0 {
			n++
		}
	}
	return n
}

func (c *check) figuresOfTime(f *Figures) {
	if waits := c.urgentWaits(); len(waits) > 0 {
		f.UrgentCalm = waits[len(waits)*99/100].wait
	}
	for deployment, settled := range c.settledTimes() {
		for i := 1; i < len(settled); i++ {
			f.Stalls[deployment] = max(f.Stalls[deployment], settled[i].Sub(settled[i-1]))
		}
	}
	if last := c.lastResult(); last.After(c.h.Run.Healed) {
		f.Settled = last.Sub(c.h.Run.Healed)
	}
}

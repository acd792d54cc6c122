package statuspage

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"logoffworker/metrics"
)

const (
	// askEvery is how often the other workers are asked while somebody watches.
	askEvery = 5 * time.Second
	// forgetAfter is how long a worker is shown that no longer answers.
	forgetAfter = 10 * time.Minute
	// mostWorkers bounds what is remembered of the others.
	mostWorkers = 100
)

// A status is what a worker tells of itself.
type status struct {
	Worker   string                `json:"worker"`
	Version  string                `json:"version"`
	Started  time.Time             `json:"started"`
	State    metrics.State         `json:"state"`
	Tone     tone                  `json:"tone"`
	Headline string                `json:"headline"`
	Since    time.Time             `json:"since,omitzero"`
	InFlight float64               `json:"inFlight"`
	Slots    int                   `json:"slots"`
	Settled  map[string]float64    `json:"settledLastHour"`
	Sessions map[string]float64    `json:"sessionsLastHour"`
	Latest   []metrics.FinishedJob `json:"latestJobs"`
	Settings []Setting             `json:"settings"`
	Budget   map[string]budget     `json:"budget,omitempty"` // by reads and writes
	Report

	heard time.Time // when it last answered
}

// A budget is how many requests of a kind may be made within an hour, and how many are left.
type budget struct {
	Limit float64 `json:"limit"`
	Left  float64 `json:"left"`
}

func (n numbers) budgets() map[string]budget {
	all := map[string]budget{}
	for kind, limit := range n.by("logoff_budget_limit_requests", "kind") {
		all[kind] = budget{Limit: limit, Left: n.value("logoff_budget_left_requests", label{"kind", kind})}
	}
	return all
}

// A fleet is what the other workers say.
type fleet struct {
	ask   func(context.Context) [][]byte
	asked time.Time
	heard map[string]status
}

// Join lets the page ask the other workers for what [Page.Status] says of them.
func (p *Page) Join(ask func(context.Context) [][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fleet = fleet{ask: ask, heard: map[string]status{}}
}

// Status is what this worker tells the others, as JSON. It holds no secret, no name of a person and no session ID.
func (p *Page) Status() []byte {
	now, err := p.read()
	if err != nil {
		return nil
	}
	p.mu.Lock()
	past := p.history.with(now)
	p.mu.Unlock()
	data, err := json.Marshal(p.own(now, past))
	if err != nil {
		return nil
	}
	return data
}

func (p *Page) own(now reading, past past) status {
	c := p.config
	return status{
		Worker: c.Worker, Version: c.Version, Started: p.started,
		State: now.verdict.State, Tone: now.tone, Headline: now.verdict.Headline, Since: now.verdict.Since,
		InFlight: now.numbers.value("logoff_slots_in_use"), Slots: c.Slots,
		Settled: past.settled(), Sessions: past.outcomes(), Latest: c.Metrics.Latest(), Settings: c.Settings,
		Budget: now.numbers.budgets(), Report: p.report(now), heard: now.at,
	}
}

// lookAround asks the other workers, unless it has just been done.
func (p *Page) lookAround(ctx context.Context) {
	p.mu.Lock()
	ask, due := p.fleet.ask, time.Since(p.fleet.asked) >= askEvery
	if due {
		p.fleet.asked = time.Now()
	}
	p.mu.Unlock()
	if ask == nil || !due {
		return
	}
	answers := ask(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, data := range answers {
		p.fleet.hear(data)
	}
	for name, s := range p.fleet.heard {
		if time.Since(s.heard) > forgetAfter {
			delete(p.fleet.heard, name)
		}
	}
}

// hear takes what a worker says, as far as it is to be believed and to be shown.
func (f *fleet) hear(data []byte) {
	var s status
	if err := json.Unmarshal(data, &s); err != nil || s.Worker == "" {
		return
	}
	if _, known := f.heard[s.Worker]; !known && len(f.heard) >= mostWorkers {
		return
	}
	s.Worker, s.Version, s.Headline = shortened(s.Worker, 80), shortened(s.Version, 40), shortened(s.Headline, 300)
	s.heard = time.Now()
	f.heard[s.Worker] = s
}

// all is what each worker says, this one first.
func (f *fleet) all(own status) []status {
	list := []status{own}
	for name, s := range f.heard {
		if name != own.Worker {
			list = append(list, s)
		}
	}
	slices.SortFunc(list[1:], func(a, b status) int { return strings.Compare(a.Worker, b.Worker) })
	return list
}

// answers reports whether a worker still answers.
func (s status) answers(now time.Time) bool { return now.Sub(s.heard) < 3*askEvery }

// words say how a worker is, shortly.
func (s status) words() string {
	switch {
	case s.State == metrics.StateStarting:
		return "starting"
	case s.Tone == wait:
		return "waits"
	case s.Tone == ill:
		return "needs a person"
	case s.Tone == off:
		return "paused"
	}
	return "well"
}

// different are the settings that another worker has not as this one has them, each with both values.
func different(own, other []Setting) (all []difference) {
	others := map[string]string{}
	for _, s := range other {
		others[s.Name] = s.Value
	}
	for _, s := range own {
		value, is := others[s.Name]
		if !is {
			value = "(it does not know this setting)"
		}
		if value != s.Value && !s.OfEachWorker() {
			all = append(all, difference{s.Name, shortened(value, 80), shortened(s.Value, 80)})
		}
	}
	return all
}

// A difference is a setting, as another worker has it, and as this one has it.
type difference struct{ Name, There, Here string }

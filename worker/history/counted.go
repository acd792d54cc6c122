package history

import (
	"maps"
	"slices"

	"logoffworker/jobs"
)

// counted checks I9: what each worker counted is what it stored. A worker that was killed may have
// stored more since it was last asked.
func (c *check) counted() {
	settled, outcomes, letters := map[string]map[string]int{}, map[string]map[jobs.Outcome]int{}, map[jobs.Status]int{}
	counted := map[jobs.Status]int{}
	for _, r := range c.results {
		if settled[r.Worker] == nil {
			settled[r.Worker], outcomes[r.Worker] = map[string]int{}, map[jobs.Outcome]int{}
		}
		settled[r.Worker][string(r.Lane)+"/"+string(r.Status)]++
		for _, s := range r.Sessions {
			outcomes[r.Worker][s.Outcome]++
		}
		if letters[r.Status] += len(r.letters); len(r.letters) == 0 && !r.Status.Success() && c.dealtWith(r) {
			letters[r.Status]++
		}
	}
	for _, n := range c.h.Counters {
		compare(c, n, counter[string]{"jobs", n.Settled, settled[n.Worker]})
		compare(c, n, counter[jobs.Outcome]{"sessions", n.Outcome, outcomes[n.Worker]})
		for reason, dead := range n.Dead {
			counted[reason] += dead
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(counted)) {
		if counted[reason] > letters[reason] {
			c.violated("I9", "workers", "they counted %d dead letters %s, there are %d", counted[reason], reason, letters[reason])
		}
	}
}

// A counter is what a worker counted of one sort, and what it stored.
type counter[K ~string] struct {
	what            string
	counted, stored map[K]int
}

func compare[K ~string](c *check, n Counters, of counter[K]) {
	keys := maps.Clone(of.stored)
	if keys == nil {
		keys = map[K]int{}
	}
	maps.Copy(keys, of.counted)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if of.counted[key] > of.stored[key] || n.Final && of.counted[key] != of.stored[key] {
			c.violated("I9", n.Worker, "it counted %d %s %s, and stored %d", of.counted[key], of.what, key, of.stored[key])
		}
	}
}

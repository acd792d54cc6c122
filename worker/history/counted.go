package history

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"slices"

	"logoffworker/jobs"
)

// counted checks I9: what each worker counted is what it stored. A worker that was killed may have
// stored more since it was last asked.
func (c *check) counted() {
	settled, outcomes, letters := map[string]map[string]int{}, map[string]map[jobs.Outcome]int{}, map[jobs.Status]int{}
	for _, r := range c.results {
		if settled[r.Worker] == nil {
			settled[r.Worker], outcomes[r.Worker] = map[string]int{}, map[jobs.Outcome]int{}
		}
		settled[r.Worker][string(r.Lane)+"/"+string(r.Status)]++
		for _, s := range r.Sessions {
			outcomes[r.Worker][s.Outcome]++
		}
		letters[r.Status] += len(r.letters)
	}
	for _, n := range c.h.Counters {
		compare(c, n, "jobs", n.Settled, settled[n.Worker])
		compare(c, n, "sessions", n.Outcome, outcomes[n.Worker])
		for reason, dead := range n.Dead {
			if dead > letters[reason] {
				c.violated("I9", n.Worker, "it counted %d dead letters %s, there are %d", dead, reason, letters[reason])
			}
		}
	}
}

func compare[K ~string](c *check, n Counters, what string, counted, stored map[K]int) {
	keys := maps.Clone(stored)
	if keys == nil {
		keys = map[K]int{}
	}
	maps.Copy(keys, counted)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if counted[key] > stored[key] || n.Final && counted[key] != stored[key] {
			c.violated("I9", n.Worker, "it counted %d %s %s, and stored %d", counted[key], what, key, stored[key])
		}
	}
}

// secrets checks I10: nothing that was put out holds a secret in any form.
func (c *check) secrets() {
	for name, canary := range c.h.Run.Canaries {
		forms := [][]byte{[]byte(canary), []byte(url.QueryEscape(canary))}
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			forms = append(forms, []byte(encoding.EncodeToString([]byte(canary))))
		}
		search := func(where string, parts ...[]byte) {
			for _, part := range parts {
				if slices.ContainsFunc(forms, func(form []byte) bool { return bytes.Contains(part, form) }) {
					c.violated("I10", where, "it holds the secret %s", name)
					return
				}
			}
		}
		for output, text := range c.h.Outputs {
			search(output, text)
		}
		for stream, stored := range map[string][]Stored{"result": c.h.Results, "dead letter": c.h.Dead, "job": c.h.Left} {
			for _, s := range stored {
				search(fmt.Sprintf("%s %d of %s", stream, s.Sequence, s.Deployment), []byte(s.Subject), s.Data, fmt.Append(nil, s.Header))
			}
		}
	}
}

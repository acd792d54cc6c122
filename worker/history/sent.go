package history

import (
	"fmt"
	"slices"
	"time"
)

// sent checks I5: nothing was sent that no job had asked for, and nothing was changed on the way.
func (c *check) sent() {
	asked := map[string]time.Time{} // first time that a job meant a session in this case
	for _, j := range c.jobs {
		if j.Malformed || j.Held {
			continue
		}
		for _, id := range slices.Concat(j.Sessions, j.On) {
			if slices.Contains(j.Wrong, id) {
				continue
			}
			id = meant(id)
			if first, known := asked[id]; !known || j.Sent.Before(first) {
				asked[id] = j.Sent
			}
		}
	}
	for _, q := range c.requests {
		c.document(q, asked)
	}
}

func (c *check) document(q *Request, asked map[string]time.Time) {
	name := fmt.Sprintf("request %d (%s)", q.Number, q.RequestID)
	if c.limits.Document > 0 && len(q.Sessions) > c.limits.Document {
		c.violated("I5", name, "its document holds %d sessions, at most %d are allowed", len(q.Sessions), c.limits.Document)
	}
	held := make(map[*session]bool, len(q.Sessions))
	for _, id := range q.Sessions {
		session := c.session(id)
		first, known := asked[id]
		switch {
		case !known:
			c.violated("I5", name, "it held %q, which no job has asked for so", id)
		case q.Time.Before(first):
			c.violated("I5", name, "it held %q before a job asked for it", id)
		case held[session]:
			c.violated("I5", name, "it held %q twice", id)
		}
		held[session] = true
	}
	for _, id := range q.Applied {
		if !held[c.session(id)] {
			c.violated("I5", name, "it ended %q, which it did not hold", id)
		}
	}
}

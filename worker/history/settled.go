package history

import (
	"bytes"
	"slices"

	"logoffworker/jobs"
)

// settled checks I1, I2 and I4: every stored job has exactly one result, which names exactly its
// sessions, and whatever was not done is in a dead letter.
func (c *check) settled() {
	keys := map[place]int{}
	for _, r := range c.results {
		at := place{deployment: r.Deployment, id: r.key}
		if keys[at]++; keys[at] == 2 {
			c.violated("I2", r.JobID, "the message %s has more than one result", r.key)
		}
		c.letters(r)
	}
	for _, j := range c.jobs {
		c.resulted(j)
	}
	c.acknowledged()
}

// resulted checks that a job has its results.
func (c *check) resulted(j *job) {
	switch {
	case j.left:
		c.violated("I1", j.name(), "it is still in the stream")
	case j.State == StateStored && len(j.results) == 0:
		c.violated("I1", j.name(), "it was stored at %s and has no result: it is lost", since(j.Confirmed))
	case j.State == StateRefused && len(j.results) > 0:
		c.violated("I2", j.name(), "it was refused and has a result")
	case len(j.results) > 1 && !j.Retried && !sameMessage(j.results):
		c.violated("I2", j.name(), "it was published once and has results of %d messages", len(j.results))
	}
	for _, r := range j.results {
		c.named(j, r)
	}
}

func sameMessage(rs []*result) bool {
	return !slices.ContainsFunc(rs, func(r *result) bool { return r.key != rs[0].key })
}

// named checks that a result has the job's sessions, each once, in order and spelled as there.
func (c *check) named(j *job, r *result) {
	var names []string
	for _, s := range r.Sessions {
		names = append(names, s.ID)
	}
	switch {
	case j.Malformed != (r.Status == jobs.Invalid):
		c.violated("I4", j.name(), "malformed is %t, and its status is %s: %s", j.Malformed, r.Status, r.Error)
	case !slices.Equal(names, j.Sessions):
		c.violated("I4", j.name(), "it named the sessions %v, its result names %v", j.Sessions, names)
	}
}

// letters checks a result's dead letter.
func (c *check) letters(r *result) {
	switch {
	case r.Status == jobs.Done && len(r.letters) > 0:
		c.violated("I2", r.JobID, "it is done and has a dead letter")
	case r.Status != jobs.Done && len(r.letters) == 0:
		c.violated("I1", r.JobID, "its status is %s, and it has no dead letter", r.Status)
	case len(r.letters) > 1:
		c.violated("I2", r.JobID, "it has %d dead letters", len(r.letters))
	case len(r.letters) == 1:
		c.replayable(r, r.letters[0])
	}
}

// replayable checks that a dead letter holds what was not done, and nothing else.
func (c *check) replayable(r *result, letter jobs.DeadLetter) {
	if r.Status == jobs.Invalid {
		if r.job != nil && !bytes.Equal(letter.Payload, r.job.Payload) {
			c.violated("I1", r.JobID, "its dead letter does not hold the message as it came")
		}
		return
	}
	again, err := jobs.Decode(letter.Payload, letter.ContentType, jobs.Rules{LooseIDs: true})
	if err != nil {
		c.violated("I1", r.JobID, "its dead letter cannot be published again: %v", err)
		return
	}
	var want, have []string
	for _, s := range r.Sessions {
		if !s.Outcome.Success() {
			want = append(want, s.ID)
		}
	}
	for _, s := range again.Sessions {
		have = append(have, s.ID)
	}
	if !slices.Equal(want, have) {
		c.violated("I1", r.JobID, "its dead letter holds %v, not done are %v", have, want)
	}
}

// acknowledged checks that no job left its stream before its result was in one.
func (c *check) acknowledged() {
	stored := map[place]*result{}
	for _, r := range c.results {
		stored[place{deployment: r.Deployment, sequence: r.sequence}] = r
	}
	for _, a := range c.h.Acks {
		r := stored[place{deployment: a.Deployment, sequence: a.Sequence}]
		at := place{deployment: a.Deployment, sequence: a.Sequence}
		switch {
		case r == nil:
			c.violated("I1", a.Deployment, "the job of sequence %d was acknowledged at %s and has no result", at.sequence, since(a.Time))
		case a.Time.Before(r.Time):
			c.violated("I1", r.JobID, "it was acknowledged at %s, its result stored at %s", since(a.Time), since(r.Time))
		}
	}
}

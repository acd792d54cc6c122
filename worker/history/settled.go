package history

import (
	"bytes"
	"fmt"
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
			c.violated("I2", r.name(), "the message %s has more than one result", r.key)
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
		c.names(j, r)
	}
}

func sameMessage(rs []*result) bool {
	return !slices.ContainsFunc(rs, func(r *result) bool { return r.key != rs[0].key })
}

// names checks that a result is the job's own, and has its sessions, each once, in order and spelled
// as there.
func (c *check) names(j *job, r *result) {
	switch {
	case j.JobID != "" && j.JobID != r.JobID:
		c.violated("I4", j.name(), "its result is in the name of %s", r.JobID)
	case j.Held != (r.Status == jobs.Held):
		c.violated("I5", j.name(), "it has to be held is %t, and its status is %s: %s", j.Held, r.Status, r.Error)
	case r.Status == jobs.Ignored:
		c.violated("I4", j.name(), "it answers no event of a security system, and was ignored: %s", r.Error)
	case j.Malformed && r.Status != jobs.Invalid:
		c.violated("I4", j.name(), "it is no job, and its status is %s", r.Status)
	case !j.Malformed && r.Status == jobs.Invalid:
		c.violated("I4", j.name(), "it is a good job, and its status is invalid: %s", r.Error)
	}
	var want []string
	if !j.Malformed {
		want = once(j.Sessions)
	}
	var have []string
	found := map[*session]bool{}
	for _, s := range r.Sessions {
		if !s.Found {
			have = append(have, s.ID)
			if wrong := slices.Contains(j.Wrong, s.ID); wrong != (s.Outcome == jobs.InvalidSession) {
				c.violated("I4", j.name(), "session %q is %s, and that it is a session ID is %t", s.ID, s.Outcome, !wrong)
			}
			continue
		}
		switch session := c.session(s.ID); {
		case found[session]:
			c.violated("I4", j.name(), "session %q was found twice", s.ID)
		case !slices.ContainsFunc(j.On, func(on string) bool { return c.session(on) == session }):
			c.violated("I4", j.name(), "session %q was found, and is none of its users'", s.ID)
		default:
			found[session] = true
		}
	}
	if d := difference(want, have); d != "" {
		c.violated("I4", j.name(), "the sessions of its result are not its own: %s", d)
	}
	if !j.Malformed && len(r.Users) != len(j.Users) {
		c.violated("I4", j.name(), "its result tells of %d users, it named %d", len(r.Users), len(j.Users))
	}
}

// once leaves out spellings that were there before: a result names each once.
func once(ids []string) []string {
	if len(ids) < 2 {
		return ids
	}
	seen := make(map[string]bool, len(ids))
	var first []string
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			first = append(first, id)
		}
	}
	return first
}

// difference says where two lists of sessions first differ; nothing if they are equal.
func difference(want, have []string) string {
	for i := range min(len(want), len(have)) {
		if want[i] != have[i] {
			return fmt.Sprintf("number %d is %q instead of %q", i+1, have[i], want[i])
		}
	}
	if len(want) != len(have) {
		return fmt.Sprintf("%d instead of %d", len(have), len(want))
	}
	return ""
}

// letters checks a result's dead letter.
func (c *check) letters(r *result) {
	switch {
	case r.Status.Success() && len(r.letters) > 0:
		c.violated("I2", r.name(), "it is %s and has a dead letter", r.Status)
	case !r.Status.Success() && len(r.letters) == 0 && !c.dealtWith(r):
		c.violated("I1", r.name(), "its status is %s, it has no dead letter, and no act took it off the list", r.Status)
	case len(r.letters) > 1:
		c.violated("I2", r.name(), "it has %d dead letters", len(r.letters))
	case len(r.letters) == 1:
		c.described(r, r.letters[0])
		c.replayable(r, r.letters[0])
	}
}

// described checks that a dead letter's header tells of the job that it is of.
func (c *check) described(r *result, letter jobs.DeadLetter) {
	switch {
	case letter.Reason != r.Status:
		c.violated("I1", r.name(), "its status is %s, its dead letter says %s", r.Status, letter.Reason)
	case letter.Sequence != r.sequence, letter.JobID != r.JobID:
		c.violated("I1", r.name(), "its dead letter says that it is of %s", named(letter.JobID, r.Deployment, letter.Sequence))
	}
}

// replayable checks that a dead letter holds what was not done, and nothing else.
func (c *check) replayable(r *result, letter jobs.DeadLetter) {
	if r.Status == jobs.Invalid || r.Status == jobs.Held {
		if r.job != nil && !bytes.Equal(letter.Payload, r.job.Payload) {
			c.violated("I1", r.name(), "its dead letter does not hold the message as it came")
		}
		return
	}
	again, err := jobs.Decode(letter.Payload, jobs.Rules{LooseIDs: true})
	if err != nil && c.onlyWrong(r, letter) {
		return // for a person to mend
	}
	if err != nil {
		c.violated("I1", r.name(), "its dead letter cannot be published again: %v", err)
		return
	}
	var want, have []string
	for _, s := range r.Sessions {
		if !s.Outcome.Success() && !s.Found {
			want = append(want, s.ID)
		}
	}
	if left := len(again.Users); left != r.UsersLeft {
		c.violated("I1", r.name(), "its dead letter names %d users, %d are left", left, r.UsersLeft)
	}
	for _, s := range again.Sessions {
		have = append(have, s.Spelled())
	}
	if d := difference(want, have); d != "" {
		c.violated("I1", r.name(), "the sessions of its dead letter are not those that are not done: %s", d)
	}
}

// onlyWrong reports whether nothing is left of a job but what is no session ID, and its dead letter has that.
func (c *check) onlyWrong(r *result, letter jobs.DeadLetter) bool {
	return r.UsersLeft == 0 && !slices.ContainsFunc(r.Sessions, func(s jobs.SessionResult) bool {
		wrong := s.Outcome == jobs.InvalidSession && bytes.Contains(letter.Payload, []byte(s.ID))
		return !s.Outcome.Success() && !s.Found && !wrong
	})
}

// acknowledged checks that no job left its stream before its result was in one.
func (c *check) acknowledged() {
	stored := map[place]*result{}
	for _, r := range c.results {
		stored[place{deployment: r.Deployment, sequence: r.sequence}] = r
	}
	for _, a := range c.h.Acks {
		r := stored[place{deployment: a.Deployment, sequence: a.Sequence}]
		switch {
		case r == nil:
			c.violated("I1", c.acked(a), "it was acknowledged at %s and has no result", since(a.Time))
		case a.Time.Before(r.Time):
			c.violated("I1", r.name(), "it was acknowledged at %s, before its result was stored at %s", since(a.Time), since(r.Time))
		}
	}
}

// acked names the job of an acknowledgement.
func (c *check) acked(a Ack) string {
	if j := c.bySequence[place{deployment: a.Deployment, sequence: a.Sequence}]; j != nil {
		return j.name()
	}
	return named("", a.Deployment, a.Sequence)
}

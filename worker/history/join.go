package history

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"logoffworker/jobs"
)

// place is where a message lies, or the name of a job.
type place struct {
	deployment, id string
	sequence       uint64
}

func (c *check) joinJobs() {
	for i := range c.h.Published {
		j := &job{Published: &c.h.Published[i]}
		if before := c.publishedBefore(j); before != nil {
			before.learn(j)
			continue
		}
		c.jobs = append(c.jobs, j)
		if j.Sequence != 0 {
			c.bySequence[place{deployment: j.Deployment, sequence: j.Sequence}] = j
		}
		switch {
		case j.Approves != "":
			c.byApproval[place{deployment: j.Deployment, id: j.Approves}] = j
		case j.Replays != "":
			c.byReplay[place{deployment: j.Deployment, id: j.Replays}] = j
		case j.JobID != "":
			c.byID[place{deployment: j.Deployment, id: j.JobID}] = j
		}
		if j.Held {
			continue // it asks for nothing
		}
		for _, id := range slices.Concat(j.Sessions, j.On) {
			c.session(id).asked++
		}
	}
}

// publishedBefore returns the job as which an operator had published before what a letter holds; nil if there is none. A
// letter may come back on the list: a job whose acknowledgement was lost is settled again, and a server that was started
// anew has forgotten the message id of a letter that was taken off. What is published then is the same job, which is to
// be stored once all the same.
func (c *check) publishedBefore(j *job) *job {
	if j.Approves != "" {
		return c.byApproval[place{deployment: j.Deployment, id: j.Approves}]
	}
	return c.byReplay[place{deployment: j.Deployment, id: j.Replays}]
}

// learn takes in what is known of a job that was published once more.
func (j *job) learn(again *job) {
	if j.State != StateStored {
		known := *j.Published
		known.State, known.Confirmed = again.State, again.Confirmed
		j.Published = &known
	}
}

// find returns the job of a message; nil if there is none.
func (c *check) find(deployment, id string, sequence uint64) *job {
	if j := c.bySequence[place{deployment: deployment, sequence: sequence}]; j != nil {
		return j
	}
	if j := c.byID[place{deployment: deployment, id: id}]; j != nil && (j.Sequence == 0 || j.Retried) {
		return j
	}
	return nil
}

// asked returns the job of a result, which says of itself what it approves or was published again for; nil if there is
// none.
func (c *check) asked(r *result) *job {
	if j := c.byApproval[place{deployment: r.Deployment, id: r.Approves}]; j != nil {
		return j
	}
	if j := c.byReplay[place{deployment: r.Deployment, id: r.Labels[replayLabel]}]; j != nil {
		return j
	}
	return c.find(r.Deployment, r.JobID, r.sequence)
}

// replayLabel of a job names the job whose dead letter it was, by its key.
const replayLabel = "replayOf"

func (c *check) joinRequests() {
	for i := range c.h.Requests {
		c.requests = append(c.requests, &c.h.Requests[i])
	}
	slices.SortStableFunc(c.requests, func(a, b *Request) int { return a.Time.Compare(b.Time) })
	for _, q := range c.requests {
		for _, id := range q.Sessions {
			if s := c.session(id); len(s.requests) == 0 || s.requests[len(s.requests)-1] != q {
				s.requests = append(s.requests, q)
			}
		}
	}
}

// joinResults finds each result's job, and returns the results by subject.
func (c *check) joinResults() map[string]*result {
	bySubject := map[string]*result{}
	for i := range c.h.Results {
		r := c.decode(&c.h.Results[i])
		if r == nil {
			continue
		}
		c.results = append(c.results, r)
		bySubject[r.Subject] = r
		if r.job = c.asked(r); r.job == nil {
			c.violated("I2", r.name(), "a result that no published job explains: %s", r.Subject)
			continue
		}
		r.job.results = append(r.job.results, r)
	}
	return bySubject
}

// decode reads a result and its subject, which must agree.
func (c *check) decode(s *Stored) *result {
	decoded, err := jobs.DecodeResult(s.Data)
	if err != nil {
		c.violated("I1", s.Subject, "the result cannot be read: %v", err)
		return nil
	}
	r := &result{Stored: s, Result: decoded}
	r.key = s.Subject[strings.LastIndexByte(s.Subject, '.')+1:]
	digits, _, _ := strings.Cut(r.key, "-")
	if r.sequence, err = strconv.ParseUint(digits, 10, 64); err != nil {
		c.violated("I1", s.Subject, "the subject does not name a job's message")
		return nil
	}
	subjects := jobs.Subjects{Prefix: s.Deployment}
	if want := subjects.Result(decoded.JobID, jobs.Key(r.sequence, decoded.RequestedAt)); want != s.Subject {
		c.violated("I1", s.Subject, "the result says that it is %s", want)
	}
	return r
}

func (c *check) joinLetters(bySubject map[string]*result) {
	for i := range c.h.Dead {
		d := &c.h.Dead[i]
		letter, err := jobs.DecodeDeadLetter(d.Header, d.Data)
		if err != nil {
			c.violated("I1", fmt.Sprintf("dead letter %d (%s)", d.Sequence, d.Deployment), "it cannot be read: %v", err)
			continue
		}
		r := bySubject[letter.Result]
		if r == nil {
			c.violated("I2", named(letter.JobID, d.Deployment, letter.Sequence), "a dead letter without a result: %s", letter.Result)
			continue
		}
		r.letters = append(r.letters, letter)
	}
}

func (c *check) joinLeft() {
	for i := range c.h.Left {
		l := &c.h.Left[i]
		id := firstOf(l.Header["Nats-Msg-Id"])
		if j := c.find(l.Deployment, id, l.Sequence); j != nil {
			j.left = true
			continue
		}
		c.violated("I1", named(id, l.Deployment, l.Sequence), "it is still in the stream, and nobody has published it")
	}
}

func firstOf(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

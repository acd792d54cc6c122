package history

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"logoffworker/jobs"
)

// mostShown is how many violations of one rule are listed.
const mostShown = 100

// Check returns every promise that was not kept, by rule and job. I7, that crashes and outages of NATS
// keep I1 to I5, has no rule of its own: those are checked over a run that is full of both.
func (h *History) Check(limits Limits) []Violation {
	c := newCheck(h, limits)
	c.settled()
	c.claimed()
	c.sent()
	c.late()
	c.counted()
	c.secrets()
	c.alive()
	c.budget()
	return c.sorted()
}

// A check is a history with its parts joined.
type check struct {
	h      *History
	limits Limits
	found  map[string][]Violation
	more   map[string]int

	jobs     []*job
	results  []*result
	requests map[string]*Request // by request id
	poison   map[string]bool
}

// A job is one published message with what became of it. It may have been stored more than once.
type job struct {
	*Published
	results []*result
	left    bool
}

// name tells people which job is meant.
func (j *job) name() string {
	if j.Sequence == 0 {
		return fmt.Sprintf("%s (%s)", j.JobID, j.Deployment)
	}
	return fmt.Sprintf("%s (%s, sequence %d)", j.JobID, j.Deployment, j.Sequence)
}

// A result is one message of a result stream, decoded.
type result struct {
	*Stored
	jobs.Result
	key      string // of the job's message
	sequence uint64 // of the job's message
	job      *job
	letters  []jobs.DeadLetter
}

func newCheck(h *History, limits Limits) *check {
	c := &check{h: h, limits: limits, found: map[string][]Violation{}, more: map[string]int{}, requests: map[string]*Request{}, poison: map[string]bool{}}
	for i := range h.Requests {
		c.requests[h.Requests[i].RequestID] = &h.Requests[i]
	}
	for _, id := range h.Run.Poison {
		c.poison[fold(id)] = true
	}
	c.join()
	return c
}

func fold(id string) string { return strings.ToUpper(id) }

func (c *check) violated(rule, job, format string, values ...any) {
	if len(c.found[rule]) == mostShown {
		c.more[rule]++
		return
	}
	c.found[rule] = append(c.found[rule], Violation{rule, job, fmt.Sprintf(format, values...)})
}

func (c *check) sorted() (all []Violation) {
	for rule, found := range c.found {
		all = append(all, found...)
		if n := c.more[rule]; n > 0 {
			all = append(all, Violation{rule, "~", fmt.Sprintf("and %d more", n)})
		}
	}
	slices.SortStableFunc(all, func(a, b Violation) int { return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Job, b.Job)) })
	return all
}

// place is where a message lies, or the name of a job.
type place struct {
	deployment, id string
	sequence       uint64
}

// join finds each result's job and each dead letter's result.
func (c *check) join() {
	bySequence, byID := map[place]*job{}, map[place]*job{}
	for i := range c.h.Published {
		j := &job{Published: &c.h.Published[i]}
		c.jobs = append(c.jobs, j)
		if j.Sequence != 0 {
			bySequence[place{deployment: j.Deployment, sequence: j.Sequence}] = j
		}
		if j.JobID != "" {
			byID[place{deployment: j.Deployment, id: j.JobID}] = j
		}
	}
	find := func(deployment, id string, sequence uint64) *job {
		if j := bySequence[place{deployment: deployment, sequence: sequence}]; j != nil {
			return j
		}
		if j := byID[place{deployment: deployment, id: id}]; j != nil && (j.Sequence == 0 || j.Retried) {
			return j
		}
		return nil
	}
	bySubject := map[string]*result{}
	for i := range c.h.Results {
		r := c.decode(&c.h.Results[i])
		if r == nil {
			continue
		}
		c.results = append(c.results, r)
		bySubject[r.Subject] = r
		if r.job = find(r.Deployment, r.JobID, r.sequence); r.job == nil {
			c.violated("I2", r.Subject, "a result that no published job explains")
			continue
		}
		r.job.results = append(r.job.results, r)
	}
	for i := range c.h.Left {
		l := &c.h.Left[i]
		if j := find(l.Deployment, firstOf(l.Header["Nats-Msg-Id"]), l.Sequence); j != nil {
			j.left = true
		}
	}
	c.joinLetters(bySubject)
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
			c.violated("I2", letter.Result, "a dead letter without a result")
			continue
		}
		r.letters = append(r.letters, letter)
	}
}

func firstOf(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
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
	if _, err := fmt.Sscanf(r.key, "%d-", &r.sequence); err != nil {
		c.violated("I1", s.Subject, "the subject does not name a job's message")
		return nil
	}
	subjects := jobs.Subjects{Prefix: s.Deployment}
	if want := subjects.Result(decoded.JobID, jobs.Key(r.sequence, decoded.RequestedAt)); want != s.Subject {
		c.violated("I1", s.Subject, "the result says that it is %s", want)
	}
	return r
}

func since(t time.Time) string { return t.UTC().Format("15:04:05.000") }

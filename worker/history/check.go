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

// Check returns every promise that was not kept, by rule and job; the package comment lists the rules. No
// violation holds a canary, whatever it quotes.
func (h *History) Check(limits Limits) []Violation {
	c := newCheck(h, limits)
	c.settled()
	c.claimed()
	c.sent()
	c.late()
	c.rested()
	c.recorded()
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

	jobs       []*job
	bySequence map[place]*job
	byID       map[place]*job
	byApproval map[place]*job // of a job that was held, by the subject of its result
	byReplay   map[place]*job // of a dead letter, by the key of its job
	acts       []act
	pauses     []*pause
	results    []*result
	requests   []*Request // by time

	sessions []*session
	byName   map[string]*session // by any spelling
}

// A job is one published message with what became of it. It may have been stored more than once.
type job struct {
	*Published
	results []*result
	left    bool
}

// name tells people which job is meant.
func (j *job) name() string { return named(j.JobID, j.Deployment, j.Sequence) }

func named(id, deployment string, sequence uint64) string {
	if id == "" {
		id = "a job without an id"
	}
	if sequence == 0 {
		return fmt.Sprintf("%s (%s)", id, deployment)
	}
	return fmt.Sprintf("%s (%s, sequence %d)", id, deployment, sequence)
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

func (r *result) name() string { return named(r.JobID, r.Deployment, r.sequence) }

// A session is one that was sent, asked for, or both, however it was spelled.
type session struct {
	poison   bool
	asked    int        // jobs that name it
	requests []*Request // that held it, by time
}

func newCheck(h *History, limits Limits) *check {
	c := &check{
		h: h, limits: limits, found: map[string][]Violation{}, more: map[string]int{},
		bySequence: map[place]*job{}, byID: map[place]*job{}, byApproval: map[place]*job{}, byReplay: map[place]*job{}, byName: map[string]*session{},
	}
	for _, id := range h.Run.Poison {
		c.session(id).poison = true
	}
	c.joinJobs()
	c.joinRequests()
	c.joinLetters(c.joinResults())
	c.joinLeft()
	c.joinActs()
	return c
}

// meant is the session ID that a job means, as jobs/README.md says: what stands around it is not part of it.
func meant(spelled string) string {
	id := strings.TrimSpace(spelled)
	if strings.HasPrefix(id, "{") && strings.HasSuffix(id, "}") {
		id = id[1 : len(id)-1]
	}
	if strings.HasPrefix(id, "emc") {
		id = "EMC" + id[3:]
	}
	return id
}

// session finds a session by any spelling, or begins it.
func (c *check) session(id string) *session {
	if s := c.byName[id]; s != nil {
		return s
	}
	folded := strings.ToUpper(meant(id))
	s := c.byName[folded]
	if s == nil {
		s = &session{}
		c.byName[folded] = s
		c.sessions = append(c.sessions, s)
	}
	c.byName[id] = s
	return s
}

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
	for i, v := range all {
		all[i] = c.masked(v)
	}
	slices.SortFunc(all, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Job, b.Job), cmp.Compare(a.Why, b.Why))
	})
	return all
}

func since(t time.Time) string { return t.UTC().Format("15:04:05.000") }

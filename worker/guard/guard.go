// Package guard decides whether a job may be worked, by how many sessions and people it, and its publisher within an
// hour, name. One that names more is held: nothing is sent for it until somebody else than its publisher has approved
// it.
//
// A [Guard] judges the jobs that a worker pulled together ([Guard.Judge]). What one job may name is known from the job.
// What its publisher has named within the hour is counted for all workers of the deployment, with one addition for each
// publisher (hour.go). A job on a subject of approved jobs is compared with the result of the one that was held
// (approved.go).
//
// It guarantees that
//   - a job on a plain subject is never taken for one that was approved, whatever its headers say;
//   - an approved job is worked only if the result that its header names, in a stream that workers alone write, says
//     that the same bytes were held in the same lane, for another publisher than who approves, and no other job that
//     was approved by that result has been worked;
//   - no publisher has more sessions and people worked without approval, within any hour by the clock of the NATS
//     server, than the settings allow. Jobs that come again before they are settled may be counted again, so that
//     rather too much is held than too little;
//   - where a count or a result cannot be read now, the verdict is that it is not known. Nobody passes for that reason.
//
// Who a publisher and who an approver is, the subjects say, and rights in NATS have to see to it: the guard tells apart
// no two people who may publish on the same subjects. It knows a job's numbers and bytes, and no delivery.
package guard

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"sync"
	"time"

	"logoffworker/jobs"
)

// A Config says what is held; 0 holds nothing.
type Config struct {
	Subjects jobs.Subjects
	// AboveJob is how many sessions and people together one job may name.
	AboveJob int
	// AboveHour is how many all jobs of one publisher may name within an hour.
	AboveHour int
}

// A Job is what the guard knows of one.
type Job struct {
	Subject          string // on which it was published
	Held             string // its header [Header]
	Key              string // see [jobs.Key]
	Lane             jobs.Lane
	Publisher        string // as the subject names it
	Payload          []byte
	Sessions, People int       // that it names
	Received         time.Time // by this worker
}

// Header names the result of the job that was held, in the message of the one that is approved.
const Header = "Logoff-Held"

// A Verdict says what is to become of a job. The zero value lets it be worked.
type Verdict struct {
	// Held says in words why the job is held, Refused why it is not what was approved.
	Held, Refused string
	// Unknown is why it cannot be told now; the job has to wait, and to be judged again.
	Unknown error
	// Publisher, Approves and ApprovedBy are, of a job that was approved, who published it, the subject of its result
	// when it was held, and who approved it.
	Publisher, Approves, ApprovedBy string

	hash string
}

// Passes reports whether the job may be worked.
func (v Verdict) Passes() bool { return v.Held == "" && v.Refused == "" && v.Unknown == nil }

// Mark writes the verdict into a job's result.
func (v Verdict) Mark(r *jobs.Result) {
	switch {
	case v.Held != "":
		r.Status, r.HeldSHA256 = jobs.Held, v.hash
		if r.Error != "" {
			r.Error = "; " + r.Error
		}
		r.Error = v.Held + r.Error
	case v.Refused != "":
		r.Status, r.Error = jobs.Invalid, v.Refused
	}
	r.Approves, r.ApprovedBy = v.Approves, v.ApprovedBy
}

// Count adds n to what is counted for all workers, and returns the sum of the last hour, n included; an n of 0 only asks.
type Count func(ctx context.Context, what string, n int64) (within int64, err error)

// Results reads the result on a subject; nil without an error when there is none.
type Results func(ctx context.Context, subject string) (*jobs.Result, error)

// Later reads the results of the same job id that were stored after the one on a subject, in their order, until read
// has seen enough and returns false.
type Later func(ctx context.Context, subject string, read func(subject string, r *jobs.Result) bool) error

// A Guard judges the jobs of one worker. Its methods may be called concurrently.
type Guard struct {
	config  Config
	count   Count
	results Results
	later   Later

	mu   sync.Mutex
	over map[string]bool // publishers who had named too many when it was last counted
}

// New returns a guard, which asks nothing until it judges.
func New(config Config, count Count, results Results, later Later) *Guard {
	return &Guard{config: config, count: count, results: results, later: later, over: map[string]bool{}}
}

// Judge returns a verdict for each job, in their order.
func (g *Guard) Judge(ctx context.Context, all []Job) []Verdict {
	verdicts := make([]Verdict, len(all))
	byPublisher := map[string][]int{}
	for i, job := range all {
		_, approver, approved := g.config.Subjects.Approver(job.Subject)
		switch {
		case approved:
			verdicts[i] = g.compare(ctx, job, approver)
		case g.config.AboveJob > 0 && job.size() > g.config.AboveJob:
			verdicts[i] = job.held("more than the " + thousands(g.config.AboveJob) + " that one job may name")
		case g.config.AboveHour > 0 && job.size() > 0:
			byPublisher[job.Publisher] = append(byPublisher[job.Publisher], i)
		}
	}
	for publisher, of := range byPublisher {
		g.judgeHour(ctx, publisher, all, of, verdicts)
	}
	return verdicts
}

func (j Job) size() int { return j.Sessions + j.People }

// held is the verdict on a job that names too much, for a reason in words.
func (j Job) held(why string) Verdict {
	who := j.Publisher
	if who == "" {
		who = "its publisher"
	}
	hash := sha256.Sum256(j.Payload)
	return Verdict{
		Held: fmt.Sprintf("%s, %s; somebody else than %s may approve it: logoffctl approve %s", j.named(), why, who, j.Key),
		hash: hex.EncodeToString(hash[:]),
	}
}

// named is what a job names, in words.
func (j Job) named() string {
	switch {
	case j.Sessions == 0:
		return plural(j.People, "person", "people")
	case j.People == 0:
		return plural(j.Sessions, "session", "sessions")
	}
	return plural(j.Sessions, "session", "sessions") + " and " + plural(j.People, "person", "people")
}

func plural(n int, one, more string) string {
	if n == 1 {
		more = one
	}
	return thousands(n) + " " + more
}

// thousands is a number as people write it.
func thousands(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

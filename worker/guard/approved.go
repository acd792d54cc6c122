package guard

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"logoffworker/jobs"
)

// lag is how long a copy of the stream of results may lack one that another copy has: only after that is a result said
// not to be there.
const lag = 5 * time.Second

var errNotThere = errors.New("the result of the job that was held is not there yet")

// compare judges a job that somebody approved by the result of the one that was held.
func (g *Guard) compare(ctx context.Context, job Job, approver string) Verdict {
	v := Verdict{ApprovedBy: approver}
	if _, _, ok := g.config.Subjects.ResultOf(job.Held); !ok {
		v.Refused = fmt.Sprintf("it was published as approved, and its header %s does not name the result of a job that was held", Header)
		return v
	}
	held, err := g.results(ctx, job.Held)
	if err == nil && held == nil && time.Since(job.Received) < lag {
		err = errNotThere
	}
	if err != nil {
		v.Unknown = fmt.Errorf("the result of the job that was approved cannot be read: %w", err)
		return v
	}
	v.Approves = job.Held
	if held != nil {
		v.Publisher = held.Publisher
	}
	if v.Refused = refusal(job, approver, held); v.Refused == "" {
		v.Refused, v.Unknown = g.before(ctx, job)
	}
	return v
}

// before says in words that a job was approved, and worked, before; it is empty if it was not. NATS refuses the same
// approval for two minutes, and logoffctl does not publish it again after that: this is for all others.
func (g *Guard) before(ctx context.Context, job Job) (refused string, err error) {
	err = g.later(ctx, job.Held, func(subject string, r *jobs.Result) bool {
		_, key, _ := g.config.Subjects.ResultOf(subject)
		if r.Approves == job.Held && r.Status != jobs.Invalid && key != job.Key {
			refused = fmt.Sprintf("what was held was approved by %s before, and worked: its result is %s", r.ApprovedBy, subject)
		}
		return refused == ""
	})
	if err != nil {
		return "", fmt.Errorf("whether the job was approved before cannot be found out: %w", err)
	}
	return refused, nil
}

// refusal says in words why a job is not what was held, or not for this approver to approve; it is empty if it is.
func refusal(job Job, approver string, held *jobs.Result) string {
	hash := sha256.Sum256(job.Payload)
	switch {
	case held == nil:
		return "it was published as approved, and there is no result " + job.Held + " of a job that was held"
	case held.Status != jobs.Held:
		return fmt.Sprintf("it was published as approved, and the job that it names is not held, but %s", held.Status)
	case held.Lane != job.Lane:
		return fmt.Sprintf("it was approved for the %s lane, and the job was held in the %s lane", job.Lane, held.Lane)
	case held.Publisher == approver:
		return fmt.Sprintf("%s published the job that was held, so that somebody else has to approve it", approver)
	case held.HeldSHA256 != hex.EncodeToString(hash[:]):
		return "what was approved is not what was held: the payloads differ"
	}
	return ""
}

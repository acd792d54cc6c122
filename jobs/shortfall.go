package jobs

import (
	"fmt"
	"strings"
)

// longestCause is how much of a cause is told among others.
const longestCause = 160

// Shortfall says in one line what was not done of a job, with the first cause of each kind, and then the
// result's own words, if it has some: "2 of 70 sessions not ended: 1 rejected (404 Not Found: Invalid
// session), 1 undecided". It is empty for a job of which everything was done and nothing is to be said.
func (r *Result) Shortfall() string {
	if r.Status == Held {
		return r.Error // nothing of it was begun
	}
	var sentences []string
	if left, kinds := r.sessionsLeft(); left > 0 {
		sentences = append(sentences, fmt.Sprintf("%d of %d sessions not ended: %s", left, r.sessions(), kinds))
	}
	if r.UsersLeft > 0 {
		sentences = append(sentences, fmt.Sprintf("%d of %d users not known to be off: %s", r.UsersLeft, len(r.Users), r.usersLeft()))
	}
	if r.Error != "" {
		sentences = append(sentences, r.Error)
	}
	return strings.Join(sentences, "; ")
}

// sessions is how many there are; the counts also know of those that were left out.
func (r *Result) sessions() (n int) {
	for _, count := range r.Counts {
		n += count
	}
	return n
}

func (r *Result) sessionsLeft() (left int, kinds string) {
	var told tally
	for _, outcome := range Outcomes {
		n := r.Counts[outcome]
		if outcome.Success() || n == 0 {
			continue
		}
		left += n
		cause := ""
		for _, s := range r.Sessions {
			if cause = s.ServerText + s.Error; s.Outcome == outcome && cause != "" {
				break
			}
			cause = ""
		}
		told.add(n, string(outcome), cause)
	}
	return left, told.String()
}

func (r *Result) usersLeft() string {
	var told tally
	for _, outcome := range UserOutcomes {
		if outcome.Success() {
			continue
		}
		n, cause := 0, ""
		for _, u := range r.Users {
			if u.Outcome == outcome {
				n++
				if cause == "" {
					cause = u.Error
				}
			}
		}
		told.add(n, string(outcome), cause)
	}
	return told.String()
}

// A tally lists how many there are of each kind, and why.
type tally []string

func (t *tally) add(n int, kind, cause string) {
	if n == 0 {
		return
	}
	words := fmt.Sprintf("%d %s", n, strings.ReplaceAll(kind, "_", " "))
	if cause != "" {
		words += " (" + escape(cause, longestCause) + ")"
	}
	*t = append(*t, words)
}

func (t tally) String() string { return strings.Join(t, ", ") }

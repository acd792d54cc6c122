package statuspage

import (
	"fmt"
	"slices"
	"time"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

// A todo is something that waits for a person.
type todo struct {
	What, ToDo, Command string
	Tone                tone
}

// renewalNotice is how long before a person has to make a new access token the page says so.
const renewalNotice = 14 * 24 * time.Hour

// person is what waits for a person, beside what the headline says.
func (v *view) person() (all []todo) {
	for _, c := range v.others() {
		if forPerson(c) {
			all = append(all, todo{metrics.Sentence(c.What), c.ToDo, c.Command, worse(of(c), wait)})
		}
	}
	if until, known := v.now.numbers.sum("logoff_token_renewable_until_timestamp_seconds"); known {
		if left := time.Unix(int64(until), 0).Sub(v.now.at); left < renewalNotice {
			all = append(all, todo{What: "The access token can be renewed for another " + lasting(left) + ".", ToDo: "make a new one, and put it in the place of the old", Tone: wait})
		}
	}
	present := v.now.numbers.by("logoff_dead_letters_present", "reason")
	for _, reason := range jobs.Statuses {
		if n := present[string(reason)]; n > 0 {
			all = append(all, v.deadLetters(reason, n))
		}
	}
	return all
}

// forPerson reports whether a condition waits for a person.
func forPerson(c metrics.Condition) bool {
	return c.Grave && !c.Harmless || c.ToDo != "" || c.Command != ""
}

// meanings say what is left to do of a dead letter, by its reason.
var meanings = map[jobs.Status]string{
	jobs.Partial:    "some of their sessions or users may still be on",
	jobs.Failed:     "none of their sessions or users is known to be off",
	jobs.ExpiredJob: "their deadline passed before they could be sent",
	jobs.Invalid:    "they could not be read",
	jobs.Held:       "they name more than may be ended without somebody's approval, and nothing was sent",
}

// afterReading says what to do about a dead letter, by its reason.
var afterReading = map[jobs.Status]string{
	jobs.Partial:    replayOrDrop,
	jobs.Failed:     replayOrDrop,
	jobs.ExpiredJob: "read the latest, ask its publisher, and drop it (logoffctl dead drop)",
	jobs.Invalid:    "read the latest, tell its publisher where it is wrong, and drop it (logoffctl dead drop)",
	jobs.Held:       "read the latest, and have somebody else than its publisher approve it (logoffctl approve) or deny it (logoffctl deny)",
}

const replayOrDrop = "read the latest; when its cause is mended, have it done (logoffctl dead replay), or drop it (logoffctl dead drop)"

func (v *view) deadLetters(reason jobs.Status, n float64) todo {
	subjects := v.config.Subjects
	return todo{
		What:    fmt.Sprintf("%s %s: %s.", counted(n, "dead letter is", "dead letters are"), reason, meanings[reason]),
		ToDo:    afterReading[reason],
		Command: fmt.Sprintf("nats stream get %s --last-for %s", subjects.DeadStream(), subjects.Dead(reason)),
		Tone:    wait,
	}
}

// others are the conditions that the headline does not tell of.
func (v *view) others() (all []metrics.Condition) {
	for _, p := range v.now.verdict.Parts {
		for _, c := range p.Conditions {
			if metrics.Sentence(c.What) != v.now.verdict.Headline {
				all = append(all, c)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b metrics.Condition) int { return severity[of(b)] - severity[of(a)] })
	return all
}

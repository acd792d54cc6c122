package tokens

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"logoffworker/metrics"
)

const (
	// failuresToTell is how many failures in a row are a problem. The pair is renewed early enough for
	// some.
	failuresToTell = 3
	// warnBefore is how long before the end of renewing operators are warned, and warnAgain how often.
	warnBefore = 14 * 24 * time.Hour
	warnAgain  = 24 * time.Hour
)

// remedy is what a person does about a pair that is of no use any more.
const remedy = "make a new access token and put it into the pair file"

// tell says in health and log how the pair is.
func (k *Keeper) tell(err error) {
	k.warnOfTheEnd()
	c := k.problem(err)
	k.c.Health.Only(Part, c.Kind)
	if c.Kind != "" {
		c.Part = Part
		k.c.Health.Begin(c)
	}
}

// problem is what is wrong with the pair; a condition of no kind when nothing is.
func (k *Keeper) problem(err error) metrics.Condition {
	r := k.record
	switch {
	case errors.Is(err, errSealed), errors.Is(err, errNoRecord):
		return metrics.Condition{Kind: "no_pair", What: strings.ReplaceAll(err.Error(), "\n", ": "), Grave: true}
	case err != nil:
		return metrics.Condition{Kind: "unseen", What: "the stored pair cannot be looked at: " + err.Error()}
	case r.State == lost:
		return metrics.Condition{
			Kind: "lost", ToDo: remedy, Grave: true,
			What: fmt.Sprintf("the pair may be lost, and presenting it again could revoke it: a renewal has no known outcome (%s). Until %s the old access token may still work; %s", r.Why, expiry(r), remedy),
		}
	case r.State == dead:
		return metrics.Condition{
			Kind: "refused", ToDo: remedy, Grave: true,
			What: fmt.Sprintf("the Web Server refuses to renew the access token (%s). Until %s it may still work; %s", r.Why, expiry(r), remedy),
		}
	case k.trouble != nil && max(k.failures, r.Failures) >= failuresToTell:
		return metrics.Condition{
			Kind: "not_renewed",
			What: fmt.Sprintf("the access token, which ends at %s, could not be renewed %d times, and this worker keeps trying: %v", expiry(r), max(k.failures, r.Failures), k.trouble),
		}
	case r.Failures >= failuresToTell:
		return metrics.Condition{
			Kind: "not_renewed",
			What: fmt.Sprintf("other workers could not renew the access token, which ends at %s, and they keep trying", expiry(r)),
		}
	}
	return metrics.Condition{}
}

// sayUnstored tells of an outcome that is in memory alone.
func (k *Keeper) sayUnstored(err error, precious bool) {
	c := metrics.Condition{Part: Part, Kind: "unstored", Grave: true, What: "the outcome of a renewal cannot be stored, and this worker keeps trying: " + err.Error()}
	if precious {
		c.What = "the renewed pair cannot be stored, and it is tried again; do not stop this worker, because it alone has the pair: " + err.Error()
		c.ToDo = "mend NATS, and do not stop this worker"
		k.c.Metrics.Unstored()
	}
	k.c.Health.Only(Part, c.Kind)
	k.c.Health.Begin(c)
}

// warnOfTheEnd warns when the pair cannot be renewed for much longer.
func (k *Keeper) warnOfTheEnd() {
	until := k.record.Pair.RenewableUntil
	if !k.known || until.IsZero() || time.Until(until) > warnBefore || time.Since(k.warned) < warnAgain {
		return
	}
	k.warned = time.Now()
	k.c.Log.Warn("access token: it can be renewed for not much longer; "+remedy, "renewable_until", when(until))
}

func fileProblem(err error) error { return fmt.Errorf("the pair file: %w", err) }

func when(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// expiry is when the access token ends, as far as that is known.
func expiry(r record) string {
	if r.Pair.Expires.IsZero() {
		return "a time that is not known"
	}
	return when(r.Pair.Expires)
}

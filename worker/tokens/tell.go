package tokens

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"logoffworker/metrics"
	"logoffworker/worker/webserver"
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

// What else operators are told.
const (
	ends         = "nothing renews it any more; when the access token ends, jobs wait in the stream until there is a new pair"
	triedAgain   = "a worker tries again, and the access token is good until then"
	lookAtServer = "if it lasts, look at the Web Server, and at what stands in front of it"
)

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
	case errors.Is(err, errSealed), errors.Is(err, ErrNothingStored):
		return metrics.Condition{
			Kind: "no_pair", What: strings.ReplaceAll(err.Error(), "\n", ": "), Grave: true,
			ByItself: "the worker looks again every 15 seconds; it cannot reach the Web Server without a pair",
			ToDo:     "put a pair into the pair file, or give this worker the same key file as the others", Command: metrics.CheckCommand,
		}
	case err != nil:
		return metrics.Condition{
			Kind: "unseen", What: "the stored pair cannot be looked at: " + err.Error(),
			ByItself: "the worker looks again every 15 seconds, and uses the access token that it has as long as it is good",
			ToDo:     "if it lasts, look at NATS, and at the bucket of the pair",
		}
	case r.State == lost:
		return metrics.Condition{
			Kind: "lost", ByItself: ends, ToDo: remedy, Grave: true,
			What: fmt.Sprintf("the pair may be lost, and presenting it again could revoke it: a renewal has no known outcome (%s). Until %s the old access token may still work; %s", r.Why, expiry(r), remedy),
		}
	case r.State == dead:
		return metrics.Condition{
			Kind: "refused", ByItself: ends, ToDo: remedy, Grave: true,
			What: fmt.Sprintf("the Web Server refuses to renew the access token (%s). Until %s it may still work; %s", r.Why, expiry(r), remedy),
		}
	case k.trouble != nil && max(k.failures, r.Failures) >= failuresToTell:
		return metrics.Condition{
			Kind: "not_renewed", ByItself: triedAgain, ToDo: lookAtServer, Command: metrics.CheckCommand, Through: webserver.Part,
			What: fmt.Sprintf("the access token, which ends at %s, could not be renewed %d times, and this worker keeps trying: %v", expiry(r), max(k.failures, r.Failures), k.trouble),
		}
	case r.Failures >= failuresToTell:
		return metrics.Condition{
			Kind: "not_renewed", ByItself: triedAgain, ToDo: lookAtServer, Command: metrics.CheckCommand, Through: webserver.Part,
			What: fmt.Sprintf("other workers could not renew the access token, which ends at %s, and they keep trying", expiry(r)),
		}
	}
	return metrics.Condition{}
}

// sayUnstored tells of an outcome that is in memory alone.
func (k *Keeper) sayUnstored(err error, precious bool) {
	c := metrics.Condition{
		Part: Part, Kind: "unstored", Grave: true,
		What:     "the outcome of a renewal cannot be stored, and this worker keeps trying: " + err.Error(),
		ByItself: "it is stored as soon as NATS takes it", ToDo: "mend NATS",
	}
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
	if until.IsZero() || time.Until(until) > warnBefore || time.Since(k.warned) < warnAgain {
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

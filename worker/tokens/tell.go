package tokens

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
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

// tell says in health and log how the pair is, a new problem once.
func (k *Keeper) tell(err error) {
	k.warnOfTheEnd()
	words, level := k.problem(err)
	if words == "" {
		k.c.Health.Well(Part)
		return
	}
	if k.c.Health.Problem(Part, words) {
		k.c.Log.Log(context.Background(), level, "access token: "+words)
	}
}

func (k *Keeper) problem(err error) (string, slog.Level) {
	r := k.record
	switch {
	case errors.Is(err, errSealed), errors.Is(err, errNoRecord):
		return strings.ReplaceAll(err.Error(), "\n", ": "), slog.LevelError
	case err != nil:
		return "the stored pair cannot be looked at: " + err.Error(), slog.LevelWarn
	case r.State == lost:
		return fmt.Sprintf("the pair may be lost, and presenting it again could revoke it: a renewal has no known outcome (%s). Until %s the old access token may still work; %s",
			r.Why, expiry(r), remedy), slog.LevelError
	case r.State == dead:
		return fmt.Sprintf("the Web Server refuses to renew the access token (%s). Until %s it may still work; %s", r.Why, expiry(r), remedy), slog.LevelError
	case k.trouble != nil && max(k.failures, r.Failures) >= failuresToTell:
		return fmt.Sprintf("the access token, which ends at %s, could not be renewed %d times, trying on: %v", expiry(r), max(k.failures, r.Failures), k.trouble), slog.LevelWarn
	case r.Failures >= failuresToTell:
		return fmt.Sprintf("other workers could not renew the access token, which ends at %s, trying on", expiry(r)), slog.LevelWarn
	}
	return "", 0
}

// sayUnstored tells of an outcome that is in memory alone.
func (k *Keeper) sayUnstored(err error, precious bool) {
	words := "the outcome of a renewal cannot be stored, trying on: " + err.Error()
	if precious {
		words = "the renewed pair cannot be stored, trying on; do not stop this worker, it alone has the pair: " + err.Error()
		k.c.Metrics.Unstored()
	}
	if k.c.Health.Problem(Part, words) {
		k.c.Log.Error("access token: " + words)
	}
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

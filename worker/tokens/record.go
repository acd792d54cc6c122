package tokens

import (
	"log/slog"
	"slices"
	"time"
)

// A state says what is known of the stored pair.
type state string

const (
	good     state = "good"     // it can be used and renewed
	renewing state = "renewing" // somebody presents it, or died while doing so
	lost     state = "lost"     // it was presented and nobody knows what came of it: it must not be presented again
	dead     state = "dead"     // the Web Server refused to renew it for good
)

// A record is what the fleet shares: the pair, and whether anybody may present it.
type record struct {
	Pair pair `json:"pair"`
	// Seeds are fingerprints of the pairs that operators gave, the one that this chain began with last.
	Seeds []string `json:"seeds"`
	// Renewals counts the rotations since the seed, Writes the changes of the record. Both tell a later
	// record from an earlier one where NATS lost what it had stored.
	Renewals int       `json:"renewals"`
	Writes   int       `json:"writes"`
	Issued   time.Time `json:"issued"` // when the pair was got, by the clock of whoever got it
	State    state     `json:"state"`

	// Intent names a renewal, By who makes it, Instance that one's process, Since when. They remain while
	// nothing is known of its outcome.
	Intent   string    `json:"intent,omitzero"`
	By       string    `json:"by,omitzero"`
	Instance string    `json:"instance,omitzero"`
	Since    time.Time `json:"since,omitzero"`
	Why      string    `json:"why,omitzero"` // it is lost or dead

	NotBefore time.Time `json:"notBefore,omitzero"` // nobody presents the pair earlier
	Remade    time.Time `json:"remade,omitzero"`    // when a replica mended what NATS had lost: nobody presents a pair for a while
	Failures  int       `json:"failures,omitzero"`  // renewals in a row that were turned away
}

// LogValue keeps the tokens out of logs.
func (r record) LogValue() slog.Value { return r.Pair.LogValue() }

const (
	// assumedLife is that of an access token whose expiry is not known: the shortest documented.
	assumedLife = 30 * time.Minute
	// minLife is the shortest life that is believed. A shorter one shows that a clock is wrong, and
	// would make the fleet renew without end.
	minLife = 2 * time.Minute
	// shareOfJitter is the part of a life over which the replicas' renewals spread, so that one is
	// first and the others find it done.
	shareOfJitter = 12
)

func (r record) seed() string { return r.Seeds[len(r.Seeds)-1] }

// life is how long the access token lives from its issue.
func (r record) life() time.Duration {
	if life := r.Pair.Expires.Sub(r.Issued); life >= minLife {
		return life
	}
	return assumedLife
}

// due is when the pair is to be renewed by a replica with this jitter, from 0 to 1: at two thirds of
// its life and a bit, which leaves time for failures.
func (r record) due(jitter float64) time.Time {
	if r.Renewals == 0 && r.Pair.Expires.Sub(r.Issued) < minLife {
		return r.Issued // a pair from a file, of unknown age or expired
	}
	return r.Issued.Add(r.life()*2/3 + time.Duration(jitter*float64(r.life()/shareOfJitter)))
}

// outdates reports whether r is later than another record of the same bucket. It is for the case that
// NATS has lost the later one: what a replica remembers then counts.
func (r record) outdates(other record) bool {
	switch {
	case r.seed() != other.seed():
		return slices.Contains(r.Seeds, other.seed())
	case r.Renewals != other.Renewals:
		return r.Renewals > other.Renewals
	}
	return r.Writes > other.Writes
}

// maxSeeds bounds the seeds that are remembered. An older one in a file would count as new.
const maxSeeds = 100

// seeded is the record of a pair that an operator gave, in place of an earlier record if there is one.
func seeded(p pair, fingerprint string, earlier record, now time.Time) record {
	seeds := append(slices.Clone(earlier.Seeds), fingerprint)
	return record{Pair: p, Seeds: seeds[max(0, len(seeds)-maxSeeds):], Writes: earlier.Writes + 1, Issued: now, State: good, Remade: earlier.Remade}
}

// intended is r while somebody presents its pair.
func (r record) intended(intent, by, instance string, now time.Time) record {
	r.State, r.Intent, r.By, r.Instance, r.Since = renewing, intent, by, instance, now
	r.Writes++
	return r
}

// renewed is r with the next pair.
func (r record) renewed(p pair, now time.Time) record {
	return record{Pair: p, Seeds: r.Seeds, Renewals: r.Renewals + 1, Writes: r.Writes + 1, Issued: now, State: good}
}

// remade is r where a replica stores again what NATS had lost.
func (r record) remade(now time.Time) record {
	r.Writes++
	r.Remade = now
	return r
}

// takenBack is r where the pair was certainly not presented, or turned away.
func (r record) takenBack() record {
	r.State, r.Intent, r.By, r.Instance, r.Since, r.Why = good, "", "", "", time.Time{}, ""
	r.Writes++
	return r
}

// turnedAway is r after a renewal that failed and may be tried again after a wait.
func (r record) turnedAway(now time.Time, wait time.Duration) record {
	r = r.takenBack()
	r.Failures++
	r.NotBefore = now.Add(max(wait, backoff(r.Failures)))
	return r
}

// ended is r where the pair cannot be renewed any more.
func (r record) ended(s state, why string) record {
	r.State, r.Why = s, why
	r.Writes++
	return r
}

// backoff is the wait after a number of failed renewals in a row: 10 seconds, and up to 5 minutes.
func backoff(failures int) time.Duration {
	return min(10*time.Second<<min(max(failures-1, 0), 5), 5*time.Minute)
}

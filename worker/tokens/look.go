package tokens

import (
	"context"
	"errors"
	"slices"
	"time"
)

// restAfterLoss is how long no pair is presented after a record was put into an empty bucket, or in place of
// an earlier one, not even a pair that looks new: the replicas that remember a later one come first.
const restAfterLoss = 2 * lookInterval

// look takes over what is stored, and mends it where this replica knows better.
func (k *Keeper) look(ctx context.Context) error {
	for tries := 0; ; tries++ {
		stored, revision, err := k.store.read(ctx)
		if err != nil && !errors.Is(err, ErrNothingStored) {
			return err
		}
		next, why, err := k.better(stored, err != nil)
		if err != nil {
			return err
		}
		if why == "" {
			k.adopt(stored, revision)
			k.born = k.store.born
			return nil
		}
		switch _, err = k.store.write(ctx, next, revision); {
		case err == nil:
			k.c.Log.Info("access token: " + why)
			tries = 0 // and read it again: the bucket may have been made anew just before
		case !errors.Is(err, errConflict):
			return err
		case tries == 2 && k.known:
			return nil // what was read was old news; the next look sees better
		case tries == 2:
			return err
		}
	}
}

// better returns what should be stored instead of what is, and why; without a reason all is well.
func (k *Keeper) better(stored record, missing bool) (next record, why string, err error) {
	given, fileErr := readPair(k.c.PairFile)
	fingerprint := k.c.Key.fingerprint(given)
	now := time.Now()
	switch {
	case missing && k.known:
		return k.record.remade(now), "the stored pair had gone; this worker remembered it", nil
	case missing && fileErr != nil:
		return record{}, "", errors.Join(ErrNothingStored, fileProblem(fileErr))
	case missing:
		next := seeded(given, fingerprint, record{}, now)
		next.Remade = now
		return next, "the pair of the pair file is stored", nil
	case k.known && k.record.outdates(stored):
		return k.record.remade(now), "an earlier pair was stored than this worker remembers, as after a loss of data in NATS; it is put right", nil
	case k.known && !k.store.born.Equal(k.born) && now.Sub(stored.Remade) >= restAfterLoss:
		return stored.remade(now), "the bucket was made anew; nothing is presented for a while", nil
	case fileErr == nil && !slices.Contains(stored.Seeds, fingerprint):
		return seeded(given, fingerprint, stored, now), "the pair file holds a new pair, which takes the place of the stored one", nil
	}
	k.noteFile(fileErr, stored.seed() != fingerprint)
	if stored.State != renewing {
		k.watched = ""
		return record{}, "", nil
	}
	if stored.Instance == k.instance {
		// Whoever looks is not renewing: this was stored when NATS seemed to have failed.
		return stored.takenBack(), "an intent to renew that was not followed is taken back", nil
	}
	if k.watched != stored.Intent {
		k.watched, k.watchedFor = stored.Intent, now
	}
	if now.Sub(k.watchedFor) >= k.answerTime() {
		return stored.ended(lost, "worker "+stored.By+" began at "+when(stored.Since)+" and told no outcome; it probably died"),
			"a renewal has told no outcome for too long: the pair counts as lost", nil
	}
	return record{}, "", nil
}

// answerTime is how long the outcome of another replica's renewal is waited for: its two calls, and
// time to store. It tells even later, too, and is believed then.
func (k *Keeper) answerTime() time.Duration {
	call := k.c.WebServer.Timeout
	if call <= 0 {
		call = 30 * time.Second
	}
	return 2*call + time.Minute
}

// noteFile tells once of a pair file that is of no use.
func (k *Keeper) noteFile(err error, old bool) {
	useless := err != nil || old
	if useless && !k.oldFile {
		if err != nil {
			k.c.Log.Warn("access token: the pair file is of no use; the stored pair is used", "error", err)
		} else {
			k.c.Log.Warn("access token: the pair file holds a pair that another has replaced since; the stored pair is used")
		}
	}
	k.oldFile = useless
}

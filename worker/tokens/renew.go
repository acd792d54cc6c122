package tokens

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"logoffworker/worker/webserver"
)

// renew has the pair renewed, if nobody else does. Whatever it begins it brings to an end: ctx only
// says that nothing new is to be begun.
func (k *Keeper) renew(ctx context.Context) {
	client, err := k.client(k.record.Pair.Access)
	if err != nil {
		k.restAfter(err, 0)
		return
	}
	defer client.CloseIdle()
	if err := well(client.Ping(ctx)); err != nil {
		k.restAfter(err, err.RetryAfter)
		return
	}
	k.reach(BeforeIntent)
	intent := k.record.intended(rand.Text(), k.c.Name, k.instance, time.Now())
	revision, err := k.store.write(ctx, intent, k.revision)
	switch {
	case errors.Is(err, errConflict): // another replica was first; who waits for a token waits for that one
		if err := k.look(ctx); err != nil {
			k.restAfter(err, 0)
		}
		return
	case err != nil:
		k.restAfter(err, 0) // if it was stored all the same, the next look takes it back
		return
	}
	if err := k.confirm(ctx, revision); err != nil {
		k.restAfter(err, 0)
		return
	}
	k.adopt(intent, revision)
	k.reach(AfterIntent)
	renewed, err := client.RenewPair(context.WithoutCancel(ctx), webserver.Pair(intent.Pair))
	k.reach(AfterCall)
	k.conclude(ctx, k.outcome(intent, pair(renewed), err))
	k.reach(AfterStore)
}

// confirm is nil if an intent was stored in the very bucket that the pair was read from.
func (k *Keeper) confirm(ctx context.Context, intent uint64) error {
	_, revision, err := k.store.read(ctx)
	if err == nil && (revision != intent || !k.store.born.Equal(k.born)) {
		err = errors.New("the bucket was made anew in the meantime")
	}
	return err
}

// restAfter puts off this replica's next try: nothing was presented.
func (k *Keeper) restAfter(err error, wait time.Duration) {
	k.failures++
	k.trouble = err
	k.resting = time.Now().Add(max(wait, backoff(k.failures)))
}

// well is nil when a harmless call shows that the Web Server is well enough to answer a renewal. An
// access token that has expired, or may not ask that question, is no obstacle.
func well(err error) *webserver.Error {
	var e *webserver.Error
	if !errors.As(err, &e) {
		return nil
	}
	switch {
	case e.Verdict == webserver.Unauthorized:
		return nil
	case (e.Verdict == webserver.Forbidden || e.Verdict == webserver.NotFound) && !e.Page:
		return nil
	}
	return e
}

// outcome is what a renewal made of the record.
func (k *Keeper) outcome(intent record, renewed pair, err error) record {
	now := time.Now()
	var e *webserver.Error
	switch errors.As(err, &e); {
	case err == nil:
		k.c.Metrics.Renewed("renewed")
		return intent.renewed(renewed, now)
	case e == nil || e.Sent:
		k.c.Metrics.Renewed("lost")
		return intent.ended(lost, "worker "+k.c.Name+" got no answer at "+when(now)+": "+err.Error())
	case e.Verdict == webserver.LoginRejected:
		k.c.Metrics.Renewed("refused")
		return intent.ended(dead, e.Error())
	}
	k.c.Metrics.Renewed("turned_away")
	k.trouble = err
	return intent.turnedAway(now, e.RetryAfter)
}

const (
	// useUnstored is after how long a new access token is used although it cannot be stored. Using it
	// risks nothing: what would lose the pair is the end of this process, used or not.
	useUnstored = time.Minute
	// stopUnstored is how long a stop waits for an outcome to be stored.
	stopUnstored = 20 * time.Second
)

// conclude stores the outcome of our own renewal, for as long as it takes: with a new pair, it is the
// only one there is.
func (k *Keeper) conclude(ctx context.Context, outcome record) {
	begun := time.Now()
	revision, err := k.store.write(context.WithoutCancel(ctx), outcome, k.revision)
	if err == nil {
		k.concluded(outcome, revision)
		return
	}
	stopping := make(<-chan time.Time) // never, until ctx ends
	stop := ctx.Done()
	for {
		k.sayUnstored(err, outcome.State == good)
		if outcome.State == good && time.Since(begun) >= useUnstored {
			k.use(outcome.Pair.Access)
		}
		select {
		case <-time.After(retryInterval):
		case <-stop:
			stop, stopping = nil, time.After(stopUnstored)
		case <-stopping:
			k.c.Log.Error("access token: stopped before the outcome of a renewal was stored; unless another worker knows it, a new access token has to be made", "error", err)
			return
		}
		var stored record
		if stored, revision, err = k.settle(context.WithoutCancel(ctx), outcome); err == nil {
			k.concluded(stored, revision)
			return
		}
	}
}

// settle stores an outcome where the bucket still waits for it, and returns what is stored then.
func (k *Keeper) settle(ctx context.Context, outcome record) (record, uint64, error) {
	stored, revision, err := k.store.read(ctx)
	switch {
	case errors.Is(err, ErrNothingStored):
	case err != nil:
		return record{}, 0, err
	case stored.Pair.Access == outcome.Pair.Access && stored.State == outcome.State: // an earlier try, whose answer did not come
		return stored, revision, nil
	case stored.Intent == k.record.Intent, outcome.outdates(stored):
		outcome.Writes = max(outcome.Writes, stored.Writes+1)
	default: // an operator has put another pair in its place
		return stored, revision, nil
	}
	revision, err = k.store.write(ctx, outcome, revision)
	return outcome, revision, err
}

func (k *Keeper) concluded(r record, revision uint64) {
	k.adopt(r, revision)
	if r.State == good && r.Failures == 0 {
		k.c.Log.Info("access token: it was renewed", "expires", when(r.Pair.Expires), "renewals", r.Renewals)
	}
}

package tokens

import (
	"errors"
	"time"
)

// patience is how long Token waits for a newer access token.
const patience = 10 * time.Second

// Token returns what to send in Authorization, for [webserver.Config.Token]. The client asks again only
// when it was refused; that leads to a look into the bucket, since the token that is known here may be
// 15 seconds old, and to a renewal where the refused one is the last. Token waits for that, at most 10
// seconds, and otherwise returns the one it knows.
func (k *Keeper) Token() (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.access == "" {
		return "", errors.New("no access token is known yet")
	}
	if k.given != "" {
		k.await(k.given)
	}
	k.given = k.access
	return "Bearer " + k.access, nil
}

// await waits, with the lock given up meanwhile, for a round, and while there is hope for another access
// token than the refused one.
func (k *Keeper) await(refused string) {
	k.refused, k.since = refused, time.Now()
	k.kicks++
	mine, before := k.kicks, k.access
	select {
	case k.kicked <- struct{}{}:
	default:
	}
	over := time.After(patience)
	for k.access == before && (k.served < mine || k.hope && before == refused) {
		changed := k.changed
		k.mu.Unlock()
		select {
		case <-changed:
			k.mu.Lock()
		case <-over:
			k.mu.Lock()
			return
		}
	}
}

// use makes an access token the one to be used.
func (k *Keeper) use(access string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.access == "" {
		close(k.first)
	}
	if k.access != access {
		k.access = access
		k.signal()
	}
}

// refusalMemory is how long a refusal counts. A client that goes on being refused asks again.
const refusalMemory = 30 * time.Second

func (k *Keeper) isRefused(access string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.refused == access && time.Since(k.since) < refusalMemory
}

// wanted is how many kicks there were when a round began.
func (k *Keeper) wanted() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.kicks
}

// roundEnded lets those go on who were waiting for a round, unless a renewal is under way.
func (k *Keeper) roundEnded(kicks int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.served = kicks
	k.hope = k.record.State == renewing
	k.signal()
}

func (k *Keeper) signal() {
	close(k.changed)
	k.changed = make(chan struct{})
}

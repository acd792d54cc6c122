package intake

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"logoffworker/metrics"
	"logoffworker/worker/gate"
	"logoffworker/worker/intake/ssf"
	"logoffworker/worker/issuers"
)

// silentGrace is how long an answer to the latest question may take.
const silentGrace = time.Minute

// clocks is by how much those of two machines may differ.
const clocks = 5 * time.Minute

// signs are when this program last heard of issuers.
type signs struct {
	mu    sync.Mutex
	heard map[sign]time.Time
}

// A sign is what was heard, and of whom.
type sign struct{ kind, issuer string }

// The kinds: any token that is verified, and one that says that its stream has changed. They begin keys of the bucket.
const (
	aliveSign   = "sign"
	updatedSign = "updated"
)

func (s sign) key() string { return s.kind + "." + key(s.issuer) }

// hear notes a sign. Each is later than the one before, however coarse the clock is, so that none is taken for told.
func (s *signs) hear(of sign) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := time.Now()
	if before := s.heard[of]; !at.After(before) {
		at = before.Add(time.Nanosecond)
	}
	s.heard[of] = at
}

func (s *signs) all() map[sign]time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.heard)
}

// tellSigns tells the other pollers what is heard here: who looks after a stream may be another than whom it is pushed to.
func (p *Poller) tellSigns(ctx context.Context) {
	told := map[sign]time.Time{}
	for gate.Pause(ctx, aliveLook) {
		kept := p.Issuers.File().Issuers
		for of, at := range p.signs.all() {
			isKept := slices.ContainsFunc(kept, func(i issuers.Issuer) bool { return i.Name == of.issuer && i.Stream != nil })
			if !isKept || !at.After(told[of]) {
				continue
			}
			err := p.shared.put(ctx, of.key(), []byte(at.UTC().Format(time.RFC3339)))
			if p.tellShared(ctx, of.issuer, err); err == nil {
				told[of] = at
			}
		}
	}
}

// heard is when the issuer was last heard of, by any of the pollers; zero if that is not known.
func (k *keeper) heard(ctx context.Context) time.Time {
	of := sign{aliveSign, k.name}
	at := k.p.signs.all()[of]
	entry, err := k.p.shared.get(ctx, of.key())
	var told time.Time
	if err == nil && entry != nil {
		told, err = readSign(entry)
	}
	k.p.tellShared(ctx, k.name, err)
	if told.After(at) {
		return told
	}
	return at
}

// heedUpdates has the stream looked at where a token has come, to whichever poller or receiver, that says that it has
// changed; seen is the latest that was heeded.
func (k *keeper) heedUpdates(ctx context.Context, seen *uint64) {
	entry, err := k.p.shared.get(ctx, sign{updatedSign, k.name}.key())
	k.p.tellShared(ctx, k.name, err)
	if entry != nil && entry.Revision() != *seen {
		*seen = entry.Revision()
		k.lookAgain()
	}
}

// watch asks for signs of life, and tells when none come, until ctx ends.
func (k *keeper) watch(ctx context.Context) {
	var asked time.Time
	var refused error
	var updated uint64
	for ctx.Err() == nil {
		k.tellUnknown()
		k.heedUpdates(ctx, &updated)
		now := k.stands()
		every := k.verifyEvery(now)
		if every > 0 && (asked.IsZero() || time.Since(asked) >= every) {
			asked = time.Now()
			refused = k.ask(ctx, now)
		}
		k.mu.Lock()
		since := k.memory.since
		k.mu.Unlock()
		last := k.heard(ctx)
		if last.IsZero() {
			last = since
		}
		if ctx.Err() != nil {
			return
		}
		k.p.Metrics.Heard(k.name, time.Since(last), every)
		if last.Before(since) {
			last = since // nobody may have asked before
		}
		k.tellSilence(every, time.Since(last), refused)
		gate.Pause(ctx, aliveLook)
	}
}

// verifyEvery is how often a verification event is asked for; 0 if it is not.
func (k *keeper) verifyEvery(now known) time.Duration {
	if k.stream.Verify == 0 || now.Verification == "" || now.ID == "" {
		return 0
	}
	return max(k.stream.Verify, now.Least)
}

// ask asks for a verification event. Whether its state comes back does not matter: whoever held the lease before may
// have asked, and it is signed in any case.
func (k *keeper) ask(ctx context.Context, now known) error {
	err := k.client.Verify(ctx, ssf.Metadata{Verification: now.Verification}, now.ID, rand.Text())
	if statusOf(err) == http.StatusNotFound {
		k.lookAgain() // the stream may be gone
	}
	return err
}

// tellSilence tells of two questions that nothing followed.
func (k *keeper) tellSilence(every, ago time.Duration, refused error) {
	words := ""
	if refused != nil {
		words = "; the latest question failed: " + refused.Error()
	}
	k.tell(every > 0 && ago > 2*every+silentGrace, metrics.Condition{
		Kind: "silent", Grave: true,
		What: fmt.Sprintf("nothing has come from %s for %v, although it is asked every %v for an event that shows that its stream delivers%s",
			k.name, ago.Round(time.Second), every, words),
		ByItself: "it is asked again, and this ends with the first event that comes; until then revocations may not come either",
		ToDo:     "at the transmitter, look at the stream, at what it could not deliver, and at its keys", Command: metrics.CheckCommand,
	})
}

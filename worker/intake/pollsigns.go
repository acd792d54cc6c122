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
	heard map[string]time.Time
}

func (s *signs) alive(issuer string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard[issuer] = time.Now()
}

func (s *signs) all() map[string]time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.heard)
}

// tellSigns tells the other pollers what is heard here: who looks after a stream may be another than whom it is pushed to.
func (p *Poller) tellSigns(ctx context.Context) {
	told := map[string]time.Time{}
	for gate.Pause(ctx, aliveLook) {
		kept := p.Issuers.File().Issuers
		for issuer, at := range p.signs.all() {
			isKept := slices.ContainsFunc(kept, func(i issuers.Issuer) bool { return i.Name == issuer && i.Stream != nil })
			if !isKept || !at.After(told[issuer]) {
				continue
			}
			err := p.shared.put(ctx, signKey(issuer), []byte(at.UTC().Format(time.RFC3339)))
			if p.tellShared(ctx, issuer, err); err == nil {
				told[issuer] = at
			}
		}
	}
}

func signKey(issuer string) string { return "sign." + key(issuer) }

// heard is when the issuer was last heard of, by any of the pollers; zero if that is not known.
func (k *keeper) heard(ctx context.Context) time.Time {
	at := k.p.signs.all()[k.name]
	entry, err := k.p.shared.get(ctx, signKey(k.name))
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

// watch asks for signs of life, and tells when none come, until ctx ends.
func (k *keeper) watch(ctx context.Context) {
	since := k.memory.since
	var asked time.Time
	var refused error
	for ctx.Err() == nil {
		k.tellUnknown()
		now := k.stands()
		every := k.verifyEvery(now)
		if every > 0 && (asked.IsZero() || time.Since(asked) >= every) {
			asked = time.Now()
			refused = k.ask(ctx, now)
		}
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

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"logoffworker/worker/stage"
	"logoffworker/worker/tokens"
)

// The workers of the cluster share an access token. This program stands for the person who makes a new one when they
// say that it cannot be renewed.

// A fleetToken is what a deployment's workers need to share an access token.
type fleetToken struct {
	web       *webServer
	pair, key string // files
}

func (w *world) newFleetToken(ctx context.Context, prefix string) (*fleetToken, error) {
	t := &fleetToken{web: w.web, pair: filepath.Join(w.dir, prefix+".pair"), key: filepath.Join(w.dir, prefix+".key")}
	r := w.random
	key := fmt.Sprintf("%016x%016x%016x%016x", r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64())
	w.canaries["key"] = key
	if err := os.WriteFile(t.key, []byte(key), 0o600); err != nil {
		return nil, err
	}
	_, err := t.give(ctx, long)
	return t, err
}

// environment makes a worker use the shared token.
func (t *fleetToken) environment() []string {
	return []string{"LOGOFF_WEBSERVER_PAIR_FILE=" + t.pair, "LOGOFF_WEBSERVER_PAIR_KEY_FILE=" + t.key}
}

// The lives of access tokens. One that ends in so short a time is renewed at once.
const (
	short = 100 * time.Second
	long  = time.Hour
)

// give puts a new pair into the pair file, and returns the number of its chain of renewals.
func (t *fleetToken) give(ctx context.Context, life time.Duration) (chain int, err error) {
	expiry := time.Now().Add(life)
	var made struct {
		Chain   int    `json:"chain"`
		Access  string `json:"accessToken"`
		Refresh string `json:"refreshToken"`
	}
	if err := t.web.Ask(ctx, "POST /tokens", map[string]any{"userId": t.web.Admin, "expiry": expiry}, &made); err != nil {
		return 0, err
	}
	text := fmt.Sprintf(`{"accessToken":%q,"refreshToken":%q,"tokenExpiryTimestamp":%d,"renewableUntilTimestamp":%d}`,
		made.Access, made.Refresh, expiry.Unix(), expiry.AddDate(0, 3, 0).Unix())
	if err := os.WriteFile(t.pair+".new", []byte(text), 0o600); err != nil {
		return 0, err
	}
	return made.Chain, os.Rename(t.pair+".new", t.pair)
}

// A chain is one access token through all its renewals, as the Web Server knows it.
type chain struct {
	ID       int  `json:"id"`
	Renewals int  `json:"renewals"`
	Reused   int  `json:"reused"`
	Dead     bool `json:"dead"`
}

func (s *webServer) chains(ctx context.Context) (all []chain, err error) {
	return all, s.Ask(ctx, "GET /tokens", nil, &all)
}

// noticed is how long the workers may take to see a new pair and to renew it: they look every 15 seconds,
// a leader of the cluster may be missing, and after a loss of the bucket they rest for 30 seconds.
const noticed = 60 * time.Second

// tokenFaults are the ways in which the renewal of a shared access token goes wrong.
func (w *world) tokenFaults() []fault {
	d := w.trio
	renewal := func(change, after string) func(context.Context, *rand.Rand) (int, string, error) {
		return d.mended(func(ctx context.Context) (int, string, error) { return d.failRenewal(ctx, change, after) })
	}
	faults := []fault{
		{name: "token/renewed", inject: d.renewToken},
		{name: "token/replaced", inject: d.replaceToken},
		{name: "token/revoked", inject: d.revokeToken},
		{name: "token/bucket-deleted", inject: d.deleteBucket},
		{name: "token/answer-lost", inject: renewal(`{"renewal":"lost"}`, `{"renewal":"200"}`)},
		{name: "token/answer-late", inject: renewal(`{"renewalDelay":"3s"}`, `{"renewalDelay":"0s"}`)},
		{name: "token/answer-mangled", inject: d.mangleRenewal},
	}
	for _, point := range tokens.Points {
		faults = append(faults, fault{name: "token/crash-" + string(point), inject: d.mended(func(ctx context.Context) (int, string, error) {
			return d.crashRenewal(ctx, point)
		})})
	}
	return faults
}

// renewToken has the workers renew a token. One renewal is made, by one of them.
func (d *deployment) renewToken(ctx context.Context, _ *rand.Rand) (int, string, error) {
	given, err := d.token.give(ctx, short)
	if err != nil {
		return 0, "", err
	}
	return d.renewals(ctx, given)
}

// renewals waits for the first renewal of a chain.
func (d *deployment) renewals(ctx context.Context, given int) (n int, counts string, err error) {
	stage.Await(ctx, noticed, func() bool {
		var all []chain
		if all, err = d.world.web.chains(ctx); err == nil {
			n = all[given-1].Renewals
		}
		return n > 0 || err != nil
	})
	return n, "renewals", err
}

// replaceToken gives a token that needs no renewal, in place of whatever there was.
func (d *deployment) replaceToken(ctx context.Context, _ *rand.Rand) (int, string, error) {
	mark := d.log.Mark()
	if _, err := d.token.give(ctx, long); err != nil {
		return 0, "", err
	}
	return d.toldWithin(ctx, noticed, mark, "the pair file holds a new pair"), saidSo, nil
}

// revokeToken revokes a token that was not renewed yet. It is renewed when the next request is refused.
func (d *deployment) revokeToken(ctx context.Context, _ *rand.Rand) (int, string, error) {
	mark := d.log.Mark()
	given, err := d.token.give(ctx, long)
	if err != nil {
		return 0, "", err
	}
	d.toldWithin(ctx, noticed, mark, "the pair file holds a new pair")
	if err := d.world.web.Ask(ctx, "POST /tokens/revoke", nil, nil); err != nil {
		return 0, "", err
	}
	return d.renewals(ctx, given)
}

// mended gives a new token after an attack that may have cost the one there was.
func (d *deployment) mended(attack func(ctx context.Context) (int, string, error)) func(context.Context, *rand.Rand) (int, string, error) {
	return func(ctx context.Context, random *rand.Rand) (int, string, error) {
		effect, counts, err := attack(ctx)
		if err == nil {
			_, _, err = d.replaceToken(ctx, random)
		}
		return effect, counts, err
	}
}

func (d *deployment) toldWithin(ctx context.Context, patience time.Duration, mark int, words string) (n int) {
	stage.Await(ctx, patience, func() bool { n = d.log.Count(mark, words); return n > 0 })
	return n
}

// deleteBucket deletes what the workers share. They remember it.
func (d *deployment) deleteBucket(ctx context.Context, _ *rand.Rand) (int, string, error) {
	mark := d.log.Mark()
	var err error
	if !stage.Await(ctx, 20*time.Second, func() bool {
		err = d.js.DeleteKeyValue(ctx, d.bucket())
		return err == nil
	}) {
		return 0, saidSo, nil // no leader just now
	}
	return d.toldWithin(ctx, noticed, mark, "this worker remembered it"), saidSo, nil
}

func (d *deployment) bucket() string { return "TRIO_TOKENS" }

// failRenewal lets a renewal take place whose answer does not arrive. The pair must not be presented again.
func (d *deployment) failRenewal(ctx context.Context, change, after string) (int, string, error) {
	mark := d.log.Mark()
	if err := d.world.web.Ask(ctx, "PUT /settings", change, nil); err != nil {
		return 0, "", err
	}
	if _, err := d.token.give(ctx, short); err != nil {
		return 0, "", err
	}
	n := d.toldWithin(ctx, noticed, mark, "a renewal has no known outcome")
	return n, "alarms", d.world.web.Ask(ctx, "PUT /settings", after, nil)
}

// mangleRenewal lets the answer to a renewal be no proper JSON, as some servers' is.
func (d *deployment) mangleRenewal(ctx context.Context, random *rand.Rand) (int, string, error) {
	if err := d.world.web.Ask(ctx, "PUT /settings", `{"renewal":"mangled"}`, nil); err != nil {
		return 0, "", err
	}
	n, counts, err := d.renewToken(ctx, random)
	if err != nil {
		return n, counts, err
	}
	return n, counts, d.world.web.Ask(ctx, "PUT /settings", `{"renewal":"200"}`, nil)
}

// crashRenewal makes the worker that renews die at a crash point of the renewal.
func (d *deployment) crashRenewal(ctx context.Context, point tokens.Point) (int, string, error) {
	const counts = "processes that died there"
	mark := d.log.Mark()
	words := "token-" + string(point)
	for _, r := range d.workers {
		r.attacked.Lock()
		defer r.attacked.Unlock()
		// A process that has just started misses the signal until it answers.
		stage.Await(ctx, 10*time.Second, func() bool { return r.page(ctx, "/livez") != nil })
		if err := r.arm(words); err != nil {
			return 0, counts, err
		}
	}
	if _, err := d.token.give(ctx, short); err != nil {
		return 0, counts, err
	}
	reached := d.toldWithin(ctx, noticed, mark, "crash point reached: "+words)
	for _, r := range d.workers {
		if r.process.EndsWithin(200 * time.Millisecond) {
			if err := r.start(); err != nil {
				return reached, counts, err
			}
		} else if err := r.arm(""); err != nil {
			return reached, counts, err
		}
	}
	return reached, counts, nil
}

// sealed is what the bucket holds, byte for byte.
func (d *deployment) sealed(ctx context.Context) ([]byte, error) {
	kv, err := d.js.KeyValue(ctx, d.bucket())
	if err != nil {
		return nil, err
	}
	entry, err := kv.Get(ctx, "pair")
	if err != nil {
		return nil, err
	}
	return entry.Value(), nil
}

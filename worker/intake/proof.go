package intake

import (
	"crypto/sha256"
	"crypto/subtle"
	"maps"
	"net/http"
	"slices"
	"strings"

	"logoffworker/worker/issuers"
)

// A proof is whether somebody has shown a secret.
type proof int

const (
	wrong   proof = iota
	unknown       // the secret cannot be read now
	shown
)

// proves compares what was sent with a secret, in a time that tells nothing of it. Nothing proves an empty secret.
func proves(secret issuers.Secret, sent string) proof {
	if sent == "" {
		return wrong
	}
	want, err := secret()
	if err != nil || want == "" {
		return unknown
	}
	a, b := sha256.Sum256([]byte(want)), sha256.Sum256([]byte(sent))
	if subtle.ConstantTimeCompare(a[:], b[:]) == 1 {
		return shown
	}
	return wrong
}

// both is the proof that two things give together.
func both(a, b proof) proof { return min(a, b) }

// bearer is the token of a request's Authorization header.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// ofPublisher finds whose bearer a request has. It looks at all, so that the time it takes tells nothing.
func ofPublisher(file *issuers.File, r *http.Request) (name string, p proof) {
	sent := bearer(r)
	for _, publisher := range file.Publishers {
		switch q := proves(publisher.Bearer, sent); {
		case q == shown:
			name, p = publisher.Name, shown
		case q == unknown && p == wrong:
			p = unknown
		}
	}
	return name, p
}

// ofHook is whether a request has all that a hook asks for. A hook that asks for nothing is proved by nothing.
func ofHook(hook issuers.Hook, r *http.Request) proof {
	if len(hook.Header)+len(hook.Query) == 0 {
		return wrong
	}
	p := queryOf(hook, r)
	for name, secret := range hook.Header {
		p = both(p, proves(secret, r.Header.Get(name)))
	}
	return p
}

// shownTo are the secrets of a request that a hook asks for.
func shownTo(hook issuers.Hook, r *http.Request) (all []string) {
	for _, name := range slices.Sorted(maps.Keys(hook.Header)) {
		all = append(all, r.Header.Get(name))
	}
	query := r.URL.Query()
	for _, name := range slices.Sorted(maps.Keys(hook.Query)) {
		all = append(all, query.Get(name))
	}
	return all
}

// queryOf is whether a request's query has what a hook asks for there, if anything.
func queryOf(hook issuers.Hook, r *http.Request) proof {
	p, query := shown, r.URL.Query()
	for name, secret := range hook.Query {
		p = both(p, proves(secret, query.Get(name)))
	}
	return p
}

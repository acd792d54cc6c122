package signals

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"logoffworker/jobs"
)

const (
	minRSABits    = 2048
	maxID         = 256 // bytes that are repeated of a message's own id
	defaultMaxAge = 30 * 24 * time.Hour
)

var defaultAlgorithms = []string{"RS256", "ES256"}

// signatures are the algorithms that an issuer may be pinned to: those with a public key.
var signatures = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// Algorithms lists the names that [Issuer.Algorithms] may hold.
func Algorithms() []string {
	var names []string
	for _, a := range signatures {
		names = append(names, string(a))
	}
	return names
}

// A purpose is what a token is to prove. One that was made for another purpose proves nothing.
type purpose struct {
	typ      string
	issuer   string                  // the only one whose it may be, by its name; empty: whoever iss says
	audience func(i Issuer) []string // any of which aud has to hold
	nameless bool                    // it needs no jti
	exactly  bool                    // its typ is needed even from an issuer whose tokens need none
}

// prove believes a token whose signature, type, issuer, audience and age are what the policy asks for, and says of any
// other why not. The issuer is chosen by what the token says, and then has to have signed it.
func (g *reading) prove(body []byte, p purpose) (token, error) {
	t, err := parseToken(body)
	if err != nil {
		err = invalid(InvalidRequest, "%v", err)
	}
	if g.looked("token", err, "a signed token in compact form") != nil {
		return t, err
	}
	for _, check := range []func(token, purpose) error{g.chooseIssuer, g.checkType, g.checkSignature, g.checkAudience, g.checkAge, g.checkID} {
		if err := check(t, p); err != nil {
			return t, err
		}
	}
	return t, nil
}

func (g *reading) chooseIssuer(t token, p purpose) error {
	iss, ok := text(t.claims["iss"])
	if !ok {
		return g.looked("issuer", invalid(InvalidIssuer, "iss is missing; it says who signed the token"), "")
	}
	at := slices.IndexFunc(g.Policy.Issuers, func(i Issuer) bool { return i.URL == iss })
	if at < 0 || p.issuer != "" && g.Policy.Issuers[at].Name != p.issuer {
		why := "the issuer %s is not trusted; an issuer is compared exactly, a slash at its end included"
		if at >= 0 {
			why = "the token is of %s, another issuer than this address is for"
		}
		return g.looked("issuer", invalid(InvalidIssuer, why, quote(iss)), "")
	}
	g.issuer = g.Policy.Issuers[at]
	g.answer.Issuer = g.issuer.Name
	return g.looked("issuer", nil, g.issuer.Name+" by its iss")
}

func (g *reading) checkType(t token, p purpose) error {
	typ := t.typ()
	switch {
	case typ == p.typ:
		return g.looked("type", nil, typ)
	case g.issuer.AnyType && !p.exactly && (t.header["typ"] == nil || typ == "jwt"):
		return g.looked("type", nil, "none that says what it is for, which is accepted of this issuer")
	case t.header["typ"] == nil:
		return g.looked("type", invalid(InvalidRequest, "the token has no typ; %s is expected", p.typ), "")
	}
	return g.looked("type", invalid(InvalidRequest, "the token's typ is %s; %s is expected", quote(typ), p.typ), "")
}

func (g *reading) checkSignature(t token, _ purpose) error {
	allowed := g.issuer.Algorithms
	if len(allowed) == 0 {
		allowed = defaultAlgorithms
	}
	alg, _ := t.header["alg"].(string)
	if !slices.Contains(allowed, alg) || !slices.Contains(signatures, jose.SignatureAlgorithm(alg)) {
		return g.looked("algorithm", invalid(InvalidKey, "the algorithm %s is not accepted; this issuer's are %s", quote(alg), strings.Join(allowed, ", ")), "")
	}
	_ = g.looked("algorithm", nil, alg)
	keys, named, err := g.keys(t)
	if g.looked("key", err, strconv.Itoa(len(keys))+" of the issuer's may have signed it") != nil {
		return err
	}
	err = t.verify(keys, jose.SignatureAlgorithm(alg))
	if err != nil && !named {
		err = g.newKey("the token was signed by none of the keys of the issuer " + g.issuer.Name + ", and does not name one of them")
	}
	if err == nil {
		g.answer.Proof = t.compact
	}
	return g.looked("signature", err, "is of one of the issuer's keys")
}

// newKey waits for a key that the issuer may have begun to use.
func (g *reading) newKey(why string) error {
	return &ending{verdict: Retry, code: InvalidKey, keysRead: true, why: why + ", as they were last read; it may be a new one"}
}

// keys are those that may have signed a token: the one that it names, which named tells; else all that have no name, and
// all there are where the token names none.
func (g *reading) keys(t token) (keys []jose.JSONWebKey, named bool, err error) {
	var set jose.JSONWebKeySet
	read := false
	if g.Keys != nil {
		set, read = g.Keys(g.issuer.Name)
	}
	if !read {
		return nil, false, &ending{verdict: Retry, code: InvalidKey, why: "the keys of the issuer " + g.issuer.Name + " have not been read yet"}
	}
	if t.header["kid"] == nil {
		return set.Keys, false, nil
	}
	kid, ok := t.header["kid"].(string)
	if !ok {
		return nil, false, invalid(InvalidRequest, "the token's kid is no text")
	}
	if keys = set.Key(kid); len(keys) > 0 {
		return keys, kid != "", nil
	}
	if keys = set.Key(""); len(keys) > 0 {
		return keys, false, nil
	}
	return nil, false, g.newKey("the key " + quote(kid) + " is not among those of the issuer " + g.issuer.Name)
}

// verify tells whether one of the keys signed the token.
func (t token) verify(keys []jose.JSONWebKey, alg jose.SignatureAlgorithm) error {
	signed, err := jose.ParseSignedCompact(t.compact, []jose.SignatureAlgorithm{alg})
	if err != nil {
		return invalid(InvalidRequest, "the token cannot be read as a signed one")
	}
	why := errors.New("none of the issuer's keys fits")
	for _, key := range keys {
		if err := usable(key, alg); err != nil {
			why = err
			continue
		}
		if _, err := signed.Verify(key.Key); err == nil {
			return nil
		}
		why = errors.New("the signature is not of the key that it names")
	}
	return invalid(InvalidKey, "%v", why)
}

// usable tells whether a listed key may have made a signature of that kind.
func usable(key jose.JSONWebKey, alg jose.SignatureAlgorithm) error {
	switch public, isRSA := key.Key.(*rsa.PublicKey); {
	case !key.IsPublic():
		return errors.New("the listed key is no public one")
	case key.Use != "" && key.Use != "sig":
		return errors.New("the listed key is not for signatures")
	case key.Algorithm != "" && key.Algorithm != string(alg):
		return errors.New("the listed key is for another algorithm")
	case isRSA && public.N.BitLen() < minRSABits:
		return fmt.Errorf("the listed RSA key has %d bits; at least %d are needed", public.N.BitLen(), minRSABits)
	}
	return nil
}

func (g *reading) checkAudience(t token, p purpose) error {
	var claimed []string
	switch aud := t.claims["aud"].(type) {
	case string:
		claimed = append(claimed, aud)
	case []any:
		for _, one := range aud {
			s, _ := one.(string)
			claimed = append(claimed, s)
		}
	}
	claimed = slices.DeleteFunc(claimed, func(s string) bool { return s == "" })
	if len(p.audience(g.issuer)) == 0 {
		return g.looked("audience", &ending{verdict: Retry, code: InvalidAudience, why: "the audience of the issuer " + g.issuer.Name + " is not known yet; the transmitter of its stream tells it"}, "")
	}
	for _, ours := range p.audience(g.issuer) {
		if slices.Contains(claimed, ours) {
			return g.looked("audience", nil, ours)
		}
	}
	if len(claimed) == 0 {
		return g.looked("audience", invalid(InvalidAudience, "aud is missing; the token has to say that it is for us"), "")
	}
	return g.looked("audience", invalid(InvalidAudience, "the token is for %s, and not for us", quote(strings.Join(claimed, ", "))), "")
}

func (g *reading) checkAge(t token, _ purpose) error {
	maxAge := g.issuer.MaxAge
	if maxAge == 0 {
		maxAge = defaultMaxAge
	}
	made, err := moment(t.claims["iat"])
	switch {
	case t.claims["iat"] == nil:
		err = invalid(InvalidRequest, "iat is missing; it says when the token was made")
	case err != nil:
		err = invalid(InvalidRequest, "iat is %v", err)
	case made.After(g.Now.Add(clocks)):
		err = invalid(InvalidRequest, "the token was made at %s, which is yet to come", made.Format(time.RFC3339))
	case made.Before(g.Now.Add(-maxAge)):
		err = invalid(InvalidRequest, "the token was made at %s, longer ago than this issuer's max_age of %v", made.Format(time.RFC3339), maxAge)
	default:
		err = g.checkWindow(t)
	}
	g.answer.Stale = err != nil
	return g.looked("age", err, "made at "+made.Format(time.RFC3339))
}

// checkWindow holds a token to the times that it sets itself. A SET should have none.
func (g *reading) checkWindow(t token) error {
	for name, wrong := range map[string]func(time.Time) bool{
		"exp": func(at time.Time) bool { return g.Now.After(at.Add(clocks)) },
		"nbf": func(at time.Time) bool { return at.After(g.Now.Add(clocks)) },
	} {
		if t.claims[name] == nil {
			continue
		}
		at, err := moment(t.claims[name])
		if err != nil {
			return invalid(InvalidRequest, "%s is %v", name, err)
		}
		if wrong(at) {
			return invalid(InvalidRequest, "the token is not valid now: its %s is %s", name, at.Format(time.RFC3339))
		}
	}
	return nil
}

// checkID notes who said what: from here on the token is believed.
func (g *reading) checkID(t token, p purpose) error {
	jti, ok := text(t.claims["jti"])
	if !ok && !p.nameless {
		return g.looked("id", invalid(InvalidRequest, "jti is missing; it tells a message from its repetition"), "")
	}
	if ok {
		g.answer.Job.ID = jobs.SignalID(g.issuer.URL, jti)
	}
	g.answer.Signal = &jobs.Signal{Issuer: g.issuer.Name, ID: cut(jti, maxID)}
	return nil
}

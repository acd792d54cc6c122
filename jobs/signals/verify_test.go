package signals

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// expect compares a verdict, and what has to be in its reason.
func expect(t *testing.T, a Answer, verdict Verdict, why string) {
	t.Helper()
	if a.Verdict != verdict || !strings.Contains(a.Why, why) {
		t.Errorf("%s (%s), not %s (%s)", a.Verdict, a.Why, verdict, why)
	}
	if a.Verdict != Job {
		checkNoJob(t, a)
	}
}

func TestAHeaderThatSaysWhyToBelieveItIsRefused(t *testing.T) {
	b := newBench(t)
	for name, value := range map[string]any{
		"jwk": map[string]any{"kty": "EC"}, "jku": "https://own.example/keys", "x5u": "https://own.example/cert", "x5c": []string{"MII"}, "crit": []string{"x"}, "b64": true, "zip": "DEF",
	} {
		a := b.reader.SET("own", b.sign(b.claims(nil), map[string]any{name: value}))
		expect(t, a, Invalid, "("+name+")")
	}
	expect(t, b.reader.SET("own", b.sign(b.claims(nil), map[string]any{"x5t": "thumb", "cty": "x"})), Job, "")
}

func TestATypeSaysWhatATokenIsFor(t *testing.T) {
	for _, c := range []struct {
		typ any
		any bool
		ok  bool
	}{
		{"secevent+jwt", false, true},
		{"SECEVENT+JWT", false, true},
		{"application/secevent+jwt", false, true},
		{nil, false, false},
		{"JWT", false, false},
		{"at+jwt", false, false},
		{"logout+jwt", false, false},
		{5, false, false},
		{nil, true, true},
		{"JWT", true, true},
		{"at+jwt", true, false},
		{"logout+jwt", true, false},
	} {
		b := newBench(t)
		b.issuer.AnyType = c.any
		a := b.reader.SET("own", b.sign(b.claims(nil), map[string]any{"typ": c.typ}))
		if (a.Verdict == Job) != c.ok {
			t.Errorf("%v, any %v: %s %s", c.typ, c.any, a.Verdict, a.Why)
		}
	}
}

func TestOnlyTheIssuersAlgorithmsAreTaken(t *testing.T) {
	b := newBench(t)
	for _, alg := range []any{"none", "None", "HS256", "ES384", "es256", nil, 5} {
		expect(t, b.reader.SET("own", b.sign(b.claims(nil), map[string]any{"alg": alg})), Invalid, "algorithm")
	}
	b.issuer.Algorithms = []string{"PS256", "HS256"}
	expect(t, b.set(nil), Invalid, `"ES256" is not accepted; this issuer's are PS256, HS256`)
	expect(t, b.reader.SET("own", b.sign(b.claims(nil), map[string]any{"alg": "HS256"})), Invalid, "algorithm")
}

func TestKeysThatMayBeNewAreWaitedFor(t *testing.T) {
	other := newBench(t).keys.Keys[0].Key
	b := newBench(t)
	b.unread = true
	if a := b.set(nil); a.Verdict != Retry || a.KeysRead || a.Issuer != "own" {
		t.Errorf("unread: %+v", a)
	}
	b.unread = false
	own := b.keys.Keys[0].Key
	for _, c := range []struct {
		name string
		keys []jose.JSONWebKey
		kid  any
		want Verdict
	}{
		{"an empty key set", nil, "k1", Retry},
		{"rotated away", []jose.JSONWebKey{{KeyID: "k0", Key: other}}, "k1", Retry},
		{"rotated away, and no kid", []jose.JSONWebKey{{KeyID: "k0", Key: other}}, nil, Retry},
		{"no kid", []jose.JSONWebKey{{KeyID: "k0", Key: other}, {KeyID: "k1", Key: own}}, nil, Job},
		{"two keys of the name", []jose.JSONWebKey{{KeyID: "k1", Key: other}, {KeyID: "k1", Key: own}}, "k1", Job},
		{"another key of the name", []jose.JSONWebKey{{KeyID: "k1", Key: other}}, "k1", Invalid},
		{"a listed key without a name", []jose.JSONWebKey{{Key: own}}, "k1", Job},
		{"another without a name", []jose.JSONWebKey{{Key: other}}, "k1", Retry},
		{"for encryption", []jose.JSONWebKey{{KeyID: "k1", Key: own, Use: "enc"}}, "k1", Invalid},
		{"for another algorithm", []jose.JSONWebKey{{KeyID: "k1", Key: own, Algorithm: "ES384"}}, "k1", Invalid},
		{"a private key", []jose.JSONWebKey{{KeyID: "k1", Key: b.key}}, "k1", Invalid},
		{"a symmetric key", []jose.JSONWebKey{{KeyID: "k1", Key: []byte("secret")}}, "k1", Invalid},
		{"a kid that is a number", []jose.JSONWebKey{{KeyID: "k1", Key: own}}, 1, Invalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.keys.Keys = c.keys
			a := b.reader.SET("own", b.sign(b.claims(nil), map[string]any{"kid": c.kid}))
			if a.Verdict != c.want || a.KeysRead != (c.want == Retry) {
				t.Errorf("%s, keys read %v: %s", a.Verdict, a.KeysRead, a.Why)
			}
		})
	}
	b.keys.Keys = []jose.JSONWebKey{{KeyID: "k1", Key: b.key}}
	expect(t, b.set(nil), Invalid, "no public one")
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b.keys.Keys = []jose.JSONWebKey{{KeyID: "k1", Key: &p384.PublicKey}}
	expect(t, b.set(nil), Invalid, "signature")
}

func TestAnRSAKeyHas2048Bits(t *testing.T) {
	for bits, want := range map[int]Verdict{1024: Retry, 2048: Job} {
		b := newBench(t)
		signed, key := rsaToken(t, bits, b.json(b.claims(nil)))
		b.keys.Keys = []jose.JSONWebKey{{Key: key}}
		if a := b.reader.SET("own", signed); a.Verdict != want {
			t.Errorf("%d bits: %s %s", bits, a.Verdict, a.Why)
		}
	}
}

func TestClaimsAreHeldToThePolicy(t *testing.T) {
	at := func(d time.Duration) any { return noon.Add(d).Unix() }
	for _, c := range []struct {
		name, value string
		claim       any
		want        Verdict
	}{
		{"aud", "a list", []any{"x", "us"}, Job},
		{"aud", "a list without us", []any{"x", 5}, Invalid},
		{"aud", "a number", 5, Invalid},
		{"aud", "empty", "", Invalid},
		{"iss", "a number", 5, Invalid},
		{"iss", "in capitals", "https://OWN.example", Invalid},
		{"iat", "a little ahead", at(4 * time.Minute), Job},
		{"iat", "ahead", at(6 * time.Minute), Invalid},
		{"iat", "old", at(-29 * 24 * time.Hour), Job},
		{"iat", "too old", at(-31 * 24 * time.Hour), Invalid},
		{"iat", "in milliseconds", noon.UnixMilli(), Job},
		{"iat", "zero", 0, Invalid},
		{"iat", "text", "1795780740", Invalid},
		{"exp", "to come", at(time.Hour), Job},
		{"exp", "just past", at(-4 * time.Minute), Job},
		{"exp", "past", at(-6 * time.Minute), Invalid},
		{"exp", "text", "never", Invalid},
		{"nbf", "to come", at(time.Hour), Invalid},
		{"nbf", "past", at(-time.Hour), Job},
		{"jti", "a number", 5, Invalid},
		{"jti", "empty", "", Invalid},
		{"events", "null", map[string]any{revoked: nil}, Job},
		{"events", "a text", map[string]any{revoked: "x"}, Invalid},
		{"events", "JSON in a text", `{"` + revoked + `":{}}`, Invalid},
		{"unheard_of", "anything", []any{map[string]any{"a": nil}}, Job},
	} {
		b := newBench(t)
		a := b.set(map[string]any{c.name: c.claim})
		if a.Verdict != c.want {
			t.Errorf("%s %s: %s %s", c.name, c.value, a.Verdict, a.Why)
		}
	}
	b := newBench(t)
	for name := range map[string]bool{"iat": true, "exp": true, "nbf": true} {
		expect(t, b.set(map[string]any{name: "x"}), Invalid, name+" is no time")
	}
	b.issuer.MaxAge = time.Minute
	expect(t, b.set(map[string]any{"iat": at(-2 * time.Minute)}), Invalid, "max_age")
	b.issuer.Audience = nil // until the transmitter of its stream has told it
	expect(t, b.set(map[string]any{"aud": ""}), Retry, "audience")
}

func TestOnlyOneReadingOfATokenIsAccepted(t *testing.T) {
	b := newBench(t)
	good := string(b.sign(b.claims(nil), nil))
	header, rest, _ := strings.Cut(good, ".")
	claims, signature, _ := strings.Cut(rest, ".")
	for name, body := range map[string]string{
		"white space within": header + ".\n" + rest, "a blank within": header + " ." + rest, "padding": good + "==", "a part more": good + ".x", "a part less": header + "." + claims,
		"standard base64": strings.Replace(good, "-", "+", 1) + "+", "no header": "." + rest, "no claims": header + ".." + signature, "a null byte": good + "\x00",
		"loose bits": good[:len(good)-1] + string(good[len(good)-1]+1),
	} {
		a := b.reader.SET("own", []byte(body))
		if a.Verdict != Invalid {
			t.Errorf("%s: %s %s", name, a.Verdict, a.Why)
		}
	}
	expect(t, b.reader.SET("own", []byte("\ufeff \r\n"+good+"\r\n")), Job, "")
	whole, head := b.json(b.claims(nil)), []byte(`{"alg":"ES256","typ":"secevent+jwt"}`)
	for name, raw := range map[string][]byte{
		"twice, deep": []byte(strings.Replace(string(whole), `"format":"email"`, `"format":"email","format":"email"`, 1)),
		"trailing":    append(whole[:len(whole):len(whole)], '{', '}'), "a list": []byte("[]"), "null": []byte("null"), "a half character": []byte(strings.Replace(string(whole), "jane", `\ud800`, 1)),
	} {
		expect(t, b.reader.SET("own", b.signRaw(head, raw)), Invalid, "the token's claims: ")
		_ = name
	}
}

func TestNobodyIsTrustedByDefault(t *testing.T) {
	b := newBench(t)
	signed := b.sign(b.claims(nil), nil)
	expect(t, Reader{Now: noon}.SET("own", signed), Invalid, "not trusted")
	expect(t, Reader{Now: noon, Policy: b.reader.Policy}.SET("own", signed), Retry, "not been read")
	expect(t, b.reader.SET("else", signed), Invalid, "another issuer")
	expect(t, b.reader.Message(nil, signed), Job, "")
}

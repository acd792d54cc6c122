package signals

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
)

const revoked = caep + "session-revoked"

// A bench is an issuer of the tests' own, named own, and a reader that trusts it. Its tokens are signed by the standard
// library, so that whoever verifies them is not whoever made them.
type bench struct {
	*testing.T
	reader Reader
	issuer *Issuer
	keys   jose.JSONWebKeySet
	unread bool
	key    *ecdsa.PrivateKey
}

func newBench(t *testing.T) *bench {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, key: key}
	b.keys.Keys = []jose.JSONWebKey{{KeyID: "k1", Key: &key.PublicKey}}
	policy := &Policy{Issuers: []Issuer{{
		Name: "own", URL: "https://own.example", Audience: []string{"us"}, RevokeAudience: "revoke-us",
		Events: map[string]EventRule{revoked: {}, backchannelLogout: {}, risc + "account-disabled": {Newer: true}},
		Subjects: Subjects{Formats: map[string][]Template{
			"email": templates(t, "email:{email}"), "iss_sub": {{Text: "map:people", Map: mapped}, template(t, "email:{sub}")}, "account": templates(t, `name:CORP\{localpart}`),
			"opaque": {{Text: "map:people", Map: mapped}}, "scim": templates(t, `name:CORP\{externalId}`, `name:CORP\{data.userName}`),
			"phone_number": {{Text: "map:people{phone_number}", Map: mapped}},
		}},
	}}}
	b.issuer = &policy.Issuers[0]
	b.reader = Reader{Policy: policy, Now: noon, Keys: func(string) (jose.JSONWebKeySet, bool) { return b.keys, !b.unread }}
	return b
}

const mappedGUID = "BE92D1DD-0C68-49A6-BEBB-404D96D7A4BF"

func mapped(subject string) (string, bool) {
	user, ok := map[string]string{"1": `name:CORP\one`, "2": "id:2", "3": "email:three@own.example", "+4": "name:four", "5": "nobody", "urn:1": `name:CORP\one`, "EMC" + mappedGUID: "name:guid"}[subject]
	return user, ok
}

// claims are those of a rightful SET with one event, changed as with says; null takes one away.
func (b *bench) claims(with map[string]any) map[string]any {
	all := map[string]any{
		"iss": "https://own.example", "aud": "us", "iat": noon.Add(-time.Minute).Unix(), "jti": "j1",
		"events": map[string]any{revoked: map[string]any{}}, "sub_id": map[string]any{"format": "email", "email": "jane@own.example"},
	}
	maps.Copy(all, with)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return all
}

// sign makes a token of claims, and of a header changed as with says.
func (b *bench) sign(claims any, with map[string]any) []byte {
	header := map[string]any{"alg": "ES256", "kid": "k1", "typ": "secevent+jwt"}
	maps.Copy(header, with)
	maps.DeleteFunc(header, func(_ string, v any) bool { return v == nil })
	return b.signRaw(b.json(header), b.json(claims))
}

func (b *bench) signRaw(header, claims []byte) []byte {
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode(header) + "." + encode(claims)
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, b.key, sum[:])
	if err != nil {
		b.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return []byte(signed + "." + encode(signature))
}

func (b *bench) json(value any) []byte {
	data, err := json.Marshal(value)
	if err != nil {
		b.Fatal(err)
	}
	return data
}

// set reads a SET with claims that are changed.
func (b *bench) set(with map[string]any) Answer {
	return b.reader.SET("own", b.sign(b.claims(with), nil))
}

func rsaToken(t *testing.T, bits int, claims []byte) ([]byte, *rsa.PublicKey) {
	t.Setenv("GODEBUG", "rsa1024min=0")
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"RS256","typ":"secevent+jwt"}`)) + "." + encode(claims)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return []byte(signed + "." + encode(signature)), &key.PublicKey
}

package transmitter

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
)

// A token is one that waits for its receiver.
type token struct{ jti, text string }

// A key signs; the public half is in the key set.
type key struct {
	id     string
	alg    string // ES256 or RS256
	secret crypto.Signer
}

// Rotate has another key sign from now on, and the one before it leave the key set. It returns its ID.
func (t *Transmitter) Rotate(alg string) (kid string) {
	k := newKey(alg)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keys = []key{k}
	return k.id
}

func newKey(alg string) key {
	k := key{id: "key-" + rand.Text()[:8], alg: alg}
	var err error
	if alg == "RS256" {
		k.secret, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		k.secret, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		panic("transmitter: " + err.Error())
	}
	return k
}

// sign makes a token of claims with the latest key. The lock is held.
func (t *Transmitter) sign(claims map[string]any) string {
	k := t.keys[len(t.keys)-1]
	if t.settings.Unlisted {
		k = t.stranger
	}
	signed := part(map[string]any{"typ": "secevent+jwt", "alg": k.alg, "kid": k.id}) + "." + part(claims)
	sum := sha256.Sum256([]byte(signed))
	signature, err := k.signature(sum[:])
	if err != nil {
		panic("transmitter: " + err.Error())
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func (k key) signature(sum []byte) ([]byte, error) {
	switch secret := k.secret.(type) {
	case *rsa.PrivateKey:
		return rsa.SignPKCS1v15(rand.Reader, secret, crypto.SHA256, sum)
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, secret, sum)
		if err != nil {
			return nil, err
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), nil
	}
	panic("transmitter: no such key")
}

// public is a key as a key set has it.
func (k key) public() map[string]any {
	public := map[string]any{"kid": k.id, "use": "sig", "alg": k.alg}
	switch secret := k.secret.(type) {
	case *rsa.PrivateKey:
		public["kty"], public["n"], public["e"] = "RSA", number(secret.N.Bytes()), number(big.NewInt(int64(secret.E)).Bytes())
	case *ecdsa.PrivateKey:
		point, err := secret.PublicKey.Bytes()
		if err != nil {
			panic("transmitter: " + err.Error())
		}
		public["kty"], public["crv"], public["x"], public["y"] = "EC", "P-256", number(point[1:33]), number(point[33:])
	}
	return public
}

func number(bytes []byte) string { return base64.RawURLEncoding.EncodeToString(bytes) }

func part(v map[string]any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic("transmitter: " + err.Error())
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

package tokens

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
)

// A Key encrypts what is stored. It prints without a byte of it.
type Key struct {
	seal   cipher.AEAD
	finger []byte
}

const keyBytes = 32

// ErrKey says what a key file must hold.
var ErrKey = errors.New("must hold 32 bytes in base64 or hex, such as `openssl rand -base64 32` makes")

// ReadKey reads a key from a file.
func ReadKey(path string) (Key, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Key{}, errors.New("the file cannot be read")
	}
	return parseKey(string(text))
}

// parseKey tries hex first, because 64 hex digits are base64, too.
func parseKey(text string) (Key, error) {
	text = strings.TrimSpace(text)
	raw, err := hex.DecodeString(text)
	if err != nil {
		raw, err = base64.StdEncoding.DecodeString(text)
	}
	if err != nil || len(raw) != keyBytes {
		return Key{}, ErrKey
	}
	return newKey(raw)
}

// newKey derives a key for each of the two uses.
func newKey(raw []byte) (Key, error) {
	sealing, err := hkdf.Key(sha256.New, raw, nil, "logoff-worker: stored pair", keyBytes)
	if err != nil {
		return Key{}, err
	}
	finger, err := hkdf.Key(sha256.New, raw, nil, "logoff-worker: fingerprint of a pair", keyBytes)
	if err != nil {
		return Key{}, err
	}
	block, err := aes.NewCipher(sealing)
	if err != nil {
		return Key{}, err
	}
	seal, err := cipher.NewGCMWithRandomNonce(block)
	return Key{seal: seal, finger: finger}, err
}

// Format keeps the key out of whatever it is printed with.
func (k Key) Format(s fmt.State, _ rune) { fmt.Fprint(s, "key") }

// sealVersion is the first byte of what is stored.
const sealVersion = 1

// encrypt seals a text for one place, so that it cannot be read as that of another.
func (k Key) encrypt(text []byte, place string) []byte {
	return k.seal.Seal([]byte{sealVersion}, nil, text, []byte(place))
}

// errSealed is a record that the key does not open.
var errSealed = errors.New("the stored pair cannot be decrypted: it was stored with another key, or is damaged; every worker needs the same key file")

func (k Key) decrypt(sealed []byte, place string) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != sealVersion {
		return nil, errSealed
	}
	text, err := k.seal.Open(nil, nil, sealed[1:], []byte(place))
	if err != nil {
		return nil, errSealed
	}
	return text, nil
}

// fingerprint recognises an operator's pair without telling it.
func (k Key) fingerprint(p pair) string {
	mac := hmac.New(sha256.New, k.finger)
	mac.Write([]byte(p.Access + "\x00" + p.Refresh))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

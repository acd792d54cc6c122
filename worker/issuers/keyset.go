package issuers

import (
	"crypto/rsa"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// leastRSA is the fewest bits of an RSA key whose signatures count.
const leastRSA = 2048

// readKeys reads a key set (RFC 7517 §5): the public keys for signatures that it holds. What else it holds is passed
// over, and told in words that repeat nothing of it. A weak key stays in the set, so that its tokens are refused rather
// than waited with; it is told all the same.
func readKeys(data []byte) (set jose.JSONWebKeySet, remarks []string, err error) {
	var document struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if err := json.Unmarshal(data, &document); err != nil || document.Keys == nil {
		return set, nil, errors.New(`is no key set: JSON with a list "keys"`)
	}
	usable := 0
	for i, raw := range document.Keys {
		key, remark := readKey(raw)
		if remark != "" {
			remarks = append(remarks, fmt.Sprintf("key %d %s", i+1, remark))
		} else {
			usable++
		}
		if key != nil {
			set.Keys = append(set.Keys, *key)
		}
	}
	if usable == 0 {
		return set, remarks, errors.New("holds no key that a signature could be verified with")
	}
	return set, remarks, nil
}

// readKey reads one key; nil if it is passed over.
func readKey(raw []byte) (key *jose.JSONWebKey, remark string) {
	key = &jose.JSONWebKey{}
	switch err := key.UnmarshalJSON(raw); {
	case err != nil:
		return nil, "is of a kind that is not known, or broken, and is passed over"
	case !key.IsPublic():
		return nil, "is not public, and is passed over; whoever publishes it should make a new one"
	case !key.Valid():
		return nil, "is broken, and is passed over"
	case key.Use != "" && key.Use != "sig":
		return nil, "is not for signatures, and is passed over"
	}
	if public, is := key.Key.(*rsa.PublicKey); is && public.N.BitLen() < leastRSA {
		return key, fmt.Sprintf("has %d bits, which is too weak (at least %d): what it signs is refused", public.N.BitLen(), leastRSA)
	}
	return key, ""
}

// fileKeys are the keys of a file.
type fileKeys struct {
	set     jose.JSONWebKeySet
	remarks []string
}

func readKeyFile(files *files, path string) (keys fileKeys, err error) {
	data, err := files.read(path)
	if err != nil {
		return keys, err
	}
	if keys.set, keys.remarks, err = readKeys(data); err != nil {
		return keys, fmt.Errorf("the file %w", err)
	}
	return keys, nil
}

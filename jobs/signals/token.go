package signals

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// A token is a signed one (JWS, compact). Nothing in it is to be believed before [reading.prove] has returned it.
type token struct {
	compact        string
	header, claims map[string]any
}

// parseToken takes a token apart. It is strict where two readers could read two things: no white space within, no padding,
// no member twice, no invalid UTF-8.
func parseToken(body []byte) (token, error) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
	if len(body) > MaxToken {
		return token{}, fmt.Errorf("the token has %d bytes; at most %d are accepted", len(body), MaxToken)
	}
	t := token{compact: string(body)}
	parts := strings.Split(t.compact, ".")
	switch {
	case len(body) == 0:
		return t, errors.New("empty message; a signed token is expected")
	case body[0] == '{' || body[0] == '[':
		return t, errors.New("JSON found; a signed token in compact form (three parts with dots between) is expected")
	case len(parts) == 5:
		return t, errors.New("the token is encrypted (five parts); only signed ones are accepted")
	case len(parts) != 3:
		return t, fmt.Errorf("the token has %d parts; a signed one in compact form has three", len(parts))
	case parts[2] == "":
		return t, errors.New("the token is not signed")
	}
	if _, err := decodePart(parts[2]); err != nil {
		return t, fmt.Errorf("the token's signature: %w", err)
	}
	var err error
	if t.header, err = readPart(parts[0]); err != nil {
		return t, fmt.Errorf("the token's header: %w", err)
	}
	if t.claims, err = readPart(parts[1]); err != nil {
		return t, fmt.Errorf("the token's claims: %w", err)
	}
	return t, t.checkHeader()
}

func readPart(part string) (map[string]any, error) {
	data, err := decodePart(part)
	if err != nil {
		return nil, err
	}
	return object(data)
}

func decodePart(part string) ([]byte, error) {
	if strings.ContainsAny(part, "\r\n") { // which the decoder would pass over
		return nil, errors.New("white space within")
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return nil, errors.New("not base64url without padding")
	}
	return data, nil
}

// refusedHeaders are never followed: what they say is the sender's own word for why it should be believed, or changes what
// is signed.
var refusedHeaders = []struct{ name, why string }{
	{"b64", "changes what is signed"},
	{"crit", "demands an extension that nobody here understands"},
	{"jwk", "brings its own key, and is not believed for it"},
	{"jku", "names where to get its key, which is never fetched"},
	{"x5u", "names where to get its certificate, which is never fetched"},
	{"x5c", "brings its own certificate, and is not believed for it"},
	{"zip", "is compressed"},
}

func (t token) checkHeader() error {
	for _, refused := range refusedHeaders {
		if _, there := t.header[refused.name]; there {
			return fmt.Errorf("the token %s (%s)", refused.why, refused.name)
		}
	}
	return nil
}

// typ is the token's type, in small letters and without "application/".
func (t token) typ() string {
	typ, _ := t.header["typ"].(string)
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}

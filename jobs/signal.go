package jobs

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
)

// SignalHeader is the header of a job's message that holds its [Signal] as JSON.
const SignalHeader = "Logoff-Signal"

// A Signal is the event of a security system that a job answers: who said what, and by which rule it became a job. It
// travels beside the job and ends in its result. What it says is as good as the publisher whom the subject names: whoever
// stored the job has verified it.
type Signal struct {
	Issuer string `json:"issuer"`         // its name in the issuers file, or that of a recipe
	Event  string `json:"event,omitzero"` // the event's type, such as the URI of session-revoked
	Rule   string `json:"rule,omitzero"`  // by which it became a job
	ID     string `json:"id,omitzero"`    // the issuer's own for the message (jti)
	// Token is the signed token as it came, so that anybody can verify it later; it is left out where it is large.
	Token string `json:"token,omitzero"`
}

const (
	maxToken      = 8 << 10 // bytes of a token that travels
	maxSignalText = 256     // bytes of another text of a signal
)

// DecodeSignal reads the header [SignalHeader]. Members that are not known are passed over. A token for which there is
// no room is left out, and other texts are cut short and printable.
func DecodeSignal(header string) (*Signal, error) {
	var s Signal
	if err := json.Unmarshal([]byte(header), &s); err != nil {
		return nil, refused("the header %s cannot be read: %v", SignalHeader, explain(err))
	}
	if LegalID(s.Issuer) != nil {
		return nil, refused("the header %s names no issuer", SignalHeader)
	}
	return s.Fitting(), nil
}

// Fitting is the signal with what there is room for in a header and in a result.
func (s Signal) Fitting() *Signal {
	if len(s.Token) > maxToken || !visibleText(s.Token) {
		s.Token = ""
	}
	for _, text := range []*string{&s.Issuer, &s.Event, &s.Rule, &s.ID} {
		*text = escape(*text, maxSignalText)
	}
	return &s
}

// Header is the signal as [DecodeSignal] reads it.
func (s Signal) Header() (string, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("encode a signal: %w", err)
	}
	return string(data), nil
}

func visibleText(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}

const signalIDPrefix = "set-"

// IsSignalID reports whether a job's id is one that [SignalID] makes.
func IsSignalID(id string) bool { return strings.HasPrefix(id, signalIDPrefix) }

// SignalID is a job's id made of what is unique of its event: the same event makes the same id.
func SignalID(unique ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(unique, "\x00")))
	return signalIDPrefix + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:26])
}

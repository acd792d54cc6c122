package jobs

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"
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

// SignalID is a job's id made of what is unique of its event: the same event makes the same id.
func SignalID(unique ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(unique, "\x00")))
	return "set-" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:26])
}

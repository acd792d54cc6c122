// Package signals makes jobs of what security systems publish: security event tokens (SETs: CAEP, RISC,
// SCIM events), CloudEvents, OpenID Connect logout tokens, calls of Universal Logout, fixed bodies of
// webhooks, lines of session IDs, and the jobs of this project themselves.
//
// It is pure: bytes, headers and keys go in, an [Answer] comes out. No issuer is trusted that the [Policy]
// does not name. What a token says is believed only after its signature, type, issuer, audience and age are
// what the policy asks for; a key that a token brings along or points at is never used. A revocation that the
// policy lists is never passed over without a word: where it names nobody, it is invalid.
//
// Where keys come from, where messages come from and where jobs go is other packages' business.
package signals

import (
	"time"

	"github.com/go-jose/go-jose/v4"

	"logoffworker/jobs"
)

// MaxToken is the most bytes that a signed token may have; MaxEvidence the most that one may have to travel
// with its job.
const (
	MaxToken    = 64 << 10
	MaxEvidence = 8 << 10
)

// A Reader reads messages at one moment.
type Reader struct {
	Policy *Policy // nil trusts nobody
	// Keys are an issuer's, by its name in the policy, as they were last read; ok is false if they never were.
	Keys  func(issuer string) (keys jose.JSONWebKeySet, ok bool)
	Rules jobs.Rules
	Now   time.Time
}

// A Verdict is what a message is.
type Verdict string

// The verdicts.
const (
	Job     Verdict = "job"     // to be worked
	Ignored Verdict = "ignored" // understood, and nobody's session is to be ended for it
	Invalid Verdict = "invalid" // not understood, or not to be believed
	Retry   Verdict = "retry"   // its keys are not known yet: to be read again when they may be
)

// An Answer is what was made of a message.
type Answer struct {
	Verdict Verdict
	Job     jobs.Job // its id is given where the message gives one
	Format  jobs.Format
	// Why says in words what is wrong, why it is ignored, or what is waited for.
	Why string
	// Code is why, for the sender over HTTP.
	Code Code
	// Issuer is the policy's name for whose message it is; empty for jobs of this project.
	Issuer string
	// Signal goes with the job; nil for jobs of this project.
	Signal *jobs.Signal
	// Proof is the signed token, once its signature is believed. It may be a credential, and is never to be shown.
	Proof string
	// Stale says that a token is refused for its times alone: anybody may have found it somewhere.
	Stale bool
	// Verification is the state of an SSF verification event (its presence shows that the stream lives): such an
	// event is ignored. StreamUpdated likewise is the new status of a stream.
	Verification  *string
	StreamUpdated string
	// KeysRead is, for a retry, that a key set was read, and does not hold the key.
	KeysRead bool
	// Steps tell a person what was looked at, and what came of it, in this order.
	Steps []Step
}

// A Step is one thing that was looked at.
type Step struct {
	What string // "signature", "audience", "rule session-revoked", "subject email"
	OK   bool
	Why  string
}

// A Code is an error of RFC 8935 §2.4, or one of the answers that other protocols need.
type Code string

// The codes.
const (
	InvalidRequest  Code = "invalid_request"
	InvalidKey      Code = "invalid_key"
	InvalidIssuer   Code = "invalid_issuer"
	InvalidAudience Code = "invalid_audience"
	Unauthenticated Code = "authentication_failed"
	AccessDenied    Code = "access_denied"
	UnknownUser     Code = "unknown_user" // Universal Logout: 404
)

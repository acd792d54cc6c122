package issuers

import (
	"time"

	"logoffworker/jobs/signals"
	"logoffworker/worker/env"
)

// A File is what an issuers file says.
type File struct {
	Policy     signals.Policy
	Issuers    []Issuer
	Hooks      []Hook
	Publishers []Publisher
}

// A Secret is read anew from its file where it is in one; it is never shown.
type Secret func() (string, error)

// An Issuer is how one of the policy's issuers is reached. Empty parts are not used.
type Issuer struct {
	Name       string
	Keys       KeySource
	PushPath   string // where it pushes to, and posts logout tokens to
	PushBearer Secret // nil asks for none: the signature alone counts
	RevokePath string // of Universal Logout
	Stream     *Stream
}

// A KeySource is where an issuer's key set is: in a file, or at a URL. Neither is given where the transmitter of its
// stream says where ([Issuers.Learn]).
type KeySource struct{ File, URL, CAFile string }

// A Stream is how a stream of Shared Signals is kept and read.
type Stream struct {
	Delivery           string        // poll or push
	PushURL            string        // the public address of the receiver, for push
	PollURL            string        // where the transmitter names none, or is not managed
	Unmanaged          bool          // it is read, and not looked after
	Every              time.Duration // between two polls where the transmitter does not hold one open
	Verify             time.Duration // between two verification events; 0 asks for none
	Bearer             Secret        // either this,
	TokenURL, ClientID string        // or client credentials of OAuth
	ClientSecret       Secret
	Scopes             []string
	Events             []string // whole URIs that the rules want
	CAFile             string
	// Sum stands for all that the files say of the stream, the URL and the push of its issuer included: those with the same
	// are the same.
	Sum env.Sum
}

// A Hook is where a recipe's bodies are posted to, and what proves them.
type Hook struct {
	Recipe, Path  string
	Header, Query map[string]Secret
}

// A Publisher may post jobs to /v1/jobs.
type Publisher struct {
	Name   string // a legal subject token
	Bearer Secret
}

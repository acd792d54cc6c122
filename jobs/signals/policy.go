package signals

import (
	"time"
)

// A Policy says who is trusted, and what of theirs becomes a job.
type Policy struct {
	Issuers []Issuer
	Recipes []Recipe
}

// An Issuer signs tokens.
type Issuer struct {
	Name     string   // of the publisher, a legal subject token
	URL      string   // the claim iss, compared exactly
	Audience []string // any of which the claim aud has to hold
	// Algorithms are those of JWS that are taken; RS256 and ES256 if there are none.
	Algorithms []string
	AnyType    bool          // a token needs no typ
	MaxAge     time.Duration // since the claim iat; 30 days if 0
	// Events are the rules by the whole URI of an event. [EventURI] makes one of a short name.
	Events   map[string]EventRule
	Subjects Subjects
	Session  SessionMeaning
	Tenants  []string // one of which a subject's tenant has to be; none asks for nothing
	// RevokeAudience is the audience of calls of Universal Logout; empty if there are none.
	RevokeAudience string
}

// An EventRule says when an event is a revocation.
type EventRule struct {
	Newer           bool     // what began after the event ends, too
	ExceptInitiator []string // values of initiating_entity that are left alone
	// Members have to have one of the values each: credential_type, change_type, current_level, principal and so on.
	Members map[string][]string
}

// SessionMeaning is what the session of a subject means to us.
type SessionMeaning string

// The meanings; empty is Person.
const (
	Person        SessionMeaning = "person"    // the issuer's own: it stands for the person
	IgnoreSession SessionMeaning = "ignore"    // an event about one session is ignored unless it names the user alone
	Commvault     SessionMeaning = "commvault" // its id is the Web Server's
)

// Subjects say whom an issuer's identifiers mean, and whom it may name.
type Subjects struct {
	// Formats are the templates by an identifier's format (RFC 9493); the first that fits counts.
	Formats map[string][]Template
	Domains []string // of e-mail addresses, compared without case; none allows all
	Issuers []string // that the iss of an identifier may be, beside the issuer's own
}

// A Template makes a user of an identifier: "email:{email}", "name:CORP\{externalId}", "map:idp.csv". In recipes what
// is in braces is a JSON pointer: "email:{/data/object/email}".
type Template struct {
	Text string
	Map  Map // of a template that begins with map:
}

// A Map tells whom a subject means, in the form "email:…", "name:…" or "id:…" of a template; ok is false if it does not.
type Map func(subject string) (user string, ok bool)

// A Recipe reads the fixed body of somebody's webhook or CloudEvent by JSON pointers (RFC 6901), of which one part may
// be an asterisk, which stands for each entry of a list.
type Recipe struct {
	Name       string // of the publisher, a legal subject token
	CloudEvent string // the type of CloudEvent that it reads; empty for a webhook
	Each       string // the events within the body; empty: the body is one
	When       map[string][]string
	Users      string // within an event; empty: the event itself
	UserWhen   map[string][]string
	User       Template // within a user
	Time       string   // within an event
	Newer      bool
}

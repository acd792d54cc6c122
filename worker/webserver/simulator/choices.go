package simulator

// Ended is the answer to a document with an ended or unknown ID.
type Ended string

// What can become of a document with an ended or unknown ID. The only public capture shows a 500.
const (
	Ended500    Ended = "500"
	EndedError  Ended = "error" // 200 with an error in the body
	EndedIgnore Ended = "ignore"
)

// Partial is what becomes of the good IDs beside a bad one.
type Partial string

// What can become of the good IDs; none of it is documented. Applying them is hardest on a client.
const (
	PartialApply  Partial = "apply"
	PartialAtomic Partial = "atomic" // nothing is applied
	PartialStop   Partial = "stop"   // those before the first bad one are applied
)

// AfterEffect is how a logoff fails after it took effect.
type AfterEffect string

// Ways to fail after the effect.
const (
	AfterEffectAnswer AfterEffect = "answer" // it does not fail
	AfterEffectReset  AfterEffect = "reset"
	AfterEffectHang   AfterEffect = "hang"
	AfterEffect502    AfterEffect = "502"
	AfterEffect504    AfterEffect = "504"
)

func (e AfterEffect) fault() Fault {
	switch e {
	case AfterEffectReset:
		return Reset(true)
	case AfterEffectHang:
		return Hang(true)
	case AfterEffect502:
		return Status(502)
	default:
		return Status(504)
	}
}

// EMCSessions is what becomes of the sessions of console windows, whose IDs begin with EMC.
type EMCSessions string

// What can become of console windows: the documentation's own sample names one, whether it closes is
// not public.
const (
	EMCSessionsEnd  EMCSessions = "end"
	EMCSessionsStay EMCSessions = "stay" // on, despite the success
)

// NoPermission is the answer to someone without the right to manage users.
type NoPermission string

// Answers to someone without the right.
const (
	NoPermission403   NoPermission = "403"
	NoPermissionError NoPermission = "error" // 200 with an error in the body
	NoPermissionEmpty NoPermission = "empty" // an empty list; to a logoff the IDs of others are unknown
)

// SessionPath is where the session list is.
type SessionPath string

// Paths of the session list.
const (
	SessionPathBoth     SessionPath = "both"
	SessionPathSingular SessionPath = "singular"
	SessionPathPlural   SessionPath = "plural"
)

// Caching is what a proxy does with lists of sessions.
type Caching string

// What proxies do. One that heeds nothing is misconfigured, as those are that keep what is marked no-store.
const (
	CachingNone     Caching = "none"
	CachingObedient Caching = "obedient" // it keeps lists, and asks anew where a request says no-cache
	CachingAge      Caching = "age"      // it heeds nothing, and tells the Age
	CachingSilent   Caching = "silent"   // it heeds nothing and tells nothing; the Date is that of the list
)

// UserNames is how the calls that look up users spell names.
type UserNames string

// Spellings of names. Which call has which is a guess.
const (
	UserNamesMixed   UserNames = "mixed"   // lower case in the old list, display form in its details, as logged in with in V4
	UserNamesLogin   UserNames = "login"   // as logged in with
	UserNamesLower   UserNames = "lower"   // that in lower case
	UserNamesDisplay UserNames = "display" // the full name, as sessions show it
)

// PathBackslash is what becomes of a backslash in a path.
type PathBackslash string

// What web servers make of a backslash in a path. A published client relies on the first; the others
// are what Tomcat and IIS do unless told otherwise, whether they are told is not public.
const (
	PathBackslashAccepted PathBackslash = "accepted"
	PathBackslash400      PathBackslash = "400"
	PathBackslashSlash    PathBackslash = "slash" // it is read as a slash, so that nobody has the name
)

// UnauthorizedBody is what a 401 holds.
type UnauthorizedBody string

// Bodies of a 401; the real one is not public.
const (
	UnauthorizedRotate UnauthorizedBody = "rotate" // the others in turn
	UnauthorizedEmpty  UnauthorizedBody = "empty"
	UnauthorizedText   UnauthorizedBody = "text"
	UnauthorizedJSON   UnauthorizedBody = "json"
	UnauthorizedHTML   UnauthorizedBody = "html"
)

// Renewal is how the renewal of an access token ends.
type Renewal string

// Ends of a renewal, all seen by clients. Those with a status refuse it and leave the pair as it is,
// all others rotate it.
const (
	Renewal200       Renewal = "200"
	RenewalMangled   Renewal = "mangled"    // the key tokenExpiryTimestamp is damaged, the answer no JSON any more
	RenewalExpiresIn Renewal = "expires-in" // seconds instead of that timestamp
	Renewal403       Renewal = "403"
	Renewal404       Renewal = "404" // a server before 11.38; a pair that is unknown gets one in any case
	Renewal450       Renewal = "450"
	Renewal500       Renewal = "500"
	RenewalLost      Renewal = "lost" // the connection is reset after the rotation
)

// RenewalHeader is whether a renewal may have the old token in its header.
type RenewalHeader string

// What a server makes of the header. Published clients try with it, and on 401 without.
const (
	RenewalHeaderAccepted RenewalHeader = "accepted" // it may be there or not
	RenewalHeaderRefused  RenewalHeader = "refused"  // 401 with it
	RenewalHeaderNeeded   RenewalHeader = "needed"   // 401 without it
)

// LimitHint is what a 429 says about when to come back.
type LimitHint string

// Hints in a 429. SaaS documents X-RateLimit-Limit and X-RateLimit-Period; Retry-After is
// documented nowhere, but gateways in between send it.
const (
	LimitHintNone       LimitHint = "none"
	LimitHintSeconds    LimitHint = "seconds"
	LimitHintDate       LimitHint = "date"
	LimitHintXRateLimit LimitHint = "x-ratelimit"
)

package simulator

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Settings are the switches. The zero value is the faithful default and has no latency; the fields
// that are zero then show what they stand for.
type Settings struct {
	// Ended is the answer to a document that holds an ended or unknown ID.
	Ended Ended `json:"ended"`
	// Partial is what becomes of the other IDs in such a document.
	Partial Partial `json:"partial"`
	// BadIDs are IDs that make any document that holds them fail with the status given. Below 500
	// nothing of the document is applied, from 500 on Partial decides. Case does not matter.
	BadIDs map[string]int `json:"badIDs"`
	// AfterEffect is how a logoff fails after it took effect.
	AfterEffect AfterEffect `json:"afterEffect"`
	// EffectDelay passes between the success of a logoff and the logoutTime, with which the session's
	// token dies, too. Until then the session is on for everybody, another logoff of it succeeds.
	EffectDelay time.Duration `json:"effectDelay"`
	// EMCSessions is what becomes of the sessions of CommCell Console windows in a logoff that succeeds.
	EMCSessions EMCSessions `json:"emcSessions"`
	// DropBody is a proxy that drops the bodies of DELETE requests: the Web Server sees an empty
	// document, which succeeds. The journal still has the body that was sent.
	DropBody bool `json:"dropBody"`
	// NoPermission is the answer to someone who reads or ends another person's sessions and may not.
	NoPermission NoPermission `json:"noPermission"`
	// UnauthorizedBody is what a 401 holds.
	UnauthorizedBody UnauthorizedBody `json:"unauthorizedBody"`
	// NumbersAsText puts the numbers in JSON answers in quotes, as some captured answers have them.
	NumbersAsText bool `json:"numbersAsText"`

	// SessionPath is where the session list is: older pages have the singular, newer the plural. The
	// other path is a 404. A logoff is DELETE /Sessions in any case.
	SessionPath SessionPath `json:"sessionPath"`
	// NoV4Users and NoOldUsers take away the calls that look up users: 404. A version before SP32 has
	// no V4 calls; that a version has lost the old ones is a guess.
	NoV4Users  bool `json:"noV4Users"`
	NoOldUsers bool `json:"noOldUsers"`
	// UserNames is how the calls that look up users spell names.
	UserNames UserNames `json:"userNames"`
	// UserListLimit is how many users a list holds that asks for no limit of its own; 0 is all, as
	// documented for the old call. That there can be such a limit is a guess.
	UserListLimit int `json:"userListLimit"`

	// Maintenance answers GET and DELETE with a page and status 200, and POST with a page and 405.
	Maintenance bool `json:"maintenance"`
	// Down is the status of every answer, such as 503; 0 is up, and DownReset resets every connection.
	Down int `json:"down"`
	// Firewall answers 403 and a page to clients without a User-Agent or with that of a library.
	Firewall bool `json:"firewall"`
	// RateLimit is the number of requests per second that pass in the long run; 0 is no limit.
	RateLimit float64 `json:"rateLimit"`
	// RateBurst is how many requests may come at once under RateLimit; 0 is one second's worth.
	RateBurst int `json:"rateBurst"`
	// WritesPerHour and ReadsPerHour are quotas per clock hour; GET is a read, all else is a write. SaaS
	// has 100 and 1,000. 0 is no quota. That the hour is the clock's is a guess.
	WritesPerHour int `json:"writesPerHour"`
	ReadsPerHour  int `json:"readsPerHour"`
	// LimitHint is what a 429 says about when to come back.
	LimitHint LimitHint `json:"limitHint"`

	// LatencyFixed passes before any answer, LatencyPerSession for each session of a document, too.
	LatencyFixed      time.Duration `json:"latencyFixed"`
	LatencyPerSession time.Duration `json:"latencyPerSession"`
	// Concurrency is how many requests are served at once, the rest wait in line; 0 is no limit.
	Concurrency int `json:"concurrency"`
	// DocumentLimit is the largest request body in bytes; 0 is no limit. DocumentLimitStatus is the
	// answer to a larger one: 400 (default), 404 with IIS's page, or 413.
	DocumentLimit       int `json:"documentLimit"`
	DocumentLimitStatus int `json:"documentLimitStatus"`

	// SessionTimeout is how long a QSDK token lives unused, unless its login said otherwise; default
	// 30 minutes.
	SessionTimeout time.Duration `json:"sessionTimeout"`
	// LockoutAfter failed logins within LockoutWithin (default one hour) lock an account for
	// LockoutFor (default 24 hours); 0 never does, as on a fresh server.
	LockoutAfter  int           `json:"lockoutAfter"`
	LockoutWithin time.Duration `json:"lockoutWithin"`
	LockoutFor    time.Duration `json:"lockoutFor"`
	// AccessTokenLife is how long an access token lives from its issue, used or not; default 30
	// minutes. It can be renewed for AccessTokenGrace (default 14 days) after that.
	AccessTokenLife  time.Duration `json:"accessTokenLife"`
	AccessTokenGrace time.Duration `json:"accessTokenGrace"`
	// Renewal is how the renewal of an access token ends.
	Renewal Renewal `json:"renewal"`
	// RenewalDelay passes between the rotation of the pair and the answer that tells the new one.
	RenewalDelay time.Duration `json:"renewalDelay"`
	// RenewalHeader is whether a renewal may have the old token in its header, too.
	RenewalHeader RenewalHeader `json:"renewalHeader"`
	// BearerSessions makes a session of whoever calls with an access token. Whether the real server
	// does is not public.
	BearerSessions bool `json:"bearerSessions"`
	// ListLimit is how many sessions of one person a list holds, newest first; default 50.
	ListLimit int `json:"listLimit"`
	// JournalLimit is how many requests the journal keeps, newest first; default 100,000.
	JournalLimit int `json:"journalLimit"`
}

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

// UserNames is how the calls that look up users spell names.
type UserNames string

// Spellings of names. Which call has which is a guess.
const (
	UserNamesMixed   UserNames = "mixed"   // lower case in the old list, display form in its details, as logged in with in V4
	UserNamesLogin   UserNames = "login"   // as logged in with
	UserNamesLower   UserNames = "lower"   // that in lower case
	UserNamesDisplay UserNames = "display" // the full name, as sessions show it
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

// DownReset as Down resets every connection.
const DownReset = -1

func (s Settings) clone() Settings {
	s.BadIDs = maps.Clone(s.BadIDs)
	return s
}

// Check returns everything that is wrong with the settings, nil if nothing is.
func (s Settings) Check() error { return s.complete() }

// complete puts the defaults in and returns everything that is wrong.
func (s *Settings) complete() error {
	s.fill()
	badIDs := make(map[string]int, len(s.BadIDs))
	faults := s.negatives()
	for id, status := range s.BadIDs {
		badIDs[strings.ToUpper(id)] = status
		faults = append(faults, within("badIDs", status, 400, 599))
	}
	s.BadIDs = badIDs
	if s.Down != 0 && s.Down != DownReset {
		faults = append(faults, within("down", s.Down, 200, 599))
	}
	return errors.Join(append(faults,
		oneOf("ended", s.Ended, Ended500, EndedError, EndedIgnore),
		oneOf("partial", s.Partial, PartialApply, PartialAtomic, PartialStop),
		oneOf("afterEffect", s.AfterEffect, AfterEffectAnswer, AfterEffectReset, AfterEffectHang, AfterEffect502, AfterEffect504),
		oneOf("emcSessions", s.EMCSessions, EMCSessionsEnd, EMCSessionsStay),
		oneOf("noPermission", s.NoPermission, NoPermission403, NoPermissionError, NoPermissionEmpty),
		oneOf("unauthorizedBody", s.UnauthorizedBody, UnauthorizedRotate, UnauthorizedEmpty, UnauthorizedText, UnauthorizedJSON, UnauthorizedHTML),
		oneOf("sessionPath", s.SessionPath, SessionPathBoth, SessionPathSingular, SessionPathPlural),
		oneOf("userNames", s.UserNames, UserNamesMixed, UserNamesLogin, UserNamesLower, UserNamesDisplay),
		oneOf("renewal", s.Renewal, Renewal200, RenewalMangled, RenewalExpiresIn, Renewal403, Renewal404, Renewal450, Renewal500, RenewalLost),
		oneOf("renewalHeader", s.RenewalHeader, RenewalHeaderAccepted, RenewalHeaderRefused, RenewalHeaderNeeded),
		oneOf("limitHint", s.LimitHint, LimitHintNone, LimitHintSeconds, LimitHintDate, LimitHintXRateLimit),
		oneOf("documentLimitStatus", s.DocumentLimitStatus, 400, 404, 413),
	)...)
}

// negatives are the numbers that are below zero, or no numbers.
func (s *Settings) negatives() (faults []error) {
	numbers := map[string]float64{
		"rateLimit": s.RateLimit, "rateBurst": float64(s.RateBurst), "writesPerHour": float64(s.WritesPerHour), "readsPerHour": float64(s.ReadsPerHour),
		"latencyFixed": float64(s.LatencyFixed), "latencyPerSession": float64(s.LatencyPerSession), "concurrency": float64(s.Concurrency),
		"documentLimit": float64(s.DocumentLimit), "sessionTimeout": float64(s.SessionTimeout), "lockoutAfter": float64(s.LockoutAfter),
		"lockoutWithin": float64(s.LockoutWithin), "lockoutFor": float64(s.LockoutFor), "accessTokenLife": float64(s.AccessTokenLife),
		"accessTokenGrace": float64(s.AccessTokenGrace), "listLimit": float64(s.ListLimit), "userListLimit": float64(s.UserListLimit), "effectDelay": float64(s.EffectDelay), "renewalDelay": float64(s.RenewalDelay), "journalLimit": float64(s.JournalLimit),
	}
	for _, name := range slices.Sorted(maps.Keys(numbers)) {
		if !(numbers[name] >= 0) {
			faults = append(faults, fmt.Errorf("%s is %v, want 0 or more", name, numbers[name]))
		}
	}
	return faults
}

func (s *Settings) fill() {
	defaultTo(&s.Ended, Ended500)
	defaultTo(&s.Partial, PartialApply)
	defaultTo(&s.AfterEffect, AfterEffectAnswer)
	defaultTo(&s.EMCSessions, EMCSessionsEnd)
	defaultTo(&s.NoPermission, NoPermission403)
	defaultTo(&s.UnauthorizedBody, UnauthorizedRotate)
	defaultTo(&s.SessionPath, SessionPathBoth)
	defaultTo(&s.UserNames, UserNamesMixed)
	defaultTo(&s.LimitHint, LimitHintNone)
	defaultTo(&s.DocumentLimitStatus, 400)
	defaultTo(&s.SessionTimeout, 30*time.Minute)
	defaultTo(&s.LockoutWithin, time.Hour)
	defaultTo(&s.LockoutFor, 24*time.Hour)
	defaultTo(&s.AccessTokenLife, 30*time.Minute)
	defaultTo(&s.AccessTokenGrace, 14*24*time.Hour)
	defaultTo(&s.Renewal, Renewal200)
	defaultTo(&s.RenewalHeader, RenewalHeaderAccepted)
	defaultTo(&s.ListLimit, 50)
	defaultTo(&s.JournalLimit, 100_000)
}

func defaultTo[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func oneOf[T comparable](name string, value T, allowed ...T) error {
	if !slices.Contains(allowed, value) {
		return fmt.Errorf("%s is %v, want one of %v", name, value, allowed)
	}
	return nil
}

func within(name string, value, low, high int) error {
	if value < low || value > high {
		return fmt.Errorf("%s has the status %d, want %d to %d", name, value, low, high)
	}
	return nil
}

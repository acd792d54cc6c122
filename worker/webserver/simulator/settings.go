package simulator

import (
	"maps"
	"time"
)

// Settings are the switches. The zero value is the faithful default and has no latency. The settings that the
// control address shows have the defaults filled in.
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
	// PathBackslash is what becomes of the backslash of DOMAIN\name in a path, encoded or not.
	PathBackslash PathBackslash `json:"pathBackslash"`
	// UserListLimit is how many users a list holds that asks for no limit of its own; 0 is all, as
	// documented for the old call. That there can be such a limit is a guess.
	UserListLimit int `json:"userListLimit"`

	// HiddenCompany is the CompanyID of a company whose sessions nobody else sees, administrators included: to
	// them each list is empty, and the sessions are unknown IDs. 0 is none. HiddenUsers hides its users, too.
	HiddenCompany int  `json:"hiddenCompany"`
	HiddenUsers   bool `json:"hiddenUsers"`
	// UnlistedUser is a userId whose sessions nobody else may list, administrators included: 403. They can be
	// ended. 0 is nobody. That a server refuses the one and allows the other is a guess.
	UnlistedUser int `json:"unlistedUser"`

	// Caching is what a proxy in front does with lists of sessions, which it keeps for CacheLife (default 5
	// minutes).
	Caching   Caching       `json:"caching"`
	CacheLife time.Duration `json:"cacheLife"`
	// ClockOffset is how far the Web Server's clock is ahead of ours, or behind where it is negative: that of
	// the Date header and of all times of sessions and users.
	ClockOffset time.Duration `json:"clockOffset"`
	// FrozenDate has every answer show the date at which the Server was made.
	FrozenDate bool `json:"frozenDate"`

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
	// LatencyTail passes in addition for a random share of all requests, LatencyTailRate, from 0 to 1.
	LatencyTail     time.Duration `json:"latencyTail"`
	LatencyTailRate float64       `json:"latencyTailRate"`
	// Concurrency is how many requests are served at once; the rest wait; 0 is no limit.
	Concurrency int `json:"concurrency"`
	// DocumentLimit is the largest request body in bytes; 0 is no limit. DocumentLimitStatus is the
	// answer to a larger one: 400 (default), 404 with IIS's page, or 413.
	DocumentLimit       int `json:"documentLimit"`
	DocumentLimitStatus int `json:"documentLimitStatus"`

	// SessionTimeout is how long a QSDK token lives unused, unless its login said otherwise; default
	// 30 minutes.
	SessionTimeout time.Duration `json:"sessionTimeout"`
	// V10Login answers a login that accepts JSON in the way of very old servers, as a copy of the XML.
	V10Login bool `json:"v10Login"`
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

// DownReset as Down resets every connection.
const DownReset = -1

func (s Settings) clone() Settings {
	s.BadIDs = maps.Clone(s.BadIDs)
	return s
}

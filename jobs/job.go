// Package jobs is what travels between publishers, workers and readers of results: the [Job], its
// [Result], the [DeadLetter], and the [Subjects] they travel on.
//
// [Decode] takes foreign bytes and is strict: what it accepts obeys every rule of the contract, and
// what it refuses is refused with the place and the reason in words, free of control characters. A
// session ID is never changed on the way, and no text of a job is lost between decoding and the
// result that echoes it.
//
// The package knows bytes, maps and strings only. Publishing, acknowledging and the Web Server's
// own documents are other packages' business.
package jobs

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	// MaxSessions and MaxUsers are the most that one job may name.
	MaxSessions = 10_000
	MaxUsers    = 1_000
	// MaxNotes is the most bytes that a job's reason, requestedBy and labels may have together.
	MaxNotes = 16 << 10
	// MaxIDLength is the most characters of a job's id, and of a publisher's name.
	MaxIDLength = 64

	maxUserText     = 256 // bytes of a user's name or e-mail address
	maxLooseSession = 128 // bytes of a session ID where loose ones are admitted
)

// A Job asks for the end of sessions: those it names, and those of the people it names.
type Job struct {
	// ID is the publisher's own; [Identify] says what stands in for one that is empty.
	ID       string    `json:"id,omitzero"`
	Sessions []Session `json:"sessions,omitempty"`
	Users    []User    `json:"users,omitempty"`
	// Reason, RequestedBy and Labels are the publisher's notes. They are echoed in the result and
	// prove nothing: who published is known by the subject alone.
	Reason      string `json:"reason,omitzero"`
	RequestedBy string `json:"requestedBy,omitzero"`
	// EventTime is when that happened which the job answers. NotAfter is when it is too late to
	// send anything; zero means never.
	EventTime time.Time `json:"eventTime,omitzero"`
	NotAfter  time.Time `json:"notAfter,omitzero"`
	// IncludeNewer ends sessions of people that began after EventTime too.
	IncludeNewer bool              `json:"includeNewer,omitzero"`
	Labels       map[string]string `json:"labels,omitempty"`
}

// A Session is named by the Web Server's ID for it. UserID is its owner, without whom it cannot be
// read back; zero when the publisher does not know. In JSON it is a string, or an object of both.
type Session struct {
	ID     string
	UserID int64
}

// A User is named by exactly one of these.
type User struct {
	ID    int64  `json:"id,omitzero"`
	Name  string `json:"name,omitzero"`
	Email string `json:"email,omitzero"`
}

// Rules are a deployment's own rules for jobs.
type Rules struct {
	// LooseIDs admits any visible ASCII as a session ID, up to 128 bytes, instead of a GUID with or
	// without EMC before it.
	LooseIDs bool
	// MaxBytes is the size of the largest result that can be stored. A job is refused when its
	// result may need more even without details. 0 means no limit.
	MaxBytes int
}

// Encode returns the job as [Decode] reads it, members and labels in a fixed order.
func (j Job) Encode() ([]byte, error) {
	return json.Marshal(j, json.Deterministic(true))
}

// Validate tells whether a worker with these rules would accept the job; if not, the error is an
// [*InvalidError].
func (j Job) Validate(rules Rules) error {
	if invalid := j.normalize(rules); invalid != nil {
		return invalid
	}
	return nil
}

// normalize checks the job and names each of its sessions once.
func (j *Job) normalize(rules Rules) *InvalidError {
	if j.ID != "" {
		if err := LegalID(j.ID); err != nil {
			return invalidAt("/id", "%v", err)
		}
	}
	if len(j.Sessions) == 0 && len(j.Users) == 0 {
		return invalidAt("", "the job names no session and no user; at least one is needed")
	}
	if len(j.Sessions) > MaxSessions {
		return invalidAt("/sessions", "%v", errManySessions)
	}
	for i, s := range j.Sessions {
		if err := rules.checkSession(s); err != nil {
			return invalidAt("/sessions/"+strconv.Itoa(i), "%v", err)
		}
	}
	if len(j.Users) > MaxUsers {
		return invalidAt("/users", "%v", errManyUsers)
	}
	for i, u := range j.Users {
		if err := u.check(); err != nil {
			return invalidAt("/users/"+strconv.Itoa(i), "%v", err)
		}
	}
	if invalid := j.checkNotes(); invalid != nil {
		return invalid
	}
	if invalid := j.mergeSessions(); invalid != nil {
		return invalid
	}
	return j.checkSize(rules.MaxBytes)
}

func (r Rules) checkSession(s Session) error {
	if s.UserID < 0 {
		return refused("the userId %d is negative", s.UserID)
	}
	return r.checkSessionID(s.ID)
}

func (r Rules) checkSessionID(id string) error {
	switch {
	case id == "":
		return refused("the session ID is empty")
	case r.LooseIDs && !visibleASCII(id):
		return refused("%s is no session ID; 1 to %d visible ASCII characters are accepted", quote(id), maxLooseSession)
	case !r.LooseIDs && !isGUID(strings.TrimPrefix(id, "EMC")):
		return refused("%s is no session ID; a GUID is accepted, with or without EMC before it", quote(id))
	}
	return nil
}

func visibleASCII(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) <= maxLooseSession
}

func isGUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case c >= '0' && c <= '9', c >= 'A' && c <= 'F', c >= 'a' && c <= 'f':
		default:
			return false
		}
	}
	return true
}

func (u User) check() error {
	named := 0
	for _, given := range []bool{u.ID != 0, u.Name != "", u.Email != ""} {
		if given {
			named++
		}
	}
	text := u.Name + u.Email
	switch {
	case named != 1:
		return refused("a user is named by exactly one of id, name and email")
	case u.ID < 0:
		return refused("the user id %d is negative", u.ID)
	case len(text) > maxUserText:
		return refused("%s is longer than %d bytes", quote(text), maxUserText)
	case !printable(text):
		return refused("%s contains control or invisible characters", quote(text))
	case u.Email != "" && !strings.Contains(u.Email, "@"):
		return refused("%s is no e-mail address", quote(text))
	}
	return nil
}

func (j *Job) checkNotes() *InvalidError {
	bytes := len(j.Reason) + len(j.RequestedBy)
	valid := utf8.ValidString(j.Reason) && utf8.ValidString(j.RequestedBy)
	for name, value := range j.Labels {
		bytes += len(name) + len(value)
		valid = valid && utf8.ValidString(name) && utf8.ValidString(value)
	}
	switch {
	case !valid:
		return invalidAt("", "reason, requestedBy or labels are not valid UTF-8")
	case bytes > MaxNotes:
		return invalidAt("", "reason, requestedBy and labels have %d bytes together; at most %d are accepted", bytes, MaxNotes)
	}
	return nil
}

// mergeSessions leaves one entry for each spelling of a session ID. The slice it was given stays as
// it is: it may be a caller's.
func (j *Job) mergeSessions() *InvalidError {
	if len(j.Sessions) < 2 {
		return nil
	}
	first := make(map[string]int, len(j.Sessions))
	var merged []Session // nil until a session comes again
	for i, s := range j.Sessions {
		at, again := first[s.ID]
		switch {
		case !again:
			first[s.ID] = len(first)
			if merged != nil {
				merged = append(merged, s)
			}
			continue
		case merged == nil:
			merged = slices.Clone(j.Sessions[:i])
		}
		if owner := merged[at].UserID; owner != 0 && s.UserID != 0 && owner != s.UserID {
			return invalidAt("/sessions/"+strconv.Itoa(i), "the session %s is named twice, with the owners %d and %d", quote(s.ID), owner, s.UserID)
		}
		merged[at].UserID = max(merged[at].UserID, s.UserID)
	}
	if merged != nil {
		j.Sessions = merged
	}
	return nil
}

// MarshalJSONTo writes a string for a session without an owner, and an object for one with.
func (s Session) MarshalJSONTo(enc *jsontext.Encoder) error {
	if s.UserID == 0 {
		return enc.WriteToken(jsontext.String(s.ID))
	}
	return json.MarshalEncode(enc, ownedSession(s))
}

// UnmarshalJSONFrom reads either form.
func (s *Session) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	switch dec.PeekKind() {
	case '"':
		token, err := dec.ReadToken()
		if err == nil {
			*s = Session{ID: token.String()}
		}
		return err
	case '{':
		return json.UnmarshalDecode(dec, (*ownedSession)(s))
	}
	token, err := dec.ReadToken()
	if err != nil {
		return err
	}
	return &json.SemanticError{
		JSONPointer: dec.StackPointer(), // otherwise the list would be blamed
		Err:         refused(`%s found; a session is a string, or an object {"id": …, "userId": …}`, kindWords[token.Kind()]),
	}
}

type ownedSession struct {
	ID     string `json:"id"`
	UserID int64  `json:"userId,omitzero"`
}

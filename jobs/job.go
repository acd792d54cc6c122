// Package jobs is what travels between publishers, workers and readers of results: the [Job], its
// [Result], the [DeadLetter], and the [Subjects] they travel on.
//
// [Decode] takes foreign bytes. What is meant in one way only it takes as it is meant, and what it refuses
// is refused with the place and the reason in words, free of control characters: an entry alone where it
// can. A session ID is never changed into another, and no text of a job is lost without a word between
// decoding and the result that echoes it. README.md is the contract.
//
// The package knows bytes, maps and strings only. Publishing, acknowledging and the Web Server's
// own documents are other packages' business.
package jobs

import (
	"slices"
	"strconv"
	"strings"
	"time"

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

	maxUserText = 256 // bytes of a user's name or e-mail address
	maxText     = 128 // bytes of a session ID, with what is around it, and of an entry that is echoed in its place
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
	// Remarks say in words what of the job could not be read, and what that came to.
	Remarks []string `json:"-"`
}

// A Session is named by the Web Server's ID for it, as it is sent. UserID is its owner, without whom it
// cannot be read back; zero when the publisher does not know. In JSON it is a string, or an object of both.
// One with a wrong entry has neither, and is not worked.
type Session struct {
	ID     string
	UserID int64
	Entry  *Entry
}

// Spelled is the ID as the job has it.
func (s Session) Spelled() string {
	if s.Entry != nil {
		return s.Entry.Text
	}
	return s.ID
}

// Wrong says why the session cannot be worked; it is empty if it can.
func (s Session) Wrong() string { return s.Entry.wrong() }

// A User is named by exactly one of these. One with a wrong entry has none, and is not worked.
type User struct {
	ID    int64  `json:"id,omitzero"`
	Name  string `json:"name,omitzero"`
	Email string `json:"email,omitzero"`
	Entry *Entry `json:"-"`
}

// Wrong says why the user cannot be worked; it is empty if it can.
func (u User) Wrong() string { return u.Entry.wrong() }

// spelled is the user as the job has it; one with a wrong entry has that as its name.
func (u User) spelled() User {
	switch {
	case u.Entry == nil:
	case u.Email != "":
		u.Email = u.Entry.Text
	default:
		u.Name = u.Entry.Text
	}
	return u
}

// Result is what became of the user, who is named as the job has it.
func (u User) Result(outcome UserOutcome) UserResult {
	u = u.spelled()
	return UserResult{ID: u.ID, Name: u.Name, Email: u.Email, Outcome: outcome}
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

// Remark is what its remarks say together, as far as there is room for it in a result.
func (j Job) Remark() string {
	const most = 10
	remarks := j.Remarks
	if len(remarks) > most {
		remarks = append(slices.Clip(remarks[:most]), "and "+strconv.Itoa(len(remarks)-most)+" more")
	}
	return strings.Join(remarks, "; ")
}

// Encode returns the job as [Decode] reads it, members and labels in a fixed order, its entries as they
// came.
func (j Job) Encode() ([]byte, error) {
	return json.Marshal(j, json.Deterministic(true), jsontext.PreserveRawStrings(true))
}

// normalize checks the job, reads its entries as they are meant, and names each of its sessions once.
func (j *Job) normalize(rules Rules) *InvalidError {
	j.admitNotes()
	wrong := 0
	var first *InvalidError
	count := func(list string, i int, why string) {
		if wrong++; first == nil {
			first = invalidAt(list+strconv.Itoa(i), "%s", why)
		}
	}
	for i, s := range j.Sessions {
		if s = rules.admit(s); s.Wrong() != "" {
			count("/sessions/", i, s.Wrong())
		}
		j.Sessions[i] = s
	}
	for i, u := range j.Users {
		if u = u.admit(); u.Wrong() != "" {
			count("/users/", i, u.Wrong())
		}
		j.Users[i] = u
	}
	switch all := len(j.Sessions) + len(j.Users); {
	case all == 0:
		return invalidAt("", "the job names no session and no user; at least one is needed")
	case wrong == all:
		return first
	}
	j.mergeSessions()
	return j.checkSize(rules.MaxBytes)
}

func visibleASCII(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) <= maxText
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
		return errOneName
	case len(text) > maxUserText:
		return refused("%s is longer than %d bytes", quote(text), maxUserText)
	case !printable(text):
		return refused("%s contains control or invisible characters", quote(text))
	case u.Email != "" && !strings.Contains(u.Email, "@"):
		return refused("%s is no e-mail address", quote(text))
	}
	return nil
}

// contradicted stands for the owner of a session for whom several are named.
const contradicted = -1

// mergeSessions leaves one entry for each spelling of a session ID.
func (j *Job) mergeSessions() {
	if len(j.Sessions) < 2 {
		return
	}
	first := make(map[string]int, len(j.Sessions))
	merged := j.Sessions[:0]
	for _, s := range j.Sessions {
		key := s.Spelled()
		if s.Wrong() != "" {
			key = "wrong " + s.Entry.JSON // no ID has a space within
		}
		at, again := first[key]
		if !again {
			first[key] = len(merged)
			merged = append(merged, s)
			continue
		}
		switch owner := &merged[at].UserID; {
		case s.UserID == 0 || s.UserID == *owner || *owner == contradicted:
		case *owner == 0:
			*owner = s.UserID
		default:
			j.remark("/sessions", refused("the session %s is named twice, with the owners %d and %d", quote(s.ID), *owner, s.UserID), "worked without an owner")
			*owner = contradicted
		}
	}
	for i := range merged {
		merged[i].UserID = max(0, merged[i].UserID)
	}
	clear(j.Sessions[len(merged):])
	j.Sessions = merged
}

func (e *Entry) wrong() string {
	if e == nil {
		return ""
	}
	return e.Wrong
}

// MarshalJSONTo writes a string for a session without an owner, and an object for one with; what is wrong
// as it came.
func (s Session) MarshalJSONTo(enc *jsontext.Encoder) error {
	switch {
	case s.Wrong() != "":
		return enc.WriteValue(jsontext.Value(s.Entry.JSON))
	case s.UserID == 0:
		return enc.WriteToken(jsontext.String(s.Spelled()))
	}
	return json.MarshalEncode(enc, struct {
		ID     string `json:"id"`
		UserID int64  `json:"userId"`
	}{s.Spelled(), s.UserID})
}

// MarshalJSONTo writes what is wrong as it came.
func (u User) MarshalJSONTo(enc *jsontext.Encoder) error {
	if u.Wrong() != "" {
		return enc.WriteValue(jsontext.Value(u.Entry.JSON))
	}
	type plain User
	return json.MarshalEncode(enc, plain(u.spelled()))
}

package jobs

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// An Outcome is what became of one session.
type Outcome string

// The outcomes.
const (
	LoggedOff        Outcome = "logged_off"         // accepted, and read back as ended
	Accepted         Outcome = "accepted"           // the server said yes; not read back
	AlreadyLoggedOff Outcome = "already_logged_off" // read back as ended before our call
	NotFound         Outcome = "not_found"          // not in a list that is known to be complete
	StillActive      Outcome = "still_active"       // sent, yet read back as on at the last look
	Undecided        Outcome = "undecided"          // the server gave no verdict
	Rejected         Outcome = "rejected"           // the server refused a document that held this session alone
	Protected        Outcome = "protected"          // not sent: the worker's own session, or a protected one
	Expired          Outcome = "expired"            // notAfter passed before it could be sent
	InvalidSession   Outcome = "invalid"            // what the job has in its place is no session ID
	HeldSession      Outcome = "held"               // not sent: its job waits for somebody to approve it
)

// Outcomes lists them, those that are a success first.
var Outcomes = []Outcome{LoggedOff, Accepted, AlreadyLoggedOff, NotFound, StillActive, Undecided, Rejected, Protected, Expired, InvalidSession, HeldSession}

// Success reports whether the job got what it asked for, as far as anybody could tell. An outcome that
// this version does not know is no success.
func (o Outcome) Success() bool { return o.Over() || o == Accepted }

// Over reports whether the session is known to be over.
func (o Outcome) Over() bool {
	switch o {
	case LoggedOff, AlreadyLoggedOff, NotFound:
		return true
	}
	return false
}

// A Status is what became of a job.
type Status string

// The statuses.
const (
	Done        Status = "done"     // every session is known to be over, and every user off
	AcceptedJob Status = "accepted" // the same, but for sessions of which the server said yes and no more is known
	Partial     Status = "partial"  // some sessions or users a success
	Failed      Status = "failed"   // none
	ExpiredJob  Status = "expired"  // nothing was sent before notAfter
	Invalid     Status = "invalid"  // could not be decoded
	Held        Status = "held"     // waits for somebody to approve it; nothing was sent
	Ignored     Status = "ignored"  // an event for which nobody's session is to be ended, or one that was worked before
)

// Statuses lists them, those that are a success first.
var Statuses = []Status{Done, AcceptedJob, Partial, Failed, ExpiredJob, Invalid, Held, Ignored}

// Success reports whether nothing is left to do, so that there is no dead letter.
func (s Status) Success() bool { return s == Done || s == AcceptedJob || s == Ignored }

// ResultVersion is the version of results that this package writes. Later versions only add.
const ResultVersion = 1

// StatusHeader is the header of a result's message that repeats its [Status], by which readers choose without decoding.
// A message without it is no result: a user of NATS can have its own questions answered on any subject.
const StatusHeader = "Logoff-Status"

// A Result says what became of a job.
type Result struct {
	Version   int    `json:"version"`
	JobID     string `json:"jobId"`
	Status    Status `json:"status"`
	Lane      Lane   `json:"lane"`
	Publisher string `json:"publisher,omitzero"` // as the subject names it
	// Sessions are those that the job names, then those that were found through its users.
	Sessions []SessionResult `json:"sessions"`
	Users    []UserResult    `json:"users,omitempty"`
	Counts   map[Outcome]int `json:"counts"`
	// UsersLeft is how many of the job's users are not known to be off.
	UsersLeft int `json:"usersLeft,omitzero"`
	// Error says in words why the job is invalid, or what of it could not be read, and what that came to.
	Error          string    `json:"error,omitzero"`
	RequestedAt    time.Time `json:"requestedAt"` // stored in the stream
	ReceivedAt     time.Time `json:"receivedAt"`
	CompletedAt    time.Time `json:"completedAt"`
	TimeToLogoffMS int64     `json:"timeToLogoffMs"` // from RequestedAt to CompletedAt
	EventTime      time.Time `json:"eventTime,omitzero"`
	Worker         string    `json:"worker"`
	Deliveries     int       `json:"deliveries"`
	// The job's notes, as it had them.
	Reason      string            `json:"reason,omitzero"`
	RequestedBy string            `json:"requestedBy,omitzero"`
	Labels      map[string]string `json:"labels,omitempty"`
	// Traceparent is the job's trace context, as its publisher gave it.
	Traceparent Trace `json:"traceparent,omitzero"`
	// HeldSHA256 is the hash, in hexadecimal digits, of the message of a job that is held: what is approved has to be
	// what was held.
	HeldSHA256 string `json:"heldSha256,omitzero"`
	// Approves is the subject of the result of the job that was held, and ApprovedBy who approved it, as the subject
	// of the approved job names them.
	Approves   string `json:"approves,omitzero"`
	ApprovedBy string `json:"approvedBy,omitzero"`
	// Steps are what was done for the job, in the order in which it was, where it took more than one request or was
	// not done. StepsLeft is how many of them there is no room for.
	Steps     []Step `json:"steps,omitempty"`
	StepsLeft int    `json:"stepsLeft,omitzero"`
	// Signal is the event of a security system that the job answers.
	Signal *Signal `json:"signal,omitempty"`
	// Repeats is the subject of the result of a job that answered the same event before, for which this one is ignored.
	Repeats string `json:"repeats,omitzero"`
	// EventToEndedMS is how long it was from EventTime to CompletedAt; it is there where nothing is left of the job.
	EventToEndedMS int64 `json:"eventToEndedMs,omitzero"`
	// Trimmed means that attempts, request ids and server texts were left out, and if need be the
	// sessions of users who are off, so that the result fits into one message.
	Trimmed bool `json:"trimmed,omitzero"`
}

// A Step is something that was done for a job.
type Step struct {
	AtMS      int64  `json:"atMs"` // when it ended, since the job was stored
	What      string `json:"what"`
	RequestID string `json:"requestId,omitzero"`
	Verdict   string `json:"verdict,omitzero"` // what came of it
	TookMS    int64  `json:"tookMs,omitzero"`
}

// A SessionResult says what became of one session, spelled as the job spelled it.
type SessionResult struct {
	ID         string  `json:"id"`
	UserID     int64   `json:"userId,omitzero"`
	Outcome    Outcome `json:"outcome"`
	RequestID  string  `json:"requestId,omitzero"`
	Attempts   int     `json:"attempts,omitzero"`
	ServerText string  `json:"serverText,omitzero"`
	// Error says in words what is wrong with an entry that is no session ID.
	Error string `json:"error,omitzero"`
	// Found says that the job did not name the session, but its user.
	Found bool `json:"found,omitzero"`
}

// A UserOutcome is what became of one user.
type UserOutcome string

// The outcomes of users.
const (
	UserOff         UserOutcome = "off"          // nothing is on that began before the event
	UserNothingOn   UserOutcome = "nothing_on"   // nothing was on to begin with
	UserUnknown     UserOutcome = "unknown"      // the Web Server knows nobody of that name
	UserStillActive UserOutcome = "still_active" // something is on at the last look
	UserUndecided   UserOutcome = "undecided"    // the Web Server did not say who it is, or what is on
	UserProtected   UserOutcome = "protected"    // left alone
	UserExpired     UserOutcome = "expired"      // notAfter passed before anything could be done
	UserInvalid     UserOutcome = "invalid"      // what the job has in its place names nobody
	UserHeld        UserOutcome = "held"         // not looked up: the job waits for somebody to approve it
)

// UserOutcomes lists them, those that are a success first.
var UserOutcomes = []UserOutcome{UserOff, UserNothingOn, UserUnknown, UserStillActive, UserUndecided, UserProtected, UserExpired, UserInvalid, UserHeld}

// Success reports whether the user is known to be off.
func (o UserOutcome) Success() bool { return o == UserOff || o == UserNothingOn }

// A UserResult says what became of one user, named as the job named it.
type UserResult struct {
	ID    int64  `json:"id,omitzero"`
	Name  string `json:"name,omitzero"`
	Email string `json:"email,omitzero"`
	// UserIDs are the Web Server's for that name; an e-mail address may have several.
	UserIDs []int64     `json:"userIds,omitempty"`
	Outcome UserOutcome `json:"outcome"`
	// Error says in words what was in the way.
	Error string `json:"error,omitzero"`
}

// Conclude fills in the counts, the time since the event where nothing is left, and the status unless the job is
// invalid, held or ignored. A job without a session is done when none of its users is left. An empty map in Counts is filled, any other replaced.
func (r *Result) Conclude() {
	if r.Counts == nil || len(r.Counts) > 0 {
		r.Counts = make(map[Outcome]int, 1)
	}
	successes := 0
	for _, s := range r.Sessions {
		r.Counts[s.Outcome]++
		if s.Outcome.Success() {
			successes++
		}
	}
	off, tooLate := 0, 0
	for _, u := range r.Users {
		switch {
		case u.Outcome.Success():
			off++
		case u.Outcome == UserExpired:
			tooLate++
		}
	}
	r.UsersLeft = len(r.Users) - off
	switch left := len(r.Sessions) - successes + r.UsersLeft; {
	case r.Status == Invalid, r.Status == Held, r.Status == Ignored:
	case left == 0 && r.Counts[Accepted] > 0:
		r.Status = AcceptedJob
	case left == 0:
		r.Status = Done
	case successes+off > 0:
		r.Status = Partial
	case r.Counts[Expired] == len(r.Sessions) && tooLate == r.UsersLeft:
		r.Status = ExpiredJob
	default:
		r.Status = Failed
	}
	if done := r.Status == Done || r.Status == AcceptedJob; done && !r.EventTime.IsZero() {
		r.EventToEndedMS = max(0, r.CompletedAt.Sub(r.EventTime).Milliseconds())
	}
}

const (
	// shortText is to what a server's text is shortened when a result is too large.
	shortText = 80
	// bareError is what of an error stays in a result without details.
	bareError = 512
	// bareResult is more than such a result needs beside its sessions and notes.
	bareResult = 4 << 10
	// bareSession and bareLabel are what one of them needs beside its texts.
	bareSession = len(`{"id":,"outcome":"already_logged_off"},`)
	bareOwner   = len(`"userId":,`)
	bareLabel   = len(`:,`)
	// bareUser is what a user needs, with an id, a few userIds and a short error.
	bareUser = 400
)

// Append appends the result as [DecodeResult] reads it, in at most maxBytes bytes if that is not 0.
// Where it does not fit, first the signal's token is dropped, then the steps, then the
// server's texts shortened, then all details left out; r stays as it is. The result of a job that was decoded under the same MaxBytes always fits.
func (r *Result) Append(dst []byte, maxBytes int) ([]byte, error) {
	data, err := r.appendJSON(slices.Grow(dst, encodedResult+encodedSession*len(r.Sessions)))
	for _, shrink := range []func(*Result){(*Result).dropToken, (*Result).dropSteps, (*Result).shortenTexts, (*Result).trim, (*Result).leaveOut} {
		if err != nil || maxBytes == 0 || len(data)-len(dst) <= maxBytes {
			break
		}
		smaller := *r
		r = &smaller
		shrink(r)
		data, err = r.appendJSON(data[:len(dst)])
	}
	switch {
	case err != nil:
		return dst, fmt.Errorf("encode the result of job %s: %w", quote(r.JobID), err)
	case maxBytes > 0 && len(data)-len(dst) > maxBytes:
		return dst, fmt.Errorf("the result of job %s does not fit into %d bytes", quote(r.JobID), maxBytes)
	}
	return data, nil
}

func (r *Result) dropToken() {
	if r.Signal != nil {
		bare := *r.Signal
		bare.Token = ""
		r.Signal = &bare
	}
}

func (r *Result) dropSteps() { r.Steps, r.StepsLeft = nil, r.StepsLeft+len(r.Steps) }

func (r *Result) shortenTexts() {
	r.Sessions = slices.Clone(r.Sessions) // the caller keeps theirs
	for i := range r.Sessions {
		r.Sessions[i].ServerText = escape(r.Sessions[i].ServerText, shortText)
		r.Sessions[i].Error = escape(r.Sessions[i].Error, shortText)
	}
}

func (r *Result) trim() {
	r.Trimmed = true
	r.Error = escape(r.Error, bareError)
	for i, s := range r.Sessions {
		r.Sessions[i] = SessionResult{ID: s.ID, UserID: s.UserID, Outcome: s.Outcome, Found: s.Found}
	}
}

// leaveOut leaves out the sessions that were found through users, for which no job reserves room. The
// counts keep them.
func (r *Result) leaveOut() {
	r.Sessions = slices.DeleteFunc(r.Sessions, func(s SessionResult) bool { return s.Found })
	r.Users = slices.Clone(r.Users)
	for i := range r.Users {
		r.Users[i].Error = escape(r.Users[i].Error, shortText)
	}
}

// checkSize refuses a job whose result might not fit into maxBytes even without details: its worker
// could then never store it.
func (j *Job) checkSize(maxBytes int) *InvalidError {
	if maxBytes == 0 {
		return nil
	}
	need := bareResult + quotedLength(j.Reason) + quotedLength(j.RequestedBy)
	for name, value := range j.Labels {
		need += bareLabel + quotedLength(name) + quotedLength(value)
	}
	for _, s := range j.Sessions {
		need += bareSession + quotedLength(s.Spelled())
		if s.UserID != 0 {
			need += bareOwner + len(strconv.FormatInt(s.UserID, 10))
		}
	}
	for _, u := range j.Users {
		u = u.spelled()
		need += bareUser + quotedLength(u.Name) + quotedLength(u.Email)
	}
	if need > maxBytes {
		return invalidAt("", "too large: its result may need %d bytes of at most %d; split it", need, maxBytes)
	}
	return nil
}

// quotedLength is how many bytes text has as a JSON string.
func quotedLength(s string) int {
	length := len(`""`) + len(s)
	for i := range len(s) {
		switch c := s[i]; {
		case c >= ' ' && c != '"' && c != '\\':
		case c < ' ' && !strings.ContainsRune("\b\f\n\r\t", rune(c)):
			length += len(`\u0000`) - 1
		default:
			length++
		}
	}
	return length
}

// DecodeResult reads a result. Members that it does not know are passed over: a newer worker may
// have written them.
func DecodeResult(data []byte) (Result, error) {
	var r Result
	if err := json.Unmarshal(data, &r); err != nil {
		return Result{}, fmt.Errorf("decode a result: %w", explain(err))
	}
	switch {
	case r.Version < 1:
		return Result{}, fmt.Errorf("decode a result: the version is %d, not 1 or more", r.Version)
	case r.Status == "":
		return Result{}, fmt.Errorf("decode a result: the status is missing")
	}
	if err := LegalID(r.JobID); err != nil {
		return Result{}, fmt.Errorf("decode a result: jobId: %w", err)
	}
	return r, nil
}

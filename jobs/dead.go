package jobs

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The headers of a dead letter. Its payload can be published again as it is.
const (
	headerReason      = "Logoff-Reason"
	headerJobID       = "Logoff-Job-Id"
	headerError       = "Logoff-Error"
	headerSubject     = "Logoff-Subject"
	headerResult      = "Logoff-Result"
	headerSequence    = "Logoff-Sequence"
	headerStored      = "Logoff-Stored"
	headerMessageID   = "Logoff-Message-Id"
	headerContentType = "Content-Type"
	headerTrace       = "traceparent"

	maxHeader = 512 // bytes of one value
)

// A DeadLetter keeps what was not done of a job.
type DeadLetter struct {
	Reason      Status // the status of the job's result
	JobID       string
	Error       string
	Subject     string    // where the job was published
	Result      string    // the subject of its result
	Sequence    uint64    // of the job in its stream
	Stored      time.Time // when the job came into its stream
	ContentType string    // of the payload
	MessageID   string    // with which the job was published, if any
	Trace       Trace     // of the job
	Signal      *Signal   // of the job, if any
	// Payload is the message as it came if the job was invalid or is held, otherwise what [Job.Unfinished] leaves of
	// it. Of a held job that came in another form than JSON or XML, it is the job that was made of it.
	Payload []byte
}

// Header returns everything but the payload, in values that are printable and, but for the signal, at most 512 bytes
// long. What is empty is left out.
func (d DeadLetter) Header() map[string][]string {
	header := map[string][]string{
		headerSequence: {strconv.FormatUint(d.Sequence, 10)},
		headerStored:   {d.Stored.UTC().Format(time.RFC3339Nano)},
	}
	for name, value := range map[string]string{
		headerReason:      string(d.Reason),
		headerJobID:       d.JobID,
		headerError:       d.Error,
		headerSubject:     d.Subject,
		headerResult:      d.Result,
		headerMessageID:   d.MessageID,
		headerContentType: d.ContentType,
		headerTrace:       string(d.Trace),
	} {
		// On the way a value loses its outer spaces; losing them here makes both ends agree.
		if value = strings.TrimSpace(escape(value, maxHeader)); value != "" {
			header[name] = []string{value}
		}
	}
	if d.Signal != nil {
		if value, err := d.Signal.Header(); err == nil {
			header[SignalHeader] = []string{value}
		}
	}
	return header
}

// DecodeDeadLetter reads a dead letter from its header and payload. The error names the header that
// is missing or wrong. A signal that cannot be read is as none.
func DecodeDeadLetter(header map[string][]string, payload []byte) (DeadLetter, error) {
	value := func(name string) string {
		if len(header[name]) == 0 {
			return ""
		}
		return strings.TrimSpace(escape(header[name][0], maxHeader))
	}
	d := DeadLetter{
		Reason:      Status(value(headerReason)),
		JobID:       value(headerJobID),
		Error:       value(headerError),
		Subject:     value(headerSubject),
		Result:      value(headerResult),
		ContentType: value(headerContentType),
		MessageID:   value(headerMessageID),
		Trace:       ParseTrace(value(headerTrace)),
		Payload:     payload,
	}
	wrong := func(name string) (DeadLetter, error) {
		return DeadLetter{}, fmt.Errorf("decode a dead letter: the header %s is missing or wrong: %s", name, quote(value(name)))
	}
	if values := header[SignalHeader]; len(values) > 0 {
		d.Signal, _ = DecodeSignal(values[0])
	}
	var err error
	if d.Sequence, err = strconv.ParseUint(value(headerSequence), 10, 64); err != nil {
		return wrong(headerSequence)
	}
	if d.Stored, err = time.Parse(time.RFC3339Nano, value(headerStored)); err != nil {
		return wrong(headerStored)
	}
	switch {
	case !slices.Contains(Statuses, d.Reason) || d.Reason.Success():
		return wrong(headerReason)
	case LegalID(d.JobID) != nil:
		return wrong(headerJobID)
	case d.Subject == "":
		return wrong(headerSubject)
	}
	return d, nil
}

// Unfinished returns the job that does what r says was not done, ready to be published again: under
// the same id, with the same notes, and without a deadline that has passed at now. Sessions that r
// says nothing about are in it; so are those that r has beyond the job's own, unless they were found
// through a user, who is in it instead.
func (j Job) Unfinished(r Result, now time.Time) Job {
	outcomes := make(map[string]Outcome, len(r.Sessions))
	for _, s := range r.Sessions {
		outcomes[s.ID] = s.Outcome
	}
	left := j
	left.ID = r.JobID
	left.Sessions = nil
	for _, s := range j.Sessions {
		if !outcomes[s.Spelled()].Success() {
			left.Sessions = append(left.Sessions, s)
		}
		delete(outcomes, s.Spelled())
	}
	for _, s := range r.Sessions {
		if outcome, foreign := outcomes[s.ID]; foreign && !outcome.Success() && !s.Found {
			left.Sessions = append(left.Sessions, Session{ID: s.ID, UserID: s.UserID})
		}
	}
	left.Users = slices.DeleteFunc(slices.Clone(j.Users), r.off)
	if r.UsersLeft == 0 {
		left.Users = nil
	}
	if !left.NotAfter.After(now) {
		left.NotAfter = time.Time{}
	}
	return left
}

// off reports whether a user of the job is known to be off.
func (r Result) off(u User) bool {
	u = u.spelled()
	return slices.ContainsFunc(r.Users, func(told UserResult) bool {
		return told.Outcome.Success() && told.ID == u.ID && told.Name == u.Name && told.Email == u.Email
	})
}

package intake

import (
	"context"
	"errors"
	"net/http"
	"time"

	"logoffworker/jobs"
	"logoffworker/jobs/signals"
)

// headerRoom is what a worker leaves for the headers of a result.
const headerRoom = 8 << 10

// A sender is who something came from, and how it is answered.
type sender struct {
	publisher string
	lane      jobs.Lane
	say       func(code int, words string) answer
	done      func(id string, a signals.Answer) answer // stored, or ignored: then the id is empty
	invalid   func(a signals.Answer) answer
}

// settle stores the job that was made of a message, if one was, and says what its sender is told.
func (rc *Receiver) settle(ctx context.Context, s sender, a signals.Answer) answer {
	if rc.Alive != nil && a.Issuer != "" && (a.Verdict == signals.Job || a.Verdict == signals.Ignored) {
		rc.Alive(a.Issuer, a.StreamUpdated != "")
	}
	switch a.Verdict {
	case signals.Job:
		id, err := rc.Store.Put(ctx, s.publisher, s.lane, a)
		if err != nil {
			return rc.unstored(s, err)
		}
		rc.stored()
		rc.count(s, a)
		return s.done(id, a)
	case signals.Ignored:
		rc.count(s, a)
		return s.done("", a)
	case signals.Retry:
		rc.Issuers.Want(a.Issuer)
		rc.count(s, a)
		return s.say(http.StatusServiceUnavailable, "the key of the signature is not known yet; come again").after(keysWait)
	}
	rc.count(s, a)
	rc.refused(s, a)
	return s.invalid(a)
}

// count counts an event for its issuer, or for who sent it where it names none.
func (rc *Receiver) count(s sender, a signals.Answer) {
	issuer := a.Issuer
	if issuer == "" {
		issuer = s.publisher
	}
	rc.Metrics.Signal(issuer, string(a.Verdict))
}

// unstored is the answer while a job is not known to be stored. Its sender keeps it.
func (rc *Receiver) unstored(s sender, err error) answer {
	var why *StoreError
	if errors.As(err, &why) && why.Kind == TooLarge {
		return s.say(http.StatusRequestEntityTooLarge, why.Error())
	}
	wait, words := awayWait, "the job cannot be stored now; come again"
	if why != nil && why.Kind == Full {
		wait, words = fullWait, "there is no room for the job now; come again"
	}
	rc.notStored(s.publisher, err)
	return s.say(http.StatusServiceUnavailable, words).after(wait)
}

// reader reads messages by what the issuers file says now. A job is refused whose result NATS would not take.
func (rc *Receiver) reader() signals.Reader {
	now := time.Now
	if rc.clock != nil {
		now = rc.clock
	}
	return rc.Issuers.Reader(rc.Store.bounded(rc.Rules), now())
}

// bounded are rules that refuse a job whose result NATS would not take.
func (s *Store) bounded(rules jobs.Rules) jobs.Rules {
	rules.MaxBytes = max(0, int(s.NATS.MaxPayload())-headerRoom) // nothing is known of it without a connection
	return rules
}

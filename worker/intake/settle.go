package intake

import (
	"context"
	"errors"
	"net/http"
	"strings"
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
	secrets   []string // that it has shown
	body      []byte   // what it sent, where a token is not all of it
	author    bool     // it wrote the job itself, and reads the answer
	tokens    bool     // a worker reads its tokens as they were read here
	say       func(code int, words string) answer
	done      func(id string, a signals.Answer) answer // stored, or ignored: then the id is empty
	invalid   func(a signals.Answer) answer
}

// whose is the name under which an event counts: its issuer's once its signature is believed, and its recipe's. What
// proves nothing counts for the sender if that has shown a secret, and otherwise for nobody, whatever it says.
func (s sender) whose(a signals.Answer) string {
	switch {
	case a.Proof != "", a.Signal != nil:
		return a.Issuer
	case len(s.secrets) > 0:
		return s.publisher
	}
	return ""
}

// settle stores the job that was made of a message, if one was, and says what its sender is told.
func (rc *Receiver) settle(ctx context.Context, s sender, a signals.Answer) answer {
	if rc.Alive != nil && a.Issuer != "" && (a.Verdict == signals.Job || a.Verdict == signals.Ignored) {
		rc.Alive(a.Issuer, a.StreamUpdated != "")
	}
	switch a.Verdict {
	case signals.Job:
		id, err := rc.put(ctx, s, a)
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
	kept := s.wants(a)
	if kept {
		if err := rc.keep(ctx, s, a); err != nil {
			return rc.unstored(s, err)
		}
		rc.stored()
	}
	rc.count(s, a)
	rc.refused(s, a, kept)
	return s.invalid(a)
}

func (rc *Receiver) put(ctx context.Context, s sender, a signals.Answer) (id string, err error) {
	a.Proof = strings.Join(append(s.secrets, a.Proof), "\x00")
	return rc.Store.Put(ctx, s.publisher, s.lane, a)
}

// wants reports whether an invalid message is to have a dead letter. It is, if it is known to be of somebody who may have
// sessions ended: somebody should have been logged off then, and many senders look at no answer. A token for somebody
// else, or one that has ended, which others may have as well, is kept only of who has shown a secret.
func (s sender) wants(a signals.Answer) bool {
	switch {
	case a.Code == signals.Unauthenticated, len(s.secrets) == 0 && (a.Stale || a.Code == signals.InvalidAudience):
		return false
	case a.Format == jobs.SET, a.Proof != "":
		return a.Proof != ""
	}
	return a.Signal != nil || !s.author
}

// keep stores a message that is no job, for a worker to say why. What a worker would read in another way than it was read
// here is stored as something that can be no job.
func (rc *Receiver) keep(ctx context.Context, s sender, a signals.Answer) error {
	if s.tokens && a.Proof != "" {
		return rc.Store.keepToken(ctx, s.publisher, s.lane, a.Proof, a)
	}
	return rc.Store.keepUnnamed(ctx, s.publisher, s.lane, a, strings.Join(append(s.secrets, a.Proof, string(s.body)), "\x00"))
}

// count counts an event for whose it is.
func (rc *Receiver) count(s sender, a signals.Answer) {
	rc.Metrics.Signal(s.whose(a), string(a.Verdict))
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

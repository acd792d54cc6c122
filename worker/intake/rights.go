package intake

import (
	"errors"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
)

// stranger stands for somebody, or a thing of JetStream, that there is not.
const stranger = "logoff-check"

// Excess tries what a receiver has no need to do in NATS, and returns what it may do all the same, in words. Nothing is
// stored, taken or changed by that. The connection's own errors are not heard of then: give it a handler for them.
func (s *Store) Excess() (may []string) {
	subjects := s.Subjects
	for _, subject := range []string{
		subjects.Prefix + ".requests", subjects.Request(jobs.Urgent, ""), subjects.Request(jobs.Urgent, stranger), subjects.Request(jobs.Bulk, stranger),
		subjects.Approved(jobs.Urgent, stranger), subjects.Result(stranger, stranger), subjects.Dead(jobs.Invalid), subjects.Act(jobs.ActDrop, stranger), subjects.Digests(),
		"$JS.API.STREAM.MSG.GET." + subjects.RequestStream(), "$JS.API.STREAM.MSG.GET." + subjects.ResultStream(),
		"$JS.API.CONSUMER.MSG.NEXT." + subjects.RequestStream() + "." + stranger, "$JS.API.STREAM.DELETE." + stranger, "$JS.API.STREAM.NAMES",
	} {
		if s.mayPublish(subject) {
			may = append(may, "publish on "+subject)
		}
	}
	for _, subject := range []string{">", subjects.Prefix + ".>", subjects.Prefix + ".requests.>", subjects.Results(), subjects.DeadLetters(), "_INBOX.>", "_INBOX_" + subjects.Prefix + ".>"} {
		if s.mayHear(subject) {
			may = append(may, "subscribe to "+subject)
		}
	}
	return may
}

// mayPublish publishes what no stream stores, and to which nobody answers.
func (s *Store) mayPublish(subject string) bool {
	msg := nats.NewMsg(subject)
	msg.Header.Set(jetstream.ExpectedStreamHeader, nowhere)
	return errors.Join(s.NATS.PublishMsg(msg), s.NATS.Flush()) == nil && !s.refused(subject)
}

func (s *Store) mayHear(subject string) bool {
	sub, err := s.NATS.SubscribeSync(subject)
	if err != nil {
		return false
	}
	defer func() { _ = sub.Unsubscribe() }() // which NATS has done where it refused
	return s.NATS.Flush() == nil && !s.refused(subject)
}

// refused reports whether the latest refusal of NATS is about a subject.
func (s *Store) refused(subject string) bool {
	err := s.NATS.LastError()
	return errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), `"`+subject+`"`)
}

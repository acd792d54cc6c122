package intake

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/jobs/signals"
)

// storeWait is how long JetStream may take to acknowledge a job. Senders of webhooks wait for three seconds at most.
const storeWait = 2500 * time.Millisecond

// A Store stores jobs.
type Store struct {
	NATS     *nats.Conn
	Subjects jobs.Subjects
}

// A StoreError says why a job is not known to be stored.
type StoreError struct {
	// Kind is one of the kinds below.
	Kind  StoreKind
	words string
	err   error
}

// A StoreKind is what keeps a job from being stored.
type StoreKind string

// The kinds. All but TooLarge may pass.
const (
	Away      StoreKind = "away"      // NATS has not answered: the job may be stored all the same
	NoStream  StoreKind = "no_stream" // NATS is there, and the stream of jobs is not
	Full      StoreKind = "full"      // JetStream has answered: it has no room
	Refused   StoreKind = "refused"   // JetStream has answered: it does not take the job for another reason
	Forbidden StoreKind = "forbidden" // this NATS user may not publish it
	TooLarge  StoreKind = "too_large" // the job is larger than the stream takes, and always will be
)

func (e *StoreError) Error() string { return e.words }

// Unwrap makes the reason known to errors.Is and errors.As.
func (e *StoreError) Unwrap() error { return e.err }

// Put stores the job of an answer as its publisher's, with its signal as a header, and returns its id once JetStream has
// acknowledged it. An error is a [*StoreError], and means that it may not be stored.
//
// The same job again within two minutes is stored once, if it is the same publisher's on the same lane, with the same
// proof. A job of somebody's own that has an id is the same if all of it is: another job with that id is stored, too. One
// without an id is never the same as another.
//
// The end of ctx does not break off what is on its way.
func (s *Store) Put(ctx context.Context, publisher string, lane jobs.Lane, a signals.Answer) (id string, err error) {
	msg, id, err := s.message(publisher, lane, a)
	if err != nil {
		return "", &StoreError{Refused, "the job cannot be written down: " + err.Error(), err}
	}
	if err := s.publish(ctx, msg, s.Subjects.RequestStream()); err != nil {
		return "", s.explained(err, msg)
	}
	return id, nil
}

// message is a job as it is stored.
func (s *Store) message(publisher string, lane jobs.Lane, a signals.Answer) (msg *nats.Msg, id string, err error) {
	job, given := a.Job, a.Job.ID != ""
	job.ID = cmp.Or(job.ID, "http-"+rand.Text())
	msg = nats.NewMsg(s.Subjects.Request(lane, publisher))
	if msg.Data, err = job.Encode(); err != nil {
		return nil, "", err
	}
	// JetStream throws away whatever has a message id that it knows. So that nobody can have used this one before, it is
	// made of what only the sender knows; and no other job has it.
	messageID := job.ID
	switch {
	case given && a.Signal == nil:
		messageID = jobs.SignalID(publisher, string(lane), a.Proof, string(msg.Data))
	case given:
		messageID = jobs.SignalID(publisher, string(lane), a.Proof, job.ID)
	}
	msg.Header.Set(nats.MsgIdHdr, messageID)
	if a.Signal != nil {
		signal, err := json.Marshal(a.Signal)
		if err != nil {
			return nil, "", err
		}
		msg.Header.Set(jobs.SignalHeader, string(signal))
	}
	return msg, job.ID, nil
}

// keepToken stores a token that was refused to its sender, with the reason, for a worker to tell it. No worker reads it
// again. A token that is larger than any that is read is cut where that is still seen.
func (s *Store) keepToken(ctx context.Context, publisher string, lane jobs.Lane, token string, a signals.Answer) (err error) {
	msg := nats.NewMsg(s.Subjects.Request(lane, publisher))
	if msg.Data, err = signals.Refusal(publisher, token[:min(len(token), signals.MaxToken+1)], a); err != nil {
		return &StoreError{Refused, err.Error(), err}
	}
	msg.Header.Set("Content-Type", "application/json")
	return s.keep(ctx, msg, token)
}

// keepUnnamed stores, in place of a message that named nobody, what can be no job.
func (s *Store) keepUnnamed(ctx context.Context, publisher string, lane jobs.Lane, a signals.Answer, whole string) error {
	a.Job = a.Unnamed()
	msg, _, err := s.message(publisher, lane, a)
	if err != nil {
		return &StoreError{Refused, "what was refused cannot be written down: " + err.Error(), err}
	}
	return s.keep(ctx, msg, whole)
}

// keep stores what stands for something that was refused. The same again within two minutes is stored once. It has an id
// of its own kind, because what is refused now may be believed a moment later, and must then be stored.
func (s *Store) keep(ctx context.Context, msg *nats.Msg, whole string) error {
	msg.Header.Set(nats.MsgIdHdr, jobs.SignalID("refused", msg.Subject, whole))
	if err := s.publish(ctx, msg, s.Subjects.RequestStream()); err != nil {
		return s.explained(err, msg)
	}
	return nil
}

// publish has a message stored by a stream, and by no other.
func (s *Store) publish(ctx context.Context, msg *nats.Msg, stream string) error {
	js, err := jetstream.New(s.NATS)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeWait)
	defer cancel()
	_, err = js.PublishMsg(ctx, msg, jetstream.WithExpectStream(stream))
	return err
}

// JetStream's codes for what the client library has no name for.
const (
	otherStream   jetstream.ErrorCode = 10060 // the stream is not the one that was expected
	noStore       jetstream.ErrorCode = 10077 // maximum bytes or messages exceeded, among others
	noAccountRoom jetstream.ErrorCode = 10002 // resource limits exceeded for the account
	noServerRoom  jetstream.ErrorCode = 10023 // insufficient resources
	noDiskRoom    jetstream.ErrorCode = 10047 // insufficient storage resources available
)

// explained says in words why a message is not known to be stored.
func (s *Store) explained(err error, msg *nats.Msg) *StoreError {
	var refused *jetstream.APIError
	stream := s.Subjects.RequestStream()
	switch {
	case errors.Is(err, nats.ErrMaxPayload), errors.As(err, &refused) && refused.ErrorCode == jetstream.JSErrCodeStreamMessageExceedsMaximum:
		return &StoreError{TooLarge, fmt.Sprintf("the job has %d bytes as it is stored, which is more than the stream %s takes", len(msg.Data), stream), err}
	case refused != nil && full(refused.ErrorCode):
		return &StoreError{Full, "JetStream has no room for the job: " + refused.Description, err}
	case refused != nil && refused.ErrorCode == otherStream:
		return &StoreError{Refused, "another stream than " + stream + " has the subjects of jobs", err}
	case refused != nil:
		return &StoreError{Refused, "JetStream does not take the job: " + refused.Description, err}
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders):
		return &StoreError{NoStream, "no stream takes jobs: " + stream + " is missing, or JetStream is not up", err}
	case !s.NATS.IsConnected():
		return &StoreError{Away, "the connection to NATS is down", err}
	case s.refused(msg.Subject): // NATS says so beside the publish, and does not answer it
		return &StoreError{Forbidden, "this NATS user may not publish on " + msg.Subject, err}
	case errors.Is(err, context.DeadlineExceeded):
		return &StoreError{Away, fmt.Sprintf("NATS has not said within %v that the job is stored", storeWait), err}
	}
	return &StoreError{Away, "NATS has not said that the job is stored: " + err.Error(), err}
}

func full(code jetstream.ErrorCode) bool {
	return code == noStore || code == noAccountRoom || code == noServerRoom || code == noDiskRoom
}

// nowhere is a stream that there is not: a stream that is not the expected one stores nothing.
const nowhere = "LOGOFF_NOWHERE"

// Ask asks whether the stream of jobs is there for a publisher on a lane, and this NATS user may publish as it. Nothing
// is stored. It does not tell whether the stream has room. An error is a [*StoreError].
func (s *Store) Ask(ctx context.Context, publisher string, lane jobs.Lane) error {
	// JetStream answers at once to who expects another stream, and stores nothing.
	msg := nats.NewMsg(s.Subjects.Request(lane, publisher))
	err := s.publish(ctx, msg, nowhere)
	var refused *jetstream.APIError
	if errors.As(err, &refused) && refused.ErrorCode == otherStream {
		return nil
	}
	if err == nil {
		err = errors.New("a message was stored that said it must not be")
	}
	return s.explained(err, msg)
}

// Reach is [Store.Ask] for somebody who has enough of one lane.
func (s *Store) Reach(ctx context.Context, who Name) (err error) {
	for _, lane := range who.Lanes {
		if err = s.Ask(ctx, who.Name, lane); err == nil {
			return nil
		}
	}
	return err
}

package evidence

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// batchRecords and batchBytes bound what NATS sends at a request.
	batchRecords = 512
	batchBytes   = 4 << 20
)

// A message is one of a stream, as any server with a copy has it.
type message struct {
	*nats.Msg
	sequence, after uint64 // after is the sequence of the one that was sent before, 0 for the first
	subject         string
	stored          time.Time
	batched         bool
}

var (
	errTooOld = errors.New("the NATS server is older than 2.11, and sends no batches: digests need that")
	errSilent = errors.New("NATS does not answer: perhaps a permission is missing (deploy/nats/accounts.conf lists it)")
	errNobody = errors.New("no server answers for the stream: it is missing (logoff-worker init makes it), or may not be read directly (nats stream edit --allow-direct)")
)

// batch reads messages of the stream of results from a sequence on; none where there is none yet. It asks for them
// directly, without a consumer: that costs NATS no more than the messages, and needs one right.
func (s *Signer) batch(ctx context.Context, from uint64) ([]message, error) {
	request, err := json.Marshal(map[string]uint64{"seq": from, "batch": batchRecords, "max_bytes": batchBytes})
	if err != nil {
		return nil, err
	}
	sub, err := s.request(s.Subjects.ResultStream(), request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }() // or the connection has ended
	var all []message
	before := uint64(0)
	for {
		m, err := next(ctx, sub)
		switch {
		case err != nil:
			return nil, err
		case m == nil:
			return all, nil
		case !m.batched:
			return nil, errTooOld
		case m.after != before:
			return all, nil // one was lost on the way: again from there
		}
		before = m.sequence
		all = append(all, *m)
	}
}

// ask asks a stream directly for one message; there may be none.
func (s *Signer) ask(ctx context.Context, what string, request []byte) (*message, error) {
	sub, err := s.request(what, request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	return next(ctx, sub)
}

func (s *Signer) request(what string, request []byte) (*nats.Subscription, error) {
	inbox := s.NATS.NewInbox()
	sub, err := s.NATS.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	if err := s.NATS.PublishRequest(s.api()+"DIRECT.GET."+what, inbox, request); err != nil {
		_ = sub.Unsubscribe()
		return nil, err
	}
	return sub, nil
}

// api is the prefix of JetStream's API.
func (s *Signer) api() string {
	return strings.TrimSuffix(cmp.Or(s.JS.Options().APIPrefix, jetstream.DefaultAPIPrefix), ".") + "."
}

// next is the next answer; nil at the end of a batch, and where there is no message.
func next(ctx context.Context, sub *nats.Subscription) (*message, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	msg, err := sub.NextMsgWithContext(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, errSilent
	case errors.Is(err, nats.ErrNoResponders):
		return nil, errNobody
	case err != nil:
		return nil, err
	}
	switch status := msg.Header.Get("Status"); status {
	case "":
	case "204", "404":
		return nil, nil
	default:
		return nil, fmt.Errorf("NATS answers %s %s", status, msg.Header.Get("Description"))
	}
	return read(msg)
}

// answerTime is how long NATS may take with an answer.
const answerTime = 5 * time.Second

func read(msg *nats.Msg) (*message, error) {
	m := &message{Msg: msg, subject: msg.Header.Get(jetstream.SubjectHeader), batched: msg.Header.Get("Nats-Num-Pending") != ""}
	var err1, err2, err3 error
	m.sequence, err1 = strconv.ParseUint(msg.Header.Get(jetstream.SequenceHeader), 10, 64)
	m.stored, err2 = time.Parse(time.RFC3339Nano, msg.Header.Get(jetstream.TimeStampHeaer))
	if m.batched {
		m.after, err3 = strconv.ParseUint(msg.Header.Get("Nats-Last-Sequence"), 10, 64)
	}
	return m, errors.Join(err1, err2, err3)
}

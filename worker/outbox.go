package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// An outbox has JetStream store messages, many at once, and hears what became of each. It does what the
// client library's asynchronous publishing does, with one timer, one table entry and one wait for all of
// them instead of each, and reads only those answers that say more than yes: that is half of what a
// job costs a worker.
type outbox struct {
	nc *nats.Conn

	mu      sync.Mutex
	sub     *nats.Subscription
	inbox   string // answers come on it, followed by a batch's number and a place in it
	number  uint64
	batches map[uint64]*sending
	heard   uint64 // answers so far
}

// An answer is what JetStream said to one message.
type answer struct {
	err       error
	duplicate bool // it had been stored before, under the same message id
}

// A sending is one batch on its way.
type sending struct {
	answers []answer
	heard   []bool
	left    int
	all     chan struct{} // closed when every answer is in
}

var errNoAnswer = errors.New("NATS did not say that a message is stored")

func newOutbox(nc *nats.Conn) *outbox {
	return &outbox{nc: nc, batches: map[uint64]*sending{}}
}

// publish publishes n messages and waits for the answers, until a time or the end of ctx. message makes
// the i-th of them, and may use its memory again for the next; its error is the answer to that one. A
// message without an answer may have been stored all the same.
func (o *outbox) publish(ctx context.Context, n int, message func(i int) (*nats.Msg, error)) []answer {
	if n == 0 {
		return nil
	}
	prefix, number, s, err := o.open(n)
	if err != nil {
		return slices.Repeat([]answer{{err: err}}, n)
	}
	defer o.forget(number)
	for i := range n {
		msg, err := message(i)
		if err == nil {
			msg.Reply = prefix + strconv.Itoa(i)
			err = o.nc.PublishMsg(msg)
		}
		if err != nil {
			o.hear(s, i, answer{err: err})
		}
	}
	return o.await(ctx, s)
}

// open begins a batch of n messages, and listens for answers if nobody does. Answers come on the prefix
// and a place in the batch.
func (o *outbox) open(n int) (prefix string, number uint64, s *sending, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.inbox == "" {
		inbox := o.nc.NewInbox()
		sub, err := o.nc.Subscribe(inbox+".*.*", o.answered)
		if err != nil {
			return "", 0, nil, err
		}
		// What is on its way is bounded by the batches, so the library's own limits would only lose answers.
		if err := sub.SetPendingLimits(-1, -1); err != nil {
			return "", 0, nil, err
		}
		o.sub, o.inbox = sub, inbox
	}
	o.number++
	s = &sending{answers: slices.Repeat([]answer{{err: errNoAnswer}}, n), heard: make([]bool, n), left: n, all: make(chan struct{})}
	o.batches[o.number] = s
	return o.inbox + "." + strconv.FormatUint(o.number, 36) + ".", o.number, s, nil
}

func (o *outbox) forget(number uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.batches, number)
}

// quiet is how long nothing at all may be heard of what is on its way. It is short beside the time that
// many messages may take on a slow disk, because what nobody takes, as while a leader is elected or a right is
// missing, is better published again soon.
const quiet = 3 * time.Second

// await returns the answers that are in when all are, when nothing more is heard, or when the time is up.
func (o *outbox) await(ctx context.Context, s *sending) []answer {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	for before := o.answersHeard(); o.goesOn(ctx, s); {
		now := o.answersHeard()
		if now == before {
			break
		}
		before = now
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	answers := s.answers
	s.answers = nil // what comes now comes too late
	if s.left == len(answers) {
		o.renew()
	}
	return answers
}

// goesOn waits for a while, and reports whether there is still something to wait for.
func (o *outbox) goesOn(ctx context.Context, s *sending) bool {
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	select {
	case <-s.all:
		return false
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (o *outbox) answersHeard() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.heard
}

// renew has the next batch listen anew: the server may have ended the subscription, as it does when a
// right is taken away, and says so to nobody who waits.
func (o *outbox) renew() {
	if o.sub != nil {
		_ = o.sub.Unsubscribe() // whether it is there or not
	}
	o.sub, o.inbox = nil, ""
}

// answered hears of one answer.
func (o *outbox) answered(msg *nats.Msg) {
	rest, place := cutLast(msg.Subject)
	_, batch := cutLast(rest)
	number, err1 := strconv.ParseUint(batch, 36, 64)
	i, err2 := strconv.Atoi(place)
	if err1 != nil || err2 != nil {
		return
	}
	a := read(msg)
	o.mu.Lock()
	s := o.batches[number]
	o.mu.Unlock()
	if s != nil {
		o.hear(s, i, a)
	}
}

// cutLast cuts the last token off a subject.
func cutLast(subject string) (rest, last string) {
	i := strings.LastIndexByte(subject, '.')
	return subject[:max(i, 0)], subject[i+1:]
}

// hear notes the first answer to a message.
func (o *outbox) hear(s *sending, i int, a answer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i < 0 || i >= len(s.answers) || s.heard[i] {
		return
	}
	s.answers[i], s.heard[i] = a, true
	o.heard++
	if s.left--; s.left == 0 {
		close(s.all)
	}
}

// read reads an answer. A plain yes, which nearly all are, is known by its beginning and by what it does
// not mention.
func read(msg *nats.Msg) answer {
	if len(msg.Data) == 0 {
		if msg.Header.Get("Status") == "503" {
			return answer{err: jetstream.ErrNoStreamResponse}
		}
		return answer{err: errNoAnswer}
	}
	if bytes.HasPrefix(msg.Data, []byte(`{"stream":`)) && !bytes.Contains(msg.Data, []byte(`"error"`)) && !bytes.Contains(msg.Data, []byte(`"duplicate"`)) {
		return answer{}
	}
	var said struct {
		Stream    string              `json:"stream"`
		Duplicate bool                `json:"duplicate"`
		Error     *jetstream.APIError `json:"error"`
	}
	switch err := json.Unmarshal(msg.Data, &said); {
	case err != nil:
		return answer{err: errors.Join(errNoAnswer, err)}
	case said.Error != nil:
		return answer{err: said.Error}
	case said.Stream == "":
		return answer{err: errNoAnswer}
	}
	return answer{duplicate: said.Duplicate}
}

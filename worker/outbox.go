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
// job costs a worker. Messages whose answer nearly always is yes share the subject of their answers with
// others, because a subject that it has never seen costs the server more than the answer itself.
type outbox struct {
	nc *nats.Conn

	mu      sync.Mutex
	sub     *nats.Subscription
	inbox   string // answers come on it, followed by a batch's number and a group's
	number  uint64
	batches map[uint64]*sending
	heard   uint64 // answers so far
}

// An answer is what JetStream said to one message.
type answer struct {
	err       error
	duplicate bool // it had been stored before, under the same message id
}

// A kind of answers is those that say the same of a message.
type kind int

const (
	saidStored kind = iota
	saidKnown       // it, or another in its place, was stored before
	saidRefused
)

func (a answer) kind() kind {
	switch {
	case a.err == nil && !a.duplicate:
		return saidStored
	case a.err == nil, isSettled(a.err):
		return saidKnown
	}
	return saidRefused
}

// A sending is one batch on its way.
type sending struct {
	groups []group
	left   int           // groups of which answers are missing
	heard  bool          // of any message
	late   bool          // what comes now comes too late
	all    chan struct{} // closed when every answer is in
}

// A group is messages whose answers come on one subject. Which answer is whose can be told only where all
// say the same.
type group struct {
	messages []int
	answers  int      // so far
	last     answer   // of them
	mixed    bool     // there were different ones
	places   []uint64 // in the stream, of those that were stored: each counts once
	complete bool
}

var errNoAnswer = errors.New("NATS did not say that a message is stored")

// shared is how many messages share the subject of their answers.
const shared = 32

func newOutbox(nc *nats.Conn) *outbox {
	return &outbox{nc: nc, batches: map[uint64]*sending{}}
}

// publish publishes n messages and waits for the answers, until a time or the end of ctx. message makes
// the i-th of them, and may use its memory again for the next; its error is the answer to that one. A
// message without an answer may have been stored all the same. Where messages are grouped, those of a group
// with different answers are published again one by one: each must be one that the stream takes once only.
func (o *outbox) publish(ctx context.Context, n, grouped int, message func(i int) (*nats.Msg, error)) []answer {
	answers := slices.Repeat([]answer{{err: errNoAnswer}}, n)
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	if again := o.publishOnce(ctx, all, grouped, message, answers); len(again) > 0 {
		o.publishOnce(ctx, again, 1, message, answers)
	}
	return answers
}

// publishOnce puts the answers to some of the messages into their places, and returns the messages of groups
// with different answers.
func (o *outbox) publishOnce(ctx context.Context, some []int, grouped int, message func(i int) (*nats.Msg, error), answers []answer) (again []int) {
	if len(some) == 0 {
		return nil
	}
	prefix, number, s, err := o.open(some, grouped)
	if err != nil {
		for _, i := range some {
			answers[i] = answer{err: err}
		}
		return nil
	}
	defer o.forget(number)
	for g, members := range slices.Collect(slices.Chunk(some, grouped)) {
		reply := prefix + strconv.Itoa(g)
		for _, i := range members {
			msg, err := message(i)
			if err == nil {
				msg.Reply = reply
				err = o.nc.PublishMsg(msg)
			}
			if err != nil {
				answers[i] = answer{err: err}
				o.unsent(s, g, i)
			}
		}
	}
	o.await(ctx, s)
	for _, g := range s.groups {
		switch {
		case !g.complete:
		case g.mixed && len(g.messages) > 1:
			again = append(again, g.messages...)
		default:
			for _, i := range g.messages {
				answers[i] = g.last
			}
		}
	}
	return again
}

// open begins a batch of messages, and listens for answers if nobody does. Answers come on the prefix and a
// group's number.
func (o *outbox) open(messages []int, grouped int) (prefix string, number uint64, s *sending, err error) {
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
	s = &sending{all: make(chan struct{})}
	for members := range slices.Chunk(messages, grouped) {
		s.groups = append(s.groups, group{messages: slices.Clone(members)})
	}
	s.left = len(s.groups)
	o.batches[o.number] = s
	return o.inbox + "." + strconv.FormatUint(o.number, 36) + ".", o.number, s, nil
}

func (o *outbox) forget(number uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.batches, number)
}

// unsent takes a message out of its group.
func (o *outbox) unsent(s *sending, number, message int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	g := &s.groups[number]
	g.messages = slices.DeleteFunc(g.messages, func(i int) bool { return i == message })
	s.complete(g)
}

func (s *sending) complete(g *group) {
	if g.complete || g.answers < len(g.messages) {
		return
	}
	g.complete = true
	if s.left--; s.left == 0 {
		close(s.all)
	}
}

// quiet is how long nothing at all may be heard of what is on its way. It is short beside the time that
// many messages may take on a slow disk, because what nobody takes, as while a leader is elected or a right is
// missing, is better published again soon.
const quiet = 3 * time.Second

// await waits until all answers are in, nothing more is heard, or the time is up.
func (o *outbox) await(ctx context.Context, s *sending) {
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
	s.late = true
	if !s.heard && s.left > 0 {
		o.renew()
	}
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
	rest, group := cutLast(msg.Subject)
	_, batch := cutLast(rest)
	number, err1 := strconv.ParseUint(batch, 36, 64)
	g, err2 := strconv.Atoi(group)
	if err1 != nil || err2 != nil {
		return
	}
	a, place := read(msg)
	o.mu.Lock()
	defer o.mu.Unlock()
	if s := o.batches[number]; s != nil && !s.late && g >= 0 && g < len(s.groups) {
		o.heard++
		s.heard = true
		s.hear(&s.groups[g], a, place)
	}
}

// cutLast cuts the last token off a subject.
func cutLast(subject string) (rest, last string) {
	i := strings.LastIndexByte(subject, '.')
	return subject[:max(i, 0)], subject[i+1:]
}

// hear notes an answer. One that says again that the same message is stored is not another's.
func (s *sending) hear(g *group, a answer, place uint64) {
	if g.complete || a.kind() == saidStored && slices.Contains(g.places, place) {
		return
	}
	if a.kind() == saidStored {
		g.places = append(g.places, place)
	}
	g.mixed = g.mixed || g.answers > 0 && a.kind() != g.last.kind()
	g.last = a
	g.answers++
	s.complete(g)
}

// read reads an answer, and the place in the stream of what was stored. A plain yes, which nearly all are,
// is known by its beginning and by what it does not mention.
func read(msg *nats.Msg) (a answer, place uint64) {
	if len(msg.Data) == 0 {
		if msg.Header.Get("Status") == "503" {
			return answer{err: jetstream.ErrNoStreamResponse}, 0
		}
		return answer{err: errNoAnswer}, 0
	}
	if bytes.HasPrefix(msg.Data, []byte(`{"stream":`)) && !bytes.Contains(msg.Data, []byte(`"error"`)) && !bytes.Contains(msg.Data, []byte(`"duplicate"`)) {
		if _, rest, found := bytes.Cut(msg.Data, []byte(`"seq":`)); found {
			digits := bytes.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
			if place, err := strconv.ParseUint(string(rest[:max(digits, 0)]), 10, 64); err == nil {
				return answer{}, place
			}
		}
	}
	var said struct {
		Stream    string              `json:"stream"`
		Sequence  uint64              `json:"seq"`
		Duplicate bool                `json:"duplicate"`
		Error     *jetstream.APIError `json:"error"`
	}
	switch err := json.Unmarshal(msg.Data, &said); {
	case err != nil:
		return answer{err: errors.Join(errNoAnswer, err)}, 0
	case said.Error != nil:
		return answer{err: said.Error}, 0
	case said.Stream == "":
		return answer{err: errNoAnswer}, 0
	}
	return answer{duplicate: said.Duplicate}, said.Sequence
}

package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/metrics"
)

const (
	// PublishTimeout is how long the acknowledgement of a stored message may take. A leader election takes
	// several seconds.
	PublishTimeout = 10 * time.Second
	// Shared is how many messages may share the subject of their replies. More would cost NATS less; but where one of
	// their replies is missing, as while a leader changes, it has to be found out of each whether it is stored.
	Shared = 128
	// quiet is how long nothing at all may be heard of what is on its way. It is short beside the time that
	// many messages may take on a slow disk, because what nobody takes, as while a leader is elected or a
	// permission is missing, is better published again soon.
	quiet = 3 * time.Second
)

// Taken reports whether JetStream did not store a message because it, or another in its place, is stored already: the
// same message id came before, or its subject, of which its header says that it may have one only, has one.
func Taken(err error) bool {
	refused, is := errors.AsType[*jetstream.APIError](err)
	return is && refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || errors.Is(err, errStoredBefore)
}

// TakenAlone is [Taken], or that the stream takes one message for a subject only and has it. It is for messages with
// subjects of their own, such as results: where messages share a subject, as dead letters do, that is another one.
func TakenAlone(err error) bool {
	refused, is := errors.AsType[*jetstream.APIError](err)
	return Taken(err) || is && refused.ErrorCode == notStored && refused.Description == subjectFull
}

// alike reports whether two replies say the same of a message: that it is stored, that another is in its place, or neither.
func alike(a, b error) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return TakenAlone(a) == TakenAlone(b)
}

var errStoredBefore = errors.New("the message was stored before, under the same message id")

var errNoReply = errors.New("NATS did not say that a message is stored")

// An Outbox has JetStream store messages, many at once, and hears what became of each. It does what the
// client library's asynchronous publishing does, with one timer, one table entry and one wait for all of
// them instead of each, and reads only those replies that say more than yes: that is half of what a job
// costs a worker. Messages whose reply nearly always is yes share the subject of their replies with others,
// because a subject that it has never seen costs the server more than the reply itself.
type Outbox struct {
	nc *nats.Conn

	mu      sync.Mutex
	sub     *nats.Subscription
	inbox   string // replies come on it, followed by a batch's number and a group's
	number  uint64
	batches map[uint64]*batch
	heard   uint64 // replies so far
}

// NewOutbox returns an outbox that publishes over a connection.
func NewOutbox(nc *nats.Conn) *Outbox {
	return &Outbox{nc: nc, batches: map[uint64]*batch{}}
}

// Publish publishes n messages and waits for the replies, until a time or the end of ctx. message makes the
// i-th of them, and may use its memory again for the next; its error is the reply to that one. A reply of
// nil means that JetStream has stored the message now; any other says why it has not ([Taken]), or is not
// known to have. A message without a reply may have been stored all the same. Where messages are grouped,
// those of a group with different replies are published again one by one: each must be one that the stream
// takes once only.
func (o *Outbox) Publish(ctx context.Context, n, grouped int, message func(i int) (*nats.Msg, error)) []error {
	replies, unclear := o.publishOnce(ctx, n, grouped, message)
	alone, _ := o.publishOnce(ctx, len(unclear), 1, func(i int) (*nats.Msg, error) { return message(unclear[i]) })
	for i, r := range alone {
		replies[unclear[i]] = r
	}
	return replies
}

// publishOnce returns the replies, and the messages of groups with different ones.
func (o *Outbox) publishOnce(ctx context.Context, n, grouped int, message func(i int) (*nats.Msg, error)) (replies []error, unclear []int) {
	if n == 0 {
		return nil, nil
	}
	b, err := o.open(n, grouped)
	if err != nil {
		return slices.Repeat([]error{err}, n), nil
	}
	o.send(b, message)
	o.await(ctx, b)
	return b.replies, b.sortOut()
}

// A batch is messages that are on their way together.
type batch struct {
	number  uint64
	prefix  string  // of the subjects on which its replies come; a group's number follows
	replies []error // to each message, once all is heard
	groups  []group
	left    int           // groups of which replies are missing
	all     chan struct{} // closed when every reply is in
}

// A group is messages whose replies come on one subject. Which reply is whose can be told only where all say
// the same.
type group struct {
	messages []int
	replies  int      // so far
	last     error    // of them
	mixed    bool     // there were different ones
	places   []uint64 // in the stream, in order, of those that were stored: each counts once
	complete bool
}

// open begins a batch of messages, and listens for replies if nobody does.
func (o *Outbox) open(n, grouped int) (*batch, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.listen(); err != nil {
		return nil, err
	}
	o.number++
	prefix := o.inbox + "." + strconv.FormatUint(o.number, 36) + "."
	b := &batch{number: o.number, prefix: prefix, replies: slices.Repeat([]error{errNoReply}, n), all: make(chan struct{})}
	messages := make([]int, n)
	for i := range messages {
		messages[i] = i
	}
	for members := range slices.Chunk(messages, grouped) {
		b.groups = append(b.groups, group{messages: members})
	}
	b.left = len(b.groups)
	o.batches[b.number] = b
	return b, nil
}

func (o *Outbox) listen() error {
	if o.inbox != "" {
		return nil
	}
	inbox := o.nc.NewInbox()
	sub, err := o.nc.Subscribe(inbox+".*.*", o.hear)
	if err != nil {
		return err
	}
	// What is on its way is bounded by the batches, so the library's own limits would only lose replies.
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return err
	}
	o.sub, o.inbox = sub, inbox
	return nil
}

// send publishes a batch's messages. Those that cannot be sent leave their groups.
func (o *Outbox) send(b *batch, message func(i int) (*nats.Msg, error)) {
	for number := range b.groups {
		g := &b.groups[number]
		replyTo := b.prefix + strconv.Itoa(number)
		sent := make([]int, 0, len(g.messages))
		for _, i := range g.messages {
			msg, err := message(i)
			if err == nil {
				msg.Reply = replyTo
				err = o.nc.PublishMsg(msg)
			}
			if err == nil {
				sent = append(sent, i)
			} else {
				b.replies[i] = err
			}
		}
		if len(sent) < len(g.messages) {
			o.mu.Lock()
			g.messages = sent
			b.completed(g)
			o.mu.Unlock()
		}
	}
}

// completed notes that a group is complete, if all its replies are in.
func (b *batch) completed(g *group) {
	if g.complete || g.replies < len(g.messages) {
		return
	}
	g.complete = true
	if b.left--; b.left == 0 {
		close(b.all)
	}
}

// await waits until all replies are in, nothing more is heard, or the time is up. What comes later is nobody's.
func (o *Outbox) await(ctx context.Context, b *batch) {
	ctx, cancel := context.WithTimeout(ctx, PublishTimeout)
	defer cancel()
	for before := o.repliesHeard(); b.missesAfter(ctx, quiet); {
		now := o.repliesHeard()
		if now == before {
			break
		}
		before = now
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.batches, b.number)
	if b.left > 0 && !slices.ContainsFunc(b.groups, func(g group) bool { return g.replies > 0 }) {
		o.listenAnew()
	}
}

// missesAfter waits for a while, and reports whether there is still something to wait for.
func (b *batch) missesAfter(ctx context.Context, wait time.Duration) bool {
	select {
	case <-b.all:
		return false
	case <-ctx.Done():
		return false
	case <-time.After(wait):
		return true
	}
}

func (o *Outbox) repliesHeard() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.heard
}

// listenAnew has the next batch subscribe anew: the server may have ended the subscription, as it does when a
// permission is taken away, and says so to nobody who waits.
func (o *Outbox) listenAnew() {
	if o.sub != nil {
		_ = o.sub.Unsubscribe() // whether it is there or not
	}
	o.sub, o.inbox = nil, ""
}

// sortOut puts the replies of groups into their messages' places, and returns the messages of groups with
// different ones.
func (b *batch) sortOut() (unclear []int) {
	for _, g := range b.groups {
		switch {
		case !g.complete:
		case g.mixed && len(g.messages) > 1:
			unclear = append(unclear, g.messages...)
		default:
			for _, i := range g.messages {
				b.replies[i] = g.last
			}
		}
	}
	return unclear
}

// hear takes in one reply.
func (o *Outbox) hear(msg *nats.Msg) {
	rest, last := cutLast(msg.Subject)
	_, middle := cutLast(rest)
	number, err1 := strconv.ParseUint(middle, 36, 64)
	g, err2 := strconv.Atoi(last)
	if err1 != nil || err2 != nil {
		return
	}
	place, r := read(msg)
	o.mu.Lock()
	defer o.mu.Unlock()
	if b := o.batches[number]; b != nil && g >= 0 && g < len(b.groups) {
		o.heard++
		b.note(&b.groups[g], r, place)
	}
}

// cutLast cuts the last token off a subject.
func cutLast(subject string) (rest, last string) {
	i := strings.LastIndexByte(subject, '.')
	return subject[:max(i, 0)], subject[i+1:]
}

// note notes a group's reply. One that says again that the same message is stored is not another's.
func (b *batch) note(g *group, r error, place uint64) {
	at, known := slices.BinarySearch(g.places, place)
	if g.complete || r == nil && known {
		return
	}
	if r == nil {
		g.places = slices.Insert(g.places, at, place)
	}
	g.mixed = g.mixed || g.replies > 0 && !alike(r, g.last)
	g.last = r
	g.replies++
	b.completed(g)
}

// read reads a reply, and the place in the stream of what was stored.
func read(msg *nats.Msg) (place uint64, r error) {
	if len(msg.Data) == 0 {
		if msg.Header.Get("Status") == "503" {
			return 0, jetstream.ErrNoStreamResponse
		}
		return 0, errNoReply
	}
	if place, is := plainYes(msg.Data); is {
		return place, nil
	}
	var said struct {
		Stream    string              `json:"stream"`
		Sequence  uint64              `json:"seq"`
		Duplicate bool                `json:"duplicate"`
		Error     *jetstream.APIError `json:"error"`
	}
	switch err := json.Unmarshal(msg.Data, &said); {
	case err != nil:
		return 0, errors.Join(errNoReply, err)
	case said.Error != nil:
		return 0, said.Error
	case said.Stream == "":
		return 0, errNoReply
	case said.Duplicate:
		return 0, errStoredBefore
	}
	return said.Sequence, nil
}

// plainYes knows a plain yes, which nearly all replies are, by its beginning and by what it does not mention.
func plainYes(data []byte) (place uint64, is bool) {
	if !bytes.HasPrefix(data, []byte(`{"stream":`)) || bytes.Contains(data, []byte(`"error"`)) || bytes.Contains(data, []byte(`"duplicate"`)) {
		return 0, false
	}
	_, rest, _ := bytes.Cut(data, []byte(`"seq":`))
	digits := bytes.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	place, err := strconv.ParseUint(string(rest[:max(digits, 0)]), 10, 64)
	return place, err == nil
}

// PartResults is the part of a worker's health that tells whether results and dead letters can be stored, and
// KindUnstored the kind of condition in which they cannot.
const (
	PartResults  = "results"
	KindUnstored = "unstored"
)

// Unstored is the condition in which results or dead letters of so many jobs cannot be stored.
func Unstored(n int, err error) metrics.Condition {
	c := metrics.Condition{
		Part: PartResults, Kind: KindUnstored, Grave: true,
		What:     fmt.Sprintf("results or dead letters of %d jobs cannot be stored, so these jobs are not acknowledged, and the worker keeps trying: %s", n, Hint(err)),
		ByItself: "the jobs stay in the stream, and leave it as soon as they can be stored",
		ToDo:     "see what NATS says of the streams of results and dead letters, and whether its disk has room",
		Command:  "nats stream report",
	}
	switch {
	case isDisconnected(err):
		c.Grave, c.Through, c.ToDo, c.Command = false, PartNATS, "", ""
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		c.ToDo, c.Command = "make the stream anew", initCommand
	}
	return c
}

// Hint is why a message is not stored, with what an operator can do about it.
func Hint(err error) string {
	var refused *jetstream.APIError
	switch {
	case errors.As(err, &refused) && refused.ErrorCode == notStored:
		return err.Error() + " (the stream is full: raise its limit or remove old messages)"
	case isDisconnected(err):
		return errNotConnected.Error()
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		return err.Error() + " (the stream is missing: run `logoff-worker init`)"
	case errors.Is(err, errNoReply), errors.Is(err, context.DeadlineExceeded):
		return err.Error() + " (NATS is silent: its disk may be full, which needs space and a restart of the server, or a permission is missing)"
	}
	return err.Error()
}

func isDisconnected(err error) bool {
	return errors.Is(err, nats.ErrReconnectBufExceeded) || errors.Is(err, nats.ErrDisconnected) || errors.Is(err, nats.ErrConnectionReconnecting)
}

// notStored is JetStream's code for a message for which a stream has no room, and subjectFull what it says where only
// the message's subject has none (ErrMaxMsgsPerSubject of nats-server, the same in 2.10 to 2.15).
const (
	notStored   jetstream.ErrorCode = 10077
	subjectFull                     = "maximum messages per subject exceeded"
)

package stream

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// What a reply says of a message is one of three: it is stored, another is in its place, or neither is known.
func TestReplySaysOneOfThree(t *testing.T) {
	taken, full := &jetstream.APIError{ErrorCode: jetstream.JSErrCodeStreamWrongLastSequence}, &jetstream.APIError{ErrorCode: notStored}
	has := &jetstream.APIError{ErrorCode: notStored, Description: subjectFull}
	kinds := []error{nil, taken, errNoReply}
	for i, a := range kinds {
		for j, b := range kinds {
			if alike(a, b) != (i == j) {
				t.Errorf("%v and %v are alike: %t", a, b, alike(a, b))
			}
		}
	}
	for _, test := range []struct {
		reply        error
		taken, alone bool
	}{
		{nil, false, false},
		{taken, true, true},
		{errStoredBefore, true, true},
		{has, false, true}, // by another, unless its subject is its own
		{full, false, false},
		{&jetstream.APIError{Description: subjectFull}, false, false},
		{errNoReply, false, false},
	} {
		if Taken(test.reply) != test.taken || TakenAlone(test.reply) != test.alone {
			t.Errorf("%v: taken %t, alone %t", test.reply, Taken(test.reply), TakenAlone(test.reply))
		}
	}
	if !alike(full, errNoReply) || alike(full, has) {
		t.Error("a refusal is like another")
	}
}

// A plain yes is known by where its number ends; whatever else there is, is read as a whole.
func TestPlainYesTellsItsPlace(t *testing.T) {
	for text, want := range map[string]uint64{
		`{"stream":"S","seq":7}`: 7, `{"stream":"S","seq":7,"x":1}`: 7, `{"stream":"S","seq":7 ,"x":1}`: 7, `{"stream":"S"}`: 0, `{"stream":"S","seq":"7"}`: 0,
		`{"stream":"S","seq":7,"duplicate":true}`: 0, `{"stream":"S","seq":7,"error":{}}`: 0, `{"seq":7}`: 0,
	} {
		if place, is := plainYes([]byte(text)); place != want || is != (want > 0) {
			t.Errorf("%s: %d, %t", text, place, is)
		}
	}
	if _, r := read(&nats.Msg{Data: []byte("stored!")}); r == nil || r.Error() == errNoReply.Error() {
		t.Errorf("what is no JSON is not told: %v", r)
	}
}

// With the reason there is what to do about it.
func TestHintSaysWhatToDo(t *testing.T) {
	for hint, err := range map[string]error{
		"the stream is full": &jetstream.APIError{ErrorCode: notStored}, "there is no connection": nats.ErrReconnectBufExceeded, "run `logoff-worker init`": jetstream.ErrNoStreamResponse,
		"NATS is silent": errNoReply,
	} {
		if words := Hint(err); !strings.Contains(words, hint) {
			t.Errorf("%v: %s", err, words)
		}
	}
	for _, err := range []error{&jetstream.APIError{ErrorCode: 1}, errors.New("something else")} {
		if words := Hint(err); words != err.Error() {
			t.Errorf("%v: %s", err, words)
		}
	}
}

// yes answers that messages are stored, each in a place of its own.
func yes(t *testing.T, o *Outbox, subject string) {
	t.Helper()
	place := 0
	if _, err := o.nc.Subscribe(subject, func(msg *nats.Msg) {
		place++
		_ = msg.Respond(fmt.Appendf(nil, `{"stream":"R","seq":%d}`, place))
	}); err != nil {
		t.Fatal(err)
	}
}

// Replies end the wait, one subscription is enough for all, and it is kept while anything is heard.
func TestRepliesEndTheWait(t *testing.T) {
	withOutbox(t, func(t *testing.T, o *Outbox) {
		yes(t, o, "r.>")
		if _, err := o.nc.Subscribe("half.*", func(msg *nats.Msg) {
			if msg.Subject == "half.0" {
				_ = msg.Respond([]byte(`{"stream":"R","seq":1}`))
			}
		}); err != nil {
			t.Fatal(err)
		}
		others := o.nc.NumSubscriptions()
		begun := time.Now()
		if replies := o.Publish(t.Context(), 0, Shared, nil); len(replies) != 0 || o.nc.NumSubscriptions() != others {
			t.Errorf("nothing to publish: %v", replies)
		}
		for range 3 {
			for i, r := range o.Publish(t.Context(), 40, Shared, numbered("r")) {
				if r != nil {
					t.Errorf("%d: %v", i, r)
				}
			}
		}
		inbox := o.inbox
		if took := time.Since(begun); took >= quiet || o.nc.NumSubscriptions() != others+1 {
			t.Errorf("it took %v with %d subscriptions", took, o.nc.NumSubscriptions()-others)
		}
		unmade := errors.New("not made")
		for _, r := range o.Publish(t.Context(), 3, Shared, func(int) (*nats.Msg, error) { return nil, unmade }) {
			if !errors.Is(r, unmade) {
				t.Error(r)
			}
		}
		if replies := o.Publish(t.Context(), 2, 1, numbered("half")); replies[0] != nil || !errors.Is(replies[1], errNoReply) || o.inbox != inbox {
			t.Errorf("one is answered: %v", replies)
		}
		if _, err := o.nc.Subscribe("silent.>", func(*nats.Msg) {}); err != nil {
			t.Fatal(err)
		}
		o.Publish(t.Context(), 2, 1, numbered("silent"))
		if o.Publish(t.Context(), 1, 1, numbered("r")); o.inbox == inbox || o.nc.NumSubscriptions() != others+2 {
			t.Errorf("after a silence there are %d subscriptions", o.nc.NumSubscriptions()-others-1)
		}
		o.nc.Close()
		for _, r := range NewOutbox(o.nc).Publish(t.Context(), 2, 1, numbered("r")) {
			if !errors.Is(r, nats.ErrConnectionClosed) {
				t.Errorf("without a connection: %v", r)
			}
		}
	})
}

// What is no reply to anything on its way is nobody's.
func TestReplyToNothingIsNobodys(t *testing.T) {
	withOutbox(t, func(t *testing.T, o *Outbox) {
		b, err := o.open(2, 1)
		if err != nil {
			t.Fatal(err)
		}
		reply := []byte(`{"stream":"R","seq":1}`)
		for _, subject := range []string{o.inbox + ".!.0", b.prefix + "x", o.inbox + ".zz.0", b.prefix + "-1", b.prefix + "2", "x", ""} {
			o.hear(&nats.Msg{Subject: subject, Data: reply})
		}
		if o.heard != 0 || b.left != 2 {
			t.Errorf("heard %d, %d left", o.heard, b.left)
		}
		o.hear(&nats.Msg{Subject: b.prefix + "0", Data: reply})
		if o.heard != 1 || b.left != 1 {
			t.Errorf("heard %d, %d left", o.heard, b.left)
		}
		delete(o.batches, b.number)
		o.hear(&nats.Msg{Subject: b.prefix + "1", Data: reply})
		if o.heard != 1 || b.left != 1 {
			t.Errorf("too late: heard %d, %d left", o.heard, b.left)
		}
	})
}

// A group is complete once, and the reply that a message was stored before is another than that it is.
func TestGroupIsCompleteOnce(t *testing.T) {
	b := &batch{groups: []group{{messages: []int{0, 1}}, {messages: []int{2}}}, left: 2, replies: make([]error, 3), all: make(chan struct{})}
	g := &b.groups[0]
	b.note(g, nil, 5)
	b.note(g, nil, 5)
	if g.replies != 1 {
		t.Errorf("the same again: %d replies", g.replies)
	}
	b.note(g, errNoReply, 5)
	if g.replies != 2 || !g.mixed || b.left != 1 {
		t.Errorf("%+v, %d left", g, b.left)
	}
	b.note(g, nil, 6)
	if b.completed(g); g.replies != 2 || b.left != 1 {
		t.Errorf("afterwards: %+v, %d left", g, b.left)
	}
	g.messages = g.messages[:1] // the other was not made after all
	if unclear := b.sortOut(); len(unclear) != 0 || !errors.Is(b.replies[0], errNoReply) {
		t.Errorf("of one message alone: %v, %v", unclear, b.replies)
	}
}

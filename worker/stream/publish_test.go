package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/worker/broker"
	"logoffworker/worker/stage/bubble"
)

// Nothing but JetStream's own yes counts as stored.
func TestOnlyAYesIsStored(t *testing.T) {
	refused := func(code jetstream.ErrorCode) func(error) bool {
		return func(r error) bool {
			var e *jetstream.APIError
			return errors.As(r, &e) && e.ErrorCode == code
		}
	}
	unanswered := func(r error) bool { return errors.Is(r, errNoReply) }
	for name, test := range map[string]struct {
		data   string
		status string
		right  func(error) bool
	}{
		"yes":                {data: `{"stream":"LOGOFF_RESULTS","seq":7}`, right: func(r error) bool { return r == nil }},
		"yes, in a domain":   {data: `{"stream":"LOGOFF_RESULTS","domain":"hub","seq":7}`, right: func(r error) bool { return r == nil }},
		"known already":      {data: `{"stream":"LOGOFF_RESULTS","seq":7,"duplicate":true}`, right: func(r error) bool { return errors.Is(r, errStoredBefore) }},
		"settled":            {data: `{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 3"},"stream":"LOGOFF_RESULTS","seq":0}`, right: refused(jetstream.JSErrCodeStreamWrongLastSequence)},
		"settled, otherwise": {data: `{"stream":"LOGOFF_RESULTS","seq":0,"error":{"code":400,"err_code":10071}}`, right: refused(jetstream.JSErrCodeStreamWrongLastSequence)},
		"settled, by itself": {data: `{"error":{"code":503,"err_code":10077,"description":"maximum messages per subject exceeded"},"stream":"LOGOFF_RESULTS","seq":0}`, right: func(r error) bool { return TakenAlone(r) && !Taken(r) }},
		"full":               {data: `{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"},"stream":"LOGOFF_RESULTS"}`, right: func(r error) bool { return refused(10077)(r) && !TakenAlone(r) }},
		"nobody there":       {status: "503", right: func(r error) bool { return errors.Is(r, jetstream.ErrNoStreamResponse) }},
		"empty":              {right: unanswered},
		"no stream":          {data: `{"seq":7}`, right: unanswered},
		"not JSON":           {data: `stored!`, right: unanswered},
		"somebody else's":    {data: `{"ok":true}`, right: unanswered},
	} {
		msg := nats.NewMsg("x")
		msg.Data = []byte(test.data)
		if test.status != "" {
			msg.Header.Set("Status", test.status)
		}
		if _, r := read(msg); !test.right(r) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// withNATS runs a test in fake time with a connection to a real broker.
func withNATS(t *testing.T, test func(t *testing.T, nc *nats.Conn)) {
	bubble.Run(t, time.Minute, func(t *testing.T) {
		b, err := broker.Start(broker.Options{StoreDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Shutdown()
		nc, err := b.Connect()
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		test(t, nc)
	})
}

// withOutbox runs a test with an outbox there.
func withOutbox(t *testing.T, test func(t *testing.T, o *Outbox)) {
	withNATS(t, func(t *testing.T, nc *nats.Conn) { test(t, NewOutbox(nc)) })
}

// numbered makes the message of a place in a batch.
func numbered(subject string) func(int) (*nats.Msg, error) {
	return func(i int) (*nats.Msg, error) {
		msg := nats.NewMsg(fmt.Sprint(subject, ".", i))
		msg.Header.Set(jetstream.ExpectedLastSubjSeqHeader, "0")
		return msg, nil
	}
}

// What became of each message of a group is told, also where the replies of its group differ.
func TestMixedGroupIsToldOneByOne(t *testing.T) {
	withOutbox(t, func(t *testing.T, o *Outbox) {
		js, err := jetstream.New(o.nc)
		if err != nil {
			t.Fatal(err)
		}
		stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.Publish(t.Context(), "s.40", nil); err != nil {
			t.Fatal(err)
		}
		unmade := errors.New("not made")
		replies := o.Publish(t.Context(), 100, Shared, func(i int) (*nats.Msg, error) {
			if i == 70 {
				return nil, unmade
			}
			return numbered("s")(i)
		})
		for i, r := range replies {
			ok := r == nil
			switch {
			case i == 70:
				ok = errors.Is(r, unmade)
			case i/Shared == 40/Shared: // stored at the first try, and known at the second
				ok = Taken(r)
			}
			if !ok {
				t.Errorf("%d: %+v", i, r)
			}
		}
		if info, err := stream.Info(t.Context()); err != nil || info.State.Msgs != 99 {
			t.Errorf("%v: %+v", err, info.State)
		}
	})
}

// Messages that are all refused, or all known, are not published twice.
func TestGroupOfOneReplyIsPublishedOnce(t *testing.T) {
	for name, text := range map[string]string{
		"full":    `{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"},"stream":"R","seq":0}`,
		"settled": `{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 3"},"stream":"R","seq":0}`,
	} {
		t.Run(name, func(t *testing.T) {
			withOutbox(t, func(t *testing.T, o *Outbox) {
				var published atomic.Int64
				if _, err := o.nc.Subscribe("r.>", func(msg *nats.Msg) {
					published.Add(1)
					_ = msg.Respond([]byte(text))
				}); err != nil {
					t.Error(err)
				}
				for i, r := range o.Publish(t.Context(), 2*Shared, Shared, numbered("r")) {
					if r == nil || Taken(r) != (name == "settled") {
						t.Errorf("%d: %+v", i, r)
					}
				}
				if n := published.Load(); n != 2*Shared {
					t.Errorf("%d were published", n)
				}
			})
		})
	}
}

// A reply that comes twice does not stand for one that is missing.
func TestReplyThatComesTwiceIsNotAnothers(t *testing.T) {
	withOutbox(t, func(t *testing.T, o *Outbox) {
		begun := time.Now()
		if _, err := o.nc.Subscribe("r.>", func(msg *nats.Msg) {
			place := msg.Subject[strings.LastIndexByte(msg.Subject, '.')+1:]
			reply := fmt.Appendf(nil, `{"stream":"R","seq":1%s}`, place)
			if place == "6" {
				reply = []byte(`{"stream":"R","seq":15}`)
			}
			_ = msg.Respond(reply)
		}); err != nil {
			t.Error(err)
		}
		replies := o.Publish(t.Context(), 2*Shared, Shared, numbered("r"))
		for i, r := range replies {
			if stored := r == nil; stored != (i >= Shared) || !stored && !errors.Is(r, errNoReply) {
				t.Errorf("%d: %+v", i, r)
			}
		}
		if took := time.Since(begun); took < quiet || took > 3*quiet {
			t.Errorf("it took %v", took)
		}
	})
}

// An outbox whose replies have stopped to come listens anew.
func TestOutboxListensAnew(t *testing.T) {
	withOutbox(t, func(t *testing.T, o *Outbox) {
		if replies := o.Publish(t.Context(), 1, Shared, numbered("none")); !errors.Is(replies[0], jetstream.ErrNoStreamResponse) {
			t.Errorf("%+v", replies)
		}
		before := o.inbox
		if _, err := o.nc.Subscribe("silent.>", func(*nats.Msg) {}); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if replies := o.Publish(ctx, 40, Shared, numbered("silent")); !errors.Is(replies[39], errNoReply) || o.inbox == before {
			t.Errorf("%+v, %s", replies[39], o.inbox)
		}
	})
}

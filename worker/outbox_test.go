package worker

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
	refused := func(code jetstream.ErrorCode) func(answer) bool {
		return func(a answer) bool {
			var e *jetstream.APIError
			return errors.As(a.err, &e) && e.ErrorCode == code
		}
	}
	unanswered := func(a answer) bool { return errors.Is(a.err, errNoAnswer) }
	for name, test := range map[string]struct {
		data   string
		status string
		right  func(answer) bool
	}{
		"yes":                {data: `{"stream":"LOGOFF_RESULTS","seq":7}`, right: func(a answer) bool { return a == answer{} }},
		"yes, in a domain":   {data: `{"stream":"LOGOFF_RESULTS","domain":"hub","seq":7}`, right: func(a answer) bool { return a == answer{} }},
		"known already":      {data: `{"stream":"LOGOFF_RESULTS","seq":7,"duplicate":true}`, right: func(a answer) bool { return a.err == nil && a.duplicate }},
		"settled":            {data: `{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 3"},"stream":"LOGOFF_RESULTS","seq":0}`, right: refused(codeSettled)},
		"settled, otherwise": {data: `{"stream":"LOGOFF_RESULTS","seq":0,"error":{"code":400,"err_code":10071}}`, right: refused(codeSettled)},
		"full":               {data: `{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"},"stream":"LOGOFF_RESULTS"}`, right: refused(10077)},
		"nobody there":       {status: "503", right: func(a answer) bool { return errors.Is(a.err, jetstream.ErrNoStreamResponse) }},
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
		if a, _ := read(msg); !test.right(a) {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// withOutbox runs a test in fake time with an outbox at a real broker.
func withOutbox(t *testing.T, test func(t *testing.T, o *outbox)) {
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
		test(t, newOutbox(nc))
	})
}

// numbered makes the message of a place in a batch.
func numbered(subject string) func(int) (*nats.Msg, error) {
	return func(i int) (*nats.Msg, error) {
		msg := nats.NewMsg(fmt.Sprint(subject, ".", i))
		msg.Header.Set(nats.MsgIdHdr, msg.Subject)
		msg.Header.Set(headerLast, "0")
		return msg, nil
	}
}

// What became of each message of a group is told, also where the answers of its group differ.
func TestMixedGroupIsToldOneByOne(t *testing.T) {
	withOutbox(t, func(t *testing.T, o *outbox) {
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
		answers := o.publish(t.Context(), 100, shared, func(i int) (*nats.Msg, error) {
			if i == 70 {
				return nil, unmade
			}
			return numbered("s")(i)
		})
		for i, a := range answers {
			ok := a == answer{}
			switch {
			case i == 70:
				ok = errors.Is(a.err, unmade)
			case i/shared == 40/shared: // stored at the first try, and known at the second
				ok = isSettled(a.err) || a.err == nil && a.duplicate
			}
			if !ok {
				t.Errorf("%d: %+v", i, a)
			}
		}
		if info, err := stream.Info(t.Context()); err != nil || info.State.Msgs != 99 {
			t.Errorf("%v: %+v", err, info.State)
		}
	})
}

// Messages that are all refused, or all known, are not published twice.
func TestGroupOfOneAnswerIsPublishedOnce(t *testing.T) {
	for name, text := range map[string]string{
		"full":    `{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"},"stream":"R","seq":0}`,
		"settled": `{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 3"},"stream":"R","seq":0}`,
	} {
		t.Run(name, func(t *testing.T) {
			withOutbox(t, func(t *testing.T, o *outbox) {
				var published atomic.Int64
				if _, err := o.nc.Subscribe("r.>", func(msg *nats.Msg) {
					published.Add(1)
					_ = msg.Respond([]byte(text))
				}); err != nil {
					t.Error(err)
				}
				for i, a := range o.publish(t.Context(), 2*shared, shared, numbered("r")) {
					if a.err == nil || isSettled(a.err) != (name == "settled") {
						t.Errorf("%d: %+v", i, a)
					}
				}
				if n := published.Load(); n != 2*shared {
					t.Errorf("%d were published", n)
				}
			})
		})
	}
}

// An answer that comes twice does not stand for one that is missing.
func TestAnswerThatComesTwiceIsNotAnothers(t *testing.T) {
	withOutbox(t, func(t *testing.T, o *outbox) {
		begun := time.Now()
		if _, err := o.nc.Subscribe("r.>", func(msg *nats.Msg) {
			place := msg.Subject[strings.LastIndexByte(msg.Subject, '.')+1:]
			answer := fmt.Appendf(nil, `{"stream":"R","seq":1%s}`, place)
			if place == "6" {
				answer = []byte(`{"stream":"R","seq":15}`)
			}
			_ = msg.Respond(answer)
		}); err != nil {
			t.Error(err)
		}
		answers := o.publish(t.Context(), 2*shared, shared, numbered("r"))
		for i, a := range answers {
			if stored := a == (answer{}); stored != (i >= shared) || !stored && !errors.Is(a.err, errNoAnswer) {
				t.Errorf("%d: %+v", i, a)
			}
		}
		if took := time.Since(begun); took < quiet || took > 3*quiet {
			t.Errorf("it took %v", took)
		}
	})
}

// An outbox whose answers have stopped to come listens anew.
func TestOutboxListensAnew(t *testing.T) {
	withOutbox(t, func(t *testing.T, o *outbox) {
		if answers := o.publish(t.Context(), 1, shared, numbered("none")); !errors.Is(answers[0].err, jetstream.ErrNoStreamResponse) {
			t.Errorf("%+v", answers)
		}
		before := o.inbox
		if _, err := o.nc.Subscribe("silent.>", func(*nats.Msg) {}); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if answers := o.publish(ctx, 40, shared, numbered("silent")); !errors.Is(answers[39].err, errNoAnswer) || o.inbox == before {
			t.Errorf("%+v, %s", answers[39], o.inbox)
		}
	})
}

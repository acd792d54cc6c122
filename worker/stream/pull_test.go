package stream

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A pull that nobody answers ends its subscription: what was sent to it late goes back to the stream, instead
// of to somebody who does not wait any more.
func TestSilentPullLeavesNoSubscription(t *testing.T) {
	withOutbox(t, func(t *testing.T, o *Outbox) {
		p := newPuller(o.nc, "$JS.API", "S", "c")
		asked := make(chan *nats.Msg, 10)
		if _, err := o.nc.Subscribe(p.api, func(msg *nats.Msg) { asked <- msg }); err != nil {
			t.Fatal(err)
		}
		if msgs, err := p.Pull(1, time.Second); !errors.Is(err, errSilent) || len(msgs) != 0 {
			t.Fatalf("%v, %v", msgs, err)
		}
		first := <-asked
		if _, err := o.nc.Request(first.Reply, nil, time.Second); !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("somebody listens still: %v", err)
		}
		go func() { _ = o.nc.PublishMsg(&nats.Msg{Subject: (<-asked).Reply, Header: status("404 No Messages")}) }()
		if msgs, err := p.Pull(1, time.Second); err != nil || len(msgs) != 0 {
			t.Errorf("the next pull brings %v, %v", msgs, err)
		}
	})
}

func status(words string) nats.Header {
	code, description, _ := strings.Cut(words, " ")
	return nats.Header{"Status": {code}, "Description": {description}}
}

// What came before the server fell silent is taken.
func TestJobsBeforeASilenceAreTaken(t *testing.T) {
	withOutbox(t, func(t *testing.T, o *Outbox) {
		js, err := jetstream.New(o.nc)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := js.CreateConsumer(t.Context(), "S", jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
			t.Fatal(err)
		}
		if _, err := js.Publish(t.Context(), "s", nil); err != nil {
			t.Fatal(err)
		}
		p := newPuller(o.nc, "$JS.API", "S", "c")
		api := p.api
		p.api = "relay"
		if _, err := o.nc.Subscribe(p.api, func(msg *nats.Msg) { // a request that does not end with what is there
			_ = o.nc.PublishRequest(api, msg.Reply, []byte(`{"batch":5}`))
		}); err != nil {
			t.Fatal(err)
		}
		if msgs, err := p.Pull(5, time.Second); !errors.Is(err, errSilent) || len(msgs) != 1 {
			t.Errorf("%d jobs, %v", len(msgs), err)
		}
	})
}

// The server's own words end a pull; a trouble is told, the want of jobs is none.
func TestWordsOfTheServerEndAPull(t *testing.T) {
	withOutbox(t, func(t *testing.T, o *Outbox) {
		answer := make(chan nats.Header, 10)
		asked := 0
		p := newPuller(o.nc, "$JS.API", "S", "c")
		if _, err := o.nc.Subscribe(p.api, func(msg *nats.Msg) {
			asked++
			_ = o.nc.PublishMsg(&nats.Msg{Subject: msg.Reply, Header: <-answer})
		}); err != nil {
			t.Fatal(err)
		}
		for words, trouble := range map[string]string{
			"404 No Messages":                        "",
			"408 Request Timeout":                    "",
			"409 Batch Completed":                    "",
			"409 Consumer Deleted":                   "Consumer Deleted",
			"409 Exceeded MaxAckPending":             "Exceeded MaxAckPending",
			"503 ":                                   "missing",
			"500 Batch Completed":                    "500",
			"500 Message Size Exceeds MaxBytes":      "500",
			"500 Something else that nobody expects": "500",
		} {
			answer <- status(words)
			msgs, err := p.Pull(1, time.Second)
			if len(msgs) != 0 || (err == nil) != (trouble == "") || err != nil && !strings.Contains(err.Error(), trouble) {
				t.Errorf("%s: %d jobs, %v", words, len(msgs), err)
			}
		}
		asked = 0
		answer <- status("409 Message Size Exceeds MaxBytes")
		answer <- status("404 No Messages")
		if msgs, err := p.Pull(1, time.Second); err != nil || len(msgs) != 0 || asked != 2 || p.bytes != 2*pullBytes {
			t.Errorf("a job larger than a pull: %v, %v after %d requests of %d bytes", msgs, err, asked, p.bytes)
		}
	})
}

// A pull returns what came before a job that is too large, passes over the end of an earlier one, and keeps its subscription.
func TestPullIsOfItsOwnRequest(t *testing.T) {
	withOutbox(t, func(t *testing.T, o *Outbox) {
		js, err := jetstream.New(o.nc)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := js.CreateConsumer(t.Context(), "S", jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Hour}); err != nil {
			t.Fatal(err)
		}
		publish := func(bytes int) {
			if _, err := js.Publish(t.Context(), "s", make([]byte, bytes)); err != nil {
				t.Fatal(err)
			}
		}
		p := newPuller(o.nc, "$JS.API", "S", "c")
		if late := p.Drain(); late != nil {
			t.Errorf("before the first pull: %v", late)
		}
		publish(10)
		publish(1000)
		p.bytes = 500
		if msgs, err := p.Pull(2, time.Second); len(msgs) != 1 || err != nil || p.bytes != 500 {
			t.Errorf("before a large one: %d jobs, %v, then %d bytes", len(msgs), err, p.bytes)
		}
		inbox, others := p.inbox, o.nc.NumSubscriptions()
		ends := &nats.Msg{Subject: inbox + ".1", Header: status("408 Request Timeout")}
		if err := o.nc.PublishMsg(ends); err != nil {
			t.Fatal(err)
		}
		p.bytes = pullBytes
		if msgs, err := p.Pull(2, time.Second); len(msgs) != 1 || err != nil || p.inbox != inbox || o.nc.NumSubscriptions() != others {
			t.Errorf("after an earlier one: %d jobs, %v", len(msgs), err)
		}
		publish(10)
		if err := o.nc.PublishMsg(ends); err != nil {
			t.Fatal(err)
		}
		if _, err := p.ask(1, time.Second); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if late := p.Drain(); len(late) != 1 {
			t.Errorf("%d jobs were on their way", len(late))
		}
		publish(10)
		if msgs, err := p.Pull(1, time.Second); len(msgs) != 1 || err != nil {
			t.Errorf("anew: %d jobs, %v", len(msgs), err)
		}
		if err := p.sub.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
		publish(10)
		if msgs, err := p.Pull(1, time.Second); len(msgs) != 1 || err != nil {
			t.Errorf("where the subscription has ended: %d jobs, %v", len(msgs), err)
		}
		time.AfterFunc(time.Second, o.nc.Close)
		if _, err := p.Pull(1, 10*time.Second); !errors.Is(err, nats.ErrConnectionClosed) {
			t.Errorf("cut short: %v", err)
		}
		if _, err := p.Pull(1, time.Second); err == nil || !strings.Contains(err.Error(), "subscribe for jobs") {
			t.Errorf("without a connection: %v", err)
		}
	})
}

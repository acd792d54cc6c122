//go:build linux

package broker_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker/broker"
	"logoffworker/worker/stream"
)

const (
	// victimName is how the test binary knows that it is to be the process that is cut off.
	victimName = "power-cut-victim"
	// atOnce is how many messages are on their way at once, so that a cut comes in the midst of some.
	atOnce = 16
	// backlog is how many jobs are unsettled at most, so that there are as many results as jobs.
	backlog = 4 * atOnce
	// victimDisk is the first file descriptor that a process inherits beyond the standard ones.
	victimDisk = 3
)

var subjects = jobs.Subjects{Prefix: "logoff"}

// runVictim runs a broker, a publisher of jobs and one who settles them, and prints a line for all
// that JetStream confirms. It returns only when something fails.
func runVictim(store string, syncAlways bool) error {
	b, err := broker.Start(broker.Options{StoreDir: store, SyncAlways: syncAlways})
	if err != nil {
		return err
	}
	nc, err := b.Connect()
	if err != nil {
		return err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	if err := stream.DefaultConfig().ProvisionStreams(context.Background(), js); err != nil {
		return err
	}
	failed := make(chan error)
	room := make(chan struct{}, backlog)
	go func() { failed <- publishJobs(js, room) }()
	go func() { failed <- settleJobs(js, room) }()
	return <-failed
}

func publishJobs(js jetstream.JetStream, room chan<- struct{}) error {
	for first := 0; ; first += atOnce {
		var batch []*nats.Msg
		var ns []int
		for n := first; n < first+atOnce; n++ {
			room <- struct{}{}
			batch = append(batch, message(subjects.Request(jobs.Bulk, ""), "job", n))
			ns = append(ns, n)
		}
		if err := publish(js, "job", batch, ns); err != nil {
			return err
		}
	}
}

// settleJobs does with each job what the worker does: it stores the result, then acknowledges.
func settleJobs(js jetstream.JetStream, room <-chan struct{}) error {
	consumer, err := js.Consumer(context.Background(), subjects.RequestStream(), string(jobs.Bulk))
	if err != nil {
		return err
	}
	for {
		pulled, err := consumer.Fetch(atOnce, jetstream.FetchMaxWait(time.Second))
		if err != nil {
			return err
		}
		var deliveries []jetstream.Msg
		for msg := range pulled.Messages() {
			deliveries = append(deliveries, msg)
		}
		if err := errors.Join(pulled.Error(), settle(js, deliveries, room)); err != nil {
			return err
		}
	}
}

func settle(js jetstream.JetStream, deliveries []jetstream.Msg, room <-chan struct{}) error {
	var results []*nats.Msg
	var ns []int
	for _, d := range deliveries {
		n, err := number(d.Data(), "job")
		if err != nil {
			return err
		}
		result := message(subjects.Result("job-"+strconv.Itoa(n), "key"), "result", n)
		result.Header.Set("Nats-Expected-Last-Subject-Sequence", "0")
		results, ns = append(results, result), append(ns, n)
	}
	if err := publish(js, "result", results, ns); err != nil {
		return err
	}
	for i, d := range deliveries {
		if err := d.DoubleAck(context.Background()); err != nil {
			return err
		}
		confirm("done", ns[i])
		<-room
	}
	return nil
}

// publish publishes messages at once and says of each when it is stored.
func publish(js jetstream.JetStream, kind string, batch []*nats.Msg, ns []int) error {
	var futures []jetstream.PubAckFuture
	for _, msg := range batch {
		future, err := js.PublishMsgAsync(msg)
		if err != nil {
			return err
		}
		futures = append(futures, future)
	}
	for i, future := range futures {
		select {
		case <-future.Ok():
			confirm(kind, ns[i])
		case err := <-future.Err():
			return err
		}
	}
	return nil
}

// confirm is one write, so that a line is in the pipe as a whole or not at all.
func confirm(what string, n int) { fmt.Fprintf(os.Stdout, "%s %d\n", what, n) }

func message(subject, kind string, n int) *nats.Msg {
	msg := nats.NewMsg(subject)
	msg.Header.Set(nats.MsgIdHdr, kind+"-"+strconv.Itoa(n))
	msg.Data = body(kind, n)
	return msg
}

// body differs in every part from one message to the next, so that a part of another is noticed.
func body(kind string, n int) []byte {
	return fmt.Appendf(nil, "%s %d %s", kind, n, strings.Repeat(strconv.Itoa(n)+"/", 50))
}

// number reads from a message which one it is. One that is not as it was published is an error.
func number(data []byte, kind string) (int, error) {
	var n int
	if _, err := fmt.Sscanf(string(data), kind+" %d ", &n); err != nil || string(data) != string(body(kind, n)) {
		return 0, fmt.Errorf("a damaged %s: %q", kind, data)
	}
	return n, nil
}

// contents is what a broker finds on its disk.
type contents struct {
	jobs, results numbers
	recovery      time.Duration // how long the broker took to start
}

// restart starts a broker on a disk, reads every message, and sees that each job is delivered.
func restart(t *testing.T, d *disk, syncAlways bool) contents {
	t.Helper()
	begin := time.Now()
	b, err := broker.Start(broker.Options{StoreDir: storeOn(d.root.Fd()), SyncAlways: syncAlways})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Shutdown()
	found := contents{recovery: time.Since(begin)}
	nc, err := b.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	found.jobs = stored(t, js, subjects.RequestStream(), "job")
	found.results = stored(t, js, subjects.ResultStream(), "result")
	awaitDelivery(t, js, found.jobs)
	return found
}

// stored reads a stream message by message; what only its index knows does not count.
func stored(t *testing.T, js jetstream.JetStream, name, kind string) numbers {
	t.Helper()
	found := numbers{}
	stream, err := js.Stream(t.Context(), name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return found // it is lost as a whole, and so is all that was in it
	}
	if err != nil {
		t.Fatal(err)
	}
	state := stream.CachedInfo().State
	for seq := max(1, state.FirstSeq); seq <= state.LastSeq; seq++ {
		msg, err := stream.GetMsg(t.Context(), seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		n, err := number(msg.Data, kind)
		if err != nil {
			t.Error(err)
		}
		found[n] = true
	}
	return found
}

// awaitDelivery waits until every job of the stream has been delivered: a job that stays in it and
// that no worker gets is lost too. Those that were out at the cut come when their lease ends.
func awaitDelivery(t *testing.T, js jetstream.JetStream, want numbers) {
	t.Helper()
	if len(want) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	consumer := withShortLease(t, js)
	missing := len(want)
	for seen := (numbers{}); missing > 0; {
		pulled, err := consumer.Fetch(missing, jetstream.FetchMaxWait(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		for msg := range pulled.Messages() {
			n, err := number(msg.Data(), "job")
			if err != nil || !want[n] {
				t.Errorf("job %d was delivered and is not in the stream: %v", n, err)
			}
			if !seen[n] {
				seen[n] = true
				missing--
			}
		}
		if ctx.Err() != nil {
			t.Fatalf("%d of %d jobs in the stream are not delivered", missing, len(want))
		}
	}
}

func withShortLease(t *testing.T, js jetstream.JetStream) jetstream.Consumer {
	t.Helper()
	consumer, err := js.Consumer(t.Context(), subjects.RequestStream(), string(jobs.Bulk))
	if err != nil {
		t.Fatal(err)
	}
	config := consumer.CachedInfo().Config
	config.AckWait = 200 * time.Millisecond
	if consumer, err = js.UpdateConsumer(t.Context(), subjects.RequestStream(), config); err != nil {
		t.Fatal(err)
	}
	return consumer
}

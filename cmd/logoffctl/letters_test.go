package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"github.com/rogpeppe/go-internal/testscript"

	"logoffworker/jobs"
	"logoffworker/worker/stage"
)

// kill stores n jobs of a publisher, each naming a session, and settles them with a status that leaves a dead letter, as a
// worker would. Their ids are STATUS-1, STATUS-2, ….
func (w *world) kill(n int, status jobs.Status, lane jobs.Lane, publisher string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	subject, by := w.subjects.Request(lane, publisher), w.js
	if w.publisher != nil {
		by = w.publisher
	}
	for i := range n {
		job := jobs.Job{ID: fmt.Sprintf("%s-%d", status, i+1), Sessions: []jobs.Session{{ID: fmt.Sprintf("AE92D1DD-0C68-49A6-BEBB-%012d", i+1)}}}
		data, err := job.Encode()
		if err != nil {
			return err
		}
		if status == jobs.Invalid {
			data = []byte("no job")
		}
		if _, err := by.Publish(ctx, subject, data); err != nil {
			return err
		}
	}
	consumer, err := w.js.Consumer(ctx, w.subjects.RequestStream(), string(lane))
	if err != nil {
		return err
	}
	batch, err := consumer.Fetch(n, jetstream.FetchMaxWait(5*time.Second))
	if err != nil {
		return err
	}
	i := 0
	for msg := range batch.Messages() {
		i++
		if err := w.bury(ctx, msg, fmt.Sprintf("%s-%d", status, i), status); err != nil {
			return err
		}
	}
	if i != n {
		return fmt.Errorf("%d jobs came, not %d", i, n)
	}
	return nil
}

// bury stores the result and the dead letter of a job, and acknowledges it.
func (w *world) bury(ctx context.Context, msg jetstream.Msg, id string, status jobs.Status) error {
	meta, err := msg.Metadata()
	if err != nil {
		return err
	}
	key := jobs.Key(meta.Sequence.Stream, meta.Timestamp)
	lane, publisher, _ := w.subjects.Origin(msg.Subject())
	r := jobs.Result{
		Version: jobs.ResultVersion, JobID: id, Status: status, Lane: lane, Publisher: publisher, Worker: "worker-1", Deliveries: 1,
		RequestedAt: meta.Timestamp, ReceivedAt: meta.Timestamp.Add(2 * time.Millisecond), CompletedAt: meta.Timestamp.Add(time.Second),
		TimeToLogoffMS: 1000, Counts: map[jobs.Outcome]int{}, Error: "1 session of 3 is still on",
		Steps: []jobs.Step{{AtMS: 61, What: "logoff", RequestID: "a91c01", Verdict: "accepted", TookMS: 41}},
	}
	if status == jobs.Held {
		r.HeldSHA256, r.Steps = fmt.Sprintf("%x", sha256.Sum256(msg.Data())), nil
	}
	if err := w.putResult(ctx, r, key); err != nil {
		return err
	}
	letter := jobs.DeadLetter{
		Reason: status, JobID: id, Error: r.Error, Subject: msg.Subject(), Result: w.subjects.Result(id, key),
		Sequence: meta.Sequence.Stream, Stored: meta.Timestamp, ContentType: "application/json", Payload: msg.Data(),
	}
	dead := nats.NewMsg(w.subjects.Dead(status))
	dead.Data, dead.Header = letter.Payload, letter.Header()
	if _, err := w.js.PublishMsg(ctx, dead); err != nil {
		return err
	}
	return msg.DoubleAck(ctx)
}

// held is how many messages a stream has.
func (w *world) has(stream string) (uint64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	found, err := w.js.Stream(ctx, stream)
	if err != nil {
		return 0, err
	}
	return found.CachedInfo().State.Msgs, nil
}

// makeLetters is the command letters N STATUS LANE PUBLISHER.
func makeLetters(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(worldOf(ts).kill(n, jobs.Status(args[1]), jobs.Lane(args[2]), args[3]))
}

// countMessages is the command has STREAM N, where a stream is REQUESTS, DEAD, AUDIT or RESULTS.
func countMessages(ts *testscript.TestScript, _ bool, args []string) {
	n, err := worldOf(ts).has("LOGOFF_" + args[0])
	ts.Check(err)
	if strconv.FormatUint(n, 10) != args[1] {
		ts.Fatalf("LOGOFF_%s has %d messages, not %s", args[0], n, args[1])
	}
}

// forgetIDs has NATS forget message ids at once, as it does after two minutes.
func forgetIDs(ts *testscript.TestScript, _ bool, _ []string) { ts.Check(worldOf(ts).forgetIDs()) }

func (w *world) forgetIDs() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	requests, err := w.js.Stream(ctx, w.subjects.RequestStream())
	if err != nil {
		return err
	}
	config := requests.CachedInfo().Config
	config.Duplicates = 100 * time.Millisecond
	_, err = w.js.UpdateStream(ctx, config)
	return err
}

// forgotten waits until NATS has forgotten the ids of all that is stored: it forgets the earliest first.
func (w *world) forgotten(t *testing.T) {
	t.Helper()
	probe := nats.NewMsg(w.subjects.Request(jobs.Urgent, "probe"))
	probe.Header.Set(nats.MsgIdHdr, nuid.Next())
	stored := 0
	if !stage.Await(t.Context(), time.Minute, func() bool {
		ack, err := w.js.PublishMsg(t.Context(), probe)
		if err == nil && !ack.Duplicate {
			stored++
		}
		return stored == 2
	}) {
		t.Fatal("the broker remembers message ids")
	}
}

// replays counts how often each letter was replayed, by the message ids of the jobs that wait.
func (w *world) replays(t *testing.T) map[string]int {
	t.Helper()
	requests, err := w.js.Stream(t.Context(), w.subjects.RequestStream())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]int{}
	state := requests.CachedInfo().State
	for seq := state.FirstSeq; seq <= state.LastSeq; seq++ {
		msg, err := requests.GetMsg(t.Context(), seq)
		if err != nil {
			continue
		}
		if id := msg.Header.Get(nats.MsgIdHdr); strings.HasPrefix(id, "replay-") {
			all[id]++
		}
	}
	return all
}

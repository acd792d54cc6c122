package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"logoffworker/jobs"
	"logoffworker/worker/stage/bubble"
)

// A replay of 1,000 letters that is killed half-way, again and again, and repeated when NATS no longer knows the message
// ids, leaves no letter and publishes none twice.
func TestAReplayThatIsKilledAndRepeatedLeavesNoneAndDoublesNone(t *testing.T) {
	bubble.SkipsUnderRace(t)
	const letters = 1000
	w := testWorld(t, 0)
	if err := w.kill(letters, jobs.Partial, jobs.Bulk, "hr"); err != nil {
		t.Fatal(err)
	}
	if err := w.forgetIDs(); err != nil {
		t.Fatal(err)
	}
	replay := func() *exec.Cmd {
		cmd := exec.Command("logoffctl", "dead", "replay", "--reason", "partial", "--rate", "100000/s", "--yes", "--why", "test")
		cmd.Env = append(os.Environ(), "LOGOFF_NATS_URL="+w.broker.URL())
		return cmd
	}
	stored, err := w.js.Conn().SubscribeSync(w.subjects.Request(jobs.Bulk, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // killed after about a quarter each
		cmd := replay()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for range letters / 4 {
			if _, err := stored.NextMsg(time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		w.forgotten(t)
	}
	left, err := w.has(w.subjects.DeadStream())
	if err != nil || left == 0 {
		t.Fatalf("nothing is left to be repeated: %d, %v", left, err)
	}
	if out, err := replay().CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if left, err := w.has(w.subjects.DeadStream()); err != nil || left != 0 {
		t.Errorf("%d letters are left, %v", left, err)
	}
	all := w.replays(t)
	if len(all) != letters {
		t.Errorf("%d letters were replayed, not %d", len(all), letters)
	}
	for id, n := range all {
		if n != 1 {
			t.Errorf("%s was published %d times", id, n)
		}
	}
}

// replayer is a republisher in the process of the test.
func (w *world) replayer(t *testing.T, verb jobs.Verb, who string) (*republisher, []letter) {
	t.Helper()
	t.Setenv("LOGOFF_NATS_URL", w.broker.URL())
	tool := &tool{stdin: os.Stdin, stdout: io.Discard, stderr: io.Discard}
	here, err := tool.connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(here.close)
	all, err := tool.letters(t.Context(), here, choice{})
	if err != nil {
		t.Fatal(err)
	}
	r := here.replayer(who)
	if verb == jobs.ActApprove {
		r = here.approver(who)
	}
	return r, all
}

// What was published before the program died between that and taking the letter off is not published again, by whoever
// and whenever it is repeated: not while the job waits, and not when it has its result, of whatever kind.
func TestWhatWasPublishedIsNotPublishedAgain(t *testing.T) {
	for _, verb := range []jobs.Verb{jobs.ActReplay, jobs.ActApprove} {
		for _, state := range []string{"waits", "settled", "settled by a later job"} {
			t.Run(fmt.Sprintf("%s %s", verb, state), func(t *testing.T) {
				w := testWorld(t, 0)
				status := map[jobs.Verb]jobs.Status{jobs.ActReplay: jobs.Failed, jobs.ActApprove: jobs.Held}[verb]
				if err := w.kill(1, status, jobs.Bulk, "hr"); err != nil {
					t.Fatal(err)
				}
				if err := w.forgetIDs(); err != nil {
					t.Fatal(err)
				}
				died, all := w.replayer(t, verb, "jane")
				if err := died.prepare(t.Context(), all, "first"); err != nil {
					t.Fatal(err)
				}
				msg, err := died.message(all[0])
				if err != nil {
					t.Fatal(err)
				}
				if _, err := w.js.PublishMsg(t.Context(), msg); err != nil {
					t.Fatal(err)
				}
				if state != "waits" {
					w.answer(t, msg, all[0], verb)
				}
				if state == "settled by a later job" {
					if err := w.settleNamed(all[0].JobID); err != nil {
						t.Fatal(err)
					}
				}
				w.forgotten(t)
				before, err := w.storedEver()
				if err != nil {
					t.Fatal(err)
				}
				again, _ := w.replayer(t, verb, "tim")
				if err := again.prepare(t.Context(), all, "second"); err != nil {
					t.Fatal(err)
				}
				if sequence, err := again.publish(t.Context(), all[0]); err != nil || sequence != 0 {
					t.Errorf("it was published again as %d, %v", sequence, err)
				}
				after, err := w.storedEver()
				if err != nil || after != before {
					t.Errorf("%d jobs were stored, %v", after-before, err)
				}
				if left, err := w.has(w.subjects.DeadStream()); err != nil || left != 0 {
					t.Errorf("%d letters are left, %v", left, err)
				}
			})
		}
	}
}

// answer takes a job that was published of a letter off the stream, with a result.
func (w *world) answer(t *testing.T, msg *nats.Msg, l letter, verb jobs.Verb) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	consumer, err := w.js.Consumer(ctx, w.subjects.RequestStream(), string(l.lane))
	if err != nil {
		t.Fatal(err)
	}
	got, err := consumer.Next()
	if err != nil {
		t.Fatal(err)
	}
	job, err := jobs.Decode(got.Data(), jobs.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	meta, err := got.Metadata()
	if err != nil {
		t.Fatal(err)
	}
	r := jobs.Result{Version: jobs.ResultVersion, JobID: job.ID, Status: jobs.Done, Lane: l.lane, Labels: job.Labels, RequestedAt: meta.Timestamp}
	if verb == jobs.ActApprove {
		r.Approves = msg.Header.Get(heldHeader)
	}
	if err := w.putResult(ctx, r, jobs.Key(meta.Sequence.Stream, meta.Timestamp)); err != nil {
		t.Fatal(err)
	}
	if err := got.DoubleAck(ctx); err != nil {
		t.Fatal(err)
	}
}

// settleNamed stores a result of another job of the same name.
func (w *world) settleNamed(id string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	now := time.Now()
	r := jobs.Result{Version: jobs.ResultVersion, JobID: id, Status: jobs.Done, Lane: jobs.Bulk, RequestedAt: now}
	return w.putResult(ctx, r, jobs.Key(99, now))
}

func (w *world) putResult(ctx context.Context, r jobs.Result, key string) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	msg := nats.NewMsg(w.subjects.Result(r.JobID, key))
	msg.Data = data
	msg.Header.Set("Logoff-Status", string(r.Status))
	_, err = w.js.PublishMsg(ctx, msg)
	return err
}

// A letter whose job has another result of the same name since is published all the same: that one was another job.
func TestAnotherJobOfTheSameNameDoesNotStandForAReplay(t *testing.T) {
	w := testWorld(t, 0)
	if err := w.kill(1, jobs.Failed, jobs.Bulk, "hr"); err != nil {
		t.Fatal(err)
	}
	died, all := w.replayer(t, jobs.ActReplay, "jane")
	if err := died.prepare(t.Context(), all, "died before it published"); err != nil {
		t.Fatal(err)
	}
	if err := w.settleNamed(all[0].JobID); err != nil {
		t.Fatal(err)
	}
	again, _ := w.replayer(t, jobs.ActReplay, "tim")
	if err := again.prepare(t.Context(), all, "again"); err != nil {
		t.Fatal(err)
	}
	if sequence, err := again.publish(t.Context(), all[0]); err != nil || sequence == 0 {
		t.Errorf("it was not published: %d, %v", sequence, err)
	}
}

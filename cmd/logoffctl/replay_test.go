package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
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

// republisher is one in the process of the test, with the letters there are.
func (w *world) republisher(t *testing.T, verb jobs.Verb, who string) (*republisher, []letter) {
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
				died, all := w.republisher(t, verb, "jane")
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
					w.answer(t, msg, all[0], verb, jobs.Done)
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
				again, _ := w.republisher(t, verb, "tim")
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
func (w *world) answer(t *testing.T, msg *nats.Msg, l letter, verb jobs.Verb, status jobs.Status) {
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
	r := jobs.Result{Version: jobs.ResultVersion, JobID: job.ID, Status: status, Lane: l.lane, Labels: job.Labels, RequestedAt: meta.Timestamp}
	if _, r.Publisher, err = w.subjects.Origin(got.Subject()); verb == jobs.ActApprove {
		_, r.ApprovedBy, _ = w.subjects.Approver(got.Subject())
		r.Approves, err = msg.Header.Get(heldHeader), nil
	}
	if err != nil {
		t.Fatal(err)
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
	died, all := w.republisher(t, jobs.ActReplay, "jane")
	if err := died.prepare(t.Context(), all, "died before it published"); err != nil {
		t.Fatal(err)
	}
	if err := w.settleNamed(all[0].JobID); err != nil {
		t.Fatal(err)
	}
	again, _ := w.republisher(t, jobs.ActReplay, "tim")
	if err := again.prepare(t.Context(), all, "again"); err != nil {
		t.Fatal(err)
	}
	if sequence, err := again.publish(t.Context(), all[0]); err != nil || sequence == 0 {
		t.Errorf("it was not published: %d, %v", sequence, err)
	}
}

// What only looks like the job of a letter does not stand for it: the letter goes when this very job is stored.
func TestAnothersMessageDoesNotStandForALetter(t *testing.T) {
	for name, test := range map[string]struct {
		verb jobs.Verb
		// take publishes what is not the job of the letter, after jane has begun to deal with it.
		take func(t *testing.T, w *world, r *republisher, l letter)
		code int
	}{
		"a publisher used the id for an approval": {jobs.ActApprove, func(t *testing.T, w *world, r *republisher, l letter) {
			w.store(t, w.subjects.Request(jobs.Bulk, "mallory"), "approved-"+l.key(), `{"users":[{"id":1}]}`, "")
		}, 0},
		"a publisher used the id for a replay": {jobs.ActReplay, func(t *testing.T, w *world, r *republisher, l letter) {
			w.store(t, w.subjects.Request(jobs.Bulk, "mallory"), "replay-"+l.key(), `{"users":[{"id":1}],"labels":{"replayOf":"`+l.key()+`"}}`, "")
		}, 0},
		"a publisher used the label, and had a result": {jobs.ActReplay, func(t *testing.T, w *world, r *republisher, l letter) {
			msg := w.store(t, w.subjects.Request(jobs.Bulk, "mallory"), "", `{"id":"`+l.JobID+`","users":[{"id":1}],"labels":{"replayOf":"`+l.key()+`"}}`, "")
			w.answer(t, msg, l, jobs.ActReplay, jobs.Done)
		}, 0},
		"its publisher approved it, and was refused": {jobs.ActApprove, func(t *testing.T, w *world, r *republisher, l letter) {
			msg := w.store(t, w.subjects.Approved(jobs.Bulk, "hr"), "", string(l.Payload), l.Result)
			w.answer(t, msg, l, jobs.ActApprove, jobs.Invalid)
		}, 0},
		"the worker refused what she approved": {jobs.ActApprove, func(t *testing.T, w *world, r *republisher, l letter) {
			msg := w.store(t, w.subjects.Approved(jobs.Bulk, "jane"), "", string(l.Payload), l.Result)
			w.answer(t, msg, l, jobs.ActApprove, jobs.Invalid)
		}, 0},
		"the same person approved another payload": {jobs.ActApprove, func(t *testing.T, w *world, r *republisher, l letter) {
			w.store(t, w.subjects.Approved(jobs.Bulk, "jane"), "", `{"users":[{"id":1}]}`, l.Result)
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := testWorld(t, 0)
			if err := w.kill(1, map[jobs.Verb]jobs.Status{jobs.ActReplay: jobs.Failed, jobs.ActApprove: jobs.Held}[test.verb], jobs.Bulk, "hr"); err != nil {
				t.Fatal(err)
			}
			r, all := w.republisher(t, test.verb, "jane")
			if err := r.prepare(t.Context(), all, "died before it published"); err != nil {
				t.Fatal(err)
			}
			test.take(t, w, r, all[0])
			r, _ = w.republisher(t, test.verb, "jane")
			if err := r.prepare(t.Context(), all, "again"); err != nil {
				t.Fatal(err)
			}
			sequence, err := r.publish(t.Context(), all[0])
			left, look := w.has(w.subjects.DeadStream())
			if look != nil {
				t.Fatal(look)
			}
			if code := exitCode(t.Context(), err); code != test.code || (code == 0) != (sequence != 0) || (left == 0) != (code == 0) {
				t.Errorf("it is stored as %d, %d letters are left, %v", sequence, left, err)
			}
		})
	}
}

// store stores a message as somebody would without the tool.
func (w *world) store(t *testing.T, subject, id, data, approves string) *nats.Msg {
	t.Helper()
	msg := nats.NewMsg(subject)
	msg.Data = []byte(data)
	if id != "" {
		msg.Header.Set(nats.MsgIdHdr, id)
	}
	if approves != "" {
		msg.Header.Set(heldHeader, approves)
	}
	if _, err := w.js.PublishMsg(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
	return msg
}

// A letter whose id somebody uses for other messages, again and again, is published all the same, once, whoever else does
// so at the same time; and so are the others.
func TestLetterWhoseIDIsTakenIsPublishedOnce(t *testing.T) {
	for verb, args := range map[jobs.Verb][]string{
		jobs.ActReplay:  {"dead", "replay", "--reason", "failed", "--yes", "--as", "jane"},
		jobs.ActApprove: {"approve", "held-1", "held-2", "held-3", "--yes", "--as", "jane"},
	} {
		t.Run(string(verb), func(t *testing.T) {
			w := testWorld(t, 0)
			if err := w.kill(3, map[jobs.Verb]jobs.Status{jobs.ActReplay: jobs.Failed, jobs.ActApprove: jobs.Held}[verb], jobs.Bulk, "hr"); err != nil {
				t.Fatal(err)
			}
			tim, all := w.republisher(t, verb, "tim")
			if err := tim.prepare(t.Context(), all[:1], "at the same time"); err != nil {
				t.Fatal(err)
			}
			msg, err := tim.message(all[0])
			if err != nil {
				t.Fatal(err)
			}
			id, noJob := msg.Header.Get(nats.MsgIdHdr), `{"users":[{"id":1}]}`
			w.store(t, w.subjects.Request(jobs.Bulk, "mallory"), id, noJob, "")
			taken, err := w.storedEver()
			if err != nil {
				t.Fatal(err)
			}
			w.store(t, w.subjects.Request(jobs.Bulk, "mallory"), anotherID(id, taken, 0), noJob, "")
			if code, out, told := w.run(t, args...); code != 0 {
				t.Errorf("it ended with %d: %s%s", code, out, told)
			}
			if sequence, err := tim.store(t.Context(), all[0]); err != nil || sequence != 0 {
				t.Errorf("it was stored once more as %d, %v", sequence, err)
			}
			left, err := w.has(w.subjects.DeadStream())
			if waits, look := w.has(w.subjects.RequestStream()); err != nil || look != nil || left != 0 || waits != 5 {
				t.Errorf("%d letters are left, %d jobs wait, %v, %v", left, waits, err, look)
			}
		})
	}
}

// Where a result would not tell that it is of a letter, nothing is published under another id: it could be the same again.
func TestLetterThatNothingTellsOfWaitsUntilItsIDIsFree(t *testing.T) {
	w := testWorld(t, 0)
	if err := w.kill(1, jobs.Failed, jobs.Bulk, "hr"); err != nil {
		t.Fatal(err)
	}
	r, all := w.republisher(t, jobs.ActReplay, "jane")
	all[0].job.Reason = strings.Repeat("x", jobs.MaxNotes)
	if err := r.prepare(t.Context(), all, ""); err != nil {
		t.Fatal(err)
	}
	w.store(t, w.subjects.Request(jobs.Bulk, "mallory"), "replay-"+all[0].key(), `{"users":[{"id":1}]}`, "")
	if sequence, err := r.publish(t.Context(), all[0]); exitCode(t.Context(), err) != codeUnclear || sequence != 0 || !strings.Contains(err.Error(), "no room for a label") {
		t.Errorf("it is stored as %d, %v", sequence, err)
	}
}

// A letter that NATS does not take for its size stays on the list, and the others are replayed.
func TestLetterThatIsTooLargeDoesNotStopOthers(t *testing.T) {
	w := testWorld(t, 0)
	if err := w.kill(3, jobs.Failed, jobs.Bulk, "hr"); err != nil {
		t.Fatal(err)
	}
	r, all := w.republisher(t, jobs.ActReplay, "jane")
	all[0].job.ID = strings.Repeat("x", 2<<20)
	var out, told strings.Builder
	tool := &tool{stdin: os.Stdin, stdout: &out, stderr: &told}
	err := tool.replayAll(t.Context(), r, all, "test", 1000)
	if exitCode(t.Context(), err) != codeNotSo || !strings.Contains(out.String(), "stored 2 jobs; their letters are taken off the list, and 1 letter stays on it") || !strings.Contains(told.String(), "takes no message that large") {
		t.Errorf("%v: %s%s", err, out.String(), told.String())
	}
}

// Whoever closes a letter hears that somebody has published it before, or has dealt with it meanwhile, and is not told
// that nothing of it is done.
func TestWhatIsWorkedIsNotDenied(t *testing.T) {
	for _, verb := range []jobs.Verb{jobs.ActReplay, jobs.ActApprove} {
		for _, state := range []string{"waits", "settled", "gone"} {
			t.Run(fmt.Sprintf("%s %s", verb, state), func(t *testing.T) {
				w := testWorld(t, 0)
				if err := w.kill(2, map[jobs.Verb]jobs.Status{jobs.ActReplay: jobs.Failed, jobs.ActApprove: jobs.Held}[verb], jobs.Bulk, "hr"); err != nil {
					t.Fatal(err)
				}
				died, all := w.republisher(t, verb, "jane")
				if err := died.prepare(t.Context(), all[:1], "first"); err != nil {
					t.Fatal(err)
				}
				msg, err := died.message(all[0])
				if err != nil {
					t.Fatal(err)
				}
				switch _, err = w.js.PublishMsg(t.Context(), msg); {
				case err != nil:
					t.Fatal(err)
				case state == "settled":
					w.answer(t, msg, all[0], verb, jobs.Done)
				case state == "gone":
					if _, err := died.remove(t.Context(), all[0]); err != nil {
						t.Fatal(err)
					}
				}
				var out, told strings.Builder
				tool := &tool{stdin: os.Stdin, stdout: &out, stderr: &told}
				done := map[jobs.Verb]jobs.Verb{jobs.ActReplay: jobs.ActDrop, jobs.ActApprove: jobs.ActDeny}[verb]
				err = tool.takeOff(t.Context(), died.site, all, acting{changing: changing{yes: true}, as: "bob"}, done, question{Answer: "2", Danger: true})
				want := "jane had stored it again already"
				if state == "gone" {
					want = "somebody else has dealt with its letter"
				}
				if exitCode(t.Context(), err) != codeNotSo || !strings.Contains(told.String(), want) || !strings.Contains(out.String(), ": 1 letter is off the list") {
					t.Errorf("%v: %s%s", err, out.String(), told.String())
				}
			})
		}
	}
}

// An approval by any program that may approve counts, though no act tells of it: the job is neither denied nor approved once
// more. That of its publisher does not count, which the worker refuses.
func TestApprovalOfAnotherProgramCounts(t *testing.T) {
	for _, test := range []struct {
		name, approver string
		settled        bool
		counts         bool
	}{
		{"it waits", "bob", false, true},
		{"it is done", "bob", true, true},
		{"it is the publisher's, and waits", "hr", false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, args := range [][]string{{"deny"}, {"approve"}} {
				w := testWorld(t, 0)
				if err := w.kill(1, jobs.Held, jobs.Bulk, "hr"); err != nil {
					t.Fatal(err)
				}
				if err := w.forgetIDs(); err != nil {
					t.Fatal(err)
				}
				r, all := w.republisher(t, jobs.ActApprove, test.approver)
				msg, err := r.message(all[0])
				if err != nil {
					t.Fatal(err)
				}
				if _, err := w.js.PublishMsg(t.Context(), msg); err != nil {
					t.Fatal(err)
				}
				if test.settled {
					w.answer(t, msg, all[0], jobs.ActApprove, jobs.Done)
				}
				w.forgotten(t)
				code, out, told := w.run(t, append(args, "held-1", "--as", "jane", "--yes")...)
				want := map[string]string{
					"deny true": "bob had stored it again already", "deny false": "denied: 1 letter is off the list",
					"approve true": "was approved before", "approve false": "approved; stored as",
				}[fmt.Sprint(args[0], " ", test.counts)]
				if !strings.Contains(out+told, want) || (code == codeNotSo) != (args[0] == "deny" && test.counts) {
					t.Errorf("%s ended with %d: %s%s", args[0], code, out, told)
				}
			}
		})
	}
}

// Who closes a letter while somebody publishes it hears that it may be done, and so does who publishes it.
func TestDenyAndApproveAtTheSameTimeBothSaySo(t *testing.T) {
	for verb, closing := range map[jobs.Verb]jobs.Verb{jobs.ActReplay: jobs.ActDrop, jobs.ActApprove: jobs.ActDeny} {
		t.Run(string(verb), func(t *testing.T) {
			w := testWorld(t, 0)
			if err := w.kill(1, map[jobs.Verb]jobs.Status{jobs.ActReplay: jobs.Failed, jobs.ActApprove: jobs.Held}[verb], jobs.Bulk, "hr"); err != nil {
				t.Fatal(err)
			}
			r, all := w.republisher(t, verb, "jane")
			if err := r.prepare(t.Context(), all, ""); err != nil {
				t.Fatal(err)
			}
			var out, told strings.Builder
			tool := &tool{stdin: os.Stdin, stdout: &out, stderr: &told}
			message, closed := r.message, error(nil)
			r.message = func(l letter) (*nats.Msg, error) {
				if there, err := r.stillThere(t.Context(), l); err != nil || !there {
					return nil, fmt.Errorf("the letter is gone: %w", err)
				}
				r.message = func(l letter) (*nats.Msg, error) { // of the publish, after the letter was looked for
					r.message = message
					closed = tool.takeOff(t.Context(), r.site, all, acting{changing: changing{yes: true}, as: "bob"}, closing, question{Answer: "1"})
					return message(l)
				}
				return message(l)
			}
			if verb == jobs.ActReplay { // without an act of before there is nothing to look for
				r.message = func(l letter) (*nats.Msg, error) {
					r.message = message
					closed = tool.takeOff(t.Context(), r.site, all, acting{changing: changing{yes: true}, as: "bob"}, closing, question{Answer: "1"})
					return message(l)
				}
			}
			sequence, err := r.publish(t.Context(), all[0])
			if exitCode(t.Context(), err) != codeNotSo || sequence == 0 || !strings.Contains(err.Error(), "bob took its letter off the list") {
				t.Errorf("it was stored as %d, %v", sequence, err)
			}
			if exitCode(t.Context(), closed) != codeUnclear || out.String() != "" || !strings.Contains(told.String(), "jane began to "+string(verb)) {
				t.Errorf("it was closed: %v, %s%s", closed, out.String(), told.String())
			}
		})
	}
}

// Two who approve at the same time hear of no denial.
func TestTwoWhoApproveAtTheSameTimeAreBothRight(t *testing.T) {
	w := testWorld(t, 0)
	if err := w.kill(1, jobs.Held, jobs.Bulk, "hr"); err != nil {
		t.Fatal(err)
	}
	jane, all := w.republisher(t, jobs.ActApprove, "jane")
	tim, _ := w.republisher(t, jobs.ActApprove, "tim")
	for _, r := range []*republisher{jane, tim} {
		if err := r.prepare(t.Context(), all, ""); err != nil {
			t.Fatal(err)
		}
	}
	sequence, err := jane.store(t.Context(), all[0])
	if err != nil || sequence == 0 {
		t.Fatal(sequence, err)
	}
	if again, err := tim.publish(t.Context(), all[0]); err != nil || again != 0 {
		t.Errorf("tim stored %d, %v", again, err)
	}
	if err := jane.closedMeanwhile(t.Context(), all[0], sequence); err != nil {
		t.Error(err)
	}
}

// An act is written down shortly before it is done, and counts as long for who closes the letter.
func TestActThatIsOldIsWrittenDownAgain(t *testing.T) {
	w := testWorld(t, 0)
	if err := w.kill(1, jobs.Held, jobs.Bulk, "hr"); err != nil {
		t.Fatal(err)
	}
	r, all := w.republisher(t, jobs.ActApprove, "jane")
	if err := r.prepare(t.Context(), all, "x"); err != nil {
		t.Fatal(err)
	}
	r.acted = r.acted.Add(-actLasts)
	if sequence, err := r.publish(t.Context(), all[0]); err != nil || sequence == 0 {
		t.Errorf("%d, %v", sequence, err)
	}
	if n, err := w.has(w.subjects.AuditStream()); err != nil || n != 2 {
		t.Errorf("%d acts were written down, %v", n, err)
	}
	now := time.Now()
	for age, want := range map[time.Duration]string{actLasts - time.Second: "jane", actLasts + time.Second: ""} {
		r.acts.of = map[string][]pastAct{all[0].key(): {
			{jobs.Act{Verb: jobs.ActApprove, Who: "jane"}, now.Add(-age)}, {jobs.Act{Verb: jobs.ActDeny, Who: "bob"}, now},
		}}
		if who := r.begun(all[0], jobs.ActDeny); who != want {
			t.Errorf("an act that is %v old is of %q", age, who)
		}
	}
}

// A job that was held can be approved as long as its result is there, by which the worker sees what was held.
func TestHeldJobWhoseResultHasAgedOutIsNotApproved(t *testing.T) {
	w := testWorld(t, 0)
	if err := w.kill(1, jobs.Held, jobs.Bulk, "hr"); err != nil {
		t.Fatal(err)
	}
	results, err := w.js.Stream(t.Context(), w.subjects.ResultStream())
	if err != nil {
		t.Fatal(err)
	}
	if err := results.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, all := w.republisher(t, jobs.ActApprove, "jane")
	if err := r.prepare(t.Context(), all, "late"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.publish(t.Context(), all[0]); exitCode(t.Context(), err) != codeNotSo {
		t.Errorf("it was approved, or for another reason was not: %v", err)
	}
	if left, err := w.has(w.subjects.DeadStream()); err != nil || left != 1 {
		t.Errorf("%d letters are left, %v", left, err)
	}
}

package main

import (
	"bytes"
	"context"
	"iter"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"github.com/rogpeppe/go-internal/testscript"

	"logoffworker/jobs"
	"logoffworker/jobs/evidence"
	"logoffworker/worker/stage"
)

// A notary makes digests of a world's results, as workers do, and such as nobody should.
type notary struct {
	world  *world
	key    nkeys.KeyPair
	latest evidence.Digest
	hash   evidence.Hash
}

// notaryOf is the script's, which has one key from its beginning to its end.
func notaryOf(ts *testscript.TestScript) *notary {
	w := worldOf(ts)
	if w.notary == nil {
		var err error
		w.notary, err = newNotary(w)
		ts.Check(err)
	}
	return w.notary
}

func newNotary(w *world) (*notary, error) {
	key, err := nkeys.CreateUser()
	return &notary{world: w, key: key}, err
}

// trust writes the public key into a file.
func (n *notary) trust(file string) error {
	public, err := n.key.PublicKey()
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte("# the workers\n"+public+" # since 2026\n"), 0o600)
}

// cmdDigest is the command digest.
func cmdDigest(ts *testscript.TestScript, _ bool, args []string) {
	n := notaryOf(ts)
	what := append(args, "")[0]
	var at []uint64
	for _, arg := range args[min(1, len(args)):] {
		sequence, err := strconv.ParseUint(arg, 10, 64)
		ts.Check(err)
		at = append(at, sequence)
	}
	key := n.key
	if what == "stranger" {
		stranger, err := newNotary(n.world)
		ts.Check(err)
		key = stranger.key
	}
	ts.Check(n.digest(key, what, at))
}

// cmdSigner is the command signer: it writes the key that signs into a file.
func cmdSigner(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(notaryOf(ts).trust(ts.MkAbs(args[0])))
}

// cmdRemove is the command remove: it deletes a result.
func cmdRemove(ts *testscript.TestScript, _ bool, args []string) {
	sequence, err := strconv.ParseUint(args[0], 10, 64)
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	w := worldOf(ts)
	results, err := w.js.Stream(ctx, w.subjects.ResultStream())
	ts.Check(err)
	ts.Check(results.DeleteMsg(ctx, sequence))
}

// cmdKeep is the command keep.
func cmdKeep(ts *testscript.TestScript, _ bool, args []string) {
	kept, err := time.ParseDuration(args[0])
	ts.Check(err)
	w := worldOf(ts)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ts.Check(w.keep(ctx, kept))
	if kept < time.Second && !stage.Await(ctx, 30*time.Second, func() bool {
		n, err := w.has(w.subjects.ResultStream())
		return err == nil && n == 0
	}) {
		ts.Fatalf("results do not age out")
	}
}

// keep has NATS keep results for so long.
func (w *world) keep(ctx context.Context, kept time.Duration) error {
	results, err := w.js.Stream(ctx, w.subjects.ResultStream())
	if err != nil {
		return err
	}
	config := results.CachedInfo().Config
	config.MaxAge, config.Duplicates = kept, min(kept, config.Duplicates)
	_, err = w.js.UpdateStream(ctx, config)
	return err
}

// digest covers what is new.
func (n *notary) digest(key nkeys.KeyPair, what string, at []uint64) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	results, err := n.world.js.Stream(ctx, n.world.subjects.ResultStream())
	if err != nil {
		return err
	}
	covered := evidence.NewRange(n.latest.To + 1)
	d := evidence.Digest{Number: n.latest.Number + 1, Previous: n.hash, Since: n.latest.At, At: time.Now(), Made: results.CachedInfo().Created, Worker: "worker-1"}
	for sequence := n.latest.To + 1; sequence <= results.CachedInfo().State.LastSeq; sequence++ {
		record, stored, err := n.asSaid(ctx, results, sequence, what, at)
		if err != nil {
			return err
		}
		covered.Add(record)
		d.Latest = stored
	}
	covered.Into(&d)
	data, err := d.Sign(key)
	if err != nil {
		return err
	}
	n.latest, n.hash = d, evidence.HashOf(data)
	if what == "unstored" {
		return nil
	}
	_, err = n.world.js.Publish(ctx, n.world.subjects.Digests(), data)
	return err
}

// asSaid is a result as the digest says that it is.
func (n *notary) asSaid(ctx context.Context, results jetstream.Stream, sequence uint64, what string, at []uint64) (evidence.Record, time.Time, error) {
	from := sequence
	if what == "swap" && sequence == at[0] {
		from = at[1]
	} else if what == "swap" && sequence == at[1] {
		from = at[0]
	}
	msg, err := results.GetMsg(ctx, from)
	if err != nil {
		return evidence.Record{}, time.Time{}, err
	}
	if what == "change" && sequence == at[0] {
		msg.Data[0] = '['
	}
	return evidence.Record{Sequence: sequence, Subject: msg.Subject, Payload: msg.Data}, msg.Time, nil
}

// cmdAct is the command act: a person did something.
func cmdAct(ts *testscript.TestScript, _ bool, args []string) {
	w := worldOf(ts)
	a := jobs.Act{Verb: jobs.Verb(args[0]), Who: args[1], Why: args[2], At: time.Now(), Jobs: args[3:]}
	data, err := a.Encode()
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err = w.js.Publish(ctx, w.subjects.Act(a.Verb, a.Who), data)
	ts.Check(err)
}

// cmdLose is the command lose: the latest job leaves its stream without a result.
func cmdLose(ts *testscript.TestScript, _ bool, _ []string) {
	w := worldOf(ts)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, lane := range jobs.Lanes {
		consumer, err := w.js.Consumer(ctx, w.subjects.RequestStream(), string(lane))
		ts.Check(err)
		batch, err := consumer.FetchNoWait(100)
		ts.Check(err)
		for msg := range batch.Messages() {
			ts.Check(msg.DoubleAck(ctx))
		}
	}
}

// Results that age out between two steps of an audit are no finding, and those that are removed are.
func TestResultsMayAgeOutDuringAnAudit(t *testing.T) {
	for _, test := range []struct {
		name     string
		kept     time.Duration
		findings int
		remarks  int
	}{
		{"their time has come", 30 * time.Second, 0, 1},
		{"they are young", 30 * 24 * time.Hour, 1, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, a := auditOf(t)
			for i := range 4 {
				now := time.Now()
				r := jobs.Result{Version: jobs.ResultVersion, JobID: "j", Status: jobs.Done, Lane: jobs.Urgent, RequestedAt: now, ReceivedAt: now, CompletedAt: now}
				if err := w.putResult(t.Context(), r, jobs.Key(uint64(i+1), now)); err != nil {
					t.Fatal(err)
				}
			}
			n, err := newNotary(w)
			if err != nil {
				t.Fatal(err)
			}
			if err := n.digest(n.key, "", nil); err != nil {
				t.Fatal(err)
			}
			if err := w.keep(t.Context(), test.kept); err != nil {
				t.Fatal(err)
			}
			terms, last, err := a.terms(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			digests := func(yield func([]byte, error) bool) {
				for data, err := range a.digests(t.Context()) {
					if !yield(data, err) {
						return
					}
				}
				results, err := w.js.Stream(t.Context(), w.subjects.ResultStream())
				if err == nil {
					err = results.Purge(t.Context(), jetstream.WithPurgeSequence(3))
				}
				if err != nil {
					t.Error(err)
				}
			}
			report, err := evidence.Check(terms, digests, func(from uint64) iter.Seq2[evidence.Record, error] {
				return a.results(t.Context(), from, last)
			})
			if err != nil || len(report.Findings) != test.findings || len(report.Remarks) != test.remarks || report.Results != 2 {
				t.Errorf("report %+v, %v", report, err)
			}
		})
	}
}

// What a digest covers was stored after the digest before it: so it is known of its results that they cannot have aged
// out, though the stream is old enough. Where the digest before is another, nothing is said of them by it.
func TestDigestIsHeldToTheOneBefore(t *testing.T) {
	w, a := auditOf(t)
	n, err := newNotary(w)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		now := time.Now()
		r := jobs.Result{Version: jobs.ResultVersion, JobID: "j", Status: jobs.Done, Lane: jobs.Urgent, RequestedAt: now, ReceivedAt: now, CompletedAt: now}
		if err := w.putResult(t.Context(), r, jobs.Key(uint64(i+1), now)); err != nil {
			t.Fatal(err)
		}
		if i%2 == 1 {
			if err := n.digest(n.key, "", nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	results, err := w.js.Stream(t.Context(), w.subjects.ResultStream())
	if err == nil {
		err = results.Purge(t.Context(), jetstream.WithPurgeSequence(4))
	}
	if err != nil {
		t.Fatal(err)
	}
	var stored []record
	var digests []evidence.Digest
	for r, err := range a.site.records(t.Context(), place{Stream: w.subjects.AuditStream(), Subject: w.subjects.Digests()}) {
		d, wrong := evidence.DecodeDigest(r.Data)
		if err != nil || wrong != nil {
			t.Fatal(err, wrong)
		}
		stored, digests = append(stored, r), append(digests, d)
	}
	a.since = stored[1].Time
	terms, err := a.termsOf(t.Context(), digests[1])
	if err != nil {
		t.Fatal(err)
	}
	const apart = time.Minute // as evidence allows for
	terms.Now, terms.Again = digests[0].Latest.Add(terms.Kept-apart-time.Nanosecond), nil
	report, err := evidence.Check(terms, func(yield func([]byte, error) bool) { yield(stored[1].Data, nil) }, func(from uint64) iter.Seq2[evidence.Record, error] {
		return a.results(t.Context(), from, 4)
	})
	if err != nil || len(report.Findings) != 1 || report.Findings[0].Kind != evidence.Dropped || len(report.Remarks) != 0 {
		t.Errorf("report %+v, %v", report, err)
	}
	digests[1].From++
	if terms, err := a.termsOf(t.Context(), digests[1]); err != nil || terms.Before != nil {
		t.Errorf("a digest that does not follow is held to the one before: %v", err)
	}
	a.begins, a.first = 1, 0
	for range a.results(t.Context(), 3, 4) { //nolint:revive // to its end
	}
	if a.first != 0 {
		t.Errorf("results before %d are taken for aged, though they were not asked for", a.first)
	}
}

// auditOf is an audit of a new world.
func auditOf(t *testing.T) (*world, *audit) {
	t.Helper()
	w := testWorld(t, 1)
	tool := &tool{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}}
	tool.where.server = w.broker.URL()
	here, err := tool.connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(here.close)
	return w, &audit{tool: tool, site: here}
}

// The digest before a time is found, however long before it was stored.
func TestTheDigestBeforeATimeIsFound(t *testing.T) {
	w, a := auditOf(t)
	for _, text := range []string{"first", "last"} {
		if _, err := w.js.Publish(t.Context(), w.subjects.Digests(), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	stored := time.Now()
	for since, want := range map[time.Time]string{stored: "last", stored.Add(90 * 24 * time.Hour): "last", stored.Add(-time.Hour): ""} {
		a.since = since
		if got, err := a.before(t.Context(), stored); err != nil || string(got) != want {
			t.Errorf("before %v: %q, %v; want %q", since, got, err, want)
		}
	}
}

// An approval that a worker refused, because who published a job may not approve it, leaves the job held.
func TestARefusedApprovalLeavesTheJobHeld(t *testing.T) {
	w := testWorld(t, 1)
	if err := w.kill(1, jobs.Held, jobs.Bulk, "hr"); err != nil {
		t.Fatal(err)
	}
	results, err := w.js.Stream(t.Context(), w.subjects.ResultStream())
	if err != nil {
		t.Fatal(err)
	}
	held, err := results.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	for sequence, status := range []jobs.Status{jobs.Held, jobs.Invalid, jobs.Done} {
		if sequence > 0 {
			now := time.Now()
			r := jobs.Result{Version: jobs.ResultVersion, JobID: "held-1", Status: status, Lane: jobs.Bulk, RequestedAt: now, ReceivedAt: now, CompletedAt: now, Approves: held.Subject, ApprovedBy: "hr"}
			if err := w.putResult(t.Context(), r, jobs.Key(uint64(sequence+1), now)); err != nil {
				t.Fatal(err)
			}
		}
		_, out, errs := w.run(t, "audit", "verify", "--complete")
		if isHeld := strings.Contains(out, "1 held"); isHeld != (status != jobs.Done) || !strings.Contains(out, "none was lost") {
			t.Errorf("after %s: %s%s", status, out, errs)
		}
	}
}

// Of very many findings the first are told, and how many more there are.
func TestFindingsAreToldUpToAThousand(t *testing.T) {
	var out, errs bytes.Buffer
	a := &audit{tool: &tool{stdout: &out, stderr: &errs}}
	if err := a.tellFindings(make([]evidence.Finding, evidence.MostFindings+2)); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != evidence.MostFindings || !strings.Contains(errs.String(), "note: 2 more are not told one by one") {
		t.Errorf("%d lines, %s", n, errs.String())
	}
}

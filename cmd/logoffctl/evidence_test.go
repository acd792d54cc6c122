package main

import (
	"context"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"github.com/rogpeppe/go-internal/testscript"

	"logoffworker/jobs"
	"logoffworker/jobs/evidence"
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

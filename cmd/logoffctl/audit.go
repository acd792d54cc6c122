package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"github.com/spf13/cobra"

	"logoffworker/jobs"
	"logoffworker/jobs/evidence"
)

func (t *tool) auditCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "evidence: what was done, and that nothing of it was changed"}
	cmd.AddCommand(t.exportCommand(), t.verifyCommand())
	return cmd
}

// A verifying is what the command line says of one.
type verifying struct {
	since    string
	trust    string
	anchor   string
	complete bool
}

func (t *tool) verifyCommand() *cobra.Command {
	var o verifying
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "name every result that was changed, dropped, moved or forged",
		Long: `Verify compares the results with the digests that the workers have signed, and names each that
is not what it was. With --complete it proves from the sequences in the results' keys that each
stored job has exactly one result, but those that wait.

Trust is a file with the public keys of those who may sign, one a line. Anchor is the hash of a
digest from the log of a worker, which nobody with rights in NATS alone can change: without one,
digests may have been cut off at the end.

Results age out, and jobs that may have lost theirs that way are not asked for. Where nothing tells
whether something aged out or was removed, a note says so.

Exit codes: 0 all is as it was; 1 the audit found something; 3 it could not be found out, or
there are no digests.`,
		Example: `  logoffctl audit verify
  logoffctl audit verify --complete --trust keys.txt
  logoffctl audit verify --since 7d`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&o.since, "since", "", "only digests and their results since a time, such as 7d or 2026-11-28 (default: all)")
	flags.StringVar(&o.trust, "trust", "", "file with the public NKEYs of those who may sign")
	flags.StringVar(&o.anchor, "anchor", "", "hash of a digest that must be there, from the log of a worker")
	flags.BoolVar(&o.complete, "complete", false, "prove that each stored job has exactly one result")
	return t.verb(cmd, func(ctx context.Context, _ []string) error { return t.verify(ctx, o) })
}

func (t *tool) verify(ctx context.Context, o verifying) error {
	since, err := pastTime(o.since)
	if err != nil {
		return badUsage("--since: %w", err)
	}
	trusted, err := trustedKeys(o.trust)
	if err != nil {
		return badUsage("--trust: %w", err)
	}
	here, err := t.connect()
	if err != nil {
		return err
	}
	defer here.close()
	a := &audit{tool: t, site: here, anchor: o.anchor, since: since}
	report, err := a.chain(ctx, trusted)
	if err != nil {
		return a.end(ctx, err)
	}
	n := len(report.Findings) + report.More
	if err := a.tellFindings(report.Findings); err != nil {
		return err
	}
	if err := a.tellChain(report, len(trusted) > 0); err != nil {
		return err
	}
	if o.complete {
		lost, err := a.completeness(ctx)
		if err != nil {
			return a.end(ctx, err)
		}
		n += lost
	}
	switch {
	case n > 0:
		return notSo("the audit found %s", count(n, "thing", "things"))
	case report.Digests == 0:
		return unclear("there are no digests, so that nothing shows whether results were changed: set LOGOFF_AUDIT_SEED_FILE for the workers")
	}
	return nil
}

// pastTime reads a time, or how long ago it is.
func pastTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := readSpan(text); err == nil && d >= 0 {
		return time.Now().Add(-d), nil
	}
	for _, form := range []string{time.RFC3339, time.DateOnly, time.DateTime, "2006-01-02T15:04"} {
		if at, err := time.ParseInLocation(form, text, time.Local); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is neither a time such as 2026-11-28T12:00:00Z or 2026-11-28 nor how long ago it is, such as 7d", text)
}

// trustedKeys reads a file of public keys, in which the rest of a line after # is a comment.
func trustedKeys(file string) (keys []string, err error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		key, _, _ := strings.Cut(line, "#")
		if key = strings.TrimSpace(key); key == "" {
			continue
		}
		if _, err := nkeys.FromPublicKey(key); err != nil {
			return nil, fmt.Errorf("%s holds a line that is no public NKEY (56 characters, such as UDXU...)", file)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s holds no key", file)
	}
	return keys, nil
}

// An audit reads what is to be verified.
type audit struct {
	*tool
	site     *site
	since    time.Time
	anchor   string
	anchored bool
	begins   uint64 // sequence with which the stream of results began
	first    uint64 // that was read from there on: copies of a stream age out by the clock of their server
}

func (a *audit) end(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return interrupted("interrupted before the audit came to its end")
	}
	return err
}

// chain checks digests and results.
func (a *audit) chain(ctx context.Context, trusted []string) (evidence.Report, error) {
	terms, last, err := a.terms(ctx)
	if err != nil {
		return evidence.Report{}, err
	}
	terms.Trusted = trusted
	report, err := evidence.Check(terms, a.digests(ctx), func(from uint64) iter.Seq2[evidence.Record, error] {
		return a.results(ctx, from, last)
	})
	if err == nil && a.anchor != "" && !a.anchored {
		report.Findings = append(report.Findings, evidence.Finding{Kind: evidence.Broken, Text: "no digest has the hash " + a.anchor + ": digests were cut off, or replaced by others"})
	}
	return report, err
}

// terms are those of the streams, and last is the latest result.
func (a *audit) terms(ctx context.Context) (terms evidence.Terms, last uint64, err error) {
	results, err := a.site.stream(ctx, a.site.subjects.ResultStream())
	if err != nil {
		return terms, 0, err
	}
	digests, err := a.site.stream(ctx, a.site.subjects.AuditStream())
	if err != nil {
		return terms, 0, err
	}
	have, kept := results.CachedInfo(), digests.CachedInfo()
	a.begins = have.State.FirstSeq
	terms = evidence.Terms{
		Now: clockOf(have), First: have.State.FirstSeq, Made: have.Created, Kept: have.Config.MaxAge, DigestsKept: kept.Config.MaxAge,
		Crowded: kept.Config.MaxBytes > 0 || kept.Config.MaxMsgs > 0 || kept.Config.MaxMsgsPerSubject > 0,
	}
	terms.Again = func() (uint64, time.Time, error) {
		have, err := results.Info(ctx)
		if err != nil {
			return 0, time.Time{}, a.site.explain("look at "+a.site.subjects.ResultStream(), err)
		}
		return max(have.State.FirstSeq, a.first), clockOf(have), nil
	}
	if !a.since.IsZero() && kept.State.Msgs > 0 {
		terms.Before, err = a.before(ctx, kept.State.FirstTime)
		terms.Part = terms.Before != nil
	}
	return terms, have.State.LastSeq, err
}

// clockOf is the time of NATS. Servers before 2.10 do not tell it.
func clockOf(info *jetstream.StreamInfo) time.Time {
	if info.TimeStamp.IsZero() {
		return time.Now()
	}
	return info.TimeStamp
}

// before reads the latest digest from before the audit's time, if there is one. It looks further and further back, to
// when the first record was stored, so that it reads few digests.
func (a *audit) before(ctx context.Context, first time.Time) (digest []byte, err error) {
	for back := time.Minute; ; back *= 2 {
		begin := a.since.Add(-back)
		at := place{Stream: a.site.subjects.AuditStream(), Subject: a.site.subjects.Digests(), Since: begin}
		for r, err := range a.site.records(ctx, at) {
			if err != nil {
				return nil, err
			}
			if !r.Time.Before(a.since) {
				break
			}
			digest = r.Data
		}
		if digest != nil || !begin.After(first) {
			return digest, nil
		}
	}
}

// digests reads the digests as they are stored.
func (a *audit) digests(ctx context.Context) iter.Seq2[[]byte, error] {
	at := place{Stream: a.site.subjects.AuditStream(), Subject: a.site.subjects.Digests(), Since: a.since}
	return func(yield func([]byte, error) bool) {
		for r, err := range a.site.records(ctx, at) {
			a.anchored = a.anchored || err == nil && evidence.HashOf(r.Data).String() == a.anchor
			if !yield(r.Data, err) {
				return
			}
		}
	}
}

// copies is how often, and a second apart, a copy of a stream that is behind is asked again.
const copies = 5

// results reads the results from a sequence to the last that the leader of their stream has: the server that answers may
// have a copy that is behind.
func (a *audit) results(ctx context.Context, from, last uint64) iter.Seq2[evidence.Record, error] {
	fromBegin := from <= a.begins // else what is there first says nothing of what is gone before it
	return func(yield func(evidence.Record, error) bool) {
		for range copies {
			for r, err := range a.site.records(ctx, place{Stream: a.site.subjects.ResultStream(), From: from}) {
				from = max(from, r.Sequence+1)
				if fromBegin {
					a.first = cmp.Or(a.first, r.Sequence)
				}
				if !yield(evidence.Record{Sequence: r.Sequence, Subject: r.Subject, Payload: r.Data}, err) || err != nil {
					return
				}
			}
			if from > last || !pause(ctx, time.Second) {
				return
			}
		}
	}
}

// records are those of a stream from a place on.
func (s *site) records(ctx context.Context, at place) iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		stopped := false
		_, err := s.read(ctx, at, func(r record) bool {
			stopped = ctx.Err() != nil || !yield(r, nil)
			return !stopped
		})
		switch {
		case ctx.Err() != nil:
			yield(record{}, ctx.Err())
		case err != nil && !stopped:
			yield(record{}, err)
		}
	}
}

// tellFindings tells as many as are told one by one.
func (a *audit) tellFindings(all []evidence.Finding) error {
	told := min(len(all), evidence.MostFindings)
	a.tellMore(len(all) - told)
	for _, f := range all[:told] {
		if a.json {
			if err := a.object(f); err != nil {
				return err
			}
			continue
		}
		if err := a.print("%-8s %s", f.Kind, f.Text); err != nil {
			return err
		}
	}
	return nil
}

// tellChain says what of the results is proved.
func (a *audit) tellChain(r evidence.Report, trust bool) error {
	for _, remark := range r.Remarks {
		a.say("note: %s", remark)
	}
	if r.Later > 0 {
		a.say("note: no digest covers the latest %s yet", count(r.Later, "result", "results"))
	}
	a.tellMore(r.More)
	by := "a trusted key"
	if !trust {
		by = "the key that it names (--trust says whose may be)"
	}
	if a.json {
		return a.object(map[string]any{"digests": r.Digests, "results": r.Results, "later": r.Later, "last": r.Last.Number, "hash": r.LastHash, "signers": r.Signers, "findings": len(r.Findings) + r.More})
	}
	if len(r.Findings)+r.More > 0 || r.Digests == 0 {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(r.Signers)) {
		a.say("note: %s signs for worker %s", key, r.Signers[key])
	}
	a.say("note: the last digest is %s, with the hash %s; compare it with the workers' log (--anchor)", number(int(r.Last.Number)), r.LastHash)
	return a.print("results    %s, up to %s, in %s, each signed by %s, each after the one before: nothing changed, dropped or moved",
		number(r.Results), number(int(r.Last.To)), count(r.Digests, "digest", "digests"), by)
}

func (a *audit) tellMore(n int) {
	if n > 0 {
		a.say("note: %s more are not told one by one", number(n))
	}
}

// completeness proves that each stored job has exactly one result, or waits. It counts what it finds.
func (a *audit) completeness(ctx context.Context) (found int, err error) {
	stored, err := a.site.stream(ctx, a.site.subjects.RequestStream())
	if err != nil {
		return 0, err
	}
	state := stored.CachedInfo() // before the results: what is stored later is not asked for
	ledger, next, err := a.ledger(ctx, state)
	if err != nil {
		return 0, err
	}
	begin, without := ledger.Without(state.State.LastSeq)
	gone, err := a.gone(ctx, without)
	if err != nil {
		return 0, err
	}
	// What has left the stream of jobs in the meantime has its result by now.
	if _, err := a.fill(ctx, ledger, next); err != nil {
		return 0, err
	}
	_, still := ledger.Without(state.State.LastSeq)
	findings := ledger.Doubled()
	for _, sequence := range gone {
		if _, found := slices.BinarySearch(still, sequence); found {
			findings = append(findings, evidence.LostJob(sequence))
		}
	}
	if len(findings) > 0 {
		return len(findings), a.tellFindings(findings)
	}
	return 0, a.tellJobs(begin, state.State.LastSeq, len(without)-len(gone), ledger.Held())
}

func (a *audit) tellJobs(begin, last uint64, waiting, held int) error {
	if a.json {
		return a.object(map[string]any{"jobsFrom": begin, "jobsTo": last, "waiting": waiting, "held": held})
	}
	if last == 0 {
		return a.print("jobs       none was stored yet")
	}
	if begin > 1 {
		a.say("note: jobs before %s are not asked for: their results may have aged out, so that nothing tells whether one was lost", number(int(begin)))
	}
	if begin > last {
		return a.print("jobs       none whose result cannot have aged out: nothing is proved of jobs")
	}
	var but []string
	if waiting > 0 {
		but = append(but, number(waiting)+" that wait")
	}
	if held > 0 {
		but = append(but, number(held)+" held")
	}
	words := "each has exactly one result"
	if len(but) > 0 {
		words += ", but " + strings.Join(but, ", and ")
	}
	return a.print("jobs       %s to %s   %s: none was lost", number(int(begin)), number(int(last)), words)
}

// ledger takes in all results, and what was denied.
func (a *audit) ledger(ctx context.Context, of *jetstream.StreamInfo) (*evidence.Ledger, uint64, error) {
	l := &evidence.Ledger{Made: of.Created}
	if of.State.Msgs > 0 {
		l.Waits(of.State.FirstSeq, of.State.FirstTime)
	}
	next, err := a.fill(ctx, l, 1)
	if err != nil {
		return nil, 0, err
	}
	results, err := a.site.stream(ctx, a.site.subjects.ResultStream()) // after they were read: what was there then has not aged out before
	if err != nil {
		return nil, 0, err
	}
	l.Aged = evidence.AgedBefore(clockOf(results.CachedInfo()), results.CachedInfo().Config.MaxAge)
	for r, err := range a.site.records(ctx, place{Stream: a.site.subjects.AuditStream(), Subject: a.site.subjects.Act(jobs.ActDeny, "*")}) {
		if err != nil {
			return nil, 0, err
		}
		if act, err := jobs.DecodeAct(r.Data); err == nil {
			for _, key := range act.Jobs {
				l.Release(key)
			}
		}
	}
	return l, next, nil
}

// fill takes results from a sequence on into a ledger.
func (a *audit) fill(ctx context.Context, l *evidence.Ledger, from uint64) (next uint64, err error) {
	for r, err := range a.site.records(ctx, place{Stream: a.site.subjects.ResultStream(), From: from}) {
		if err != nil {
			return 0, err
		}
		from = r.Sequence + 1
		if err := l.Add(evidence.Record{Sequence: r.Sequence, Subject: r.Subject}); err != nil {
			a.say("note: %v", err)
			continue
		}
		if r.Header.Get(jobs.StatusHeader) == string(jobs.Held) {
			l.Hold(r.Subject)
		}
		if bytes.Contains(r.Data, []byte(`"approves":`)) {
			if result, err := jobs.DecodeResult(r.Data); err == nil && result.Approves != "" && result.Status != jobs.Invalid {
				l.Release(result.Approves)
			}
		}
	}
	return from, nil
}

// gone finds those of the sequences that are not in the stream of jobs any more.
func (a *audit) gone(ctx context.Context, sequences []uint64) (gone []uint64, err error) {
	for len(sequences) > 0 {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		r, found, err := a.site.one(ctx, place{Stream: a.site.subjects.RequestStream()}, sequences[0])
		if err != nil {
			return nil, a.site.explain("read "+a.site.subjects.RequestStream(), err)
		}
		if !found {
			return append(gone, sequences...), nil
		}
		at, waits := slices.BinarySearch(sequences, r.Sequence)
		gone = append(gone, sequences[:at]...)
		if waits {
			at++
		}
		sequences = sequences[at:]
	}
	return gone, nil
}

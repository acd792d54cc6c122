package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"logoffworker/jobs"
	"logoffworker/jobs/evidence"
	"logoffworker/worker/fleet"
)

func (t *tool) showCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show JOB",
		Short: "the whole story of a job",
		Long: `Show tells what became of a job, from when it was stored until its result, its dead letter, and
what people did with that; of a job that waits, where it stands and what the workers wait for. A
job is named by its id, its key or its sequence.`,
		Example: `  logoffctl show 01JDCASE7K2Q5
  logoffctl show 1 --json`,
		Args: cobra.ExactArgs(1),
	}
	t.completesArgs(cmd, jobKeys)
	return t.verb(cmd, func(ctx context.Context, args []string) error {
		name := jobName(args[0])
		if err := name.check(); err != nil {
			return err
		}
		here, err := t.connect()
		if err != nil {
			return err
		}
		defer here.close()
		s, err := t.storyOf(ctx, here, name)
		if err != nil {
			return err
		}
		if t.json {
			return t.object(s)
		}
		return t.tellStory(s)
	})
}

// A story is all that is known of a job, as --json prints it.
type story struct {
	Key      string          `json:"key"`
	Sequence uint64          `json:"sequence"`
	JobID    string          `json:"jobId"`
	Waits    *wait           `json:"waits,omitempty"`
	Result   json.RawMessage `json:"result,omitempty"` // as it is stored
	StoredAs uint64          `json:"resultSequence,omitzero"`
	Digest   string          `json:"digest,omitempty"`
	Letter   *listedLetter   `json:"deadLetter,omitempty"`
	Acts     []jobs.Act      `json:"acts,omitempty"`
	Others   []otherJob      `json:"others,omitempty"` // jobs of the same id, the older first

	result   jobs.Result
	storedAt time.Time // the result
	letter   *letter
}

// A wait is how a job waits that has no result.
type wait struct {
	Subject string    `json:"subject"`
	Lane    jobs.Lane `json:"lane"`
	Stored  time.Time `json:"stored"`
	What    string    `json:"what"`
	// Ahead is how many jobs of its lane may be before it at most; InHand says that NATS gave it to a worker.
	Ahead   uint64   `json:"ahead"`
	InHand  bool     `json:"inHand"`
	Workers []string `json:"workers,omitempty"` // what they say of themselves
}

// An otherJob is one of the same id.
type otherJob struct {
	Key    string      `json:"key"`
	Status jobs.Status `json:"status"`
	Why    string      `json:"why,omitempty"` // it is there: it replays the job, or approves it
}

// storyOf finds all that is known of a job. What waits is looked at before the results, because a job leaves the stream only
// when its result is stored. A number is a sequence first, and an id where there is no such job.
func (t *tool) storyOf(ctx context.Context, here *site, name jobName) (*story, error) {
	waiting, isThere, err := here.waitingJob(ctx, name)
	if err != nil {
		return nil, err
	}
	s := &story{}
	r, found, err := here.lastResult(ctx, name)
	if err != nil {
		return nil, err
	}
	key := jobs.Key(waiting.Sequence, waiting.Time)
	meant := name.isSequence() && waiting.Sequence != name.sequence() && r.jobSequence() == name.sequence()
	switch {
	case isThere && (!found || r.key() != key && !meant):
		s.Key, s.Sequence = key, waiting.Sequence
		if s.Waits, s.JobID, err = t.waitOf(ctx, here, waiting); err != nil {
			return nil, err
		}
	case found:
		s.Key, s.Sequence, s.Result, s.StoredAs, s.storedAt = r.key(), r.jobSequence(), r.Data, r.Sequence, r.Time
		if s.result, err = r.result(); err != nil {
			return nil, unclear("the result %s cannot be read: %w", r.Subject, err)
		}
		s.JobID = s.result.JobID
		if s.Digest, err = here.inDigest(ctx, r); err != nil && !t.unseen(here, err) {
			return nil, err
		}
	default:
		return nil, notSo("no job %s: it does not wait, and has no result of the last 30 days", name)
	}
	return s, t.complete(ctx, here, s)
}

// inDigest says in which digest a result is, and whether the results there are those that were signed; nothing where no
// digest has it yet.
func (s *site) inDigest(ctx context.Context, result record) (words string, err error) {
	at := place{Stream: s.subjects.AuditStream(), Subject: s.subjects.Digests(), Since: result.Time}
	for r, err := range s.records(ctx, at) {
		if errors.Is(err, nats.ErrNoResponders) { // there is no such stream
			return "", nil
		}
		if err != nil {
			return "", err
		}
		d, err := evidence.DecodeDigest(r.Data)
		if err != nil || result.Sequence < d.From || result.Sequence > d.To {
			continue
		}
		how, err := s.holds(ctx, d, r)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%d (%s)", d.Number, how), nil
	}
	return "", nil
}

// holds says whether a digest is signed by the key that it names, and the results that it covers are those that are
// there.
func (s *site) holds(ctx context.Context, d evidence.Digest, stored record) (string, error) {
	a := &audit{site: s, since: stored.Time}
	terms, err := a.termsOf(ctx, d)
	if err != nil {
		return "", err
	}
	one := func(yield func([]byte, error) bool) { yield(stored.Data, nil) }
	report, err := evidence.Check(terms, one, func(from uint64) iter.Seq2[evidence.Record, error] {
		return func(yield func(evidence.Record, error) bool) {
			for r, err := range a.results(ctx, from, d.To) {
				if r.Sequence > d.To || !yield(r, err) {
					return
				}
			}
		}
	})
	switch {
	case err != nil:
		return "", err
	case len(report.Findings) > 0 || report.Results == 0:
		return "not as it was: the verb audit verify says what", nil
	case len(report.Remarks) > 0:
		return "what is left of it is as it was: the verb audit verify tells of the rest", nil
	}
	return "verified", nil
}

// termsOf are those of one digest, which was stored at the audit's time. The one before it tells since when its results
// were stored.
func (a *audit) termsOf(ctx context.Context, d evidence.Digest) (evidence.Terms, error) {
	terms, _, err := a.terms(ctx)
	terms.Part = true
	if !isBefore(terms.Before, d) {
		terms.Before = nil
	}
	return terms, err
}

// isBefore reports whether a digest is the one before another, of which nothing is missing or made anew between them:
// what is wrong there is not said of the other's results.
func isBefore(data []byte, d evidence.Digest) bool {
	before, err := evidence.DecodeDigest(data)
	return err == nil && before.Verify() == nil && evidence.HashOf(data) == d.Previous && before.Number+1 == d.Number &&
		before.Made.Equal(d.Made) && before.To+1 == d.From
}

// complete adds the dead letter, the acts, and other jobs of the same id, as far as they may be seen.
func (t *tool) complete(ctx context.Context, here *site, s *story) error {
	all, err := t.letters(ctx, here, choice{})
	if err != nil && !t.unseen(here, err) {
		return err
	}
	for _, l := range all {
		if l.key() == s.Key {
			listed := l.listed()
			s.Letter, s.letter = &listed, &l
		}
	}
	var acts acts
	if err := acts.update(ctx, here); err != nil && !t.unseen(here, err) {
		return err
	}
	for _, act := range acts.of[s.Key] {
		act.Jobs = []string{s.Key}
		s.Acts = append(s.Acts, act.Act)
	}
	at := place{Stream: here.subjects.ResultStream(), Subject: here.subjects.Result(s.JobID, "*")}
	_, err = here.read(ctx, at, func(r record) bool {
		if result, err := r.result(); err == nil && r.key() != s.Key {
			other := otherJob{Key: r.key(), Status: result.Status}
			switch {
			case result.Labels[replayLabel] == s.Key:
				other.Why = "replays it"
			case result.Approves != "" && result.Approves == here.subjects.Result(s.JobID, s.Key):
				other.Why = "was approved by " + result.ApprovedBy
				if result.Status == jobs.Invalid {
					other.Why = "was meant as an approval, and refused"
				}
			case s.result.Labels[replayLabel] == r.key():
				other.Why = "is replayed by it"
			}
			s.Others = append(s.Others, other)
		}
		return true
	})
	return err
}

// unseen tells of what may not be seen, and reports whether that is why.
func (t *tool) unseen(here *site, err error) bool {
	if here.denial() == nil {
		return false
	}
	here.forgive()
	t.say("a part of the story cannot be seen: %v", err)
	return true
}

// waitingJob finds a job in the stream of jobs.
func (s *site) waitingJob(ctx context.Context, name jobName) (job record, found bool, err error) {
	requests := s.subjects.RequestStream()
	if sequence := name.sequence(); sequence != 0 {
		job, found, err = s.leader(ctx, requests, ask{Seq: sequence})
		if err != nil {
			return job, false, s.explain("look for the job", err)
		}
		if found && (name.key() == "" || name.key() == jobs.Key(job.Sequence, job.Time)) {
			return job, true, nil
		}
		if name.key() != "" {
			return record{}, false, nil
		}
	}
	_, err = s.read(ctx, place{Stream: requests}, func(r record) bool {
		if idOf(r) == string(name) {
			job, found = r, true
		}
		return !found
	})
	return job, found, err
}

// idOf is under which id a job is worked.
func idOf(r record) string {
	job, _ := jobs.Decode(r.Data, jobs.Rules{LooseIDs: true})
	return jobs.Identify(job.ID, r.Header.Get(nats.MsgIdHdr), jobs.Key(r.Sequence, r.Time))
}

// waitOf says how a job waits.
func (t *tool) waitOf(ctx context.Context, here *site, r record) (*wait, string, error) {
	lane, _, _ := here.subjects.Origin(r.Subject)
	w := &wait{Subject: r.Subject, Lane: lane, Stored: r.Time.UTC(), What: "a message that is no job"}
	if job, err := jobs.Decode(r.Data, jobs.Rules{LooseIDs: true}); err == nil {
		w.What = size(job) + because(job.Reason)
	}
	info, err := here.lane(ctx, lane)
	if err != nil {
		return nil, "", err
	}
	w.InHand = r.Sequence <= info.Delivered.Stream && info.NumAckPending > 0
	if !w.InHand && r.Sequence > info.Delivered.Stream {
		w.Ahead = min(r.Sequence-info.Delivered.Stream-1, info.NumPending-min(1, info.NumPending))
	}
	if info.Paused {
		w.Workers = append(w.Workers, fmt.Sprintf("%s is paused for %s more", lane, lasting(info.PauseRemaining)))
	}
	answers, err := fleet.Ask(ctx, here.nc, here.subjects)
	if err != nil && !errors.Is(err, nats.ErrNoResponders) && here.denial() != nil {
		here.forgive()
		w.Workers = append(w.Workers, "what the workers say cannot be seen: a right is missing")
		return w, idOf(r), nil
	}
	for _, data := range answers {
		var one workerStanding
		if json.Unmarshal(data, &one) == nil && one.Worker != "" {
			w.Workers = append(w.Workers, fmt.Sprintf("%s: %s", one.Worker, one.Headline))
		}
	}
	if len(answers) == 0 {
		w.Workers = append(w.Workers, "no worker answers")
	}
	return w, idOf(r), nil
}

// tellStory prints a story: what it is, what happened when, and what to do next.
func (t *tool) tellStory(s *story) error {
	if s.Waits != nil {
		return t.tellWait(s)
	}
	r := s.result
	state := t.colour(t.stdout, toneOf(r.Status), string(r.Status))
	lines := []string{
		fmt.Sprintf("%s  %s: %s", s.JobID, state, summary(r)),
		strings.Join(aboutResult(r), ", "), "",
	}
	for _, line := range lines {
		if err := t.print("%s", line); err != nil {
			return err
		}
	}
	if err := t.table(s.events()); err != nil {
		return err
	}
	switch {
	case s.letter == nil:
	case s.letter.Reason == jobs.Held:
		t.say("approve it with: %s", t.command("approve", s.Key))
		t.say("or deny it with: %s", t.command("deny", s.Key))
	case s.letter.Reason != jobs.Invalid:
		t.say("again with: %s", t.command("dead", "replay", s.Key))
	}
	return nil
}

func (t *tool) tellWait(s *story) error {
	w := s.Waits
	where := "in hand of a worker"
	switch {
	case !w.InHand && w.Ahead == 0:
		where = "next in its lane"
	case !w.InHand:
		where = count(int(w.Ahead), "job is", "jobs are") + " before it at most"
	}
	if err := t.print("%s  waits for %s: %s", s.JobID, lasting(time.Since(w.Stored)), where); err != nil {
		return err
	}
	if err := t.print("%s, %s\n", w.Lane, w.What); err != nil {
		return err
	}
	rows := [][]string{{clock(w.Stored), "", "stored", fmt.Sprintf("%d on %s", s.Sequence, w.Subject)}}
	for _, says := range w.Workers {
		rows = append(rows, []string{"now", "", "", says})
	}
	return t.table(append(rows, s.after()...))
}

// aboutResult are the notes of a job.
func aboutResult(r jobs.Result) []string {
	about := []string{string(r.Lane)}
	if r.Publisher != "" {
		about = append(about, "from "+r.Publisher)
	}
	if r.ApprovedBy != "" {
		about = append(about, "approved by "+r.ApprovedBy)
	}
	if r.Signal != nil {
		about = append(about, "for an event of "+r.Signal.Issuer)
	}
	if r.Reason != "" {
		about = append(about, strconv.Quote(r.Reason))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Labels)) {
		about = append(about, name+"="+r.Labels[name])
	}
	if n := len(r.Users); n > 0 {
		about = append(about, count(n, "person", "people"))
	}
	if n := len(r.Sessions); n > 0 {
		about = append(about, count(n, "session", "sessions"))
	}
	return about
}

// stepWords are what a step of a result is called here, where that is not as there.
var stepWords = map[string]string{"looked_up": "people looked up", "listed": "sessions listed"}

// events are what happened, each with its time, and how long after the job was stored.
func (s *story) events() (rows [][]string) {
	r := s.result
	event := func(at time.Time, what, detail string) {
		offset := ""
		if d := at.Sub(r.RequestedAt); d > 0 {
			offset = "+" + offsetWords(d)
		}
		rows = append(rows, []string{clock(at), offset, what, detail})
	}
	event(r.RequestedAt, "stored", "as "+strconv.FormatUint(s.Sequence, 10))
	taken := "first delivery"
	if r.Deliveries > 1 {
		taken = fmt.Sprintf("delivery %d", r.Deliveries)
	}
	event(r.ReceivedAt, "taken by "+r.Worker, taken)
	for _, step := range r.Steps {
		var detail []string
		for _, part := range []string{step.RequestID, step.Verdict} {
			if part != "" && part != step.What {
				detail = append(detail, part)
			}
		}
		if step.TookMS > 0 {
			detail = append(detail, strconv.FormatInt(step.TookMS, 10)+" ms")
		}
		event(r.RequestedAt.Add(time.Duration(step.AtMS)*time.Millisecond), cmp.Or(stepWords[step.What], step.What), strings.Join(detail, ", "))
	}
	if r.StepsLeft > 0 {
		rows = append(rows, []string{"", "", "…", count(r.StepsLeft, "more step", "more steps") + " for which there was no room"})
	}
	stored := strconv.FormatUint(s.StoredAs, 10)
	if s.Digest != "" {
		stored += ", in digest " + s.Digest
	}
	event(s.storedAt, "result stored", stored)
	if s.letter != nil {
		event(s.letter.died, "dead letter", fmt.Sprintf("%d: %s", s.letter.at, s.letter.Error))
	}
	return append(rows, s.after()...)
}

// after are the acts on a job, and other jobs of its id.
func (s *story) after() (rows [][]string) {
	for _, act := range s.Acts {
		rows = append(rows, []string{clock(act.At), "", string(act.Verb) + " by " + act.Who, act.Why})
	}
	for _, other := range s.Others {
		what := "another job of this id"
		if other.Why != "" {
			what = "the job that " + other.Why
		}
		rows = append(rows, []string{"", "", what, fmt.Sprintf("%s: %s", other.Key, other.Status)})
	}
	return rows
}

// offsetWords is how long after something is: 2 ms, 4.31 s.
func offsetWords(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return lasting(d)
}

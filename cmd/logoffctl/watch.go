package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"logoffworker/jobs"
)

// A watching is what the command line says of one.
type watching struct {
	names     []jobName
	statuses  []string
	publisher string
	since     span
	notDone   bool
	timeout   time.Duration
}

func (t *tool) watchCommand() *cobra.Command {
	var o watching
	cmd := &cobra.Command{
		Use:   "watch [JOB...]",
		Short: "results as they come",
		Long: `Watch prints one line a result, for ever, or until the named jobs have theirs. A job is named by
its id, its key or its sequence, whatever another command printed. A name of digits is a sequence,
and 88102..88140 are all from one to another.`,
		Example: `  logoffctl watch
  logoffctl watch 01JDCASE7K2Q5
  logoffctl watch --since 1h --not-done
  logoffctl watch --status partial --status failed --publisher soar --json`,
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&o.statuses, "status", nil, "only results with this status")
	flags.StringVar(&o.publisher, "publisher", "", "only results of jobs of this publisher")
	flags.Var(&o.since, "since", "begin so long ago, such as 1h or 30d (default: now)")
	flags.BoolVar(&o.notDone, "not-done", false, "only results of jobs of which something is not done")
	flags.DurationVar(&o.timeout, "timeout", 0, "how long to watch (default: for ever; with named jobs 10m)")
	t.completes(cmd, "status", statuses)
	t.completesArgs(cmd, jobKeys)
	return t.verb(cmd, func(ctx context.Context, args []string) error {
		there := map[jobName]bool{}
		for _, arg := range args {
			names, err := namesIn(arg)
			if err != nil {
				return err
			}
			for _, name := range names {
				if !there[name] {
					o.names, there[name] = append(o.names, name), true
				}
			}
		}
		return t.watch(ctx, o)
	})
}

const (
	// between stands between the first sequence and the last of a range. No id has it.
	between = ".."
	// longestRange is how many sequences a range has at most.
	longestRange = 100_000
)

// namesIn are the names in an argument: itself, or those of a range.
func namesIn(arg string) (names []jobName, err error) {
	first, last, isRange := strings.Cut(arg, between)
	if !isRange {
		return []jobName{jobName(arg)}, nil
	}
	from, to := jobName(first).sequence(), jobName(last).sequence()
	if !jobName(first).isSequence() || !jobName(last).isSequence() || to < from || to-from >= longestRange {
		return nil, badUsage("%s is no range: one is two sequences, the smaller first, such as 88102..88140, with at most %s jobs", arg, number(longestRange))
	}
	for sequence := from; sequence <= to; sequence++ {
		names = append(names, jobName(strconv.FormatUint(sequence, 10)))
	}
	return names, nil
}

// ranged are names with sequences that follow each other as ranges, so that a command line has room for many.
func ranged(names []jobName) (words []string) {
	for i := 0; i < len(names); {
		end := i + 1
		for end < len(names) && names[i].isSequence() && names[end].isSequence() && names[end].sequence() == names[end-1].sequence()+1 {
			end++
		}
		if end-i > 2 {
			words = append(words, string(names[i])+between+string(names[end-1]))
		} else {
			end = i + 1
			words = append(words, string(names[i]))
		}
		i = end
	}
	return words
}

func (t *tool) watch(ctx context.Context, o watching) error {
	if err := o.check(); err != nil {
		return err
	}
	here, err := t.connect()
	if err != nil {
		return err
	}
	defer here.close()
	results, err := here.stream(ctx, here.subjects.ResultStream())
	if err != nil {
		return err
	}
	at := place{Stream: here.subjects.ResultStream(), Subject: here.subjects.Results(), From: results.CachedInfo().State.LastSeq + 1}
	if o.since > 0 {
		at.From, at.Since = 0, time.Now().Add(-time.Duration(o.since))
	}
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.timeout, errLate)
		defer cancel()
	}
	w := &watch{tool: t, watching: o, settled: map[jobName]jobs.Status{}}
	if err = w.lookBack(ctx, here); err == nil && !w.all() {
		err = here.follow(ctx, at, w.take)
	}
	return w.end(ctx, errors.Join(w.failed, err))
}

func (o *watching) check() error {
	for _, name := range o.names {
		if err := name.check(); err != nil {
			return err
		}
	}
	for _, status := range o.statuses {
		if !slices.Contains(jobs.Statuses, jobs.Status(status)) {
			return badUsage("--status %s: there are %v", status, jobs.Statuses)
		}
	}
	if len(o.names) > 0 && o.timeout == 0 {
		o.timeout = 10 * time.Minute
	}
	return nil
}

// A watch is one under way.
type watch struct {
	*tool
	watching
	asked   map[jobName][]jobName   // by what a result is known by, the names that were given
	settled map[jobName]jobs.Status // the latest of each job
	failed  error
}

// lookBack finds results that are there already. Each is taken once, by however many names, and the oldest first, so that
// an id means the latest.
func (w *watch) lookBack(ctx context.Context, here *site) error {
	if err := w.ask(ctx, here); err != nil {
		return err
	}
	last, err := w.last(ctx, here)
	if err != nil {
		return err
	}
	there := map[uint64]record{} // by their sequence
	for _, r := range last {
		there[r.Sequence] = r
	}
	for _, sequence := range slices.Sorted(maps.Keys(there)) {
		w.take(there[sequence])
	}
	return w.failed
}

// ask says by what the results of the jobs are known. The sequence of a job that waits means that job alone: a stream that
// was made anew counts from the start, and results of the one before are still there. What waits is looked at before the
// results, because a job leaves the stream only when its result is stored.
func (w *watch) ask(ctx context.Context, here *site) error {
	keys, err := here.waitingKeys(ctx, w.names)
	if err != nil {
		return err
	}
	w.asked = map[jobName][]jobName{}
	for _, name := range w.names {
		known := cmp.Or(keys[name], name)
		w.asked[known] = append(w.asked[known], name)
	}
	return nil
}

// waitingKeys are the keys of those jobs that are named by a sequence and wait. It asks for the first that waits from each
// sequence on, so that those that wait no more are passed over together. Who may not read jobs is content with the sequence.
func (s *site) waitingKeys(ctx context.Context, names []jobName) (map[jobName]jobName, error) {
	keys := map[jobName]jobName{}
	var sequences []uint64
	for _, name := range names {
		if name.isSequence() {
			sequences = append(sequences, name.sequence())
		}
	}
	slices.Sort(sequences)
	var waits record
	for _, sequence := range sequences {
		if sequence > waits.Sequence {
			r, found, err := s.leader(ctx, s.subjects.RequestStream(), ask{Seq: sequence, Next: ">"})
			switch {
			case err != nil && ctx.Err() == nil && s.denial() != nil:
				s.forgive()
				return keys, nil
			case err != nil:
				return nil, s.explain("look at what waits", err)
			case !found:
				return keys, nil
			}
			waits = r
		}
		if sequence == waits.Sequence {
			keys[jobName(strconv.FormatUint(sequence, 10))] = jobName(jobs.Key(waits.Sequence, waits.Time))
		}
	}
	return keys, nil
}

// fewNames is for how many jobs their results are asked for one by one.
const fewNames = 20

// last are the latest results by what they are known by. Of many jobs, and of those that are known by a sequence, they are
// found by reading the results once.
func (w *watch) last(ctx context.Context, here *site) (map[jobName]record, error) {
	last, ids, isRead := map[jobName]record{}, map[jobName]string{}, len(w.asked) > fewNames
	for name := range w.asked {
		isRead = isRead || name.isSequence()
	}
	for name := range w.asked {
		if isRead {
			break
		}
		r, found, err := here.lastKnown(ctx, name)
		if err != nil {
			return nil, err
		}
		if found {
			last[name] = r
		}
	}
	if !isRead {
		return last, nil
	}
	_, err := here.read(ctx, place{Stream: here.subjects.ResultStream()}, func(r record) bool {
		for _, name := range r.names() {
			if w.asked[name] != nil {
				last[name] = r
			}
		}
		if id := jobName(r.id()); w.asked[id] != nil {
			ids[id] = r.key()
		}
		return true
	})
	for _, name := range w.names {
		if like := likeID(name, ids[name]); like != "" && last[name].Sequence == 0 {
			w.say("%s has no result yet%s", name, like)
		}
	}
	return last, err
}

// all reports whether every named job has a result.
func (w *watch) all() bool { return len(w.names) > 0 && len(w.settled) == len(w.names) }

// take prints a result, if it is one that is asked for, and reports whether to go on.
func (w *watch) take(r record) bool {
	var given []jobName
	for _, name := range r.names() {
		given = append(given, w.asked[name]...)
	}
	if len(w.names) > 0 && len(given) == 0 {
		return true
	}
	result, err := r.result()
	for _, name := range given {
		if err == nil {
			w.settled[name] = result.Status
		}
	}
	switch {
	case err != nil:
		w.say("the result %s cannot be read: %v", r.Subject, err)
	case w.wants(result):
		w.failed = w.show(r, result)
	}
	return w.failed == nil && !w.all()
}

func (w *watch) wants(r jobs.Result) bool {
	return (len(w.statuses) == 0 || slices.Contains(w.statuses, string(r.Status))) &&
		(w.publisher == "" || r.Publisher == w.publisher) && (!w.notDone || !r.Status.Success())
}

func (w *watch) show(r record, result jobs.Result) error {
	if w.json {
		return w.object(r.Data)
	}
	const columns = "%s  %s%s  %-6s  %-8s  %-24s  %9s  %s"
	status := string(result.Status)
	blanks := strings.Repeat(" ", max(0, len("accepted")-len(status)))
	return w.print(columns, clock(result.CompletedAt), w.colour(w.stdout, toneOf(result.Status), status), blanks, result.Lane,
		orDash(result.Publisher), result.JobID, took(result.TimeToLogoffMS), summary(result))
}

// clock is a time as people read it: today's without the date.
func clock(at time.Time) string {
	at = at.Local()
	if time.Since(at) < 20*time.Hour {
		return at.Format("15:04:05.000")
	}
	return at.Format("2006-01-02 15:04:05")
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// end is how the watch ended.
func (w *watch) end(ctx context.Context, err error) error {
	if len(w.names) > 0 && w.all() {
		return w.verdict()
	}
	goOn := ""
	if left := w.left(); len(left) > 0 {
		goOn = fmt.Sprintf("%s no result yet; waiting goes on with: %s", have(len(left)), w.command(append([]string{"watch"}, ranged(left)...)...))
	}
	switch {
	case errors.Is(err, errLate) && len(w.names) == 0:
		return nil // it was to end then
	case errors.Is(err, errLate):
		return late("%s", goOn)
	case ctx.Err() != nil && goOn != "":
		return interrupted("%s", goOn)
	case ctx.Err() != nil:
		return interrupted("")
	}
	return err
}

// left are the jobs without a result.
func (w *watch) left() (names []jobName) {
	for _, name := range w.names {
		if _, settled := w.settled[name]; !settled {
			names = append(names, name)
		}
	}
	return names
}

// verdict is the exit code once every named job has a result.
func (w *watch) verdict() error {
	waits := false
	for _, name := range w.names {
		switch status := w.settled[name]; {
		case status == jobs.Held:
			waits = true
		case !status.Success():
			return notSo("")
		}
	}
	if waits {
		return isHeld("")
	}
	return nil
}

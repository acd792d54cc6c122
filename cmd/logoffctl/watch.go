package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
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
its id, its key or its sequence, whatever another command printed.`,
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
		for _, arg := range args {
			if name := jobName(arg); !slices.Contains(o.names, name) {
				o.names = append(o.names, name)
			}
		}
		return t.watch(ctx, o)
	})
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
	if err := w.lookBack(ctx, here); err != nil {
		return err
	}
	if !w.all() {
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
	settled map[jobName]jobs.Status // the latest of each job
	failed  error
}

// lookBack finds results that are there already. Each is taken once, by however many names, and the oldest first, so that
// an id means the latest. All jobs that are named by a sequence are found by reading the results once.
func (w *watch) lookBack(ctx context.Context, here *site) error {
	there := map[uint64]record{} // by their sequence
	last := map[uint64]record{}  // of the jobs that are named by theirs
	for _, name := range w.names {
		r, found, err := here.lastKnown(ctx, name)
		switch {
		case err != nil:
			return err
		case found:
			there[r.Sequence] = r
		case name.sequence() != 0 && name.key() == "":
			last[name.sequence()] = record{}
		}
	}
	if len(last) > 0 {
		_, err := here.read(ctx, place{Stream: here.subjects.ResultStream()}, func(r record) bool {
			if _, asked := last[r.jobSequence()]; asked {
				last[r.jobSequence()] = r
			}
			return true
		})
		if err != nil {
			return err
		}
	}
	for _, r := range last {
		if r.Sequence != 0 {
			there[r.Sequence] = r
		}
	}
	for _, sequence := range slices.Sorted(maps.Keys(there)) {
		w.take(there[sequence])
	}
	return w.failed
}

// all reports whether every named job has a result.
func (w *watch) all() bool { return len(w.names) > 0 && len(w.settled) == len(w.names) }

// take prints a result, if it is one that is asked for, and reports whether to go on.
func (w *watch) take(r record) bool {
	asked := len(w.names) == 0
	result, err := r.result()
	for _, name := range w.names {
		if name.names(r) {
			asked = true
			if err == nil {
				w.settled[name] = result.Status
			}
		}
	}
	switch {
	case !asked:
		return true
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
		goOn = fmt.Sprintf("%s no result yet; waiting goes on with: %s", have(len(left)), w.command(append([]string{"watch"}, left...)...))
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
func (w *watch) left() (names []string) {
	for _, name := range w.names {
		if _, settled := w.settled[name]; !settled {
			names = append(names, string(name))
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

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nuid"
	"github.com/spf13/cobra"

	"logoffworker/jobs"
	"logoffworker/worker/webserver"
)

// A submission is what the command line says of one.
type submission struct {
	changing
	file, column string
	users        []string
	lane, id     string
	labels       []string
	eventTime    string
	notAfter     string
	publisher    string
	wait, again  bool
	timeout      time.Duration
}

func (t *tool) submitCommand() *cobra.Command {
	var o submission
	cmd := &cobra.Command{
		Use:   "submit [SESSION|PERSON...] [-f FILE]",
		Short: "store jobs; --wait for their results",
		Long: `Submit stores jobs that end sessions, and with --wait says what became of them.

What is to be logged off is told apart by its form: a GUID, with or without EMC, is a session,
and SESSION@42 one with its owner's userId; a number is a userId, what has an @ an address, and
anything else a name. --user is always a person.

A file (-f, or - for the standard input) is one of these a line, a CSV table whose first line
names the columns (--column), JSON lines of jobs, or the vendor's Api_LogoffUsersRequest. Who is
named twice is sent once. More than 1,000 people or 10,000 sessions become several jobs.

The name of a file's jobs is made of its name and content, so that the same command again goes
on where it stopped: a job that waits, or has a result of the last 24 hours, is not stored twice
(--again does). Who of leavers.csv is not known to be off is written to leavers.not-done.csv, which
can be submitted again.`,
		Example: `  logoffctl submit 'CORP\jane' --why "credential compromise" --label case=INC-1 --wait
  logoffctl submit AE92D1DD-0C68-49A6-BEBB-404D96D7A4BF@42 jane@corp.example
  logoffctl submit -f leavers.csv --column upn --why offboarding --wait --yes
  logoffctl submit -f leavers.csv --column upn --dry-run`,
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.file, "file", "f", "", "file with what is to be logged off; - is the standard input")
	flags.StringVar(&o.column, "column", "", "column of a CSV file")
	flags.StringArrayVar(&o.users, "user", nil, "a person, whatever the form")
	flags.StringVar(&o.lane, "lane", "", "urgent or bulk (default: urgent up to 10 people and sessions)")
	flags.StringVar(&o.why, "why", "", "reason, which the result repeats")
	flags.StringArrayVar(&o.labels, "label", nil, "label, as name=value")
	flags.StringVar(&o.eventTime, "event-time", "", "when it happened (2026-11-23T10:00:00Z): what began after it is left on")
	flags.StringVar(&o.notAfter, "not-after", "", "when it is too late to send (a time, or a duration such as 2h)")
	flags.StringVar(&o.id, "id", "", "name of the job; of several, what their names begin with")
	flags.StringVar(&o.publisher, "as", "", "publisher (default: the one that NATS lets you be)")
	flags.BoolVar(&o.wait, "wait", false, "wait for the results")
	flags.DurationVar(&o.timeout, "timeout", 10*time.Minute, "how long to wait")
	flags.BoolVar(&o.again, "again", false, "store jobs again that have a result")
	o.changes(cmd)
	t.completes(cmd, "lane", lanes)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return t.verb(cmd, func(ctx context.Context, args []string) error { return t.submit(ctx, o, args) })
}

const (
	// mostUrgent is how many people and sessions go on the urgent lane by default.
	mostUrgent = 10
	// mostUnasked is how many are stored without asking.
	mostUnasked = 100
)

func (t *tool) submit(ctx context.Context, o submission, args []string) error {
	l, err := t.readList(o, args)
	if err != nil {
		return err
	}
	notes, err := o.notes()
	if err != nil {
		return err
	}
	s := &sending{submission: o, list: l, lane: jobs.Lane(o.lane), name: o.id}
	if s.name == "" {
		s.name = l.jobName()
	} else if err := jobs.LegalID(s.name + "-10000"); err != nil {
		return badUsage("--id: %w", err)
	}
	if s.orders, err = l.orders(s.name, notes); err != nil {
		return err
	}
	if err := s.chooseLane(); err != nil {
		return err
	}
	going, err := t.confirm(ctx, o.changing, s.question())
	if o.dryRun && err == nil {
		return t.showOrders(s)
	}
	if err != nil || !going {
		return err
	}
	return t.send(ctx, s)
}

// notes are those that every job of the submission gets.
func (o submission) notes() (jobs.Job, error) {
	notes := jobs.Job{Reason: o.why}
	for _, label := range o.labels {
		name, value, found := strings.Cut(label, "=")
		if !found || name == "" {
			return notes, badUsage("--label %q: a label is name=value", label)
		}
		if notes.Labels == nil {
			notes.Labels = map[string]string{}
		}
		notes.Labels[name] = value
	}
	var err error
	if notes.EventTime, err = readTime(o.eventTime); err != nil {
		return notes, badUsage("--event-time: %w", err)
	}
	if notes.NotAfter, err = readTime(o.notAfter); err != nil {
		return notes, badUsage("--not-after: %w", err)
	}
	if !notes.NotAfter.IsZero() && notes.NotAfter.Before(time.Now()) {
		return notes, badUsage("--not-after has passed: nothing would be sent")
	}
	return notes, nil
}

// readTime reads a time, or a duration from now on.
func readTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := readSpan(text); err == nil {
		return time.Now().Add(d).Truncate(time.Second).UTC(), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fmt.Errorf("%q is no time such as 2026-11-23T10:00:00Z, and no duration such as 2h", text)
	}
	return at, nil
}

// A sending is a submission on its way.
type sending struct {
	submission
	list    *list
	name    string
	lane    jobs.Lane
	orders  []*order
	subject string
	bar     *progress
	from    uint64 // where in the results to look for those that come
}

// total is how many people and sessions are meant.
func (s *sending) total() (n int) {
	for _, o := range s.orders {
		n += len(o.targets)
	}
	return n
}

func (s *sending) chooseLane() error {
	switch {
	case s.lane == "" && s.total() <= mostUrgent:
		s.lane = jobs.Urgent
	case s.lane == "":
		s.lane = jobs.Bulk
	case !slices.Contains(jobs.Lanes, s.lane):
		return badUsage("--lane %s: there are urgent and bulk", s.lane)
	}
	return nil
}

// question says what is to be stored.
func (s *sending) question() question {
	l, n := s.list, s.total()
	var whole jobs.Job
	for _, o := range s.orders {
		whole.Users = append(whole.Users, o.job.Users...)
		whole.Sessions = append(whole.Sessions, o.job.Sessions...)
	}
	words := size(whole)
	if l.path != "" {
		words = l.name() + ": " + words
	}
	if l.form == formCSV {
		words += fmt.Sprintf(" in %q", l.column)
	}
	var asides []string
	if l.twice > 0 {
		asides = append(asides, count(l.twice, "named twice", "named twice"))
	}
	if len(l.empty) > 0 {
		asides = append(asides, emptyLines(l.empty))
	}
	if len(asides) > 0 {
		words += " (" + strings.Join(asides, "; ") + ")"
	}
	words += ", " + string(s.lane) + ", " + count(len(s.orders), "job", "jobs")
	return question{What: words, Answer: fmt.Sprint(n), Danger: len(s.orders) > 1 || n > mostUnasked || n > mostUrgent && s.lane == jobs.Urgent}
}

// emptyLines says which lines are empty.
func emptyLines(lines []int) string {
	const most = 3
	if len(lines) == 1 {
		return fmt.Sprintf("line %d is empty", lines[0])
	}
	if len(lines) > most {
		return fmt.Sprintf("%s lines are empty, the first is %d", number(len(lines)), lines[0])
	}
	texts := make([]string, len(lines))
	for i, n := range lines {
		texts[i] = fmt.Sprint(n)
	}
	return "lines " + strings.Join(texts[:len(texts)-1], ", ") + " and " + texts[len(texts)-1] + " are empty"
}

// documentSessions is how many sessions a worker puts into a document by default.
const documentSessions = 200

// showOrders prints the jobs, and of sessions the documents that the Web Server would get.
func (t *tool) showOrders(s *sending) error {
	for _, o := range s.orders {
		if err := t.object(o.payload); err != nil {
			return err
		}
	}
	if t.json {
		return nil
	}
	for _, o := range s.orders {
		var ids []string
		for _, session := range o.job.Sessions {
			ids = append(ids, session.ID)
		}
		for some := range slices.Chunk(ids, documentSessions) {
			if err := t.print("%s", webserver.AppendDocument(nil, some)); err != nil {
				return err
			}
		}
	}
	return nil
}

// send stores the jobs, and waits for their results.
func (t *tool) send(ctx context.Context, s *sending) error {
	here, err := t.connect()
	if err != nil {
		return err
	}
	defer here.close()
	who := here.whoAmI(ctx)
	publisher := cmp.Or(s.publisher, who.name(func(name string) string { return here.subjects.Request(s.lane, name) }))
	if err := jobs.LegalID(publisher); publisher != "" && err != nil {
		return badUsage("--as: %w", err)
	}
	s.subject = here.subjects.Request(s.lane, publisher)
	if err := t.prepare(ctx, here, s); err != nil {
		return err
	}
	err = here.store(ctx, s.orders, s.subject, func(o *order) { t.tellStored(s, o) })
	if err != nil {
		return t.notStored(ctx, here, s, err)
	}
	if !s.wait {
		return t.leave(s)
	}
	return t.await(ctx, here, s)
}

// prepare finds out what was stored before.
func (t *tool) prepare(ctx context.Context, here *site, s *sending) error {
	if s.again {
		for _, o := range s.orders {
			o.messageID += "-" + nuid.Next()
		}
	}
	if s.wait {
		results, err := here.stream(ctx, here.subjects.ResultStream())
		if err != nil {
			return err
		}
		s.from = results.CachedInfo().State.LastSeq + 1
	}
	isNamed := s.list.path != "" && s.list.path != "-" || s.id != ""
	if s.again || !isNamed {
		return nil
	}
	if err := here.recall(ctx, s.orders, s.subject); err != nil {
		if ctx.Err() != nil {
			return interrupted("interrupted: nothing was stored")
		}
		here.forgive()
		t.say("whether these jobs were stored before cannot be found out; what was stored in the last two minutes is not stored twice: %v", err)
	}
	settled, waiting := 0, 0
	for _, o := range s.orders {
		switch {
		case o.result != nil:
			settled++
		case o.before:
			waiting++
		}
	}
	if settled > 0 {
		t.say("%s settled within the last day, and not stored again (--again does that)", were(settled))
	}
	if waiting > 0 {
		t.say("%s stored before, and not stored again", were(waiting))
	}
	return nil
}

func were(n int) string {
	if n == 1 {
		return "1 job was"
	}
	return number(n) + " jobs were"
}

// tellStored says that a job is stored.
func (t *tool) tellStored(s *sending, o *order) {
	if t.json {
		if !s.wait {
			_ = t.object(storedJob{o.job.ID, s.subject, o.sequence, s.lane, len(o.job.Users), len(o.job.Sessions)})
		}
		return
	}
	if len(s.orders) <= mostUrgent {
		_ = t.print("%s  stored, %s: %s", o.job.ID, s.lane, size(o.job))
	}
}

// storedJob is what --json says of a job that is stored.
type storedJob struct {
	JobID    string    `json:"jobId"`
	Subject  string    `json:"subject"`
	Sequence uint64    `json:"sequence"`
	Lane     jobs.Lane `json:"lane"`
	People   int       `json:"people"`
	Sessions int       `json:"sessions"`
}

// leave ends a submission that does not wait.
func (t *tool) leave(s *sending) error {
	stored := 0
	for _, o := range s.orders {
		if !o.before {
			stored++
		}
	}
	if len(s.orders) > mostUrgent && !t.json {
		_ = t.print("%s  stored %s, %s", s.name, count(stored, "job", "jobs"), s.lane)
	}
	t.say("what becomes of it: %s", s.goOn())
	return nil
}

// goOn is the command that goes on waiting.
func (s *sending) goOn() string {
	if s.list.path == "" || s.list.path == "-" {
		var ids []string
		for _, o := range s.orders {
			name := o.job.ID
			if s.id != "" { // which may be that of other jobs
				name = strconv.FormatUint(o.sequence, 10)
			}
			ids = append(ids, name)
		}
		if len(ids) > mostUrgent {
			ids = append(ids[:mostUrgent], "…")
		}
		return "logoffctl watch " + strings.Join(ids, " ")
	}
	return s.sameCommand() + " --wait"
}

// sameCommand is the command that submits the same list.
func (s *sending) sameCommand() string {
	words := []string{"logoffctl submit -f", quoted(s.list.path)}
	if s.list.form == formCSV {
		words = append(words, "--column", quoted(s.list.column))
	}
	if s.id != "" {
		words = append(words, "--id", s.id)
	}
	if s.submission.lane != "" {
		words = append(words, "--lane", s.submission.lane)
	}
	if s.why != "" {
		words = append(words, "--why", quoted(s.why))
	}
	return strings.Join(words, " ")
}

// quoted is a word as a shell takes it.
func quoted(word string) string {
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool {
		return !strings.ContainsRune("-_./:=@%+,", r) && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// notStored says what is stored, and how to go on, where something is not.
func (t *tool) notStored(ctx context.Context, here *site, s *sending, err error) error {
	stored := 0
	for _, o := range s.orders {
		if o.sequence != 0 {
			stored++
		}
	}
	t.say("%s of %s stored; the same command again goes on from there", number(stored), count(len(s.orders), "job is", "jobs are"))
	if s.list.path == "" || s.list.path == "-" {
		t.say("(with --id %s, or those that are stored are stored twice, which does no harm)", s.name)
	}
	if ctx.Err() != nil || errors.Is(err, context.Canceled) {
		return interrupted("interrupted")
	}
	return here.explain("store jobs on "+s.subject, err)
}

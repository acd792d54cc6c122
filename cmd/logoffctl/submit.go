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
(--again does). Another lane, publisher, reason, label or time makes another job, as long as the
first waits; a duration such as --not-after 2h is the same however much later it is given. Who of
leavers.csv is not known to be off is written to leavers.not-done.csv, which can be submitted again.`,
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
	notes, err := o.readNotes()
	if err != nil {
		return err
	}
	s := &sending{submission: o, notes: notes, list: l, lane: jobs.Lane(o.lane), name: o.id}
	if notes.isLate() && (o.dryRun || !s.mayBeStored()) {
		return errLateNotes
	}
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

// errLateNotes refuses jobs of which nothing would be sent.
var errLateNotes = badUsage("--not-after has passed: nothing would be sent")

// readNotes reads those that every job of the submission gets.
func (o submission) readNotes() (notes, error) {
	notes := notes{Job: jobs.Job{Reason: o.why}}
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
	if notes.EventTime, notes.eventIn, err = readTime(o.eventTime); err != nil {
		return notes, badUsage("--event-time: %w", err)
	}
	if notes.NotAfter, notes.lateIn, err = readTime(o.notAfter); err != nil {
		return notes, badUsage("--not-after: %w", err)
	}
	return notes, nil
}

// readTime reads a time, or a duration from now on, which it returns as well.
func readTime(text string) (at time.Time, duration string, err error) {
	if text == "" {
		return at, "", nil
	}
	if d, err := readSpan(text); err == nil {
		return time.Now().Add(d).Truncate(time.Second).UTC(), text, nil
	}
	if at, err = time.Parse(time.RFC3339, text); err != nil {
		return at, "", fmt.Errorf("%q is no time such as 2026-11-23T10:00:00Z, and no duration such as 2h", text)
	}
	return at, "", nil
}

// A sending is a submission on its way.
type sending struct {
	submission
	notes   notes
	list    *list
	name    string
	lane    jobs.Lane
	orders  []*order
	subject string
	bar     *progress
	from    uint64 // where in the results to look for those that come
}

// isFile reports whether a file names what is to be logged off, whose name and content are those of the jobs.
func (s *sending) isFile() bool { return s.list.path != "" && s.list.path != "-" }

// mayBeStored reports whether the same command may have stored the jobs before.
func (s *sending) mayBeStored() bool { return !s.again && (s.isFile() || s.id != "") }

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

// prepare names the messages, and finds out which were stored before.
func (t *tool) prepare(ctx context.Context, here *site, s *sending) error {
	for _, o := range s.orders {
		if err := o.identify(s.subject); err != nil {
			return badUsage("job %s: %w", o.job.ID, err)
		}
		if s.again {
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
	if !s.mayBeStored() {
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
	if s.notes.isLate() && settled+waiting < len(s.orders) {
		return errLateNotes
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
	stored, expired := 0, 0
	for _, o := range s.orders {
		if !o.before {
			stored++
		}
		if o.result != nil && o.result.Status == jobs.ExpiredJob {
			expired++
		}
	}
	if len(s.orders) > mostUrgent && !t.json {
		_ = t.print("%s  stored %s, %s", s.name, count(stored, "job", "jobs"), s.lane)
	}
	t.say("what becomes of it is told by%s", t.goOn(s))
	if expired > 0 {
		return notSo("%s too late, and nothing was sent for it; --again or a later --not-after stores it anew", were(expired))
	}
	return nil
}

// goOn says with what waiting goes on, once all is stored: by their sequences, since a name may be that of other jobs. It is
// the end of a line, so that nothing but the command stands after the colon.
func (t *tool) goOn(s *sending) string {
	var names []jobName
	for _, o := range s.orders {
		if o.result == nil || !s.wait {
			names = append(names, jobName(strconv.FormatUint(o.sequence, 10)))
		}
	}
	watch := t.command(append([]string{"watch"}, ranged(names)...)...)
	switch {
	case s.again || !s.isFile():
		return ": " + watch
	case len(names) >= mostUrgent:
		return " the same command, with --wait"
	}
	return " the same command with --wait, which writes down what is not done, or else: " + watch
}

// resubmit is the command that submits a list as this one was, but for its name.
func (t *tool) resubmit(s *sending, l *list) string {
	words := []string{"submit", "-f", l.path}
	add := func(flag, value string) {
		if value != "" {
			words = append(words, flag, value)
		}
	}
	if l.form == formCSV {
		add("--column", l.column)
	}
	add("--lane", s.submission.lane)
	add("--why", s.why)
	for _, label := range s.labels {
		add("--label", label)
	}
	times := s.times()
	if !times.EventTime.IsZero() {
		add("--event-time", times.EventTime.Format(time.RFC3339Nano))
	}
	switch {
	case times.isLate():
		t.say("what is given next leaves out --not-after, which was %s: nothing would be sent", times.NotAfter.Local().Format("2006-01-02 15:04:05"))
	case !times.NotAfter.IsZero():
		add("--not-after", times.NotAfter.Format(time.RFC3339Nano))
	}
	add("--as", s.publisher)
	return t.command(words...)
}

// times are the notes with the times that the jobs have which are stored: a duration made another of this run. Of several
// jobs it is the earliest, so that nothing is ended that the first command would have left on.
func (s *sending) times() notes {
	times := s.notes
	earlier := func(a *time.Time, duration string, b time.Time) {
		if duration != "" && !b.IsZero() && b.Before(*a) {
			*a = b
		}
	}
	for _, o := range s.orders {
		earlier(&times.EventTime, o.eventIn, o.job.EventTime)
		earlier(&times.NotAfter, o.lateIn, o.job.NotAfter)
	}
	return times
}

// command is a command of the tool as a shell takes it, for the same place.
func (t *tool) command(words ...string) string { return t.where.command(words...) }

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
	told := fmt.Sprintf("%s of %s stored", number(stored), count(len(s.orders), "job is", "jobs are"))
	switch {
	case s.again:
		t.say("%s; the same command again stores them all once more, which does no harm", told)
	case s.mayBeStored():
		t.say("%s; the same command again goes on from there", told)
	default:
		t.say("%s; the same command again with --id %s goes on from there; without it, those that are stored are stored twice, which does no harm", told, quoted(s.name))
	}
	if ctx.Err() != nil || errors.Is(err, context.Canceled) {
		return interrupted("interrupted")
	}
	return here.explain("store jobs on "+s.subject, err)
}

package main

import (
	"context"
	"encoding/csv"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"logoffworker/jobs"
)

// An exporting is what the command line says of one.
type exporting struct {
	person, job, publisher string
	labels                 []string
	since, until           string
	csv, acts              bool

	look     look
	from, to time.Time
	keys     []string // of the jobs with that id, as far as they have results
}

func (t *tool) exportCommand() *cobra.Command {
	var o exporting
	cmd := &cobra.Command{
		Use:   "export",
		Short: "results by person, job, label, publisher and time",
		Long: `Export prints the results that match all that is given, oldest first: one JSON object a line,
exactly as it is stored, or with --csv one line for each person and session. With --acts it
prints what people did instead: pause, resume, replay, drop, approve, deny. Acts hold the keys of
jobs: there an id is known as long as a result of the job is kept, a key or a sequence always.

In a CSV an apostrophe stands before a text that a spreadsheet would take for a formula.`,
		Example: `  logoffctl audit export --person 'CORP\jane' --since 30d
  logoffctl audit export --label case=INC-1 --csv
  logoffctl audit export --publisher hr --since 2026-11-01 --until 2026-12-01
  logoffctl audit export --acts --since 7d`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&o.person, "person", "", "a person, as jobs name them or by userId")
	flags.StringVar(&o.job, "job", "", "a job, by its id, key or sequence")
	flags.StringVar(&o.publisher, "publisher", "", "who published the job; with --acts who did it")
	flags.StringArrayVar(&o.labels, "label", nil, "a label, as name=value")
	flags.StringVar(&o.since, "since", "", "from a time on, such as 30d or 2026-11-01")
	flags.StringVar(&o.until, "until", "", "before a time")
	flags.BoolVar(&o.csv, "csv", false, "print CSV")
	flags.BoolVar(&o.acts, "acts", false, "print what people did instead of results")
	t.completes(cmd, "job", jobKeys)
	return t.verb(cmd, func(ctx context.Context, _ []string) error { return t.export(ctx, o) })
}

func (o *exporting) check() (err error) {
	if o.from, err = pastTime(o.since); err != nil {
		return badUsage("--since: %w", err)
	}
	if o.to, err = pastTime(o.until); err != nil {
		return badUsage("--until: %w", err)
	}
	if o.acts && (o.person != "" || len(o.labels) > 0) {
		return badUsage("acts have no person and no labels")
	}
	for _, label := range o.labels {
		if !strings.Contains(label, "=") {
			return badUsage("--label %s: a label is name=value", label)
		}
	}
	if o.job != "" {
		if err := jobName(o.job).check(); err != nil {
			return err
		}
	}
	o.look = newLook(o.person)
	return nil
}

func (t *tool) export(ctx context.Context, o exporting) error {
	if err := o.check(); err != nil {
		return err
	}
	here, err := t.connect()
	if err != nil {
		return err
	}
	defer here.close()
	at := place{Stream: here.subjects.ResultStream(), Since: o.from}
	take := o.result
	if o.acts {
		at.Stream, take = here.subjects.AuditStream(), o.act
		if o.keys, err = here.keysOf(ctx, jobName(o.job)); err != nil {
			return err
		}
	}
	out := &exported{tool: t, csv: csv.NewWriter(t.stdout)}
	if err := out.heads(o); err != nil {
		return err
	}
	for r, err := range here.records(ctx, at) {
		switch {
		case ctx.Err() != nil:
			return interrupted("interrupted; what was found so far is printed")
		case err != nil:
			return err
		case !o.to.IsZero() && !r.Time.Before(o.to):
			return out.end()
		case o.acts && r.Subject == here.subjects.Digests():
			continue
		}
		if err := take(out, r); err != nil {
			return err
		}
	}
	return out.end()
}

// An exported is what is printed.
type exported struct {
	*tool
	csv        *csv.Writer
	n          int
	unreadable int
}

func (e *exported) end() error {
	e.csv.Flush()
	if e.unreadable > 0 {
		e.say("%s cannot be read, and are left out", count(e.unreadable, "record", "records"))
	}
	switch {
	case e.csv.Error() != nil:
		return e.csv.Error()
	case e.n == 0:
		return notSo("nothing matches")
	}
	return nil
}

func (e *exported) heads(o exporting) error {
	switch {
	case !o.csv:
		return nil
	case o.acts:
		return e.csv.Write([]string{"at", "verb", "who", "why", "lane", "until", "jobs"})
	}
	return e.csv.Write([]string{"stored", "job", "key", "status", "lane", "publisher", "requestedBy", "reason", "labels", "requestedAt", "completedAt", "timeToLogoffMs", "worker", "kind", "what", "outcome"})
}

// row writes a line of a CSV.
func (e *exported) row(cells ...string) error {
	for i, cell := range cells {
		if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
			cells[i] = "'" + cell
		}
	}
	return e.csv.Write(cells)
}

// result exports a result, if it is meant.
func (o *exporting) result(e *exported, r record) error {
	if o.job != "" && o.job != r.id() && !o.names(r.key()) || o.person != "" && !o.look.maybe(r) {
		return nil
	}
	result, err := jobs.DecodeResult(r.Data)
	if err != nil {
		e.unreadable++
		return nil
	}
	if !o.means(result) {
		return nil
	}
	e.n++
	if !o.csv {
		return e.object(r.Data)
	}
	return e.rows(r, result)
}

// means reports whether a result is meant.
func (o *exporting) means(r jobs.Result) bool {
	if o.publisher != "" && r.Publisher != o.publisher || o.person != "" && !o.look.person(r) {
		return false
	}
	for _, label := range o.labels {
		name, value, _ := strings.Cut(label, "=")
		if given, has := r.Labels[name]; !has || given != value {
			return false
		}
	}
	return true
}

// person reports whether a result names a person.
func (l look) person(r jobs.Result) bool {
	return slices.ContainsFunc(r.Users, func(u jobs.UserResult) bool {
		return l.is(u.Name) || l.is(u.Email) || l.userID != 0 && (u.ID == l.userID || slices.Contains(u.UserIDs, l.userID))
	}) || l.userID != 0 && slices.ContainsFunc(r.Sessions, func(s jobs.SessionResult) bool { return s.UserID == l.userID })
}

// rows writes a line for each person and session of a result.
func (e *exported) rows(stored record, r jobs.Result) error {
	common := []string{
		stamp(stored.Time), r.JobID, stored.key(), string(r.Status), string(r.Lane), r.Publisher, r.RequestedBy, r.Reason, labels(r.Labels),
		stamp(r.RequestedAt), stamp(r.CompletedAt), strconv.FormatInt(r.TimeToLogoffMS, 10), r.Worker,
	}
	if len(r.Users)+len(r.Sessions) == 0 {
		return e.row(append(common, "job", "", r.Error)...)
	}
	for _, u := range r.Users {
		if err := e.row(append(slices.Clone(common), "person", userText(u), string(u.Outcome))...); err != nil {
			return err
		}
	}
	for _, s := range r.Sessions {
		if err := e.row(append(slices.Clone(common), "session", s.ID, string(s.Outcome))...); err != nil {
			return err
		}
	}
	return nil
}

func labels(all map[string]string) string {
	var pairs []string
	for name, value := range all {
		pairs = append(pairs, name+"="+value)
	}
	slices.Sort(pairs)
	return strings.Join(pairs, " ")
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

// act exports an act, if it is meant.
func (o *exporting) act(e *exported, r record) error {
	a, err := jobs.DecodeAct(r.Data)
	if err != nil {
		e.unreadable++
		return nil
	}
	if o.publisher != "" && a.Who != o.publisher || o.job != "" && !slices.ContainsFunc(a.Jobs, o.names) {
		return nil
	}
	e.n++
	if !o.csv {
		return e.object(r.Data)
	}
	return e.row(stamp(a.At), string(a.Verb), a.Who, a.Why, string(a.Lane), stamp(a.Until), strings.Join(a.Jobs, " "))
}

// names reports whether the key in an act is that of the job that is meant.
func (o *exporting) names(key string) bool {
	return slices.Contains(namesOf("", key), jobName(o.job)) || slices.Contains(o.keys, key)
}

// keysOf are the keys of the jobs with an id that have a result.
func (s *site) keysOf(ctx context.Context, name jobName) (keys []string, err error) {
	if name == "" || name.key() != "" {
		return nil, nil
	}
	at := place{Stream: s.subjects.ResultStream(), Subject: s.subjects.Result(string(name), "*")}
	_, err = s.read(ctx, at, func(r record) bool {
		keys = append(keys, r.key())
		return true
	})
	return keys, err
}

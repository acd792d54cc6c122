package main

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"logoffworker/jobs"
)

func (t *tool) findCommand() *cobra.Command {
	since := span(30 * 24 * time.Hour)
	cmd := &cobra.Command{
		Use:   "find PERSON|SESSION|TEXT",
		Short: "the jobs that named it",
		Long: `Find prints the jobs whose results name a person (as the job named them, or by userId), a
session, or have the text in their id, reason or labels, newest first. It reads the results
once.`,
		Example: `  logoffctl find 'CORP\jane'
  logoffctl find AE92D1DD-0C68-49A6-BEBB-404D96D7A4BF --since 7d
  logoffctl find INC-1 --json`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().Var(&since, "since", "how far back")
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return t.verb(cmd, func(ctx context.Context, args []string) error {
		return t.find(ctx, strings.TrimSpace(args[0]), time.Duration(since))
	})
}

// A hit is the result of a job that names what was looked for, and where.
type hit struct {
	record record
	result jobs.Result
	where  string
}

func (t *tool) find(ctx context.Context, what string, since time.Duration) error {
	if what == "" {
		return badUsage("nothing is looked for")
	}
	here, err := t.connect()
	if err != nil {
		return err
	}
	defer here.close()
	var hits []hit
	unreadable := 0
	look := newLook(what)
	_, err = here.read(ctx, place{Stream: here.subjects.ResultStream(), Since: time.Now().Add(-since)}, func(r record) bool {
		if ctx.Err() != nil || !look.maybe(r) {
			return ctx.Err() == nil
		}
		result, err := r.result()
		if err != nil {
			unreadable++
			return true
		}
		if where := look.in(result); where != "" {
			hits = append(hits, hit{r, result, where})
		}
		return true
	})
	switch {
	case ctx.Err() != nil:
		return interrupted("")
	case err != nil:
		return err
	}
	if unreadable > 0 {
		t.say("%s cannot be read", count(unreadable, "result", "results"))
	}
	slices.Reverse(hits)
	return t.showHits(hits, what)
}

func (t *tool) showHits(hits []hit, what string) error {
	if len(hits) == 0 {
		return notSo(`no result names "%s"`, what)
	}
	rows := [][]string{{"COMPLETED", "STATUS", "LANE", "PUBLISHER", "JOB", "KEY", "WHERE"}}
	for _, h := range hits {
		if t.json {
			if err := t.object(h.record.Data); err != nil {
				return err
			}
			continue
		}
		r := h.result
		rows = append(rows, []string{r.CompletedAt.Local().Format("2006-01-02 15:04:05"), string(r.Status), string(r.Lane), orDash(r.Publisher), r.JobID, h.record.key(), h.where})
	}
	if t.json {
		return nil
	}
	return t.table(rows)
}

// A look is for one thing.
type look struct {
	what   string // in small letters
	quoted []byte // as it stands in JSON
	userID int64
}

func newLook(what string) look {
	l := look{what: strings.ToLower(what)}
	l.userID, _ = strconv.ParseInt(what, 10, 64)
	_, value, isLabel := strings.Cut(l.what, "=")
	if !isLabel {
		value = l.what
	}
	if quoted, err := jsontext.AppendQuote(nil, value); err == nil {
		l.quoted = quoted[1 : len(quoted)-1]
	}
	return l
}

// maybe is quick, and passes over results in which the text is nowhere.
func (l look) maybe(r record) bool { return bytes.Contains(bytes.ToLower(r.Data), l.quoted) }

// in says where in a result it stands; empty if nowhere.
func (l look) in(r jobs.Result) string {
	for _, u := range r.Users {
		if l.is(u.Name) || l.is(u.Email) || l.userID != 0 && (u.ID == l.userID || slices.Contains(u.UserIDs, l.userID)) {
			return userText(u) + ": " + words(userWords, u.Outcome)
		}
	}
	for _, s := range r.Sessions {
		if l.is(s.ID) || l.is(strings.TrimPrefix(s.ID, "EMC")) {
			return "session " + words(sessionWords, s.Outcome)
		}
	}
	for _, s := range r.Sessions {
		if l.userID != 0 && s.UserID == l.userID {
			return "a session of user " + strconv.FormatInt(s.UserID, 10) + ": " + words(sessionWords, s.Outcome)
		}
	}
	switch {
	case l.is(r.JobID):
		return "id"
	case strings.Contains(strings.ToLower(r.Reason), l.what):
		return "reason: " + r.Reason
	}
	for name, value := range r.Labels {
		if l.is(value) || l.is(name+"="+value) || strings.Contains(strings.ToLower(value), l.what) {
			return "label " + name + "=" + value
		}
	}
	return ""
}

func (l look) is(text string) bool { return text != "" && strings.ToLower(text) == l.what }

package main

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"logoffworker/jobs"
)

func (t *tool) deadCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dead",
		Short: "what was not done",
		Long: `A dead letter holds what was not done of a job. It leaves the list when it has been dealt with:
replayed, dropped, or, where the job was held, approved or denied. The results stay as they are.`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(t.deadListCommand(), t.replayCommand(), t.dropCommand())
	return cmd
}

func (t *tool) deadListCommand() *cobra.Command {
	var c choice
	var group bool
	cmd := &cobra.Command{
		Use:   "ls [JOB...]",
		Short: "list what was not done",
		Long:  `List prints the dead letters, the oldest first, or with --group how many there are of each kind.`,
		Example: `  logoffctl dead ls
  logoffctl dead ls --group
  logoffctl dead ls --reason partial --publisher hr --older 7d --json`,
	}
	c.addFlags(t, cmd)
	cmd.Flags().BoolVar(&group, "group", false, "one line for all letters of a kind")
	return t.verb(cmd, func(ctx context.Context, args []string) error {
		if err := c.read(args); err != nil {
			return err
		}
		here, err := t.connect()
		if err != nil {
			return err
		}
		defer here.close()
		all, err := t.letters(ctx, here, c)
		switch {
		case err != nil:
			return err
		case len(all) == 0 && len(c.names) > 0:
			return notSo("")
		case len(all) == 0:
			t.say("no dead letter")
			return nil
		case group:
			return t.listKinds(all)
		}
		return t.listLetters(all)
	})
}

// A listedLetter is what --json prints of one.
type listedLetter struct {
	Key       string      `json:"key"`
	Sequence  uint64      `json:"sequence"` // of the job
	Reason    jobs.Status `json:"reason"`
	JobID     string      `json:"jobId"`
	Lane      jobs.Lane   `json:"lane,omitempty"`
	Publisher string      `json:"publisher,omitempty"`
	Error     string      `json:"error,omitempty"`
	People    int         `json:"people"`
	Sessions  int         `json:"sessions"`
	Subject   string      `json:"subject"`
	Result    string      `json:"result"`
	Stored    time.Time   `json:"stored"` // the job
	Died      time.Time   `json:"died"`   // the letter was stored
	Letter    uint64      `json:"letter"` // its sequence
}

func (l letter) listed() listedLetter {
	return listedLetter{
		Key: l.key(), Sequence: l.Sequence, Reason: l.Reason, JobID: l.JobID, Lane: l.lane, Publisher: l.publisher, Error: l.Error,
		People: len(l.job.Users), Sessions: len(l.job.Sessions), Subject: l.Subject, Result: l.Result,
		Stored: l.Stored.UTC(), Died: l.died.UTC(), Letter: l.at,
	}
}

func (t *tool) listLetters(all []letter) error {
	rows := [][]string{{"JOB", "REASON", "LANE", "PUBLISHER", "AGE", "ID", "WHAT"}}
	for _, l := range all {
		if t.json {
			if err := t.object(l.listed()); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, []string{
			strconv.FormatUint(l.Sequence, 10), string(l.Reason), orDash(string(l.lane)), orDash(l.publisher), lasting(time.Since(l.died)), l.JobID, l.Error,
		})
	}
	if t.json {
		return nil
	}
	return t.table(rows)
}

// A kind are letters that say the same, but for names and numbers.
type kind struct {
	N      int         `json:"n"`
	Reason jobs.Status `json:"reason"`
	What   string      `json:"what"`
	Oldest time.Time   `json:"oldest"`
	First  string      `json:"first"` // key of its job
}

// particulars are what differs between letters of a kind.
var particulars = regexp.MustCompile(`(EMC)?[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|\d+`)

// kinds are those of letters, the commonest first.
func kinds(all []letter) (kinds []*kind) {
	known := map[[2]string]*kind{}
	for _, l := range all {
		what := particulars.ReplaceAllStringFunc(l.Error, func(s string) string {
			if strings.Contains(s, "-") {
				return "…"
			}
			return "N"
		})
		id := [2]string{string(l.Reason), what}
		if known[id] == nil {
			known[id] = &kind{Reason: l.Reason, What: what, Oldest: l.died.UTC(), First: l.key()}
			kinds = append(kinds, known[id])
		}
		known[id].N++
	}
	slices.SortStableFunc(kinds, func(a, b *kind) int { return b.N - a.N })
	return kinds
}

func (t *tool) listKinds(all []letter) error {
	rows := [][]string{{"N", "REASON", "WHAT", "OLDEST", "FIRST"}}
	for _, k := range kinds(all) {
		if t.json {
			if err := t.object(k); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, []string{number(k.N), string(k.Reason), k.What, lasting(time.Since(k.Oldest)), t.command("show", k.First)})
	}
	if t.json {
		return nil
	}
	return t.table(rows)
}

package main

import (
	"bufio"
	"context"
	"strings"

	"github.com/spf13/cobra"
)

// A changing is what a verb that changes something is told about that.
type changing struct {
	yes, dryRun bool
	why         string
}

// changes gives a verb the flags --yes and --dry-run.
func (c *changing) changes(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&c.yes, "yes", false, "do it without asking")
	cmd.Flags().BoolVar(&c.dryRun, "dry-run", false, "show what it would do, and do nothing")
}

// A question is asked before something is changed.
type question struct {
	// What would be done, as a sentence without a full stop.
	What string
	// Answer is what a person has to type: the number, or the word.
	Answer string
	// Danger says that it has to be asked for: more than one job, more than 100 sessions or people, the urgent lane.
	Danger bool
}

// confirm shows what would be done, and reports whether to do it. With --dry-run it is not. Where it has to be asked
// for, a person types the answer; without a terminal --yes stands for that, and without either it is bad usage.
func (t *tool) confirm(ctx context.Context, c changing, q question) (bool, error) {
	if c.dryRun || c.yes || !q.Danger {
		t.say("%s", q.What)
		return !c.dryRun, nil
	}
	if !isTerminal(t.stdin) {
		return false, badUsage("%s: without a terminal to ask on this wants --yes (or --dry-run, to only see it)", q.What)
	}
	t.ask("%s. Type %s to go on: ", q.What, q.Answer)
	answer, err := t.line(ctx)
	if err != nil {
		return false, err
	}
	if answer != q.Answer {
		return false, badUsage("the answer was not %s: nothing was changed", q.Answer)
	}
	return true, nil
}

// line reads what a person types, until ctx ends.
func (t *tool) line(ctx context.Context) (string, error) {
	read := make(chan string, 1)
	go func() { // which ends with the process, where nobody types
		line, _ := bufio.NewReader(t.stdin).ReadString('\n')
		read <- line
	}()
	select {
	case line := <-read:
		return strings.ReplaceAll(strings.TrimSpace(line), ",", ""), nil
	case <-ctx.Done():
		t.say("")
		return "", interrupted("interrupted: nothing was changed")
	}
}

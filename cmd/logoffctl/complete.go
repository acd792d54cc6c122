package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"logoffworker/jobs"
)

// A completer offers what a word on the command line may be.
type completer func(t *tool, begun string) []string

// completes has a flag completed.
func (t *tool) completes(cmd *cobra.Command, flag string, offer completer) {
	_ = cmd.RegisterFlagCompletionFunc(flag, func(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		return offer(t, begun), cobra.ShellCompDirectiveNoFileComp
	})
}

// completesArgs has the arguments completed.
func (t *tool) completesArgs(cmd *cobra.Command, offer completer) {
	cmd.ValidArgsFunction = func(_ *cobra.Command, given []string, begun string) ([]string, cobra.ShellCompDirective) {
		return slices.DeleteFunc(offer(t, begun), func(word string) bool { return slices.Contains(given, word) }), cobra.ShellCompDirectiveNoFileComp
	}
}

// lanes offers the lanes.
func lanes(_ *tool, begun string) (all []string) {
	for _, lane := range jobs.Lanes {
		all = append(all, string(lane))
	}
	return beginning(all, begun)
}

// statuses offers those of jobs.
func statuses(_ *tool, begun string) (all []string) {
	for _, status := range jobs.Statuses {
		all = append(all, string(status))
	}
	return beginning(all, begun)
}

// reasons offers those of dead letters.
func reasons(t *tool, begun string) []string {
	return slices.DeleteFunc(statuses(t, begun), func(s string) bool { return jobs.Status(s).Success() })
}

func beginning(all []string, begun string) []string {
	return slices.DeleteFunc(all, func(word string) bool { return !strings.HasPrefix(word, begun) })
}

const (
	// completionWait is how long a person at a shell waits for what is offered.
	completionWait = 2 * time.Second
	// mostOffered is how many keys are.
	mostOffered = 50
)

// jobKeys offers the ids of the latest jobs that have a result, or the key of one whose id looks like another name.
func jobKeys(t *tool, begun string) []string {
	return t.offered(begun, func(here *site) string { return here.subjects.ResultStream() }, func(here *site, r record) string {
		names := r.names()
		if id := names[len(names)-1]; string(id) == r.id() {
			return string(id)
		}
		return r.key()
	})
}

// deadKeys offers the keys of the latest dead letters.
func deadKeys(t *tool, begun string) []string {
	return t.offered(begun, func(here *site) string { return here.subjects.DeadStream() }, func(_ *site, r record) string {
		letter, err := jobs.DecodeDeadLetter(r.Header, r.Data)
		if err != nil {
			return ""
		}
		return jobs.Key(letter.Sequence, letter.Stored)
	})
}

// offered are names made of the latest records of a stream, the latest first. Where NATS does not answer, none is.
func (t *tool) offered(begun string, stream func(*site) string, name func(*site, record) string) (all []string) {
	ctx, cancel := context.WithTimeout(context.Background(), completionWait)
	defer cancel()
	here, err := t.connect()
	if err != nil {
		return nil
	}
	defer here.close()
	found, err := here.stream(ctx, stream(here))
	if err != nil {
		return nil
	}
	state := found.CachedInfo().State
	from := uint64(1)
	if state.LastSeq > mostOffered {
		from = state.LastSeq - mostOffered
	}
	_, _ = here.read(ctx, place{Stream: stream(here), From: max(from, state.FirstSeq)}, func(r record) bool {
		if word := name(here, r); word != "" && !slices.Contains(all, word) {
			all = append(all, word)
		}
		return true
	})
	slices.Reverse(all)
	return beginning(all, begun)
}

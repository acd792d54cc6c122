package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
)

// quiet is how much of the processor time that this machine asks for others may have while something is measured. Above
// it, both subjects have a 99th percentile that says how long others had the processor, and not what the subject does.
const quiet = 0.05

// tries is how often a subject is measured at most until the machine is quiet, where time is judged.
func (b *bench) tries(c benchCase) int {
	timed := slices.ContainsFunc(lines, func(l line) bool {
		return l.name == c.name && l.beside != nil && (l.kind == latency || l.kind == rate)
	})
	if !b.judged() || !timed {
		return 1
	}
	return 4
}

// measureQuietly measures a subject in a case, again while others have too much of the processors. What was disturbed
// least counts, whatever came of it.
func (b *bench) measureQuietly(ctx context.Context, c benchCase, subject string) error {
	all := b.figures
	defer func() { b.figures = all }()
	var best figures
	least := math.Inf(1)
	tries := b.tries(c)
	for n := range tries {
		if n > 0 {
			b.repeated++
		}
		b.figures = figures{}
		before, err := b.processors()
		if err != nil {
			return err
		}
		if err := c.run(ctx, b, subject); err != nil {
			return err
		}
		after, err := b.processors()
		if err != nil {
			return err
		}
		if lost := after.lost(before); lost < least {
			best, least = b.figures, lost
		}
		if least <= quiet {
			break
		}
	}
	if tries > 1 && least > quiet {
		b.disturbed++
	}
	all.add(best)
	return nil
}

// A processorTime is what this machine has had since it started, and what it asked for and its host gave to others
// instead ("steal" in proc_stat(5)): both in hundredths of a second. On a machine of its own the latter is always zero.
type processorTime struct{ used, stolen float64 }

// lost is the part of what was asked for since before that others had.
func (p processorTime) lost(before processorTime) float64 {
	used, stolen := p.used-before.used, p.stolen-before.stolen
	if stolen <= 0 {
		return 0
	}
	return stolen / (used + stolen)
}

// readProcessors reads it from the system.
func readProcessors() (processorTime, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return processorTime{}, err
	}
	return parseProcessors(string(stat))
}

// parseProcessors reads the first line of /proc/stat. procfs, which reads processes here, takes a line that is cut off, and
// would have it that nothing was stolen.
func parseProcessors(stat string) (p processorTime, err error) {
	first, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(first)
	const user, nice, system, interrupts, softInterrupts, steal = 1, 2, 3, 6, 7, 8
	if len(fields) <= steal || fields[0] != "cpu" {
		return p, fmt.Errorf("%q is no beginning of /proc/stat", first)
	}
	for _, i := range []int{user, nice, system, interrupts, softInterrupts, steal} {
		ticks, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return p, fmt.Errorf("/proc/stat: %w", err)
		}
		if i == steal {
			p.stolen = ticks
		} else {
			p.used += ticks
		}
	}
	return p, nil
}

// words say how quiet the machine was; empty where nothing had to be measured again.
func (b *bench) words() string {
	if b.repeated == 0 {
		return ""
	}
	words := fmt.Sprintf("Measured again because others had more than %.0f %% of the processor time that was asked for: %d times.", quiet*100, b.repeated)
	if b.disturbed > 0 {
		words += fmt.Sprintf(" %d of the measurements that count were disturbed all the same.", b.disturbed)
	}
	return words
}

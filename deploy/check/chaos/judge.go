package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"text/tabwriter"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/history"
)

// judge prints the verdict. To what the history shows it adds what only the run knows: faults without effect,
// requests to the host that redirects point to, data races.
func (w *world) judge(h *history.History, out io.Writer) error {
	violations := h.Check(limits())
	for _, visit := range w.redirectTarget.visited() {
		violations = append(violations, history.Violation{Rule: "I10", Job: "redirect", Why: "a worker followed it: " + visit})
	}
	violations = append(violations, secretTokens(h)...)
	violations = append(violations, w.brokenChains()...)
	violations = append(violations, w.audited...)
	violations = append(violations, w.vacuous(h)...)
	if n := w.races(); n > 0 {
		violations = append(violations, history.Violation{Rule: "race", Job: "workers", Why: fmt.Sprintf("%d data races", n)})
	}
	for i, f := range h.Faults {
		if f.Effect == 0 && !shownLater(h.Faults[i:], f.Name) {
			violations = append(violations, history.Violation{Rule: "fault", Job: f.Name, Why: "it had no effect: 0 " + f.Note})
		}
	}
	if err := w.report(h, out); err != nil {
		return err
	}
	if len(violations) == 0 && !w.keep {
		fmt.Fprintf(out, "\nheld: 0 violations (seed %d)\n", w.seed)
		return nil
	}
	if err := h.Write(w.options.out); err != nil {
		return fmt.Errorf("keep the record: %w", err)
	}
	fmt.Fprintf(out, "\nthe record is in %s\n", w.options.out)
	if len(violations) == 0 {
		fmt.Fprintf(out, "held: 0 violations (seed %d)\n", w.seed)
		return nil
	}
	for _, v := range violations {
		fmt.Fprintln(out, "VIOLATED", v)
	}
	return fmt.Errorf("%w: %d violations (seed %d)", errViolated, len(violations), w.seed)
}

// shownLater reports whether a fault that had no effect was injected again, and then had one.
func shownLater(faults []history.Fault, name string) bool {
	return slices.ContainsFunc(faults, func(f history.Fault) bool { return f.Name == name && f.Effect > 0 })
}

// brokenChains are the access tokens of which an old pair was presented again: the Web Server ends them.
func (w *world) brokenChains() (all []history.Violation) {
	for _, c := range w.chains {
		if c.Reused > 0 || c.Dead {
			all = append(all, history.Violation{Rule: "token", Job: fmt.Sprintf("access token %d", c.ID), Why: fmt.Sprintf("an old pair of it was presented %d times", c.Reused)})
		}
	}
	return all
}

// renewed says how often the access tokens were renewed.
func (w *world) renewed() string {
	renewals := 0
	for _, c := range w.chains {
		renewals += c.Renewals
	}
	return fmt.Sprintf("%d, renewed %d times", len(w.chains), renewals)
}

// token is what the tokens of the simulated Web Server look like: those of logins, and access tokens with
// their refresh tokens.
var token = regexp.MustCompile(`QSDK 3[0-9a-f]{8}|\b[0-9a-f]{64}\b`)

// heldHash is the hash of a job's bytes in the result that says it is held, which looks like a token.
var heldHash = regexp.MustCompile(`"heldSha256":"[0-9a-f]{64}"`)

// secretTokens searches all output for tokens: they are made during the run, so that no canary can be set for them.
func secretTokens(h *history.History) (all []history.Violation) {
	for name, output := range h.Outputs {
		if token.Match(output) {
			all = append(all, history.Violation{Rule: "I10", Job: name, Why: "it holds a token"})
		}
	}
	for _, stored := range [][]history.Stored{h.Results, h.Dead, h.Left} {
		for _, s := range stored {
			if token.Match(heldHash.ReplaceAll(s.Data, nil)) {
				all = append(all, history.Violation{Rule: "I10", Job: s.Subject, Why: "it holds a token"})
			}
		}
	}
	return all
}

// vacuous names what did not happen in the run: without it, that nothing is violated would prove nothing.
func (w *world) vacuous(h *history.History) (all []history.Violation) {
	f := h.Figures(limits())
	figures := map[string]int{
		"jobs stored": f.Stored, "results": len(h.Results), "acknowledgements seen": len(h.Acks), "requests": f.Requests, "urgent jobs while there was no fault": int(f.UrgentCalm),
	}
	if !w.soak {
		for _, verb := range []jobs.Verb{jobs.ActPause, jobs.ActResume, jobs.ActApprove, jobs.ActDeny, jobs.ActReplay} {
			figures["acts of operators: "+string(verb)] = f.Acts[verb]
		}
	}
	for what, n := range figures {
		if n == 0 {
			all = append(all, history.Violation{Rule: "test", Job: "run", Why: "there were no " + what})
		}
	}
	return all
}

func limits() history.Limits {
	l := history.DefaultLimits()
	l.Document = 64
	return l
}

// A life is the first and the last look at a process.
type life struct{ first, last history.Sample }

// lasting are the processes that ran for a minute at least, the longest first. The first look is taken
// when a process has warmed up.
func lasting(samples []history.Sample) (all []life) {
	const warm = 10 * time.Second
	lives := map[string]*life{}
	begun := map[string]time.Time{}
	for _, s := range samples {
		if s.Process == "" {
			continue
		}
		if begun[s.Process].IsZero() {
			begun[s.Process] = s.Time
		}
		switch l := lives[s.Process]; {
		case l != nil:
			l.last = s
		case s.Time.Sub(begun[s.Process]) >= warm:
			lives[s.Process] = &life{first: s, last: s}
		}
	}
	for _, l := range lives {
		if l.last.Time.Sub(l.first.Time) >= time.Minute {
			all = append(all, *l)
		}
	}
	slices.SortFunc(all, func(a, b life) int { return cmp.Compare(b.last.Time.Sub(b.first.Time), a.last.Time.Sub(a.first.Time)) })
	return all
}

func mib(s history.Sample) float64 { return float64(s.RSS) / (1 << 20) }

// report prints what was done, and the figures.
func (w *world) report(h *history.History, out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	kinds, least := reportFaults(h, table)
	w.reportFigures(h, table, kinds, least)
	for _, p := range lasting(h.Samples) {
		fmt.Fprintf(table, "worker %s\t%v: %.0f MiB and %d goroutines, at the end %.0f MiB and %d\n",
			p.first.Process, p.last.Time.Sub(p.first.Time).Round(time.Second), mib(p.first), p.first.Goroutines, mib(p.last), p.last.Goroutines)
	}
	return table.Flush()
}

// reportFaults prints the faults, and returns how many kinds of them came, each how often at least.
func reportFaults(h *history.History, table io.Writer) (kinds, least int) {
	injected, missed, effects := map[string]int{}, map[string]int{}, map[string]int{}
	for _, f := range h.Faults {
		injected[f.Name]++
		effects[f.Name] += f.Effect
		if f.Effect == 0 {
			missed[f.Name]++
		}
	}
	fmt.Fprintf(table, "\nfault\tinjected\twithout effect\teffect\n")
	for _, name := range slices.Sorted(maps.Keys(injected)) {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\n", name, injected[name], missed[name], effects[name])
	}
	if len(injected) > 0 {
		least = slices.Min(slices.Collect(maps.Values(injected)))
	}
	return len(injected), least
}

func (w *world) reportFigures(h *history.History, table io.Writer, kinds, least int) {
	f := h.Figures(limits())
	for _, line := range []struct {
		what  string
		value any
	}{
		{"", ""},
		{"versions", fmt.Sprint(h.Run.Versions)},
		{"run", h.Run.End.Sub(h.Run.Begin).Round(1e9)},
		{"faults", fmt.Sprintf("%d; %d kinds, each at least %d times", len(h.Faults), kinds, least)},
		{"jobs published", fmt.Sprintf("%d (%d stored, %d unknown)", f.Published, f.Stored, f.Unknown)},
		{"tries of publishers without an answer", w.solo.load.failed() + w.trio.load.failed()},
		{"results", fmt.Sprint(f.Results)},
		{"dead letters", f.DeadLetters},
		{"sessions", f.Sessions},
		{"requests", fmt.Sprintf("%d, %d with success; splitting aside %.2f for each", f.Requests, f.Successes, f.RequestRatio)},
		{"repeated logoffs", fmt.Sprintf("%.1f %%", 100*f.Repeats)},
		{"redelivered", fmt.Sprintf("%d results, at most delivery %d", f.Redelivered, f.MostDeliveries)},
		{"acknowledgements checked", len(h.Acks)},
		{"access tokens", w.renewed()},
		{"acts of operators", fmt.Sprint(f.Acts)},
		{"urgent, without faults", f.UrgentCalm},
		{"longest between two results", fmt.Sprint(f.Stalls)},
		{"settled after the last fault", f.Settled},
	} {
		fmt.Fprintf(table, "%s\t%v\n", line.what, line.value)
	}
}

package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
)

// A goal says what one figure must be beside another; a figure without a goal is shown for itself.
type goal struct {
	what    string
	beside  func(m medians) float64 // what the figure is divided by, or compared with
	bound   float64
	atLeast bool
	words   string
}

// medians are the medians of what was measured.
type medians map[string]map[string]float64

func (m medians) worker(what string) float64 { return m[what][theWorker] }

func floorOf(what string) func(medians) float64 {
	return func(m medians) float64 { return m[what][theFloor] }
}

func one(medians) float64 { return 1 }

var goals = []goal{
	{what: "flood: jobs/s", beside: floorOf("flood: jobs/s"), bound: 0.75, atLeast: true, words: "of the floor"},
	{what: "flood: CPU s per 100,000 jobs", beside: floorOf("flood: CPU s per 100,000 jobs"), bound: 2.5, words: "of the floor"},
	{what: "flood: peak RSS, MiB", beside: one, bound: 80 * 1e6 / (1 << 20), words: "MiB (80 MB)"},
	{what: "realistic: jobs/s", beside: floorOf("realistic: jobs/s"), bound: 0.75, atLeast: true, words: "of the floor"},
	{what: "realistic: requests", beside: floorOf("realistic: requests")},
	{what: "realistic: mean document", beside: floorOf("realistic: mean document")},
	{what: "steady: p50, ms", beside: floorOf("steady: p50, ms")},
	{what: "steady: p95, ms", beside: floorOf("steady: p95, ms")},
	{what: "steady: p99, ms", beside: floorOf("steady: p99, ms"), bound: 1.05, words: "of the floor"},
	{what: "steady: CPU, s", beside: floorOf("steady: CPU, s"), bound: 1.25, words: "of the floor"},
	{what: "urgent: p50 without bulk, ms"},
	{what: "urgent: p99 without bulk, ms"},
	{what: "urgent: p50 under bulk, ms"},
	{what: "urgent: p99 under bulk, ms", beside: func(m medians) float64 {
		const request = 40 + 1000*0.02 // ms, of a full document
		return 1.05*m.worker("urgent: p99 without bulk, ms") + request
	}, bound: 1, words: "of 1.05 × that without bulk and one request"},
	{what: "urgent: bulk list, s", beside: floorOf("urgent: bulk list, s"), bound: 1.05, words: "of the floor"},
	{what: "outage: p99 beyond it, ms", beside: one, bound: 500, words: "ms"},
	{what: "outage: longest beyond it, ms", beside: one, bound: 500, words: "ms"},
	{what: "poison: requests", beside: func(m medians) float64 { return m["poison: requests"]["theory"] }, bound: 1.1, words: "of documents + 2·log₂ n each"},
	{what: "idle: RSS, MiB", beside: one, bound: 30 * 1e6 / (1 << 20), words: "MiB (30 MB)"},
	{what: "idle: CPU of one core, %", beside: one, bound: 0.5, words: "%"},
	{what: "idle: start to ready, ms", beside: one, bound: 150, words: "ms"},
	{what: "idle: binary, MB"},
	{what: "backlog of 100000: peak RSS, MiB"},
	{what: "backlog of 1000000: peak RSS, MiB", beside: func(m medians) float64 { return m.worker("backlog of 100000: peak RSS, MiB") }, bound: 1.2, words: "of that with 100,000"},
	{what: "replicas: jobs/s of 1"},
	{what: "replicas: jobs/s of 2", beside: func(m medians) float64 { return m.worker("replicas: jobs/s of 1") }, bound: 1.8, atLeast: true, words: "of one"},
}

var errMissed = errors.New("a goal was missed")

// report prints the table.
func (b *bench) report() error {
	m := medians{}
	for what, subjects := range b.measured {
		m[what] = map[string]float64{}
		for subject, values := range subjects {
			slices.Sort(values)
			m[what][subject] = values[len(values)/2]
		}
	}
	fmt.Fprintf(b.out, "%s; medians of %d rounds\n\n", machine(), b.rounds)
	fmt.Fprint(b.out, "| case | worker | floor | ratio | goal | |\n| --- | ---: | ---: | ---: | --- | --- |\n")
	var err error
	for _, g := range goals {
		if _, measured := m[g.what]; !measured {
			continue
		}
		met := g.print(b, m)
		if !met && b.goals {
			err = errMissed
		}
	}
	return err
}

// print prints one line, and reports whether the goal is met.
func (g goal) print(b *bench, m medians) (met bool) {
	value, ratio, words, mark := m.worker(g.what), "", "", ""
	met = true
	if g.beside != nil {
		r := value / g.beside(m)
		ratio = figure(r)
		if g.bound != 0 {
			met = g.atLeast && r >= g.bound || !g.atLeast && r <= g.bound
			words = fmt.Sprintf("%s %s %s", map[bool]string{true: "≥", false: "≤"}[g.atLeast], figure(g.bound), g.words)
			mark = map[bool]string{true: "met", false: "MISSED"}[met]
		}
	}
	beside := ""
	if f, ok := m[g.what][theFloor]; ok {
		beside = figure(f)
	}
	if g.beside != nil && g.bound > 10 {
		ratio = ""
	}
	fmt.Fprintf(b.out, "| %s | %s | %s | %s | %s | %s |\n", g.what, figure(value), beside, ratio, words, mark)
	return met
}

// figure shows three digits that count.
func figure(f float64) string {
	if math.Abs(f) >= 100 {
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprintf("%.3g", f)
}

// machine says where it was measured.
func machine() string {
	model := "unknown processor"
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, found := strings.Cut(string(data), "model name"); found {
			line, _, _ := strings.Cut(rest, "\n")
			model = strings.Trim(line, " \t:")
		}
	}
	nats := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "github.com/nats-io/nats-server/v2" {
				nats = ", nats-server " + m.Version
			}
		}
	}
	return fmt.Sprintf("%s, %d cores, %s%s", model, runtime.NumCPU(), runtime.Version(), nats)
}

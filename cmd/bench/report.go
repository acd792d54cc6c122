package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/prometheus/procfs"
)

// A line of the table shows one figure. Its goal, if it has one, is a bound for the worker's figure
// divided by another.
type line struct {
	name, measure string
	kind          kind
	beside        func(f figures) float64
	bound         float64
	words         string // what the bound is compared with
}

// A kind says what a figure is.
type kind int

const (
	cost       kind = iota // the less the better
	latency                // the less the better; one well below the floor's shows that the floor is none
	rate                   // the more the better; one well above the floor's shows the same
	difference             // the less the better; its ratio to the floor's says nothing
)

// floorOf is the floor's own figure.
func floorOf(name, measure string) func(figures) float64 {
	return func(f figures) float64 { return f.median(name, measure, theFloor) }
}

func workerOf(name, measure string) func(figures) float64 {
	return func(f figures) float64 { return f.median(name, measure, theWorker) }
}

// itself makes the bound one for the figure as it is.
func itself(figures) float64 { return 1 }

// behindOne is 1.05 times a figure without bulk, and one request.
func behindOne(measure string) func(figures) float64 {
	return func(f figures) float64 {
		return 1.05*f.median("urgent", measure, theWorker) + request.Seconds()*1000
	}
}

const mib = 1 << 20

var lines = []line{
	{name: "flood", measure: "jobs/s", beside: floorOf("flood", "jobs/s"), bound: 0.87, kind: rate, words: "of the floor"},
	{name: "flood", measure: "CPU s per 100,000 jobs", beside: floorOf("flood", "CPU s per 100,000 jobs"), bound: 1.8, words: "of the floor"},
	{name: "flood", measure: "peak RSS, MiB", beside: itself, bound: 80e6 / mib, words: "MiB (80 MB)"},
	{name: "flood", measure: natsCPU, beside: floorOf("flood", natsCPU), bound: 1.2, words: "of the floor"},
	{name: "realistic", measure: "first request to last result, s", kind: latency, beside: floorOf("realistic", "first request to last result, s"), bound: 1.33, words: "of the floor"},
	{name: "realistic", measure: "process start to last result, s", kind: latency},
	{name: "realistic", measure: natsCPU, beside: floorOf("realistic", natsCPU), bound: 1.3, words: "of the floor"},
	{name: "realistic", measure: "requests"},
	{name: "steady", measure: "p50, ms", kind: latency, beside: floorOf("steady", "p50, ms"), bound: 1.03, words: "of the floor"},
	{name: "steady", measure: "p95, ms", kind: latency},
	{name: "steady", measure: "p99, ms", kind: latency, beside: floorOf("steady", "p99, ms"), bound: 1.05, words: "of the floor"},
	{name: "steady", measure: "CPU, s", beside: floorOf("steady", "CPU, s"), bound: 1.25, words: "of the floor"},
	{name: "steady", measure: "requests"},
	{name: "steady", measure: meanAnswer},
	{name: "bulkflow", measure: "p50, ms", kind: latency},
	{name: "bulkflow", measure: "p95, ms", kind: latency},
	{name: "bulkflow", measure: "p99, ms", kind: latency, beside: floorOf("bulkflow", "p99, ms"), bound: 1.1, words: "of the floor"},
	{name: "bulkflow", measure: "CPU, s", beside: floorOf("bulkflow", "CPU, s"), bound: 1.25, words: "of the floor"},
	{name: "bulkflow", measure: "requests", beside: floorOf("bulkflow", "requests"), bound: 0.6, words: "of the floor"},
	{name: "bulkflow", measure: meanAnswer},
	{name: "urgent", measure: "p50 without bulk, ms", kind: latency},
	{name: "urgent", measure: "p95 without bulk, ms", kind: latency},
	{name: "urgent", measure: "p99 without bulk, ms", kind: latency},
	{name: "urgent", measure: "longest without bulk, ms"},
	{name: "urgent", measure: "p50 under bulk, ms", kind: latency, beside: floorOf("urgent", "p50 under bulk, ms"), bound: 1.02, words: "of the floor"},
	{name: "urgent", measure: "p95 under bulk, ms", kind: latency, beside: floorOf("urgent", "p95 under bulk, ms"), bound: 1.05, words: "of the floor"},
	{name: "urgent", measure: "p99 under bulk, ms", kind: latency, beside: behindOne("p99 without bulk, ms"), bound: 1, words: "of 1.05 × that without bulk + one request"},
	{name: "urgent", measure: "longest under bulk, ms", beside: behindOne("longest without bulk, ms"), bound: 1, words: "of 1.05 × that without bulk + one request"},
	{name: "urgent", measure: "a bulk list, s", kind: latency, beside: floorOf("urgent", "a bulk list, s"), bound: 1.05, words: "of the floor"},
	{name: "outage", measure: "p99 beyond it, ms", beside: itself, bound: 500, words: "ms", kind: difference},
	{name: "outage", measure: "longest beyond it, ms", beside: itself, bound: 500, words: "ms", kind: difference},
	{name: "poison", measure: "requests", beside: func(f figures) float64 { return f.median("poison", "requests", theory) }, bound: 1.1, words: "of documents + 2·log₂ n each"},
	{name: "idle", measure: "RSS, MiB", beside: itself, bound: 30e6 / mib, words: "MiB (30 MB)"},
	{name: "idle", measure: "CPU of one core, %", beside: itself, bound: 0.5, words: "%"},
	{name: "idle", measure: "start to ready, ms", beside: itself, bound: 150, words: "ms"},
	{name: "idle", measure: "binary, MB"},
	{name: "memory", measure: few, beside: itself, bound: 80e6 / mib, words: "MiB (80 MB)"},
	{name: "memory", measure: many, beside: workerOf("memory", few), bound: 1.2, words: "of the highest with 100,000"},
	{name: "stored", measure: "memory of NATS, MiB"},
	{name: "stored", measure: "memory of NATS after a start, MiB"},
	{name: "stored", measure: "disk of NATS, MB"},
	{name: "stored", measure: "look-up p50, ms"},
	{name: "stored", measure: "look-up p99, ms"},
	{name: "stored", measure: "start of NATS to an answer, s"},
	{name: "stored", measure: "start of a worker to ready, ms"},
	{name: "replicas", measure: oneReplica, kind: rate},
	{name: "replicas", measure: twoReplicas, beside: workerOf("replicas", oneReplica), bound: 1.8, kind: rate, words: "of one"},
}

// errMissed is wrapped by the error that names the goals.
var errMissed = errors.New("a goal is missed")

// errBroken is wrapped by the error that says why the floor is none.
var errBroken = errors.New("the floor is broken: ratios to it mean nothing")

// ahead is how much better than the floor's best a worker's figure may be in a turn: there is nothing leaner than the
// floor, so more is not the worker's merit. A turn in which somebody else had the machine shows nothing about the floor.
const ahead = 0.05

// slowest is how many times the Web Server's mean answer the floor's 99th percentile may be in a steady flow.
const slowest = 1.3

// check returns what shows that the floor is none.
func (f figures) check() error {
	var faults []error
	for _, l := range lines {
		if l.kind != latency && l.kind != rate {
			continue
		}
		floor := slices.Sorted(slices.Values(f[l.name][l.measure][theFloor]))
		if len(floor) == 0 {
			continue
		}
		for turn, worker := range f[l.name][l.measure][theWorker] {
			least, most := floor[0], floor[len(floor)-1]
			if l.kind == latency && worker < (1-ahead)*least || l.kind == rate && worker > (1+ahead)*most {
				faults = append(faults, fmt.Errorf("%s %s in turn %d: the worker has %s, the floor %s to %s", l.name, l.measure, turn+1, figure(worker), figure(least), figure(most)))
			}
		}
	}
	for _, name := range []string{"steady", "bulkflow"} {
		p99, answer := f.median(name, "p99, ms", theFloor), f.median(name, meanAnswer, theFloor)
		if p99 > slowest*answer {
			faults = append(faults, fmt.Errorf("%s: its p99 is %s ms, and the Web Server answers in %s ms", name, figure(p99), figure(answer)))
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", errBroken, errors.Join(faults...))
}

// report prints the table. It is an error when a goal is missed, or the floor is broken, unless goals are not asked
// for or the scale is one at which figures mean nothing.
func (b *bench) report(w io.Writer) error {
	fmt.Fprintf(w, "%s; medians of %d rounds", machine(), b.rounds)
	if b.scale != 1 {
		fmt.Fprintf(w, " at %v of the size", b.scale)
	}
	fmt.Fprint(w, "\n\n| case | measure | worker | floor | ratio | goal | met? |\n| --- | --- | ---: | ---: | ---: | --- | --- |\n")
	var missed []string
	for _, l := range lines {
		if len(b.figures[l.name][l.measure]) == 0 {
			continue
		}
		if !l.print(w, b.figures, b.judged()) {
			missed = append(missed, l.name+" "+l.measure)
		}
	}
	if words := b.words(); words != "" {
		fmt.Fprintf(w, "\n%s\n", words)
	}
	if !b.goals || !b.judged() {
		return nil
	}
	err := b.figures.check()
	if len(missed) > 0 {
		err = errors.Join(err, fmt.Errorf("%w: %s", errMissed, strings.Join(missed, "; ")))
	}
	return err
}

// print prints one line, and reports whether its goal is met. One that is not judged is met.
func (l line) print(w io.Writer, f figures, judge bool) (met bool) {
	worker, floor := f.median(l.name, l.measure, theWorker), f.median(l.name, l.measure, theFloor)
	ratio := worker / floor
	if l.kind == difference || floor == 0 {
		ratio = math.NaN()
	}
	goal, mark := "", ""
	met = true
	if l.beside != nil {
		judged := worker / l.beside(f)
		goal = l.goal(f, judged)
		if judge {
			met = l.kind == rate && judged >= l.bound || l.kind != rate && judged <= l.bound
			mark = map[bool]string{true: "yes", false: "**no**"}[met]
		}
	}
	fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s |\n", l.name, l.measure, figure(worker), figure(floor), figure(ratio), goal, mark)
	return met
}

// goal says what is wanted; and what there is, where neither figure nor ratio beside it shows that.
func (l line) goal(f figures, judged float64) string {
	words := fmt.Sprintf("%s %s %s", map[bool]string{true: "≥", false: "≤"}[l.kind == rate], figure(l.bound), l.words)
	other := l.beside(f)
	if other != 1 && other != f.median(l.name, l.measure, theFloor) {
		words += fmt.Sprintf(": %s of %s", figure(judged), figure(other))
	}
	return words
}

// figure shows three digits that count, and nothing for what was not measured.
func figure(f float64) string {
	switch {
	case math.IsNaN(f):
		return ""
	case f >= 100 || f <= -100:
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprintf("%.3g", f)
}

// save writes every figure so far where the arguments ask for it, so that a run which is cut short leaves
// what it has.
func (b *bench) save() error {
	if b.json == "" {
		return nil
	}
	data, err := json.MarshalIndent(map[string]any{
		"machine": machine(), "rounds": b.rounds, "scale": b.scale, "figures": b.figures,
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(b.json, append(data, '\n'), 0o644)
}

// machine says where it was measured.
func machine() string {
	model := "unknown processor"
	if system, err := procfs.NewDefaultFS(); err == nil {
		if processors, err := system.CPUInfo(); err == nil && len(processors) > 0 {
			model = cmp.Or(processors[0].ModelName, model)
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

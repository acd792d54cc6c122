package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"logoffworker/worker/stage"
)

func TestMain(m *testing.M) {
	if stage.ServeNATS(os.Args) || runFloor(os.Args) {
		return
	}
	os.Exit(m.Run())
}

// Every part of it runs, at a scale at which the figures mean nothing.
func TestBenchMeasuresWorkerAndFloor(t *testing.T) {
	t.Chdir(filepath.Join("..", ".."))
	var out strings.Builder
	file := filepath.Join(t.TempDir(), "figures.json")
	if err := run(t.Context(), []string{"-quick", "-case", "flood", "-json", file}, &out, t.Output()); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"| flood | jobs/s | ", "| flood | CPU s per 100,000 jobs | ", "≥ 0.87 of the floor"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("%q is not in\n%s", part, out.String())
		}
	}
	var saved struct{ Figures figures }
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &saved); err != nil {
		t.Fatal(err)
	}
	for _, subject := range both {
		if rate := saved.Figures["flood"]["jobs/s"][subject]; len(rate) != 1 || slices.Min(rate) <= 0 {
			t.Errorf("%s: %v jobs/s", subject, rate)
		}
	}
}

// What varies most is measured more often, unless the figures mean nothing.
func TestWhatVariesMostIsMeasuredMoreOften(t *testing.T) {
	whole, part := &bench{options: options{scale: 1}}, &bench{options: options{scale: 0.5}}
	for _, c := range cases {
		want := map[string]int{"flood": 5, "steady": 3, "bulkflow": 3, "urgent": 3}
		if have := whole.turns(c); have != max(1, want[c.name]) {
			t.Errorf("%s: %d turns", c.name, have)
		}
		if have := part.turns(c); have != 1 {
			t.Errorf("%s in part: %d turns", c.name, have)
		}
	}
}

// Where others have too much of the processors, it is measured again, and what was disturbed least counts, however good or
// bad it is. What is not a matter of time, and a run that judges nothing, is measured once.
func TestDisturbedMeasurementIsMadeAgain(t *testing.T) {
	for name, test := range map[string]struct {
		scale               float64
		name                string
		lost                []float64 // by the others, in each measurement
		counts              float64   // the measurement that does
		repeated, disturbed int
	}{
		"quiet":                {1, "steady", []float64{0.05}, 1, 0, 0},
		"quiet at the third":   {1, "steady", []float64{0.5, 0.2, 0.01}, 3, 2, 0},
		"never quiet":          {1, "flood", []float64{0.5, 0.2, 0.3, 0.4}, 2, 3, 1},
		"no matter of time":    {1, "idle", []float64{0.5}, 1, 0, 0},
		"nothing is judged":    {0.5, "steady", []float64{0.5}, 1, 0, 0},
		"a machine of its own": {1, "bulkflow", []float64{0}, 1, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var now processorTime
			b := &bench{options: options{scale: test.scale}, figures: figures{}, processors: func() (processorTime, error) { return now, nil }}
			b.figures.note(test.name, "p99, ms", theWorker, 100)
			made := 0
			c := benchCase{name: test.name, run: func(_ context.Context, b *bench, subject string) error {
				now.used += 1000 * (1 - test.lost[made])
				now.stolen += 1000 * test.lost[made]
				made++
				b.figures.note(test.name, "p99, ms", subject, float64(made))
				return nil
			}}
			if err := b.measureQuietly(t.Context(), c, theWorker); err != nil {
				t.Fatal(err)
			}
			if have := b.figures[test.name]["p99, ms"][theWorker]; made != len(test.lost) || !slices.Equal(have, []float64{100, test.counts}) {
				t.Errorf("measured %d times, %v counts", made, have)
			}
			if b.repeated != test.repeated || b.disturbed != test.disturbed || (b.words() == "") != (test.repeated == 0) {
				t.Errorf("%d again, %d disturbed: %q", b.repeated, b.disturbed, b.words())
			}
		})
	}
}

func TestProcessorTimeIsRead(t *testing.T) {
	p, err := parseProcessors("cpu  100 20 30 4000 50 6 7 80 9 0\ncpu0 1 2 3 4 5 6 7 8 9 0\n")
	if err != nil || p != (processorTime{used: 163, stolen: 80}) {
		t.Errorf("%+v, %v", p, err)
	}
	if lost := p.lost(processorTime{used: 103, stolen: 60}); lost != 0.25 {
		t.Errorf("%v of it was lost", lost)
	}
	for _, bad := range []string{"", "cpu 1 2 3", "intr 1 2 3 4 5 6 7 8", "cpu 1 2 3 4 5 6 7 x"} {
		if _, err := parseProcessors(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if _, err := readProcessors(); err != nil {
		t.Error(err)
	}
}

func TestMistakesAreNamed(t *testing.T) {
	for _, args := range [][]string{{"-nonsense"}, {"-rounds", "0"}, {"-scale", "0"}, {"-case", "flod"}, {"x"}} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%v was taken", args)
		}
	}
	t.Chdir(t.TempDir())
	if err := run(t.Context(), nil, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "source tree") {
		t.Errorf("outside of the source tree: %v", err)
	}
}

func TestHelpNamesEveryCase(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), []string{"-help"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if !strings.Contains(out.String(), c.words) {
			t.Errorf("%s is missing in\n%s", c.name, out.String())
		}
	}
}

func TestMissedGoalFailsOnlyAtFullSize(t *testing.T) {
	f := figures{}
	for _, rate := range []float64{70, 90, 10} { // median 70
		f.note("flood", "jobs/s", theWorker, rate)
		f.note("flood", "jobs/s", theFloor, 100)
	}
	for _, test := range []struct {
		options options
		fails   bool
		mark    string
	}{
		{options{rounds: 3, scale: 1, goals: true}, true, "**no**"},
		{options{rounds: 3, scale: 1}, false, "**no**"},
		{options{rounds: 3, scale: 0.5, goals: true}, false, ""},
	} {
		var out strings.Builder
		b := &bench{options: test.options, figures: f}
		if err := b.report(&out); errors.Is(err, errMissed) != test.fails {
			t.Errorf("%+v: %v", test.options, err)
		}
		if want := "| flood | jobs/s | 70 | 100 | 0.7 | ≥ 0.87 of the floor | " + test.mark + " |"; !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

// A worker cannot be well ahead of the leanest client there is, in any round; a cost, or a difference, may be anything.
// And that client's latency has to be near to the Web Server's own.
func TestBrokenFloorIsNoticed(t *testing.T) {
	for name, test := range map[string]struct {
		measure       string
		worker, floor float64
		broken        bool
	}{
		"a latency ahead":         {"p99, ms", 40, 43, true},
		"a latency a bit ahead":   {"p99, ms", 41.5, 43, false},
		"a latency behind":        {"p99, ms", 60, 43, false},
		"a cost ahead":            {"CPU, s", 1, 2, false},
		"a floor that is far off": {"p99, ms", 70, 70, true},
	} {
		f := figures{}
		for round := range 3 {
			f.note("steady", test.measure, theFloor, test.floor)
			f.note("steady", meanAnswer, theFloor, 41)
			f.note("steady", test.measure, theWorker, []float64{test.floor, test.floor, test.worker}[round])
		}
		if err := f.check(); errors.Is(err, errBroken) != test.broken {
			t.Errorf("%s: %v", name, err)
		}
	}
	f := figures{}
	f.note("flood", "jobs/s", theFloor, 70)
	f.note("flood", "jobs/s", theWorker, 90)
	for _, test := range []struct {
		options options
		fails   bool
	}{
		{options{rounds: 1, scale: 1, goals: true}, true}, {options{rounds: 1, scale: 1}, false}, {options{rounds: 1, scale: 0.5, goals: true}, false},
	} {
		b := &bench{options: test.options, figures: f}
		if err := b.report(io.Discard); errors.Is(err, errBroken) != test.fails {
			t.Errorf("%+v: %v", test.options, err)
		}
	}
}

// What a line names must be what a case notes, or the line would never show and its goal never count.
func TestEveryLineHasItsCase(t *testing.T) {
	for _, l := range lines {
		if !slices.ContainsFunc(cases, func(c benchCase) bool { return c.name == l.name }) {
			t.Errorf("no case measures %s", l.name)
		}
	}
}

// The table of README.md has the lines that the report prints, in their order, with their goals.
func TestReadmeShowsEveryLine(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(readme), "| case | measure | worker | floor | ratio | goal | met? |\n| --- |")
	if !found {
		t.Fatal("README.md has no table")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	rows := strings.Split(table, "\n")[1:]
	if len(rows) != len(lines) {
		t.Fatalf("README.md has %d lines, want %d: replace its table with what `make bench` prints", len(rows), len(lines))
	}
	for i, l := range lines {
		if want := "| " + l.name + " | " + l.measure + " | "; !strings.HasPrefix(rows[i], want) {
			t.Errorf("%s: want %s", rows[i], want)
		}
		if l.beside != nil && !strings.Contains(rows[i], figure(l.bound)+" "+l.words) {
			t.Errorf("%s: want the goal %s %s", rows[i], figure(l.bound), l.words)
		}
	}
}

func TestQuantilesAndFigures(t *testing.T) {
	sorted := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	if quantile(sorted, 50) != 5 || quantile(sorted, 99) != 10 || quantile(sorted, 100) != 10 || !math.IsNaN(quantile(nil, 50)) {
		t.Error("quantiles")
	}
	for f, want := range map[float64]string{12345.6: "12346", 0.7499: "0.75", -43.21: "-43.2", math.NaN(): ""} {
		if figure(f) != want {
			t.Errorf("%v is shown as %q", f, figure(f))
		}
	}
}

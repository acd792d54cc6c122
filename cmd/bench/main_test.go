package main

import (
	"os"
	"path/filepath"
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
	if err := run(t.Context(), []string{"-rounds", "1", "-scale", "0.02", "-cases", "flood,poison"}, &out); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"flood: jobs/s", "flood: CPU", "poison: requests"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("%q is not in\n%s", line, out.String())
		}
	}
}

func TestMistakesAreNamed(t *testing.T) {
	for _, args := range [][]string{{"-nonsense"}, {"-rounds", "0"}, {"-scale", "0"}, {"-cases", "flod"}, {"x"}} {
		if err := run(t.Context(), args, new(strings.Builder)); err == nil {
			t.Errorf("%v was taken", args)
		}
	}
}

func TestQuantilesAndFigures(t *testing.T) {
	sorted := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	if quantile(sorted, 50) != 6 || quantile(sorted, 99) != 10 || quantile(sorted, 100) != 10 {
		t.Error("quantiles")
	}
	if figure(12345.6) != "12346" || figure(0.7499) != "0.75" {
		t.Error(figure(12345.6), figure(0.7499))
	}
}

package main

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/prometheus/procfs"

	"logoffworker/worker/stage"
)

// figures are what was measured, a value for each time it was: by case, measure and subject.
type figures map[string]map[string]map[string][]float64

// note keeps figures.
func (f figures) note(name, measure, subject string, values ...float64) {
	if f[name] == nil {
		f[name] = map[string]map[string][]float64{}
	}
	if f[name][measure] == nil {
		f[name][measure] = map[string][]float64{}
	}
	f[name][measure][subject] = append(f[name][measure][subject], values...)
}

// add adds others.
func (f figures) add(others figures) {
	for name, measures := range others {
		for measure, subjects := range measures {
			for subject, values := range subjects {
				f.note(name, measure, subject, values...)
			}
		}
	}
}

// median is that of one subject's values, NaN if there are none.
func (f figures) median(name, measure, subject string) float64 {
	sorted := slices.Sorted(slices.Values(f[name][measure][subject]))
	n := len(sorted)
	if n == 0 {
		return math.NaN()
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// quantile is the smallest value that so many percent do not exceed.
func quantile(sorted []float64, percent int) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	return sorted[max(0, (len(sorted)*percent+99)/100-1)]
}

// A consumption is what a process has used since it started.
type consumption struct {
	cpu       float64 // seconds, to a hundredth
	rss, peak float64 // MiB
}

// used reads from the system what a process has used.
func used(p *stage.Process) (c consumption, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w\n%s", p.Name, err, p.Out.Tail())
		}
	}()
	proc, err := procfs.NewProc(p.PID())
	if err != nil {
		return c, err
	}
	stat, err1 := proc.Stat()
	status, err2 := proc.NewStatus()
	if err := errors.Join(err1, err2); err != nil {
		return c, err
	}
	if status.VmRSS == 0 || status.VmHWM == 0 {
		return c, errors.New("the process has ended")
	}
	const mib = 1 << 20
	return consumption{cpu: stat.CPUTime(), rss: float64(status.VmRSS) / mib, peak: float64(status.VmHWM) / mib}, nil
}

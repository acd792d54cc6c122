package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

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
	cpu       float64 // seconds
	rss, peak float64 // MiB
}

// used reads from the system what a process has used.
func used(p *stage.Process) (c consumption, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return c, err
	}
	rss, err1 := memory(status, "VmRSS")
	peak, err2 := memory(status, "VmHWM")
	seconds, err3 := cpu(p)
	if err := errors.Join(err1, err2, err3); err != nil {
		return c, fmt.Errorf("%s: %w\n%s", p.Name, err, p.Out.Tail())
	}
	return consumption{cpu: seconds, rss: rss, peak: peak}, nil
}

// cpu is the processor time of a process in seconds, to a hundredth.
func cpu(p *stage.Process) (float64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // from the third on
	const user, system, ticks = 14 - 3, 15 - 3, 100
	if len(fields) <= system {
		return 0, fmt.Errorf("%q is no process's stat", stat)
	}
	u, err1 := strconv.ParseFloat(fields[user], 64)
	s, err2 := strconv.ParseFloat(fields[system], 64)
	return (u + s) / ticks, errors.Join(err1, err2)
}

// memory is a line of a process's status in MiB.
func memory(status []byte, line string) (float64, error) {
	_, rest, _ := bytes.Cut(status, []byte(line+":"))
	fields := strings.Fields(string(rest))
	if len(fields) == 0 {
		return 0, fmt.Errorf("its status has no %s: the process has ended", line)
	}
	kib, err := strconv.ParseFloat(fields[0], 64)
	return kib / 1024, err
}

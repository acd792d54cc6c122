package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A span is a duration on the command line, in which days are understood, too: 30d, 36h, 90m.
type span time.Duration

// readSpan reads a duration.
func readSpan(text string) (time.Duration, error) {
	if days, found := strings.CutSuffix(text, "d"); found {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil || n < 0 || n > 36_500 {
			return 0, fmt.Errorf("%q is no number of days", text)
		}
		return time.Duration(n * float64(24*time.Hour)), nil
	}
	return time.ParseDuration(text)
}

// Set implements pflag.Value.
func (s *span) Set(text string) error {
	d, err := readSpan(text)
	if err == nil && d < 0 {
		err = fmt.Errorf("%q is negative", text)
	}
	*s = span(d)
	return err
}

// Type implements pflag.Value.
func (s *span) Type() string { return "duration" }

// String implements pflag.Value.
func (s *span) String() string {
	d := time.Duration(*s)
	switch {
	case d == 0:
		return ""
	case d%(24*time.Hour) == 0:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	return strings.TrimSuffix(strings.TrimSuffix(d.String(), "0s"), "0m")
}

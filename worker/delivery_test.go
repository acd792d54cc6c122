package worker

import (
	"testing"

	"github.com/nats-io/nats.go"

	"logoffworker/jobs"
)

// A header is found however its name is written; one without a value is none.
func TestHeaderIsFoundHoweverItIsWritten(t *testing.T) {
	for want, header := range map[string]nats.Header{
		"one": {"content-TYPE": {"one"}},
		"two": {"Other": {"x"}, "Content-Type": {"two", "three"}},
		"":    {"Content-Type": nil, "Other": {"x"}},
	} {
		d := &delivery{msg: &nats.Msg{Header: header}}
		if got := d.header("Content-Type"); got != want {
			t.Errorf("in %v it is %q, want %q", header, got, want)
		}
	}
}

// What cannot be decoded is invalid, and its result says why.
func TestResultSaysWhyAJobIsNone(t *testing.T) {
	for invalid, want := range map[string]jobs.Status{"": jobs.AcceptedJob, "no job": jobs.Invalid} {
		d := jobNaming("a")
		d.sessions[0].Outcome, d.invalid = jobs.Accepted, invalid
		var r jobs.Result
		if d.conclude(&r, "w"); r.Status != want || r.Error != invalid {
			t.Errorf("%q: %s, %q", invalid, r.Status, r.Error)
		}
	}
}

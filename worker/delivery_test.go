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

// What is kept of a job is the message as it came, but where its form may come to something else later: then it is the
// job that was made of it.
func TestPayloadIsWhatComesToTheSameLater(t *testing.T) {
	const came = "as it came"
	for format, kept := range map[jobs.Format]bool{
		jobs.JSON: true, jobs.XML: true, jobs.Lines: false, jobs.CloudEvent: false, jobs.SET: false, jobs.Webhook: false,
	} {
		for name, change := range map[string]func(*delivery){
			"a job":      func(*delivery) {},
			"an invalid": func(d *delivery) { d.invalid = "why" },
			"an ignored": func(d *delivery) { d.ignored = "why" },
		} {
			d := jobNaming("a")
			d.format, d.msg = format, &nats.Msg{Data: []byte(came), Header: nats.Header{"Content-Type": {"its own"}}}
			change(d)
			data, contentType := d.payload()
			if asItCame := string(data) == came && contentType == "its own"; asItCame != (kept || name != "a job") {
				t.Errorf("%s of %s is kept as %q, %s", name, format, data, contentType)
			}
		}
	}
}

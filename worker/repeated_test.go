package worker

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"logoffworker/jobs"
)

// Among the jobs that were pulled together, only one that answers an event and is still to be worked is ignored as a
// repeat. Where nobody knows, it is worked and told.
func TestOnlyWhatAnswersAnEventIsARepeat(t *testing.T) {
	withItsStreams(t, nil, func(t *testing.T, w withStreams) {
		js, l, n := w.jetStream(t), w.newLane(jobs.Urgent), uint64(0)
		event := jobs.SignalID("https://idp.example", "1")
		answering := func(id string) *delivery {
			n++
			d := w.finishedJob(n, jobs.Accepted)
			d.job.ID, d.publisher, d.signal, d.left = id, "idp", &jobs.Signal{Issuer: "idp"}, 1
			return d
		}
		var first string
		for _, id := range []string{"case", event} {
			d := answering(id)
			var r jobs.Result
			d.conclude(&r, "w")
			data, err := r.Append(nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			first = w.settler.resultSubject(d)
			if _, err := js.Publish(t.Context(), first, data); err != nil {
				t.Fatal(err)
			}
		}
		again := map[string]*delivery{}
		var all []*delivery
		for name, change := range map[string]func(*delivery){
			"the same event":   func(*delivery) {},
			"a plain job":      func(d *delivery) { d.signal = nil },
			"an id of its own": func(d *delivery) { d.job.ID = "case" },
			"settled":          func(d *delivery) { d.stored = true },
			"no job":           func(d *delivery) { d.invalid = "no job" },
			"approved":         func(d *delivery) { d.msg = nats.NewMsg("logoff.approved.urgent.boss") },
			"another event":    func(d *delivery) { d.job.ID = jobs.SignalID("https://idp.example", "2") },
		} {
			d := answering(event)
			change(d)
			again[name], all = d, append(all, d)
		}
		l.lookUpRepeats(all)
		for name, d := range again {
			want := ""
			if name == "the same event" {
				want = first
			}
			if d.repeats != want || (d.ignored != "") != (want != "") || (d.left == 0) != (want != "") {
				t.Errorf("%s: it repeats %q, %d are left", name, d.repeats, d.left)
			}
		}
		const words = "it cannot be looked up whether events were worked before"
		if strings.Contains(w.lines.String(), words) {
			t.Errorf("it says %s", w.lines)
		}
		if err := js.DeleteStream(t.Context(), w.Config.Stream.Subjects.ResultStream()); err != nil {
			t.Fatal(err)
		}
		d := answering(event)
		if l.lookUpRepeats([]*delivery{d}); d.repeats != "" || d.left != 1 || !strings.Contains(w.lines.String(), words) {
			t.Errorf("it repeats %q; it says %s", d.repeats, w.lines)
		}
	})
}

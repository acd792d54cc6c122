package stream

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

// Jobs that left without a result are told; what is on its way between the looks, and what a server brings back,
// is not taken for that.
func TestJobsThatLeaveWithoutAResultAreTold(t *testing.T) {
	type seen struct{ results, last, left, inHand uint64 }
	for name, test := range map[string]struct {
		looks []seen
		told  string
	}{
		"all have results":                  {looks: []seen{{5, 5, 5, 0}, {5, 5, 5, 0}, {9, 9, 9, 0}, {9, 9, 9, 0}}},
		"one has none":                      {looks: []seen{{5, 5, 5, 0}, {5, 5, 5, 0}, {8, 9, 9, 0}, {8, 9, 9, 0}}, told: "1 jobs left the stream"},
		"results come at the next look":     {looks: []seen{{5, 5, 5, 0}, {5, 5, 5, 0}, {7, 9, 9, 0}, {9, 9, 9, 0}}},
		"never quiet, so nothing compared":  {looks: []seen{{5, 5, 5, 1}, {5, 5, 5, 1}, {5, 9, 9, 1}, {5, 9, 9, 1}}},
		"a stream made anew":                {looks: []seen{{5, 5, 5, 0}, {5, 5, 5, 0}, {0, 5, 5, 0}, {0, 5, 5, 0}}},
		"jobs brought back":                 {looks: []seen{{5, 5, 5, 0}, {5, 5, 5, 0}, {5, 5, 3, 0}, {5, 5, 5, 0}}},
		"a stream made anew, and not quiet": {looks: []seen{{5, 5, 5, 0}, {5, 5, 5, 0}, {0, 5, 5, 0}, {4, 9, 9, 1}, {6, 11, 11, 1}, {6, 11, 11, 1}}},
		"no quiet before":                   {looks: []seen{{5, 5, 5, 0}, {8, 9, 9, 0}, {8, 9, 9, 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			health := metrics.NewHealth(slog.New(slog.DiscardHandler))
			w := &Watch{Streams: &Streams{Health: health, plan: plan{requests: jetstream.StreamConfig{Name: "R"}}}}
			for _, l := range test.looks {
				w.tallyUp(look{
					results:  jetstream.StreamState{LastSeq: l.results},
					requests: jetstream.StreamState{LastSeq: l.last, Msgs: l.last - l.left},
					lanes:    map[jobs.Lane]*jetstream.ConsumerInfo{jobs.Urgent: {NumAckPending: int(l.inHand)}},
				})
			}
			_, conditions := health.Ready()
			if len(conditions) > 0 != (test.told != "") || test.told != "" && !strings.Contains(conditions[0].What, test.told) {
				t.Errorf("%v", conditions)
			}
		})
	}
}

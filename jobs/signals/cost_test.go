//go:build !race

package signals

import (
	"testing"

	"logoffworker/jobs"
)

// A plain job costs what its decoding does.
func TestPlainJobCostsNoMoreThanItsDecoding(t *testing.T) {
	body := []byte(`{"id":"case-1","sessions":["EMCAE92D1DD-0C68-49A6-BEBB-404D96D7A4BF"],"users":[{"email":"jane@corp.example"}]}`)
	header := map[string][]string{"Nats-Msg-Id": {"m"}, "Content-Type": {"application/json"}}
	decode := fewest(func() { _, _ = jobs.Decode(body, jobs.Rules{}) })
	for _, h := range []map[string][]string{nil, header} {
		if message := fewest(func() { Reader{}.Message(h, body) }); message > decode {
			t.Errorf("%v allocations, and %v for its decoding alone", message, decode)
		}
	}
	if a := (Reader{}).Message(header, body); a.Verdict != Job || a.Format != jobs.JSON || a.Job.ID != "case-1" || a.Signal != nil {
		t.Errorf("%+v", a)
	}
}

// fewest are the allocations of the best of some runs: pools give back what they please. Under the race detector
// they forget at random, so that nothing is measured there.
func fewest(do func()) float64 {
	least := testing.AllocsPerRun(100, do)
	for range 20 {
		least = min(least, testing.AllocsPerRun(100, do))
	}
	return least
}

package worker

import (
	"slices"
	"testing"
	"time"

	"logoffworker/jobs"
)

// A message that has its result by now waits for no key any more, whoever settled it.
func TestSettledMessageWaitsForNoKey(t *testing.T) {
	d := &delivery{key: "1", keys: &keyWait{issuer: "idp"}, stored: true}
	l := &lane{w: newTold().Worker, name: jobs.Urgent, away: map[string]away{"1": {"idp", time.Now()}}}
	if known := l.withKeys([]*delivery{d}); !slices.Equal(known, []*delivery{d}) || len(l.away) != 0 {
		t.Errorf("%d go on, %d wait", len(known), len(l.away))
	}
}

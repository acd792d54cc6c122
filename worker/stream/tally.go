package stream

import (
	"fmt"
	"time"

	"logoffworker/metrics"
)

// vanishedQuiet is how long jobs that vanished keep a worker from being ready.
const vanishedQuiet = 15 * time.Minute

// A tally compares the jobs that left their stream with the results: each that leaves has one. What left
// without was acknowledged or removed by somebody who is no worker.
//
// At a look the results are counted before the jobs. Those that had left at one look have their results in
// the next. It begins anew whenever nothing is in hand and nothing has moved between two looks.
type tally struct {
	begun  bool
	start  counts
	latest counts
}

// counts are what had been stored and had left at one look.
type counts struct{ results, left uint64 }

// tallyUp takes in a look, and tells operators of jobs that left without a result.
func (w *Watch) tallyUp(found look) {
	t := &w.tally
	now := counts{results: found.results.LastSeq, left: found.requests.LastSeq - found.requests.Msgs}
	before := t.latest
	t.latest = now
	if now.results < before.results || now.left < before.left {
		t.begun = false // a stream was made anew, or a server brought back what had left
		return
	}
	if left, stored := before.left-t.start.left, now.results-t.start.results; t.begun && left > stored {
		w.tellVanished(left - stored)
		t.begun = false
	}
	inHand := 0
	for _, info := range found.lanes {
		inHand += info.NumAckPending
	}
	if inHand == 0 && now == before {
		t.begun, t.start = true, now
	}
}

func (w *Watch) tellVanished(n uint64) {
	w.Streams.Health.Begin(metrics.Condition{
		Part: PartStreams, Kind: "vanished", Grave: true, Quiet: vanishedQuiet,
		What:     fmt.Sprintf("%d jobs left the stream %s without a result: somebody who is no worker acknowledged or removed them, and their sessions may be on", n, w.Streams.plan.requests.Name),
		ByItself: "nothing: what left the stream does not come back",
		ToDo:     "find out who else takes jobs from its consumers, and have the jobs published again",
	})
}

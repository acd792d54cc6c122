package stream

import (
	"fmt"
	"time"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

const (
	// stuckIdle is how long jobs may wait in the stream while none is in hand here, stuckBusy how long nothing
	// may move while some are, here or in other workers' hands: a request, and what follows it, takes its time.
	stuckIdle = suspectInterval - time.Second
	stuckBusy = 5 * time.Minute
	// stuck is the kind of condition in which a lane does not move.
	stuck = "stuck"
)

// A standstill is how a lane's consumer stood when it last moved.
type standstill struct {
	delivered, acked uint64
	inHand           int
	accepted         int64 // documents, of both lanes
	waits            bool  // something waits, or is in hand
	since            time.Time
}

// lookForStandstill finds lanes in which jobs wait, or are in hand, and nothing moves, for no reason that
// anybody tells of. It reports whether jobs wait that should be looked at again soon.
func (w *Watch) lookForStandstill(found look) (suspect bool) {
	explained := w.explained()
	for _, lane := range jobs.Lanes {
		info := found.lanes[lane]
		waits := info.NumPending > 0 || info.NumAckPending > 0
		now := standstill{info.Delivered.Consumer, info.AckFloor.Consumer, info.NumAckPending, w.Accepted(), waits, time.Time{}}
		before := w.still[lane]
		now.since = before.since
		if now != before || !waits || explained {
			now.since = time.Now()
		}
		w.still[lane] = now
		patience := stuckIdle
		if info.NumPending == 0 || w.Jobs() > 0 {
			patience = stuckBusy
		}
		suspect = suspect || info.NumPending > 0 && !explained
		w.Streams.Health.Set(time.Since(now.since) >= patience, metrics.Condition{
			Part: string(lane), Kind: stuck, Grave: true,
			What: fmt.Sprintf("%s jobs wait, and none was taken or settled since %s: %d are in the stream, %d in some worker's hands, %d sessions in this one's",
				lane, now.since.UTC().Format(time.RFC3339), info.NumPending, info.NumAckPending, w.Sessions(lane)),
			ByItself: "what somebody else holds is delivered again when its lease has run out, unless they keep it",
			ToDo:     "see who has the jobs; something other than a worker may hold them",
			Command:  "nats consumer info " + info.Stream + " " + info.Name,
		})
	}
	return suspect
}

// explained reports whether any other condition says why jobs wait.
func (w *Watch) explained() bool {
	_, conditions := w.Streams.Health.Ready()
	for _, c := range conditions {
		if c.Kind != stuck {
			return true
		}
	}
	return false
}

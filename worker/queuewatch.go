package worker

import (
	"context"
	"time"

	"logoffworker/jobs"
)

// queueInterval is how often the streams are looked at for the metrics.
const queueInterval = 15 * time.Second

// watchQueue keeps the gauges of what waits, and rescues jobs that are stranded, unless an operator
// owns the consumers. Because counts are not taken at one instant, only what two looks agree on counts.
func (w *Worker) watchQueue(ctx context.Context, p plan) {
	var stranded int
	var suspect castaway
	for {
		now, ok := w.lookAtQueue(ctx, p)
		if ok {
			w.Metrics.Stranded(min(stranded, now))
			stranded = now
			suspect = w.look(ctx, p, suspect, now)
		}
		if !pause(ctx, queueInterval) {
			return
		}
	}
}

// look looks for a stranded job where the counts say that there may be some, and rescues what was found
// at the look before too.
func (w *Worker) look(ctx context.Context, p plan, suspect castaway, stranded int) castaway {
	if stranded == 0 || w.Config.Provision != ProvisionCreate {
		return castaway{}
	}
	found := w.castaway(ctx, p)
	if found == suspect && found.sequence > 0 {
		w.rescue(ctx, p, found)
		return castaway{}
	}
	return found
}

func (w *Worker) lookAtQueue(ctx context.Context, p plan) (stranded int, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	known := 0
	for _, lane := range jobs.Lanes {
		consumer, err := w.js.Consumer(ctx, p.requests.Name, p.consumers[lane].Durable)
		if err != nil {
			return 0, false // the lane's own pull tells of it
		}
		info := consumer.CachedInfo()
		w.Metrics.Queue(lane, int(info.NumPending), info.NumAckPending, info.NumRedelivered)
		known += int(info.NumPending) + info.NumAckPending
	}
	stream, err := w.js.Stream(ctx, p.requests.Name)
	if err != nil {
		return 0, false
	}
	return max(0, int(stream.CachedInfo().State.Msgs)-known), true
}

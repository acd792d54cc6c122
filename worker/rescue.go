package worker

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
)

// A stranded job is in the stream, and its lane's consumer is past it: nobody will ever get it. It
// happens when somebody changes the consumers, and when a server that crashed brings back jobs whose
// removal had not reached its disk. The consumer is then set back to the job, so that it is delivered
// again, with whatever else is in the stream. Jobs that are settled are found to be.

// A castaway is the oldest job in the stream, if it seems to be stranded.
type castaway struct {
	lane     jobs.Lane
	sequence uint64
}

// castaway looks at the oldest job; zero when it is not stranded, or cannot be looked at.
func (w *Worker) castaway(ctx context.Context, p plan) (c castaway) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	stream, err := w.js.Stream(ctx, p.requests.Name)
	if err != nil || stream.CachedInfo().State.Msgs == 0 {
		return castaway{}
	}
	msg, err := stream.GetMsg(ctx, stream.CachedInfo().State.FirstSeq)
	if err != nil {
		return castaway{}
	}
	lane, _, _ := w.Config.Subjects.Origin(msg.Subject) // the lane is told of every subject that has one
	if lane == "" {
		return castaway{} // no subject of ours
	}
	consumer, err := w.js.Consumer(ctx, p.requests.Name, p.consumers[lane].Durable)
	if err != nil || !isPast(consumer.CachedInfo(), msg.Sequence) {
		return castaway{}
	}
	return castaway{lane, msg.Sequence}
}

// isPast reports whether a consumer will never deliver what lies at a place in the stream: it takes it
// for acknowledged, or knows of nothing that waits or is in hand.
func isPast(c *jetstream.ConsumerInfo, sequence uint64) bool {
	return c.AckFloor.Stream >= sequence || c.Delivered.Stream >= sequence && c.NumPending == 0 && c.NumAckPending == 0
}

// rescue has a lane's jobs delivered again, from a stranded one on.
func (w *Worker) rescue(ctx context.Context, p plan, c castaway) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	if _, err := w.js.ResetConsumerToSequence(ctx, p.requests.Name, p.consumers[c.lane].Durable, c.sequence); err != nil {
		w.Log.Error("jobs are stranded: they are in the stream, and their consumer is past them; delete and create it anew", "lane", c.lane, "sequence", c.sequence, "error", err)
		return
	}
	w.Log.Error("jobs were stranded: they are in the stream, and their consumer was past them; all that is in the stream is delivered again", "lane", c.lane, "sequence", c.sequence)
}

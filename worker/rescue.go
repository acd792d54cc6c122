package worker

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

// A stranded job is in the stream, and its lane's consumer is past it: nobody will ever get it. It
// happens when somebody changes the consumers, and when a server that crashed brings back jobs whose
// removal had not reached its disk. The consumer is then set back to the job, so that it is delivered
// again, with whatever else is in the stream. Jobs that are settled are found to be.

// A castaway is the oldest job in the stream, if it seems to be stranded.
type castaway struct {
	lane     jobs.Lane // empty where only the operator may look at jobs
	sequence uint64
}

// lookForStranded looks for a stranded job where the counts say that there may be some. One that was found
// at the look before too is told, and rescued unless the consumers are the operator's.
func (q *queueWatch) lookForStranded(ctx context.Context, found queueLook) (suspect bool) {
	state := found.streams[q.plan.requests.Name].State
	now := int(state.Msgs)
	for _, info := range found.lanes {
		now -= int(info.NumPending) + info.NumAckPending
	}
	now = max(0, now)
	least := min(q.stranded, now)
	q.Metrics.Stranded(least)
	q.stranded = now
	c := castaway{}
	if now > 0 {
		c = q.castaway(ctx, found)
	}
	switch {
	case c.sequence == 0:
		q.Health.End(PartStreams, stranded)
	case c == q.suspect:
		q.rescue(ctx, c, least)
		c = castaway{}
	}
	q.suspect = c
	return now > 0
}

// stranded is the kind of condition in which jobs are.
const stranded = "stranded"

// castaway looks at the oldest job; zero when it is not stranded, or cannot be looked at.
func (q *queueWatch) castaway(ctx context.Context, found queueLook) castaway {
	oldest := found.streams[q.plan.requests.Name].State.FirstSeq
	if q.Config.Provision != ProvisionCreate { // whose permissions need not include to read it
		for _, info := range found.lanes {
			if !isPast(info, oldest) {
				return castaway{}
			}
		}
		return castaway{sequence: oldest}
	}
	stream, err := q.js.Stream(ctx, q.plan.requests.Name)
	if err != nil {
		return castaway{}
	}
	msg, err := stream.GetMsg(ctx, oldest)
	if err != nil {
		return castaway{}
	}
	lane, _, _ := q.Config.Subjects.Origin(msg.Subject) // the lane is told of every subject that has one
	if lane == "" || !isPast(found.lanes[lane], oldest) {
		return castaway{}
	}
	return castaway{lane, oldest}
}

// isPast reports whether a consumer will never deliver what lies at a place in the stream: it takes it
// for acknowledged, or knows of nothing that waits or is in hand.
func isPast(c *jetstream.ConsumerInfo, sequence uint64) bool {
	return c.AckFloor.Stream >= sequence || c.Delivered.Stream >= sequence && c.NumPending == 0 && c.NumAckPending == 0
}

// rescue has a lane's jobs delivered again, from a stranded one on, or asks for that.
func (q *queueWatch) rescue(ctx context.Context, c castaway, n int) {
	name := q.plan.requests.Name
	told := metrics.Condition{
		Part: PartStreams, Kind: stranded, Grave: true,
		What: fmt.Sprintf("%d jobs are stranded: they are in the stream %s, from sequence %d on, and their consumer is past them", n, name, c.sequence),
		ToDo: fmt.Sprintf("delete the consumers (`nats consumer rm %s %s --force`, and the same of %s) and make them anew with `logoff-worker init`", name, jobs.Urgent, jobs.Bulk),
	}
	if q.Config.Provision == ProvisionCreate {
		if _, err := q.js.ResetConsumerToSequence(ctx, name, q.plan.consumers[c.lane].Durable, c.sequence); err != nil {
			told.What += "; they cannot be delivered again: " + err.Error()
		} else {
			told.What += "; all that is in the stream is delivered again"
			told.ToDo = ""
		}
	}
	q.Health.Begin(told)
}

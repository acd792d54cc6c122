package stream

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

// A stranded job is in the stream, and its lane's consumer is past it: nobody will ever get it. It happens
// when somebody changes the consumers, and when a server that crashed brings back jobs whose removal had not
// reached its disk. The consumer is then set back to the job, so that it is delivered again, with whatever
// else is in the stream. Jobs that are settled are found to be.
//
// A strandedJob is the oldest job in the stream, if it seems to be stranded.
type strandedJob struct {
	lane     jobs.Lane // empty where only the operator may look at jobs
	sequence uint64    // 0 if there is none
}

// stranded is the kind of condition in which jobs are.
const stranded = "stranded"

// lookForStranded looks for a stranded job where the counts say that there may be some. One that was found
// at the look before too is told, and delivered again unless the consumers are the operator's. It reports
// whether there should be another look soon.
func (w *Watch) lookForStranded(ctx context.Context, found look) (suspect bool) {
	now := int(found.requests.Msgs)
	for _, info := range found.lanes {
		now -= int(info.NumPending) + info.NumAckPending
	}
	now = max(0, now)
	least := min(w.unseen, now)
	w.Streams.Metrics.Stranded(least)
	w.unseen = now
	job := strandedJob{}
	if now > 0 {
		job = w.Streams.findStranded(ctx, found)
	}
	switch {
	case job.sequence == 0:
		w.Streams.Health.End(PartStreams, stranded)
	case job == w.stranded:
		w.Streams.deliverAgain(ctx, job, least)
		job = strandedJob{}
	}
	w.stranded = job
	return now > 0
}

// findStranded looks at the oldest job; zero when it is not stranded, or cannot be looked at.
func (s *Streams) findStranded(ctx context.Context, found look) strandedJob {
	oldest := found.requests.FirstSeq
	if s.Config.Provision != ProvisionCreate { // whose permissions need not include to read it
		for _, info := range found.lanes {
			if !isPast(info, oldest) {
				return strandedJob{}
			}
		}
		return strandedJob{sequence: oldest}
	}
	msg, err := s.plan.found[s.plan.requests.Name].GetMsg(ctx, oldest)
	if err != nil {
		return strandedJob{}
	}
	lane, _, _ := s.Config.Subjects.Origin(msg.Subject) // the lane is told of every subject that has one
	if lane == "" || !isPast(found.lanes[lane], oldest) {
		return strandedJob{}
	}
	return strandedJob{lane, oldest}
}

// isPast reports whether a consumer will never deliver what lies at a place in the stream: it takes it
// for acknowledged, or knows of nothing that waits or is in hand.
func isPast(c *jetstream.ConsumerInfo, sequence uint64) bool {
	return c.AckFloor.Stream >= sequence || c.Delivered.Stream >= sequence && c.NumPending == 0 && c.NumAckPending == 0
}

// deliverAgain has a lane's jobs delivered again, from a stranded one on, and tells operators, who have to do
// it where the consumers are theirs.
func (s *Streams) deliverAgain(ctx context.Context, job strandedJob, n int) {
	name := s.plan.requests.Name
	told := metrics.Condition{
		Part: PartStreams, Kind: stranded, Grave: true,
		What:     fmt.Sprintf("%d jobs are stranded: they are in the stream %s, from sequence %d on, and their consumer is past them", n, name, job.sequence),
		ByItself: "nothing: nobody gets these jobs",
		ToDo:     "have the consumers made anew",
		Command:  fmt.Sprintf("nats consumer rm %[1]s %[2]s --force; nats consumer rm %[1]s %[3]s --force; %[4]s", name, jobs.Urgent, jobs.Bulk, initCommand),
	}
	if s.Config.Provision == ProvisionCreate && s.plan.resets {
		if _, err := s.js.ResetConsumerToSequence(ctx, name, s.plan.consumers[job.lane].Durable, job.sequence); err != nil {
			told.What += "; they cannot be delivered again: " + err.Error()
		} else {
			told.ByItself = "all that is in the stream is delivered again, and what has a result is not worked twice"
			told.Grave, told.ToDo, told.Command = false, "", ""
		}
	}
	s.Health.Begin(told)
}

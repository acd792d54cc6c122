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
// A message on a subject of no lane is in the stream, too, when a source without a transform brings it, or when somebody
// has had NATS deliver a message of another stream to a subject of jobs: it keeps its own subject then (seen with
// nats-server 2.15). No consumer delivers it. It is told, and stands in nobody's way.

// A strandedJob is the oldest job of its lane, if it seems to be stranded, or a message of no lane.
type strandedJob struct {
	lane     jobs.Lane // empty where only the operator may look at jobs
	sequence uint64    // 0 if there is none
	subject  string    // of a message of no lane
}

// The kinds of conditions in which jobs are, and messages of no lane.
const (
	stranded   = "stranded"
	unroutable = "unroutable"
)

// unroutableToDo is what a person does about messages of no lane.
const unroutableToDo = "look at it: a source without a transform brings such messages, and an answer of NATS that somebody had sent to a subject of jobs is one; deploy/nats says how to remove them"

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
		job = w.findStranded(ctx, found)
	}
	health := w.Streams.Health
	if job.subject == "" {
		health.End(PartStreams, unroutable)
	}
	switch {
	case job.sequence == 0, job.subject != "":
		health.End(PartStreams, stranded)
		if job.sequence != 0 && job == w.stranded {
			health.Begin(w.Streams.unroutable(job, least))
			now = 0 // nothing is done about it, so that there is no hurry
		}
	case job == w.stranded:
		w.Streams.deliverAgain(ctx, job, least)
		job = strandedJob{}
	}
	w.stranded = job
	return now > 0
}

// findStranded looks at the oldest job of each lane, and at the oldest message; zero when none is stranded, or they cannot
// be looked at.
func (w *Watch) findStranded(ctx context.Context, found look) (job strandedJob) {
	s := w.Streams
	for _, lane := range jobs.Lanes {
		first, err := w.oldest(ctx, lane)
		switch {
		case err != nil && s.Config.Provision == ProvisionCreate:
			return strandedJob{}
		case err != nil: // the permissions need not include to read it
			return strandedByCounts(found)
		case first != nil && isPast(found.lanes[lane], first.Sequence) && (job.sequence == 0 || first.Sequence < job.sequence):
			job = strandedJob{lane: lane, sequence: first.Sequence}
		}
	}
	if job.sequence != 0 {
		return job
	}
	oldest := found.requests.FirstSeq
	msg, err := s.plan.found[s.plan.requests.Name].GetMsg(ctx, oldest)
	if err != nil {
		return strandedJob{}
	}
	if lane, _, _ := s.Config.Subjects.Origin(msg.Subject); lane != "" { // the lane is told of every subject that has one
		return strandedJob{}
	}
	return strandedJob{sequence: oldest, subject: msg.Subject}
}

// strandedByCounts takes the oldest message for stranded if every consumer is past it.
func strandedByCounts(found look) strandedJob {
	oldest := found.requests.FirstSeq
	for _, info := range found.lanes {
		if !isPast(info, oldest) {
			return strandedJob{}
		}
	}
	return strandedJob{sequence: oldest}
}

// unroutable tells of messages of no lane.
func (s *Streams) unroutable(first strandedJob, n int) metrics.Condition {
	name := s.plan.requests.Name
	return metrics.Condition{
		Part: PartStreams, Kind: unroutable, Harmless: true,
		What:     fmt.Sprintf("messages in the stream %s are on subjects of no lane (%d), the first at sequence %d on %q", name, n, first.sequence, first.subject),
		ByItself: "nothing: nobody works them, and they stay; all other jobs are worked",
		ToDo:     unroutableToDo,
		Command:  fmt.Sprintf("nats stream get %s %d", name, first.sequence),
	}
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

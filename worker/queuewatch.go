package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

const (
	// queueInterval is how often streams and consumers are looked at, and suspectInterval the same while
	// something is to be looked at once more before it is believed.
	queueInterval   = 10 * time.Second
	suspectInterval = 5 * time.Second
	// stuckIdle is how long jobs may wait in the stream while none is in hand here, stuckBusy how long nothing
	// may move while some are, here or in other workers' hands: a request, and what follows it, takes its time.
	stuckIdle = suspectInterval - time.Second
	stuckBusy = 5 * time.Minute
	// vanishedMemory is how long jobs that vanished keep a worker from being ready.
	vanishedMemory = 15 * time.Minute
)

// A queueWatch looks at what others can change in JetStream: it keeps the gauges of what waits, says what
// keeps jobs from being taken, and rescues those that are stranded, unless an operator owns the consumers.
// Because counts are not taken at one instant, only what two looks agree on counts.
type queueWatch struct {
	*Worker
	plan     plan
	stranded int
	suspect  castaway
	still    map[jobs.Lane]standstill
	ledger   ledger
}

// A queueLook is what one look finds.
type queueLook struct {
	streams map[string]*jetstream.StreamInfo
	lanes   map[jobs.Lane]*jetstream.ConsumerInfo
	missing bool
}

func (w *Worker) watchQueue(ctx context.Context, p plan) {
	q := &queueWatch{Worker: w, plan: p, still: map[jobs.Lane]standstill{}}
	for {
		again := q.look(ctx)
		if !pause(ctx, again) {
			return
		}
	}
}

// look looks once, and returns how long after it there should be another.
func (q *queueWatch) look(ctx context.Context) (again time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	found, err := q.find(ctx)
	if found.missing && q.Config.Provision == ProvisionCreate {
		_, _ = q.provision(ctx) // tells health and log itself
	}
	if err != nil {
		q.Metrics.QueueUnknown()
		return queueInterval
	}
	q.ledger.note(q, found)
	stuck := q.lookForStandstill(found)
	if stranded := q.lookForStranded(ctx, found); stranded || stuck {
		return suspectInterval
	}
	return queueInterval
}

// find asks for all streams and consumers, and says what is wrong with each by itself. The results are
// asked for first and the jobs last, see [ledger].
func (q *queueWatch) find(ctx context.Context) (found queueLook, err error) {
	found = queueLook{streams: map[string]*jetstream.StreamInfo{}, lanes: map[jobs.Lane]*jetstream.ConsumerInfo{}}
	for _, want := range []jetstream.StreamConfig{q.plan.results, q.plan.dead} {
		err = errors.Join(err, q.findStream(ctx, want, &found))
	}
	for _, lane := range jobs.Lanes {
		err = errors.Join(err, q.findConsumer(ctx, lane, &found))
	}
	return found, errors.Join(err, q.findStream(ctx, q.plan.requests, &found))
}

func (q *queueWatch) findStream(ctx context.Context, want jetstream.StreamConfig, found *queueLook) error {
	stream, err := q.js.Stream(ctx, want.Name)
	missing := errors.Is(err, jetstream.ErrStreamNotFound)
	found.missing = found.missing || missing
	q.Health.Set(missing, metrics.Condition{
		Part: PartStreams, Kind: "missing " + want.Name, Grave: true,
		What: fmt.Sprintf("the stream %s is missing: somebody deleted it, or NATS lost it", want.Name), ToDo: q.anew(),
	})
	if err != nil {
		return err
	}
	info := stream.CachedInfo()
	found.streams[want.Name] = info
	different := streamDifferences(info.Config, want)
	q.Health.Set(len(different) > 0, metrics.Condition{
		Part: PartStreams, Kind: "edited " + want.Name, Grave: true,
		What: fmt.Sprintf("the stream %s was changed: %s", want.Name, strings.Join(different, "; ")),
		ToDo: fmt.Sprintf("set it back: `nats stream edit %s`; what cannot be set back needs a new stream", want.Name),
	})
	q.Health.Set(full(info), metrics.Condition{
		Part: PartStreams, Kind: "full " + want.Name, Grave: true,
		What: fmt.Sprintf("the stream %s is full: it holds %d messages and %d bytes, of %s", want.Name, info.State.Msgs, info.State.Bytes, limits(info.Config)),
		ToDo: fmt.Sprintf("raise its limit: `nats stream edit %s --max-msgs=-1 --max-bytes=-1`", want.Name),
	})
	return nil
}

// full reports whether a stream has no room for another message like those that it holds.
func full(s *jetstream.StreamInfo) bool {
	state, limit := s.State, s.Config
	if limit.MaxMsgs > 0 && state.Msgs >= uint64(limit.MaxMsgs) {
		return true
	}
	return limit.MaxBytes > 0 && state.Msgs > 0 && state.Bytes+state.Bytes/state.Msgs > uint64(limit.MaxBytes)
}

func limits(c jetstream.StreamConfig) string {
	var words []string
	if c.MaxMsgs > 0 {
		words = append(words, fmt.Sprintf("at most %d messages", c.MaxMsgs))
	}
	if c.MaxBytes > 0 {
		words = append(words, fmt.Sprintf("at most %d bytes", c.MaxBytes))
	}
	return strings.Join(words, " and ")
}

func (q *queueWatch) findConsumer(ctx context.Context, lane jobs.Lane, found *queueLook) error {
	want := q.plan.consumers[lane]
	consumer, err := q.js.Consumer(ctx, q.plan.requests.Name, want.Durable)
	missing := errors.Is(err, jetstream.ErrConsumerNotFound)
	found.missing = found.missing || missing
	q.Health.Set(missing, q.consumerMissing(q.plan, lane))
	if errors.Is(err, jetstream.ErrNotPullConsumer) {
		q.consumerEdited(lane, []string{pushed})
	}
	if err != nil {
		return err // if nothing can be asked, the lane's own pull tells of it
	}
	info := consumer.CachedInfo()
	found.lanes[lane] = info
	q.consumerStands(lane, info)
	return nil
}

// consumerStands keeps the gauges of a lane's consumer, and says what is wrong with it.
func (q *queueWatch) consumerStands(lane jobs.Lane, info *jetstream.ConsumerInfo) {
	q.Metrics.Queue(lane, int(info.NumPending), info.NumAckPending, info.NumRedelivered)
	q.Health.Set(info.Paused, metrics.Condition{
		Part: string(lane), Kind: "paused", Until: time.Now().Add(info.PauseRemaining).Truncate(time.Second),
		What: "the consumer " + info.Name + " is paused: no job of this lane is taken", ToDo: "let it go on: `nats consumer resume " + info.Stream + " " + info.Name + "`",
	})
	different := consumerDifferences(info.Config, q.plan.consumers[lane])
	if info.Config.AckWait < q.plan.ackWait {
		different = append(different, fmt.Sprintf("ack wait is %v, and this worker counts on the %v of its start", info.Config.AckWait, q.plan.ackWait))
	}
	q.consumerEdited(lane, different)
}

func (q *queueWatch) consumerEdited(lane jobs.Lane, different []string) {
	name := q.plan.requests.Name + " " + q.plan.consumers[lane].Durable
	q.Health.Set(len(different) > 0, metrics.Condition{
		Part: string(lane), Kind: "edited", Grave: true,
		What: "the consumer " + q.plan.consumers[lane].Durable + " was changed: " + strings.Join(different, "; "),
		ToDo: "set it back: `nats consumer edit " + name + "`; or delete it: `nats consumer rm " + name + " --force`, and " + q.anew() + " (the jobs stay in the stream)",
	})
}

// consumerMissing is the condition of a lane without a consumer.
func (w *Worker) consumerMissing(p plan, lane jobs.Lane) metrics.Condition {
	return metrics.Condition{
		Part: string(lane), Kind: "missing", Grave: true, ToDo: w.anew(),
		What: fmt.Sprintf("the consumer %s of %s is missing: somebody deleted it, or NATS lost it", p.consumers[lane].Durable, p.requests.Name),
	}
}

// anew says how something that is missing is made again.
func (w *Worker) anew() string {
	if w.Config.Provision == ProvisionCreate {
		return "the worker makes it anew"
	}
	return "make it anew with `logoff-worker init`"
}

// A standstill is how a lane's consumer stood when it last moved.
type standstill struct {
	delivered, acked uint64
	inHand           int
	accepted         int64 // documents, of both lanes
	since            time.Time
}

// lookForStandstill finds lanes in which jobs wait, or are in hand, and nothing moves, for no reason that
// anybody tells of.
func (q *queueWatch) lookForStandstill(found queueLook) (suspect bool) {
	explained := q.explained()
	for _, lane := range jobs.Lanes {
		info := found.lanes[lane]
		now := standstill{info.Delivered.Consumer, info.AckFloor.Consumer, info.NumAckPending, q.accepted.Load(), time.Time{}}
		before := q.still[lane]
		now.since = before.since
		worked, parked := q.leases.lane(lane)
		waits := info.NumPending > 0 || info.NumAckPending > 0
		if now != before || before.since.IsZero() || !waits || explained {
			now.since = time.Now()
		}
		q.still[lane] = now
		patience := stuckIdle
		if info.NumPending == 0 || q.leases.count() > 0 {
			patience = stuckBusy
		}
		suspect = suspect || info.NumPending > 0 && !explained
		q.Health.Set(time.Since(now.since) >= patience, metrics.Condition{
			Part: string(lane), Kind: stuck, Grave: true,
			What: fmt.Sprintf("jobs wait, and none was taken or settled since %s: %d are in the stream, %d in some worker's hands, %d sessions in this one's",
				now.since.UTC().Format(time.RFC3339), info.NumPending, info.NumAckPending, worked+parked),
			ToDo: fmt.Sprintf("see who has the jobs: `nats consumer info %s %s`; something other than a worker may hold them", info.Stream, info.Name),
		})
	}
	return suspect
}

// stuck is the kind of condition in which a lane does not move.
const stuck = "stuck"

// explained reports whether any other condition says why jobs wait.
func (q *queueWatch) explained() bool {
	_, conditions := q.Health.Ready()
	for _, c := range conditions {
		if c.Kind != stuck {
			return true
		}
	}
	return false
}

// A ledger compares the jobs that left their stream with the results: each that leaves has one. What left
// without was acknowledged or removed by somebody who is no worker.
//
// At a look the results are counted before the jobs. Those that had left at one look have their results in
// the next. It begins anew whenever nothing is in hand and nothing has moved between two looks.
type ledger struct {
	begun  bool
	start  ledgerEntry
	latest ledgerEntry
}

type ledgerEntry struct{ results, left uint64 }

func (l *ledger) note(q *queueWatch, found queueLook) {
	requests := found.streams[q.plan.requests.Name].State
	now := ledgerEntry{results: found.streams[q.plan.results.Name].State.LastSeq, left: requests.LastSeq - requests.Msgs}
	before := l.latest
	l.latest = now
	if now.results < before.results || now.left < before.left {
		l.begun = false // a stream was made anew, or a server brought back what had left
		return
	}
	if left, told := before.left-l.start.left, now.results-l.start.results; l.begun && left > told {
		q.Health.Begin(metrics.Condition{
			Part: PartStreams, Kind: "vanished", Grave: true, Quiet: vanishedMemory,
			What: fmt.Sprintf("%d jobs left the stream %s without a result: somebody who is no worker acknowledged or removed them, and their sessions may be on", left-told, q.plan.requests.Name),
			ToDo: "find out who else takes jobs from its consumers, and have the jobs published again",
		})
		l.begun = false
	}
	inHand := 0
	for _, info := range found.lanes {
		inHand += info.NumAckPending
	}
	if inHand == 0 && now == before {
		l.begun, l.start = true, now
	}
}

package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

const (
	// lookInterval is how often streams and consumers are looked at, and suspectInterval the same while
	// something is to be looked at once more before it is believed.
	lookInterval    = 10 * time.Second
	suspectInterval = 5 * time.Second
	// lookTimeout is how long one look may take.
	lookTimeout = 10 * time.Second
)

// A Watch looks at what others can change in JetStream: it keeps the gauges of what waits, says what keeps
// jobs from being taken, and has those delivered again that are stranded, unless an operator owns the
// consumers. Because counts are not taken at one instant, only what two looks agree on counts.
type Watch struct {
	// Streams are those that are looked at; they have been found.
	Streams *Streams
	// Jobs is how many jobs the worker has in hand, Sessions how many sessions those of a lane have.
	Jobs     func() int
	Sessions func(jobs.Lane) int
	// Accepted is how many documents of the worker the Web Server has accepted so far.
	Accepted func() int64
	// Paused, unless nil, hears of each look whether a lane is paused.
	Paused func(lane jobs.Lane, paused bool)

	still    map[jobs.Lane]standstill
	tally    tally
	unseen   int // jobs that no consumer counted at the last look
	stranded strandedJob
	silent   time.Time // when the oldest job could not be looked up
	pauses   map[jobs.Lane]pausing
}

// Run looks until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	w.still = map[jobs.Lane]standstill{}
	var beside sync.WaitGroup
	defer beside.Wait()
	beside.Go(func() { w.Streams.keepAudit(ctx) })
	beside.Go(func() { w.keepPauses(ctx) })
	for {
		if again := w.look(ctx); !pause(ctx, again) {
			return
		}
	}
}

// look looks once, and returns how long after it there should be another.
func (w *Watch) look(ctx context.Context) (again time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	s := w.Streams
	found, err := s.look(ctx)
	if found.missing {
		w.tally.begun = false // what is made anew counts from the start
	}
	if found.missing && s.Config.Provision == ProvisionCreate {
		s.Provision(ctx)
	}
	if err != nil {
		s.Metrics.QueueUnknown()
		return lookInterval
	}
	w.tellOldest(ctx, found)
	s.Metrics.Stored(found.requests.LastSeq, found.requests.Msgs)
	w.tallyUp(found)
	stuck := w.lookForStandstill(found)
	if stranded := w.lookForStranded(ctx, found); stranded || stuck {
		return suspectInterval
	}
	return lookInterval
}

// A look is what is found at one look.
type look struct {
	requests, results jetstream.StreamState
	lanes             map[jobs.Lane]*jetstream.ConsumerInfo
	missing           bool // a stream or a consumer
}

// look asks for all streams and consumers, and says what is wrong with each by itself. The results are asked
// for first and the jobs last, see [tally].
func (s *Streams) look(ctx context.Context) (found look, err error) {
	found = look{lanes: map[jobs.Lane]*jetstream.ConsumerInfo{}}
	stream := func(name string, want jetstream.StreamConfig, how ...jetstream.StreamInfoOpt) (state jetstream.StreamState) {
		info, serr := s.lookAtStream(ctx, want, how...)
		found.missing = found.missing || errors.Is(serr, jetstream.ErrStreamNotFound)
		if serr != nil {
			err = errors.Join(err, serr)
			return state
		}
		s.Metrics.Stream(name, info.State.Bytes, info.Config.MaxBytes)
		return info.State
	}
	found.results = stream("results", s.plan.results)
	s.countDead(stream("dead", s.plan.dead, jetstream.WithSubjectFilter(s.Config.Subjects.DeadLetters())))
	for _, lane := range jobs.Lanes {
		info, cerr := s.lookAtConsumer(ctx, lane)
		found.missing = found.missing || errors.Is(cerr, jetstream.ErrConsumerNotFound)
		found.lanes[lane] = info
		err = errors.Join(err, cerr)
	}
	found.requests = stream("requests", s.plan.requests)
	if err == nil {
		s.lookAtAccount(ctx)
	}
	return found, err
}

func (s *Streams) lookAtStream(ctx context.Context, want jetstream.StreamConfig, how ...jetstream.StreamInfoOpt) (*jetstream.StreamInfo, error) {
	info, err := s.plan.found[want.Name].Info(ctx, how...)
	s.Health.Set(errors.Is(err, jetstream.ErrStreamNotFound), s.streamMissing(want))
	if want.Name == s.plan.results.Name {
		s.oneResult.Store(err == nil && takesOne(info.Config))
	}
	if err != nil {
		return nil, err
	}
	different := streamDifferences(info.Config, want)
	s.Health.Set(len(different) > 0, metrics.Condition{
		Part: PartStreams, Kind: "edited " + want.Name, Grave: true,
		What:     fmt.Sprintf("the stream %s was changed: %s", want.Name, strings.Join(different, "; ")),
		ByItself: "nothing: the worker goes on without what it rests on there, and a job or a result may be lost",
		ToDo:     "set it back; what cannot be set back needs a new stream",
		Command:  streamEdit(info.Config, want),
	})
	s.tellRoom(info)
	return info, nil
}

// countDead tells how many dead letters there are.
func (s *Streams) countDead(state jetstream.StreamState) {
	present := map[jobs.Status]uint64{}
	for _, status := range jobs.Statuses {
		present[status] = state.Subjects[s.Config.Subjects.Dead(status)]
	}
	s.Metrics.DeadLetters(present)
}

func (s *Streams) lookAtConsumer(ctx context.Context, lane jobs.Lane) (*jetstream.ConsumerInfo, error) {
	consumer, err := s.js.Consumer(ctx, s.plan.requests.Name, s.plan.consumers[lane].Durable)
	s.Health.Set(errors.Is(err, jetstream.ErrConsumerNotFound), s.consumerMissing(lane))
	if errors.Is(err, jetstream.ErrNotPullConsumer) {
		s.tellConsumer(lane, []string{pushed})
	}
	if err != nil {
		return nil, err // if nothing can be asked, the lane's own pull tells of it
	}
	info := consumer.CachedInfo()
	s.Metrics.Queue(lane, int(info.NumPending), info.NumAckPending, info.NumRedelivered)
	different := consumerDifferences(info.Config, s.plan.consumers[lane])
	if info.Config.AckWait < s.plan.ackWait {
		different = append(different, fmt.Sprintf("ack wait is %v, and this worker counts on the %v of its start", info.Config.AckWait, s.plan.ackWait))
	}
	s.tellConsumer(lane, different)
	return info, nil
}

// tellConsumer tells operators how a lane's consumer differs from what it should be, if it does.
func (s *Streams) tellConsumer(lane jobs.Lane, different []string) {
	s.Health.Set(len(different) > 0, metrics.Condition{
		Part: string(lane), Kind: "edited", Grave: true,
		What:     "the consumer " + s.plan.consumers[lane].Durable + " was changed: " + strings.Join(different, "; "),
		ByItself: "nothing: the worker takes what the consumer hands out as it is now, and other jobs stay in the stream",
		ToDo:     "have it made anew (the jobs stay in the stream)",
		Command:  s.consumerAnew(lane),
	})
}

// consumerAnew is the command after which a lane has a new consumer.
func (s *Streams) consumerAnew(lane jobs.Lane) string {
	command := "nats consumer rm " + s.plan.requests.Name + " " + s.plan.consumers[lane].Durable + " --force"
	if s.Config.Provision == ProvisionCreate {
		return command // the worker does the rest
	}
	return command + " && " + initCommand
}

// initCommand makes what is missing where the worker may not.
const initCommand = "logoff-worker init"

// consumerMissing is the condition of a lane without a consumer.
func (s *Streams) consumerMissing(lane jobs.Lane) metrics.Condition {
	return s.missing(metrics.Condition{
		Part: string(lane), Kind: missing, Grave: s.Config.Provision != ProvisionCreate,
		What: fmt.Sprintf("the consumer %s of %s is missing: somebody deleted it, or NATS lost it", s.plan.consumers[lane].Durable, s.plan.requests.Name),
	}, "the jobs stay in the stream")
}

// streamMissing is the condition of a stream that is not there.
func (s *Streams) streamMissing(want jetstream.StreamConfig) metrics.Condition {
	c := metrics.Condition{
		Part: PartStreams, Kind: "missing " + want.Name, Grave: true,
		What: fmt.Sprintf("the stream %s is missing: somebody deleted it, or NATS lost it", want.Name),
		ToDo: "find out who deleted it, because what was in it is gone",
	}
	if want.Name == s.plan.requests.Name {
		c.ToDo += ", and have the jobs published again that have no result"
	}
	return s.missing(c, "what was in it is gone")
}

// missing completes the condition of something that has to be made anew, and says what becomes of what was in it.
func (s *Streams) missing(c metrics.Condition, consequence string) metrics.Condition {
	if s.Config.Provision == ProvisionCreate {
		c.ByItself = "the worker makes it anew; " + consequence
		return c
	}
	c.ByItself = "nothing; " + consequence
	c.ToDo = strings.TrimPrefix(c.ToDo+"; make it anew", "; ")
	c.Command = initCommand
	return c
}

package stream

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

	still    map[jobs.Lane]standstill
	tally    tally
	unseen   int // jobs that no consumer counted at the last look
	stranded strandedJob
}

// Run looks until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	w.still = map[jobs.Lane]standstill{}
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
	if found.missing && s.Config.Provision == ProvisionCreate {
		s.Provision(ctx)
	}
	if err != nil {
		s.Metrics.QueueUnknown()
		return lookInterval
	}
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
	stream := func(want jetstream.StreamConfig) (state jetstream.StreamState) {
		info, serr := s.lookAtStream(ctx, want)
		found.missing = found.missing || errors.Is(serr, jetstream.ErrStreamNotFound)
		if serr != nil {
			err = errors.Join(err, serr)
			return state
		}
		return info.State
	}
	found.results = stream(s.plan.results)
	stream(s.plan.dead)
	for _, lane := range jobs.Lanes {
		info, cerr := s.lookAtConsumer(ctx, lane)
		found.missing = found.missing || errors.Is(cerr, jetstream.ErrConsumerNotFound)
		found.lanes[lane] = info
		err = errors.Join(err, cerr)
	}
	found.requests = stream(s.plan.requests)
	return found, err
}

func (s *Streams) lookAtStream(ctx context.Context, want jetstream.StreamConfig) (*jetstream.StreamInfo, error) {
	stream, err := s.js.Stream(ctx, want.Name)
	s.Health.Set(errors.Is(err, jetstream.ErrStreamNotFound), metrics.Condition{
		Part: PartStreams, Kind: "missing " + want.Name, Grave: true,
		What: fmt.Sprintf("the stream %s is missing: somebody deleted it, or NATS lost it", want.Name), ToDo: s.anew(),
	})
	if err != nil {
		return nil, err
	}
	info := stream.CachedInfo()
	different := streamDifferences(info.Config, want)
	s.Health.Set(len(different) > 0, metrics.Condition{
		Part: PartStreams, Kind: "edited " + want.Name, Grave: true,
		What: fmt.Sprintf("the stream %s was changed: %s", want.Name, strings.Join(different, "; ")),
		ToDo: fmt.Sprintf("set it back: `nats stream edit %s`; what cannot be set back needs a new stream", want.Name),
	})
	s.Health.Set(full(info), metrics.Condition{
		Part: PartStreams, Kind: "full " + want.Name, Grave: true,
		What: fmt.Sprintf("the stream %s is full: it holds %d messages and %d bytes, of %s", want.Name, info.State.Msgs, info.State.Bytes, limits(info.Config)),
		ToDo: fmt.Sprintf("raise its limit: `nats stream edit %s --max-msgs=-1 --max-bytes=-1`", want.Name),
	})
	return info, nil
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
	s.Health.Set(info.Paused, metrics.Condition{
		Part: string(lane), Kind: "paused", Until: time.Now().Add(info.PauseRemaining).Truncate(time.Second),
		What: "the consumer " + info.Name + " is paused: no job of this lane is taken", ToDo: "let it go on: `nats consumer resume " + info.Stream + " " + info.Name + "`",
	})
	different := consumerDifferences(info.Config, s.plan.consumers[lane])
	if info.Config.AckWait < s.plan.ackWait {
		different = append(different, fmt.Sprintf("ack wait is %v, and this worker counts on the %v of its start", info.Config.AckWait, s.plan.ackWait))
	}
	s.tellConsumer(lane, different)
	return info, nil
}

// tellConsumer tells operators how a lane's consumer differs from what it should be, if it does.
func (s *Streams) tellConsumer(lane jobs.Lane, different []string) {
	name := s.plan.requests.Name + " " + s.plan.consumers[lane].Durable
	s.Health.Set(len(different) > 0, metrics.Condition{
		Part: string(lane), Kind: "edited", Grave: true,
		What: "the consumer " + s.plan.consumers[lane].Durable + " was changed: " + strings.Join(different, "; "),
		ToDo: "set it back: `nats consumer edit " + name + "`; or delete it: `nats consumer rm " + name + " --force`, and " + s.anew() + " (the jobs stay in the stream)",
	})
}

// consumerMissing is the condition of a lane without a consumer.
func (s *Streams) consumerMissing(lane jobs.Lane) metrics.Condition {
	return metrics.Condition{
		Part: string(lane), Kind: missing, Grave: true, ToDo: s.anew(),
		What: fmt.Sprintf("the consumer %s of %s is missing: somebody deleted it, or NATS lost it", s.plan.consumers[lane].Durable, s.plan.requests.Name),
	}
}

// anew says how something that is missing is made again.
func (s *Streams) anew() string {
	if s.Config.Provision == ProvisionCreate {
		return "the worker makes it anew"
	}
	return "make it anew with `logoff-worker init`"
}

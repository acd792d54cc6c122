package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

// A lane is paused while its consumer is, or while the last act on it in the stream of acts says so. JetStream keeps
// the pause of a consumer, and it is lost when the consumer is made anew; so a worker holds by itself a lane that is
// meant to be paused, and pauses its consumer again where the consumers are not an operator's.

// pauseInterval is how often it is looked whether a lane is paused, while it is or while something of it is in hand.
const pauseInterval = time.Second

// A pausing is what is known of the pause of a lane.
type pausing struct {
	looked  time.Time
	until   time.Time // when the lane goes on; zero while it is not paused
	act     jobs.Act  // the last on the lane
	lost    bool      // at the last look, the act asked for a pause that the consumer did not have
	mended  time.Time // when that was last mended, or tried to be
	problem string    // of it
}

// LookForPauses looks once whether lanes are paused, and says so.
func (w *Watch) LookForPauses(ctx context.Context) {
	for _, lane := range jobs.Lanes {
		w.lookForPause(ctx, lane)
	}
}

// keepPauses looks until ctx ends: often at a lane that is paused, or of which something is in hand.
func (w *Watch) keepPauses(ctx context.Context) {
	for pause(ctx, pauseInterval) {
		for _, lane := range jobs.Lanes {
			p := w.pauses[lane]
			if !p.until.IsZero() || w.Sessions(lane) > 0 || time.Since(p.looked) >= lookInterval {
				w.lookForPause(ctx, lane)
			}
		}
	}
}

// lookForPause looks at the consumer of a lane, and at what was last asked for it. What cannot be looked at is as it was.
func (w *Watch) lookForPause(ctx context.Context, lane jobs.Lane) {
	s := w.Streams
	if w.pauses == nil {
		w.pauses = map[jobs.Lane]pausing{}
	}
	if !s.NATS.IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*apiTimeout)
	defer cancel()
	p := w.pauses[lane]
	defer func() { w.pauses[lane] = p }()
	p.looked = time.Now()
	consumer, err := s.js.Consumer(ctx, s.plan.requests.Name, s.plan.consumers[lane].Durable)
	info := &jetstream.ConsumerInfo{}
	switch {
	case err == nil:
		info = consumer.CachedInfo()
	case !errors.Is(err, jetstream.ErrConsumerNotFound):
		return
	}
	if act, err := s.lastAct(ctx, lane); err == nil {
		p.act = act
	}
	meant := pausedBy(p.act, time.Now())
	if p.until = meant; info.Paused {
		if until := time.Now().Add(info.PauseRemaining).Truncate(time.Second); until.After(meant) {
			p.until = until
		}
	}
	if w.Paused != nil {
		w.Paused(lane, !p.until.IsZero())
	}
	s.keepPaused(ctx, lane, &p, err == nil && !info.Paused && !meant.IsZero())
	s.tellPause(lane, p)
}

// pausedBy is until when an act has its lane paused; zero if it does not, or no longer does.
func pausedBy(act jobs.Act, now time.Time) time.Time {
	if act.Verb != jobs.ActPause || !act.Until.After(now) {
		return time.Time{}
	}
	return act.Until
}

// lastAct is the last act on a lane; one without a verb when there is none.
func (s *Streams) lastAct(ctx context.Context, lane jobs.Lane) (jobs.Act, error) {
	audit := s.Audit()
	if audit == nil {
		found, err := s.js.Stream(ctx, s.plan.audit.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return jobs.Act{}, nil
		}
		if err != nil {
			return jobs.Act{}, err
		}
		audit = found
	}
	msg, err := audit.GetLastMsgForSubject(ctx, s.Config.Subjects.LaneActs(lane))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return jobs.Act{}, nil
	}
	if err != nil {
		return jobs.Act{}, err
	}
	act, err := jobs.DecodeAct(msg.Data)
	s.Health.Set(err != nil, metrics.Condition{
		Part: string(lane), Kind: "act", Harmless: true,
		What: fmt.Sprintf("the last act on %s, at sequence %d of %s, cannot be read, and what was known before it counts: %s", msg.Subject, msg.Sequence, s.plan.audit.Name, errorText(err)),
		ToDo: "pause or resume the lane once more, with logoffctl",
	})
	return act, err
}

// keepPaused pauses a consumer again that has lost its pause, if two looks agree that it has: an act is stored just
// before it is done.
func (s *Streams) keepPaused(ctx context.Context, lane jobs.Lane, p *pausing, lost bool) {
	before := p.lost
	if p.lost = lost; !lost || !before || time.Since(p.mended) < lookInterval || s.Config.Provision != ProvisionCreate {
		return
	}
	p.mended = time.Now()
	stream, consumer := s.plan.requests.Name, s.plan.consumers[lane].Durable
	if _, err := s.js.PauseConsumer(ctx, stream, consumer, p.act.Until); err != nil {
		p.problem = err.Error()
		return
	}
	p.problem = ""
	s.Log.Warn("A consumer had lost its pause, which ended neither by an act nor in time, and is paused again.", "consumer", consumer, "who", p.act.Who, "until", p.act.Until)
	if now, err := s.lastAct(ctx, lane); err == nil && pausedBy(now, time.Now()).IsZero() { // somebody was faster
		_, _ = s.js.ResumeConsumer(ctx, stream, consumer)
	}
}

// tellPause tells whether and until when a lane is paused.
func (s *Streams) tellPause(lane jobs.Lane, p pausing) {
	s.Metrics.PausedUntil(lane, p.until)
	stream, name := s.plan.requests.Name, s.plan.consumers[lane].Durable
	told := metrics.Condition{
		Part: string(lane), Kind: "paused", Until: p.until,
		What:     fmt.Sprintf("the consumer %s is paused, so that no %s job is taken", name, lane),
		ByItself: "it goes on when the time is up; until then the jobs stay in the stream",
		ToDo:     "let it go on now, if that is wanted",
		Command:  "nats consumer resume " + stream + " " + name + " --force",
	}
	if meant := pausedBy(p.act, time.Now()); !meant.IsZero() {
		told.What = fmt.Sprintf("the lane %s is paused by %s (%.200q), so that no %s job is taken", lane, p.act.Who, p.act.Why, lane)
		told.Command = "logoffctl resume " + string(lane)
		if p.lost {
			told.What += "; its consumer is not, and the worker holds the lane by itself"
		}
		if p.lost && p.problem != "" {
			told.What += ", because the consumer cannot be paused: " + p.problem
		}
	}
	s.Health.Set(!p.until.IsZero(), told)
}

package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

// A MismatchError says that a stream or consumer exists and is not what the worker needs.
type MismatchError struct {
	What        string
	Differences []string
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("%s is not as the worker needs it: %s (change it, or delete it when it is empty and let `logoff-worker init` create it)",
		e.What, strings.Join(e.Differences, "; "))
}

// ProvisionStreams creates what is missing in JetStream and verifies the rest, or only verifies, as the
// settings say. A [*MismatchError] says what an operator has to change; other errors may pass.
func (c Config) ProvisionStreams(ctx context.Context, js jetstream.JetStream) error {
	_, err := c.MakeStreams(ctx, js)
	return err
}

// MakeStreams is [Config.ProvisionStreams], and names the streams.
func (c Config) MakeStreams(ctx context.Context, js jetstream.JetStream) (names []string, err error) {
	p, err := c.provision(ctx, js)
	if err != nil {
		return nil, err
	}
	for _, config := range append(p.streams(), p.audit) {
		names = append(names, config.Name)
	}
	_, err = c.provisionStream(ctx, js, p.audit, p.domain)
	return names, err
}

func (c Config) provision(ctx context.Context, js jetstream.JetStream) (plan, error) {
	account, err := c.account(ctx, js)
	if err != nil {
		return plan{}, err
	}
	p := c.plan(account, js.Conn().MaxPayload())
	if c.HoldsByHour && p.counts.Name == "" {
		return plan{}, mismatch("the NATS server", []string{"it has no counters, needed is nats-server 2.12 or later for LOGOFF_HOLD_ABOVE_HOUR"})
	}
	for _, config := range p.streams() {
		stream, err := c.provisionStream(ctx, js, config, p.domain)
		if err != nil {
			return plan{}, err
		}
		if p.found[config.Name] = stream; !p.resets && stream.CachedInfo().Config.Replicas > 1 { // beyond a leaf node
			return plan{}, tooOldForACluster()
		}
	}
	for _, lane := range jobs.Lanes {
		wait, err := c.provisionConsumer(ctx, js, p.requests.Name, p.consumers[lane])
		if err != nil {
			return plan{}, err
		}
		p.ackWait = min(p.ackWait, wait)
	}
	return p, c.findShadow(ctx, js, p)
}

func (c Config) provisionStream(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig, domain string) (jetstream.Stream, error) {
	stream, err := js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) && c.Provision == ProvisionCreate {
		if err := c.mayCreateIn(domain); err != nil {
			return nil, fmt.Errorf("stream %s: %w", want.Name, err)
		}
		stream, err = js.CreateStream(ctx, want)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another replica was first
			stream, err = js.Stream(ctx, want.Name)
		}
		err = explained(ctx, js, want, err)
	}
	if err == nil && c.Provision == ProvisionCreate && lacksApproved(stream.CachedInfo().Config.Subjects, want.Subjects) {
		config := stream.CachedInfo().Config
		config.Subjects = want.Subjects
		stream, err = js.UpdateStream(ctx, config)
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", want.Name, err)
	}
	have := stream.CachedInfo().Config
	return stream, mismatch("stream "+want.Name, append(streamDifferences(have, want), c.cannotApprove(have.Subjects, want.Subjects)...))
}

func (c Config) provisionConsumer(ctx context.Context, js jetstream.JetStream, stream string, want jetstream.ConsumerConfig) (time.Duration, error) {
	consumer, err := js.Consumer(ctx, stream, want.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) && c.Provision == ProvisionCreate {
		consumer, err = js.CreateConsumer(ctx, stream, want)
		if errors.Is(err, jetstream.ErrConsumerExists) {
			consumer, err = js.Consumer(ctx, stream, want.Durable)
		}
		err = explained(ctx, js, jetstream.StreamConfig{}, err)
	}
	if err == nil && c.Provision == ProvisionCreate && lacksApproved(consumer.CachedInfo().Config.FilterSubjects, want.FilterSubjects) {
		config := consumer.CachedInfo().Config
		config.FilterSubjects = want.FilterSubjects
		consumer, err = js.UpdateConsumer(ctx, stream, config)
	}
	switch {
	case errors.Is(err, jetstream.ErrNotPullConsumer):
		return 0, mismatch("consumer "+want.Durable+" of "+stream, []string{pushed})
	case errors.Is(err, jetstream.ErrConsumerMultipleFilterSubjectsNotSupported):
		return 0, mismatch("the NATS server", []string{"it knows no consumers with several filter subjects, needed is nats-server 2.10 or later"})
	case err != nil:
		return 0, fmt.Errorf("consumer %s of %s: %w", want.Durable, stream, err)
	}
	have := consumer.CachedInfo().Config
	return have.AckWait, mismatch("consumer "+want.Durable+" of "+stream, append(consumerDifferences(have, want), c.cannotApprove(filters(have), want.FilterSubjects)...))
}

// cannotApprove says that jobs are held, and could not be approved.
func (c Config) cannotApprove(have, want []string) []string {
	if !c.Holds || !lacksApproved(have, want) {
		return nil
	}
	return []string{fmt.Sprintf("it lacks the subjects of approved jobs, which LOGOFF_HOLD_ABOVE_JOB and LOGOFF_HOLD_ABOVE_HOUR need: its subjects are %v, needed are %v", sorted(have), sorted(want))}
}

func mismatch(what string, differences []string) error {
	if len(differences) == 0 {
		return nil
	}
	return &MismatchError{What: what, Differences: differences}
}

// MakesForOthers is what to do where a worker's NATS user may not make streams and consumers.
const MakesForOthers = "set LOGOFF_NATS_PROVISION=verify for the worker, and run this as a NATS user who may make them, such as admin of deploy/nats"

// MayMake reports whether NATS lets us make the streams and consumers, and otherwise the first subject on which we may
// not publish.
func (c Config) MayMake(who Identity) (refused string, may bool) {
	requests := c.Subjects.RequestStream()
	calls := []string{"STREAM.CREATE." + requests, "STREAM.CREATE." + c.Subjects.ResultStream(), "STREAM.CREATE." + c.Subjects.DeadStream()}
	for _, lane := range jobs.Lanes {
		calls = append(calls, "CONSUMER.CREATE."+requests+"."+string(lane))
	}
	for _, call := range calls {
		if subject := c.api() + "." + call; who.Known && !who.May(subject) {
			return subject, false
		}
	}
	return "", true
}

// Streams are the streams and consumers of one deployment, as one worker uses them. Fill the fields, then
// call Find before anything else.
type Streams struct {
	Config  Config
	NATS    *nats.Conn // with the options of [Connect], above all no reconnect buffer
	Metrics *metrics.Metrics
	Health  *metrics.Health
	Log     *slog.Logger
	// Wait is how long to wait after so many tries in a row that failed.
	Wait func(tries int) time.Duration

	js        jetstream.JetStream
	plan      plan
	audit     atomic.Pointer[jetstream.Stream]
	oneResult atomic.Bool // see TakesOneResult
}

// Find provisions until it succeeds or ctx ends. NATS being down, or an operator who has yet to create the
// streams, is waited for. A stream that is not what it must be is an error.
func (s *Streams) Find(ctx context.Context) (err error) {
	if s.js, err = s.Config.JetStream(s.NATS); err != nil {
		return err
	}
	for tries := 1; ; tries++ {
		s.plan, err = s.provision(ctx)
		var mismatch *MismatchError
		switch {
		case err == nil:
			s.found()
			return nil
		case errors.As(err, &mismatch):
			return err
		}
		if !pause(ctx, s.Wait(tries)) {
			return ctx.Err()
		}
	}
}

func (s *Streams) found() {
	for _, part := range []string{PartStreams, PartUrgent, PartBulk} {
		s.Health.Well(part)
	}
	p := s.plan
	s.oneResult.Store(takesOne(p.found[p.results.Name].CachedInfo().Config))
	s.Log.Info("The streams and consumers are ready.", "jobs", p.requests.Name, "results", p.results.Name, "dead_letters", p.dead.Name, "domain", p.domain)
	for _, lack := range s.Config.lacks(p) {
		s.Log.Warn("Note that " + lack + ".")
	}
}

// HasCounts reports, after Find, whether there is a stream of counters.
func (s *Streams) HasCounts() bool { return s.plan.counts.Name != "" }

// TakesOneResult reports, after Find, whether the stream of results took one message for a subject only when it was last
// looked at. A stream of an earlier release, or an operator's own, may take several.
func (s *Streams) TakesOneResult() bool { return s.oneResult.Load() }

// Provision tries once to find or make what is missing, and tells operators what stands in the way.
func (s *Streams) Provision(ctx context.Context) {
	_, _ = s.provision(ctx)
}

var errNotConnected = errors.New("there is no connection to NATS")

func (s *Streams) provision(ctx context.Context) (p plan, err error) {
	err = errNotConnected
	if s.NATS.IsConnected() {
		p, err = s.Config.provision(ctx, s.js)
	}
	switch {
	case err == nil:
		s.Health.End(PartStreams, unready)
	case ctx.Err() == nil:
		c := metrics.Condition{
			Part: PartStreams, Kind: unready, Implied: s.isToldElsewhere(err), Grave: mendedByPerson(err),
			What:     "streams and consumers are not ready, and the worker keeps trying: " + err.Error(),
			ByItself: "the worker takes jobs as soon as they are there",
		}
		if c.Grave {
			c.ToDo, c.Command = "do what is said here, or have the streams and consumers made", initCommand
		}
		s.Health.Begin(c)
	}
	return p, err
}

// isToldElsewhere reports whether another condition says why streams or consumers are not ready: that there is no
// connection, or, once they had been found, what of them is missing.
func (s *Streams) isToldElsewhere(err error) bool {
	missing := errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrConsumerNotFound)
	return errors.Is(err, errNotConnected) || missing && len(s.plan.found) > 0
}

// mendedByPerson reports whether waiting does not make streams or consumers right: somebody has to make them, or to
// allow it.
func mendedByPerson(err error) bool {
	var refused *jetstream.APIError
	return errors.As(err, &refused) && (refused.Code/100 == 4 || refusals[refused.ErrorCode] != "")
}

// unready is the kind of condition in which streams or consumers cannot be found, made or used.
const unready = "unready"

// AckWait is how long a job is leased to whoever pulled it, unless the lease is extended.
func (s *Streams) AckWait() time.Duration { return s.plan.ackWait }

// Result reads the result that is stored on a subject; [jetstream.ErrMsgNotFound] when none is.
func (s *Streams) Result(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	return s.plan.found[s.plan.results.Name].GetLastMsgForSubject(ctx, subject)
}

// NextResult reads the first result from a sequence on whose subject a pattern matches; [jetstream.ErrMsgNotFound] when
// there is none.
func (s *Streams) NextResult(ctx context.Context, pattern string, from uint64) (*jetstream.RawStreamMsg, error) {
	return s.plan.found[s.plan.results.Name].GetMsg(ctx, from, jetstream.WithGetMsgSubject(pattern))
}

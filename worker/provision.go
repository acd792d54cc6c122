package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

// Provision says who makes the streams and consumers.
type Provision string

const (
	// ProvisionCreate creates what is missing and verifies the rest.
	ProvisionCreate Provision = "create"
	// ProvisionVerify creates nothing: the operator owns streams and consumers.
	ProvisionVerify Provision = "verify"
)

const (
	ackWait       = 30 * time.Second
	maxAckPending = 20_000
	keepResults   = 30 * 24 * time.Hour
	keepDead      = 90 * 24 * time.Hour
	// deadWindow is how long a dead letter that is stored again, by the next delivery of its job,
	// is known as the same.
	deadWindow = time.Hour
	// maxJobBytes admits 10,000 sessions with their owners, and leaves room for the headers of a
	// dead letter under NATS' default limit of 1 MiB.
	maxJobBytes = 768 << 10
	// minAPILevel is that of nats-server 2.14, the oldest that is supported.
	minAPILevel = 4
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

// plan is what one deployment has in JetStream.
type plan struct {
	requests, results, dead jetstream.StreamConfig
	consumers               map[jobs.Lane]jetstream.ConsumerConfig
	ackWait                 time.Duration    // as the consumers have it
	settled                 jetstream.Stream // the results
	domain                  string           // of the JetStream that is used; empty for one without
}

// ProvisionStreams creates what is missing in JetStream and verifies the rest, or only verifies.
// A [*MismatchError] says what an operator has to change; other errors may pass.
func ProvisionStreams(ctx context.Context, js jetstream.JetStream, subjects jobs.Subjects, how Provision, replicas int) error {
	return Config{Subjects: subjects, Provision: how, Replicas: replicas}.ProvisionStreams(ctx, js)
}

// ProvisionStreams does the same with everything that is set.
func (c Config) ProvisionStreams(ctx context.Context, js jetstream.JetStream) error {
	_, err := c.provision(ctx, js)
	return err
}

func (c Config) provision(ctx context.Context, js jetstream.JetStream) (plan, error) {
	account, err := c.account(ctx, js)
	if err != nil {
		return plan{}, err
	}
	p := c.wanted(account, js.Conn().MaxPayload())
	for _, config := range []jetstream.StreamConfig{p.requests, p.results, p.dead} {
		stream, err := c.provisionStream(ctx, js, config, p.domain)
		if err != nil {
			return plan{}, err
		}
		if config.Name == p.results.Name {
			p.settled = stream
		}
	}
	for _, lane := range jobs.Lanes {
		wait, err := c.provisionConsumer(ctx, js, p.requests.Name, p.consumers[lane])
		if err != nil {
			return plan{}, err
		}
		p.ackWait = min(p.ackWait, wait)
	}
	return p, c.shadow(ctx, js, p)
}

// wanted is the contract in JetStream's words.
func (c Config) wanted(account *jetstream.AccountInfo, maxPayload int64) plan {
	subjects := c.Subjects
	p := plan{
		ackWait: ackWait,
		domain:  account.Domain,
		requests: jetstream.StreamConfig{
			Name:        subjects.RequestStream(),
			Description: "logoff jobs; a job leaves when its result is stored",
			Subjects:    subjects.Requests(),
			Retention:   jetstream.WorkQueuePolicy,
			Storage:     jetstream.FileStorage,
			Discard:     jetstream.DiscardNew,
			MaxMsgSize:  jobBytes(maxPayload),
			Duplicates:  2 * time.Minute,
			Replicas:    c.Replicas,
			MaxBytes:    c.MaxBytes,
			DenyDelete:  true,
			DenyPurge:   true,
		},
		results: jetstream.StreamConfig{
			Name:        subjects.ResultStream(),
			Description: "one result per logoff job",
			Subjects:    []string{subjects.Results()},
			Retention:   jetstream.LimitsPolicy,
			Storage:     jetstream.FileStorage,
			Discard:     jetstream.DiscardNew,
			MaxAge:      keepResults,
			Duplicates:  2 * time.Minute,
			Replicas:    c.Replicas,
			MaxBytes:    c.MaxBytes,
			AllowDirect: true,
		},
		dead: jetstream.StreamConfig{
			Name:        subjects.DeadStream(),
			Description: "logoff jobs that were not done, ready to be published again",
			Subjects:    []string{subjects.DeadLetters()},
			Retention:   jetstream.LimitsPolicy,
			Storage:     jetstream.FileStorage,
			Discard:     jetstream.DiscardNew,
			MaxAge:      keepDead,
			Duplicates:  deadWindow,
			Replicas:    c.Replicas,
			MaxBytes:    c.MaxBytes,
		},
		consumers: map[jobs.Lane]jetstream.ConsumerConfig{},
	}
	for _, lane := range jobs.Lanes {
		p.consumers[lane] = jetstream.ConsumerConfig{
			Durable:        string(lane),
			Description:    "workers of " + string(lane) + " logoff jobs",
			FilterSubjects: subjects.Lane(lane),
			DeliverPolicy:  jetstream.DeliverAllPolicy,
			AckPolicy:      jetstream.AckExplicitPolicy,
			AckWait:        ackWait,
			MaxDeliver:     -1,
			MaxAckPending:  mostInHand(c.limits(account).MaxAckPending),
			ReplayPolicy:   jetstream.ReplayInstantPolicy,
		}
	}
	return p
}

// jobBytes is the largest job that a stream may take where NATS takes messages of maxPayload bytes.
func jobBytes(maxPayload int64) int32 {
	return int32(min(maxJobBytes, maxPayload*3/4))
}

// mostInHand is how many jobs of a lane may be in hand where the account allows so many; 0 is no limit.
func mostInHand(allowed int) int {
	if allowed > 0 {
		return min(maxAckPending, allowed)
	}
	return maxAckPending
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
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", want.Name, err)
	}
	return stream, mismatch("stream "+want.Name, streamDifferences(stream.CachedInfo().Config, want))
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
	if errors.Is(err, jetstream.ErrNotPullConsumer) {
		return 0, mismatch("consumer "+want.Durable+" of "+stream, []string{pushed})
	}
	if err != nil {
		return 0, fmt.Errorf("consumer %s of %s: %w", want.Durable, stream, err)
	}
	have := consumer.CachedInfo().Config
	return have.AckWait, mismatch("consumer "+want.Durable+" of "+stream, consumerDifferences(have, want))
}

// pushed is the difference of a consumer that sends jobs to a subject of its own.
const pushed = "it is a push consumer, needed is a pull consumer"

func mismatch(what string, differences []string) error {
	if len(differences) == 0 {
		return nil
	}
	return &MismatchError{What: what, Differences: differences}
}

// streamDifferences compares what the guarantees rest on. Limits of size, copies and placement are
// the operator's own business.
func streamDifferences(have, want jetstream.StreamConfig) []string {
	var d differences
	d.equal("subjects", sorted(have.Subjects), sorted(want.Subjects))
	d.equal("retention", have.Retention, want.Retention)
	d.equal("storage", have.Storage, want.Storage)
	d.equal("discard", have.Discard, want.Discard)
	d.equal("deny delete", have.DenyDelete || !want.DenyDelete, true)
	d.equal("deny purge", have.DenyPurge || !want.DenyPurge, true)
	d.equal("no ack", have.NoAck, false)
	d.equal("sealed", have.Sealed, false)
	d.equal("subject transform", have.SubjectTransform != nil, false)
	d.equal("mirror or sources", have.Mirror != nil || len(have.Sources) > 0, false)
	if want.MaxAge == 0 {
		d.equal("max age", have.MaxAge, want.MaxAge)
	} else if have.MaxAge != 0 && have.MaxAge < want.MaxAge {
		d.add("max age", have.MaxAge, fmt.Sprintf("%v or more", want.MaxAge))
	}
	if have.MaxMsgsPerSubject > 0 {
		d.add("max messages per subject", have.MaxMsgsPerSubject, "no limit, which would drop a message for a later one")
	}
	if want.MaxMsgSize <= 0 && have.MaxMsgSize > 0 {
		d.add("max message size", have.MaxMsgSize, "no limit, because a result may need all that NATS takes")
	}
	if want.MaxMsgSize > 0 && (have.MaxMsgSize <= 0 || have.MaxMsgSize > want.MaxMsgSize) {
		d.add("max message size", have.MaxMsgSize, fmt.Sprintf("%d or less, so that a dead letter has room", want.MaxMsgSize))
	}
	return d
}

func consumerDifferences(have, want jetstream.ConsumerConfig) []string {
	var d differences
	filters := have.FilterSubjects
	if have.FilterSubject != "" {
		filters = []string{have.FilterSubject}
	}
	d.equal("filter subjects", sorted(filters), sorted(want.FilterSubjects))
	d.equal("ack policy", have.AckPolicy, want.AckPolicy)
	d.equal("deliver policy", have.DeliverPolicy, want.DeliverPolicy)
	d.equal("max deliver", have.MaxDeliver, want.MaxDeliver)
	d.equal("backoff", len(have.BackOff) > 0, false)
	d.equal("push subject", have.DeliverSubject, "")
	d.equal("headers only", have.HeadersOnly, false)
	d.equal("replay policy", have.ReplayPolicy, want.ReplayPolicy)
	d.equal("priority policy", have.PriorityPolicy, want.PriorityPolicy)
	if have.MaxWaiting > 0 && have.MaxWaiting < 16 {
		d.add("max waiting", have.MaxWaiting, "16 or more: every worker has a pull that waits")
	}
	if have.MaxRequestBatch > 0 {
		d.add("max request batch", have.MaxRequestBatch, "no limit: a pull asks for as many jobs as fill a document")
	}
	if have.MaxRequestExpires > 0 && have.MaxRequestExpires < idleWait {
		d.add("max request expires", have.MaxRequestExpires, fmt.Sprintf("%v or more", idleWait))
	}
	if have.MaxRequestMaxBytes > 0 && have.MaxRequestMaxBytes < pullBytes {
		d.add("max request bytes", have.MaxRequestMaxBytes, fmt.Sprintf("%d or more", pullBytes))
	}
	if have.AckWait < 3*time.Second {
		d.add("ack wait", have.AckWait, "3s or more")
	}
	if have.MaxAckPending > 0 && have.MaxAckPending < 1000 {
		d.add("max ack pending", have.MaxAckPending, "1000 or more")
	}
	return d
}

type differences []string

func (d *differences) add(field string, have, want any) {
	*d = append(*d, fmt.Sprintf("%s is %v, needed is %v", field, have, want))
}

func (d *differences) equal(field string, have, want any) {
	if fmt.Sprint(have) != fmt.Sprint(want) {
		d.add(field, have, want)
	}
}

func sorted(s []string) []string {
	return slices.Sorted(slices.Values(s))
}

var errNotConnected = errors.New("there is no connection to NATS")

// apiTimeout is how long JetStream may take to answer a question. A question that was lost, as happens
// while a leader is elected, is better asked again soon.
const apiTimeout = 2 * time.Second

// findStreams provisions until it succeeds or ctx ends. NATS being down, or an operator who has yet
// to create the streams, is waited for. A stream that is not what it must be is an error.
func (w *Worker) findStreams(ctx context.Context) (plan, error) {
	for tries := 1; ; tries++ {
		p, err := w.provision(ctx)
		var mismatch *MismatchError
		switch {
		case err == nil:
			for _, part := range []string{PartStreams, PartUrgent, PartBulk} {
				w.Health.Well(part)
			}
			w.Log.Info("streams and consumers are ready", "jobs", p.requests.Name, "results", p.results.Name, "dead_letters", p.dead.Name, "domain", p.domain)
			return p, nil
		case errors.As(err, &mismatch):
			return plan{}, err
		}
		if !pause(ctx, w.Config.Backoff.Ceiling(tries)) {
			return plan{}, ctx.Err()
		}
	}
}

// provision tries once, and tells operators what stands in the way.
func (w *Worker) provision(ctx context.Context) (p plan, err error) {
	err = errNotConnected
	if w.NATS.IsConnected() {
		p, err = w.Config.provision(ctx, w.js)
	}
	switch {
	case err == nil:
		w.Health.End(PartStreams, unready)
	case ctx.Err() == nil:
		w.Health.Begin(metrics.Condition{
			Part: PartStreams, Kind: unready, Implied: errors.Is(err, errNotConnected),
			What: "streams and consumers are not ready, and the worker keeps trying: " + err.Error(),
		})
	}
	return p, err
}

// unready is the kind of condition in which streams or consumers cannot be found, made or used.
const unready = "unready"

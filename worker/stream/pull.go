package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

// A Puller asks one consumer for jobs. It speaks the pull protocol itself, over one subscription
// that it keeps, for two reasons that the client library's ways of pulling do not serve: a pull
// must return as soon as anything is there, with all that is there; and at a stop, a job that is
// already on its way must arrive, to be handed back at once, instead of waiting for its lease to
// run out. A pull is therefore never cut short, because the server drops what it is about to send
// to somebody who has just left: a pull ends when the server says so.
type Puller struct {
	nc    *nats.Conn
	api   string // subject of pull requests
	sub   *nats.Subscription
	inbox string
	asked int // number of the latest request
	bytes int // most bytes of one pull
}

const (
	// PullWait is how long a pull waits at most for the first job; consumers have to admit it.
	PullWait = time.Second
	// patience is how much longer than asked the server may take to answer a pull.
	patience = time.Second
	// drainWait bounds the wait for jobs on their way when a subscription ends, silentWait the same where the
	// server is probably silent.
	drainWait  = 2 * time.Second
	silentWait = 250 * time.Millisecond
	// pullBytes bounds what one pull brings; it admits every job that the stream takes.
	pullBytes = 1 << 20
)

var (
	errSilent  = errors.New("a pull got no answer: the NATS server, or the way to it, is silent")
	errMissing = errors.New("no answer from the consumer: it, its stream or JetStream itself is missing")
	errTooBig  = errors.New("the next job is larger than a pull may bring")
)

// Puller returns a puller of a lane's consumer.
func (s *Streams) Puller(lane jobs.Lane) *Puller {
	return newPuller(s.NATS, s.Config.api(), s.plan.requests.Name, s.plan.consumers[lane].Durable)
}

func newPuller(nc *nats.Conn, api, stream, consumer string) *Puller {
	return &Puller{
		nc:    nc,
		api:   api + ".CONSUMER.MSG.NEXT." + stream + "." + consumer,
		bytes: pullBytes,
	}
}

// Pull brings up to n jobs: those that are there now, or, when none is, what comes first within
// wait. A wait of 0 means not to wait. Nothing having come is no error. Jobs that came before an
// error are returned beside it.
func (p *Puller) Pull(n int, wait time.Duration) ([]*nats.Msg, error) {
	if err := p.listen(); err != nil {
		return nil, err
	}
	reply, err := p.ask(n, wait)
	if err != nil {
		return nil, err
	}
	msgs, err := p.collect(n, wait, reply)
	switch {
	case errors.Is(err, errTooBig) && len(msgs) > 0:
		return msgs, nil
	case errors.Is(err, errTooBig):
		p.bytes *= 2
		return p.Pull(n, wait)
	case errors.Is(err, errSilent):
		msgs = append(msgs, p.close(silentWait)...)
	}
	return msgs, err
}

// listen subscribes once; the subscription outlives reconnects.
func (p *Puller) listen() error {
	if p.sub.IsValid() { // none is not
		return nil
	}
	p.inbox = p.nc.NewInbox()
	sub, err := p.nc.SubscribeSync(p.inbox + ".*")
	if err != nil {
		return fmt.Errorf("subscribe for jobs: %w", err)
	}
	// What one pull brings is bounded, so the library's own limits would only lose jobs.
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return fmt.Errorf("subscribe for jobs: %w", err)
	}
	p.sub = sub
	return nil
}

// pullRequest is JetStream's request for a pull; durations are in nanoseconds. No-wait with an
// expiry makes the server answer with what it has, or with the first that comes.
type pullRequest struct {
	Batch    int           `json:"batch"`
	MaxBytes int           `json:"max_bytes,omitempty"`
	NoWait   bool          `json:"no_wait"`
	Expires  time.Duration `json:"expires,omitempty"`
}

func (p *Puller) ask(n int, wait time.Duration) (reply string, err error) {
	data, err := json.Marshal(pullRequest{Batch: n, MaxBytes: p.bytes, NoWait: true, Expires: wait})
	if err != nil {
		return "", err
	}
	p.asked++
	reply = p.inbox + "." + strconv.Itoa(p.asked)
	if err := p.nc.PublishRequest(p.api, reply, data); err != nil {
		return "", fmt.Errorf("ask for jobs: %w", err)
	}
	return reply, nil
}

// collect takes what arrives until the server says that the request is done.
func (p *Puller) collect(n int, wait time.Duration, reply string) (msgs []*nats.Msg, err error) {
	for len(msgs) < n {
		msg, err := p.sub.NextMsg(wait + patience)
		switch {
		case errors.Is(err, nats.ErrTimeout):
			return msgs, errSilent
		case errors.Is(err, nats.ErrNoResponders):
			return msgs, errMissing
		case err != nil:
			return msgs, err
		case isStatus(msg):
			if msg.Subject != reply {
				continue // the end of an earlier request
			}
			return msgs, statusOf(msg)
		default:
			msgs = append(msgs, msg)
		}
	}
	return msgs, nil
}

// Drain ends the pulling and returns the jobs that were on their way: all that the server sent before it
// heard of the end.
func (p *Puller) Drain() []*nats.Msg { return p.close(drainWait) }

// Renew does the same after a pull that failed, with a shorter wait; the next pull begins anew.
func (p *Puller) Renew() []*nats.Msg { return p.close(silentWait) }

// close ends the subscription and returns the jobs that were on their way, as far as they come in time. The
// server forgets what was asked for, so that no job is sent to a pull that nobody waits for.
func (p *Puller) close(wait time.Duration) (late []*nats.Msg) {
	sub := p.sub
	p.sub = nil
	if err := sub.Drain(); err != nil { // there is none, or none any more
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	for {
		msg, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return late
		}
		if !isStatus(msg) {
			late = append(late, msg)
		}
	}
}

// isStatus tells the server's own words from a job: only a job can be acknowledged.
func isStatus(msg *nats.Msg) bool {
	return !strings.HasPrefix(msg.Reply, "$JS.ACK.")
}

// statusOf reads the status that ends a pull: an error is a reason to look into.
func statusOf(msg *nats.Msg) error {
	code, description := msg.Header.Get("Status"), msg.Header.Get("Description")
	switch {
	case code == "404", code == "408": // no jobs; time is up, or others ask for more than there is
		return nil
	case code == "409" && strings.EqualFold(description, "Batch Completed"): // all that a pull may bring in bytes is here
		return nil
	case code == "409" && strings.EqualFold(description, "Message Size Exceeds MaxBytes"):
		return errTooBig
	}
	return fmt.Errorf("the consumer ended the pull: %s %s", code, description)
}

// PullFailed tells operators why a lane's pull failed.
func (s *Streams) PullFailed(ctx context.Context, lane jobs.Lane, err error) {
	if !s.NATS.IsConnected() {
		return // which is told already
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	if _, gone := s.js.Consumer(ctx, s.plan.requests.Name, s.plan.consumers[lane].Durable); errors.Is(gone, jetstream.ErrConsumerNotFound) {
		s.Health.Begin(s.consumerMissing(lane))
		return
	}
	s.Health.Begin(metrics.Condition{
		Part: string(lane), Kind: noJobs,
		What:     "no " + string(lane) + " jobs can be taken: " + err.Error(),
		ByItself: "the worker keeps trying, and the jobs stay in the stream",
		ToDo:     "if it lasts, look at the NATS servers, and whether the consumer has a leader",
		Command:  "nats consumer info " + s.plan.requests.Name + " " + s.plan.consumers[lane].Durable,
	})
}

// PullsAgain tells operators that a lane's pulls succeed again.
func (s *Streams) PullsAgain(lane jobs.Lane) {
	s.Health.End(string(lane), noJobs)
	s.Health.End(string(lane), missing)
	s.Health.End(PartStreams, unready)
}

// noJobs is the kind of condition in which a lane's pulls fail, missing that in which its consumer is.
const (
	noJobs  = "no_jobs"
	missing = "missing"
)

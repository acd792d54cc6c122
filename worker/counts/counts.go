// Package counts counts what all workers of a deployment do within an hour, in a counter stream of JetStream.
//
// A counter is one subject of the stream. It is only ever increased, and each message on it holds the total so far.
// [Counts.Add] adds, and says how much has been added within the last hour, what it added included. [Counts.Within]
// only asks.
//
// It guarantees that
//   - the server gives every addition its place in one order, and Add's answer holds all additions before it that lie
//     within the hour, whichever worker made them: of several who add at once, each learns another sum. So if only
//     those do a thing whose Add answers with at most a limit, it is done no more often than the limit says;
//   - what is an hour is measured by the times at which the server stored the additions. The clock of the worker has no
//     part in it;
//   - what was added stays added, whether its worker lives to use it or not, and however often it starts again.
//
// An addition whose answer is lost, or comes too late ([ErrLate]), counts although nobody may use it: the sums are
// rather too high than too low. They are too low only where the stream loses what it had acknowledged, drops it before
// its age, or the clocks of the servers of a cluster differ by more than a minute.
//
// What Within answers may be out of date when it is read, and decides nothing: it is for waiting until there is room,
// and for showing.
//
// It knows subjects and numbers, and not what is counted. Counters need nats-server 2.12 or later.
package counts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
)

const (
	// window is how long an addition counts. What is done with it is done up to [Patience] after it was stored, and
	// reaches the other side up to a time-out later; the servers' clocks may differ by the rest.
	window = time.Hour + 2*time.Minute
	// Patience is how long an addition may take until it is too late to use it.
	Patience = 5 * time.Second
	// behind is how long to wait for a copy of the stream that has not got the latest message yet.
	behind = 20 * time.Millisecond
)

// ErrLate is the error of an addition whose answer took longer than [Patience]: it counts, and must not be used.
var ErrLate = errors.New("the answer came too late to be used")

// Counts are the counters of one deployment. Its methods may be called concurrently.
type Counts struct {
	js       jetstream.JetStream
	subjects jobs.Subjects
	direct   string // where messages of the stream are asked for

	mu     sync.Mutex
	server time.Time // what the server's clock showed, as when an addition of ours was stored; zero until that is known
	known  time.Time // when that was known here
}

// New returns the counters of the deployment with these subjects. It asks nothing.
func New(js jetstream.JetStream, subjects jobs.Subjects) *Counts {
	api := strings.TrimSuffix(cmp.Or(js.Options().APIPrefix, jetstream.DefaultAPIPrefix), ".")
	return &Counts{js: js, subjects: subjects, direct: api + ".DIRECT.GET." + subjects.CountStream()}
}

// Add adds n, which is 1 or more, and returns the sum of the last hour, n included. After an error it is not known
// whether n was added.
func (c *Counts) Add(ctx context.Context, what string, n int64) (within int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	begun := time.Now()
	if within, err = c.add(ctx, c.subjects.Count(what), n); err == nil && time.Since(begun) > Patience {
		err = ErrLate
	}
	if err != nil {
		return 0, fmt.Errorf("count %s: %w", what, err)
	}
	return within, nil
}

func (c *Counts) add(ctx context.Context, subject string, n int64) (within int64, err error) {
	if n < 1 {
		return 0, fmt.Errorf("%d cannot be added: a counter only grows", n)
	}
	ack, err := c.js.PublishMsg(ctx, &nats.Msg{Subject: subject, Header: nats.Header{incrHeader: {strconv.FormatInt(n, 10)}}})
	switch {
	case err != nil:
		return 0, err
	case ack.Stream != c.subjects.CountStream():
		return 0, fmt.Errorf("the stream %s has taken it, and not %s", ack.Stream, c.subjects.CountStream())
	}
	own, err := c.await(ctx, request{Sequence: ack.Sequence})
	if err != nil {
		return 0, err
	}
	c.learn(own.at)
	first, err := c.await(ctx, request{Next: subject, From: from(own.at)})
	if err != nil {
		return 0, err
	}
	if within = own.total - first.before(); within < n || first.sequence > own.sequence {
		return 0, errors.New("the stream's messages do not belong together: something else than workers has changed it")
	}
	return within, nil
}

// Within returns what has been added within the last hour, as far as is known now.
func (c *Counts) Within(ctx context.Context, what string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	within, err := c.within(ctx, c.subjects.Count(what))
	if err != nil {
		return 0, fmt.Errorf("ask what was counted of %s: %w", what, err)
	}
	return within, nil
}

func (c *Counts) within(ctx context.Context, subject string) (int64, error) {
	last, err := c.get(ctx, request{Last: subject})
	if errors.Is(err, errNone) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	now, err := c.now(ctx, last.at)
	if err != nil {
		return 0, err
	}
	first, err := c.get(ctx, request{Next: subject, From: from(now)})
	if errors.Is(err, errNone) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return max(last.total, first.total) - first.before(), nil
}

// from is since when additions count for somebody who adds at a time.
func from(at time.Time) *time.Time {
	begin := at.Add(-window)
	return &begin
}

// learn keeps what the server's clock shows.
func (c *Counts) learn(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.server, c.known = at, time.Now()
}

// now is what the server's clock shows now, and at least what it has shown.
func (c *Counts) now(ctx context.Context, shown time.Time) (time.Time, error) {
	now, known := c.clock()
	if !known {
		stream, err := c.js.Stream(ctx, c.subjects.CountStream())
		if err != nil {
			return now, err
		}
		now = stream.CachedInfo().TimeStamp
		c.learn(now)
	}
	if now.Before(shown) {
		return shown, nil
	}
	return now, nil
}

// clock is what the server's clock shows, where that has been learnt.
func (c *Counts) clock() (now time.Time, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.server.Add(time.Since(c.known)), !c.server.IsZero()
}

// await asks for a message that is there, at a copy of the stream that may have it a little later.
func (c *Counts) await(ctx context.Context, r request) (addition, error) {
	for {
		a, err := c.get(ctx, r)
		if !errors.Is(err, errNone) {
			return a, err
		}
		select {
		case <-ctx.Done():
			return a, fmt.Errorf("%w: %w", err, ctx.Err())
		case <-time.After(behind):
		}
	}
}

// Package canary proves again and again that revocations happen: every few minutes a worker signs on once more, as
// `logoff-worker check --prove` does, and publishes an urgent job that names that session and no other. The job goes the
// way of every job: into the stream, to whichever worker is free, to the Web Server, and its result into the stream of
// results. When the result says that the session is off, its token is tried, which has to be refused.
//
// The workers of a deployment do it together: who sees that another's canary has just come back takes that for its own.
// All that is known of canaries is their results, whose job id is [JobID].
//
// It needs one right more than a worker has: to publish on the subject of urgent jobs of the publisher [Publisher].
package canary

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/worker/gate"
	"logoffworker/worker/webserver"
)

const (
	// Part is what a canary that does not come back is told of.
	Part = "canary"
	// Publisher is who publishes canaries, and JobID the id of their jobs.
	Publisher = "canary"
	JobID     = "canary"
	// resultWait is how long a result may take, and resultLook how often it is looked for.
	resultWait = 2 * time.Minute
	resultLook = 250 * time.Millisecond
	// callWait bounds a question.
	callWait = 30 * time.Second
)

// refusalWaits are those between the looks whether the token is refused: a logoff may show late.
var refusalWaits = []time.Duration{time.Second, 2 * time.Second, 3 * time.Second}

// A Canary sets out every so often, until the worker stops. Fill the fields.
type Canary struct {
	Every    time.Duration
	JS       jetstream.JetStream
	Subjects jobs.Subjects
	// SignOn makes a client that has yet to log in.
	SignOn  func() (*webserver.Client, error)
	Metrics *metrics.Canary
	Health  *metrics.Health
	Log     *slog.Logger

	waits string // how the key of the result of a job begins that has none yet; empty where there is none
}

// Run sets out for the first time after some interval, so that workers which start together do not together, and then
// at each, until ctx ends.
func (c *Canary) Run(ctx context.Context, first time.Duration) {
	for wait := first; gate.Pause(ctx, wait); wait = c.Every {
		c.once(ctx)
	}
}

// once has a canary set out, unless another's has just come back, and tells what became of it.
func (c *Canary) once(ctx context.Context) {
	if latest, found := c.latest(ctx); found && latest.Status.Success() && time.Since(latest.CompletedAt) < c.Every*9/10 {
		c.cameBack(latest)
		return
	}
	result, err := c.fly(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		c.lost(err)
	default:
		c.cameBack(result)
	}
}

func (c *Canary) cameBack(r jobs.Result) {
	c.Metrics.CameBack(time.Duration(r.TimeToLogoffMS)*time.Millisecond, r.CompletedAt)
	c.Health.Well(Part)
}

// A proofError says that a session which is told as ended has not ended.
type proofError struct{ words string }

func (e *proofError) Error() string { return e.words }

// lost tells of a canary that did not come back. That a session goes on which was told as ended is no remark: other
// revocations do not happen either. All else has other conditions where it matters.
func (c *Canary) lost(err error) {
	var proof *proofError
	told := metrics.Condition{
		Part: Part, Kind: "lost", Harmless: true, What: "the canary did not come back: " + err.Error(),
		ToDo: "if nothing else is wrong, see what it sees", Command: "logoff-worker check --prove",
	}
	if errors.As(err, &proof) {
		told.Kind, told.Harmless, told.Grave = "proof", false, true
		told.What = "revocations do not happen although the Web Server accepts them: " + err.Error()
		told.ByItself = "jobs are worked all the same, and the canary sets out again"
	}
	c.Health.Only(Part, told.Kind)
	c.Health.Begin(told)
}

// fly signs on, has the session ended by a job, and returns the job's result once its token is refused.
func (c *Canary) fly(ctx context.Context) (r jobs.Result, err error) {
	if c.waits != "" {
		if _, found := c.result(ctx, c.waits); !found {
			return r, errors.New("the job of the canary before it has no result yet")
		}
		c.waits = ""
	}
	client, err := c.SignOn()
	if err != nil {
		return r, err
	}
	defer leave(ctx, client)
	id, err := signOn(ctx, client)
	if err != nil {
		return r, err
	}
	key, err := c.publish(ctx, id, client.Self())
	if err != nil {
		return r, err
	}
	c.waits = key
	r, err = c.await(ctx, key)
	if err != nil {
		return r, err
	}
	c.waits = ""
	if !r.Status.Success() {
		return r, fmt.Errorf("its job is %s: %s", r.Status, r.Shortfall())
	}
	return r, refused(ctx, client)
}

// signOn logs in, and returns the ID of the session that this makes.
func signOn(ctx context.Context, client *webserver.Client) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		return "", fmt.Errorf("it cannot sign on: %w", err)
	}
	list, err := client.Sessions(ctx, client.Self())
	if err != nil {
		return "", fmt.Errorf("its session is not found: %w", err)
	}
	for _, row := range list.Sessions {
		if row.Own {
			return row.ID, nil
		}
	}
	return "", errors.New("its session is not found: the Web Server marks none as its own (isCurrentSession)")
}

// publish stores the job, and returns how the key of its result begins.
func (c *Canary) publish(ctx context.Context, session string, user int64) (string, error) {
	job := jobs.Job{ID: JobID, Sessions: []jobs.Session{{ID: session, UserID: user}}, Reason: "canary: a session of the worker's own account"}
	data, err := job.Encode()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	subject := c.Subjects.Request(jobs.Urgent, Publisher)
	stored, err := c.JS.Publish(ctx, subject, data)
	if err != nil {
		return "", fmt.Errorf("its job cannot be stored on %s, for which the worker's NATS user needs the right: %w", subject, err)
	}
	return strconv.FormatUint(stored.Sequence, 10) + "-", nil
}

// await waits for the result of a job.
func (c *Canary) await(ctx context.Context, key string) (jobs.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, resultWait)
	defer cancel()
	for {
		if r, found := c.result(ctx, key); found {
			return r, nil
		}
		if !gate.Pause(ctx, resultLook) {
			return jobs.Result{}, fmt.Errorf("its job has no result after %v", resultWait)
		}
	}
}

// result is that of a job of ours, as long as no later canary has one.
func (c *Canary) result(ctx context.Context, key string) (jobs.Result, bool) {
	msg, err := c.lastResult(ctx)
	if err != nil || !strings.HasPrefix(msg.Subject[strings.LastIndexByte(msg.Subject, '.')+1:], key) {
		return jobs.Result{}, false
	}
	r, err := jobs.DecodeResult(msg.Data)
	return r, err == nil
}

// latest is the latest result of a canary.
func (c *Canary) latest(ctx context.Context) (r jobs.Result, found bool) {
	msg, err := c.lastResult(ctx)
	if err != nil {
		return r, false
	}
	r, err = jobs.DecodeResult(msg.Data)
	return r, err == nil && r.Publisher == Publisher
}

func (c *Canary) lastResult(ctx context.Context) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	stream, err := c.JS.Stream(ctx, c.Subjects.ResultStream())
	if err != nil {
		return nil, err
	}
	return stream.GetLastMsgForSubject(ctx, c.Subjects.Result(JobID, "*"))
}

// refused is nil when the token of the session is refused.
func refused(ctx context.Context, client *webserver.Client) error {
	var err error
	for i := 0; ; i++ {
		err = client.Ping(ctx)
		var e *webserver.Error
		if errors.As(err, &e) && e.Verdict == webserver.Unauthorized {
			return nil
		}
		if i == len(refusalWaits) || !gate.Pause(ctx, refusalWaits[i]) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("whether its token is refused is not known: %w", err)
	}
	return &proofError{"the canary's session is told as ended, and its token is still taken: whoever holds it goes on"}
}

// leave logs out what is still on.
func leave(ctx context.Context, client *webserver.Client) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = client.Logout(ctx) // which fails where the session has ended
	client.CloseIdle()
}

package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"golang.org/x/sync/errgroup"

	"logoffworker/jobs"
)

// An order is one job of a submission, and how far it has come.
type order struct {
	job       jobs.Job
	payload   []byte
	targets   []target
	messageID string

	sequence  uint64       // in the stream of jobs, once it is known to be stored
	before    bool         // it was there already
	swallowed bool         // NATS knew its message id, and took it for the same as before
	result    *jobs.Result // once there is one
	stored    []byte       // that result, as it is stored
	key       string       // of the job's message, once it is known
}

// held reports whether the order waits for approval.
func (o *order) held() bool { return o.result != nil && o.result.Status == jobs.Held }

// jobOf is the job for targets.
func jobOf(targets []target) jobs.Job {
	var job jobs.Job
	for _, t := range targets {
		if t.isPerson() {
			job.Users = append(job.Users, t.user)
		} else {
			job.Sessions = append(job.Sessions, t.session)
		}
	}
	return job
}

// orders makes jobs of a list: as few as there may be, NAME alone or NAME-1, NAME-2, …
func (l *list) orders(name string, notes jobs.Job) ([]*order, error) {
	all := l.split()
	for i, o := range all {
		if o.job.ID == "" {
			o.job.ID = name
			if len(all) > 1 {
				o.job.ID += "-" + strconv.Itoa(i+1)
			}
		}
		o.note(notes)
		var err error
		if o.payload, err = o.job.Encode(); err != nil {
			return nil, badUsage("job %s: %w", o.job.ID, err)
		}
		o.messageID = o.job.ID + "-" + o.digest()
		decoded, err := jobs.Decode(o.payload, jobs.Rules{})
		if err == nil && len(decoded.Remarks) > 0 {
			err = errors.New(decoded.Remark())
		}
		if err != nil {
			return nil, badUsage("job %s: %w", o.job.ID, err)
		}
	}
	return all, nil
}

// split makes orders, each within what one job may have.
func (l *list) split() (all []*order) {
	for i, job := range l.jobs {
		all = append(all, &order{job: job, targets: targetsOf(job, l.lines[i])})
	}
	var people, sessions int
	for _, t := range l.targets {
		if len(all) == 0 || people == jobs.MaxUsers && t.isPerson() || sessions == jobs.MaxSessions && !t.isPerson() {
			all, people, sessions = append(all, &order{}), 0, 0
		}
		last := all[len(all)-1]
		last.targets = append(last.targets, t)
		if t.isPerson() {
			people++
		} else {
			sessions++
		}
	}
	if len(l.jobs) == 0 {
		for _, o := range all {
			o.job = jobOf(o.targets)
		}
	}
	return all
}

// targetsOf are those of a job that stands on a line.
func targetsOf(job jobs.Job, line int) (all []target) {
	for _, s := range job.Sessions {
		all = append(all, target{session: jobs.Session{ID: s.Spelled(), UserID: s.UserID}, text: s.Spelled(), line: line})
	}
	for _, u := range job.Users {
		named := u.Result("")
		user := jobs.User{ID: named.ID, Name: named.Name, Email: named.Email}
		all = append(all, target{user: user, text: userText(named), line: line})
	}
	return all
}

// note gives a job the notes that the command line has, where it has none of its own.
func (o *order) note(notes jobs.Job) {
	j := &o.job
	if j.Reason == "" {
		j.Reason = notes.Reason
	}
	if j.RequestedBy == "" {
		j.RequestedBy = notes.RequestedBy
	}
	if j.EventTime.IsZero() {
		j.EventTime = notes.EventTime
	}
	if j.NotAfter.IsZero() {
		j.NotAfter = notes.NotAfter
	}
	for name, value := range notes.Labels {
		if j.Labels == nil {
			j.Labels = map[string]string{}
		}
		if _, own := j.Labels[name]; !own {
			j.Labels[name] = value
		}
	}
}

// jobName is the name of a submission: that of a file is made of its name and content, so that the same command again
// goes on where it stopped. Any other is new each time.
func (l *list) jobName() string {
	if l.path == "" || l.path == "-" {
		return nuid.Next()
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\x00%s\x00", l.name(), l.column)
	sum.Write(l.content)
	base := strings.TrimSuffix(l.name(), filepath.Ext(l.name()))
	const room = jobs.MaxIDLength - len("-12345678-12345")
	var name strings.Builder
	for _, r := range base {
		if name.Len() >= room-4 {
			break
		}
		if jobs.LegalID(string(r)) != nil {
			r = '_'
		}
		name.WriteRune(r)
	}
	return name.String() + "-" + hex.EncodeToString(sum.Sum(nil))[:8]
}

// digest is the same for orders that name the same. It is part of the message id, so that NATS swallows a publish that
// is repeated, and not another job with the same name.
func (o *order) digest() string {
	sum := sha256.New()
	for _, t := range o.targets {
		fmt.Fprintf(sum, "%s\x00", t.key())
	}
	return hex.EncodeToString(sum.Sum(nil))[:16]
}

// sameFor is how long a job with a result counts as the same that is asked for again. After it, who is on the list
// has had the time to sign on again, and is logged off again.
const sameFor = 24 * time.Hour

// recall finds out which orders were stored before: those that wait, and those that have a result of the last day. Who
// waits is looked for first, because a job leaves the stream only when its result is stored.
func (s *site) recall(ctx context.Context, all []*order, subject string) error {
	known := map[string]*order{}
	for _, o := range all {
		known[o.messageID] = o
	}
	waiting, err := s.waiting(ctx, subject)
	if err != nil {
		return err
	}
	if waiting > 0 {
		_, err = s.read(ctx, place{Stream: s.subjects.RequestStream(), Subject: subject}, func(r record) bool {
			if o := known[r.Header.Get(nats.MsgIdHdr)]; o != nil {
				o.sequence, o.before, o.key = r.Sequence, true, jobs.Key(r.Sequence, r.Time)
			}
			waiting--
			return waiting > 0
		})
		if err != nil {
			return err
		}
	}
	var looks errgroup.Group
	looks.SetLimit(recalls)
	for _, o := range all {
		looks.Go(func() error { return s.recallResult(ctx, o) })
	}
	return looks.Wait()
}

// recalls is how many results are looked for at a time.
const recalls = 32

// waiting is how many jobs of a subject wait.
func (s *site) waiting(ctx context.Context, subject string) (n uint64, err error) {
	requests, err := s.stream(ctx, s.subjects.RequestStream())
	if err != nil {
		return 0, err
	}
	info, err := requests.Info(ctx, jetstream.WithSubjectFilter(subject))
	if err != nil {
		return 0, s.explain("look at what waits", err)
	}
	return info.State.Subjects[subject], nil
}

// recallResult finds the result that an order has already: that of its message where it waits, which is there before the
// job has left the stream.
func (s *site) recallResult(ctx context.Context, o *order) error {
	r, found, err := s.last(ctx, s.subjects.ResultStream(), s.subjects.Result(o.job.ID, cmp.Or(o.key, "*")))
	if err != nil || !found {
		return err
	}
	result, err := r.result()
	if err != nil || !o.before && (time.Since(result.RequestedAt) > sameFor || !o.isAnsweredBy(result)) {
		return nil // it is another job's
	}
	o.before, o.sequence, o.key = true, r.jobSequence(), r.key()
	o.result, o.stored = &result, r.Data
	return nil
}

// isAnsweredBy reports whether a result is of a job that names the same. One id may be that of several jobs.
func (o *order) isAnsweredBy(result jobs.Result) bool {
	if result.Status == jobs.Held {
		return result.HeldSHA256 == fmt.Sprintf("%x", sha256.Sum256(o.payload))
	}
	named := map[string]bool{}
	for _, s := range result.Sessions {
		if !s.Found {
			named[sessionKey(s.ID)] = true
		}
	}
	for _, u := range result.Users {
		named[userKey(u.ID, u.Name, u.Email)] = true
	}
	for _, t := range o.targets {
		if !named[t.key()] {
			return false
		}
	}
	return len(named) == len(o.targets)
}

// window is how many jobs may be on their way to be stored.
const window = 256

// store stores those of the orders that are not, and says of each that it is. A message id makes of a publish that is
// repeated the same one.
func (s *site) store(ctx context.Context, all []*order, subject string, told func(*order)) error {
	var left []*order
	for _, o := range all {
		if o.sequence == 0 {
			left = append(left, o)
		}
	}
	for some := range slices.Chunk(left, window) {
		if err := s.storeSome(ctx, some, subject, told); err != nil {
			return err
		}
	}
	return nil
}

// recallSwallowed finds the results of orders whose message NATS took for one that it had already: they may be there
// from before, where nobody waits for them.
func (s *site) recallSwallowed(ctx context.Context, all []*order) error {
	for _, o := range all {
		if !o.swallowed {
			continue
		}
		r, found, err := s.last(ctx, s.subjects.ResultStream(), s.subjects.Result(o.job.ID, "*"))
		if err != nil {
			return err
		}
		if result, err := r.result(); found && err == nil && r.jobSequence() == o.sequence {
			o.result, o.stored, o.key = &result, r.Data, r.key()
		}
	}
	return nil
}

func (s *site) storeSome(ctx context.Context, some []*order, subject string, told func(*order)) error {
	for try := 0; ; try++ {
		rest, failed := s.storeOnce(ctx, some, subject, told)
		if some = rest; len(some) == 0 {
			return nil
		}
		var final *jetstream.APIError
		if errors.As(failed, &final) || s.denial() != nil || try == storeTries || !pause(ctx, time.Second) {
			return failed
		}
	}
}

// storeOnce publishes orders, and returns those that are not known to be stored, with the reason of one.
func (s *site) storeOnce(ctx context.Context, some []*order, subject string, told func(*order)) (rest []*order, failed error) {
	pending := make([]jetstream.PubAckFuture, len(some))
	for i, o := range some {
		msg := nats.NewMsg(subject)
		msg.Data = o.payload
		msg.Header.Set(nats.MsgIdHdr, o.messageID)
		if pending[i], failed = s.js.PublishMsgAsync(msg, jetstream.WithRetryAttempts(0)); failed != nil {
			break
		}
	}
	for i, o := range some {
		err := failed
		if pending[i] != nil {
			err = s.stored(ctx, o, pending[i])
		}
		if err != nil {
			failed, rest = err, append(rest, o)
			continue
		}
		told(o)
	}
	return rest, failed
}

// storeTries is how often a job is published again that NATS did not acknowledge, a second apart.
const storeTries = 10

// stored waits until a job is acknowledged as stored.
func (s *site) stored(ctx context.Context, o *order, future jetstream.PubAckFuture) error {
	const look = 250 * time.Millisecond
	for waited := time.Duration(0); waited < answerWait; waited += look {
		select {
		case ack := <-future.Ok():
			o.sequence, o.swallowed = ack.Sequence, ack.Duplicate
			return nil
		case err := <-future.Err():
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(look):
			if s.denial() != nil {
				return errCut
			}
		}
	}
	return errCut
}

package main

import (
	"bytes"
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

	eventIn, lateIn string // the durations from now on that its times were given as

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
func (l *list) orders(name string, notes notes) ([]*order, error) {
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

// notes are those of the command line, which every job of a submission gets.
type notes struct {
	jobs.Job
	eventIn, lateIn string // the durations that its times were given as
}

// isLate reports whether nothing would be sent any more.
func (n notes) isLate() bool { return !n.NotAfter.IsZero() && n.NotAfter.Before(time.Now()) }

// note gives a job the notes that the command line has, where it has none of its own.
func (o *order) note(notes notes) {
	j := &o.job
	if j.Reason == "" {
		j.Reason = notes.Reason
	}
	if j.RequestedBy == "" {
		j.RequestedBy = notes.RequestedBy
	}
	if j.EventTime.IsZero() {
		j.EventTime, o.eventIn = notes.EventTime, notes.eventIn
	}
	if j.NotAfter.IsZero() {
		j.NotAfter, o.lateIn = notes.NotAfter, notes.lateIn
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

// identify gives an order a message id that is made of where it is published and of all that it says: NATS swallows a
// publish that is repeated, and no other job of the same name.
func (o *order) identify(subject string) error {
	meaning, err := o.meaning(o.payload)
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\x00%s\x00%s\x00%s", subject, o.eventIn, o.lateIn, meaning)
	o.messageID = o.job.ID + "-" + hex.EncodeToString(sum.Sum(nil))[:32]
	return err
}

// meaning is what a payload says, but for what the clock made of a duration: that is another when the same command comes
// again.
func (o *order) meaning(payload []byte) ([]byte, error) {
	job, err := jobs.Decode(payload, jobs.Rules{})
	if err != nil {
		return nil, err
	}
	some := time.Unix(0, 0).UTC()
	if o.eventIn != "" && !job.EventTime.IsZero() {
		job.EventTime = some
	}
	if o.lateIn != "" && !job.NotAfter.IsZero() {
		job.NotAfter = some
	}
	return job.Encode()
}

// isStoredAs reports whether a message of the stream of jobs is what the order is published as, whose times it has then.
func (o *order) isStoredAs(r record, subject string) bool {
	want, err := o.meaning(o.payload)
	got, wrong := o.meaning(r.Data)
	if err != nil || wrong != nil || r.Subject != subject || !bytes.Equal(got, want) {
		return false
	}
	if stored, err := jobs.Decode(r.Data, jobs.Rules{}); err == nil {
		o.hasTimes(stored.EventTime, stored.NotAfter)
	}
	return true
}

// hasTimes gives an order the times of the job that it is stored as, where they are made of durations.
func (o *order) hasTimes(event, notAfter time.Time) {
	if o.eventIn != "" {
		o.job.EventTime = event
	}
	if o.lateIn != "" {
		o.job.NotAfter = notAfter
	}
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
	is := func(r record) *order {
		id := r.Header.Get(nats.MsgIdHdr)
		again := id[:max(0, strings.LastIndexByte(id, '-'))] // with what makes it a new one, as of --again
		return cmp.Or(known[id], known[again])
	}
	waiting, err := s.waiting(ctx, subject)
	if err != nil {
		return err
	}
	if waiting > 0 {
		_, err = s.read(ctx, place{Stream: s.subjects.RequestStream(), Subject: subject}, func(r record) bool {
			if o := is(r); o != nil && o.isStoredAs(r, subject) {
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
		looks.Go(func() error { return s.recallResult(ctx, o, subject) })
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
// job has left the stream. Else it is the latest of the last day that answers it, of a job of the same lane and publisher:
// anybody's job may have the same id, and so has what is left of a job and replayed.
func (s *site) recallResult(ctx context.Context, o *order, subject string) error {
	at := place{Stream: s.subjects.ResultStream(), Subject: s.subjects.Result(o.job.ID, cmp.Or(o.key, "*"))}
	if !o.before {
		at.Since = time.Now().Add(-sameFor)
	}
	found, err := s.findResult(ctx, o, at, func(r record, result jobs.Result) bool {
		return o.before || time.Since(r.Time) <= sameFor && s.isOf(result, subject) && o.isAnsweredBy(result)
	})
	o.before = o.before || found
	return err
}

// findResult gives an order the latest result at a place that is its own.
func (s *site) findResult(ctx context.Context, o *order, at place, isOwn func(record, jobs.Result) bool) (found bool, err error) {
	_, err = s.read(ctx, at, func(r record) bool {
		if result, err := r.result(); err == nil && isOwn(r, result) {
			o.sequence, o.key, o.result, o.stored, found = r.jobSequence(), r.key(), &result, r.Data, true
			if !o.before { // whose times are not known from its message
				d, _ := readSpan(o.lateIn)
				o.hasTimes(result.EventTime, result.RequestedAt.Add(d).Truncate(time.Second))
			}
		}
		return true
	})
	return found, err
}

// isOf reports whether a result is of a job that was published on a subject, or that was approved after it was.
func (s *site) isOf(result jobs.Result, subject string) bool {
	return s.subjects.Request(result.Lane, result.Publisher) == subject
}

// isAnsweredBy reports whether a result is of a job that names the same, and has the same event time: what began after
// that is left on. One id may be that of several jobs. A result in which nobody was looked at answers nothing, and one in
// which somebody came too late only an order that would have come too late as well.
func (o *order) isAnsweredBy(result jobs.Result) bool {
	switch {
	case result.Status == jobs.Held:
		return result.HeldSHA256 == fmt.Sprintf("%x", sha256.Sum256(o.payload))
	case result.Status == jobs.Invalid, result.Status == jobs.Ignored, !o.isOfEvent(result):
		return false
	}
	named, late := map[string]bool{}, result.Status == jobs.ExpiredJob
	for _, s := range result.Sessions {
		if !s.Found {
			named[sessionKey(s.ID)] = true
		}
		late = late || s.Outcome == jobs.Expired
	}
	for _, u := range result.Users {
		named[userKey(u.ID, u.Name, u.Email)] = true
		late = late || u.Outcome == jobs.UserExpired
	}
	if late && !o.wasLateAt(result) {
		return false
	}
	for _, t := range o.targets {
		if !named[t.key()] {
			return false
		}
	}
	return len(named) == len(o.targets)
}

// isOfEvent reports whether a result has the order's event time, or one that the same duration made shortly before its job
// was stored.
func (o *order) isOfEvent(result jobs.Result) bool {
	if o.eventIn == "" || result.EventTime.IsZero() {
		return result.EventTime.Equal(o.job.EventTime)
	}
	d, err := readSpan(o.eventIn)
	return err == nil && result.RequestedAt.Add(d).Sub(result.EventTime).Abs() <= storedWithin
}

// wasLateAt reports whether the order, stored when the job of a result was, would have been too late when that ended.
func (o *order) wasLateAt(result jobs.Result) bool {
	last := o.job.NotAfter
	if d, err := readSpan(o.lateIn); o.lateIn != "" && err == nil {
		last = result.RequestedAt.Add(d - storedWithin)
	}
	return !last.IsZero() && !result.CompletedAt.Before(last)
}

// storedWithin is how long after its times were made of durations a job is stored: a person is asked in between.
const storedWithin = time.Minute

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
func (s *site) recallSwallowed(ctx context.Context, all []*order, subject string) error {
	for _, o := range all {
		if o.swallowed && o.result == nil {
			if _, err := s.settled(ctx, o, subject); err != nil {
				return err
			}
		}
	}
	return nil
}

// settled finds the result of the message that an order is stored as, and reports whether it is there.
func (s *site) settled(ctx context.Context, o *order, subject string) (bool, error) {
	sequence := o.sequence
	at := place{Stream: s.subjects.ResultStream(), Subject: s.subjects.Result(o.job.ID, "*")}
	return s.findResult(ctx, o, at, func(r record, result jobs.Result) bool {
		return r.jobSequence() == sequence && s.isOf(result, subject)
	})
}

// ensure sees to it that an order is stored whose message id NATS knew: another message may have had that id, of a user
// who stores what is not ours. It is looked at, or its result if it is gone. Then the order is stored under an id that
// nobody knows. Who may not read jobs and results relies on the message id alone.
func (s *site) ensure(ctx context.Context, o *order, subject string) error {
	if s.unread {
		return nil
	}
	r, found, err := s.leader(ctx, s.subjects.RequestStream(), ask{Seq: o.sequence})
	ours := found && o.isStoredAs(r, subject)
	if err == nil && !found {
		ours, err = s.settled(ctx, o, subject)
	}
	if err != nil && s.denial() != nil {
		s.forgive()
		s.unread = true
		return nil
	}
	if err != nil || ours {
		return err
	}
	o.messageID += "-" + nuid.Next()
	future, err := s.publish(o, subject)
	if err != nil {
		return err
	}
	return s.stored(ctx, o, future)
}

// publish begins to store an order.
func (s *site) publish(o *order, subject string) (jetstream.PubAckFuture, error) {
	msg := nats.NewMsg(subject)
	msg.Data = o.payload
	msg.Header.Set(nats.MsgIdHdr, o.messageID)
	return s.js.PublishMsgAsync(msg, jetstream.WithRetryAttempts(0))
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
		if pending[i], failed = s.publish(o, subject); failed != nil {
			break
		}
	}
	acknowledged := make([]error, len(some))
	for i, o := range some {
		if acknowledged[i] = failed; pending[i] != nil {
			acknowledged[i] = s.stored(ctx, o, pending[i])
		}
	}
	for i, o := range some {
		err := acknowledged[i]
		if err == nil && o.swallowed {
			err = s.ensure(ctx, o, subject)
		}
		if err != nil {
			o.sequence, o.swallowed = 0, false
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

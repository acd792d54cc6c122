package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"logoffworker/jobs"
)

// A republisher publishes what letters hold, each once, however often it is stopped and begun again: an act names the
// letters before anything is published, the message of each has an id that is made of it, and the letter is taken off
// the list after that. NATS swallows the same id for two minutes, whoever's it is. So who finds an act on a letter, or
// is told that the id is known, looks for that message among the jobs that wait, and for its result: a letter goes only
// when the job that it holds is stored. Where the id was used for something else, the job is stored under another.
type republisher struct {
	*site
	verb jobs.Verb
	who  string
	// message is what is published of a letter, with its id.
	message func(letter) (*nats.Msg, error)
	// mark tells what was published of one letter from any other message; it is empty if a message is not of its kind.
	mark func(nats.Header, []byte) string
	// places are where what was published of a letter may wait.
	places func(letter) []string
	// origin reads the lane and the name from such a place.
	origin func(subject string) (jobs.Lane, string)
	// by is under whose name a result says that it is of what was published of a letter; empty if it does not.
	by func(jobs.Result, letter) string
	// counts reports whether what was published of a letter under a name stands for it.
	counts func(l letter, who string) bool
	// may tells why a letter is not to be published.
	may func(context.Context, letter) error
	// isKnown reports whether what a message becomes will tell of which letter it is; nil if it always does.
	isKnown func(*nats.Msg) bool

	// blind hears that a right is missing to see what was done before, which then goes on without; nil if it may not.
	blind   func(error)
	isBlind bool

	why     string    // the act is done, as its record says
	acted   time.Time // when the latest act was written down
	refused map[string]error
	acts    acts
	read    map[string]uint64    // places whose waiting jobs were read, and up to where
	waiting map[waiting][]string // under which names jobs wait, or waited when it was looked
}

// A letterError is of one letter. Others are gone on with.
type letterError struct{ error }

// Unwrap is for the exit code.
func (e letterError) Unwrap() error { return e.error }

// A verdict is what comes of several letters. One of which it is not so outweighs those of which it is not known.
type verdict struct{ notSo, unclear int }

// add takes in what is said of a letter.
func (v *verdict) add(ctx context.Context, err error) {
	if exitCode(ctx, err) == codeNotSo {
		v.notSo++
	} else {
		v.unclear++
	}
}

// err is the exit code; what there is to say has been told.
func (v *verdict) err() error {
	switch {
	case v.notSo > 0:
		return notSo("")
	case v.unclear > 0:
		return unclear("")
	}
	return nil
}

// A waiting job is of what was published of a letter.
type waiting struct {
	lane jobs.Lane
	mark string
}

// actLasts is for how long after its record was written down an act may still be done. Whoever closes a letter counts on
// it. Half of it is for what lies between the last look at that time and the publish.
const actLasts = time.Minute

// prepare reads what was done to letters before, and writes down what is about to be.
func (r *republisher) prepare(ctx context.Context, some []letter, why string) error {
	if !r.isBlind {
		err := r.look(ctx, some)
		if err == nil {
			_, err = r.publishedBy(ctx, some[0]) // are the rights there?
		}
		if err != nil && (r.denial() == nil || r.blind == nil) {
			return err
		}
		if err != nil {
			r.blind(err)
			r.acts, r.isBlind = acts{}, true
			r.forgive()
		}
	}
	if r.refused == nil {
		r.refused = map[string]error{}
	}
	act := jobs.Act{Verb: r.verb, Who: r.who, Why: why}
	for _, l := range some {
		if r.may != nil {
			err, own := r.may(ctx, l), letterError{}
			if err != nil && !errors.As(err, &own) {
				return err
			}
			if r.refused[l.key()] = err; err != nil {
				continue
			}
		}
		act.Jobs = append(act.Jobs, l.key())
	}
	if len(act.Jobs) == 0 {
		return nil
	}
	r.why, r.acted = why, time.Now()
	return r.writeAct(ctx, act)
}

// look reads the acts on letters, and the waiting jobs where these would have published them.
func (r *republisher) look(ctx context.Context, some []letter) error {
	if err := r.acts.update(ctx, r.site); err != nil {
		return err
	}
	places := map[string]bool{}
	for _, l := range some {
		for _, subject := range r.places(l) {
			places[subject] = true
		}
	}
	if r.read == nil {
		r.read, r.waiting = map[string]uint64{}, map[waiting][]string{}
	}
	for _, subject := range slices.Sorted(maps.Keys(places)) {
		at := place{Stream: r.subjects.RequestStream(), Subject: subject, From: r.read[subject]}
		next, err := r.site.read(ctx, at, func(found record) bool {
			lane, who := r.origin(found.Subject)
			of := waiting{lane, r.mark(found.Header, found.Data)}
			r.waiting[of] = append(r.waiting[of], who)
			return true
		})
		if err != nil {
			return err
		}
		r.read[subject] = next
	}
	return nil
}

// publishedBy is under whose name a letter was published; empty if it was not. What waits was looked at before its
// results are: a job leaves the stream only when its result is stored.
func (r *republisher) publishedBy(ctx context.Context, l letter) (who string, err error) {
	if r.isBlind || len(r.places(l)) == 0 {
		return "", nil
	}
	msg, err := r.message(l)
	if err != nil {
		return "", letterError{notSo("%w; its letter stays on the list", err)}
	}
	for _, name := range r.waiting[waiting{l.lane, r.mark(msg.Header, msg.Data)}] {
		if r.counts(l, name) {
			return name, nil
		}
	}
	at := place{Stream: r.subjects.ResultStream(), Subject: r.subjects.Result(l.JobID, "*")}
	_, err = r.site.read(ctx, at, func(candidate record) bool {
		result, err := candidate.result()
		if err != nil {
			return true
		}
		if by := r.by(result, l); r.counts(l, by) {
			who = by
		}
		return who == ""
	})
	return who, err
}

// publish publishes what a letter holds and takes it off the list, and returns the sequence of the job; 0 if somebody
// did so before.
func (r *republisher) publish(ctx context.Context, l letter) (sequence uint64, err error) {
	if r.refused[l.key()] == nil && time.Since(r.acted) > actLasts/2 {
		if err := r.prepare(ctx, []letter{l}, r.why); err != nil {
			return 0, err
		}
	}
	before, err := r.publishedBy(ctx, l)
	if err != nil {
		return 0, err
	}
	if before == "" {
		if err := r.refused[l.key()]; err != nil {
			return 0, err
		}
		if there, err := r.stillThere(ctx, l); err != nil || !there {
			return 0, err
		}
		if sequence, err = r.store(ctx, l); err != nil {
			return 0, err
		}
	}
	removed, err := r.remove(ctx, l)
	if err == nil && !removed && sequence != 0 {
		err = r.closedMeanwhile(ctx, l, sequence)
	}
	return sequence, err
}

// closedMeanwhile says who took a letter off the list between the look at it and its publish. One who published it at
// the same time was told that it is stored.
func (r *republisher) closedMeanwhile(ctx context.Context, l letter, sequence uint64) error {
	who := "somebody"
	if !r.isBlind {
		if err := r.acts.update(ctx, r.site); err != nil {
			return err
		}
		closed := append(r.acts.by(jobs.ActDeny, l.key()), r.acts.by(jobs.ActDrop, l.key())...)
		switch {
		case len(closed) > 0:
			who = closed[len(closed)-1].Who
		case len(r.acts.by(r.verb, l.key())) > 1:
			return nil
		}
	}
	return letterError{notSo("%s: %s took its letter off the list at the same time, so that nothing of it should be done; it is stored as %s %d all the same, and is worked", l.JobID, who, r.subjects.RequestStream(), sequence)}
}

// begun is who wrote down that they publish a letter, so shortly before it was closed that they may do so still. Both
// times are by the clock of NATS.
func (r *republisher) begun(l letter, closing jobs.Verb) string {
	closed := r.acts.by(closing, l.key())
	for _, act := range r.acts.by(r.verb, l.key()) {
		if len(closed) == 0 || act.stored.After(closed[len(closed)-1].stored.Add(-actLasts)) {
			return act.Who
		}
	}
	return ""
}

// store stores what a letter holds, and returns the sequence of the job; 0 if it was stored before.
func (r *republisher) store(ctx context.Context, l letter) (uint64, error) {
	msg, err := r.message(l)
	if err != nil {
		return 0, letterError{notSo("%w; its letter stays on the list", err)}
	}
	id := msg.Header.Get(nats.MsgIdHdr)
	for try := 0; ; try++ {
		ack, err := r.js.PublishMsg(ctx, msg, jetstream.WithExpectStream(r.subjects.RequestStream()))
		switch {
		case isTooLarge(err):
			return 0, letterError{notSo("%s: NATS takes no message that large, and its letter stays on the list: %w", l.JobID, err)}
		case err != nil:
			return 0, r.explain("store the job", err)
		case !ack.Duplicate:
			return ack.Sequence, nil
		case r.isBlind:
			return 0, r.taken(l, id, "this cannot be found out without the right to read jobs and results; if it was, it is worked once all the same")
		}
		if err := r.look(ctx, []letter{l}); err != nil {
			return 0, err
		}
		if who, err := r.publishedBy(ctx, l); err != nil || who != "" {
			return 0, err
		}
		if r.isKnown != nil && !r.isKnown(msg) {
			return 0, r.taken(l, id, "its result would not tell, because its notes leave no room for a label")
		}
		msg.Header.Set(nats.MsgIdHdr, anotherID(id, ack.Sequence, try))
	}
}

// anotherID is the message id of a letter after a message that is not its job was found under one. Whoever else finds
// that message has the same, so that the job is stored once. If this was taken, too, the next is one that nobody can
// take before.
func anotherID(id string, taken uint64, try int) string {
	if try > 0 {
		return id + "-" + nuid.Next()
	}
	return fmt.Sprintf("%s-%d", id, taken)
}

// taken says that the message id of a letter is known, and why it cannot be told whether that was its job.
func (r *republisher) taken(l letter, id, why string) error {
	return letterError{unclear("%s: NATS has had a message with the id %s within the last two minutes. Whether it was this job cannot be told: %s. Nothing was stored, and the letter stays on the list; the same command in two minutes stores the job",
		l.JobID, id, why)}
}

// isTooLarge reports whether NATS refuses a message for its size: that is so of one, and not of all.
func isTooLarge(err error) bool {
	var refused *jetstream.APIError
	return errors.Is(err, nats.ErrMaxPayload) || errors.As(err, &refused) && refused.ErrorCode == jetstream.JSErrCodeStreamMessageExceedsMaximum
}

// carried are the headers of a letter's job that go with it.
func carried(l letter, msg *nats.Msg) {
	if l.ContentType != "" {
		msg.Header.Set("Content-Type", l.ContentType)
	}
	if l.Trace != "" {
		msg.Header.Set("traceparent", string(l.Trace))
	}
	if signal := l.Header()[jobs.SignalHeader]; signal != nil {
		msg.Header[jobs.SignalHeader] = signal
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

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
	// subject is where somebody would publish a letter.
	subject func(l letter, who string) string
	// by is under whose name a result says that it is of what was published of a letter; empty if it does not.
	by func(jobs.Result, letter) string
	// may tells why a letter is not to be published.
	may func(context.Context, letter) error
	// isKnown reports whether what a message becomes will tell of which letter it is; nil if it always does.
	isKnown func(*nats.Msg) bool

	// blind hears that a right is missing to see what was done before, which then goes on without; nil if it may not.
	blind   func(error)
	isBlind bool

	acts    acts
	read    map[string]uint64 // subjects whose waiting jobs were read, and up to where
	waiting map[waiting]bool  // jobs that wait, or waited when it was looked
}

// A stays is why one letter stays on the list. Others are gone on with.
type stays struct{ error }

// Unwrap is for the exit code.
func (s stays) Unwrap() error { return s.error }

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

// A waiting job is of what was published of a letter, under a name.
type waiting struct{ subject, mark string }

// prepare reads what was done to letters before, and writes down what is about to be.
func (r *republisher) prepare(ctx context.Context, some []letter, why string) error {
	if !r.isBlind {
		err := r.look(ctx, some)
		if err != nil && (r.denial() == nil || r.blind == nil) {
			return err
		}
		if err != nil {
			r.blind(err)
			r.acts, r.isBlind = acts{}, true
			r.forgive()
		}
	}
	act := jobs.Act{Verb: r.verb, Who: r.who, Why: why}
	for _, l := range some {
		act.Jobs = append(act.Jobs, l.key())
	}
	return r.writeAct(ctx, act)
}

// look reads the acts on letters, and the waiting jobs where these would have published them.
func (r *republisher) look(ctx context.Context, some []letter) error {
	if err := r.acts.update(ctx, r.site); err != nil {
		return err
	}
	subjects := map[string]bool{}
	for _, l := range some {
		for _, act := range r.acts.by(r.verb, l.key()) {
			subjects[r.subject(l, act.Who)] = true
		}
	}
	if r.read == nil {
		r.read, r.waiting = map[string]uint64{}, map[waiting]bool{}
	}
	for _, subject := range slices.Sorted(maps.Keys(subjects)) {
		at := place{Stream: r.subjects.RequestStream(), Subject: subject, From: r.read[subject]}
		next, err := r.site.read(ctx, at, func(found record) bool {
			r.waiting[waiting{subject, r.mark(found.Header, found.Data)}] = true
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
	acts := r.acts.by(r.verb, l.key())
	if len(acts) == 0 {
		return "", nil
	}
	msg, err := r.message(l)
	if err != nil {
		return "", err
	}
	mark := r.mark(msg.Header, msg.Data)
	for _, act := range acts {
		if r.waiting[waiting{r.subject(l, act.Who), mark}] {
			return act.Who, nil
		}
	}
	at := place{Stream: r.subjects.ResultStream(), Subject: r.subjects.Result(l.JobID, "*")}
	_, err = r.site.read(ctx, at, func(candidate record) bool {
		result, err := candidate.result()
		if err != nil {
			return true
		}
		if by := r.by(result, l); slices.ContainsFunc(acts, func(act pastAct) bool { return act.Who == by }) {
			who = by
		}
		return who == ""
	})
	return who, err
}

// publish publishes what a letter holds and takes it off the list, and returns the sequence of the job; 0 if somebody
// did so before.
func (r *republisher) publish(ctx context.Context, l letter) (sequence uint64, err error) {
	before, err := r.publishedBy(ctx, l)
	if err != nil {
		return 0, err
	}
	if before == "" {
		if there, err := r.stillThere(ctx, l); err != nil || !there {
			return 0, err
		}
		if sequence, err = r.store(ctx, l); err != nil {
			return 0, err
		}
	}
	_, err = r.remove(ctx, l)
	return sequence, err
}

// store stores what a letter holds, and returns the sequence of the job; 0 if it was stored before.
func (r *republisher) store(ctx context.Context, l letter) (uint64, error) {
	if r.may != nil {
		if err := r.may(ctx, l); err != nil {
			return 0, err
		}
	}
	msg, err := r.message(l)
	if err != nil {
		return 0, stays{notSo("%w; its letter stays on the list", err)}
	}
	id := msg.Header.Get(nats.MsgIdHdr)
	for try := 0; ; try++ {
		ack, err := r.js.PublishMsg(ctx, msg, jetstream.WithExpectStream(r.subjects.RequestStream()))
		switch {
		case isTooLarge(err):
			return 0, stays{notSo("%s: NATS takes no message that large, and its letter stays on the list: %w", l.JobID, err)}
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
	return stays{unclear("%s: NATS has had a message with the id %s within the last two minutes. Whether it was this job cannot be told: %s. Nothing was stored, and the letter stays on the list; the same command in two minutes stores the job",
		l.JobID, id, why)}
}

// isTooLarge reports whether NATS refuses a message for its size: that is so of one, and not of all.
func isTooLarge(err error) bool {
	var refused *jetstream.APIError
	return errors.Is(err, nats.ErrMaxPayload) || errors.As(err, &refused) && refused.ErrorCode == tooLargeCode
}

// tooLargeCode is JetStream's error of a message that is larger than its stream allows.
const tooLargeCode jetstream.ErrorCode = 10054

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

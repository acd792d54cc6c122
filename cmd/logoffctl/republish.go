package main

import (
	"context"
	"maps"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
)

// A republisher publishes what letters hold, each once, however often it is stopped and begun again: an act names the
// letters before anything is published, the message of each has an id that is made of it, and the letter is taken off
// the list after that. NATS swallows the same id for two minutes. For the time after, who finds an act on a letter
// looks for that message among the jobs that wait, and for its result, before anything is published again.
type republisher struct {
	*site
	verb jobs.Verb
	who  string
	// message is what is published of a letter, with its id.
	message func(letter) (*nats.Msg, error)
	// subject is where an earlier act of somebody would have published a letter.
	subject func(l letter, who string) string
	// isOf reports whether a result is of what was published of a letter.
	isOf func(jobs.Result, letter) bool

	// blind hears that a right is missing to see what was done before, which then goes on without; nil if it may not.
	blind func(error)

	acts    acts
	read    map[string]uint64 // subjects whose waiting jobs were read, and up to where
	waiting map[string]bool   // message ids of jobs that wait, or waited when it was looked
}

// prepare reads what was done to letters before, and writes down what is about to be.
func (r *republisher) prepare(ctx context.Context, some []letter, why string) error {
	err := r.acts.update(ctx, r.site)
	if err == nil {
		err = r.lookWhatWaits(ctx, some)
	}
	if err != nil && (r.denial() == nil || r.blind == nil) {
		return err
	}
	if err != nil {
		r.blind(err)
		r.acts, r.blind = acts{}, func(error) {}
		r.forgive()
	}
	act := jobs.Act{Verb: r.verb, Who: r.who, Why: why}
	for _, l := range some {
		act.Jobs = append(act.Jobs, l.key())
	}
	return r.writeAct(ctx, act)
}

// lookWhatWaits reads the waiting jobs where earlier acts on letters would have published them.
func (r *republisher) lookWhatWaits(ctx context.Context, some []letter) error {
	subjects := map[string]bool{}
	for _, l := range some {
		for _, act := range r.acts.by(r.verb, l.key()) {
			subjects[r.subject(l, act.Who)] = true
		}
	}
	if r.read == nil {
		r.read, r.waiting = map[string]uint64{}, map[string]bool{}
	}
	for _, subject := range slices.Sorted(maps.Keys(subjects)) {
		at := place{Stream: r.subjects.RequestStream(), Subject: subject, From: r.read[subject]}
		next, err := r.site.read(ctx, at, func(found record) bool {
			r.waiting[found.Header.Get(nats.MsgIdHdr)] = true
			return true
		})
		if err != nil {
			return err
		}
		r.read[subject] = next
	}
	return nil
}

// isPublished reports whether a letter was published before. What waits was looked at before its results are: a job
// leaves the stream only when its result is stored.
func (r *republisher) isPublished(ctx context.Context, l letter, id string) (bool, error) {
	earlier := r.acts.by(r.verb, l.key())
	if len(earlier) == 0 || r.waiting[id] {
		return len(earlier) > 0, nil
	}
	found := false
	at := place{Stream: r.subjects.ResultStream(), Subject: r.subjects.Result(l.JobID, "*")}
	_, err := r.site.read(ctx, at, func(candidate record) bool {
		result, err := candidate.result()
		found = err == nil && r.isOf(result, l)
		return !found
	})
	return found, err
}

// publish publishes what a letter holds and takes it off the list, and returns the sequence of the job; 0 if somebody
// did so before.
func (r *republisher) publish(ctx context.Context, l letter) (sequence uint64, err error) {
	msg, err := r.message(l)
	if err != nil {
		return 0, err
	}
	published, err := r.isPublished(ctx, l, msg.Header.Get(nats.MsgIdHdr))
	if err != nil {
		return 0, err
	}
	if !published {
		if there, err := r.stillThere(ctx, l); err != nil || !there {
			return 0, err
		}
		ack, err := r.js.PublishMsg(ctx, msg, jetstream.WithExpectStream(r.subjects.RequestStream()))
		if err != nil {
			return 0, r.explain("store the job", err)
		}
		if !ack.Duplicate {
			sequence = ack.Sequence
		}
	}
	return sequence, r.remove(ctx, l)
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

// Package evidence makes digests of results (see jobs/evidence, which says what they prove) and stores them: at most
// once a minute some worker covers the results since the latest digest, and logs what the digest is, so that there is a
// record of it outside of NATS.
//
// Nobody is elected. Each digest is stored only in the place after the one that it names
// (Nats-Expected-Last-Subject-Sequence), so that of several workers one gets its own stored, and the others go on
// from there.
//
// What is covered cannot change any more: JetStream gives a sequence when it stores a message, in order, and on a
// cluster its peers agree on the order first. A copy of the stream that answers may be behind, but has no holes that
// others do not have; so what lacks before something that is there is gone, and what lacks at the end is left to the
// next digest. The latest seconds are left to it, too: a power cut may take what NATS had not on its disk, and
// give its sequences again.
package evidence

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"logoffworker/jobs"
	"logoffworker/jobs/evidence"
	"logoffworker/metrics"
)

const (
	// interval is how far apart digests are at least, unless there is more than one can cover.
	interval = time.Minute
	// jitter keeps workers from reading the same results at the same time.
	jitter = 10 * time.Second
	// settled is how old a result is before it is covered.
	settled = 5 * time.Second
	// turnTime is how long one digest may take.
	turnTime = 30 * time.Second
	// begin is when the first is made: a worker that starts makes its streams first.
	begin = 3 * time.Second
	// breath is left between digests where several are due, and rests times as long as the one before took if that
	// is more: so reading takes a fifth of the time at most, and does not hold up jobs.
	breath = 100 * time.Millisecond
	rests  = 4
)

// Part is the part of a worker's health that tells why no digests are made.
const Part = "digests"

// A Signer makes digests. Fill the fields, then call Run once.
type Signer struct {
	NATS     *nats.Conn
	JS       jetstream.JetStream
	Subjects jobs.Subjects
	Worker   string // name in digests
	// Key returns the key that signs. It is asked before each digest, so that the key may change.
	Key     func() (nkeys.KeyPair, error)
	Health  *metrics.Health
	Metrics *metrics.Metrics
	Log     *slog.Logger
}

// Run makes digests until ctx ends. Whatever keeps it from that is told, and tried again: no job needs digests.
func (s *Signer) Run(ctx context.Context) {
	s.Health.Well(Part)
	for wait := begin; pause(ctx, wait); {
		var err error
		if wait, err = s.turn(ctx); ctx.Err() == nil {
			s.tell(err)
		}
	}
}

func (s *Signer) tell(err error) {
	s.Health.Set(err != nil, metrics.Condition{
		Part: Part, Kind: "none", Harmless: true, What: fmt.Sprintf("no digest of the results can be made: %v", err),
		ByItself: "it is tried again every minute, and the next digests cover what is left out now",
		ToDo:     "mend what the message says; results are kept, but nobody would notice a change before a digest covers them",
		Command:  metrics.CheckCommand,
	})
}

// turn makes a digest if it is time for one, and says when to look again.
func (s *Signer) turn(ctx context.Context) (wait time.Duration, err error) {
	wait = interval + rand.N(jitter)
	if !s.NATS.IsConnected() {
		return jitter, nil // which is told elsewhere
	}
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, turnTime)
	defer cancel()
	present, err := s.present(ctx)
	if err != nil {
		return wait, err
	}
	before, err := s.latest(ctx)
	if err != nil {
		return wait, err
	}
	from := before.next(present)
	s.Metrics.Digested(before.stored, present.State.LastSeq+1-min(from, present.State.LastSeq+1))
	behind := full(before.digest) && before.digest.Worker == s.Worker
	if age := present.TimeStamp.Sub(before.stored); age < interval && !behind {
		return interval - age + rand.N(jitter), nil
	}
	digest, err := s.read(ctx, from, present.TimeStamp)
	if err != nil || digest == nil {
		return wait, err
	}
	stored, err := s.store(ctx, before, digest, present)
	switch {
	case err != nil:
		return wait, err
	case stored && full(*digest):
		return max(breath, rests*time.Since(begun)), nil
	}
	return wait, nil
}

// full reports whether a digest covers as much as one can, so that there probably is more.
func full(d evidence.Digest) bool { return d.To-d.From+1 >= evidence.MaxRecords }

// present is how the stream of results is now.
func (s *Signer) present(ctx context.Context) (*jetstream.StreamInfo, error) {
	results, err := s.JS.Stream(ctx, s.Subjects.ResultStream())
	if err != nil {
		return nil, fmt.Errorf("look at the stream of results: %w", err)
	}
	info := results.CachedInfo()
	if info.TimeStamp.IsZero() {
		info.TimeStamp = time.Now() // of a server before 2.10
	}
	return info, nil
}

// A head is the latest digest, and its place in its stream; zero where there is none.
type head struct {
	digest evidence.Digest
	hash   evidence.Hash
	place  uint64
	stored time.Time
}

// next is the sequence of the first result that no digest covers. A stream that was made anew or set back begins anew.
func (h head) next(present *jetstream.StreamInfo) uint64 {
	first := max(present.State.FirstSeq, 1)
	if h.place == 0 || !h.digest.Made.Equal(present.Created) || h.digest.To > present.State.LastSeq {
		return first
	}
	return max(first, h.digest.To+1)
}

// latest reads the latest digest.
func (s *Signer) latest(ctx context.Context) (h head, err error) {
	msg, err := s.ask(ctx, s.Subjects.AuditStream()+"."+s.Subjects.Digests(), nil)
	if err != nil {
		return head{}, fmt.Errorf("read the latest digest: %w", err)
	}
	if msg == nil {
		return head{}, nil
	}
	h.place, h.stored, h.hash = msg.sequence, msg.stored, evidence.HashOf(msg.Data)
	if h.digest, err = evidence.DecodeDigest(msg.Data); err != nil {
		return head{}, fmt.Errorf("the latest digest, at %d in %s: %w", msg.sequence, s.Subjects.AuditStream(), err)
	}
	return h, nil
}

// read covers results from a sequence on, as many as are settled and fit. There may be none.
func (s *Signer) read(ctx context.Context, from uint64, now time.Time) (*evidence.Digest, error) {
	covered := evidence.NewRange(from)
	var latest time.Time
	for next := from; !covered.Full(); {
		batch, err := s.batch(ctx, next)
		if err != nil {
			return nil, fmt.Errorf("read the results from %d on: %w", next, err)
		}
		end := len(batch) == 0
		for _, m := range batch {
			if now.Sub(m.stored) < settled || !covered.Add(evidence.Record{Sequence: m.sequence, Subject: m.subject, Payload: m.Data}) {
				end = true
				break
			}
			latest, next = m.stored, m.sequence+1
		}
		if end {
			break
		}
	}
	if latest.IsZero() {
		return nil, nil
	}
	d := &evidence.Digest{Latest: latest}
	covered.Into(d)
	return d, nil
}

// store signs a digest and stores it after the one before. It reports false where another worker was first.
func (s *Signer) store(ctx context.Context, before head, d *evidence.Digest, present *jetstream.StreamInfo) (bool, error) {
	key, err := s.Key()
	if err != nil {
		return false, err
	}
	defer key.Wipe()
	d.Number, d.Previous, d.Since = before.digest.Number+1, before.hash, before.digest.At
	d.Made, d.At, d.Worker = present.Created, time.Now(), s.Worker
	data, err := d.Sign(key)
	if err != nil {
		return false, err
	}
	_, err = s.JS.Publish(ctx, s.Subjects.Digests(), data, jetstream.WithExpectLastSequencePerSubject(before.place), jetstream.WithRetryAttempts(0))
	var refused *jetstream.APIError
	switch {
	case errors.As(err, &refused) && refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence:
		return false, nil
	case err != nil:
		return false, fmt.Errorf("store a digest: %w", err)
	}
	s.Log.Info("A digest of results is stored. This line is the proof, outside of NATS, that it was so.",
		"digest", d.Number, "from", d.From, "to", d.To, "results", d.Count, "root", d.Root.String(), "hash", evidence.HashOf(data).String(), "key", d.Key)
	s.Metrics.Digested(present.TimeStamp, present.State.LastSeq-min(d.To, present.State.LastSeq))
	return true, nil
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

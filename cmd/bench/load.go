package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker/stage"
)

// publish stores n jobs, each with some sessions of its own, as fast as the server takes them.
func (r *rig) publish(ctx context.Context, from, n, sessions int) error {
	for i := range n {
		if _, err := r.js.PublishAsync(r.subjects.Request(jobs.Bulk, ""), job(from+i*sessions, sessions), jetstream.WithStallWait(time.Minute)); err != nil {
			return fmt.Errorf("publish job %d of %d: %w", i+1, n, err)
		}
	}
	return r.published(ctx)
}

// pace publishes jobs of one session at a rate for a time, as a publisher that waits for no answer.
func (r *rig) pace(ctx context.Context, lane jobs.Lane, perSecond int, d time.Duration) (n int, err error) {
	every := time.NewTicker(2 * time.Millisecond)
	defer every.Stop()
	begun := time.Now()
	for time.Since(begun) < d {
		select {
		case <-ctx.Done():
			return n, ctx.Err()
		case <-every.C:
		}
		for due := int(time.Since(begun).Seconds() * float64(perSecond)); n < due; n++ {
			if _, err := r.js.PublishAsync(r.subjects.Request(lane, ""), job(n, 1)); err != nil {
				return n, fmt.Errorf("publish job %d: %w", n+1, err)
			}
		}
	}
	return n, r.published(ctx)
}

// published waits until NATS has stored all that was published.
func (r *rig) published(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("the NATS server has not confirmed all jobs within a minute"))
	defer cancel()
	select {
	case <-r.js.PublishAsyncComplete():
	case <-ctx.Done():
		return fmt.Errorf("%w\n%s", context.Cause(ctx), r.tails())
	}
	if err := r.refused.Load(); err != nil {
		return fmt.Errorf("a job was not stored: %w", *err)
	}
	return nil
}

// id is the n-th of a run's sessions.
func id(n int) string { return fmt.Sprintf("%08X-BE4C-4000-8000-%012X", n, n) }

func job(from, sessions int) []byte {
	var b strings.Builder
	b.WriteString(`{"sessions":["`)
	for i := range sessions {
		if i > 0 {
			b.WriteString(`","`)
		}
		b.WriteString(id(from + i))
	}
	b.WriteString(`"]}`)
	return []byte(b.String())
}

// await waits until n results are stored since the rig was built, and every job is acknowledged.
func (r *rig) await(ctx context.Context, n int) error {
	results, left := -1, -1
	finished := func() bool {
		results, left = r.messages(ctx, r.subjects.ResultStream()), r.messages(ctx, r.subjects.RequestStream())
		return results >= n && left == 0
	}
	const patience = 3 * time.Minute
	stage.Await(ctx, patience, func() bool { return finished() || r.endedEarly() })
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case r.endedEarly():
		return fmt.Errorf("a process ended by itself after %d of %d results\n%s", results, n, r.tails())
	case results != n || left != 0:
		return fmt.Errorf("%d results for %d jobs, %d jobs not acknowledged, within %v\n%s", results, n, left, patience, r.tails())
	}
	return nil
}

// messages is how many a stream holds; -1 while NATS does not say.
func (r *rig) messages(ctx context.Context, name string) int {
	stream, err := r.js.Stream(ctx, name)
	if err != nil {
		return -1
	}
	return int(stream.CachedInfo().State.Msgs)
}

// A done job is when it was stored, and when its result was: both times are the NATS server's.
type done struct {
	sequence       uint64 // of the job
	jobAt, storeAt time.Time
}

// took is a job's latency in milliseconds.
func (d done) took() float64 { return d.storeAt.Sub(d.jobAt).Seconds() * 1000 }

// results reads all of them, in the order in which they were stored.
func (r *rig) results(ctx context.Context) (all []done, err error) {
	stream, err := r.js.Stream(ctx, r.subjects.ResultStream())
	if err != nil {
		return nil, err
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{HeadersOnly: true})
	if err != nil {
		return nil, err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return nil, err
	}
	defer messages.Stop()
	for range stream.CachedInfo().State.Msgs {
		msg, err := messages.Next(jetstream.NextMaxWait(30 * time.Second))
		if err != nil {
			return nil, fmt.Errorf("read result %d: %w", len(all)+1, err)
		}
		d, err := read(msg)
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
}

// read reads the job's sequence and time from the key that ends the result's subject.
func read(msg jetstream.Msg) (d done, err error) {
	meta, err := msg.Metadata()
	if err != nil {
		return d, err
	}
	key := msg.Subject()[strings.LastIndexByte(msg.Subject(), '.')+1:]
	sequence, nanos, _ := strings.Cut(key, "-")
	n, err1 := strconv.ParseUint(sequence, 10, 64)
	at, err2 := strconv.ParseInt(nanos, 10, 64)
	return done{sequence: n, jobAt: time.Unix(0, at), storeAt: meta.Timestamp}, errors.Join(err1, err2)
}

// latencies are those of all results, in order.
func (r *rig) latencies(ctx context.Context) (all []float64, err error) {
	results, err := r.results(ctx)
	for _, d := range results {
		all = append(all, d.took())
	}
	slices.Sort(all)
	return all, err
}

package main

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker/stage"
)

// stored measures what results cost the NATS server that keeps them: the memory and the disk, a look-up by subject as
// the worker does it for a job that came again, and the start of the server and of a worker.
func stored(ctx context.Context, b *bench, subject string) error {
	n := b.scaled(1_000_000)
	return b.on(ctx, instant, func(r *rig) error {
		keys, err := r.storeResults(ctx, n)
		if err != nil {
			return err
		}
		with, err := used(r.node.Process)
		if err != nil {
			return err
		}
		disk, err := size(r.dir)
		if err != nil {
			return err
		}
		note := func(measure string, value float64) { b.figures.note("stored", measure, subject, value) }
		note("memory of NATS, MiB", with.rss)
		note("disk of NATS, MB", disk/1e6)
		if err := r.lookUp(ctx, keys, note); err != nil {
			return err
		}
		again, err := r.restart(ctx)
		if err != nil {
			return err
		}
		note("start of NATS to an answer, s", again.Seconds())
		with, err = used(r.node.Process)
		if err != nil {
			return err
		}
		note("memory of NATS after a start, MiB", with.rss)
		begun := time.Now()
		if _, err := r.startReady(ctx, theWorker); err != nil {
			return err
		}
		note("start of a worker to ready, ms", time.Since(begun).Seconds()*1000)
		return nil
	})
}

// storeResults stores results of jobs of one session, as a worker makes them, and returns the keys of their jobs.
func (r *rig) storeResults(ctx context.Context, n int) (keys []string, err error) {
	begun := time.Now()
	for i := range n {
		at := begun.Add(time.Duration(i) * 37 * time.Microsecond)
		key := jobs.Key(uint64(i+1), at)
		result := jobs.Result{
			Version: jobs.ResultVersion, JobID: key, Status: jobs.Done, Lane: jobs.Bulk, Worker: "logoff-worker-7d4b9c6f5-x2x8k", Deliveries: 1,
			Sessions:    []jobs.SessionResult{{ID: id(i), Outcome: jobs.Accepted, Attempts: 1, RequestID: fmt.Sprintf("logoff-worker-7d4b9c6f5-x2x8k-%x", i/200)}},
			RequestedAt: at, ReceivedAt: at.Add(3 * time.Millisecond), CompletedAt: at.Add(52 * time.Millisecond), TimeToLogoffMS: 52,
		}
		result.Conclude()
		msg := nats.NewMsg(r.subjects.Result(key, key))
		if msg.Data, err = result.Append(nil, 0); err != nil {
			return nil, err
		}
		msg.Header = nats.Header{jobs.StatusHeader: {string(result.Status)}}
		if _, err := r.js.PublishMsgAsync(msg, jetstream.WithStallWait(time.Minute)); err != nil {
			return nil, fmt.Errorf("store result %d of %d: %w", i+1, n, err)
		}
		if i%max(1, n/1000) == 0 {
			keys = append(keys, key)
		}
	}
	return keys, r.published(ctx)
}

// lookUp looks some results up, one after the other.
func (r *rig) lookUp(ctx context.Context, keys []string, note func(string, float64)) error {
	stream, err := r.js.Stream(ctx, r.subjects.ResultStream())
	if err != nil {
		return err
	}
	rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	var took []float64
	for _, key := range keys {
		begun := time.Now()
		if _, err := stream.GetLastMsgForSubject(ctx, r.subjects.Result(key, key)); err != nil {
			return fmt.Errorf("look up the result %s: %w", key, err)
		}
		took = append(took, time.Since(begun).Seconds()*1000)
	}
	slices.Sort(took)
	for _, q := range []int{50, 99} {
		note(fmt.Sprintf("look-up p%d, ms", q), quantile(took, q))
	}
	return nil
}

// restart stops the NATS server and starts it again, and returns how long it was until it answered for the results.
func (r *rig) restart(ctx context.Context) (time.Duration, error) {
	r.nc.Close()
	if err := r.node.Process.Stop(time.Minute); err != nil {
		return 0, err
	}
	begun := time.Now()
	if err := r.node.Start(); err != nil {
		return 0, err
	}
	const patience = 5 * time.Minute
	if !stage.Await(ctx, patience, func() bool { return r.connect() == nil && r.messages(ctx, r.subjects.ResultStream()) >= 0 }) {
		return 0, fmt.Errorf("the NATS server does not answer for its streams within %v of a start\n%s", patience, r.node.Out.Tail())
	}
	return time.Since(begun), nil
}

// size is how many bytes the files of a folder have.
func size(dir string) (bytes float64, err error) {
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			bytes += float64(info.Size())
		}
		return err
	})
	return bytes, err
}

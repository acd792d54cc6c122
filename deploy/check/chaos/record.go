package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker/history"
	"logoffworker/worker/stage"
)

// record reads everything for the last time, stops the workers, and returns all of it as one history.
func (w *world) record(ctx context.Context) (_ *history.History, err error) {
	fmt.Fprintln(w.out, "chaos: all faults have healed; reading the record")
	for _, d := range []*deployment{w.solo, w.trio} {
		for _, r := range d.workers {
			r.look(ctx, true)
		}
	}
	h := &history.History{
		Run: history.Run{
			Seed: w.seed, Begin: w.begin, End: time.Now(), Healed: w.healed, Poison: w.poison, Canaries: w.canaries,
			Versions: versions(),
		},
		Faults: w.faults, Samples: w.samples, Outputs: w.outputs,
	}
	if w.chains, err = w.web.chains(ctx); err != nil {
		return nil, err
	}
	if w.outputs["bucket"], err = w.trio.sealed(ctx); err != nil {
		return nil, fmt.Errorf("read the shared access token: %w", err)
	}
	journal, err := w.web.Journal(ctx, "logoff", 0)
	if err != nil {
		return nil, err
	}
	for _, request := range journal {
		h.Requests = append(h.Requests, asked(request))
	}
	for _, d := range []*deployment{w.solo, w.trio} {
		if err := d.record(ctx, h); err != nil {
			return nil, err
		}
		if err := w.audit(ctx, d); err != nil {
			return nil, err
		}
	}
	for _, c := range w.counters {
		h.Counters = append(h.Counters, c)
	}
	return h, nil
}

func versions() map[string]string {
	v := map[string]string{"go": runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" || s.Key == "vcs.modified" {
			v[s.Key] = s.Value
		}
	}
	for _, m := range info.Deps {
		if m.Path == "github.com/nats-io/nats-server/v2" || m.Path == "github.com/nats-io/nats.go" {
			v[m.Path] = m.Version
			if m.Replace != nil { // by an older server
				v[m.Path] = m.Replace.Version
			}
		}
	}
	return v
}

// record adds what is to be read from a deployment.
func (d *deployment) record(ctx context.Context, h *history.History) (err error) {
	for _, m := range d.load.published {
		h.Published = append(h.Published, m.Published)
	}
	for _, part := range []struct {
		stream string
		into   *[]history.Stored
	}{
		{d.subjects.ResultStream(), &h.Results},
		{d.subjects.DeadStream(), &h.Dead},
		{d.subjects.AuditStream(), &h.Acts},
	} {
		if err := d.dump(ctx, part.stream, part.into); err != nil {
			return fmt.Errorf("read %s: %w", part.stream, err)
		}
	}
	h.Acts = slices.DeleteFunc(h.Acts, func(s history.Stored) bool { return s.Subject == d.subjects.Digests() })
	if err := d.recordQueues(ctx, h); err != nil {
		return err
	}
	if err := d.dumpLeft(ctx, h); err != nil {
		return err
	}
	if err := d.stopWorkers(); err != nil {
		return err
	}
	d.mu.Lock()
	h.Acks = append(h.Acks, d.acks...)
	d.mu.Unlock()
	h.Outputs["log-"+d.subjects.Prefix] = d.log.Bytes()
	h.Outputs["operator-"+d.subjects.Prefix] = d.operator.log.Bytes()
	return nil
}

// dump reads a stream from its beginning to its end.
func (d *deployment) dump(ctx context.Context, stream string, into *[]history.Stored) error {
	handle, err := d.js.Stream(ctx, stream)
	if err != nil {
		return err
	}
	left := int(handle.CachedInfo().State.Msgs)
	if left == 0 {
		return nil
	}
	consumer, err := handle.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	for ; left > 0; left-- {
		msg, err := messages.Next(jetstream.NextMaxWait(30 * time.Second))
		if err != nil {
			return err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return err
		}
		*into = append(*into, history.Stored{
			Deployment: d.subjects.Prefix, Subject: msg.Subject(), Sequence: meta.Sequence.Stream,
			Time: meta.Timestamp, Header: msg.Headers(), Data: msg.Data(),
		})
	}
	return nil
}

// dumpLeft reads the jobs that are left, by their sequence numbers: a work queue can be read in no other way.
func (d *deployment) dumpLeft(ctx context.Context, h *history.History) error {
	handle, err := d.js.Stream(ctx, d.subjects.RequestStream())
	if err != nil {
		return err
	}
	state := handle.CachedInfo().State
	for sequence := state.FirstSeq; state.Msgs > 0 && sequence <= state.LastSeq; sequence++ {
		msg, err := handle.GetMsg(ctx, sequence)
		if err != nil {
			continue // gone, as it should be
		}
		h.Left = append(h.Left, history.Stored{
			Deployment: d.subjects.Prefix, Subject: msg.Subject, Sequence: sequence, Time: msg.Time, Header: msg.Header, Data: msg.Data,
		})
	}
	return nil
}

func (d *deployment) recordQueues(ctx context.Context, h *history.History) error {
	for _, lane := range jobs.Lanes {
		consumer, err := d.js.Consumer(ctx, d.subjects.RequestStream(), string(lane))
		if err != nil {
			return err
		}
		info := consumer.CachedInfo()
		h.Queues = append(h.Queues, history.Queue{Deployment: d.subjects.Prefix, Lane: lane, Pending: int(info.NumPending), AckPending: info.NumAckPending})
	}
	return nil
}

// stopWorkers stops them as an operator does.
func (d *deployment) stopWorkers() error {
	for _, r := range d.workers {
		if err := r.process.Stop(20 * time.Second); err != nil {
			return err
		}
	}
	return nil
}

// races are the data races that the race detector has seen.
func (w *world) races() int {
	n := 0
	for _, d := range []*deployment{w.solo, w.trio} {
		for _, out := range []*stage.Output{d.log, d.operator.log} {
			n += out.Count(0, "WARNING: DATA RACE")
		}
	}
	return n
}

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker/stage"
)

// natsFaults are the ways in which a NATS server, its disk and the network to it fail, and what operators do to
// it.
func (w *world) natsFaults() []fault {
	d := w.solo
	faults := []fault{
		{name: "nats/kill", inject: d.killNATS},
		{name: "nats/restart", inject: d.restartNATS},
		{name: "nats/freeze", inject: d.freezeNATS},
		{name: "nats/cut", inject: d.cutNATS},
		{name: "nats/cut-one", inject: d.cutOne},
		{name: "nats/black-hole-there", inject: d.blackHole("upstream")},
		{name: "nats/black-hole-back", inject: d.blackHole("downstream")},
		{name: "nats/slow", inject: d.slowNATS},
		{name: "nats/results-full", inject: d.fill(d.subjects.ResultStream(), "the stream is full")},
		{name: "nats/dead-full", inject: d.fill(d.subjects.DeadStream(), "the stream is full")},
		{name: "nats/jobs-full", inject: d.fillJobs},
		{name: "nats/consumer-deleted", inject: d.deleteConsumers},
		{name: "nats/purge", inject: d.purge},
		{name: "nats/no-results", inject: d.forbid(d.subjects.Prefix + ".results.>")},
		{name: "nats/no-acks", inject: d.forbid("$JS.ACK.>")},
		{name: "nats/hostile", inject: d.hostileBurst},
	}
	if w.unmount != nil {
		faults = append(faults, fault{name: "nats/disk-full", inject: d.fillDisk})
	}
	return faults
}

// unready waits until the readiness probe of a worker says the words, and returns how many workers say them.
func (d *deployment) unready(ctx context.Context, words string) (n int) {
	stage.Await(ctx, 20*time.Second, func() bool {
		n = 0
		for _, r := range d.workers {
			n += bytes.Count(r.page(ctx, "/readyz"), []byte(words))
		}
		return n > 0
	})
	return n
}

const notReady = "workers whose probe said why"

const (
	saidSo   = "times that workers said so"
	unstored = "cannot be stored"
)

// reconnects waits until a connection of ours was made again, and returns how often that was.
func reconnects(ctx context.Context, nc *nats.Conn, before uint64) int {
	stage.Await(ctx, 20*time.Second, func() bool { return nc.Stats().Reconnects > before })
	return int(nc.Stats().Reconnects - before)
}

const again = "connections made again"

func (d *deployment) killNATS(ctx context.Context, random *rand.Rand) (int, string, error) {
	before := d.admin.Stats().Reconnects
	d.nodes[0].Process.Kill()
	stage.Pause(ctx, time.Duration(200+random.IntN(2500))*time.Millisecond)
	err := d.nodes[0].Start()
	return reconnects(ctx, d.admin, before), again, err
}

func (d *deployment) restartNATS(ctx context.Context, _ *rand.Rand) (int, string, error) {
	before := d.admin.Stats().Reconnects
	d.nodes[0].Process.Signal(syscall.SIGTERM)
	if !d.nodes[0].Process.EndsWithin(20 * time.Second) {
		return 0, again, errors.New("the NATS server did not stop")
	}
	err := d.nodes[0].Start()
	return reconnects(ctx, d.admin, before), again, err
}

func (d *deployment) freezeNATS(ctx context.Context, random *rand.Rand) (int, string, error) {
	d.nodes[0].Process.Signal(syscall.SIGSTOP)
	frozen := 0
	for end := time.Now().Add(time.Duration(1000+random.IntN(4000)) * time.Millisecond); time.Now().Before(end) && stage.Pause(ctx, 100*time.Millisecond); {
		frozen += oneIf(d.nodes[0].Process.Frozen())
	}
	d.nodes[0].Process.Signal(syscall.SIGCONT)
	return frozen, stoodStill, nil
}

func (d *deployment) cutNATS(ctx context.Context, random *rand.Rand) (int, string, error) {
	stage.Await(ctx, 10*time.Second, d.load.nc.IsConnected)
	before := d.load.nc.Stats().Reconnects
	d.toNATS.cut()
	stage.Pause(ctx, time.Duration(300+random.IntN(3000))*time.Millisecond)
	err := d.toNATS.mend()
	return reconnects(ctx, d.load.nc, before), again, err
}

// cutOne cuts one worker off the network for longer than a lease.
func (d *deployment) cutOne(ctx context.Context, random *rand.Rand) (int, string, error) {
	r := d.workers[random.IntN(len(d.workers))]
	r.attacked.Lock()
	defer r.attacked.Unlock()
	r.toNATS.cut()
	told := 0
	for end := time.Now().Add(ackWait + time.Second); time.Now().Before(end) && stage.Pause(ctx, 100*time.Millisecond); {
		told += bytes.Count(r.page(ctx, "/readyz"), []byte("it is tried again and again"))
	}
	return told, "times that its probe said so", r.toNATS.mend()
}

// blackHole drops what is sent in one direction, without an error on either side.
func (d *deployment) blackHole(stream string) func(context.Context, *rand.Rand) (int, string, error) {
	return func(ctx context.Context, random *rand.Rand) (int, string, error) {
		stage.Await(ctx, 10*time.Second, d.load.nc.IsConnected)
		if err := d.toNATS.each(func(l *link) error { return l.blackHole(stream) }); err != nil {
			return 0, "", err
		}
		silent := false
		stage.Await(ctx, 5*time.Second, func() bool { silent = d.load.nc.FlushTimeout(time.Second) != nil; return silent })
		stage.Pause(ctx, time.Duration(1000+random.IntN(5000))*time.Millisecond)
		d.toNATS.heal(ctx)
		return oneIf(silent), "pings without an answer", nil
	}
}

func (d *deployment) slowNATS(ctx context.Context, _ *rand.Rand) (int, string, error) {
	stage.Await(ctx, 10*time.Second, d.load.nc.IsConnected)
	if err := d.toNATS.each(func(l *link) error { return l.slow(400, 300) }); err != nil {
		return 0, "", err
	}
	took, err := d.load.nc.RTT()
	stage.Pause(ctx, 3*time.Second)
	d.toNATS.heal(ctx)
	if err != nil {
		took = time.Second // no answer at all
	}
	return int(took.Milliseconds() / 50), "a ping's time in 50 ms", nil
}

// limit changes the most messages that a stream takes.
func (d *deployment) limit(ctx context.Context, stream string, messages func(jetstream.StreamState) int64) error {
	return d.change(ctx, stream, func(c *jetstream.StreamConfig, state jetstream.StreamState) { c.MaxMsgs = messages(state) })
}

// change changes the settings of a stream.
func (d *deployment) change(ctx context.Context, stream string, how func(*jetstream.StreamConfig, jetstream.StreamState)) error {
	var err error
	if !stage.Await(ctx, 20*time.Second, func() bool {
		var handle jetstream.Stream
		if handle, err = d.js.Stream(ctx, stream); err != nil {
			return false
		}
		config := handle.CachedInfo().Config
		how(&config, handle.CachedInfo().State)
		_, err = d.js.UpdateStream(ctx, config)
		return err == nil
	}) {
		return err
	}
	return nil
}

func full(s jetstream.StreamState) int64   { return max(1, int64(s.Msgs)) }
func noLimit(jetstream.StreamState) int64  { return -1 }
func almost(s jetstream.StreamState) int64 { return int64(s.Msgs) + 20 }
func (d *deployment) poisonSome(ctx context.Context) error {
	for range 3 {
		if err := d.load.poison(ctx, jobs.Bulk); err != nil {
			return err
		}
	}
	return nil
}

// fill makes a stream full for a while, and waits until workers name the reason.
func (d *deployment) fill(stream, words string) func(context.Context, *rand.Rand) (int, string, error) {
	return func(ctx context.Context, random *rand.Rand) (int, string, error) {
		if err := d.limit(ctx, stream, full); err != nil {
			return 0, saidSo, err
		}
		if err := d.poisonSome(ctx); err != nil {
			return 0, saidSo, err
		}
		told := d.unready(ctx, words)
		stage.Pause(ctx, time.Duration(500+random.IntN(1500))*time.Millisecond)
		return told, notReady, d.limit(ctx, stream, noLimit)
	}
}

// fillJobs lets the request stream refuse publishers.
func (d *deployment) fillJobs(ctx context.Context, _ *rand.Rand) (int, string, error) {
	before := d.load.refused()
	if err := d.limit(ctx, d.subjects.RequestStream(), almost); err != nil {
		return 0, "", err
	}
	// While workers keep up the stream is never full; a Web Server that is down lets it fill up.
	err := d.world.web.Ask(ctx, "POST /faults", `{"fault":"status","status":503,"count":30}`, nil)
	stage.Await(ctx, 8*time.Second, func() bool { return d.load.refused() > before })
	return d.load.refused() - before, "jobs refused", errors.Join(err, d.limit(ctx, d.subjects.RequestStream(), noLimit))
}

// deleteConsumers deletes both lanes' consumers. Workers make them anew; their leases are made short
// again then.
func (d *deployment) deleteConsumers(ctx context.Context, _ *rand.Rand) (int, string, error) {
	deleted := 0
	stage.Await(ctx, 20*time.Second, func() bool {
		for _, lane := range jobs.Lanes {
			if d.js.DeleteConsumer(ctx, d.subjects.RequestStream(), string(lane)) == nil {
				deleted++
			}
		}
		return deleted > 0
	})
	var err error
	if !stage.Await(ctx, 30*time.Second, func() bool { err = d.shortLeases(ctx); return err == nil }) {
		return deleted, "", err
	}
	return deleted, "consumers deleted", nil
}

// purge tries to purge the stream, which it must not allow.
func (d *deployment) purge(ctx context.Context, _ *rand.Rand) (int, string, error) {
	refused := 0
	stage.Await(ctx, 15*time.Second, func() bool {
		stream, err := d.js.Stream(ctx, d.subjects.RequestStream())
		if err != nil {
			return false
		}
		var api *jetstream.APIError
		if errors.As(stream.Purge(ctx), &api) {
			refused++
		}
		return refused > 0
	})
	return refused, "purges refused", nil
}

// forbid takes a permission away from workers while they run.
func (d *deployment) forbid(subject string) func(context.Context, *rand.Rand) (int, string, error) {
	return func(ctx context.Context, random *rand.Rand) (int, string, error) {
		if err := d.nodes[0].Permit(subject); err != nil {
			return 0, saidSo, err
		}
		told := d.unready(ctx, "permission is missing")
		stage.Pause(ctx, time.Duration(500+random.IntN(1500))*time.Millisecond)
		return told, notReady, d.nodes[0].Permit("")
	}
}

func (d *deployment) hostileBurst(ctx context.Context, _ *rand.Rand) (int, string, error) {
	before, err := d.refused(ctx)
	if err != nil {
		return 0, "", err
	}
	for i, data := range hostile() {
		d.load.bad(jobs.Lanes[i%len(jobs.Lanes)], data)
	}
	now := before
	stage.Await(ctx, 15*time.Second, func() bool {
		now, err = d.refused(ctx)
		return err != nil || now >= before+len(hostile())
	})
	return now - before, "messages refused", err
}

// refused is how many messages that are no jobs have a dead letter. Another fault may keep the server from saying so
// for a while.
func (d *deployment) refused(ctx context.Context) (n int, err error) {
	stage.Await(ctx, 20*time.Second, func() bool {
		n, err = d.refusedNow(ctx)
		return err == nil
	})
	return n, err
}

func (d *deployment) refusedNow(ctx context.Context) (n int, err error) {
	subject := d.subjects.Dead(jobs.Invalid)
	stream, err := d.js.Stream(ctx, d.subjects.DeadStream())
	if err != nil {
		return 0, err
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(subject))
	if err != nil {
		return 0, err
	}
	return int(info.State.Subjects[subject]), nil
}

// fillDisk leaves the NATS server no space, then frees it and starts the server anew, as
// worker/README.md tells operators to.
func (d *deployment) fillDisk(ctx context.Context, random *rand.Rand) (int, string, error) {
	store := filepath.Dir(d.nodes[0].Store)
	ballast := filepath.Join(store, "ballast")
	file, err := os.Create(ballast)
	if err != nil {
		return 0, saidSo, err
	}
	_, err = io.Copy(file, zeros{})
	file.Close()
	if err == nil || !strings.Contains(err.Error(), "no space") {
		return 0, saidSo, errors.Join(errors.New("the disk was not filled"), err)
	}
	told := d.unready(ctx, unstored)
	stage.Pause(ctx, time.Duration(500+random.IntN(1500))*time.Millisecond)
	if err := os.Remove(ballast); err != nil {
		return told, notReady, err
	}
	d.nodes[0].Process.Kill()
	return told, notReady, d.nodes[0].Start()
}

// zeros never end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

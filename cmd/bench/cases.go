package main

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/stage"
)

// A benchCase measures one thing, of one subject at a time.
type benchCase struct {
	name     string
	subjects []string
	run      func(ctx context.Context, b *bench, subject string) error
}

var both = []string{theWorker, theFloor}

var cases = []benchCase{
	{"flood", both, flood},
	{"realistic", both, realistic},
	{"steady", both, steady},
	{"urgent", both, urgent},
	{"outage", []string{theWorker}, outage},
	{"poison", []string{theWorker}, poison},
	{"idle", []string{theWorker}, idle},
	{"backlog", []string{theWorker}, backlog},
	{"replicas", []string{theWorker}, replicas},
}

func caseNames() (names []string) {
	for _, c := range cases {
		names = append(names, c.name)
	}
	return names
}

// ordinary is a Web Server as people have it: 40 ms for a request and 20 µs for a session, eight
// requests at once.
var ordinary = []string{"-latency", "40ms", "-latency-per-session", "20us", "-concurrency", "8"}

// drain lets a subject work n waiting jobs, and returns its process and how long it took from the first
// result to the last, the pull of the first included.
func (b *bench) drain(ctx context.Context, r *rig, subject string, n int) (p *stage.Process, took time.Duration, err error) {
	if p, err = r.start(subject); err != nil {
		return p, 0, err
	}
	begun := time.Now()
	if err := r.ready(ctx, p); err != nil {
		return p, 0, err
	}
	if err := r.await(ctx, n); err != nil {
		return p, 0, err
	}
	results, err := r.results(ctx)
	if err != nil {
		return p, 0, err
	}
	first := results[0].storeAt
	if first.Before(begun) {
		first = begun
	}
	return p, results[len(results)-1].storeAt.Sub(first), nil
}

// flood: very many jobs wait, and the Web Server takes no time.
func flood(ctx context.Context, b *bench, subject string) error {
	n := b.scaled(100_000)
	r, err := b.rig(ctx)
	if err != nil {
		return err
	}
	defer r.close()
	if err := r.publish(jobs.Bulk, 0, n, 1); err != nil {
		return err
	}
	p, took, err := b.drain(ctx, r, subject, n)
	if err != nil {
		return err
	}
	used, err := cpu(p)
	if err != nil {
		return err
	}
	peak, err := memory(p, "VmHWM")
	b.note("flood: jobs/s", subject, float64(n)/took.Seconds())
	b.note("flood: CPU s per 100,000 jobs", subject, used*100_000/float64(n))
	b.note("flood: peak RSS, MiB", subject, peak)
	return err
}

// realistic: many jobs wait at an ordinary Web Server.
func realistic(ctx context.Context, b *bench, subject string) error {
	n := b.scaled(20_000)
	r, err := b.rig(ctx, ordinary...)
	if err != nil {
		return err
	}
	defer r.close()
	if err := r.publish(jobs.Bulk, 0, n, 1); err != nil {
		return err
	}
	_, took, err := b.drain(ctx, r, subject, n)
	if err != nil {
		return err
	}
	requests, err := r.web.Journal(ctx, "logoff", 0)
	if err != nil {
		return err
	}
	b.note("realistic: jobs/s", subject, float64(n)/took.Seconds())
	b.note("realistic: requests", subject, float64(len(requests)))
	b.note("realistic: mean document", subject, float64(n)/float64(len(requests)))
	return nil
}

// steady: jobs come all the time, fewer than the Web Server can take.
func steady(ctx context.Context, b *bench, subject string) error {
	r, err := b.rig(ctx, ordinary...)
	if err != nil {
		return err
	}
	defer r.close()
	p, err := r.start(subject)
	if err != nil {
		return err
	}
	if err := r.ready(ctx, p); err != nil {
		return err
	}
	before, err := cpu(p)
	if err != nil {
		return err
	}
	n, err := r.pace(ctx, jobs.Bulk, 0, 500, time.Duration(20*b.scale*float64(time.Second)))
	if err != nil {
		return err
	}
	if err := r.await(ctx, n); err != nil {
		return err
	}
	used, err := cpu(p)
	if err != nil {
		return err
	}
	latencies, err := r.latencies(ctx, nil)
	if err != nil {
		return err
	}
	for _, q := range []int{50, 95, 99} {
		b.note(fmt.Sprintf("steady: p%d, ms", q), subject, quantile(latencies, q))
	}
	b.note("steady: CPU, s", subject, used-before)
	return nil
}

// latencies are the times from a job being stored to its result being so, in ms and in order, of those
// that are wanted.
func (r *rig) latencies(ctx context.Context, wanted func(done) bool) (all []float64, err error) {
	results, err := r.results(ctx)
	for _, d := range results {
		if wanted == nil || wanted(d) {
			all = append(all, d.storeAt.Sub(d.jobAt).Seconds()*1000)
		}
	}
	slices.Sort(all)
	return all, err
}

func quantile(sorted []float64, percent int) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	return sorted[min(len(sorted)-1, len(sorted)*percent/100)]
}

// urgent: urgent jobs come while a bulk list is being worked, and then without one. The floor shows how
// long the list alone takes.
func urgent(ctx context.Context, b *bench, subject string) error {
	list := b.scaled(200)
	r, err := b.rig(ctx, ordinary...)
	if err != nil {
		return err
	}
	defer r.close()
	p, err := r.start(subject)
	if err != nil {
		return err
	}
	if err := r.ready(ctx, p); err != nil {
		return err
	}
	if subject == theWorker {
		quiet, err := r.pace(ctx, jobs.Urgent, 0, 10, time.Duration(10*b.scale*float64(time.Second)))
		if err != nil {
			return err
		}
		if err := r.await(ctx, quiet); err != nil {
			return err
		}
		alone, err := r.latencies(ctx, nil)
		if err != nil {
			return err
		}
		b.note("urgent: p50 without bulk, ms", subject, quantile(alone, 50))
		b.note("urgent: p99 without bulk, ms", subject, quantile(alone, 99))
	}
	return b.urgentUnderBulk(ctx, r, subject, list)
}

func (b *bench) urgentUnderBulk(ctx context.Context, r *rig, subject string, list int) error {
	before := r.stored(ctx)
	begun := time.Now()
	if err := r.publish(jobs.Bulk, 1_000_000, list, 500); err != nil {
		return err
	}
	stream, err := r.js.Stream(ctx, r.subjects.RequestStream())
	if err != nil {
		return err
	}
	lastOfBulk := stream.CachedInfo().State.LastSeq // what comes later is urgent
	came := 0
	if subject == theWorker {
		// As long as the list takes, which is some seconds: eight documents of 1,000 in 60 ms.
		if came, err = r.pace(ctx, jobs.Urgent, 500_000, 10, time.Duration(float64(list)*500/1000*60/8)*time.Millisecond); err != nil {
			return err
		}
	}
	if err := r.await(ctx, before+list+came); err != nil {
		return err
	}
	results, err := r.results(ctx)
	if err != nil {
		return err
	}
	var urgent []float64
	var last time.Time
	for _, d := range results[before:] {
		if d.sequence > lastOfBulk {
			urgent = append(urgent, d.storeAt.Sub(d.jobAt).Seconds()*1000)
		} else if d.storeAt.After(last) {
			last = d.storeAt
		}
	}
	slices.Sort(urgent)
	if subject == theWorker {
		b.note("urgent: p50 under bulk, ms", subject, quantile(urgent, 50))
		b.note("urgent: p99 under bulk, ms", subject, quantile(urgent, 99))
	}
	b.note("urgent: bulk list, s", subject, last.Sub(begun).Seconds())
	return nil
}

// outage: the Web Server answers 503 for three seconds while jobs come.
func outage(ctx context.Context, b *bench, subject string) error {
	r, err := b.rig(ctx, ordinary...)
	if err != nil {
		return err
	}
	defer r.close()
	p, err := r.start(subject)
	if err != nil {
		return err
	}
	if err := r.ready(ctx, p); err != nil {
		return err
	}
	const down = 3 * time.Second
	var measured time.Duration
	failed := make(chan error, 1)
	go func() {
		stage.Pause(ctx, time.Second)
		begun := time.Now()
		err := r.web.Ask(ctx, http.MethodPut, "/settings", map[string]int{"down": 503}, nil)
		stage.Pause(ctx, down)
		if err == nil {
			err = r.web.Ask(ctx, http.MethodPut, "/settings", map[string]int{"down": 0}, nil)
		}
		measured = time.Since(begun)
		failed <- err
	}()
	n, err := r.pace(ctx, jobs.Bulk, 0, 200, 6*time.Second)
	if err != nil {
		return err
	}
	if err := <-failed; err != nil {
		return err
	}
	if err := r.await(ctx, n); err != nil {
		return err
	}
	latencies, err := r.latencies(ctx, nil)
	if err != nil {
		return err
	}
	b.note("outage: p99 beyond it, ms", subject, quantile(latencies, 99)-measured.Seconds()*1000)
	b.note("outage: longest beyond it, ms", subject, quantile(latencies, 100)-measured.Seconds()*1000)
	return nil
}

// poison: one session of 500 is refused.
func poison(ctx context.Context, b *bench, subject string) error {
	n := b.scaled(5000)
	r, err := b.rig(ctx, "-latency", "5ms")
	if err != nil {
		return err
	}
	defer r.close()
	bad := map[string]int{}
	for i := 250; i < n; i += 500 {
		bad[id(i)] = http.StatusBadRequest
	}
	if err := r.web.Ask(ctx, http.MethodPut, "/settings", map[string]any{"badIDs": bad}, nil); err != nil {
		return err
	}
	if err := r.publish(jobs.Bulk, 0, n, 1); err != nil {
		return err
	}
	p, err := r.start(subject, "LOGOFF_BATCH_MAX_SESSIONS=500")
	if err != nil {
		return err
	}
	if err := r.ready(ctx, p); err != nil {
		return err
	}
	if err := r.await(ctx, n); err != nil {
		return err
	}
	requests, err := r.web.Journal(ctx, "logoff", 0)
	if err != nil {
		return err
	}
	theory := math.Ceil(float64(n)/500) + 2*math.Log2(500)*float64(len(bad))
	b.note("poison: requests", subject, float64(len(requests)))
	b.note("poison: requests", "theory", theory)
	return nil
}

// idle: nothing to do.
func idle(ctx context.Context, b *bench, subject string) error {
	r, err := b.rig(ctx, ordinary...)
	if err != nil {
		return err
	}
	defer r.close()
	begun := time.Now()
	p, err := r.start(subject)
	if err != nil {
		return err
	}
	if err := r.ready(ctx, p); err != nil {
		return err
	}
	b.note("idle: start to ready, ms", subject, time.Since(begun).Seconds()*1000)
	before, err := cpu(p)
	if err != nil {
		return err
	}
	window := time.Duration(20 * b.scale * float64(time.Second))
	if !stage.Pause(ctx, window) {
		return ctx.Err()
	}
	used, err := cpu(p)
	if err != nil {
		return err
	}
	rss, err := memory(p, "VmRSS")
	if err != nil {
		return err
	}
	b.note("idle: CPU of one core, %", subject, 100*(used-before)/window.Seconds())
	b.note("idle: RSS, MiB", subject, rss)
	file, err := os.Stat(filepath.Join(b.dir, "logoff-worker"))
	if err != nil {
		return err
	}
	b.note("idle: binary, MB", subject, float64(file.Size())/1e6)
	return r.stop(p)
}

// backlog: the peak of memory does not depend on how much waits.
func backlog(ctx context.Context, b *bench, subject string) error {
	for _, n := range []int{100_000, 1_000_000} {
		if err := func() error {
			r, err := b.rig(ctx)
			if err != nil {
				return err
			}
			defer r.close()
			if err := r.publish(jobs.Bulk, 0, b.scaled(n), 1); err != nil {
				return err
			}
			p, err := r.start(subject)
			if err != nil {
				return err
			}
			if err := r.await(ctx, b.scaled(n)); err != nil {
				return err
			}
			peak, err := memory(p, "VmHWM")
			b.note(fmt.Sprintf("backlog of %d: peak RSS, MiB", n), subject, peak)
			return err
		}(); err != nil {
			return err
		}
	}
	return nil
}

// replicas: two workers at a Web Server that takes long, each with slots of its own.
func replicas(ctx context.Context, b *bench, subject string) error {
	n := b.scaled(20_000)
	for _, count := range []int{1, 2} {
		if err := func() error {
			r, err := b.rig(ctx, "-latency", "200ms")
			if err != nil {
				return err
			}
			defer r.close()
			if err := r.publish(jobs.Bulk, 0, n, 1); err != nil {
				return err
			}
			for range count {
				if _, err := r.start(subject, "LOGOFF_SLOTS=4", "LOGOFF_BATCH_MAX_SESSIONS=100"); err != nil {
					return err
				}
			}
			if err := r.await(ctx, n); err != nil {
				return err
			}
			results, err := r.results(ctx)
			if err != nil {
				return err
			}
			took := results[len(results)-1].storeAt.Sub(results[0].storeAt)
			b.note(fmt.Sprintf("replicas: jobs/s of %d", count), subject, float64(n)/took.Seconds())
			return nil
		}(); err != nil {
			return err
		}
	}
	return nil
}

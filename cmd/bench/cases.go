package main

import (
	"context"
	"errors"
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
	name, words string
	subjects    []string
	run         func(ctx context.Context, b *bench, subject string) error
}

// turns is how often the subjects take turns in a round, where goals are judged: what is over in two seconds varies
// most, and then what one job in twenty or in a hundred meets.
func (b *bench) turns(c benchCase) int {
	switch {
	case !b.judged():
		return 1
	case c.name == "flood":
		return 5
	case c.name == "steady", c.name == "bulkflow", c.name == "urgent":
		return 3
	}
	return 1
}

var both = []string{theWorker, theFloor}

var cases = []benchCase{
	{"flood", "100,000 jobs of one session wait; the Web Server takes no time", both, flood},
	{"realistic", "20,000 jobs of one session wait at an ordinary Web Server", both, realistic},
	{"steady", "500 urgent jobs of one session come each second, for 20 s", both, steady("steady", jobs.Urgent)},
	{"bulkflow", "the same with bulk jobs", both, steady("bulkflow", jobs.Bulk)},
	{"urgent", "10 urgent jobs come each second, without bulk and under 15 lists of 200 × 500 sessions", both, urgent},
	{"outage", "200 jobs come each second, and for 3 s the Web Server answers 503", both, outage},
	{"poison", "one session of 500 is refused, 5,000 jobs (the floor cannot)", []string{theWorker}, poison},
	{"idle", "no jobs for 20 s", both, idle},
	{"memory", "the peak with 1,000,000 jobs waiting, and the highest of ten with 100,000", both, memoryOfBacklogs},
	{"stored", "1,000,000 results are stored", []string{theWorker}, stored},
	{"replicas", "one and two processes with 4 slots each at a Web Server that takes 200 ms", both, replicas},
}

// instant is a Web Server that takes no time, ordinary one as customers have it: 40 ms for a request and
// 20 µs for a session, eight requests at once.
var (
	instant  []string
	ordinary = []string{"-latency", fixedLatency.String(), "-latency-per-session", sessionLatency.String(), "-concurrency", "8"}
)

const (
	fixedLatency   = 40 * time.Millisecond
	sessionLatency = 20 * time.Microsecond
)

// request is how long the ordinary Web Server takes for a full document.
const request = fixedLatency + document*sessionLatency

const natsCPU = "CPU s of NATS per 100,000 jobs"

// drain starts a subject at n waiting jobs, and says how long it took from the start of the process to
// the last result, and when the first and the last result were stored.
func (r *rig) drain(ctx context.Context, subject string, n int) (p *stage.Process, whole time.Duration, first, last time.Time, err error) {
	begun := time.Now()
	if p, err = r.start(subject); err != nil {
		return p, 0, first, last, err
	}
	if err := r.await(ctx, n); err != nil {
		return p, 0, first, last, err
	}
	all, err := r.results(ctx)
	if err != nil {
		return p, 0, first, last, err
	}
	first, last = all[0].storeAt, all[len(all)-1].storeAt
	return p, last.Sub(begun), first, last, nil
}

func flood(ctx context.Context, b *bench, subject string) error {
	n := b.scaled(100_000)
	return b.on(ctx, instant, func(r *rig) error {
		if err := r.publish(ctx, 0, n, 1); err != nil {
			return err
		}
		before, err := used(r.node.Process)
		if err != nil {
			return err
		}
		p, _, first, last, err := r.drain(ctx, subject, n)
		if err != nil {
			return err
		}
		subjects, err1 := used(p)
		nats, err2 := used(r.node.Process)
		b.figures.note("flood", "jobs/s", subject, float64(n)/last.Sub(first).Seconds())
		b.figures.note("flood", "CPU s per 100,000 jobs", subject, subjects.cpu*100_000/float64(n))
		b.figures.note("flood", "peak RSS, MiB", subject, subjects.peak)
		b.figures.note("flood", natsCPU, subject, (nats.cpu-before.cpu)*100_000/float64(n))
		return firstOf(err1, err2)
	})
}

func realistic(ctx context.Context, b *bench, subject string) error {
	n := b.scaled(20_000)
	return b.on(ctx, ordinary, func(r *rig) error {
		if err := r.publish(ctx, 0, n, 1); err != nil {
			return err
		}
		before, err := used(r.node.Process)
		if err != nil {
			return err
		}
		_, whole, _, last, err := r.drain(ctx, subject, n)
		if err != nil {
			return err
		}
		nats, err := used(r.node.Process)
		if err != nil {
			return err
		}
		requests, err := r.web.Journal(ctx, "logoff", 0)
		if err != nil {
			return err
		}
		b.figures.note("realistic", "first request to last result, s", subject, last.Sub(requests[0].Time).Seconds())
		b.figures.note("realistic", "process start to last result, s", subject, whole.Seconds())
		b.figures.note("realistic", natsCPU, subject, (nats.cpu-before.cpu)*100_000/float64(n))
		b.figures.note("realistic", "requests", subject, float64(len(requests)))
		return nil
	})
}

// steady measures a flow of jobs of one lane.
func steady(name string, lane jobs.Lane) func(context.Context, *bench, string) error {
	return func(ctx context.Context, b *bench, subject string) error {
		return b.on(ctx, ordinary, func(r *rig) error {
			p, err := r.startReady(ctx, subject)
			if err != nil {
				return err
			}
			before, err := used(p)
			if err != nil {
				return err
			}
			n, err := r.pace(ctx, lane, 500, b.lasting(20*time.Second))
			if err != nil {
				return err
			}
			if err := r.await(ctx, n); err != nil {
				return err
			}
			after, err := used(p)
			if err != nil {
				return err
			}
			latencies, err1 := r.latencies(ctx)
			requests, err2 := r.web.Journal(ctx, "logoff", 0)
			for _, q := range []int{50, 95, 99} {
				b.figures.note(name, fmt.Sprintf("p%d, ms", q), subject, quantile(latencies, q))
			}
			b.figures.note(name, "CPU, s", subject, after.cpu-before.cpu)
			b.figures.note(name, "requests", subject, float64(len(requests)))
			b.figures.note(name, meanAnswer, subject, mean(requests))
			return errors.Join(err1, err2)
		})
	}
}

const meanAnswer = "mean answer of the Web Server, ms"

// mean is how long requests took the Web Server on average, in milliseconds.
func mean(requests []stage.Request) float64 {
	var all int64
	for _, r := range requests {
		all += r.Took
	}
	return float64(all) / 1000 / float64(len(requests))
}

func urgent(ctx context.Context, b *bench, subject string) error {
	const sessions = 500 // of a bulk job
	return b.on(ctx, ordinary, func(r *rig) error {
		if _, err := r.startReady(ctx, subject, fmt.Sprintf("%s=%d", floorBulkJobs, document/sessions), fmt.Sprintf("%s=%d", floorReserved, reserved)); err != nil {
			return err
		}
		n, err := r.pace(ctx, jobs.Urgent, 10, b.lasting(10*time.Second))
		if err != nil {
			return err
		}
		if err := r.await(ctx, n); err != nil {
			return err
		}
		alone, err := r.latencies(ctx)
		if err != nil {
			return err
		}
		var under, lists []float64
		for range max(1, int(15*b.scale)) { // more than 100 urgent jobs in all, so that p99 is not the longest
			some, took, err := r.urgentUnderBulk(ctx, b.scaled(200), sessions)
			if err != nil {
				return err
			}
			under = append(under, some...)
			lists = append(lists, took.Seconds())
		}
		slices.Sort(under)
		slices.Sort(lists)
		b.figures.note("urgent", "a bulk list, s", subject, quantile(lists, 50))
		for where, sorted := range map[string][]float64{"without": alone, "under": under} {
			for _, q := range []int{50, 95, 99} {
				b.figures.note("urgent", fmt.Sprintf("p%d %s bulk, ms", q, where), subject, quantile(sorted, q))
			}
			b.figures.note("urgent", "longest "+where+" bulk, ms", subject, quantile(sorted, 100))
		}
		return nil
	})
}

// urgentUnderBulk publishes a bulk list and then urgent jobs for as long as it takes at best. It returns
// the latencies of the urgent ones, and how long it was until the last of the list.
func (r *rig) urgentUnderBulk(ctx context.Context, list, sessions int) (latencies []float64, took time.Duration, err error) {
	before := r.messages(ctx, r.subjects.ResultStream())
	begun := time.Now()
	if err := r.publish(ctx, 1_000_000, list, sessions); err != nil {
		return nil, 0, err
	}
	stream, err := r.js.Stream(ctx, r.subjects.RequestStream())
	if err != nil {
		return nil, 0, err
	}
	lastOfBulk := stream.CachedInfo().State.LastSeq // what comes later is urgent
	waves := math.Ceil(float64(list*sessions) / document / (slots - reserved))
	came, err := r.pace(ctx, jobs.Urgent, 10, time.Duration(waves*float64(request)))
	if err != nil {
		return nil, 0, err
	}
	if err := r.await(ctx, before+list+came); err != nil {
		return nil, 0, err
	}
	results, err := r.results(ctx)
	if err != nil {
		return nil, 0, err
	}
	for _, d := range results[before:] {
		if d.sequence > lastOfBulk {
			latencies = append(latencies, d.took())
		} else {
			took = d.storeAt.Sub(begun)
		}
	}
	return latencies, took, nil
}

func outage(ctx context.Context, b *bench, subject string) error {
	return b.on(ctx, ordinary, func(r *rig) error {
		if _, err := r.startReady(ctx, subject); err != nil {
			return err
		}
		load := b.lasting(6 * time.Second)
		down := make(chan time.Duration, 1)
		failed := make(chan error, 1)
		go func() {
			d, err := r.takeDown(ctx, load/6, load/2)
			down <- d
			failed <- err
		}()
		n, err := r.pace(ctx, jobs.Bulk, 200, load)
		lasted := <-down
		if err := firstOf(err, <-failed); err != nil {
			return err
		}
		if err := r.await(ctx, n); err != nil {
			return err
		}
		latencies, err := r.latencies(ctx)
		b.figures.note("outage", "p99 beyond it, ms", subject, quantile(latencies, 99)-lasted.Seconds()*1000)
		b.figures.note("outage", "longest beyond it, ms", subject, quantile(latencies, 100)-lasted.Seconds()*1000)
		return err
	})
}

// takeDown makes the Web Server answer 503 after a while, for a while, and returns how long it really
// did.
func (r *rig) takeDown(ctx context.Context, after, lasting time.Duration) (time.Duration, error) {
	stage.Pause(ctx, after)
	begun := time.Now()
	err := r.web.Ask(ctx, "PUT /settings", map[string]int{"down": http.StatusServiceUnavailable}, nil)
	stage.Pause(ctx, lasting)
	if err == nil {
		err = r.web.Ask(ctx, "PUT /settings", map[string]int{"down": 0}, nil)
	}
	return time.Since(begun), err
}

func poison(ctx context.Context, b *bench, subject string) error {
	const one = 500 // of so many is refused, and so many are a document
	n := max(one, b.scaled(5000))
	return b.on(ctx, []string{"-latency", "5ms"}, func(r *rig) error {
		bad := map[string]int{}
		for i := one / 2; i < n; i += one {
			bad[id(i)] = http.StatusBadRequest
		}
		if err := r.web.Ask(ctx, "PUT /settings", map[string]any{"badIDs": bad}, nil); err != nil {
			return err
		}
		if err := r.publish(ctx, 0, n, 1); err != nil {
			return err
		}
		if _, err := r.start(subject, fmt.Sprintf("LOGOFF_BATCH_MAX_SESSIONS=%d", one)); err != nil {
			return err
		}
		if err := r.await(ctx, n); err != nil {
			return err
		}
		requests, err := r.web.Journal(ctx, "logoff", 0)
		b.figures.note("poison", "requests", subject, float64(len(requests)))
		b.figures.note("poison", "requests", theory, math.Ceil(float64(n)/one)+2*math.Log2(one)*float64(len(bad)))
		return err
	})
}

// theory stands beside the subjects where only arithmetic can be the yardstick.
const theory = "theory"

func idle(ctx context.Context, b *bench, subject string) error {
	return b.on(ctx, ordinary, func(r *rig) error {
		begun := time.Now()
		p, err := r.startReady(ctx, subject)
		if err != nil {
			return err
		}
		ready := time.Since(begun)
		before, err := used(p)
		if err != nil {
			return err
		}
		window := b.lasting(20 * time.Second)
		if !stage.Pause(ctx, window) {
			return ctx.Err()
		}
		after, err := used(p)
		if err != nil {
			return err
		}
		b.figures.note("idle", "RSS, MiB", subject, after.rss)
		b.figures.note("idle", "CPU of one core, %", subject, 100*(after.cpu-before.cpu)/window.Seconds())
		b.figures.note("idle", "start to ready, ms", subject, ready.Seconds()*1000)
		if subject != theWorker {
			return nil
		}
		file, err := os.Stat(filepath.Join(b.dir, theProgram))
		if err == nil {
			b.figures.note("idle", "binary, MB", subject, float64(file.Size())/1e6)
		}
		return err
	})
}

// memoryOfBacklogs works as many jobs of either backlog. A peak is the highest of all garbage collections, and a worker
// of ten times the jobs has ten times as many: one worker with the larger backlog stands against ten with the smaller.
func memoryOfBacklogs(ctx context.Context, b *bench, subject string) error {
	const smaller, larger = 100_000, 1_000_000
	for measure, n := range map[string]int{few: smaller, many: larger} {
		highest := 0.0
		for range larger / n {
			peak, err := peakWith(ctx, b, subject, b.scaled(n))
			if err != nil {
				return err
			}
			highest = max(highest, peak)
		}
		b.figures.note("memory", measure, subject, highest)
	}
	return nil
}

// peakWith is the peak RSS, in MiB, of one that finds n jobs waiting.
func peakWith(ctx context.Context, b *bench, subject string, n int) (peak float64, err error) {
	err = b.on(ctx, instant, func(r *rig) error {
		if err := r.publish(ctx, 0, n, 1); err != nil {
			return err
		}
		p, err := r.start(subject)
		if err != nil {
			return err
		}
		if err := r.await(ctx, n); err != nil {
			return err
		}
		u, err := used(p)
		peak = u.peak
		return err
	})
	return peak, err
}

// What memory and replicas measure twice.
const (
	few  = "highest peak RSS of ten with 100,000, MiB"
	many = "peak RSS with 1,000,000, MiB"

	oneReplica  = "jobs/s of one"
	twoReplicas = "jobs/s of two"
)

func replicas(ctx context.Context, b *bench, subject string) error {
	n := b.scaled(20_000)
	for measure, count := range map[string]int{oneReplica: 1, twoReplicas: 2} {
		if err := b.on(ctx, []string{"-latency", "200ms"}, func(r *rig) error {
			if err := r.publish(ctx, 0, n, 1); err != nil {
				return err
			}
			for range count {
				if _, err := r.start(subject, "LOGOFF_SLOTS=4", "LOGOFF_URGENT_SLOTS=1", floorReserved+"=1", "LOGOFF_BATCH_MAX_SESSIONS=100"); err != nil {
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
			b.figures.note("replicas", measure, subject, float64(n)/took.Seconds())
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

package worker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

// Large urgent jobs get only slots that bulk jobs can have, and do not wait for them; smaller ones are looked for first.
func TestLargeUrgentJobsLeaveSlotsToSmallOnes(t *testing.T) {
	for name, test := range map[string]struct {
		lane   jobs.Lane
		small  bool // such a job waits, too
		busy   bool // with bulk jobs
		of     jobs.Lane
		more   bool // is looked for
		waited time.Duration
	}{
		"urgent":                          {lane: jobs.Urgent, small: true, of: jobs.Urgent},
		"urgent, bulk jobs are busy":      {lane: jobs.Urgent, small: true, busy: true, of: jobs.Urgent},
		"only large":                      {lane: jobs.Urgent, of: jobs.Bulk, more: true},
		"only large, bulk jobs are busy":  {lane: jobs.Urgent, busy: true, more: true, waited: 20 * time.Millisecond},
		"bulk":                            {lane: jobs.Bulk, small: true, of: jobs.Bulk},
		"only large bulk jobs":            {lane: jobs.Bulk, of: jobs.Bulk, more: true},
		"only large bulk jobs, all busy":  {lane: jobs.Bulk, busy: true, more: true, waited: time.Second},
		"bulk jobs, and no slot for them": {lane: jobs.Bulk, small: true, busy: true, waited: time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := metrics.New(prometheus.NewRegistry(), metrics.Build{})
			w := &Worker{Config: DefaultConfig(), leases: newLeases(), slots: newSlots(2, 1, m), cap: newDocumentCap(2, m)}
			*w.leases.of(jobs.Urgent) = load{parked: maxParked} // nothing more may be pulled
			l := &lane{w: w, name: test.lane, queue: newQueue(true)}
			l.queue.add(jobNaming("l1", "l2", "l3"), 0, 2)
			if test.small {
				l.queue.add(jobNaming("s"), 0, 2)
			}
			if test.busy {
				defer w.slots.take(t.Context(), jobs.Bulk, jobs.Bulk)()
			}
			ctx, stop := context.WithTimeout(t.Context(), time.Second)
			defer stop()
			begun := time.Now()
			free := l.takeSlot(ctx)
			if (free != nil) != (test.of != "") || time.Since(begun) != test.waited || l.more != test.more {
				t.Errorf("%s: a slot %t, after %v; more is looked for: %t", name, free != nil, time.Since(begun), l.more)
			}
			if free != nil {
				if of := w.slots.taken[len(w.slots.taken)-1].of; of != test.of {
					t.Errorf("%s: the slot is one of %s jobs", name, of)
				}
				free()
			}
		})
	}
}

// publishOf stores jobs of one session each.
func (w withStreams) publishOf(t *testing.T, js jetstream.JetStream, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if _, err := js.Publish(t.Context(), "logoff.requests", []byte(jobWith("CF1C660B-396F-44B7-86DA-5608CEC9745"+id))); err != nil {
			t.Fatal(err)
		}
	}
}

// consumed is how many jobs the consumer of urgent jobs has given out.
func (w withStreams) consumed(t *testing.T, js jetstream.JetStream) uint64 {
	t.Helper()
	c, err := js.Consumer(t.Context(), w.Config.Stream.Subjects.RequestStream(), string(jobs.Urgent))
	if err != nil {
		t.Fatal(err)
	}
	return c.CachedInfo().Delivered.Consumer
}

// A lane waits for jobs as long as it may, pulls none that it may not have, and none at a stop.
func TestLanePullsWhatItMayHave(t *testing.T) {
	withItsStreams(t, nil, func(t *testing.T, w withStreams) {
		js, l := w.jetStream(t), w.newLane(jobs.Urgent)
		stopped, stop := context.WithCancel(t.Context())
		stop()
		waits := func(when string, atLeast, atMost time.Duration, some bool) {
			t.Helper()
			begun := time.Now()
			if is := l.awaitJobs(t.Context()); is != some || time.Since(begun) < atLeast || time.Since(begun) > atMost {
				t.Errorf("%s: jobs %t, after %v", when, is, time.Since(begun))
			}
		}
		const ms = time.Millisecond
		waits("none is there", 1000*ms, 1090*ms, false)
		w.publishOf(t, js, "1", "2", "3", "4", "5")
		of := w.leases.of(jobs.Urgent)
		of.parked = maxParked
		waits("too much is in hand", 100*ms, 150*ms, false)
		of.parked = maxParked + 5
		waits("more than may be is in hand", 100*ms, 150*ms, false)
		of.parked, l.more = 0, true
		l.each = 200 // sessions in a job, so that one is enough
		l.fill(stopped)
		if n := w.consumed(t, js); n != 0 {
			t.Errorf("%d jobs are pulled that may not be in hand, or at a stop", n)
		}
		waits("some are there", 0, 50*ms, true)
		if all, _ := l.queue.length(); all != 1 || !l.more {
			t.Errorf("%d sessions wait; there is more: %t", all, l.more)
		}
		of.parked = maxParked
		l.fill(t.Context())
		if all, _ := l.queue.length(); all != 1 {
			t.Errorf("%d sessions wait that there is no room for", all-1)
		}
		of.parked, l.more = 0, false
		l.fill(t.Context())
		if all, _ := l.queue.length(); all != 1 {
			t.Errorf("%d sessions wait after a look that should not be", all-1)
		}
		l.more = true
		l.fill(t.Context())
		if all, _ := l.queue.length(); all != 5 || l.more {
			t.Errorf("%d sessions wait; there is more: %t", all, l.more)
		}
		w.publishOf(t, js, "6")
		for range w.Config.Slots {
			defer w.slots.take(t.Context(), jobs.Urgent, jobs.Urgent)()
		}
		working, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		l.queue.cut(100, 1<<20)
		l.work(working)
		if n := w.consumed(t, js); n != 5 {
			t.Errorf("%d jobs are pulled at a stop", n-5)
		}
	})
}

// A document for which nothing is left when its slot comes is no document, and the slot is free again.
func TestNothingIsSentOfWhatOthersHaveSent(t *testing.T) {
	withItsStreams(t, nil, func(t *testing.T, w withStreams) {
		l := w.newLane(jobs.Urgent)
		l.queue.add(jobNaming("1", "2", "3"), 0, 2) // a large job, which gets slots of bulk jobs alone
		var frees []func()
		for range w.Config.Slots - w.Config.UrgentSlots {
			frees = append(frees, w.slots.take(t.Context(), jobs.Bulk, jobs.Bulk))
		}
		time.AfterFunc(10*time.Millisecond, func() {
			l.queue.cut(100, 1<<20)
			for _, free := range frees {
				free()
			}
		})
		working, stop := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer stop()
		l.work(working)
		w.sends.Wait()
		if room, _ := w.slots.look(jobs.Urgent); room.free != w.Config.Slots || !l.sent.IsZero() {
			t.Errorf("%d slots are free, and something was sent at %v", room.free, l.sent)
		}
	})
}

// What came before a pull failed is worked at once, and that is no trouble yet; a pull that brings nothing is one, until the
// next that succeeds.
func TestPullThatFailsLosesNothing(t *testing.T) {
	withItsStreams(t, nil, func(t *testing.T, w withStreams) {
		js, l := w.jetStream(t), w.newLane(jobs.Urgent)
		requests := w.Config.Stream.Subjects.RequestStream()
		w.publishOf(t, js, "1", "2", "3", "4")
		consumer, err := js.Consumer(t.Context(), requests, string(jobs.Urgent))
		if err != nil {
			t.Fatal(err)
		}
		spare := consumer.CachedInfo().Config
		spare.Name, spare.Durable = "spare", "spare"
		if err := js.DeleteConsumer(t.Context(), requests, string(jobs.Urgent)); err != nil {
			t.Fatal(err)
		}
		stopped, stop := context.WithCancel(t.Context())
		stop()
		if l.awaitJobs(stopped) || len(w.kinds()) != 0 {
			t.Errorf("at a stop without a consumer: %v", w.kinds())
		}
		if _, err := js.CreateConsumer(t.Context(), requests, spare); err != nil {
			t.Fatal(err)
		}
		const next = "$JS.API.CONSUMER.MSG.NEXT."
		job := func(msg *nats.Msg) {
			if err := w.nc.PublishRequest(next+requests+".spare", msg.Reply, []byte(`{"batch":1}`)); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Millisecond)
		}
		says := func(msg *nats.Msg, code, words string) {
			if err := w.nc.PublishMsg(&nats.Msg{Subject: msg.Reply, Header: nats.Header{"Status": {code}, "Description": {words}}}); err != nil {
				t.Error(err)
			}
		}
		fails := func(msg *nats.Msg) { says(msg, "409", "Leadership Change") }
		asked, answer := 0, func(*nats.Msg) {}
		sub, err := w.nc.Subscribe(next+requests+".urgent", func(msg *nats.Msg) { asked++; answer(msg) })
		if err != nil {
			t.Fatal(err)
		}
		answer = func(msg *nats.Msg) { says(msg, "408", "Requests Pending") }
		begun := time.Now()
		if is := l.awaitJobs(t.Context()); is || len(w.kinds()) != 0 || time.Since(begun) != w.Config.Backoff.Min {
			t.Errorf("others have asked for all that is there: jobs %t, after %v, %v", is, time.Since(begun), w.kinds())
		}
		answer = func(msg *nats.Msg) { job(msg); fails(msg) }
		if is := l.awaitJobs(t.Context()); !is || len(w.kinds()) != 0 || l.broken != 0 {
			t.Errorf("a job came before: %t, %v", is, w.kinds())
		}
		asked = 0
		if l.fill(t.Context()); asked != 1 {
			t.Errorf("after a pull that failed there are %d more", asked-1)
		}
		begun = time.Now()
		if l.repair(t.Context(), errors.New("the consumer's leader changes")); time.Since(begun) != 0 {
			t.Errorf("what is in hand waits for %v", time.Since(begun))
		}
		l.queue.cut(100, 1<<20)
		answer = fails
		for range 3 {
			if is := l.awaitJobs(t.Context()); is {
				t.Error("there are jobs")
			}
		}
		if n := strings.Count(w.lines.String(), "the consumer urgent"); n != 1 || !slices.Contains(w.kinds(), "missing") || l.broken != 4 {
			t.Errorf("after %d pulls that failed it says %s", l.broken, w.lines)
		}
		if err := sub.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
		if err := js.DeleteConsumer(t.Context(), requests, "spare"); err != nil {
			t.Fatal(err)
		}
		l.awaitJobs(t.Context())
		if is := l.awaitJobs(t.Context()); !is || len(w.kinds()) != 0 || l.broken != 0 {
			t.Errorf("with a consumer made anew: jobs %t, %v", is, w.kinds())
		}
	})
}

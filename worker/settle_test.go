package worker

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/worker/broker"
	"logoffworker/worker/stage/bubble"
)

// A job is handed back only while it is certainly ours: a negative acknowledgement that comes late would hand
// out what somebody else works.
func TestJobIsHandedBackOnlyWithinItsLease(t *testing.T) {
	withNATS(t, func(t *testing.T, nc *nats.Conn) {
		const ackWait = 30 * time.Second
		log := slog.New(slog.DiscardHandler)
		registry, naks := prometheus.NewRegistry(), 0
		s := &settler{leases: newLeases(), metrics: metrics.New(registry, metrics.Build{}), jobLog: newJobLog(log), reach: func(Point) {}}
		said, err := nc.SubscribeSync("ack.>")
		if err != nil {
			t.Fatal(err)
		}
		jobsSub, err := nc.SubscribeSync("job")
		if err != nil {
			t.Fatal(err)
		}
		for name, test := range map[string]struct {
			lease time.Duration // from now
			later func(*delivery)
			nak   bool
		}{
			"in time":            {lease: time.Second, nak: true},
			"just over":          {lease: 0},
			"long over":          {lease: -time.Hour},
			"renewed in time":    {lease: time.Second, later: func(d *delivery) { d.renew(time.Now(), ackWait) }, nak: true},
			"renewed when over":  {lease: -time.Second, later: func(d *delivery) { d.renew(time.Now(), ackWait) }},
			"renewed once more":  {lease: -time.Second, later: func(d *delivery) { d.renew(time.Now(), ackWait); d.renew(time.Now(), ackWait) }},
			"extended in time":   {lease: time.Second, later: func(d *delivery) { _ = d.extend(ackWait) }, nak: true},
			"extended when over": {lease: -time.Second, later: func(d *delivery) { _ = d.extend(ackWait) }},
		} {
			if err := nc.PublishRequest("job", "ack.1", nil); err != nil {
				t.Fatal(err)
			}
			msg, err := jobsSub.NextMsg(time.Second)
			if err != nil {
				t.Fatal(err)
			}
			d := &delivery{msg: msg, key: "1", lane: jobs.Urgent, lease: time.Now().Add(test.lease)}
			if !s.leases.takeOn(d) {
				t.Errorf("%s: it is in hand already", name)
			}
			if test.later != nil {
				test.later(d)
			}
			s.returnJob(d)
			var words []string
			for msg, err := said.NextMsg(time.Second); err == nil; msg, err = said.NextMsg(time.Second) {
				words = append(words, string(msg.Data))
			}
			if slices.Contains(words, "-NAK") != test.nak {
				t.Errorf("%s: %v", name, words)
			}
			if test.nak {
				naks++
			}
			const counter = "logoff_jobs_handed_back_total"
			counted := fmt.Sprintf("# HELP %[1]s Jobs given back to the stream unsent at a stop.\n# TYPE %[1]s counter\n%[1]s %[2]d\n", counter, naks)
			if err := testutil.GatherAndCompare(registry, strings.NewReader(counted), counter); err != nil {
				t.Errorf("%s: what is counted as handed back: %v", name, err)
			}
			if worked, parked := s.leases.lane(jobs.Urgent); worked != 0 || parked != 0 || s.leases.count() != 0 {
				t.Errorf("%s: it is in hand still", name)
			}
		}
	})
}

// An acknowledgement is confirmed at a stop, because nobody is here later to find it lost; where the server does not
// confirm the first in time, the others leave all the same. The job's log tells how it left.
func TestAcknowledgementsAreConfirmedAtAStop(t *testing.T) {
	withNATS(t, func(t *testing.T, nc *nats.Conn) {
		said, err := nc.SubscribeSync("ack.>")
		if err != nil {
			t.Fatal(err)
		}
		came, err := nc.SubscribeSync("job")
		if err != nil {
			t.Fatal(err)
		}
		stopped, stop := context.WithCancel(t.Context())
		stop()
		lines := &strings.Builder{}
		log := slog.New(slog.NewTextHandler(lines, &slog.HandlerOptions{Level: slog.LevelDebug}))
		s := &settler{leases: newLeases(), jobLog: newJobLog(log), finish: t.Context()}
		take := func(key string) *delivery {
			t.Helper()
			if err := nc.PublishRequest("job", "ack."+key, nil); err != nil {
				t.Fatal(err)
			}
			msg, err := came.NextMsg(time.Second)
			if err != nil {
				t.Fatal(err)
			}
			d := &delivery{msg: msg, key: key, lane: jobs.Urgent, lease: time.Now().Add(time.Minute), keys: &keyWait{issuer: "idp"}}
			s.leases.takeOn(d)
			return d
		}
		heard := func() (words []string) {
			for msg, err := said.NextMsg(time.Second); err == nil; msg, err = said.NextMsg(time.Second) {
				word, _, _ := strings.Cut(string(msg.Data), " ")
				if msg.Reply != "" {
					word += " to be confirmed"
				}
				words = append(words, word)
			}
			return words
		}
		const acknowledged, lost, waits = "it is acknowledged", "it could not be acknowledged", "it waits for its issuer's key"
		for name, test := range map[string]struct {
			stopping context.Context
			leaves   func(ds ...*delivery)
			took     time.Duration
			heard    []string
			says     map[string]int
		}{
			"running": {t.Context(), func(ds ...*delivery) { s.acknowledge(ds) }, 0, []string{"+ACK", "+ACK"}, map[string]int{acknowledged: 2}},
			"a stop":  {stopped, func(ds ...*delivery) { s.acknowledge(ds) }, 2 * time.Second, []string{"+ACK to be confirmed", "+ACK"}, map[string]int{acknowledged: 1, lost: 1}},
			"a key is awaited": {t.Context(), func(ds ...*delivery) {
				ds[1].lease = time.Now()
				s.sendAway(ds[0], time.Minute)
				s.sendAway(ds[1], time.Minute)
			}, 0, []string{"-NAK"}, map[string]int{waits: 1}},
		} {
			lines.Reset()
			s.stopping = test.stopping
			ds, begun := []*delivery{take("1"), take("2")}, time.Now()
			test.leaves(ds...)
			if took := time.Since(begun); took != test.took || s.leases.count() != 0 {
				t.Errorf("%s: it took %v, and %d are in hand", name, took, s.leases.count())
			}
			if got := heard(); !slices.Equal(got, test.heard) {
				t.Errorf("%s: NATS hears %q, want %q", name, got, test.heard)
			}
			for _, words := range []string{acknowledged, lost, waits} {
				if n := strings.Count(lines.String(), words); n != test.says[words] {
					t.Errorf("%s: it says %s", name, lines)
				}
			}
		}
	})
}

// A job that cannot be handed back is told, and not counted as handed back.
func TestJobThatCannotBeHandedBackIsTold(t *testing.T) {
	w := newTold()
	s := &settler{leases: newLeases(), metrics: w.Metrics, health: w.Health, jobLog: newJobLog(w.Log), reach: func(Point) {}}
	d := &delivery{msg: nats.NewMsg("without a way back"), key: "1", lane: jobs.Urgent, lease: time.Now().Add(time.Minute)}
	s.leases.takeOn(d)
	s.returnJob(d)
	if s.leases.count() != 0 || w.counted(t, "logoff_jobs_handed_back_total") != 0 || !strings.Contains(w.lines.String(), "jobs could not be handed back") {
		t.Errorf("%d are in hand, and it says %s", s.leases.count(), w.lines)
	}
}

// What is parked while others are tried again is tried, too.
func TestWhatIsParkedMeanwhileStaysParked(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	s := &settler{health: metrics.NewHealth(log, Parts...), leases: newLeases()}
	s.parked.awaited = true // somebody tries already
	first, second := &delivery{key: "1"}, &delivery{key: "2"}
	s.retryLater([]*delivery{first})
	tried := s.parked.take()
	s.retryLater([]*delivery{second})
	if !s.parked.restore(tried, s.storedAgain) {
		t.Error("nothing is left")
	}
	if got := s.parked.take(); !slices.Equal(got, []*delivery{first, second}) {
		t.Errorf("%d are left, want both", len(got))
	}
	s.retryLater([]*delivery{second})
	if !s.parked.restore(nil, s.storedAgain) {
		t.Error("nothing is left, although another was parked")
	}
	s.parked.take()
	if s.parked.restore(nil, s.storedAgain) || s.parked.awaited {
		t.Error("something is left")
	}
}

// A dead letter that is published twice is kept once.
func TestDeadLetterHasAMessageID(t *testing.T) {
	s := &settler{config: DefaultConfig()}
	for status, d := range map[jobs.Status]*delivery{
		jobs.Invalid: {result: &jobs.Result{Status: jobs.Invalid, Error: "no job"}},
		jobs.Failed:  {result: &jobs.Result{Status: jobs.Failed}, job: jobs.Job{ID: "a", Sessions: []jobs.Session{{ID: "CF1C660B-396F-44B7-86DA-5608CEC97453"}}}},
	} {
		d.msg, d.key = nats.NewMsg("logoff.requests"), "7-1"
		msg, err := s.deadLetterMessage(d)
		if err != nil || msg.Header.Get(nats.MsgIdHdr) != d.key {
			t.Errorf("%s: %v, %v", status, msg, err)
		}
	}
}

// A job may have come before if the server says so, or if its place in the stream is one that was passed: the
// count of its deliveries begins anew with a consumer that was made anew.
func TestJobThatCameBeforeIsKnownByItsCountAndByItsPlace(t *testing.T) {
	l := &lane{}
	for i, test := range []struct {
		sequence   uint64
		deliveries int
		before     bool
	}{
		{5, 1, false}, {6, 1, false}, {6, 1, true}, {3, 1, true}, {7, 2, true}, {8, 1, false}, {7, 1, true}, {9, 1, false},
	} {
		if got := l.cameBefore(&delivery{sequence: test.sequence, deliveries: test.deliveries}); got != test.before {
			t.Errorf("%d: %+v: %t", i, test, got)
		}
	}
}

// withNATS runs a test in fake time with a connection to a real broker.
func withNATS(t *testing.T, test func(t *testing.T, nc *nats.Conn)) {
	bubble.Run(t, time.Minute, func(t *testing.T) {
		b, err := broker.Start(broker.Options{StoreDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Shutdown()
		nc, err := b.Connect()
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		test(t, nc)
	})
}

package worker

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

// What is parked weighs apart, once, and nothing is left of a job that is let go.
func TestParkedJobsWeighApart(t *testing.T) {
	l := newLeases()
	a, b := jobNaming("1", "2", "3"), jobNaming()
	a.key, b.key = "a", "b"
	is := func(after string, worked, parked, count int) {
		t.Helper()
		if w, p := l.lane(jobs.Urgent); w != worked || p != parked || l.count() != count || l.weightOf(jobs.Urgent) != worked+parked || len(l.all()) != count {
			t.Errorf("after %s: %d worked, %d parked, %d in hand", after, w, p, l.count())
		}
		if n := l.weightOf(jobs.Bulk); n != 0 {
			t.Errorf("after %s: %d of bulk jobs", after, n)
		}
	}
	again := jobNaming("1")
	again.key = "a"
	if !l.takeOn(a) || !l.takeOn(b) || l.takeOn(again) {
		t.Error("a job is in hand that is not, or not in hand that is")
	}
	l.weigh(a)
	is("weighing", 4, 0, 2)
	l.weigh(b)
	l.park([]*delivery{a})
	l.park([]*delivery{a})
	is("parking one twice", 1, 3, 2)
	l.release(a)
	is("letting the parked one go", 1, 0, 1)
	l.release(b)
	is("letting the other go", 0, 0, 0)
}

// A lease is extended when a quarter of it has gone by, and only as far as the message got on the wire.
func TestLeaseIsExtendedByWhatNATSHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ackWait = 40 * time.Second
		for left, fails := range map[time.Duration]bool{ackWait: false, 31 * time.Second: false, 30 * time.Second: true, time.Second: true} {
			lease := time.Now().Add(left)
			d := &delivery{msg: nats.NewMsg("not from a stream"), lease: lease}
			if err := d.extend(ackWait); (err != nil) != fails || !d.lease.Equal(lease) {
				t.Errorf("with %v left: %v, and the lease ends in %v", left, err, time.Until(d.lease))
			}
		}
	})
}

// Leases that cannot be extended are told; those of jobs that are settled just now are no trouble.
func TestLeasesThatAreNotKeptAreTold(t *testing.T) {
	withNATS(t, func(t *testing.T, nc *nats.Conn) {
		sub, err := nc.SubscribeSync("job")
		if err != nil {
			t.Fatal(err)
		}
		if err := nc.PublishRequest("job", "ack.1", nil); err != nil {
			t.Fatal(err)
		}
		settled, err := sub.NextMsg(time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if err := settled.Ack(); err != nil {
			t.Fatal(err)
		}
		if err := nc.PublishRequest("job", "ack.2", nil); err != nil {
			t.Fatal(err)
		}
		kept, err := sub.NextMsg(time.Second)
		if err != nil {
			t.Fatal(err)
		}
		for name, test := range map[string]struct {
			msgs []*nats.Msg
			says string
		}{
			"none":           {nil, ""},
			"kept":           {[]*nats.Msg{kept}, ""},
			"settled":        {[]*nats.Msg{settled}, ""},
			"lost":           {[]*nats.Msg{nats.NewMsg("lost")}, "the leases of 1 jobs"},
			"one of each":    {[]*nats.Msg{settled, nats.NewMsg("lost")}, "the leases of 1 jobs"},
			"several losses": {[]*nats.Msg{nats.NewMsg("lost"), nats.NewMsg("lost")}, "the leases of 2 jobs"},
		} {
			said := &strings.Builder{}
			l := newLeases()
			for i, msg := range test.msgs {
				l.takeOn(&delivery{key: string(rune('a' + i)), msg: msg})
			}
			ctx, end := context.WithTimeout(t.Context(), 15*time.Second)
			l.keep(ctx, 30*time.Second, metrics.NewHealth(slog.New(slog.NewTextHandler(said, nil))))
			end()
			if !strings.Contains(said.String(), test.says) || (said.Len() == 0) != (test.says == "") {
				t.Errorf("%s: it says %q", name, said)
			}
		}
	})
}

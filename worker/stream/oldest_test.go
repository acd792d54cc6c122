package stream_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

// fill stores many messages.
func (s *site) fill(subject string, n int) {
	s.t.Helper()
	js, err := jetstream.New(s.streams.NATS, jetstream.WithPublishAsyncMaxPending(4000))
	if err != nil {
		s.t.Fatal(err)
	}
	for range n {
		if _, err := js.PublishAsync(subject, []byte("{}")); err != nil {
			s.t.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
}

// oldest is when the oldest job of a lane was stored, as the metric says; 0 where it says nothing.
func oldest(t *testing.T, reg prometheus.Gatherer, lane jobs.Lane) (seconds float64) {
	t.Helper()
	return numbers(t, reg)["logoff_queue_oldest_job_timestamp_seconds "+string(lane)]
}

// Behind 100,000 jobs of the other lane, and before 100,000 of its own, the oldest job of a lane is told right to 15
// seconds: when it comes, when it leaves, and when it was the last.
func TestOldestJobIsToldAmong100000(t *testing.T) {
	bubbled(t, func(t *testing.T) {
		s := newSite(t)
		reg := prometheus.NewRegistry()
		s.streams.Metrics = metrics.New(reg, metrics.Build{})
		s.watch(nil)
		stored := func(subject string) float64 {
			ack, err := s.js.Publish(t.Context(), subject, []byte("{}"))
			if err != nil {
				t.Fatal(err)
			}
			stream, err := s.js.Stream(t.Context(), subjects.RequestStream())
			if err != nil {
				t.Fatal(err)
			}
			msg, err := stream.GetMsg(t.Context(), ack.Sequence)
			if err != nil {
				t.Fatal(err)
			}
			return float64(msg.Time.UnixMilli()) / 1000
		}
		is := func(lane jobs.Lane, want float64) {
			t.Helper()
			passes(15 * time.Second)
			if got := oldest(t, reg, lane); got != want {
				t.Errorf("the oldest %s job is from %s, want %s", lane, strconv.FormatFloat(got, 'f', 3, 64), strconv.FormatFloat(want, 'f', 3, 64))
			}
		}
		is(jobs.Urgent, 0)
		bulk := stored("logoff.requests.bulk.hr")
		s.fill("logoff.requests.bulk", 100_000)
		is(jobs.Bulk, bulk)
		is(jobs.Urgent, 0)
		first := stored("logoff.requests.urgent.soar")
		passes(time.Second)
		second := stored("logoff.requests")
		s.fill("logoff.requests.urgent", 100_000)
		is(jobs.Urgent, first)
		is(jobs.Bulk, bulk)
		for _, then := range []float64{second, 0} {
			msgs, err := s.streams.Puller(jobs.Urgent).Pull(1, time.Second)
			if err != nil || len(msgs) != 1 {
				t.Fatal(msgs, err)
			}
			is(jobs.Urgent, first) // in hand it has no result yet
			if err := msgs[0].AckSync(); err != nil {
				t.Fatal(err)
			}
			if then == 0 {
				break
			}
			is(jobs.Urgent, then)
			first = then
		}
	})
}

// A lane without jobs costs no question, and nobody is asked again at once who did not answer.
func TestOldestJobIsAskedForOnlyWhereThereIsOne(t *testing.T) {
	bubbled(t, func(t *testing.T) {
		s := newSite(t)
		asked := s.count("$JS.API.STREAM.MSG.GET.>")
		s.watch(nil)
		passes(time.Minute)
		if n := asked(); n != 0 {
			t.Errorf("asked %d times with nothing there", n)
		}
		s.publish("logoff.requests.bulk", "{}")
		passes(time.Minute)
		if n := asked(); n == 0 || n > 36 {
			t.Errorf("asked %d times in a minute", n)
		}
	})
}

// count counts the messages on a subject from now on.
func (s *site) count(subject string) func() int {
	s.t.Helper()
	n := 0
	if _, err := s.streams.NATS.Subscribe(subject, func(*nats.Msg) { n++ }); err != nil {
		s.t.Fatal(err)
	}
	if err := s.streams.NATS.Flush(); err != nil {
		s.t.Fatal(err)
	}
	return func() int {
		passes(time.Millisecond)
		return n
	}
}

package worker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
)

// finishedJob is a job in hand of which nothing is left to decide.
func (w withStreams) finishedJob(n uint64, outcome jobs.Outcome) *delivery {
	d := jobNaming(fmt.Sprintf("CF1C660B-396F-44B7-86DA-5608CEC9745%d", n))
	d.sequence, d.requested, d.received, d.completed = n, time.Now(), time.Now(), time.Now()
	d.key, d.job.ID = jobs.Key(n, d.requested), fmt.Sprint("job-", n)
	d.msg = nats.NewMsg("logoff.requests")
	d.set(0, jobs.SessionResult{Outcome: outcome}, time.Now())
	w.leases.takeOn(d)
	return d
}

// jetStream is the broker's, for what a test does beside the worker.
func (w withStreams) jetStream(t *testing.T) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(w.nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// Whoever stored a job's result first: it counts, as ours if we did, and the job is settled with it.
func TestResultThatIsStoredAlreadyCounts(t *testing.T) {
	withItsStreams(t, nil, func(t *testing.T, w withStreams) {
		js := w.jetStream(t)
		for i, test := range []struct {
			name     string
			worker   string // that stored a result before; empty for none
			received time.Duration
			bytes    string // instead of a result
			settled  float64
			again    float64
			left     int
			status   jobs.Status
		}{
			{name: "nobody did", settled: 1, status: jobs.AcceptedJob},
			{name: "another worker did", worker: "other", again: 1, status: jobs.Failed},
			{name: "we did", worker: "w", settled: 1, status: jobs.Failed},
			{name: "we did, when it came before", worker: "w", received: time.Second, again: 1, status: jobs.Failed},
			{name: "another did when it came to us", worker: "other", again: 1, status: jobs.Failed},
			{name: "it cannot be read", bytes: "{", left: 1, status: jobs.AcceptedJob},
		} {
			d := w.finishedJob(uint64(i+1), jobs.Accepted)
			var before []byte
			if test.worker != "" {
				other := w.finishedJob(uint64(i+1), jobs.Rejected)
				other.received = other.received.Add(-test.received)
				var r jobs.Result
				other.conclude(&r, test.worker)
				var err error
				if before, err = r.Append(nil, 0); err != nil {
					t.Fatal(err)
				}
			}
			if before = append(before, test.bytes...); len(before) > 0 {
				if _, err := js.Publish(t.Context(), w.settler.resultSubject(d), before); err != nil {
					t.Fatal(err)
				}
			}
			settled, again, inHand := w.counted(t, "logoff_jobs_settled_total"), w.counted(t, "logoff_jobs_already_settled_total"), w.leases.count()
			said := strings.Count(w.lines.String(), "job: it is finished")
			left := w.settler.settleOnce([]*delivery{d})
			said = strings.Count(w.lines.String(), "job: it is finished") - said
			settled, again = w.counted(t, "logoff_jobs_settled_total")-settled, w.counted(t, "logoff_jobs_already_settled_total")-again
			if settled != test.settled || again != test.again || len(left) != test.left || d.status != test.status || inHand-w.leases.count() != 1-test.left {
				t.Errorf("%s: %v settled, %v again, %d left, it is %s", test.name, settled, again, len(left), d.status)
			}
			if float64(said) != test.settled {
				t.Errorf("%s: the log has %d lines that it is finished, and %v settled", test.name, said, test.settled)
			}
			if unreadable := strings.Contains(w.lines.String(), "stored results cannot be read"); unreadable != (test.left > 0) {
				t.Errorf("%s: it says %s", test.name, w.lines)
			}
		}
	})
}

// The header by which a job has one result is left out where the stream sees to that, and nobody else can have stored
// one before.
func TestHeaderOfTheOnlyResult(t *testing.T) {
	withItsStreams(t, nil, func(t *testing.T, w withStreams) {
		first := func(*delivery) {}
		n := uint64(0)
		headers := func(change func(*delivery)) (once []bool) {
			n++
			d := w.finishedJob(n, jobs.Accepted)
			d.deliveries, d.lease = 1, time.Now().Add(time.Minute)
			change(d)
			for range 2 {
				msg, err := w.settler.resultMessage(newEnvelope(), d)
				if err != nil || msg.Header.Get(jobs.StatusHeader) != string(jobs.AcceptedJob) {
					t.Fatalf("%+v, %v", msg, err)
				}
				once = append(once, msg.Header.Get(jetstream.ExpectedLastSubjSeqHeader) == "0")
			}
			return once
		}
		is := func(name string, change func(*delivery), want ...bool) {
			t.Helper()
			if got := headers(change); !slices.Equal(got, want) {
				t.Errorf("%s: it has the header: %t, want %t", name, got, want)
			}
		}
		is("ours alone, and once more", first, false, true)
		is("it was delivered before", func(d *delivery) { d.deliveries = 2 }, true, true)
		is("its lease has run out", func(d *delivery) { d.lease = time.Now() }, true, true)
		is("its lease had run out", func(d *delivery) { d.lapsed = true }, true, true)
		results, err := w.jetStream(t).Stream(t.Context(), w.Config.Stream.Subjects.ResultStream())
		if err != nil {
			t.Fatal(err)
		}
		config := results.CachedInfo().Config
		config.MaxMsgsPerSubject, config.DiscardNewPerSubject = -1, false
		config.MaxAge = 0 // a change of limits makes the server look for old messages, by a clock outside the bubble
		if _, err := w.jetStream(t).UpdateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		if err := w.streams.Find(t.Context()); err != nil {
			t.Fatal(err)
		}
		is("the stream takes several", first, true, true)
	})
}

// A job is settled when its result is stored, and its dead letter; what fails is tried again, and nothing else.
func TestJobWaitsForItsResultAndItsDeadLetter(t *testing.T) {
	withItsStreams(t, nil, func(t *testing.T, w withStreams) {
		js := w.jetStream(t)
		done, failed := w.finishedJob(1, jobs.Accepted), w.finishedJob(2, jobs.Rejected)
		all := []*delivery{done, failed}
		is := func(when string, left, settled, dead, wrong int) {
			t.Helper()
			if s, d := w.counted(t, "logoff_jobs_settled_total"), w.counted(t, "logoff_dead_letters_total"); int(s) != settled || int(d) != dead || len(all) != left || len(w.kinds()) != wrong {
				t.Errorf("%s: %d are left, %v results, %v dead letters, %v", when, len(all), s, d, w.kinds())
			}
		}
		settle := func() { all = w.settler.settleOnce(all) }
		w.settler.maxBytes = 10
		settle()
		is("too large to store", 2, 0, 0, 1)
		if !strings.Contains(w.lines.String(), "does not fit into 10 bytes") || w.counted(t, "logoff_store_errors_total") != 2 {
			t.Errorf("it says %s", w.lines)
		}
		w.settler.maxBytes = 0
		if err := js.DeleteStream(t.Context(), w.Config.Stream.Subjects.DeadStream()); err != nil {
			t.Fatal(err)
		}
		settle()
		is("no stream of dead letters", 1, 2, 0, 1)
		if !failed.stored || failed.kept || w.counted(t, "logoff_store_errors_total") != 3 {
			t.Errorf("stored %t, kept %t", failed.stored, failed.kept)
		}
		w.streams.Provision(t.Context())
		settle()
		is("all can be stored", 0, 2, 1, 0)
		if w.leases.count() != 0 {
			t.Errorf("%d are in hand", w.leases.count())
		}
	})
}

// That a job has no result is nothing to tell; that nobody knows is.
func TestResultThatCannotBeLookedUpIsTold(t *testing.T) {
	withItsStreams(t, nil, func(t *testing.T, w withStreams) {
		d := w.finishedJob(1, jobs.Accepted)
		const words = "it cannot be looked up"
		if r := w.settler.storedResult(t.Context(), d); r != nil || strings.Contains(w.lines.String(), words) {
			t.Errorf("%+v: %s", r, w.lines)
		}
		if err := w.jetStream(t).DeleteStream(t.Context(), w.Config.Stream.Subjects.ResultStream()); err != nil {
			t.Fatal(err)
		}
		if r := w.settler.storedResult(t.Context(), d); r != nil || !strings.Contains(w.lines.String(), words) {
			t.Errorf("%+v: %s", r, w.lines)
		}
	})
}

// What is parked is tried until all of it is settled, and then nobody tries any more.
func TestParkedJobsAreTriedUntilSettled(t *testing.T) {
	withItsStreams(t, nil, func(t *testing.T, w withStreams) {
		if err := w.jetStream(t).DeleteStream(t.Context(), w.Config.Stream.Subjects.DeadStream()); err != nil {
			t.Fatal(err)
		}
		w.settler.settle([]*delivery{w.finishedJob(1, jobs.Accepted), w.finishedJob(2, jobs.Rejected)})
		time.Sleep(time.Minute)
		w.settler.settle([]*delivery{w.finishedJob(3, jobs.Rejected)})
		time.Sleep(time.Minute)
		if _, parked := w.leases.lane(jobs.Urgent); parked != 2 || w.leases.count() != 2 {
			t.Errorf("%d are parked, %d in hand", parked, w.leases.count())
		}
		w.streams.Provision(t.Context())
		w.settler.running.Wait()
		if w.leases.count() != 0 || w.settler.parked.awaited || len(w.kinds()) != 0 {
			t.Errorf("%d are in hand, %v", w.leases.count(), w.kinds())
		}
	})
}

// A stop that takes too long leaves jobs in the stream.
func TestNothingIsSettledAfterTheEnd(t *testing.T) {
	withItsStreams(t, func(w *Worker) {
		ended, end := context.WithCancel(w.finish)
		end()
		w.finish = ended
	}, func(t *testing.T, w withStreams) {
		back := w.finishedJob(2, jobs.Accepted)
		back.returned = true
		w.settler.settle([]*delivery{w.finishedJob(1, jobs.Accepted), back})
		w.settler.settle(nil)
		w.settler.running.Wait()
		if w.leases.count() != 1 || w.counted(t, "logoff_jobs_settled_total") != 0 {
			t.Errorf("%d are in hand", w.leases.count())
		}
	})
}

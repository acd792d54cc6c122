package worker

import (
	"context"
	"strings"
	"testing"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/access"
)

// stoppedWorker is one that was told to stop before it began.
func stoppedWorker(w *Worker) {
	stopped, stop := context.WithCancel(w.stopping)
	stop()
	w.stopping = stopped
}

// At a stop, a job is settled as it is where that is certain, and handed back where somebody else has to go on.
func TestStopSettlesWhatIsCertain(t *testing.T) {
	withItsStreams(t, stoppedWorker, func(t *testing.T, w withStreams) {
		q := newQueue(true)
		r := &reader{w: w.Worker, lane: jobs.Urgent, queue: q}
		r.sender = &sender{w: w.Worker, lane: jobs.Urgent, queue: q, reader: r}
		owned := func(n uint64, outcome jobs.Outcome) *delivery {
			d := w.finishedJob(n, outcome)
			d.targets[0].UserID = 7
			return d
		}
		nobodys, accepted, undecided, rejected := w.finishedJob(1, jobs.Undecided), owned(2, jobs.Accepted), owned(3, jobs.Undecided), owned(4, jobs.Rejected)
		withUser, over, returned := w.finishedJob(5, jobs.Accepted), w.finishedJob(6, jobs.Accepted), owned(7, jobs.Accepted)
		withUser.users, over.users = []*user{{ids: []int64{8}}}, []*user{{ids: []int64{8}, outcome: jobs.UserOff}}
		returned.returned = true
		asked := w.finishedJob(8, jobs.Accepted)
		asked.users, asked.left = []*user{{named: jobs.User{ID: 9}}}, 1
		r.wrapUp([]*delivery{nobodys, accepted, undecided, rejected, withUser, over, returned})
		r.lookUp([]*delivery{asked})
		w.readBacks.Wait()
		w.settler.running.Wait()
		for name, d := range map[string]*delivery{"nobody's": nobodys, "accepted": accepted, "rejected": rejected, "its user has an end": over} {
			if !d.stored || d.returned {
				t.Errorf("%s: stored %t, handed back %t", name, d.stored, d.returned)
			}
		}
		for name, d := range map[string]*delivery{"undecided": undecided, "with a user": withUser, "handed back before": returned, "not looked up": asked} {
			if d.stored || !d.returned {
				t.Errorf("%s: stored %t, handed back %t", name, d.stored, d.returned)
			}
		}
		if n := w.leases.count(); n != 0 {
			t.Errorf("%d are in hand", n)
		}
	})
}

// The worker's last words tell what is left of its work.
func TestLastWordsTellWhatIsLeft(t *testing.T) {
	withItsStreams(t, nil, func(t *testing.T, w withStreams) {
		const well, left, lost = "nothing is left in its hands", "stopped before every result was stored", "Acknowledgements may not have reached NATS"
		says := func(when string, want ...string) {
			t.Helper()
			w.lines.Reset()
			w.sayStopped()
			for _, words := range []string{well, left, lost} {
				if has := strings.Contains(w.lines.String(), words); has != strings.Contains(strings.Join(want, "|"), words) {
					t.Errorf("%s: it says %s", when, w.lines)
				}
			}
		}
		says("all is done", well)
		d := w.finishedJob(1, jobs.Accepted)
		says("a job is in hand", left)
		w.nc.Close()
		says("a job is in hand, and no connection", left, lost)
		w.leases.release(d)
		says("no connection", well, lost)
	})
}

// Whether it is known who is left alone: a stop is an end, and while the Web Server is down nothing is known.
func TestNothingLeavesBeforeTheOwnSessionWasLookedFor(t *testing.T) {
	late := jobNaming("a")
	late.job.NotAfter = time.Unix(1, 0)
	for name, test := range map[string]struct {
		change  func(*Worker)
		well    bool
		known   bool
		stopped bool
	}{
		"down":                    {},
		"well, and no time":       {well: true, known: true},
		"down when it stops":      {change: stoppedWorker, stopped: true},
		"well until a stop comes": {change: stoppedWorker, well: true, stopped: true},
	} {
		w := preparedWorker(t, test.change, nil)
		if test.well {
			w.server.Well()
		}
		q := newQueue(true)
		known, err := (&sender{w: w, queue: q}).mayLeave(0, queued(q, late))
		if known != test.known || access.Stopped(err) != test.stopped || (err == nil) != test.known {
			t.Errorf("%s: known %t, %v", name, known, err)
		}
	}
}

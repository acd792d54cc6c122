package worker_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker"
	"logoffworker/worker/webserver/simulator"
)

// An outage of three hours, with jobs of both lanes coming all the time, costs nothing but the time
// itself, and few requests.
func TestOutageOfThreeHours(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		s.start(options{})
		s.start(options{config: func(c *worker.Config) { c.Name = "second" }})
		passes(t, 10*time.Second)
		s.sim.Configure(func(settings *simulator.Settings) { settings.Down = 503 })
		const hours, perMinute = 3, 20
		for i := range hours * 60 {
			lane := jobs.Lanes[i%len(jobs.Lanes)]
			s.publish(s.subjects.Request(lane, ""), oneEach(s.sim.SignOnMany(7, perMinute))...)
			passes(t, time.Minute)
		}
		requests := len(s.logoffs())
		if n := s.deadLetters() + s.count(s.subjects.ResultStream()); n > 0 {
			t.Errorf("%d results and dead letters in the outage", n)
		}
		for _, lane := range jobs.Lanes {
			if n := s.consumer(lane).NumRedelivered; n > 0 {
				t.Errorf("%d jobs of lane %s were delivered again", n, lane)
			}
		}
		s.sim.Configure(func(settings *simulator.Settings) { settings.Down = 0 })
		healed := time.Now()
		n := hours * 60 * perMinute
		results := s.await(n)
		var last time.Time
		for _, r := range results {
			if r.Deliveries > 1 {
				t.Errorf("job %s took %d deliveries", r.JobID, r.Deliveries)
			}
			if r.CompletedAt.After(last) {
				last = r.CompletedAt
			}
		}
		t.Logf("%d jobs; %d requests of two workers in %d hours, %d afterwards; all done %v after the end", n, requests, hours, len(s.logoffs())-requests, last.Sub(healed))
		if got := statuses(results); got[jobs.AcceptedJob] != n || s.deadLetters() > 0 {
			t.Errorf("statuses %v, %d dead letters", got, s.deadLetters())
		}
		if last.Sub(healed) > time.Minute {
			t.Errorf("all was done %v after the end of the outage", last.Sub(healed))
		}
		if most := 2 * hours * 3600 / 4; requests > most {
			t.Errorf("%d requests in the outage, at most %d are one probe at a time", requests, most)
		}
	})
}

// A token that is refused at every try is no reason to log in again and again.
func TestOutageOfTheTokenIsNoLoginLoop(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		ids := s.sim.SignOnMany(7, 10)
		s.start(options{})
		passes(t, 10*time.Second)
		s.sim.FailAtRate(1, simulator.Status(401))
		s.publish("logoff.requests", oneEach(ids)...)
		passes(t, 10*time.Minute)
		logins := s.tokens()
		s.sim.ClearFaults()
		if got := statuses(s.await(10)); got[jobs.AcceptedJob] != 10 {
			t.Errorf("statuses %v", got)
		}
		t.Logf("%d logins and renewals, %d requests in ten minutes", logins, len(s.logoffs()))
		if logins > 400 || len(s.logoffs()) > 800 {
			t.Errorf("%d logins and renewals, %d requests in ten minutes", logins, len(s.logoffs()))
		}
	})
}

// One session that the Web Server refuses, among n, costs at most 1 + 2·log₂ n requests.
func TestPoisonCost(t *testing.T) {
	for _, n := range []int{2, 3, 8, 64, 100, 128, 200, 512} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
				ids := s.sim.SignOnMany(7, n)
				s.sim.Configure(func(settings *simulator.Settings) { settings.BadIDs = map[string]int{ids[n/3]: 400} })
				s.publish("logoff.requests.bulk", jobOf(ids...))
				s.start(options{config: func(c *worker.Config) { c.BatchMaxSessions = 512 }})
				results := s.await(1)
				got := outcomes(results)
				requests, most := len(s.logoffs()), int(1+2*math.Ceil(math.Log2(float64(n))))
				t.Logf("%d requests for one bad session of %d, at most %d are allowed", requests, n, most)
				if requests > most || got[jobs.Rejected] != 1 || got[jobs.Accepted] != n-1 {
					t.Errorf("%d requests, outcomes %v", requests, got)
				}
			})
		})
	}
}

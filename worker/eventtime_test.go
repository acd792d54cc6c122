package worker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker"
	"logoffworker/worker/webserver/simulator"
)

// A Web Server whose clock is ahead or behind spares no session from before the event, and ends none from after
// it. Within the tolerance around the event, sessions are ended.
func TestEventIsComparedByOneClock(t *testing.T) {
	for _, offset := range []time.Duration{0, 10 * time.Minute, -10 * time.Minute, 7*time.Hour + 30*time.Second, -24 * time.Hour} {
		for _, tolerance := range []time.Duration{0, time.Minute, 10 * time.Minute} {
			t.Run(fmt.Sprintf("%v ahead, %v tolerated", offset, tolerance), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					s := newSite(t, simulator.Settings{LatencyFixed: latency, ClockOffset: offset})
					s.crowd()
					event := time.Now().Add(30 * time.Minute)
					began := map[time.Duration]string{}
					for _, after := range []time.Duration{-20 * time.Minute, -time.Minute, -10 * time.Second, 30 * time.Second, 5 * time.Minute, 15 * time.Minute} {
						passes(t, time.Until(event.Add(after)))
						began[after] = s.sim.SignOn(7, simulator.ConsoleWeb)
					}
					passes(t, time.Minute)
					s.start(options{config: func(c *worker.Config) { c.ClockTolerance = tolerance }})
					s.publish("logoff.requests", fmt.Sprintf(`{"eventTime":%q,"users":[{"id":7}]}`, event.UTC().Format(time.RFC3339)))
					if u := s.await(1)[0].Users[0]; u.Outcome != jobs.UserOff {
						t.Errorf("%+v", u)
					}
					for after, id := range began {
						if on := s.alive([]string{id}) == 1; on != (after > tolerance) {
							t.Errorf("the session that began %v after the event is on: %t", after, on)
						}
					}
				})
			})
		}
	}
}

// A clock that is far off is a metric, and a line in the log when it begins and when it ends.
func TestClockThatIsFarOffIsTold(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: latency})
		w := s.start(options{})
		passes(t, time.Minute)
		if d := w.metric("logoff_webserver_clock_difference_seconds"); d < -1 || d > 1 || strings.Contains(s.log.String(), "clock") {
			t.Errorf("%v\n%s", d, s.log)
		}
		for _, offset := range []time.Duration{10 * time.Minute, -10 * time.Minute, 0} {
			s.sim.Configure(func(c *simulator.Settings) { c.ClockOffset = offset })
			for range 6 {
				passes(t, 10*time.Minute)
				s.publish("logoff.requests", jobOf(s.sim.SignOn(7, simulator.ConsoleWeb)))
				s.await(1)
			}
			if d := w.metric("logoff_webserver_clock_difference_seconds"); d < offset.Seconds()-1 || d > offset.Seconds()+1 {
				t.Errorf("%v is told as %v", offset, d)
			}
		}
		for _, words := range []string{"clock is 10m0s ahead", "clock is 10m0s behind"} {
			if n := strings.Count(s.log.String(), words); n == 0 || n > 5 {
				t.Errorf("%d lines say that the %s:\n%s", n, words, s.log)
			}
		}
		if ready, _ := w.health.Ready(); !ready {
			t.Error("not ready")
		}
	})
}

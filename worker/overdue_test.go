package worker_test

import (
	"fmt"
	"testing"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker"
	"logoffworker/worker/webserver/simulator"
)

// noVerdicts are answers that say nothing, of a Web Server that has ended the sessions all the same.
var noVerdicts = map[string]simulator.Fault{
	"an empty 200":          simulator.Empty().Applied(),
	"JSON":                  simulator.Answer(200, "application/json", `{"message":"queued"}`).Applied(),
	"another root":          simulator.Answer(200, "application/xml", `<Api_Queued/>`).Applied(),
	"a page":                simulator.Page().Applied(),
	"an answer that is cut": simulator.CutOff().Applied(),
	"a 202":                 simulator.Status(202).Applied(),
	"a 500":                 simulator.Generic500().Applied(),
	"a 504":                 simulator.Status(504).Applied(),
	"a reset":               simulator.Reset(true),
	"no answer in time":     simulator.Hang(true),
}

// dueIn is the end of a job, some time from now.
func dueIn(d time.Duration) string {
	return fmt.Sprintf(`"notAfter":%q`, time.Now().Add(d).UTC().Format(time.RFC3339))
}

// Sessions about which the Web Server said nothing until notAfter are read back before they are given up.
func TestWhatHadNoVerdictInTimeIsReadBack(t *testing.T) {
	for name, fault := range noVerdicts {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: latency})
				s.crowd()
				ids := s.sim.SignOnMany(7, 3)
				bobs, carols := s.sim.SignOnMany(50, 2), s.sim.SignOnMany(51, 2)
				s.start(options{})
				passes(t, time.Second)
				s.sim.FailAtRate(1, fault)
				due := dueIn(2 * time.Minute)
				s.publish("logoff.requests",
					fmt.Sprintf(`{"id":"sessions",%s,"sessions":[{"id":%q,"userId":7},{"id":%q,"userId":7},{"id":%q,"userId":7}]}`, due, ids[0], ids[1], ids[2]),
					fmt.Sprintf(`{"id":"user",%s,"users":[{"id":50}]}`, due),
					fmt.Sprintf(`{"id":"both",%s,"sessions":[%q],"users":[{"email":"carol@corp.example"}]}`, due, carols[0]))
				for _, r := range s.awaitFor(3, 5*time.Minute) {
					for _, session := range r.Sessions {
						if session.Outcome != jobs.AlreadyLoggedOff {
							t.Errorf("%s: %+v", r.JobID, session)
						}
					}
					for _, u := range r.Users {
						if u.Outcome != jobs.UserOff {
							t.Errorf("%s: %+v", r.JobID, u)
						}
					}
				}
				if len(s.seen) != 3 || s.alive(ids)+s.alive(bobs)+s.alive(carols) != 0 {
					t.Errorf("%d results", len(s.seen))
				}
			})
		})
	}
}

// What is still on at the last look is told as that.
func TestWhatHadNoVerdictAndIsOnIsToldAsOn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: latency})
		s.crowd()
		id, bob := s.sim.SignOn(7, simulator.ConsoleWeb), s.sim.SignOn(50, simulator.ConsoleWeb)
		s.start(options{})
		passes(t, time.Second)
		s.sim.FailAtRate(1, simulator.Empty())
		due := dueIn(2 * time.Minute)
		s.publish("logoff.requests",
			fmt.Sprintf(`{"id":"session",%s,"sessions":[{"id":%q,"userId":7}]}`, due, id),
			fmt.Sprintf(`{"id":"user",%s,"users":[{"id":50}]}`, due))
		for _, r := range s.awaitFor(2, 5*time.Minute) {
			if outcome := r.Sessions[0].Outcome; outcome != jobs.StillActive || r.Status != jobs.Failed {
				t.Errorf("%s: %s, %+v", r.JobID, r.Status, r.Sessions)
			}
			if len(r.Users) > 0 && r.Users[0].Outcome != jobs.UserStillActive {
				t.Errorf("%+v", r.Users)
			}
		}
		if len(s.seen) != 2 || s.alive([]string{id, bob}) != 2 {
			t.Errorf("%d results", len(s.seen))
		}
	})
}

// The read-back after notAfter takes its own time at most, whatever keeps the lists from being read.
func TestReadBackAfterTheEndIsBounded(t *testing.T) {
	for name, stop := range map[string]func(*simulator.Settings){
		"down":                func(c *simulator.Settings) { c.Down = 503 },
		"connections reset":   func(c *simulator.Settings) { c.Down = simulator.DownReset },
		"slow":                func(c *simulator.Settings) { c.LatencyFixed = time.Hour },
		"no reads":            func(c *simulator.Settings) { c.ReadsPerHour, c.LimitHint = 1, simulator.LimitHintSeconds },
		"under maintenance":   func(c *simulator.Settings) { c.Maintenance = true },
		"right taken away":    func(c *simulator.Settings) { c.HiddenCompany, c.HiddenUsers = 9, true },
		"an old list instead": func(c *simulator.Settings) { c.Caching, c.CacheLife = simulator.CachingAge, time.Hour },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: latency})
				s.crowd()
				s.sim.AddUser(simulator.User{ID: 90, Login: "remote", CompanyID: 9, Company: "Remote"})
				id := s.sim.SignOn(90, simulator.ConsoleWeb)
				called := false
				s.start(options{reached: func(p worker.Point) {
					if p == worker.AfterCall && !called {
						called = true
						s.sim.Configure(stop)
						s.sim.FailAtRate(1, simulator.Empty())
					}
				}})
				passes(t, time.Second)
				s.sim.FailAtRate(1, simulator.Empty())
				due := time.Now().Add(2 * time.Minute)
				s.publish("logoff.requests",
					fmt.Sprintf(`{"id":"session",%s,"sessions":[{"id":%q,"userId":90}]}`, dueIn(2*time.Minute), id),
					fmt.Sprintf(`{"id":"user",%s,"users":[{"id":90}]}`, dueIn(2*time.Minute)))
				for _, r := range s.awaitFor(2, 4*time.Minute) {
					for _, session := range r.Sessions {
						if session.Outcome.Success() || r.CompletedAt.After(due.Add(2*time.Minute)) {
							t.Errorf("%s: %+v at %v, due at %v", r.JobID, session, r.CompletedAt, due)
						}
					}
					if len(r.Users) > 0 && r.Users[0].Outcome.Success() {
						t.Errorf("%+v", r.Users)
					}
				}
				if len(s.seen) != 2 || s.left() != 0 {
					t.Errorf("%d results, %d jobs are left", len(s.seen), s.left())
				}
			})
		})
	}
}

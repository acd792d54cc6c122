package worker_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/worker"
	"logoffworker/worker/stage/bubble"
	"logoffworker/worker/tokens"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

// failedRenewals are the ways in which the renewal of a dead token, and the login after it, fail.
var failedRenewals = map[string]simulator.Fault{
	"503":           simulator.Status(503),
	"502":           simulator.Status(502),
	"429":           simulator.Throttle(1),
	"reset":         simulator.Reset(false),
	"lost answer":   simulator.Reset(true),
	"500":           simulator.Generic500(),
	"page":          simulator.Page(),
	"gateway's 401": simulator.Answer(401, "application/json", `{"message":"Unauthorized"}`),
}

// kindsOfJobs make a job that ends a session of somebody, or nothing.
var kindsOfJobs = map[string]func(s *site) string{
	"users":    func(s *site) string { s.sim.SignOn(7, simulator.ConsoleWeb); return `{"users":[{"name":"jane"}]}` },
	"sessions": func(s *site) string { return jobOf(s.sim.SignOn(7, simulator.ConsoleWeb)) },
}

// signedOff is that nobody is on but the worker.
func (s *site) signedOff(user int64) bool {
	return !slices.ContainsFunc(s.sim.Sessions(), func(session simulator.Session) bool {
		return int64(session.UserID) == user && session.Active()
	})
}

// Whatever kind of call meets a token that died, and however its renewal fails, all is settled within 15
// seconds of the Web Server being well again.
func TestDeadTokenNeverEndsTheWork(t *testing.T) {
	for kind, job := range kindsOfJobs {
		for way, fault := range failedRenewals {
			t.Run(kind+"/"+way, func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					s := newSite(t, simulator.Settings{LatencyFixed: latency})
					r := s.start(options{})
					s.publish("logoff.requests", job(s))
					s.await(1)
					s.sim.RevokeTokens()
					s.sim.FailNextOn("renew", slices.Repeat([]simulator.Fault{fault}, 1000)...)
					s.sim.FailNextOn("login", slices.Repeat([]simulator.Fault{fault}, 1000)...)
					s.publish("logoff.requests", job(s))
					passes(t, 4*time.Second)
					s.sim.ClearFaults()
					if results := s.awaitFor(1, 15*time.Second); len(results) != 1 || results[0].Status == jobs.Failed || !s.signedOff(7) {
						t.Errorf("15 seconds after the Web Server is well: %+v\n%s", results, s.log)
					}
					if _, conditions := r.health.Ready(); len(conditions) > 0 {
						t.Errorf("the worker says %+v", conditions)
					}
				})
			})
		}
	}
}

// A day of restarts: the token dies before each kind of call, renewals fail in each way, and jobs of users
// alone, of sessions alone, or none are about.
func TestDayOfDeadTokens(t *testing.T) {
	deaths := 60 // in some twenty hours
	if !bubble.Long() {
		deaths = 12
	}
	calls := []string{"ping", "logoff", "sessions", "user", "login", "renew"}
	for kind := range map[string]bool{"users": true, "sessions": true, "none": true} {
		t.Run(kind, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: latency})
				var dies atomic.Value // the call after which the token dies
				dies.Store("")
				r := s.start(options{client: func(c *webserver.Config) {
					observe := c.Observe
					c.Observe = func(call webserver.Call) {
						observe(call)
						if dies.CompareAndSwap(call.Op, "") {
							s.sim.RevokeTokens()
						}
					}
				}})
				passes(t, time.Second)
				random := rand.New(rand.NewPCG(7, 11))
				ways := slices.Sorted(func(yield func(string) bool) {
					for way := range failedRenewals {
						if !yield(way) {
							return
						}
					}
				})
				for range deaths {
					passes(t, time.Duration(1+random.IntN(40))*time.Minute)
					way, call := ways[random.IntN(len(ways))], calls[random.IntN(len(calls))]
					fault := failedRenewals[way]
					n := random.IntN(30)
					s.sim.FailNextOn("renew", slices.Repeat([]simulator.Fault{fault}, n)...)
					s.sim.FailNextOn("login", slices.Repeat([]simulator.Fault{fault}, n)...)
					dies.Store(call)
					if random.IntN(2) == 0 {
						s.sim.RevokeTokens()
					}
					wanted := 0
					if job := kindsOfJobs[kind]; job != nil {
						for range 1 + random.IntN(3) {
							s.publish("logoff.requests", job(s))
							wanted++
						}
					}
					passes(t, time.Duration(random.IntN(20))*time.Second)
					dies.Store("")
					s.sim.ClearFaults()
					if results := s.awaitFor(wanted, 15*time.Second); len(results) != wanted || !s.signedOff(7) && wanted > 0 {
						t.Fatalf("token dead after a %s, renewals fail with %s: %d of %d results\n%s", call, way, len(results), wanted, s.log)
					}
					passes(t, 15*time.Second)
					if _, conditions := r.health.Ready(); len(conditions) > 0 && wanted > 0 {
						t.Fatalf("the worker says %+v", conditions)
					}
				}
				t.Logf("%d logins, %d renewals, %d pings, %d logoffs", s.sim.Count("login"), s.sim.Count("renew"), s.sim.Count("whoami"), s.sim.Count("logoff"))
			})
		})
	}
}

// A Web Server that gives tokens out and refuses every one of them is not asked for one after the other.
func TestEveryTokenRefusedIsHeld(t *testing.T) {
	for name, fails := range map[string]func(s *site){
		"logoffs alone": func(s *site) { s.sim.FailAtRate(1, simulator.Status(401)) },
		"everything": func(s *site) {
			s.sim.FailAtRate(1, simulator.Status(401))
			for _, op := range []string{"whoami", "session", "user", "v4user"} {
				s.sim.FailNextOn(op, slices.Repeat([]simulator.Fault{simulator.Status(401)}, 10_000)...)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: latency})
				r := s.start(options{})
				passes(t, time.Second)
				before := s.tokens()
				fails(s)
				id := s.sim.SignOn(7, simulator.ConsoleWeb)
				s.publish("logoff.requests", jobOf(id))
				passes(t, 10*time.Second)
				renewals := s.tokens() - before
				if n := len(s.logoffs()); renewals > 2 || n > 20 { // ten on average: the waits are random
					t.Errorf("%d renewals and %d logoffs in 10 seconds", renewals, n)
				}
				ready := 0
				for range 3600 {
					passes(t, time.Second)
					if r.problem(worker.PartWebServer) == "" {
						ready++
					}
				}
				renewals = s.tokens() - before
				if n := len(s.logoffs()); ready > 0 || renewals > 14 || n > 160 {
					t.Errorf("ready in %d of 3600 seconds, %d renewals and %d logoffs in an hour", ready, renewals, n)
				}
				s.sim.ClearFaults()
				if results := s.awaitFor(1, 75*time.Second); len(results) != 1 || s.alive([]string{id}) != 0 {
					t.Errorf("results %+v\n%s", results, s.log)
				}
			})
		})
	}
}

// A given token that is refused costs one request in each pause, and a new one is used as soon as it is there.
func TestGivenTokenThatIsRefusedIsReplacedAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{})
		var token atomic.Value
		token.Store("QSDK 3dead")
		r := s.start(options{client: func(c *webserver.Config) {
			c.Username, c.Password = "", nil
			c.Token = func() (string, error) { return token.Load().(string), nil }
		}})
		id := s.sim.SignOn(7, simulator.ConsoleWeb)
		s.publish("logoff.requests", jobOf(id))
		passes(t, time.Hour)
		if n := len(s.sim.Journal()); n > 160 {
			t.Errorf("%d requests with a dead token in an hour", n)
		}
		if problem := r.problem(worker.PartWebServer); !strings.Contains(problem, "401") {
			t.Errorf("the worker says %q", problem)
		}
		token.Store(s.sim.Token(1))
		if results := s.awaitFor(1, 5*time.Second); len(results) != 1 || s.alive([]string{id}) != 0 {
			t.Errorf("5 seconds after the token was changed: %+v\n%s", results, s.log)
		}
	})
}

// A given token that was good until now, and is refused once, is tried once more at once: nobody waits for another
// token, which does not come. That holds again after something was accepted.
func TestStrayRefusalOfAGivenTokenHoldsNobody(t *testing.T) {
	for _, kept := range []bool{false, true} {
		for _, op := range []string{"logoff", "session", "user", "whoami"} {
			t.Run(fmt.Sprint(op, " ", kept), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					s := newSite(t, simulator.Settings{LatencyFixed: latency})
					token := s.sim.Token(1)
					r := s.start(options{client: func(c *webserver.Config) {
						c.Username, c.Password, c.Kept = "", nil, kept
						c.Token = func() (string, error) { return token, nil }
					}})
					passes(t, time.Second)
					for range 3 {
						s.sim.FailNextOn(op, simulator.Status(401))
						s.publish("logoff.requests", jobOf(s.sim.SignOn(7, simulator.ConsoleWeb)), owned(s.sim.SignOn(7, simulator.ConsoleWeb), 7), ofUser(7))
						if results := s.awaitFor(3, 2*time.Second); len(results) != 3 || !r.ready() {
							t.Errorf("%d results in two seconds, ready: %t\n%s", len(results), r.ready(), s.log)
						}
						s.sim.ClearFaults()
					}
				})
			})
		}
	}
}

// A login that something in front of the Web Server turned away is tried again soon; one that was rejected is
// not, tells when it is, and is tried at once when that is asked for, or the password changes.
func TestRejectedLoginSaysWhenItIsTriedNext(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: latency})
		s.sim.FailNextOn("login", simulator.Answer(200, "application/json", `{"errList":[{"errLogMessage":"Invalid username or password.","errorCode":1116}]}`),
			simulator.Answer(200, "application/json", `{"errList":[{"errLogMessage":"Invalid username or password.","errorCode":1116}]}`))
		begun := time.Now()
		tries := make(chan worker.Reload, 1)
		r := s.start(options{reloads: tries})
		s.publish("logoff.requests", jobOf(s.sim.SignOn(7, simulator.ConsoleWeb)))
		passes(t, time.Minute)
		next := begun.Add(time.Hour + latency).UTC().Truncate(time.Second).Format(time.RFC3339)
		if problem := r.problem(worker.PartWebServer); !strings.Contains(problem, next) {
			t.Errorf("the worker says %q, the next try is at %s", problem, next)
		}
		if log := s.log.String(); !strings.Contains(log, "until="+next) {
			t.Errorf("the log does not say when:\n%s", log)
		}
		tries <- worker.Reload{Try: true}
		passes(t, time.Second)
		if n := s.sim.Count("login"); n != 2 {
			t.Errorf("%d logins after one more was asked for", n)
		}
		tries <- worker.Reload{Try: true} // the account was unlocked
		if results := s.awaitFor(1, 2*time.Second); len(results) != 1 {
			t.Errorf("no result\n%s", s.log)
		}
	})
}

// One session that the Web Server refuses to everybody, or only to us, stops nobody else, and is rejected with
// the server's words as soon as others have shown twice that it is that one.
func TestRefusalOfOneStopsNobodyElse(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404, 409} {
		for _, beside := range []string{"in its document", "alone", "in every slot"} {
			t.Run(fmt.Sprint(status, " ", beside), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					s := newSite(t, simulator.Settings{LatencyFixed: latency})
					s.start(options{})
					passes(t, time.Second)
					bad := s.sim.SignOnMany(7, 12)
					s.sim.Configure(func(settings *simulator.Settings) {
						settings.BadIDs = map[string]int{}
						for _, id := range bad {
							settings.BadIDs[id] = status
						}
					})
					good, beginning := s.sim.SignOnMany(7, 40), s.sim.SignOnMany(7, 20)
					wanted := 0
					switch beside {
					case "in its document":
						s.publish("logoff.requests", jobOf(append(beginning, bad[0])...))
						wanted++
					case "alone":
						s.publish("logoff.requests", jobOf(bad[0]))
						wanted++
					case "in every slot":
						for _, id := range bad {
							s.publish("logoff.requests", jobOf(id))
							passes(t, 10*time.Millisecond)
						}
						wanted += len(bad)
					}
					passes(t, 30*time.Second)
					for _, id := range good {
						s.publish("logoff.requests", jobOf(id))
						passes(t, 50*time.Millisecond)
					}
					wanted += len(good)
					results := s.awaitFor(wanted, 2*time.Minute) // one proof and a minute for whose turn came when no others were left
					if len(results) != wanted || s.alive(good) != 0 {
						t.Fatalf("%d of %d results, %d of the others are on\n%s", len(results), wanted, s.alive(good), s.log)
					}
					for _, r := range results {
						for _, session := range r.Sessions {
							if slices.Contains(bad, session.ID) && (session.Outcome != jobs.Rejected || !strings.Contains(session.ServerText, fmt.Sprint(status))) {
								t.Errorf("%+v", session)
							}
						}
					}
					if n := len(s.logoffs()); n > 100 {
						t.Errorf("%d logoffs", n)
					}
				})
			})
		}
	}
}

// One session that is always refused with 401, while others are accepted all the time, is refused by itself whatever
// token comes with it: that costs one token, and three refusals with it.
func TestSessionThatIsAlwaysUnauthorizedCostsOneToken(t *testing.T) {
	for _, every := range []time.Duration{5 * time.Millisecond, 20 * time.Millisecond, 45 * time.Millisecond} { // between the others
		t.Run(every.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: latency})
				s.start(options{})
				passes(t, time.Second)
				bad := s.sim.SignOn(7, simulator.ConsoleWeb)
				s.sim.Configure(func(settings *simulator.Settings) { settings.BadIDs = map[string]int{bad: 401} })
				before := s.tokens()
				good := s.sim.SignOnMany(7, 200)
				for i, id := range good {
					if i == 10 {
						s.publish("logoff.requests", jobOf(bad))
					}
					s.publish("logoff.requests", jobOf(id))
					passes(t, every)
				}
				results := s.awaitFor(len(good)+1, time.Minute)
				tries := 0
				for _, r := range s.logoffs() {
					if slices.Contains(r.Sessions, bad) {
						tries++
					}
				}
				if renewals := s.tokens() - before; len(results) != len(good)+1 || renewals > 1 || tries > 6 {
					t.Errorf("%d results; %d tries of the refused one, %d tokens", len(results), tries, renewals)
				}
				for _, r := range results {
					if session := r.Sessions[0]; session.ID == bad && session.Outcome != jobs.Rejected {
						t.Errorf("%+v", session)
					}
				}
			})
		})
	}
}

// What was accepted while a request was on its way does not show that its refusal is its own: all may be refused from
// then on. The same at the end of it: what is accepted after the refusal shows nothing until another try is refused.
func TestRefusalToAllThatBeginsAndEndsBlamesNobody(t *testing.T) {
	const takes = 200 * time.Millisecond
	for _, status := range []int{401, 403} {
		for _, offset := range []time.Duration{-190, -150, -100, -50, -10, 10, 50, 100} { // of the second job from the fault
			t.Run(fmt.Sprint(status, " ", int64(offset)), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					s := newSite(t, simulator.Settings{LatencyFixed: takes})
					s.start(options{})
					passes(t, time.Second)
					ids := s.sim.SignOnMany(7, 6)
					begun := time.Now()
					at := func(d time.Duration, do func()) { passes(t, d-time.Since(begun)); do() }
					publish := func(id string) func() { return func() { s.publish("logoff.requests", jobOf(id)) } }
					fault := func() { s.sim.FailAtRate(1, simulator.Status(status)) }
					at(0, publish(ids[0])) // accepted at 200 ms
					if second := 210 + offset; second < 210 {
						at(second*time.Millisecond, publish(ids[1]))
						at(210*time.Millisecond, fault)
					} else {
						at(210*time.Millisecond, fault)
						at(second*time.Millisecond, publish(ids[1]))
					}
					at(300*time.Millisecond, publish(ids[2]))
					at(700*time.Millisecond, publish(ids[3]))
					at(1500*time.Millisecond, s.sim.ClearFaults)
					at(1510*time.Millisecond, publish(ids[4]))
					at(1520*time.Millisecond, publish(ids[5]))
					results := s.awaitFor(6, time.Minute)
					for _, r := range results {
						if !r.Status.Success() {
							t.Errorf("%s: %+v", r.Status, r.Sessions)
						}
					}
					if len(results) != 6 {
						t.Errorf("%d results\n%s", len(results), s.log)
					}
				})
			})
		}
	}
}

// A trouble of all that ends for a moment, in which others are accepted, and comes again, in the same form or another,
// is not the session's own that was refused both times.
func TestRefusalToAllThatComesAgainBlamesNobody(t *testing.T) {
	for _, spells := range [][2]int{{401, 403}, {403, 401}, {403, 403}, {401, 401}, {409, 409}} {
		for moment := 40 * time.Millisecond; moment <= 60*time.Millisecond; moment += 4 * time.Millisecond {
			t.Run(fmt.Sprint(spells[0], " ", spells[1], " ", moment), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					s := newSite(t, simulator.Settings{LatencyFixed: latency})
					s.start(options{})
					passes(t, time.Second)
					ids := s.sim.SignOnMany(7, 40)
					s.sim.FailAtRate(1, simulator.Status(spells[0]))
					s.publish("logoff.requests", jobOf(ids[0]))
					passes(t, time.Second)
					s.sim.ClearFaults()
					for i, id := range ids[1:] {
						if time.Duration(i)*2*time.Millisecond == moment {
							s.sim.FailAtRate(1, simulator.Status(spells[1]))
						}
						s.publish("logoff.requests", jobOf(id))
						passes(t, 2*time.Millisecond)
					}
					passes(t, time.Second)
					s.sim.ClearFaults()
					results := s.awaitFor(len(ids), 2*time.Minute)
					for _, r := range results {
						if !r.Status.Success() {
							t.Errorf("%s: %+v", r.Status, r.Sessions)
						}
					}
					if len(results) != len(ids) {
						t.Errorf("%d results\n%s", len(results), s.log)
					}
				})
			})
		}
	}
}

// A right that is missing for all holds all, says so, and costs few requests.
func TestRightMissingForAllHoldsAll(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: latency})
		r := s.start(options{})
		passes(t, time.Second)
		s.sim.FailAtRate(1, simulator.Status(403))
		ids := s.sim.SignOnMany(7, 450)
		s.publish("logoff.requests", oneEach(ids)...)
		passes(t, time.Second)
		for range 3600 {
			passes(t, time.Second)
			if problem := r.problem(worker.PartWebServer); !strings.Contains(problem, "403") {
				t.Fatalf("the worker says %q", problem)
			}
		}
		if n := len(s.logoffs()); n > 200 {
			t.Errorf("%d logoffs in an hour", n)
		}
		if n := s.deadLetters() + s.count(s.subjects.ResultStream()); n != 0 {
			t.Errorf("%d results and dead letters", n)
		}
		s.sim.ClearFaults()
		if results := s.awaitFor(450, 2*time.Minute); len(results) != 450 || s.alive(ids) != 0 {
			t.Errorf("%d results, %d are on", len(results), s.alive(ids))
		}
	})
}

// A page that refuses every DELETE is nobody's verdict about a session: all is held, and it is said what
// blocks.
func TestPageThatRefusesEveryLogoffHoldsAll(t *testing.T) {
	for _, status := range []int{400, 403, 405, 411, 413, 501} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: latency})
				r := s.start(options{})
				passes(t, time.Second)
				s.sim.FailAtRate(1, simulator.Answer(status, "text/html", "<html><head><title>Not here</title></head><body>no</body></html>"))
				ids := s.sim.SignOnMany(7, 64)
				s.publish("logoff.requests", jobOf(ids...))
				s.publish("logoff.requests", oneEach(ids[:3])...)
				passes(t, 10*time.Minute)
				if n := s.deadLetters() + s.count(s.subjects.ResultStream()); n != 0 {
					t.Errorf("%d results and dead letters", n)
				}
				if _, conditions := r.health.Ready(); len(conditions) != 1 || !strings.Contains(conditions[0].What, fmt.Sprint(status)) || !strings.Contains(conditions[0].ToDo, "in front of the Web Server") {
					t.Errorf("the worker says %v", conditions)
				}
				if n := len(s.logoffs()); n > 60 {
					t.Errorf("%d logoffs", n)
				}
				s.sim.ClearFaults()
				if results := s.awaitFor(4, 2*time.Minute); len(results) != 4 || s.alive(ids) != 0 {
					t.Errorf("%d results, %d are on", len(results), s.alive(ids))
				}
			})
		})
	}
}

// A quota for reads that is used up holds up reads.
func TestLimitOfReadsHoldsNoLogoffs(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: latency})
		s.start(options{})
		passes(t, time.Second)
		tooMany := slices.Repeat([]simulator.Fault{simulator.Throttle(300)}, 1000)
		for _, op := range []string{"whoami", "session", "user", "v4user"} {
			s.sim.FailNextOn(op, tooMany...)
		}
		for range 20 {
			id := s.sim.SignOn(7, simulator.ConsoleWeb)
			s.publish("logoff.requests", jobOf(id), fmt.Sprintf(`{"sessions":[{"id":%q,"userId":7}]}`, s.sim.SignOn(7, simulator.ConsoleWeb)))
			passes(t, time.Second)
			if s.alive([]string{id}) != 0 {
				t.Fatal("a session is on after a second")
			}
		}
		passes(t, 31*time.Second)
		for _, r := range s.await(40) {
			if len(r.Sessions) != 1 || r.Sessions[0].Outcome != jobs.Accepted || r.TimeToLogoffMS > 31_000 {
				t.Fatalf("%+v", r)
			}
		}
	})
}

// Whatever is asked of the Web Server is counted: with a token that dies before every job, no more writes are
// made within an hour than the budget allows.
func TestRenewalsAndRepeatsAreCounted(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const writes = 40
		s := newSite(t, simulator.Settings{LatencyFixed: latency, WritesPerHour: writes})
		s.start(options{config: func(c *worker.Config) { c.WritesPerHour = writes }})
		passes(t, time.Second)
		for range 150 {
			s.sim.RevokeTokens()
			s.publish("logoff.requests", jobOf(s.sim.SignOn(7, simulator.ConsoleWeb)))
			passes(t, time.Minute)
		}
		s.awaitFor(150, 100*time.Hour)
		traffic := s.sim.Traffic()
		if traffic.WritesRefused != 0 || traffic.MostWrites > writes || !s.signedOff(7) {
			t.Errorf("%+v", traffic)
		}
		t.Logf("%+v", traffic)
	})
}

// The question whether the Web Server is well is a read like others.
func TestPingsAreCounted(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const reads = 5
		s := newSite(t, simulator.Settings{LatencyFixed: latency, ReadsPerHour: reads})
		s.start(options{config: func(c *worker.Config) { c.ReadsPerHour, c.KeepAlive = reads, 30*time.Second }})
		passes(t, 5*time.Hour)
		if traffic := s.sim.Traffic(); traffic.ReadsRefused != 0 || traffic.MostReads > reads {
			t.Errorf("%+v", traffic)
		}
	})
}

// An answer that nobody knows, to every logoff, is said with how it begins, and is asked for less and less.
func TestUnknownAnswerToEveryLogoffIsHeld(t *testing.T) {
	for name, body := range map[string]string{"JSON": `{"status":"queued"}`, "bytes": "\x28\xb5\x2f\xfd\x00", "nothing": ""} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: latency})
				r := s.start(options{})
				passes(t, time.Second)
				s.sim.FailAtRate(1, simulator.Answer(200, "application/octet-stream", body))
				id := s.sim.SignOn(7, simulator.ConsoleWeb)
				s.publish("logoff.requests", jobOf(id))
				passes(t, 6*time.Second)
				if n := len(s.logoffs()); n > 14 {
					t.Errorf("%d logoffs in 6 seconds", n)
				}
				logged := len(s.told())
				passes(t, time.Hour)
				want := map[string]string{"JSON": "queued", "bytes": "28 b5 2f fd", "nothing": "without a body"}[name]
				if problem := r.problem(worker.PartWebServer); !strings.Contains(problem, want) {
					t.Errorf("the worker says %q", problem)
				}
				if n := len(s.logoffs()); n > 160 {
					t.Errorf("%d logoffs in an hour", n)
				}
				if n := len(s.told()) - logged; n > 10 {
					t.Errorf("%d lines in an hour\n%s", n, s.log)
				}
				s.sim.ClearFaults()
				if results := s.awaitFor(1, 75*time.Second); len(results) != 1 || s.alive([]string{id}) != 0 {
					t.Errorf("results %+v", results)
				}
			})
		})
	}
}

// keepPair gives the worker's account a pair of tokens whose access token lives for so long, and has a keeper
// keep it.
func (s *site) keepPair(health *metrics.Health, life time.Duration) *tokens.Keeper {
	s.t.Helper()
	dir := s.t.TempDir()
	keyFile, pairFile := filepath.Join(dir, "key"), filepath.Join(dir, "pair")
	pair := s.sim.Grant(simulator.AccessGrant{UserID: 1, Expiry: time.Now().Add(life)})
	for path, text := range map[string]string{
		keyFile:  "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n",
		pairFile: fmt.Sprintf(`{"accessToken":%q,"refreshToken":%q}`, pair.Access, pair.Refresh),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	key, err := tokens.ReadKey(keyFile)
	if err != nil {
		s.t.Fatal(err)
	}
	nc, err := s.broker.Connect()
	if err != nil {
		s.t.Fatal(err)
	}
	keeper, err := tokens.New(tokens.Config{
		Name: "w", Bucket: "LOGOFF_TOKENS", Create: true, Replicas: 1, Key: key, PairFile: pairFile, NATS: nc,
		WebServer: webserver.Config{URL: "http://127.0.0.1/commandcenter/api", DialContext: s.dial},
		Metrics:   metrics.NewToken(prometheus.NewRegistry()), Health: health, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		keeper.Run(ctx)
	}()
	s.t.Cleanup(func() {
		cancel()
		<-ended
		nc.Close()
	})
	return keeper
}

// A pair whose access token had ended before the worker started holds no job longer than its renewal takes.
func TestPairThatEndedBeforeTheStart(t *testing.T) {
	for kind, job := range kindsOfJobs {
		t.Run(kind, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: latency})
				health := metrics.NewHealth(slog.New(slog.DiscardHandler), tokens.Part)
				keeper := s.keepPair(health, -time.Hour)
				<-keeper.First()
				s.publish("logoff.requests", job(s))
				s.start(options{client: func(c *webserver.Config) {
					c.Username, c.Password, c.Token, c.Kept = "", nil, keeper.Token, true
				}})
				passes(t, 30*time.Second) // in which nothing is presented after an empty bucket
				if results := s.awaitFor(1, 15*time.Second); len(results) != 1 || !s.signedOff(7) {
					t.Errorf("45 seconds after the start: %+v\n%s", results, s.log)
				}
			})
		})
	}
}

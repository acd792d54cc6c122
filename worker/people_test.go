package worker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker"
	"logoffworker/worker/webserver/simulator"
)

// outcomeOf is what a result says of a session; empty for nothing.
func outcomeOf(r jobs.Result, id string) jobs.Outcome {
	for _, s := range r.Sessions {
		if strings.EqualFold(s.ID, id) {
			return s.Outcome
		}
	}
	return ""
}

// crowd signs on some people beside the one of every site, so that lists of others have been seen.
func (s *site) crowd() {
	s.sim.AddUser(simulator.User{ID: 50, Login: `CORP\bob`, Display: "Bob", Email: "bob@corp.example", UPN: "bob@corp.example"})
	s.sim.AddUser(simulator.User{ID: 51, Login: "carol", Display: "Carol", Email: "Carol@Corp.example"})
	s.sim.AddUser(simulator.User{ID: 52, Login: "dave", Display: "Dave", Email: "dave@corp.example"})
}

// Three people are named in three ways, beside one whom nobody knows and one who is not on.
func TestPeopleAreLookedUpAndLoggedOff(t *testing.T) {
	for _, old := range []bool{false, true} {
		t.Run(fmt.Sprintf("old calls %t", old), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond, NoV4Users: old})
				s.crowd()
				on, ended := s.sim.SignOnEverywhere(7, 6)
				bobs, carols := s.sim.SignOnMany(50, 2), s.sim.SignOnMany(51, 1)
				passes(t, 2*time.Second)
				event := time.Now()
				passes(t, 2*time.Second)
				newer := s.sim.SignOn(50, simulator.ConsoleWeb)
				s.start(options{config: func(c *worker.Config) { c.ClockTolerance = 0 }})
				s.publish("logoff.requests", fmt.Sprintf(
					`{"id":"case-1","eventTime":%q,"users":[{"id":7},{"name":"CORP\\bob"},{"email":"carol@corp.example"},{"name":"nobody"},{"id":52}]}`,
					event.UTC().Format(time.RFC3339)))
				r := s.await(1)[0]
				want := map[string]jobs.UserOutcome{"7": jobs.UserOff, `CORP\bob`: jobs.UserOff, "carol@corp.example": jobs.UserOff, "nobody": jobs.UserUnknown, "52": jobs.UserNothingOn}
				for _, u := range r.Users {
					name := strings.Trim(fmt.Sprint(u.ID)+u.Name+u.Email, "0")
					if u.ID != 0 {
						name = fmt.Sprint(u.ID)
					}
					if u.Outcome != want[name] {
						t.Errorf("%s: %s (%s), want %s", name, u.Outcome, u.Error, want[name])
					}
					delete(want, name)
				}
				if len(want) > 0 || r.Status != jobs.Partial || r.UsersLeft != 1 {
					t.Errorf("no word of %v; result %+v", want, r)
				}
				all := slices.Concat(on, bobs, carols)
				for _, id := range all {
					if o := outcomeOf(r, id); o != jobs.LoggedOff {
						t.Errorf("session %s: %q", id, o)
					}
				}
				if len(r.Sessions) != len(all) {
					t.Errorf("%d sessions in the result, %d were on", len(r.Sessions), len(all))
				}
				for _, id := range append(ended, newer) {
					if o := outcomeOf(r, id); o != "" {
						t.Errorf("session %s, which was none of the job's business: %s", id, o)
					}
				}
				if s.alive(all) != 0 || s.alive([]string{newer}) != 1 {
					t.Errorf("%d of the sessions are on, and %d of those newer than the event", s.alive(all), s.alive([]string{newer}))
				}
				letter := s.deadLetter(1)
				left, err := jobs.Decode(letter.Payload, jobs.Rules{})
				if err != nil || len(left.Users) != 1 || left.Users[0].Name != "nobody" || len(left.Sessions) != 0 {
					t.Errorf("the dead letter asks for %+v, %v", left, err)
				}
			})
		})
	}
}

// Somebody who signs on again as soon as he is logged off is logged off again, a few times.
func TestSignOnsThatRaceTheLogoff(t *testing.T) {
	for name, test := range map[string]struct {
		times int
		want  jobs.UserOutcome
	}{
		"twice":    {2, jobs.UserOff},
		"for ever": {1000, jobs.UserStillActive},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
				s.sim.SignOnMany(7, 1)
				s.sim.ComeBack(simulator.Comeback{UserID: 7, Console: simulator.ConsoleWeb, Times: test.times})
				s.start(options{})
				s.publish("logoff.requests", `{"users":[{"id":7}]}`)
				r := s.await(1)[0]
				if r.Users[0].Outcome != test.want {
					t.Errorf("outcome %+v", r.Users[0])
				}
				if n := len(s.logoffs()); n > 6 || n != len(r.Sessions) {
					t.Errorf("%d requests, %d sessions", n, len(r.Sessions))
				}
				if got := outcomes([]jobs.Result{r}); test.want == jobs.UserOff && got[jobs.LoggedOff] != 3 {
					t.Errorf("outcomes %v", got)
				}
			})
		})
	}
}

// What a session that a job names with its owner comes to, with each way in which the Web Server treats
// ended IDs and documents that hold one.
func TestSessionsAreReadBack(t *testing.T) {
	for _, ended := range []simulator.Ended{simulator.Ended500, simulator.EndedError, simulator.EndedIgnore} {
		for _, partial := range []simulator.Partial{simulator.PartialApply, simulator.PartialAtomic, simulator.PartialStop} {
			t.Run(string(ended)+", "+string(partial), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond, Ended: ended, Partial: partial})
					ids := s.sim.SignOnMany(7, 12)
					s.sim.SignOff(ids[3])
					const nobodys = "00000000-0000-4000-8000-000000000000"
					var named []string
					for _, id := range append(ids, nobodys) {
						named = append(named, fmt.Sprintf(`{"id":%q,"userId":7}`, id))
					}
					s.start(options{})
					s.publish("logoff.requests", `{"sessions":[`+strings.Join(named, ",")+`]}`)
					r := s.await(1)[0]
					for i, id := range ids {
						got := outcomeOf(r, id)
						// Where a document is not applied whole, what it ended without a success is found to be off.
						if ok := got == jobs.LoggedOff || got == jobs.AlreadyLoggedOff && (i == 3 || partial != simulator.PartialAtomic); !ok || i == 3 && ended != simulator.EndedIgnore && got != jobs.AlreadyLoggedOff {
							t.Errorf("session %d: %s", i, got)
						}
					}
					if got := outcomeOf(r, nobodys); got != jobs.NotFound {
						t.Errorf("a session that is not in the list: %s", got)
					}
					if r.Status != jobs.Done || s.alive(ids) != 0 {
						t.Errorf("%s, %d on", r.Status, s.alive(ids))
					}
					if n := s.sim.Count("session"); n > 4 {
						t.Errorf("%d lists read", n)
					}
				})
			})
		}
	}
}

// Success without effect is not taken for one, where it can be told.
func TestSuccessWithoutEffectIsSeen(t *testing.T) {
	for name, test := range map[string]struct {
		settings simulator.Settings
		want     jobs.Outcome
	}{
		"dropped bodies":           {simulator.Settings{DropBody: true}, jobs.StillActive},
		"console windows stay":     {simulator.Settings{EMCSessions: simulator.EMCSessionsStay}, jobs.StillActive},
		"the effect shows late":    {simulator.Settings{EffectDelay: 2 * time.Second}, jobs.LoggedOff},
		"the effect shows at once": {simulator.Settings{}, jobs.LoggedOff},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				test.settings.LatencyFixed = 40 * time.Millisecond
				s := newSite(t, test.settings)
				id := s.sim.SignOn(7, simulator.ConsoleCommCell)
				s.start(options{})
				s.publish("logoff.requests", fmt.Sprintf(`{"sessions":[{"id":%q,"userId":7}]}`, id), `{"users":[{"id":7}]}`)
				results := s.await(2)
				for _, r := range results {
					if got := outcomeOf(r, id); len(r.Users) == 0 && got != test.want {
						t.Errorf("session: %s", got)
					}
					if wantOn := test.want == jobs.StillActive; len(r.Users) > 0 && (r.Users[0].Outcome == jobs.UserStillActive) != wantOn {
						t.Errorf("user: %+v", r.Users[0])
					}
				}
			})
		})
	}
}

// Nobody's list is read for sessions without an owner, or when the settings say so.
func TestReadBackIsOff(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		ids := s.sim.SignOnMany(7, 2)
		s.start(options{config: func(c *worker.Config) { c.ReadBack = false }})
		s.publish("logoff.requests", fmt.Sprintf(`{"sessions":[{"id":%q,"userId":7},%q]}`, ids[0], ids[1]))
		if got := outcomes(s.await(1)); got[jobs.Accepted] != 2 {
			t.Errorf("outcomes %v", got)
		}
		if n := s.sim.Count("session"); n > 1 {
			t.Errorf("%d lists read, one for the own session at most", n)
		}
	})
}

// A list shows the newest sessions alone: one that it does not show may be there all the same.
func TestListThatMayBeCutShowsNoAbsence(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		id := s.sim.SignOn(7, simulator.ConsoleWeb)
		passes(t, 2*time.Second)
		s.sim.SignOnMany(7, 60)
		s.start(options{})
		s.publish("logoff.requests", fmt.Sprintf(`{"sessions":[{"id":%q,"userId":7}]}`, id))
		if got := outcomeOf(s.await(1)[0], id); got != jobs.Accepted {
			t.Errorf("outcome %s", got)
		}
	})
}

// ownSession is the one with which a worker is logged in.
func (s *site) ownSession() (id string) {
	for _, listed := range s.sim.Sessions() {
		if listed.UserID == 1 && listed.Active() {
			id = listed.ID
		}
	}
	return id
}

// The worker's own session and what the settings protect is left alone.
func TestProtectedIsNeverSent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		s.crowd()
		ids, bobs := s.sim.SignOnMany(7, 2), s.sim.SignOnMany(50, 1)
		s.start(options{config: func(c *worker.Config) {
			c.ProtectedSessions, c.ProtectedUsers = []string{strings.ToLower(ids[0])}, []string{`corp\BOB`}
		}})
		passes(t, time.Second)
		own := s.ownSession()
		s.publish("logoff.requests", jobOf(ids[0], own), `{"users":[{"name":"CORP\\bob"},{"id":7},{"id":1}]}`)
		for _, r := range s.await(2) {
			for _, id := range []string{ids[0], own} {
				if got := outcomeOf(r, id); len(r.Users) == 0 && got != jobs.Protected {
					t.Errorf("session %s: %q", id, got)
				}
			}
			if len(r.Users) > 0 && r.Users[0].Outcome != jobs.UserProtected {
				t.Errorf("user %+v", r.Users[0])
			}
		}
		if s.alive(append(bobs, own, ids[0])) != 3 || s.alive(ids) != 1 {
			t.Error("something protected was ended, or something else was not")
		}
	})
}

// A list that shows which session is the worker's own is believed at once, also where that was not known before.
func TestOwnSessionInAListIsLeftAlone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		other := s.sim.SignOn(1, simulator.ConsoleWeb)
		s.sim.FailNextOn("session", simulator.Status(500)) // the search for the own session
		s.start(options{})
		passes(t, time.Second)
		s.publish("logoff.requests", `{"users":[{"id":1}]}`)
		if r := s.await(1)[0]; r.Users[0].Outcome != jobs.UserProtected || outcomeOf(r, other) != jobs.LoggedOff || len(r.Sessions) != 1 {
			t.Errorf("%+v", r)
		}
		if s.alive([]string{other}) != 0 || s.ownSession() == "" {
			t.Error("the other session of the worker's user is on, or its own has ended")
		}
	})
}

// A login anew makes another session, which is the worker's own from then on.
func TestOwnSessionIsKnownAfterEachLogin(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		s.start(options{})
		passes(t, time.Second)
		first := s.ownSession()
		s.sim.RevokeTokens()
		s.publish("logoff.requests", jobOf(s.sim.SignOn(7, simulator.ConsoleWeb)))
		s.await(1)
		passes(t, time.Second)
		own := s.ownSession()
		if own == "" || own == first {
			t.Fatalf("the worker is logged in with session %q, and was with %q", own, first)
		}
		s.publish("logoff.requests", jobOf(own))
		if got := outcomeOf(s.await(1)[0], own); got != jobs.Protected || s.ownSession() != own {
			t.Errorf("outcome %s", got)
		}
	})
}

// A session that began after the event is left on, unless the job says that it ends those too.
func TestIncludeNewerEndsWhatBeganAfterTheEvent(t *testing.T) {
	for _, include := range []bool{false, true} {
		t.Run(fmt.Sprint(include), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
				s.crowd()
				older := s.sim.SignOn(7, simulator.ConsoleWeb)
				passes(t, time.Hour)
				event := time.Now().UTC()
				passes(t, time.Hour)
				newer := s.sim.SignOn(7, simulator.ConsoleWeb)
				s.start(options{})
				s.publish("logoff.requests", fmt.Sprintf(`{"eventTime":%q,"includeNewer":%t,"users":[{"id":7}]}`, event.Format(time.RFC3339), include))
				r := s.await(1)[0]
				if r.Users[0].Outcome != jobs.UserOff || s.alive([]string{older}) != 0 {
					t.Errorf("%+v, the older session on: %t", r.Users, s.alive([]string{older}) == 1)
				}
				if ended := s.alive([]string{newer}) == 0; ended != include || (outcomeOf(r, newer) != "") != include {
					t.Errorf("the newer session is ended: %t, and told: %q", ended, outcomeOf(r, newer))
				}
			})
		})
	}
}

// Ten thousand sessions of five hundred people cost few reads.
func TestReadsAreCountedByPerson(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const people, each = 500, 20
		s := newSite(t, simulator.Settings{LatencyFixed: 10 * time.Millisecond})
		var users, ids []string
		for i := range people {
			id := s.sim.AddUser(simulator.User{Login: fmt.Sprintf("user%d", i), Display: "x"})
			users = append(users, fmt.Sprintf(`{"id":%d}`, id))
			ids = append(ids, s.sim.SignOnMany(id, each)...)
		}
		s.start(options{})
		passes(t, time.Second)
		s.sim.ClearJournal()
		s.publish("logoff.requests.bulk", `{"users":[`+strings.Join(users, ",")+`]}`)
		r := s.awaitFor(1, time.Hour)[0]
		if r.Status != jobs.Done || len(r.Sessions) != people*each || s.alive(ids) != 0 {
			t.Errorf("%s, %d sessions, %d on", r.Status, len(r.Sessions), s.alive(ids))
		}
		reads, writes := s.sim.Count("session"), len(s.logoffs())
		if reads > 4*people || writes > people*each/200+4 {
			t.Errorf("%d lists read, %d documents", reads, writes)
		}
		t.Logf("%d sessions of %d people: %d lists read, %d users looked up, %d documents", people*each, people, reads, s.sim.Count("user")+s.sim.Count("userv4"), writes)
	})
}

// An outage while people are looked up loses nothing and gives nobody up.
func TestOutageDuringLookUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		s.crowd()
		ids := slices.Concat(s.sim.SignOnMany(7, 2), s.sim.SignOnMany(50, 2))
		s.start(options{})
		passes(t, time.Second)
		s.sim.Configure(func(c *simulator.Settings) { c.Down = 503 })
		s.publish("logoff.requests", `{"users":[{"id":7},{"email":"bob@corp.example"}]}`)
		passes(t, time.Hour)
		if s.left() != 1 || s.count(s.subjects.ResultStream()) != 0 {
			t.Errorf("%d jobs left, %d results while the Web Server is down", s.left(), s.count(s.subjects.ResultStream()))
		}
		s.sim.Configure(func(c *simulator.Settings) { c.Down = 0 })
		if r := s.await(1)[0]; r.Status != jobs.Done || s.alive(ids) != 0 {
			t.Errorf("%+v, %d on", r, s.alive(ids))
		}
		if n := s.sim.Count("session"); n > 40 {
			t.Errorf("%d lists asked for", n)
		}
	})
}

// Nor does an outage between the logoff and its read-back.
func TestOutageBeforeReadBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		ids := s.sim.SignOnMany(7, 2)
		down := false
		s.start(options{reached: func(p worker.Point) {
			if p == worker.AfterCall && !down {
				down = true
				s.sim.Configure(func(c *simulator.Settings) { c.Down = 503 })
			}
		}})
		s.publish("logoff.requests", `{"users":[{"id":7}]}`)
		passes(t, time.Hour)
		if s.left() != 1 || s.alive(ids) != 0 {
			t.Errorf("%d jobs left, %d sessions on", s.left(), s.alive(ids))
		}
		s.sim.Configure(func(c *simulator.Settings) { c.Down = 0 })
		if r := s.await(1)[0]; r.Status != jobs.Done || r.Users[0].Outcome != jobs.UserOff {
			t.Errorf("%+v", r)
		}
	})
}

// A tenant's quota is never exceeded, and what bulk jobs want does not keep urgent ones waiting.
func TestQuotaIsKept(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const writes, reads = 100, 1000
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond, WritesPerHour: writes, ReadsPerHour: reads})
		s.start(options{config: func(c *worker.Config) { c.WritesPerHour, c.ReadsPerHour = writes, reads }})
		passes(t, time.Second)
		// Lists of 20,000 sessions, whose documents are more than an hour's worth.
		for i := range 2 {
			for lot := range 2 {
				ids := s.sim.SignOnMany(7, 10_000)
				s.publish("logoff.requests.bulk", fmt.Sprintf(`{"id":"list-%d-%d","sessions":["%s"]}`, i, lot, strings.Join(ids, `","`)))
			}
		}
		const urgent = 14 // more than two hours of them
		for range urgent {
			id := s.sim.SignOn(7, simulator.ConsoleWeb)
			s.publish("logoff.requests", fmt.Sprintf(`{"sessions":[{"id":%q,"userId":7}]}`, id))
			passes(t, 500*time.Millisecond)
			if s.alive([]string{id}) != 0 {
				t.Fatal("an urgent session is on after half a second")
			}
			passes(t, 10*time.Minute)
		}
		if got := statuses(s.awaitFor(urgent+4, 100*time.Hour)); got[jobs.Done] < urgent || got[jobs.Done]+got[jobs.AcceptedJob] != urgent+4 {
			t.Errorf("statuses %v", got)
		}
		traffic := s.sim.Traffic()
		if traffic.WritesRefused != 0 || traffic.ReadsRefused != 0 || traffic.MostWrites > writes || traffic.MostReads > reads {
			t.Errorf("%+v", traffic)
		}
		t.Logf("%+v", traffic)
	})
}

// Whenever the other side's hour begins, no more than the quota falls into it.
func TestQuotaIsKeptInAnyHour(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const writes = 40
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond, WritesPerHour: writes})
		s.start(options{config: func(c *worker.Config) { c.WritesPerHour = writes }})
		passes(t, 50*time.Minute)
		send := func() { s.publish("logoff.requests", jobOf(s.sim.SignOn(7, simulator.ConsoleWeb))) }
		send()
		passes(t, 15*time.Minute) // the simulator's hour is the clock's
		const more = 2 * writes
		for range more {
			send()
			passes(t, 40*time.Second)
		}
		if got := statuses(s.await(1 + more)); got[jobs.AcceptedJob] != 1+more {
			t.Errorf("statuses %v", got)
		}
		if traffic := s.sim.Traffic(); traffic.WritesRefused != 0 || traffic.MostWrites > writes || traffic.MostWrites < writes/2 {
			t.Errorf("%+v", traffic)
		}
	})
}

// Without reads, what was accepted is told as accepted, soon.
func TestNoBudgetToReadBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 40 * time.Millisecond})
		s.start(options{config: func(c *worker.Config) { c.ReadsPerHour = 2 }})
		passes(t, time.Second)
		for range 4 {
			s.publish("logoff.requests", fmt.Sprintf(`{"sessions":[{"id":%q,"userId":7}]}`, s.sim.SignOn(7, simulator.ConsoleWeb)))
			passes(t, time.Minute)
		}
		if got := outcomes(s.await(4)); got[jobs.Accepted] < 2 || got[jobs.LoggedOff] > 2 {
			t.Errorf("outcomes %v", got)
		}
	})
}

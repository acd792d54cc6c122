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

// Nothing is told as ended, or as not there, that is on: what a list, a name or an owner seemed to say does
// not count for longer, or for more, than it is known.

const latency = 40 * time.Millisecond

// The right to see other people's sessions was there, and is taken away: an empty list says nothing then.
func TestEmptyListsProveNothingWithoutARightToSee(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: latency, NoPermission: simulator.NoPermissionEmpty})
		s.crowd()
		s.sim.SignOn(50, simulator.ConsoleWeb)
		s.sim.SignOn(7, simulator.ConsoleWeb)
		s.start(options{})
		s.publish("logoff.requests", `{"users":[{"id":50},{"id":7}]}`)
		s.await(1)
		passes(t, time.Minute)
		id := s.sim.SignOn(7, simulator.ConsoleWeb)
		s.sim.ChangeUser(1, func(u *simulator.User) { u.Administrator = false })
		s.publish("logoff.requests", `{"users":[{"id":7}]}`)
		if r := s.await(1)[0]; r.Users[0].Outcome.Success() {
			t.Errorf("the user is on, and told as %s", r.Users[0].Outcome)
		}
		s.publish("logoff.requests", owned(id, 7))
		// To a Web Server that takes no notice of IDs that it does not show, this is one: its yes is all there is to tell.
		yes := s.repeated() == jobs.Accepted
		if got := s.await(1)[0].Sessions[0].Outcome; s.alive([]string{id}) != 1 || got.Success() != yes || yes && got != jobs.Accepted {
			t.Errorf("the session is on, and told as %s", got)
		}
	})
}

func owned(id string, owner int) string {
	return fmt.Sprintf(`{"sessions":[{"id":%q,"userId":%d}]}`, id, owner)
}

// The first job of a worker is about somebody who is not on: that somebody else is seen in a list shows that
// his would be too.
func TestNobodyOnIsKnownFromTheFirstJobOn(t *testing.T) {
	for _, right := range []bool{true, false} {
		t.Run(fmt.Sprint("right ", right), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: latency, NoPermission: simulator.NoPermissionEmpty})
				s.crowd()
				s.sim.SignOff(s.sim.SignOn(51, simulator.ConsoleWeb)) // one who has left
				s.start(options{})
				passes(t, time.Second)
				s.sim.ChangeUser(1, func(u *simulator.User) { u.Administrator = right })
				s.publish("logoff.requests", `{"users":[{"id":7}]}`)
				if r := s.await(1)[0]; (r.Users[0].Outcome == jobs.UserNothingOn) != right {
					t.Errorf("%+v", r.Users)
				}
			})
		})
	}
}

func TestNameIsLookedUpForEachJob(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: latency})
		s.crowd()
		s.sim.SignOn(51, simulator.ConsoleWeb)
		s.start(options{})
		s.publish("logoff.requests", `{"users":[{"name":"carol"}]}`)
		s.await(1)
		passes(t, time.Minute)
		s.sim.ChangeUser(51, func(u *simulator.User) { u.Login = "carol.old" })
		s.sim.AddUser(simulator.User{ID: 60, Login: "carol", Display: "Carol"})
		id := s.sim.SignOn(60, simulator.ConsoleWeb)
		s.publish("logoff.requests", `{"users":[{"name":"carol"}]}`)
		if r := s.await(1)[0]; r.Users[0].Outcome != jobs.UserOff || s.alive([]string{id}) != 0 {
			t.Errorf("%+v", r.Users)
		}
	})
}

func TestProtectedSessionKeepsItsUserFromBeingOff(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: latency})
		s.crowd()
		ids := s.sim.SignOnMany(7, 2)
		bob := s.sim.SignOn(50, simulator.ConsoleWeb)
		s.start(options{config: func(c *worker.Config) { c.ProtectedSessions = []string{ids[0], bob} }})
		passes(t, time.Second)
		s.publish("logoff.requests", `{"users":[{"id":7},{"id":50},{"id":1}]}`) // the last is the worker itself
		r := s.await(1)[0]
		for _, u := range r.Users {
			if u.Outcome != jobs.UserProtected {
				t.Errorf("%+v", u)
			}
		}
		if s.alive(ids) != 1 || s.alive([]string{bob}) != 1 {
			t.Error("a protected session has ended, or one that is not is on")
		}
	})
}

// One publisher's wrong owner does not keep a session on of which another tells the right one, and not of
// which nobody else does either.
func TestWrongOwnerShieldsNobody(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: latency, Partial: simulator.PartialAtomic}) // else the document that fails ends them all the same
		s.crowd()
		id, ended := s.sim.SignOn(7, simulator.ConsoleWeb), s.sim.SignOn(7, simulator.ConsoleWeb)
		other := s.sim.SignOn(51, simulator.ConsoleWeb)
		s.sim.SignOff(ended)
		s.sim.SignOn(50, simulator.ConsoleWeb)
		s.publish("logoff.requests", fmt.Sprintf(`{"id":"right","sessions":[{"id":%q,"userId":7},{"id":%q,"userId":7}]}`, id, ended))
		s.publish("logoff.requests", fmt.Sprintf(`{"id":"wrong","sessions":[{"id":%q,"userId":50},{"id":%q,"userId":50}]}`, id, other))
		s.start(options{})
		for _, r := range s.await(2) {
			if r.JobID == "right" && outcomeOf(r, id) != jobs.LoggedOff {
				t.Errorf("%+v", r.Sessions)
			}
		}
		if n := s.alive([]string{id, other}); n != 0 {
			t.Errorf("%d are on", n)
		}
	})
}

// Outages last: a job whose sessions were accepted does not wait for the users of another one.
func TestAcceptedSessionsDoNotWaitForUsersOfOthers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: latency, LatencyPerSession: 2 * time.Second})
		id := s.sim.SignOn(7, simulator.ConsoleWeb)
		down := false
		s.publish("logoff.requests", `{"id":"plain",`+owned(id, 7)[1:])
		s.publish("logoff.requests", `{"id":"people","users":[{"id":7}]}`)
		s.start(options{reached: func(p worker.Point) {
			if p == worker.AfterCall && !down {
				down = true
				s.sim.Configure(func(c *simulator.Settings) { c.Down = 503 })
			}
		}})
		passes(t, 5*time.Minute)
		if r := s.await(1)[0]; r.JobID != "plain" || r.Sessions[0].Outcome != jobs.Accepted {
			t.Errorf("%+v", r)
		}
		s.sim.Configure(func(c *simulator.Settings) { c.Down = 0 })
		if r := s.await(1)[0]; r.JobID != "people" || r.Status != jobs.Done {
			t.Errorf("%+v", r)
		}
	})
}

// A list that is refused although the token is good for everything else costs its own job, and holds up
// nobody.
func TestRefusedQuestionHoldsUpNobody(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: latency})
		s.start(options{})
		passes(t, time.Second)
		var faults []simulator.Fault
		for range 1000 {
			faults = append(faults, simulator.Status(401))
		}
		s.sim.FailNextOn("session", faults...)
		s.publish("logoff.requests", `{"users":[{"id":7}]}`)
		if r := s.await(1)[0]; r.Users[0].Outcome != jobs.UserUndecided || !strings.Contains(r.Users[0].Error, "401") {
			t.Errorf("%+v", r.Users)
		}
		for range 10 {
			s.publish("logoff.requests.bulk", `{"users":[{"id":7}]}`)
			s.publish("logoff.requests", jobOf(s.sim.SignOn(7, simulator.ConsoleWeb)))
			for _, r := range s.await(2) {
				if r.Lane == jobs.Urgent && r.TimeToLogoffMS > 1000 {
					t.Errorf("an urgent job took %d ms", r.TimeToLogoffMS)
				}
			}
		}
	})
}

// Questions that are answered do not make the waits between refused logoffs begin anew.
func TestQuestionsLeaveTheBackoffOfLogoffsAlone(t *testing.T) {
	for _, status := range []int{403, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: latency})
				var users []string
				for i := range 1000 {
					users = append(users, fmt.Sprintf(`{"id":%d}`, s.sim.AddUser(simulator.User{ID: 100 + i, Login: fmt.Sprint("u", i)})))
				}
				s.start(options{})
				passes(t, time.Second)
				s.sim.FailAtRate(1, simulator.Status(status))
				id := s.sim.SignOn(7, simulator.ConsoleWeb)
				s.publish("logoff.requests.bulk", jobOf(id))
				for range 4 {
					s.publish("logoff.requests.urgent", `{"users":[`+strings.Join(users, ",")+`]}`)
				}
				passes(t, 100*time.Second)
				if n := len(s.logoffs()); n > 110 {
					t.Errorf("%d logoffs were refused", n)
				}
				s.sim.ClearFaults()
				s.awaitFor(5, 30*time.Minute)
				if s.alive([]string{id}) != 0 {
					t.Error("the session is on")
				}
			})
		})
	}
}

func TestSmallUrgentJobDoesNotWaitForTheLookUpsOfALargeOne(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 100 * time.Millisecond})
		var users []string
		for i := range 1000 {
			users = append(users, fmt.Sprintf(`{"id":%d}`, s.sim.AddUser(simulator.User{Login: fmt.Sprint("u", i)})))
		}
		s.sim.SignOn(7, simulator.ConsoleWeb)
		s.publish("logoff.requests", `{"id":"large","users":[`+strings.Join(users, ",")+`]}`)
		s.publish("logoff.requests", `{"id":"small","users":[{"id":7}]}`)
		s.start(options{})
		if r := s.await(1)[0]; r.JobID != "small" || r.TimeToLogoffMS > 3000 {
			t.Errorf("%s took %d ms", r.JobID, r.TimeToLogoffMS)
		}
		s.await(1)
	})
}

// Somebody signs on just before the last look, and is logged off: then he is off.
func TestSignOnAtTheLastLookIsEndedAndTold(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: latency, EffectDelay: 2 * time.Second})
		s.sim.SignOn(7, simulator.ConsoleWeb)
		s.start(options{})
		passes(t, time.Second)
		s.sim.SignOnAt(7, simulator.ConsoleWeb, time.Now().Add(3*time.Second))
		s.publish("logoff.requests", `{"users":[{"id":7}]}`)
		if r := s.await(1)[0]; r.Users[0].Outcome != jobs.UserOff || r.Counts[jobs.LoggedOff] != 2 {
			t.Errorf("%+v %v", r.Users, r.Counts)
		}
	})
}

// A user whom the settings name is protected before anybody was looked up, also where a job tells him as the
// owner of a session alone.
func TestUserProtectedByNameIsProtectedFromTheStart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: latency})
		s.crowd()
		bob, jane := s.sim.SignOn(50, simulator.ConsoleWeb), s.sim.SignOn(7, simulator.ConsoleWeb)
		s.publish("logoff.requests", fmt.Sprintf(`{"sessions":[{"id":%q,"userId":50},{"id":%q,"userId":7}]}`, bob, jane))
		s.start(options{config: func(c *worker.Config) { c.ProtectedUsers = []string{`CORP\bob`} }})
		for range 2 {
			r := s.await(1)[0]
			if outcomeOf(r, bob) != jobs.Protected || outcomeOf(r, jane) != jobs.LoggedOff || s.alive([]string{bob}) != 1 {
				t.Errorf("%+v", r.Sessions)
			}
			passes(t, 10*time.Minute)
			jane = s.sim.SignOn(7, simulator.ConsoleWeb)
			s.publish("logoff.requests", fmt.Sprintf(`{"sessions":[{"id":%q,"userId":50},{"id":%q,"userId":7}]}`, bob, jane))
		}
		s.await(1)
	})
}

// Where it cannot be found out who is protected, nobody who may be is sent, and the job is kept in hand.
func TestUnknownProtectionEndsNobodysSession(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: latency, NoV4Users: true, NoOldUsers: true})
		s.crowd()
		bob, plain := s.sim.SignOn(50, simulator.ConsoleWeb), s.sim.SignOn(7, simulator.ConsoleWeb)
		s.publish("logoff.requests", fmt.Sprintf(`{"sessions":[{"id":%q,"userId":50},%q]}`, bob, plain))
		w := s.start(options{config: func(c *worker.Config) { c.ProtectedUsers = []string{`CORP\bob`} }})
		passes(t, time.Hour)
		if s.left() != 1 || s.deadLetters() != 0 || s.alive([]string{bob, plain}) != 2 || w.problem(worker.PartProtected) == "" {
			t.Errorf("%d jobs are left, %d dead letters, %d sessions are on", s.left(), s.deadLetters(), s.alive([]string{bob, plain}))
		}
		s.sim.Configure(func(c *simulator.Settings) { c.NoOldUsers = false })
		if r := s.awaitFor(1, time.Minute); len(r) != 1 || outcomeOf(r[0], bob) != jobs.Protected || outcomeOf(r[0], plain) != jobs.Accepted {
			t.Errorf("%+v", r)
		}
	})
}

// Of two users with one address, of whom one is protected, the other is logged off.
func TestProtectedUserShieldsNoOtherOfHisAddress(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: latency})
		s.crowd()
		s.sim.AddUser(simulator.User{ID: 53, Login: "bob-admin", Display: "Bob", Email: "bob@corp.example"})
		id, admin := s.sim.SignOn(50, simulator.ConsoleWeb), s.sim.SignOn(53, simulator.ConsoleWeb)
		s.start(options{config: func(c *worker.Config) { c.ProtectedUsers = []string{"53"} }})
		s.publish("logoff.requests", `{"users":[{"email":"bob@corp.example"}]}`)
		r := s.await(1)[0]
		if r.Users[0].Outcome != jobs.UserProtected || s.alive([]string{id}) != 0 || s.alive([]string{admin}) != 1 {
			t.Errorf("%+v", r.Users)
		}
		if ids := r.Users[0].UserIDs; !slices.Equal(ids, []int64{50}) {
			t.Errorf("sessions of %v are looked for, want those of 50 alone", ids)
		}
	})
}

func TestManyAddressesAreLookedUpTogether(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: latency})
		var users []string
		for i := range 300 {
			user := s.sim.AddUser(simulator.User{Login: fmt.Sprintf(`CORP\u%d`, i), Email: fmt.Sprintf("U%d@corp.example", i)})
			s.sim.SignOn(user, simulator.ConsoleWeb)
			users = append(users, []string{fmt.Sprintf(`{"email":"u%d@corp.example"}`, i), fmt.Sprintf(`{"name":"CORP\\u%d"}`, i)}[i%2])
		}
		s.start(options{})
		passes(t, time.Second)
		s.sim.ClearJournal()
		s.publish("logoff.requests", `{"users":[`+strings.Join(append(users, `{"email":"nobody@corp.example"}`), ",")+`]}`)
		r := s.await(1)[0]
		for i, u := range r.Users {
			if want := []jobs.UserOutcome{jobs.UserOff, jobs.UserUnknown}[i/300]; u.Outcome != want {
				t.Errorf("%+v", u)
			}
		}
		s.count(s.subjects.ResultStream())
		if n := s.sim.Count("user") + s.sim.Count("userv4"); n > 2 {
			t.Errorf("%d questions about users", n)
		}
	})
}

// A 500 may have taken effect, which shows late; a stop in between leaves it to somebody else to find out.
func TestUndecidedSessionsAreLookedAtAgain(t *testing.T) {
	for _, stop := range []bool{false, true} {
		t.Run(fmt.Sprint("stop ", stop), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: latency, EffectDelay: 3 * time.Second})
				id := s.sim.SignOn(7, simulator.ConsoleWeb)
				w := s.start(options{})
				passes(t, time.Second)
				s.sim.FailNext(simulator.Generic500().Applied(), simulator.Generic500().Applied(), simulator.Generic500().Applied())
				s.publish("logoff.requests", owned(id, 7))
				if stop {
					passes(t, 700*time.Millisecond)
					w.stop()
					s.start(options{})
				}
				r := s.awaitFor(1, time.Minute)
				if len(r) != 1 || !outcomeOf(r[0], id).Success() || s.alive([]string{id}) != 0 {
					t.Errorf("%+v", r)
				}
			})
		})
	}
}

// Sessions that began after the event are left on, and told.
func TestNewerSessionsLeftOnAreTold(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: latency})
		event := time.Now()
		s.sim.SignOn(7, simulator.ConsoleWeb)
		passes(t, 2*time.Minute) // more than the tolerance
		newer := s.sim.SignOn(7, simulator.ConsoleWeb)
		s.start(options{})
		s.publish("logoff.requests", fmt.Sprintf(`{"eventTime":%q,"users":[{"id":7}]}`, event.Add(time.Second).UTC().Format(time.RFC3339)))
		u := s.await(1)[0].Users[0]
		if u.Outcome != jobs.UserOff || !strings.Contains(u.Error, "after eventTime: 1") || s.alive([]string{newer}) != 1 {
			t.Errorf("%+v", u)
		}
	})
}

// Many jobs of the same people at once, told in every way, in both lanes, and a stop in the middle.
func TestManyJobsOfTheSamePeopleEachHaveOneResult(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: 300 * time.Millisecond, EffectDelay: time.Second})
		s.crowd()
		var ids []string
		owners := []int{7, 50, 51}
		for _, user := range owners {
			ids = append(ids, s.sim.SignOnMany(user, 10)...)
		}
		n := 0
		for i := range 100 {
			for _, subject := range []string{"logoff.requests", "logoff.requests.bulk"} {
				id, owner := ids[i%30], owners[i%30/10]
				s.publish(subject, []string{
					fmt.Sprintf(`{"users":[{"id":%d},{"email":"bob@corp.example"},{"id":52}]}`, owner),
					fmt.Sprintf(`{"sessions":[{"id":%q,"userId":%d}],"users":[{"id":%d}]}`, id, owner, owner),
					fmt.Sprintf(`{"sessions":[%q],"users":[{"name":"carol"}]}`, id),
					owned(id, owner),
				}[i%4])
				n++
			}
		}
		w := s.start(options{})
		passes(t, 1700*time.Millisecond)
		w.stop()
		s.start(options{})
		results := s.await(n)
		if more := s.awaitFor(1, time.Minute); len(more) != 0 || s.left() != 0 || s.alive(ids) != 0 || statuses(results)[jobs.Done]+statuses(results)[jobs.AcceptedJob] < n*3/4 {
			t.Errorf("%v, %d more, %d left, %d on", statuses(results), len(more), s.left(), s.alive(ids))
		}
	})
}

// A stop while it is not known who is protected sends nothing, and leaves the job to somebody else.
func TestStopBeforeProtectionIsKnownSendsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: latency, Down: 503})
		s.crowd()
		bob, jane := s.sim.SignOn(50, simulator.ConsoleWeb), s.sim.SignOn(7, simulator.ConsoleWeb)
		s.publish("logoff.requests", fmt.Sprintf(`{"sessions":[{"id":%q,"userId":50},{"id":%q,"userId":7}]}`, bob, jane))
		protect := options{config: func(c *worker.Config) { c.ProtectedUsers = []string{`CORP\bob`} }}
		w := s.start(protect)
		passes(t, time.Minute)
		w.stop()
		if n := len(s.logoffs()); n != 0 || s.left() != 1 {
			t.Errorf("%d logoffs, %d jobs are left", n, s.left())
		}
		s.sim.Configure(func(c *simulator.Settings) { c.Down = 0 })
		s.start(protect)
		if r := s.await(1)[0]; outcomeOf(r, bob) != jobs.Protected || outcomeOf(r, jane) != jobs.LoggedOff {
			t.Errorf("%+v", r.Sessions)
		}
	})
}

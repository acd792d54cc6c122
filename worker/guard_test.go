package worker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

// protecting has users protected.
func protecting(users ...string) options {
	return options{config: func(c *worker.Config) { c.ProtectedUsers = users }}
}

// always is a fault for every request of a kind, until faults are cleared.
func (s *site) always(op string, fault simulator.Fault) {
	s.sim.FailNextOn(op, slices.Repeat([]simulator.Fault{fault}, 10_000)...)
}

// ofUser is a job for a user, ofXML one in the vendor's form.
func ofUser(id int) string { return fmt.Sprintf(`{"users":[{"id":%d}]}`, id) }

func ofXML(id string) string {
	return `<Api_LogoffUsersRequest><sessions val="` + id + `"/></Api_LogoffUsersRequest>`
}
func (r *running) ready() bool { well, _ := r.health.Ready(); return well }

// A protected user's session is left alone whoever names it, and however: by its ID alone, with somebody else as its
// owner, in the vendor's form, in another case, beside others.
func TestProtectedUsersSessionIsLeftAloneWhoeverNamesIt(t *testing.T) {
	for name, users := range map[string][]string{
		"by userId":            {"50"},
		"by name":              {`CORP\bob`},
		"by address":           {"bob@corp.example"},
		"among others":         {"51", ` corp\BOB `, "", "  "},
		"decomposed name":      {"51", `CORP\bob`, "mu\u0308ller"},
		"by name like address": {"svc@local", "50"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: latency})
				s.crowd()
				s.sim.AddUser(simulator.User{ID: 60, Login: "m\u00fcller", Display: "M"})
				s.sim.AddUser(simulator.User{ID: 61, Login: "svc@local", Display: "S"})
				bobs, jane := s.sim.SignOnMany(50, 4), s.sim.SignOnMany(7, 2)
				w := s.start(protecting(users...))
				s.publish("logoff.requests",
					jobOf(bobs[0]), owned(bobs[1], 7), ofXML(bobs[2]), jobOf(strings.ToLower(bobs[3]), jane[0]), ofUser(7))
				protected := 0
				for _, r := range s.await(5) {
					for _, id := range bobs {
						if o := outcomeOf(r, id); o != "" && o != jobs.Protected {
							t.Errorf("session %s: %s", id, o)
						} else if o != "" {
							protected++
						}
					}
				}
				if protected != 4 || s.alive(bobs) != 4 || s.alive(jane) != 0 {
					t.Errorf("%d told as protected, %d of them and %d others are on", protected, s.alive(bobs), s.alive(jane))
				}
				if !w.ready() {
					t.Errorf("not ready: %s", w.problem(worker.PartProtected))
				}
				for _, sent := range s.logoffs() {
					for _, id := range bobs {
						if strings.Contains(strings.ToUpper(string(sent.Body)), id) {
							t.Errorf("%s was sent", id)
						}
					}
				}
			})
		})
	}
}

// One that was opened a moment before it is named is, too; and so is one that has left the list since.
func TestProtectedUsersNewAndOldSessionsAreKnown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: latency})
		s.crowd()
		old := s.sim.SignOn(50, simulator.ConsoleCommCell)
		s.start(protecting("50"))
		passes(t, 10*time.Second)
		for range 3 {
			fresh := s.sim.SignOn(50, simulator.ConsoleWeb)
			s.publish("logoff.requests", jobOf(fresh))
			if got := outcomeOf(s.await(1)[0], fresh); got != jobs.Protected {
				t.Errorf("a new session is %s", got)
			}
			passes(t, 100*time.Millisecond)
		}
		for range 60 {
			s.sim.SignOff(s.sim.SignOn(50, simulator.ConsoleWeb))
			passes(t, 3*time.Second)
		}
		s.publish("logoff.requests", jobOf(old))
		if got := outcomeOf(s.await(1)[0], old); got != jobs.Protected || s.alive([]string{old}) != 1 {
			t.Errorf("an old session is %s", got)
		}
		if !strings.Contains(s.log.String(), "sessions may be cut") {
			t.Error("nobody is told that the list may be cut")
		}
	})
}

// A session that has ended is no longer anybody's, and a user who is protected no more is not spared.
func TestEndedSessionOfProtectedUserIsForgotten(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: latency, Ended: simulator.EndedIgnore})
		s.crowd()
		ended, on := s.sim.SignOn(50, simulator.ConsoleWeb), s.sim.SignOn(50, simulator.ConsoleWeb)
		reloads := make(chan worker.Reload, 1)
		o := protecting("50")
		o.reloads = reloads
		s.start(o)
		passes(t, time.Second)
		s.sim.SignOff(ended)
		s.publish("logoff.requests", jobOf(s.sim.SignOn(7, simulator.ConsoleWeb)))
		s.await(1)
		s.publish("logoff.requests", jobOf(ended))
		if got := outcomeOf(s.await(1)[0], ended); got != jobs.Accepted {
			t.Errorf("the ended session is %s", got)
		}
		reloads <- worker.Reload{}
		passes(t, time.Second)
		s.publish("logoff.requests", jobOf(on))
		if got := outcomeOf(s.await(1)[0], on); got != jobs.Accepted {
			t.Errorf("the session of one who is protected no more is %s", got)
		}
	})
}

// Where the sessions of a protected user cannot be listed, jobs with sessions wait, the worker says so, and jobs with
// users go on; as soon as they can be listed, what waited leaves in full documents.
func TestSessionsWaitWhileThoseOfAProtectedUserCannotBeListed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: latency, UnlistedUser: 50})
		s.crowd()
		bob, janes, carols := s.sim.SignOn(50, simulator.ConsoleWeb), s.sim.SignOnMany(7, 300), s.sim.SignOnMany(51, 3)
		w := s.start(protecting("50"))
		passes(t, 10*time.Second)
		if p := w.problem(worker.PartProtected); !strings.Contains(p, `"50"`) || !strings.Contains(p, "403") || w.ready() {
			t.Errorf("before anything came, it says %q", p)
		}
		s.publish("logoff.requests", append(oneEach(janes), jobOf(bob))...)
		passes(t, time.Minute)
		for range 3 {
			s.publish("logoff.requests", `{"users":[{"email":"carol@corp.example"}]}`)
			if r := s.awaitFor(1, 10*time.Second); len(r) != 1 || len(r[0].Users) != 1 || r[0].Users[0].Outcome == jobs.UserUndecided {
				t.Fatalf("a job with a user: %+v", r)
			}
			passes(t, 10*time.Minute)
		}
		if s.alive(carols) != 0 || s.alive(janes) != len(janes) || s.left() != 301 || s.deadLetters() != 0 {
			t.Errorf("%d and %d are on, %d jobs are left", s.alive(carols), s.alive(janes), s.left())
		}
		if n := s.sim.Count("session"); n > 1000 {
			t.Errorf("%d lists were asked for in half an hour", n)
		}
		s.sim.ClearJournal()
		s.sim.Configure(func(c *simulator.Settings) { c.UnlistedUser = 0 })
		results := s.awaitFor(301, 20*time.Second)
		if got := outcomes(results); got[jobs.Accepted] != 300 || got[jobs.Protected] != 1 || s.alive([]string{bob}) != 1 {
			t.Errorf("%v", got)
		}
		if n := len(s.logoffs()); n > 4 {
			t.Errorf("%d documents for %d sessions", n, len(janes))
		}
		if !w.ready() {
			t.Errorf("not ready: %s", w.problem(worker.PartProtected))
		}
	})
}

// What keeps a list from being read: an answer that is none, a limit, a budget that is used up, a cache, a right that is
// missing so that the list is empty.
func TestSessionsWaitForEveryReasonThatAListCannotBeRead(t *testing.T) {
	for name, test := range map[string]struct {
		break_ func(s *site)
		mend   func(s *site)
	}{
		"500":           {func(s *site) { s.always("session", simulator.Status(500)) }, (*site).clear},
		"a page":        {func(s *site) { s.always("session", simulator.Page()) }, (*site).clear},
		"nothing":       {func(s *site) { s.always("session", simulator.Empty()) }, (*site).clear},
		"404":           {func(s *site) { s.always("session", simulator.Status(404)) }, (*site).clear},
		"429":           {func(s *site) { s.always("session", simulator.Throttle(60)) }, (*site).clear},
		"old lists":     {func(s *site) { s.always("session", simulator.Answer(200, "application/json", `{"sessions":`)) }, (*site).clear},
		"no right":      {func(s *site) { s.sim.ChangeUser(1, func(u *simulator.User) { u.Administrator = false }) }, func(s *site) { s.sim.ChangeUser(1, func(u *simulator.User) { u.Administrator = true }) }},
		"hidden people": {func(s *site) { s.hide(3) }, func(s *site) { s.hide(0) }},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: latency, NoPermission: simulator.NoPermissionEmpty})
				s.sim.AddUser(simulator.User{ID: 50, Login: "bob", Company: "Other", CompanyID: 3})
				bob, jane := s.sim.SignOn(50, simulator.ConsoleWeb), s.sim.SignOn(7, simulator.ConsoleWeb)
				test.break_(s)
				w := s.start(protecting("50"))
				s.publish("logoff.requests", jobOf(bob), jobOf(jane))
				passes(t, time.Hour)
				if p := w.problem(worker.PartProtected); p == "" || s.alive([]string{bob, jane}) != 2 || s.left() != 2 || s.deadLetters() != 0 {
					t.Errorf("%q; %d are on, %d jobs are left", p, s.alive([]string{bob, jane}), s.left())
				}
				test.mend(s)
				got := outcomes(s.awaitFor(2, 2*time.Minute))
				if got[jobs.Protected] != 1 || got[jobs.Accepted] != 1 || s.alive([]string{bob}) != 1 {
					t.Errorf("%v", got)
				}
				if passes(t, time.Minute); !w.ready() {
					t.Errorf("not ready: %s", w.problem(worker.PartProtected))
				}
			})
		})
	}
}

func (s *site) clear() { s.sim.ClearFaults() }

func (s *site) hide(company int) {
	s.sim.Configure(func(c *simulator.Settings) { c.HiddenCompany = company })
}

// While it cannot be found out who is protected, every job waits that it can concern, and none becomes a dead letter.
func TestJobsWaitWhileProtectedUsersCannotBeLookedUp(t *testing.T) {
	for name, fault := range map[string]simulator.Fault{
		"500":         simulator.Status(500),
		"403":         simulator.Status(403),
		"a page":      simulator.Page(),
		"429":         simulator.Throttle(60),
		"another one": simulator.Answer(200, "application/json", `{"users":[{"userEntity":{"userId":51,"userName":"carol"}}]}`),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: latency, NoV4Users: true})
				s.crowd()
				bob, jane := s.sim.SignOn(50, simulator.ConsoleWeb), s.sim.SignOn(7, simulator.ConsoleWeb)
				s.always("user", fault)
				w := s.start(protecting(`CORP\bob`))
				s.publish("logoff.requests", jobOf(bob, jane), owned(jane, 7))
				passes(t, 20*time.Minute)
				if p := w.problem(worker.PartProtected); !strings.Contains(p, `"CORP\bob"`) || w.ready() || s.deadLetters() != 0 || s.left() != 2 || s.alive([]string{bob, jane}) != 2 {
					t.Errorf("%q; %d jobs are left, %d dead letters", p, s.left(), s.deadLetters())
				}
				s.clear()
				s.publish("logoff.requests", ofUser(50), ofUser(7))
				for _, r := range s.awaitFor(4, time.Minute) {
					if got := outcomeOf(r, bob); got != "" && got != jobs.Protected {
						t.Errorf("bob's session is %s", got)
					}
				}
				if s.alive([]string{bob}) != 1 || s.alive([]string{jane}) != 0 || len(s.seen) != 4 || !w.ready() {
					t.Errorf("%d results; %s", len(s.seen), w.problem(worker.PartProtected))
				}
			})
		})
	}
}

// A job with users waits as well, in hand; a stop hands it back at once, and notAfter is honoured.
func TestWaitForProtectionEndsWithNotAfterAndWithAStop(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: latency, UnlistedUser: 50})
		s.crowd()
		jane, carol := s.sim.SignOn(7, simulator.ConsoleWeb), s.sim.SignOn(51, simulator.ConsoleWeb)
		w := s.start(protecting("50"))
		due := dueIn(5 * time.Minute)
		s.publish("logoff.requests", fmt.Sprintf(`{%s,"sessions":[%q]}`, due, jane), jobOf(carol))
		if r := s.awaitFor(1, 5*time.Minute+2*time.Second); len(r) != 1 || outcomeOf(r[0], jane) != jobs.Expired || r[0].CompletedAt.Before(time.Now().Add(-10*time.Second)) {
			t.Errorf("%+v", r)
		}
		passes(t, 10*time.Minute)
		stopped := time.Now()
		w.stop()
		if time.Since(stopped) > time.Second || s.alive([]string{jane, carol}) != 2 {
			t.Errorf("the stop took %v", time.Since(stopped))
		}
		s.takesAtOnce(jobs.Urgent, 1)
	})
}

func TestUsersWaitForProtectionUntilNotAfter(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: latency})
		s.crowd()
		s.always("user", simulator.Status(500)) // the call for names; that for ids is another
		s.sim.SignOn(7, simulator.ConsoleWeb)
		w := s.start(protecting(`bob`))
		s.publish("logoff.requests", fmt.Sprintf(`{%s,"users":[{"id":7}]}`, dueIn(5*time.Minute)), ofUser(7))
		if r := s.awaitFor(1, 5*time.Minute+2*time.Second); len(r) != 1 || r[0].Users[0].Outcome != jobs.UserExpired {
			t.Errorf("%+v", r)
		}
		passes(t, 5*time.Minute)
		if w.ready() || s.left() != 1 {
			t.Errorf("%d jobs are left", s.left())
		}
		w.stop()
		s.takesAtOnce(jobs.Urgent, 1)
	})
}

// A protection that protects nobody is a fault, and holds nothing; it is over when there is such a user.
func TestProtectedUserWhoDoesNotExistIsAFault(t *testing.T) {
	for name, test := range map[string]struct {
		users  []string
		nobody string // as it is told
		made   simulator.User
	}{
		"name":    {[]string{"50", `CORP\nobody`}, `"CORP\nobody", the value 2 of LOGOFF_PROTECTED_USERS`, simulator.User{ID: 70, Login: `CORP\nobody`}},
		"address": {[]string{"nobody@corp.example"}, `"nobody@corp.example", the value 1`, simulator.User{ID: 70, Login: "x", Email: "Nobody@corp.example"}},
		"userId":  {[]string{"70"}, `"70", the value 1`, simulator.User{ID: 70, Login: "x"}},
		"zero":    {[]string{"0"}, `"0", the value 1`, simulator.User{ID: 70, Login: "0"}},
		"several": {[]string{"a", "50", "b"}, `"b", the value 3`, simulator.User{}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: latency})
				s.crowd()
				s.sim.SignOn(50, simulator.ConsoleWeb)
				jane := s.sim.SignOn(7, simulator.ConsoleWeb)
				w := s.start(protecting(test.users...))
				passes(t, 5*time.Second)
				if p := w.problem(worker.PartProtected); !strings.Contains(p, test.nobody) || w.ready() || !strings.Contains(s.log.String(), "level=ERROR msg=\"protected: the Web Server knows nobody") {
					t.Errorf("it says %q", p)
				}
				s.publish("logoff.requests", jobOf(jane))
				if r := s.awaitFor(1, 5*time.Second); len(r) != 1 || outcomeOf(r[0], jane) != jobs.Accepted {
					t.Errorf("a job: %+v", r)
				}
				if test.made.Login == "" {
					return
				}
				s.sim.AddUser(test.made)
				id := s.sim.SignOn(70, simulator.ConsoleWeb)
				if passes(t, 7*time.Minute); !w.ready() {
					t.Errorf("not ready although there is such a user: %s", w.problem(worker.PartProtected))
				}
				s.publish("logoff.requests", jobOf(id))
				if got := outcomeOf(s.await(1)[0], id); got != jobs.Protected {
					t.Errorf("the session of the user is %s", got)
				}
			})
		})
	}
}

// A protected session that is none is told, and those that are protect, whatever they are written as.
func TestProtectedSessionThatIsNoneIsAFault(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: latency})
		ids := append(s.sim.SignOnMany(7, 3), s.sim.SignOn(7, simulator.ConsoleCommCell))
		reloads := make(chan worker.Reload, 1)
		w := s.start(options{reloads: reloads, config: func(c *worker.Config) {
			c.ProtectedSessions = []string{" " + ids[0] + "\t", "", "no session", "{" + strings.ToLower(ids[1]) + "}", "hunter2", strings.ToLower(ids[3])}
		}})
		passes(t, time.Second)
		p := w.problem(worker.PartProtected)
		if !strings.Contains(p, "value 3 of LOGOFF_PROTECTED_SESSIONS and the value 5 of") || strings.Contains(p+s.log.String(), "hunter2") || w.ready() {
			t.Errorf("it says %q", p)
		}
		s.publish("logoff.requests", jobOf(ids...))
		if got := outcomes(s.await(1)); got[jobs.Protected] != 3 || got[jobs.Accepted] != 1 {
			t.Errorf("%v", got)
		}
		reloads <- worker.Reload{ProtectedSessions: ids[:1]}
		if passes(t, time.Second); !w.ready() {
			t.Errorf("not ready: %s", w.problem(worker.PartProtected))
		}
	})
}

// Where nobody is protected, nothing is asked for; where somebody is, no more than the budget has for it.
func TestProtectionStaysWithinTheBudgetOfReads(t *testing.T) {
	for name, test := range map[string]struct {
		users    []string
		perHour  int
		lists    int // for one job each minute, in an hour
		patience time.Duration
	}{
		"nobody":         {nil, 0, 1, 2 * time.Second},
		"one":            {[]string{"50"}, 0, 130, 2 * time.Second},
		"one of a quota": {[]string{"50"}, 1000, 130, 2 * time.Second},
		"small quota":    {[]string{"50", "51"}, 60, 20, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: latency, ReadsPerHour: test.perHour})
				s.crowd()
				s.sim.SignOnMany(50, 1)
				s.sim.SignOnMany(51, 1)
				w := s.start(options{config: func(c *worker.Config) { c.ProtectedUsers, c.ReadsPerHour = test.users, test.perHour }})
				passes(t, 10*time.Second)
				for range 60 {
					id := s.sim.SignOn(7, simulator.ConsoleWeb)
					s.publish("logoff.requests", jobOf(id))
					if r := s.awaitFor(1, test.patience); len(r) != 1 || outcomeOf(r[0], id) != jobs.Accepted {
						t.Fatalf("%+v; %s", r, w.problem(worker.PartProtected))
					}
					passes(t, time.Minute)
				}
				if n := s.sim.Count("session"); n > test.lists {
					t.Errorf("%d lists were read, want %d at most", n, test.lists)
				}
				if traffic := s.sim.Traffic(); traffic.ReadsRefused != 0 || !w.ready() {
					t.Errorf("%+v; %s", traffic, w.problem(worker.PartProtected))
				}
			})
		})
	}
}

// Many documents at once share a look.
func TestDocumentsShareTheListsOfProtectedUsers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: latency})
		s.crowd()
		s.sim.SignOnMany(50, 1)
		ids := s.sim.SignOnMany(7, 10_000)
		s.start(protecting("50"))
		passes(t, 10*time.Second)
		s.sim.ClearJournal()
		s.publish("logoff.requests.bulk", jobOf(ids...))
		s.await(1)
		if n := s.sim.Count("session"); n > 3 || len(s.logoffs()) < 50 {
			t.Errorf("%d lists for %d documents", n, len(s.logoffs()))
		}
	})
}

// A protected user who has never been on is no reason to wait, and nor is one of a company of which others are seen.
func TestProtectedUserOfWhomNothingIsListed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: latency})
		s.sim.AddUser(simulator.User{ID: 50, Login: "break-glass", Company: "Vault", CompanyID: 4})
		jane := s.sim.SignOn(7, simulator.ConsoleWeb)
		w := s.start(protecting("break-glass"))
		s.publish("logoff.requests", jobOf(jane))
		if r := s.awaitFor(1, 5*time.Second); len(r) != 1 || !w.ready() {
			t.Fatalf("%+v; %s", r, w.problem(worker.PartProtected))
		}
		id := s.sim.SignOn(50, simulator.ConsoleWeb)
		s.publish("logoff.requests", jobOf(id))
		if got := outcomeOf(s.await(1)[0], id); got != jobs.Protected {
			t.Errorf("the first session of the user is %s", got)
		}
	})
}

// withToken has a worker use a token that it is given.
func withToken(token func() string) func(*webserver.Config) {
	return func(c *webserver.Config) {
		c.Username, c.Password = "", nil
		c.Token = func() (string, error) { return token(), nil }
	}
}

// The session of a token that was given is the worker's own from the first job on, and that of the next token as well.
func TestOwnSessionOfAGivenTokenIsProtected(t *testing.T) {
	for name, bearer := range map[string]bool{"QSDK": false, "Bearer": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: latency, BearerSessions: bearer})
				next := func() string {
					if !bearer {
						return s.sim.Token(1)
					}
					access, _ := s.sim.AccessToken(1)
					return "Bearer " + access
				}
				token := next()
				if bearer { // its session begins with its first call
					c, err := webserver.New(webserver.Config{URL: "http://127.0.0.1/commandcenter/api", Token: func() (string, error) { return token, nil }, DialContext: s.dial})
					if err != nil || c.Ping(t.Context()) != nil {
						t.Fatal(err)
					}
					c.CloseIdle()
				}
				own := s.ownSession()
				s.publish("logoff.requests", jobOf(own, s.sim.SignOn(7, simulator.ConsoleWeb)))
				s.start(options{client: withToken(func() string { return token })})
				if r := s.await(1)[0]; outcomeOf(r, own) != jobs.Protected || r.Counts[jobs.Accepted] != 1 || s.alive([]string{own}) != 1 {
					t.Errorf("%+v", r)
				}
				s.sim.RevokeTokens()
				token = next()
				jane := s.sim.SignOn(7, simulator.ConsoleWeb)
				s.publish("logoff.requests", jobOf(jane))
				s.await(1)
				passes(t, time.Second)
				if own = s.ownSession(); own == "" {
					t.Fatal("the worker has no session")
				}
				s.publish("logoff.requests", jobOf(own))
				if got := outcomeOf(s.await(1)[0], own); got != jobs.Protected {
					t.Errorf("the session of the next token is %s", got)
				}
			})
		})
	}
}

// Where it cannot be found out, jobs go on all the same, and somebody is told.
func TestOwnSessionThatCannotBeFoundHoldsNothing(t *testing.T) {
	for name, op := range map[string]string{"who am I": "whoami", "list": "session"} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newSite(t, simulator.Settings{LatencyFixed: latency})
				token := s.sim.Token(1)
				s.always(op, simulator.Status(404))
				w := s.start(options{client: withToken(func() string { return token })})
				jane := s.sim.SignOn(7, simulator.ConsoleWeb)
				s.publish("logoff.requests", jobOf(jane))
				if r := s.awaitFor(1, 5*time.Second); len(r) != 1 || outcomeOf(r[0], jane) != jobs.Accepted {
					t.Errorf("%+v", r)
				}
				if !strings.Contains(s.log.String(), "it was not found out which session is the worker's own") || w.problem(worker.PartProtected) != "" {
					t.Errorf("%s", w.problem(worker.PartProtected))
				}
				for range 20 {
					s.publish("logoff.requests", jobOf(s.sim.SignOn(7, simulator.ConsoleWeb)))
					s.await(1)
				}
				if n := s.sim.Count(op); n > 4 {
					t.Errorf("it was looked for %d times", n)
				}
			})
		})
	}
}

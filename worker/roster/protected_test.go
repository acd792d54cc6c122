package roster

import (
	"errors"
	"sync"
	"testing"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/access"
	"logoffworker/worker/gate"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

// Without protected users all is well from the start; wrong settings are told, and end with them.
func TestSettingsAreToldAtTheStart(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, s *site) {
		if ready, all := s.health.Ready(); !ready {
			t.Error(all)
		}
	})
	inBubble(t, Config{ProtectedUsers: []string{`corp\jane`}}, func(t *testing.T, s *site) {
		if ready, _ := s.health.Ready(); ready || s.log.Len() != 0 {
			t.Errorf("nobody has been looked up: %s", s.log)
		}
	})
	inBubble(t, Config{ProtectedSessions: []string{"nonsense"}, ProtectedUsers: []string{`corp\jane`}}, func(t *testing.T, s *site) {
		if s.logged("level=ERROR", "no session is protected by the value 1 of LOGOFF_PROTECTED_SESSIONS") != 1 {
			t.Error(s.log)
		}
		s.fails(403, "user", "userv4")
		s.knows(t, WhoAlone)
		s.Protect(nil, nil, nil)
		if ready, all := s.health.Ready(); !ready {
			t.Error(all)
		}
	})
}

// Whoever needs to know waits for one look, and for none at what is known.
func TestOneLookIsForAllWhoWait(t *testing.T) {
	inBubble(t, Config{ProtectedUsers: []string{`corp\jane`}}, func(t *testing.T, s *site) {
		s.sim.SignOnMany(7, 1)
		after := s.ListsAskedFor()
		var waiting sync.WaitGroup
		for range 5 {
			waiting.Go(func() {
				if !s.knows(t, after) {
					t.Error("it is not known")
				}
			})
		}
		waiting.Wait()
		if n := s.ListsAskedFor() - after; n != 1 || s.lists() != 1 {
			t.Errorf("%d looks, %d lists", n, s.lists())
		}
		s.guard.turn <- struct{}{}
		if known, err := s.Know(after, time.Now().Add(time.Second)); !known || err != nil {
			t.Errorf("what is known, in another's turn: %t, %v", known, err)
		}
		if known, err := s.Know(after+1, time.Now().Add(time.Second)); known || !errors.Is(err, gate.ErrOverdue) {
			t.Errorf("what is not known, in another's turn: %t, %v", known, err)
		}
		begun := time.Now()
		if s.refresh(); time.Since(begun) != s.LookTime() || s.lists() != 1 {
			t.Errorf("a refresh in another's turn ends after %v", time.Since(begun))
		}
	})
}

// A look that failed is followed by the next when its time has come, and not before.
func TestLookThatFailedIsFollowedLater(t *testing.T) {
	inBubble(t, Config{ProtectedUsers: []string{`corp\jane`}}, func(t *testing.T, s *site) {
		s.fails(403, "user", "userv4")
		s.knows(t, WhoAlone)
		looks, asked := s.ListsAskedFor(), s.lookUps()
		s.knows(t, WhoAlone)
		s.refresh()
		if s.ListsAskedFor() != looks || s.lookUps() != asked || s.Rest() == 0 {
			t.Errorf("%d looks more, the next in %v", s.ListsAskedFor()-looks, s.Rest())
		}
		s.TryNow()
		if s.knows(t, WhoAlone); s.ListsAskedFor() != looks+1 {
			t.Error("asked to try now, it does not")
		}
	})
}

// Waiting for what is not found out ends with the time, and with the stop, which is no failure.
func TestWaitForWhatIsNotKnownEnds(t *testing.T) {
	for name, test := range map[string]struct {
		deadline, stop, took time.Duration
	}{
		"the time": {5 * time.Second, 0, 5 * time.Second}, "the stop": {time.Hour, 2500 * time.Millisecond, 2500 * time.Millisecond},
		"the stop, without a deadline": {0, 2500 * time.Millisecond, 2500 * time.Millisecond},
	} {
		inBubble(t, Config{ProtectedUsers: []string{`corp\jane`}}, func(t *testing.T, s *site) {
			s.fails(403, "user", "userv4")
			begun := time.Now()
			var deadline time.Time
			if test.deadline > 0 {
				deadline = begun.Add(test.deadline)
			}
			if test.stop > 0 {
				time.AfterFunc(test.stop, s.stop)
			}
			err := s.AwaitKnown(WhoAlone, deadline)
			if access.Stopped(err) != (test.stop > 0) || err == nil || time.Since(begun) != test.took {
				t.Errorf("%s: %v after %v", name, err, time.Since(begun))
			}
		})
	}
	inBubble(t, Config{ProtectedUsers: []string{`corp\jane`}}, func(t *testing.T, s *site) {
		s.fails(403, "user", "userv4")
		time.AfterFunc(20*time.Second, s.sim.ClearFaults)
		if err := s.AwaitKnown(WhoAlone, time.Now().Add(time.Minute)); err != nil || !s.ProtectsUser(7) {
			t.Errorf("in time: %v", err)
		}
	})
	for range 20 { // who finds a free turn and a stop takes either
		inBubble(t, Config{ProtectedUsers: []string{`corp\jane`}}, func(t *testing.T, s *site) {
			s.stop()
			if known, err := s.Know(WhoAlone, time.Time{}); known || !access.Stopped(err) || s.guard.failures != 0 || s.log.Len() != 0 {
				t.Errorf("stopped: %t, %v after %d failures\n%s", known, err, s.guard.failures, s.log)
			}
		})
	}
}

// Many who have to be looked up are one reading of the list of all.
func TestManyProtectedUsersAreOneReading(t *testing.T) {
	inBubble(t, Config{ProtectedUsers: []string{`corp\jane`, "bob@corp.example", "mary@corp.example"}}, func(t *testing.T, s *site) {
		if !s.knows(t, WhoAlone) || s.sim.Count("userv4") != 1 {
			t.Errorf("%d readings", s.sim.Count("userv4"))
		}
	})
}

// Who a protected user is, is known when the Web Server has said so, and that there is nobody, when it shows others.
func TestProtectedUserIsNobodyOnlyWhereOthersAreShown(t *testing.T) {
	for name, test := range map[string]struct {
		setting string
		prepare func(s *site)
		known   bool
		says    []string // of a condition, on one line
		most    int      // requests
	}{
		"known":                   {setting: `corp\jane`, known: true, most: 2},
		"known by address":        {setting: "jane@corp.example", known: true, most: 1},
		"a name like an address":  {setting: "ann@corp.example", prepare: func(s *site) { s.sim.AddUser(simulator.User{ID: 11, Login: "ann@corp.example"}) }, known: true, most: 4},
		"nobody":                  {setting: `corp\nobody`, known: true, says: []string{"level=ERROR", "knows nobody by"}, most: 4},
		"nobody, others unseen":   {setting: "nobody", prepare: (*site).seesNobody, says: []string{"level=ERROR", "was not found out", "no other users are shown"}, most: 12},
		"a right is missing":      {setting: `corp\jane`, prepare: func(s *site) { s.fails(403, "user", "userv4") }, says: []string{"level=ERROR", "was not found out"}, most: 3},
		"the name is not allowed": {setting: "a\tb", says: []string{"level=ERROR", "was not found out"}, most: 0},
		"no answer to it alone":   {setting: "jane", prepare: func(s *site) { s.fails(503, "user") }, says: []string{"level=WARN", "was not found out"}, most: 10},
		"no answer to it at first": {setting: "jane@corp.example", prepare: func(s *site) {
			s.sim.FailNextOn("userv4", simulator.Status(503), simulator.Status(503), simulator.Status(503))
		}, says: []string{"level=WARN", "was not found out"}, most: 3},
		"no answer in time": {setting: `corp\jane`, prepare: func(s *site) { s.sim.Configure(func(c *simulator.Settings) { c.Down = 503 }) }, says: []string{"level=WARN", "there was no time to find out who"}, most: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Config{ProtectedUsers: []string{test.setting}}, func(t *testing.T, s *site) {
				s.sim.SignOnMany(7, 1)
				if test.prepare != nil {
					test.prepare(s)
				}
				s.refresh()
				if s.guard.enough(WhoAlone, 0, time.Now()) != test.known || s.lookUps() > test.most {
					t.Errorf("known: %t after %d requests", !test.known, s.lookUps())
				}
				if n := s.logged(test.says...); test.says == nil && s.logged("kind=") > 0 || test.says != nil && n != 1 {
					t.Errorf("it does not say %q:\n%s", test.says, s.log)
				}
			})
		})
	}
}

func (s *site) seesNobody() {
	s.sim.ChangeUser(1, func(u *simulator.User) { u.Administrator = false })
	s.sim.Configure(func(c *simulator.Settings) { c.NoPermission = simulator.NoPermissionEmpty })
}

// Others are shown where two are, or one who certainly is not ourselves.
func TestOthersAreShown(t *testing.T) {
	for name, test := range map[string]struct {
		secret  func(*simulator.Server, *webserver.Config)
		prepare func(s *site)
		want    webserver.Verdict // 0 is that they are
	}{
		"all":                        {func(*simulator.Server, *webserver.Config) {}, func(*site) {}, 0},
		"only we":                    {func(*simulator.Server, *webserver.Config) {}, (*site).seesNobody, webserver.Forbidden},
		"one":                        {func(*simulator.Server, *webserver.Config) {}, (*site).showsOne, 0},
		"one, who may be we":         {given, (*site).showsOne, webserver.Forbidden},
		"several, whoever we are":    {given, func(*site) {}, 0},
		"a list that is not answred": {func(*simulator.Server, *webserver.Config) {}, func(s *site) { s.fails(503, "user", "userv4") }, webserver.Unavailable},
	} {
		inBubbleAs(t, Config{}, test.secret, func(t *testing.T, s *site) {
			test.prepare(s)
			problem, err := webserver.Problem(seesOthers(t.Context(), s.client))
			if err != nil || (problem == nil) != (test.want == 0) || problem != nil && problem.Verdict != test.want {
				t.Errorf("%s: %v, %v", name, problem, err)
			}
		})
	}
}

func (s *site) showsOne() {
	s.sim.FailNextOn("user", simulator.Answer(200, "application/json", `{"users":[{"userEntity":{"userId":7,"userName":"jane"}}]}`))
}

// What was known of a user counts on where it cannot be found out again, and changes where it can.
func TestProtectedUserStaysKnown(t *testing.T) {
	inBubble(t, Config{ProtectedUsers: []string{`corp\jane`, "8"}}, func(t *testing.T, s *site) {
		s.refresh()
		time.Sleep(lookAgain)
		s.fails(403, "user", "userv4")
		if s.refresh(); !s.ProtectsUser(7) || s.logged("was not found out") != 0 {
			t.Errorf("it is not known any more:\n%s", s.log)
		}
		s.sim.ClearFaults()
		s.sim.ChangeUser(7, func(u *simulator.User) { u.Login = `corp\mary2` })
		if s.refresh(); s.ProtectsUser(7) || !s.ProtectsUser(8) || s.logged("knows nobody by") != 1 {
			t.Errorf("whose name it is not any more is protected:\n%s", s.log)
		}
		s.sim.AddUser(simulator.User{ID: 12, Login: `corp\jane`})
		if s.refresh(); !s.ProtectsUser(12) || s.logged("no longer") != 1 {
			t.Errorf("who has the name now is not protected:\n%s", s.log)
		}
	})
}

// The sessions of a protected user are known when they are listed, or when it is sure that there are none.
func TestSessionsOfProtectedUsersAreKnownWhenListed(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(s *site)
		known   bool
		says    []string
		lists   int // requests
	}{
		"listed":          {func(s *site) { s.sim.SignOnMany(7, 1) }, true, nil, 1},
		"cut":             {func(s *site) { s.sim.SignOnMany(7, 60) }, true, []string{"may be cut"}, 1},
		"never on":        {func(*site) {}, true, nil, 5},
		"not on":          {func(s *site) { s.sim.SignOnMany(8, 1) }, true, nil, 4},
		"hidden":          {(*site).hides, false, []string{"level=ERROR", "is not known", "nothing is listed of anybody else"}, 5},
		"refused":         {func(s *site) { s.sim.Configure(func(c *simulator.Settings) { c.UnlistedUser = 7 }) }, false, []string{"level=ERROR", "403"}, 1},
		"not answered":    {func(s *site) { s.fails(503, "session") }, false, []string{"level=WARN", "is not known"}, 3},
		"asked too often": {(*site).limitsReads, false, []string{"level=WARN", "there was no time to list"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Config{ProtectedUsers: []string{"7"}}, func(t *testing.T, s *site) {
				_, _ = s.server.Ask(gate.Own, time.Time{}, s.client.Ping)
				test.prepare(s)
				for again := range 2 {
					begun := time.Now()
					known, err := s.Know(s.ListsAskedFor(), begun.Add(time.Second))
					if known != test.known || err != nil && !errors.Is(err, gate.ErrOverdue) {
						t.Fatalf("known: %t, %v", known, err)
					}
					if s.lists() > test.lists+again {
						t.Errorf("%d lists", s.lists())
					}
					if !known {
						break
					}
				}
				if n := s.logged(test.says...); test.says == nil && s.logged("kind=") > 0 || test.says != nil && n != 1 {
					t.Errorf("it does not say %q:\n%s", test.says, s.log)
				}
			})
		})
	}
}

// hides has the sessions of a user hidden who has logged in.
func (s *site) hides() {
	s.sim.SignOnMany(7, 1)
	s.sim.SignOnMany(8, 1)
	s.sim.ChangeUser(7, func(u *simulator.User) { u.Company, u.CompanyID = "acme", 5 })
	s.sim.Configure(func(c *simulator.Settings) { c.HiddenCompany = 5 })
}

func (s *site) limitsReads() {
	s.server.Gate.Limit(gate.Read, &webserver.Error{Op: webserver.OpSessions, Verdict: webserver.Throttled, RetryAfter: time.Hour})
}

// That nothing is on is believed for a while, if nothing was on when it was found out.
func TestEmptyListIsBelievedOnlyFromALookAtNothing(t *testing.T) {
	inBubble(t, Config{ProtectedUsers: []string{"7"}}, func(t *testing.T, s *site) {
		s.sim.SignOnMany(8, 1)
		s.sim.SignOnMany(7, 1)
		lists := map[int64]List{7: {}}
		if since := s.believeEmpty(lists, Wanted{7: {}}, time.Now()); len(since) != 0 || len(lists[7].Sessions) != 1 {
			t.Errorf("%v, %+v", since, lists[7])
		}
	})
}

// The watch keeps it known, soon after what failed too, and at once after new settings; without protected users it asks nothing.
func TestWatchKeepsProtectedUsersKnown(t *testing.T) {
	inBubble(t, Config{ProtectedUsers: []string{`corp\jane`}}, func(t *testing.T, s *site) {
		s.fails(403, "user", "userv4")
		go s.Watch(t.Context())
		time.Sleep(5 * time.Second)
		s.sim.ClearFaults()
		time.Sleep(10 * time.Second)
		if !s.ProtectsUser(7) {
			t.Error("a look that failed is not followed soon")
		}
		id := s.sim.SignOnMany(7, 1)[0]
		time.Sleep(listAgain + time.Second)
		if !s.Protects(jobs.Session{ID: id}) {
			t.Error("a session that came is not known a minute later")
		}
		s.Protect(nil, []string{`corp\bob`}, nil)
		time.Sleep(time.Second)
		if !s.ProtectsUser(8) || s.ProtectsUser(7) {
			t.Error("new settings are not looked up")
		}
		asked := s.ListsAskedFor()
		s.Protect(nil, nil, nil)
		time.Sleep(time.Hour)
		if s.ListsAskedFor() != asked {
			t.Error("nobody is protected, and it looks")
		}
	})
}

package worker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

// glance has somebody else read a person's list, which a cache then keeps.
func (s *site) glance(userID int64) {
	s.t.Helper()
	c, err := webserver.New(webserver.Config{
		URL: "http://127.0.0.1/commandcenter/api", Username: "admin", DialContext: s.dial,
		Password: func() (string, error) { return servicePassword, nil },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.CloseIdle()
	if _, err := c.Sessions(s.t.Context(), userID); err != nil {
		s.t.Fatal(err)
	}
}

// A list that a proxy has kept from before somebody signed on says nothing of them, whoever had asked for it,
// and whether the proxy tells its age or not.
func TestCachedListSaysOfNobodyThatNothingIsOn(t *testing.T) {
	for _, caching := range []simulator.Caching{simulator.CachingNone, simulator.CachingObedient, simulator.CachingAge, simulator.CachingSilent} {
		for _, first := range []string{"the worker", "somebody else"} {
			t.Run(string(caching)+", kept for "+first, func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					s := newSite(t, simulator.Settings{LatencyFixed: latency, Caching: caching, CacheLife: time.Hour})
					s.crowd()
					s.sim.SignOn(51, simulator.ConsoleWeb)
					s.start(options{})
					passes(t, time.Second)
					if first == "the worker" {
						s.publish("logoff.requests", `{"users":[{"id":7}]}`)
						if u := s.await(1)[0].Users[0]; u.Outcome != jobs.UserNothingOn && caching != simulator.CachingSilent && caching != simulator.CachingAge {
							t.Errorf("%+v", u)
						}
					} else {
						s.glance(7)
					}
					passes(t, 10*time.Second)
					id := s.sim.SignOn(7, simulator.ConsoleWeb)
					asks := s.sim.Count("session")
					s.publish("logoff.requests", `{"users":[{"id":7}]}`)
					passes(t, time.Minute)
					s.publish("logoff.requests", owned(id, 7))
					heeds := caching == simulator.CachingNone || caching == simulator.CachingObedient
					for _, r := range s.await(2) {
						for _, u := range r.Users {
							if heeds != (u.Outcome == jobs.UserOff) || !heeds && (u.Outcome != jobs.UserUndecided || !strings.Contains(u.Error, "cache")) {
								t.Errorf("%+v", u)
							}
						}
						if got := outcomeOf(r, id); len(r.Users) == 0 && got == jobs.NotFound {
							t.Errorf("%+v", r.Sessions)
						}
					}
					if n := s.sim.Count("session") - asks; n > 20 {
						t.Errorf("%d lists asked for", n)
					}
				})
			})
		}
	}
}

// What an old list shows as ended has ended, and what it shows as on is ended.
func TestCachedListIsBelievedWhereItCannotBeWrong(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: latency, Caching: simulator.CachingAge, CacheLife: time.Hour})
		s.crowd()
		ended, on := s.sim.SignOn(7, simulator.ConsoleWeb), s.sim.SignOn(7, simulator.ConsoleWeb)
		s.sim.SignOff(ended)
		s.glance(7)
		passes(t, 10*time.Second)
		s.start(options{})
		s.publish("logoff.requests", `{"id":"user","users":[{"id":7}]}`)
		if r := s.await(1)[0]; r.Users[0].Outcome != jobs.UserUndecided || outcomeOf(r, on) != jobs.Accepted || s.alive([]string{on}) != 0 {
			t.Errorf("%+v %+v", r.Users, r.Sessions)
		}
		s.publish("logoff.requests", owned(ended, 7))
		want := jobs.AlreadyLoggedOff
		if s.switches.Ended == simulator.EndedIgnore {
			want = jobs.LoggedOff // the Web Server says yes to it once more
		}
		if r := s.await(1)[0]; outcomeOf(r, ended) != want {
			t.Errorf("%+v, want %s", r.Sessions, want)
		}
	})
}

// A Date that stands still says that a list may be any age. Sessions that are named are ended all the same.
func TestDateThatStandsStillProvesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{LatencyFixed: latency, FrozenDate: true})
		s.crowd()
		s.sim.SignOn(51, simulator.ConsoleWeb)
		id := s.sim.SignOn(7, simulator.ConsoleWeb)
		s.start(options{})
		passes(t, time.Minute)
		s.publish("logoff.requests", `{"users":[{"id":52},{"id":7}]}`)
		r := s.await(1)[0]
		for _, u := range r.Users {
			if u.Outcome != jobs.UserUndecided || !strings.Contains(u.Error, "does not move") {
				t.Errorf("%+v", u)
			}
		}
		if s.alive([]string{id}) != 0 {
			t.Error("the session is on")
		}
	})
}

// An empty list of somebody in a company that the account does not see is no list, whatever is listed of others.
func TestHiddenCompanyIsNeverSaidToBeOff(t *testing.T) {
	for _, users := range []bool{false, true} {
		for _, from := range []string{"the start", "the first list on"} {
			t.Run(fmt.Sprintf("users hidden %t, from %s", users, from), func(t *testing.T) {
				inBubble(t, func(t *testing.T) { hideCompany(t, users, from == "the start") })
			})
		}
	}
}

func hideCompany(t *testing.T, users, fromTheStart bool) {
	s := newSite(t, simulator.Settings{LatencyFixed: latency, Partial: simulator.PartialAtomic})
	s.crowd()
	s.sim.AddUser(simulator.User{ID: 30, Login: "hidden", Email: "hidden@other.example", CompanyID: 3, Company: "Other"})
	s.sim.AddUser(simulator.User{ID: 31, Login: "hidden2", CompanyID: 3, Company: "Other"})
	s.sim.SignOn(51, simulator.ConsoleWeb)
	ids := s.sim.SignOnMany(30, 2)
	s.sim.SignOn(31, simulator.ConsoleWeb)
	hide := func() { s.sim.Configure(func(c *simulator.Settings) { c.HiddenCompany, c.HiddenUsers = 3, users }) }
	if fromTheStart {
		hide()
	}
	s.start(options{reached: func(p worker.Point) {
		if p == worker.BeforeCall {
			hide()
		}
	}})
	passes(t, time.Second)
	jobsOfHidden := []string{
		`{"users":[{"id":30}]}`, `{"users":[{"name":"hidden"}]}`, `{"users":[{"email":"hidden@other.example"}]}`,
		owned(ids[0], 30), owned("00000000-0000-4000-8000-000000000000", 30),
	}
	s.publish("logoff.requests", jobsOfHidden...)
	for _, r := range s.await(len(jobsOfHidden)) {
		for _, u := range r.Users {
			if u.Outcome.Success() {
				t.Errorf("%+v", u)
			}
		}
		for _, session := range r.Sessions {
			if session.Outcome == jobs.NotFound || session.Outcome == jobs.LoggedOff || session.Outcome == jobs.AlreadyLoggedOff {
				t.Errorf("%+v", session)
			}
		}
	}
}

// Somebody of whom nothing is listed is said to have nothing on where something of their own company is listed.
func TestEmptyListIsBelievedForACompanyThatIsSeen(t *testing.T) {
	for name, test := range map[string]struct {
		witness  string // whose company the one has of whom something is listed
		settings simulator.Settings
		believed bool
	}{
		"one of the same company":              {"Other", simulator.Settings{}, true},
		"one of another company":               {"Third", simulator.Settings{}, false},
		"one of no company":                    {"", simulator.Settings{}, false},
		"one of the same company, old calls":   {"Other", simulator.Settings{NoV4Users: true}, true},
		"one of another company, old calls":    {"Third", simulator.Settings{NoV4Users: true}, false},
		"one of the same company, newer calls": {"Other", simulator.Settings{NoOldUsers: true}, true},
		"one of another company, newer calls":  {"Third", simulator.Settings{NoOldUsers: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				test.settings.LatencyFixed = latency
				s := newSite(t, test.settings)
				s.sim.AddUser(simulator.User{ID: 30, Login: "idle", CompanyID: 3, Company: "Other"})
				s.sim.AddUser(simulator.User{ID: 31, Login: "witness", CompanyID: len(test.witness), Company: test.witness})
				s.sim.SignOff(s.sim.SignOn(31, simulator.ConsoleWeb))
				s.start(options{})
				passes(t, time.Second)
				s.publish("logoff.requests", `{"users":[{"id":30}]}`, owned("00000000-0000-4000-8000-000000000000", 30))
				for _, r := range s.await(2) {
					for _, u := range r.Users {
						if (u.Outcome == jobs.UserNothingOn) != test.believed || !test.believed && !strings.Contains(u.Error, "company") {
							t.Errorf("%+v", u)
						}
					}
					if len(r.Users) == 0 && (r.Sessions[0].Outcome == jobs.NotFound) != test.believed {
						t.Errorf("%+v", r.Sessions)
					}
				}
			})
		})
	}
}

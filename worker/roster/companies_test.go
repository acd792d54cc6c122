package roster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"logoffworker/worker/gate"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

// Witnesses are a few others of the same company, those first of whom something was listed, then who logged in last.
func TestWitnessesAreOfTheCompanyAndFew(t *testing.T) {
	var c companies
	var all []webserver.User
	for id := range int64(9) {
		all = append(all, webserver.User{ID: id + 1, Company: "a"})
	}
	all = append(all, webserver.User{ID: 20, Company: "b"})
	c.set(all, time.Now())
	c.listed(4)
	c.listed(20)
	c.listed(9)
	if ids := c.candidates("a", []int64{1}); !slices.Equal(ids, []int64{9, 4, 2, 3, 5}) {
		t.Error(ids)
	}
	if ids := c.candidates("b", nil); !slices.Equal(ids, []int64{20}) {
		t.Error(ids)
	}
}

// Nobody has never logged in where the list does not tell when anybody did.
func TestWhoNeverLoggedInIsKnownWhereThatIsTold(t *testing.T) {
	var c companies
	c.set([]webserver.User{{ID: 1}, {ID: 2}}, time.Now())
	if c.neverOn(1) || c.neverOn(3) {
		t.Error("nothing is told")
	}
	c.set([]webserver.User{{ID: 1, LastLogin: time.Now()}, {ID: 2}}, time.Now())
	if c.neverOn(1) || !c.neverOn(2) {
		t.Errorf("who logged in: %t, who did not: %t", c.neverOn(1), c.neverOn(2))
	}
}

func TestCompanyIsReadAgainAfterAWhile(t *testing.T) {
	var c companies
	now := time.Now()
	c.set([]webserver.User{{ID: 1, Company: "a"}}, now)
	if c.outdated(1, now) || !c.outdated(2, now) || !c.outdated(1, now.Add(lookAgain)) {
		t.Error(c.outdated(1, now), c.outdated(2, now), c.outdated(1, now.Add(lookAgain)))
	}
}

// lookAt lists the sessions of some users.
func (s *site) lookAt(ids ...int64) Lists {
	wanted := Wanted{}
	for _, id := range ids {
		wanted.Want(id, time.Now().Add(time.Minute))
	}
	return s.Lists(gate.Urgent, wanted)
}

// Who is of which company is read once for many lists, and why it was not is said.
func TestEmptyListSaysWhyItIsNotBelieved(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, s *site) {
		s.sim.SignOnMany(8, 1)
		s.fails(403, "user", "userv4")
		if list := s.lookAt(7).Of(7); list.Complete || !strings.Contains(list.Doubt, "403") {
			t.Errorf("users are not shown: %+v", list)
		}
		s.sim.ClearFaults()
		for range 2 {
			if list := s.lookAt(7).Of(7); !list.Complete {
				t.Errorf("users are shown: %+v", list)
			}
		}
		asked := s.lookUps()
		if s.lookAt(7); s.lookUps() != asked {
			t.Error("companies are read again at once")
		}
		if all := s.emptyLists(gate.Urgent, Wanted{7: time.Now().Add(-time.Second), 9: {}}); !all[9].Complete || !all[7].Late {
			t.Errorf("without end: %+v, too late: %+v", all[9], all[7])
		}
		time.Sleep(lookAgain)
		if problem := s.readCompanies(gate.Urgent, []int64{7}, time.Now().Add(-time.Second)); problem != "there was no time to find out" {
			t.Error(problem)
		}
	})
}

// A list that is empty at first counts as what it shows when it is read again.
func TestEmptyListIsReadAgain(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, s *site) {
		s.sim.SignOnMany(8, 1)
		s.sim.SignOnMany(7, 60)
		s.sim.SignOnMany(9, 1)
		s.sim.Configure(func(c *simulator.Settings) { c.UnlistedUser = 9 })
		all := s.emptyLists(gate.Urgent, Wanted{7: {}, 9: {}})
		if len(all[7].Sessions) == 0 || all[7].Complete || all[7].Doubt != "" || all[9].Problem == "" || all[9].Complete || all[9].Doubt != "" {
			t.Errorf("many sessions: %+v; refused: %+v", all[7], all[9])
		}
	})
}

// Where it is unknown whose the worker's account is, one user of whom something is listed may be itself.
func TestTwoWitnessesAreNeededWhereOneMayBeOurselves(t *testing.T) {
	for others := range 3 {
		inBubbleAs(t, Config{}, given, func(t *testing.T, s *site) {
			for i := range others {
				s.sim.SignOnMany(8+i, 1)
			}
			s.sim.Configure(func(c *simulator.Settings) { c.UnlistedUser = 1 })
			s.sim.ChangeUser(1, func(u *simulator.User) { u.Company, u.CompanyID = "other", 3 })
			if list := s.lookAt(7).Of(7); list.Complete != (others == 2) || s.client.Self() != 0 {
				t.Errorf("%d others: %+v", others, list)
			}
		})
	}
}

// Only what is in doubt is read again.
func TestListIsReadOnceUnlessItIsInDoubt(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(s *site)
		user    int64
		right   func(List) bool
		reads   int
	}{
		"whole":   {func(s *site) { s.sim.SignOnMany(7, 1) }, 7, func(l List) bool { return l.Complete && len(l.Sessions) == 1 }, 1},
		"cut":     {func(s *site) { s.sim.SignOnMany(7, 60) }, 7, func(l List) bool { return !l.Complete && len(l.Sessions) == 50 }, 1},
		"refused": {func(s *site) { s.fails(403, "session") }, 7, func(l List) bool { return l.Failure != nil && l.Problem != "" && l.Doubt == "" && !l.Late }, 1},
		"our own, empty": {func(s *site) {
			s.sim.FailNextOn("session", simulator.Answer(200, "application/json", `{"sessions":[]}`))
		}, 1, func(l List) bool { return l.Complete && len(l.Sessions) == 0 }, 1},
	} {
		inBubble(t, Config{}, func(t *testing.T, s *site) {
			s.lookAt(9) // which has the worker log in
			test.prepare(s)
			before := s.lists()
			if list := s.lookAt(test.user).Of(test.user); !test.right(list) || s.lists()-before != test.reads {
				t.Errorf("%s: %+v after %d requests", name, list, s.lists()-before)
			}
			if seen := slices.Contains(s.companies.seen, test.user); seen != (name == "whole" || name == "cut") {
				t.Errorf("%s: something was listed: %t", name, seen)
			}
		})
	}
}

// A list for which there was no time is late; one that a cache has kept says who is off, and shows nobody's right.
func TestLateAndOldListsAreNoNews(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, s *site) {
		id := s.sim.SignOnMany(8, 1)[0]
		s.lookAt(8)
		if list := s.Lists(gate.Urgent, Wanted{8: time.Now().Add(-time.Second)}).Of(8); !list.Late || list.Problem == "" || list.Failure != nil {
			t.Errorf("late: %+v", list)
		}
		s.sim.Configure(func(c *simulator.Settings) { c.Caching, c.CacheLife = simulator.CachingAge, time.Hour })
		s.lookAt(8)
		time.Sleep(time.Minute)
		if list := s.lookAt(8).Of(8); len(list.Sessions) != 1 || list.Problem == "" || list.Standing(id) != Unknown {
			t.Errorf("old: %+v", list)
		}
		if list := s.lookAt(7).Of(7); list.Complete {
			t.Errorf("beside an old list: %s", fmt.Sprint(list))
		}
	})
}

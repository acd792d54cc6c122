package roster

import (
	"testing"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/gate"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

func named(names ...string) (all []Question) {
	for _, name := range names {
		u := newProtectedUser(name)
		all = append(all, Question{Named: u.named, Since: time.Now()})
	}
	return all
}

// whoAre looks users up, and counts the requests.
func (s *site) whoAre(t *testing.T, questions []Question) (ids []int64, requests int) {
	t.Helper()
	before := s.lookUps()
	for _, q := range questions {
		users, problem, err := s.WhoIs(gate.Urgent, q)
		if problem != nil || err != nil {
			t.Fatal(problem, err)
		}
		for _, u := range users {
			ids = append(ids, u.ID)
		}
	}
	return ids, s.lookUps() - before
}

// A problem is no answer, and nothing is remembered of it.
func TestProblemIsNotNobody(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, s *site) {
		s.fails(403, "user", "userv4")
		q := named(`corp\jane`)[0]
		if users, problem, err := s.WhoIs(gate.Urgent, q); problem == nil || problem.Verdict != webserver.Forbidden || err != nil || users != nil {
			t.Errorf("%v, %v, %v", users, problem, err)
		}
		s.sim.ClearFaults()
		if ids, _ := s.whoAre(t, []Question{q}); len(ids) != 1 {
			t.Errorf("afterwards: %v", ids)
		}
		if ids, _ := s.whoAre(t, []Question{{Named: jobs.User{Name: `corp\bob`}}}); len(ids) != 1 {
			t.Errorf("of whom nothing is known, however old: %v", ids)
		}
	})
}

// The list of all users is read for at least three whom it is sure to tell, and of whom nothing is known.
func TestListOfAllIsReadForMany(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, s *site) {
		s.sim.AddUser(simulator.User{ID: 11, Login: "ann"})
		for i, test := range []struct {
			names        []string
			before, then int // requests
		}{
			{[]string{`corp\jane`, "bob@corp.example"}, 0, 2},
			{[]string{"jane@corp.example", "ann", "11", "admin"}, 0, 5},
			{[]string{`corp\jane`, `CORP\Bob`, "mary@corp.example"}, 1, 0},
		} {
			before := s.lookUps()
			questions := named(test.names...)
			s.LookUpTogether(gate.Urgent, questions)
			read := s.lookUps() - before
			if ids, n := s.whoAre(t, questions); read != test.before || (n == 0) != (test.then == 0) || len(ids) != len(test.names) {
				t.Errorf("%d: %d requests together, then %d; %v", i, read, n, ids)
			}
			before = s.lookUps()
			if s.LookUpTogether(gate.Urgent, questions); s.lookUps() != before {
				t.Errorf("%d: the list is read for what is known", i)
			}
			time.Sleep(time.Second)
		}
	})
}

// A list that shows no names to log in with leaves names to be looked up alone.
func TestNamesThatTheListDoesNotShowAreLookedUpAlone(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, s *site) {
		s.sim.Configure(func(c *simulator.Settings) { c.UserNames = simulator.UserNamesDisplay })
		questions := named(`corp\jane`, `corp\bob`, `corp\mary`)
		s.LookUpTogether(gate.Urgent, questions)
		for _, q := range questions {
			if users, known := s.directory.get(q.Named, q.Since); known {
				t.Errorf("%s: %v", q.Named.Name, users)
			}
		}
	})
}

// A list that could not be read says nothing of anybody.
func TestListThatWasNotReadIsNotNobody(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, s *site) {
		questions := named(`corp\jane`, "bob@corp.example", "mary@corp.example")
		s.fails(403, "user", "userv4")
		s.LookUpTogether(gate.Urgent, questions)
		s.sim.ClearFaults()
		late := named(`corp\jane`, "bob@corp.example", "mary@corp.example")
		for i := range late {
			late[i].Deadline = time.Now().Add(-time.Second)
		}
		s.LookUpTogether(gate.Urgent, late)
		if ids, _ := s.whoAre(t, questions); len(ids) != 3 {
			t.Error(ids)
		}
	})
}

// The first of the deadlines ends the reading of the list.
func TestFirstDeadlineEndsTheReadingOfAll(t *testing.T) {
	for _, seconds := range [][]int{{5, 0, 10}, {10, 0, 5}, {0, 5, 10}} {
		inBubble(t, Config{}, func(t *testing.T, s *site) {
			s.sim.Configure(func(c *simulator.Settings) { c.Down = 503 })
			questions := named(`corp\jane`, "bob@corp.example", "mary@corp.example")
			for i, n := range seconds {
				if n > 0 {
					questions[i].Deadline = time.Now().Add(time.Duration(n) * time.Second)
				}
			}
			time.AfterFunc(time.Hour, func() { s.sim.Configure(func(c *simulator.Settings) { c.Down = 0 }) })
			begun := time.Now()
			if s.LookUpTogether(gate.Urgent, questions); (time.Since(begun) - 5*time.Second).Abs() > 2*latency {
				t.Errorf("%v: it ends after %v", seconds, time.Since(begun))
			}
		})
	}
}

func TestDirectoryForgetsBeforeItIsTooLarge(t *testing.T) {
	var d directory
	for i := range mostNames + 5 {
		d.put(jobs.User{ID: int64(i)}, nil, time.Now())
	}
	if len(d.known) > mostNames {
		t.Errorf("%d names", len(d.known))
	}
	if _, known := d.get(jobs.User{ID: mostNames + 4}, time.Time{}); !known {
		t.Error("the latest is forgotten")
	}
}

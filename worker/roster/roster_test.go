package roster

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/worker/access"
	"logoffworker/worker/gate"
	"logoffworker/worker/stage/pipe"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

const latency = 20 * time.Millisecond

// A site is a simulated Web Server with some users, and a roster that asks it.
type site struct {
	*Roster
	sim    *simulator.Server
	client *webserver.Client
	health *metrics.Health
	log    *strings.Builder
	stop   context.CancelFunc
}

// inBubble runs a test in fake time with a worker that logs in.
func inBubble(t *testing.T, c Config, test func(t *testing.T, s *site)) {
	inBubbleAs(t, c, func(*simulator.Server, *webserver.Config) {}, test)
}

// given has the worker use a token that somebody gave it, so that it does not know whose it is.
func given(sim *simulator.Server, c *webserver.Config) {
	token := sim.Token(1)
	c.Username, c.Password, c.Token = "", nil, func() (string, error) { return token, nil }
}

func inBubbleAs(t *testing.T, c Config, secret func(*simulator.Server, *webserver.Config), test func(t *testing.T, s *site)) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(simulator.Settings{LatencyFixed: latency}, 1)
		sim.AddUser(simulator.User{ID: 1, Login: "admin", Display: "Administrator", Password: "p", Administrator: true})
		sim.AddUser(simulator.User{ID: 7, Login: `CORP\jane`, Display: "Jane", Email: "jane@corp.example"})
		sim.AddUser(simulator.User{ID: 8, Login: `CORP\bob`, Display: "Bob", Email: "bob@corp.example"})
		sim.AddUser(simulator.User{ID: 9, Login: `CORP\mary`, Display: "Mary", Email: "mary@corp.example"})
		dial, endPipe := pipe.Serve(sim)
		defer endPipe()
		config := webserver.Config{
			URL: "http://127.0.0.1/commandcenter/api", Username: "admin", DialContext: dial,
			Password: func() (string, error) { return "p", nil },
		}
		secret(sim, &config)
		client, err := webserver.New(config)
		if err != nil {
			t.Fatal(err)
		}
		defer client.CloseIdle()
		stopping, stop := context.WithCancel(t.Context())
		defer stop()
		c.Backoff = gate.Backoff{Min: 100 * time.Millisecond, Max: 10 * time.Second}
		server := access.New(access.Config{
			Client: client,
			Gate: gate.Config{
				Backoff: c.Backoff,
				Moved:   func(gate.Change) {}, Limited: func(gate.Kind, gate.Change) {}, Spent: func(gate.Kind, gate.Rank, time.Duration) {},
			},
			Questions: 4, Repeated: func(webserver.Verdict) {}, Stopping: stopping, Finish: t.Context(),
		})
		log := &strings.Builder{}
		health := metrics.NewHealth(slog.New(slog.NewTextHandler(log, nil)), PartProtected)
		test(t, &site{New(c, server, health, stopping), sim, client, health, log, stop})
	})
}

// lists and lookUps are how often lists of sessions, and users, were asked for.
func (s *site) lists() int   { return s.sim.Count("session") }
func (s *site) lookUps() int { return s.sim.Count("user") + s.sim.Count("userv4") }

// fails lets requests of a kind fail until the faults are cleared.
func (s *site) fails(status int, ops ...string) {
	for _, op := range ops {
		s.sim.FailNextOn(op, slices.Repeat([]simulator.Fault{simulator.Status(status)}, 10_000)...)
	}
}

// knows asks for what is known of protected users, and whether it is.
func (s *site) knows(t *testing.T, after int64) bool {
	t.Helper()
	known, err := s.Know(after, time.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return known
}

// logged counts the lines with all these words.
func (s *site) logged(words ...string) (n int) {
	for line := range strings.Lines(s.log.String()) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			n++
		}
	}
	return n
}

func rows(ids ...string) (all []webserver.Listed) {
	for _, id := range ids {
		all = append(all, webserver.Listed{ID: id})
	}
	return all
}

// A list says of a session what it shows, and no more.
func TestStandingIsWhatAListShows(t *testing.T) {
	now := time.Now()
	rows := []webserver.Listed{{ID: "ON"}, {ID: "OFF", LogoutTime: now}}
	whole := List{Listing: webserver.Listing{Sessions: rows, Complete: true}}
	cut := List{Listing: webserver.Listing{Sessions: rows}}
	old := List{Listing: webserver.Listing{Sessions: rows, Complete: true}, Problem: "not read now"}
	for _, test := range []struct {
		name string
		list List
		id   string
		want Standing
	}{
		{"on", whole, "ON", On},
		{"off", whole, "OFF", Off},
		{"in no other case", whole, "off", Off},
		{"missing", whole, "X", Gone},
		{"on in a cut list", cut, "ON", On},
		{"missing in a cut list", cut, "X", Unknown},
		{"on in an old list", old, "ON", Unknown},
		{"off in an old list", old, "OFF", Off},
		{"missing in an old list", old, "X", Unknown},
		{"no list", List{}, "X", Unknown},
	} {
		if got := test.list.Standing(test.id); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

// A session's owner is known from the session, or else from the list that shows it.
func TestListIsFoundByOwnerOrBySession(t *testing.T) {
	all := newLists(map[int64]List{7: {Listing: webserver.Listing{Sessions: []webserver.Listed{{ID: "A", UserID: 7}}}}, 8: {}})
	for _, test := range []struct {
		session jobs.Session
		owner   int64
		found   bool
	}{
		{jobs.Session{ID: "a"}, 7, true}, {jobs.Session{ID: "X"}, 0, false}, {jobs.Session{ID: "X", UserID: 8}, 8, true}, {jobs.Session{ID: "A", UserID: 9}, 9, false},
	} {
		if _, owner, found := all.Find(test.session); owner != test.owner || found != test.found {
			t.Errorf("%+v: owner %d, found %t", test.session, owner, found)
		}
	}
}

func TestWantedKeepsTheLatestDeadline(t *testing.T) {
	soon, late, never := time.Unix(1, 0), time.Unix(2, 0), time.Time{}
	for _, test := range []struct {
		deadlines []time.Time
		want      time.Time
	}{
		{[]time.Time{soon}, soon},
		{[]time.Time{soon, late}, late},
		{[]time.Time{late, soon}, late},
		{[]time.Time{never, late}, never},
		{[]time.Time{late, never}, never},
	} {
		w := Wanted{}
		for _, d := range test.deadlines {
			w.Want(7, d)
		}
		if !w[7].Equal(test.want) {
			t.Errorf("%v: %v", test.deadlines, w[7])
		}
	}
}

// Nobody is off because nothing is listed, unless something of a colleague is.
func TestEmptyListIsBelievedBesideAColleague(t *testing.T) {
	for _, colleague := range []bool{true, false} {
		inBubble(t, Config{}, func(t *testing.T, s *site) {
			if colleague {
				s.sim.SignOnMany(8, 1)
			}
			wanted := Wanted{}
			wanted.Want(7, time.Time{})
			list := s.Lists(gate.Urgent, wanted).Of(7)
			if list.Complete != colleague || (list.Doubt == "") != colleague || list.Problem != "" {
				t.Errorf("a colleague is on: %t: %+v", colleague, list)
			}
			if shown := s.Shown(gate.Urgent, wanted).Of(7); shown.Complete || shown.Doubt != "" {
				t.Errorf("as shown: %+v", shown)
			}
		})
	}
}

// What was found out before a job came is no answer for it, and what was found out since is not asked again.
func TestUserIsLookedUpOnceSinceTheJobCame(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, s *site) {
		ask := func(since time.Time) {
			t.Helper()
			users, problem, err := s.WhoIs(gate.Urgent, Question{Named: jobs.User{Name: `corp\JANE`}, Since: since})
			if problem != nil || err != nil || len(users) != 1 || users[0].ID != 7 {
				t.Fatal(users, problem, err)
			}
		}
		came := time.Now()
		ask(came)
		asked := s.lookUps()
		ask(came)
		if n := s.lookUps(); n != asked {
			t.Errorf("%d requests for what was known", n-asked)
		}
		time.Sleep(time.Second)
		ask(time.Now())
		if n := s.lookUps(); n == asked {
			t.Error("a later job believes what was found out before")
		}
		if users, problem, err := s.WhoIs(gate.Urgent, Question{Named: jobs.User{Name: "nobody"}}); len(users) != 0 || problem != nil || err != nil {
			t.Error(users, problem, err)
		}
	})
}

// Many users by address are one reading of the list of all.
func TestManyUsersAreOneReading(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, s *site) {
		var questions []Question
		for _, email := range []string{"jane@corp.example", "BOB@corp.example", "mary@corp.example", "nobody@corp.example"} {
			questions = append(questions, Question{Named: jobs.User{Email: email}, Since: time.Now()})
		}
		s.LookUpTogether(gate.Urgent, questions)
		asked := s.lookUps()
		for i, q := range questions {
			users, problem, err := s.WhoIs(gate.Urgent, q)
			if problem != nil || err != nil || len(users) != map[bool]int{true: 1}[i < 3] {
				t.Error(q.Named, users, problem, err)
			}
		}
		if n := s.lookUps(); n != asked {
			t.Errorf("%d requests more", n-asked)
		}
	})
}

// Who is protected by a name is known when it was asked for, their sessions too, and until then nothing is.
func TestProtectedUsersAndSessionsBecomeKnown(t *testing.T) {
	inBubble(t, Config{ProtectedUsers: []string{"jane@corp.example"}, ProtectedSessions: []string{"CF1C660B-396F-44B7-86DA-5608CEC97453"}}, func(t *testing.T, s *site) {
		id := s.sim.SignOnMany(7, 1)[0]
		other := s.sim.SignOnMany(8, 1)[0]
		if s.ProtectsUser(7) || s.Protects(jobs.Session{ID: id}) || !s.Protects(jobs.Session{ID: "cf1c660b-396f-44b7-86da-5608cec97453"}) {
			t.Error("before anybody asked")
		}
		known, err := s.Know(s.ListsAskedFor(), time.Time{})
		if !known || err != nil || !s.ProtectsUser(7) || !s.Protects(jobs.Session{ID: id}) {
			t.Errorf("known: %t, %v", known, err)
		}
		if s.Protects(jobs.Session{ID: other}) || s.ProtectsUser(8) || !s.Protects(jobs.Session{ID: other, UserID: 7}) {
			t.Error("somebody else is protected, or a publisher's word for the owner is ignored")
		}
		s.Protect(nil, []string{`CORP\bob`}, nil)
		if known, err := s.Know(s.ListsAskedFor(), time.Time{}); !known || err != nil || s.ProtectsUser(7) || !s.Protects(jobs.Session{ID: other}) {
			t.Errorf("after the settings changed: %t, %v", known, err)
		}
	})
}

// A protected user who cannot be looked up is not known to be nobody: whoever waits goes on waiting, and it is told.
func TestProtectionThatCannotBeLookedUpIsNotKnown(t *testing.T) {
	inBubble(t, Config{ProtectedUsers: []string{`CORP\jane`}}, func(t *testing.T, s *site) {
		s.sim.Configure(func(c *simulator.Settings) { c.Down = 503 })
		known, err := s.Know(WhoAlone, time.Now().Add(30*time.Second))
		if known || err == nil && s.Rest() == 0 {
			t.Errorf("known: %t, %v, the next look in %v", known, err, s.Rest())
		}
		s.sim.Configure(func(c *simulator.Settings) { c.Down = 0 })
		if err := s.AwaitKnown(WhoAlone, time.Now().Add(5*time.Minute)); err != nil || !s.ProtectsUser(7) {
			t.Errorf("afterwards: %v", err)
		}
	})
}

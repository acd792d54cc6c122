package simulator

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestRoutesMatchWithoutCaseUnderAllBases(t *testing.T) {
	s := newSite(t, Settings{})
	token := s.Token(1)
	for path, frontEnd := range map[string]bool{
		"/commandcenter/api/WhoAmI":              true,
		"/CommandCenter/API//v2/whoami/":         true,
		"/webconsole/api/whoami":                 true,
		"/SearchSvc/CVWebService.svc/WhoAmI":     false,
		"/searchsvc/cvwebservice.svc//v2/whoami": false,
	} {
		r := s.ask("GET", path, "", "Authtoken", token)
		if r.status != 200 || r.header.Get("Server") != "Microsoft-IIS/10.0" || r.header.Get("X-Powered-By") != "ASP.NET" {
			t.Errorf("%s: %+v", path, r)
		}
		cookie := r.header.Get("Set-Cookie")
		if got := strings.HasPrefix(cookie, "JSESSIONID=") && strings.HasSuffix(cookie, "; Path=/webconsole; HttpOnly"); got != frontEnd {
			t.Errorf("%s: cookie %q", path, cookie)
		}
	}
	for path, status := range map[string]int{"/Sessions": 404, "/commandcentre/api/Sessions": 404, "/commandcenter/apis": 404, apiBase + "/Nothing": 404, apiBase + "/Login": 405, apiBase: 200} {
		r := s.ask("GET", path, "", "Authtoken", token)
		if r.status != status || !strings.Contains(r.body, "<html") {
			t.Errorf("%s: %d, want %d", path, r.status, status)
		}
	}
}

func TestListIsCappedHistoryNewestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Settings{})
		var ids []string
		for i := range 60 {
			ids = append(ids, s.SignOn(1, []int{0, 5, 13, 14, 19}[i%5]))
			pass(time.Minute)
		}
		s.SignOff(ids[58])
		token := s.Token(1)
		pass(time.Minute)
		r := s.ask("GET", "Session?userId=1", "", "Authtoken", token, "Accept", "application/json")
		if r.header.Get("Content-Length") != strconv.Itoa(len(r.body)) || !strings.HasPrefix(r.body, "{\r\"sessions\":[\r{\r\"") || !strings.HasSuffix(r.body, "\r}\r]\r}") {
			t.Errorf("form %q", r.body[:60])
		}
		rows := s.decode(r)["sessions"].([]any)
		if len(rows) != 50 {
			t.Fatalf("%d rows", len(rows))
		}
		own, ended, previous := rows[0].(map[string]any), rows[2].(map[string]any), 1e12
		if own["isCurrentSession"] != true || own["consoleType"] != 0.0 || int64(own["lastAccessedTime"].(float64)) != time.Now().Unix() {
			t.Errorf("own session %v", own)
		}
		if ended["sessionId"] != ids[58] || ended["logoutTime"] == 0.0 || ended["lastAccessedTime"] != 0.0 {
			t.Errorf("ended session %v", ended)
		}
		for i, row := range rows {
			row := row.(map[string]any)
			if login := row["loginTime"].(float64); login >= previous {
				t.Errorf("row %d is out of order", i)
			} else {
				previous = login
			}
			if _, marked := row["isCurrentSession"]; marked && i > 0 {
				t.Errorf("row %d is marked as current", i)
			}
			if user := row["user"].(map[string]any); user["userName"] != "Administrator" || user["userId"] != 1.0 {
				t.Errorf("user %v", user)
			}
			if emc := strings.HasPrefix(row["sessionId"].(string), "EMC"); emc != (row["consoleType"] == 5.0) {
				t.Errorf("row %d: %v", i, row)
			}
		}
		if r := s.ask("GET", "Sessions?UserID=1", "", "Authtoken", token); strings.Count(r.body, "<sessions ") != 50 || strings.Contains(r.body, "\n") {
			t.Errorf("XML %.300s", r.body)
		}
		s.Configure(func(settings *Settings) { settings.ListLimit = 3 })
		if r := s.ask("GET", "Sessions?userId=1", "", "Authtoken", token); strings.Count(r.body, "<sessions ") != 3 {
			t.Errorf("with a cap of 3: %s", r.body)
		}
		if r := s.ask("GET", "Session", "", "Authtoken", token); r.status != 400 {
			t.Errorf("without userId: %d", r.status)
		}
	})
}

func TestJournalKeepsTheExactRequest(t *testing.T) {
	s := newSite(t, Settings{JournalLimit: 3})
	token, ids := s.Token(1), s.SignOnMany(2, 2)
	body := documentOf(ids...)
	r := s.ask("DELETE", "Sessions", body, "Authtoken", token, "Accept", "application/xml", "User-Agent", "test/1")
	if !success(r) {
		t.Fatalf("%+v", r)
	}
	got := s.last()
	if got.Op != "logoff" || got.Method != http.MethodDelete || got.Path != apiBase+"/Sessions" || string(got.Body) != body || got.UserID != 1 ||
		got.Status != 200 || !got.Answered || !got.Success || got.Header.Get("Authtoken") != token || got.Header.Get("User-Agent") != "test/1" ||
		fmt.Sprint(got.Sessions) != fmt.Sprint(ids) || fmt.Sprint(got.Applied) != fmt.Sprint(ids) || got.Time.IsZero() || got.Number != 1 {
		t.Errorf("journal %+v", got)
	}
	for range 4 {
		s.ask("GET", "WhoAmI", "", "Authtoken", token)
	}
	if requests := s.Journal(); len(requests) != 3 || requests[0].Number != 3 {
		t.Errorf("%d requests kept", len(requests))
	}
	if s.Count("whoami") != 4 || s.Count("logoff") != 1 || s.Count("login") != 0 {
		t.Errorf("counts %d, %d, %d", s.Count("whoami"), s.Count("logoff"), s.Count("login"))
	}
}

func TestLatencyPassesBeforeTheEffect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Settings{LatencyFixed: 2 * time.Second, LatencyPerSession: time.Second})
		token, ids := s.Token(1), s.SignOnMany(2, 3)
		answered := make(chan received)
		begun := time.Now()
		go func() { answered <- s.logoff(token, ids...) }()
		pass(4 * time.Second)
		if request := s.last(); request.Status != 0 || len(request.Sessions) != 3 || len(request.Applied) != 0 {
			t.Errorf("in flight: %+v", request)
		}
		s.wantAlive(ids, true, true, true)
		if r := <-answered; !success(r) || time.Since(begun) != 5*time.Second {
			t.Errorf("%+v after %v", r, time.Since(begun))
		}
	})
}

func TestSomeAnswersTakeLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Settings{LatencyTail: 10 * time.Second, LatencyTailRate: 0.2})
		long := 0
		for range 100 {
			begun := time.Now()
			s.ask("GET", "WhoAmI", "")
			switch time.Since(begun) {
			case 0:
			case 10 * time.Second:
				long++
			default:
				t.Errorf("it took %v", time.Since(begun))
			}
		}
		if long < 8 || long > 35 {
			t.Errorf("%d of 100 took longer", long)
		}
	})
}

func TestClientThatGoesAwayChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Settings{LatencyFixed: time.Minute})
		s.client.Timeout = time.Second
		token, ids := s.Token(1), s.SignOnMany(2, 1)
		if r, err := s.try("DELETE", "Sessions", documentOf(ids...), "Authtoken", token); err == nil {
			t.Fatalf("%+v", r)
		}
		pass(2 * time.Minute)
		s.wantAlive(ids, true)
		if request := s.last(); request.Status != 0 || request.Answered {
			t.Errorf("journal %+v", request)
		}
	})
}

func TestConcurrencyLimitKeepsTheOthersInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Settings{LatencyFixed: time.Second, Concurrency: 2})
		token := s.Token(1)
		begun := time.Now()
		var asked sync.WaitGroup
		for range 6 {
			asked.Go(func() { s.ask("GET", "WhoAmI", "", "Authtoken", token) })
		}
		asked.Wait()
		if took := time.Since(begun); took != 3*time.Second {
			t.Errorf("6 requests of 1s, 2 at once, took %v", took)
		}
		// One that gives up in line leaves its place to the others, and a wider gate lets all in.
		s.client.Timeout = 500 * time.Millisecond
		for range 5 {
			asked.Go(func() { _, _ = s.try("GET", "WhoAmI", "", "Authtoken", token) })
		}
		asked.Wait()
		s.client.Timeout = 0
		s.Configure(func(settings *Settings) { settings.Concurrency = 0 })
		begun = time.Now()
		for range 9 {
			asked.Go(func() { s.ask("GET", "WhoAmI", "", "Authtoken", token) })
		}
		asked.Wait()
		if took := time.Since(begun); took != time.Second {
			t.Errorf("9 requests without a limit took %v", took)
		}
	})
}

func TestSameSeedMakesTheSameServer(t *testing.T) {
	build := func(seed uint64) string {
		s := New(Settings{}, seed)
		s.AddUser(User{Login: "admin"})
		return fmt.Sprint(s.SignOnMany(1, 3), s.Token(1))
	}
	first, again, other := build(5), build(5), build(6)
	if first != again || first == other {
		t.Error("the seed does not decide the IDs")
	}
	if s := New(Settings{}, 5); s.Seed() != 5 || !strings.Contains(s.String(), "5") {
		t.Errorf("%s does not print its seed", s)
	}
}

func TestPopulateSignsEveryoneOnEverywhere(t *testing.T) {
	s := New(Settings{}, 1)
	people := s.Populate(200)
	consoles, ended := map[[2]int]int{}, 0
	for _, row := range s.Sessions() {
		if row.Active() {
			consoles[[2]int{row.UserID, row.Console}]++
		} else {
			ended++
		}
	}
	for _, person := range people {
		for _, console := range []int{0, 5, 13, 14, 19} {
			if consoles[[2]int{person.ID, console}] != 1 {
				t.Errorf("%s has %d sessions of console %d", person.Login, consoles[[2]int{person.ID, console}], console)
			}
		}
	}
	if len(people) != 200 || ended < 400 {
		t.Errorf("%d people, %d ended sessions", len(people), ended)
	}
}

func TestPersonIsSignedOnEverywhereWithAHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Settings{})
		token := s.Token(1)
		on, off := s.SignOnEverywhere(2, 4)
		_, listed := s.asJSON("Session?userId=2")
		rows := listed["sessions"].([]any)
		if len(on) != 5 || len(off) != 4 || len(rows) != 9 {
			t.Fatalf("%d on, %d ended, %d listed", len(on), len(off), len(rows))
		}
		var consoles []any
		for i, row := range rows {
			row := row.(map[string]any)
			want := append(slices.Clone(on), off...)[i] // newest first
			if i < len(on) {
				want = on[len(on)-1-i]
				consoles = append(consoles, row["consoleType"])
			}
			if row["sessionId"] != want || (row["logoutTime"] == 0.0) != (i < len(on)) || row["loginTime"].(float64) > float64(time.Now().Unix()) {
				t.Errorf("row %d: %v", i, row)
			}
			if unused := row["lastAccessedTime"] == 0.0; unused != (row["consoleType"] == 5.0 || i >= len(on)) {
				t.Errorf("row %d: %v", i, row)
			}
		}
		if fmt.Sprint(consoles) != "[0 13 19 14 5]" {
			t.Errorf("consoles %v", consoles)
		}
		if r := s.logoff(token, on...); !success(r) || len(s.on(2)) != 0 {
			t.Errorf("%+v", r)
		}
		status, body := s.control("POST", "/sessions/everywhere", `{"userId":3,"ended":2}`)
		if status != 200 || len(s.on(3)) != 5 || !strings.Contains(body, `"off"`) {
			t.Errorf("%d %s", status, body)
		}
		if status, _ := s.control("POST", "/sessions/everywhere", `{"userId":99}`); status != 404 {
			t.Errorf("nobody: %d", status)
		}
	})
}

func TestServesManyAtOnceOverTCP(t *testing.T) {
	s := New(Settings{}, 1)
	s.AddUser(User{ID: 1, Login: "admin", Administrator: true})
	token, ids := s.Token(1), s.SignOnMany(1, 2000)
	server := httptest.NewServer(s)
	defer server.Close()
	var asked sync.WaitGroup
	for i := range 20 {
		asked.Go(func() {
			for part := range 10 {
				from := i*100 + part*10
				request, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, server.URL+apiBase+"/Sessions", strings.NewReader(documentOf(ids[from:from+10]...)))
				if err != nil {
					t.Error(err)
					return
				}
				request.Header.Set("Authtoken", token)
				response, err := server.Client().Do(request)
				if err != nil {
					t.Error(err)
					return
				}
				_ = response.Body.Close()
				if response.StatusCode != http.StatusOK {
					t.Errorf("status %d", response.StatusCode)
				}
			}
		})
	}
	asked.Wait()
	for _, row := range s.Sessions()[1:] {
		if row.Active() {
			t.Fatalf("%s is still on", row.ID)
		}
	}
	if n := s.Count("logoff"); n != 200 {
		t.Errorf("%d requests", n)
	}
}

func TestSettingsThatCannotBeAreNamed(t *testing.T) {
	settings := Settings{
		Ended: "sometimes", Partial: "half", EffectDelay: -1, PathBackslash: "x", LatencyTail: -1, LatencyTailRate: 2, Renewal: "x", RenewalDelay: -1, RenewalHeader: "x", EMCSessions: "x", UserNames: "x", SessionPath: "x", UserListLimit: -1, Down: 99, RateLimit: -1, LatencyFixed: -1, BadIDs: map[string]int{"x": 200}, DocumentLimitStatus: 418,
	}
	err := settings.Check()
	for _, name := range []string{"ended", "partial", "down", "rateLimit", "latencyFixed", "badIDs", "documentLimitStatus", "effectDelay", "pathBackslash", "latencyTail is", "latencyTailRate", "renewal is", "renewalDelay", "renewalHeader", "emcSessions", "userNames", "sessionPath", "userListLimit"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%q is not in %v", name, err)
		}
	}
	if err := (Settings{}).Check(); err != nil {
		t.Errorf("the zero value: %v", err)
	}
}

// pass lets time pass in a bubble, until all is quiet.
func pass(d time.Duration) {
	<-time.NewTimer(d).C
	synctest.Wait()
}

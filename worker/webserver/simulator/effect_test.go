package simulator

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestEffectShowsAfterItsDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Settings{EffectDelay: 3 * time.Second})
		admin, hers := s.Token(1), s.Token(2)
		id := s.Sessions()[1].ID
		list := func() string {
			return s.ask("GET", "Session?userId=2", "", "Authtoken", admin, "Accept", "application/json").body
		}
		accepted := time.Now()
		if r := s.logoff(admin, id); !success(r) {
			t.Fatalf("%+v", r)
		}
		pass(2 * time.Second)
		if r := s.ask("GET", "WhoAmI", "", "Authtoken", hers); r.status != 200 || !strings.Contains(list(), `"logoutTime":0`) {
			t.Errorf("the effect shows at once: %d", r.status)
		}
		if r := s.logoff(admin, id); !success(r) || len(s.last().Applied) != 0 {
			t.Errorf("the same again: %+v, %+v", r, s.last())
		}
		pass(time.Second)
		if r := s.ask("GET", "WhoAmI", "", "Authtoken", hers); r.status != 401 || strings.Contains(list(), `"logoutTime":0`) {
			t.Errorf("no effect: %d", r.status)
		}
		if end := s.Sessions()[1].LogoutTime; !end.Equal(accepted.Add(3 * time.Second)) {
			t.Errorf("it ended %v after the answer", end.Sub(accepted))
		}
		if r := s.logoff(admin, id); !isGeneric500(r) {
			t.Errorf("now it is an ended session: %+v", r)
		}
	})
}

func TestLateEffectAndIdleTimeComeInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Settings{EffectDelay: time.Hour})
		hers := s.login(`CORP\jane`, "pässword", `,"timeout":20,"deviceId":"d"`)["token"].(string)
		id, begun := s.Sessions()[0].ID, time.Now()
		if r := s.logoff(s.Token(1), id); !success(r) {
			t.Fatalf("%+v", r)
		}
		pass(2 * time.Hour)
		if end := s.Sessions()[0].LogoutTime; !end.Equal(begun.Add(20 * time.Minute)) {
			t.Errorf("it ended after %v", end.Sub(begun))
		}
		if r := s.ask("POST", "RenewLoginToken", fmt.Sprintf(`{"sessionId":%q,"deviceId":"d"}`, hers), "Accept", "application/json"); s.decode(r)["token"] == nil {
			t.Errorf("the token died of being idle: %+v", r)
		}
	})
}

func TestConsoleWindowsCanStayOn(t *testing.T) {
	s := newSite(t, Settings{EMCSessions: EMCSessionsStay})
	token, window, web := s.Token(1), s.SignOn(2, ConsoleCommCell), s.SignOn(2, ConsoleWeb)
	if r := s.logoff(token, window, web); !success(r) || fmt.Sprint(s.last().Applied) != fmt.Sprint([]string{web}) {
		t.Errorf("%+v, %+v", r, s.last())
	}
	s.wantAlive([]string{window, web}, true, false)
	s.Configure(func(settings *Settings) { settings.EMCSessions = EMCSessionsEnd })
	if r := s.logoff(token, window); !success(r) {
		t.Errorf("%+v", r)
	}
	s.wantAlive([]string{window}, false)
}

func TestDroppedBodyIsASuccessWithoutEffect(t *testing.T) {
	s := newSite(t, Settings{DropBody: true})
	token, ids := s.Token(1), s.SignOnMany(2, 2)
	for _, body := range []string{documentOf(ids...), documentOf("unknown"), "not a document"} {
		if r := s.ask("DELETE", "Sessions", body, "Authtoken", token); !success(r) {
			t.Errorf("%q: %+v", body, r)
		}
		if got := s.last(); string(got.Body) != body || len(got.Applied) != 0 {
			t.Errorf("journal %+v", got)
		}
	}
	s.wantAlive(ids, true, true)
	if answer := s.login("admin", "secret", ""); answer["token"] == nil {
		t.Error("the body of a POST is dropped, too")
	}
	s.Configure(func(settings *Settings) { settings.DropBody = false })
	if r := s.logoff(token, ids...); !success(r) {
		t.Errorf("%+v", r)
	}
	s.wantAlive(ids, false, false)
}

package simulator

import (
	"testing"
	"testing/synctest"
	"time"
)

// on are the sessions of a user that are on.
func (s *site) on(userID int) (rows []Session) {
	for _, row := range s.Sessions() {
		if row.UserID == userID && row.Active() {
			rows = append(rows, row)
		}
	}
	return rows
}

func TestPersonComesBackWhenALogoffEndsASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Settings{})
		token, ids, left := s.Token(1), s.SignOnMany(2, 3), s.SignOn(2, ConsoleWeb)
		s.ComeBack(Comeback{UserID: 2, Console: ConsoleCommandLine, Times: 1})
		s.ComeBack(Comeback{UserID: 2, Console: ConsoleCommCell, Times: 1, After: 2 * time.Second})
		s.SignOff(left) // he left himself
		if n := len(s.on(2)); n != 3 {
			t.Fatalf("%d sessions", n)
		}
		if r := s.logoff(token, ids...); !success(r) {
			t.Fatalf("%+v", r)
		}
		if rows := s.on(2); len(rows) != 1 || rows[0].Console != ConsoleCommandLine || !rows[0].LoginTime.Equal(time.Now()) {
			t.Errorf("%+v", rows)
		}
		ended := time.Now()
		pass(3 * time.Second)
		rows := s.on(2)
		if len(rows) != 2 || rows[1].Console != ConsoleCommCell || !rows[1].LoginTime.Equal(ended.Add(2*time.Second)) {
			t.Fatalf("%+v", rows)
		}
		if r := s.logoff(token, rows[0].ID, rows[1].ID); !success(r) {
			t.Errorf("%+v", r)
		}
		pass(time.Minute)
		if rows := s.on(2); len(rows) != 0 {
			t.Errorf("back more often than he should be: %+v", rows)
		}
	})
}

func TestComebackWaitsForALateEffectAndForTheRightToSignOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Settings{EffectDelay: time.Second})
		token, ids := s.Token(1), s.SignOnMany(2, 2)
		s.ComeBack(Comeback{UserID: 2, Console: ConsoleBrowser, Times: 2})
		s.logoff(token, ids[0])
		if rows := s.on(2); len(rows) != 2 {
			t.Errorf("%+v", rows)
		}
		pass(time.Second)
		if rows := s.on(2); len(rows) != 2 || rows[1].Console != ConsoleBrowser {
			t.Errorf("%+v", rows)
		}
		s.SignOnAt(2, ConsoleWeb, time.Now().Add(time.Second))
		s.ChangeUser(2, func(u *User) { u.Disabled = true })
		s.logoff(token, ids[1])
		pass(time.Second)
		if rows := s.on(2); len(rows) != 1 {
			t.Errorf("a disabled user is back: %+v", rows)
		}
	})
}

func TestPersonSignsOnAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Settings{})
		at := time.Now().Add(time.Minute)
		s.SignOnAt(2, ConsoleWeb, at)
		pass(time.Minute - 1)
		if rows := s.on(2); len(rows) != 0 {
			t.Errorf("too early: %+v", rows)
		}
		pass(time.Hour)
		if rows := s.on(2); len(rows) != 1 || !rows[0].LoginTime.Equal(at) {
			t.Errorf("%+v", rows)
		}
	})
}

func TestControlPlansSignOns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Settings{})
		id := s.SignOn(3, ConsoleWeb)
		if status, body := s.control("POST", "/comebacks", `{"userId":3,"console":5,"times":1,"after":"5s"}`); status != 204 {
			t.Errorf("%d %s", status, body)
		}
		at := time.Now().Add(time.Minute).UTC().Format(time.RFC3339)
		if status, body := s.control("POST", "/sessions", `{"userId":3,"console":13,"count":2,"at":"`+at+`"}`); status != 204 {
			t.Errorf("%d %s", status, body)
		}
		s.logoff(s.Token(1), id)
		pass(5 * time.Second)
		if rows := s.on(3); len(rows) != 1 || rows[0].Console != 5 {
			t.Errorf("%+v", rows)
		}
		pass(time.Minute)
		if rows := s.on(3); len(rows) != 3 || rows[2].Console != 13 {
			t.Errorf("%+v", rows)
		}
		for path, bodies := range map[string][]string{
			"/comebacks": {`{"userId":99,"times":1}`, `{"userId":3}`, `{"userId":3,"times":1,"after":"-1s"}`, `{"user":3}`},
			"/sessions":  {`{"userId":99,"at":"` + at + `"}`},
		} {
			for _, body := range bodies {
				if status, _ := s.control("POST", path, body); status != 400 && status != 404 {
					t.Errorf("%s %s: %d", path, body, status)
				}
			}
		}
	})
}

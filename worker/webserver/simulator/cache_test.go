package simulator

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestProxyAnswersWithOldLists(t *testing.T) {
	for caching, test := range map[Caching]struct {
		old bool
		age string
	}{
		CachingNone:     {},
		CachingObedient: {},
		CachingAge:      {true, "20"},
		CachingSilent:   {true, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, Settings{Caching: caching})
			token := s.Token(1)
			list := func() received {
				return s.ask("GET", "Session?userId=2&_=1", "", "Authtoken", token, "Accept", "application/json", "Cache-Control", "no-cache")
			}
			first := list()
			id := s.SignOn(2, ConsoleWeb)
			pass(20 * time.Second)
			r := list()
			moved := r.header.Get("Date") != first.header.Get("Date")
			if old := !strings.Contains(r.body, id); old != test.old || moved == test.old || r.header.Get("Age") != test.age {
				t.Errorf("%s: old %t, date moved %t, age %q", caching, old, moved, r.header.Get("Age"))
			}
			pass(5 * time.Minute)
			if r := list(); !strings.Contains(r.body, id) {
				t.Errorf("%s: the list is kept for ever", caching)
			}
		})
	}
}

func TestClockIsAheadOrBehind(t *testing.T) {
	for _, offset := range []time.Duration{0, 10 * time.Minute, -10 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, Settings{ClockOffset: offset})
			now := time.Now()
			s.SignOn(2, ConsoleWeb)
			r := s.ask("GET", "Session?userId=2", "", "Authtoken", s.Token(1), "Accept", "application/json")
			row := s.decode(r)["sessions"].([]any)[0].(map[string]any)
			date, err := http.ParseTime(r.header.Get("Date"))
			if err != nil || !date.Equal(now.Add(offset).Truncate(time.Second)) || int64(row["loginTime"].(float64)) != now.Add(offset).Unix() {
				t.Errorf("%v: date %v, %v", offset, date, row)
			}
		})
	}
}

func TestDateStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Settings{FrozenDate: true})
		date := s.ask("GET", "", "").header.Get("Date")
		pass(time.Hour)
		if later := s.ask("GET", "", "").header.Get("Date"); later != date {
			t.Errorf("%s, then %s", date, later)
		}
	})
}

func TestHiddenCompanyIsSeenByNobodyElse(t *testing.T) {
	for _, users := range []bool{false, true} {
		s := newSite(t, Settings{HiddenCompany: 3, HiddenUsers: users, Ended: EndedError})
		s.AddUser(User{ID: 30, Login: "hidden", CompanyID: 3, Company: "Other", Password: "h"})
		s.AddUser(User{ID: 31, Login: "inside", CompanyID: 3, Company: "Other", Administrator: true})
		id := s.SignOn(30, ConsoleWeb)
		for who, sees := range map[int]bool{1: false, 31: true} {
			token := s.Token(who)
			list := s.ask("GET", "Session?userId=30", "", "Authtoken", token, "Accept", "application/json").body
			all := s.ask("GET", "User?level=10", "", "Authtoken", token, "Accept", "application/json").body
			if strings.Contains(list, id) != sees || strings.Contains(all, "hidden") != (sees || !users) {
				t.Errorf("hidden users %t, user %d: %s %s", users, who, list, all)
			}
			if success(s.logoff(token, id)) != sees {
				t.Errorf("user %d ends the session: %t", who, !sees)
			}
		}
	}
}

func TestUnlistedUserIsListedToNobodyElse(t *testing.T) {
	s := newSite(t, Settings{UnlistedUser: 30})
	s.AddUser(User{ID: 30, Login: "unlisted", Password: "u"})
	id := s.SignOn(30, ConsoleWeb)
	for who, want := range map[int]int{1: 403, 30: 200} {
		if r := s.ask("GET", "Session?userId=30", "", "Authtoken", s.Token(who)); r.status != want {
			t.Errorf("user %d gets %d, want %d", who, r.status, want)
		}
	}
	if r := s.ask("GET", "Session?userId=1", "", "Authtoken", s.Token(1)); r.status != 200 {
		t.Errorf("the list of another gets %d", r.status)
	}
	if !success(s.logoff(s.Token(1), id)) {
		t.Error("the session cannot be ended")
	}
}

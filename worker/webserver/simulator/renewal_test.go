package simulator

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// renewal renews a pair, with the old access token in the header where header says so.
func (s *site) renewal(pair AccessPair, header bool) (received, error) {
	form := fmt.Sprintf(`{"accessToken":%q,"refreshToken":%q}`, pair.Access, pair.Refresh)
	if header {
		return s.try("POST", "V4/AccessToken/Renew", form, "Authorization", "Bearer "+pair.Access)
	}
	return s.try("POST", "V4/AccessToken/Renew", form)
}

// leniently takes the two tokens out of an answer that need not be JSON.
func leniently(body string) AccessPair {
	value := func(name string) string {
		found := regexp.MustCompile(`"` + name + `":"([0-9a-f]{64})"`).FindStringSubmatch(body)
		if found == nil {
			return ""
		}
		return found[1]
	}
	return AccessPair{Access: value("accessToken"), Refresh: value("refreshToken")}
}

func (s *site) bearerLives(access string) bool {
	s.t.Helper()
	return s.ask("GET", "WhoAmI", "", "Authorization", "Bearer "+access).status == 200
}

func TestRenewalEndsAsSet(t *testing.T) {
	for renewal, test := range map[Renewal]struct {
		status int
		json   bool
		has    string
	}{
		"":               {200, true, `"tokenExpiryTimestamp":`},
		RenewalExpiresIn: {200, true, `"expiresIn":1800`},
		RenewalMangled:   {200, false, `"tokenExpiryTimest`},
		Renewal403:       {status: 403, json: true},
		Renewal404:       {status: 404, has: "<html"},
		Renewal450:       {status: 450, json: true},
		Renewal500:       {status: 500, json: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, Settings{Renewal: renewal})
			pair := s.Grant(AccessGrant{UserID: 1})
			r, err := s.renewal(pair, false)
			if err != nil || r.status != test.status || json.Valid([]byte(r.body)) != test.json || !strings.Contains(r.body, test.has) {
				t.Errorf("%q: %+v, %v", renewal, r, err)
			}
			fresh := leniently(r.body)
			rotated := test.status == 200
			if (fresh.Access != "" && fresh.Refresh != "") != rotated || s.bearerLives(pair.Access) == rotated || s.bearerLives(fresh.Access) != rotated {
				t.Errorf("%q: rotated %v, %+v", renewal, rotated, fresh)
			}
			if chain := s.Chains()[0]; (chain.Renewals == 1) != rotated || chain.Reused != 0 || chain.Dead {
				t.Errorf("%q: %+v", renewal, chain)
			}
		})
	}
}

func TestLostRenewalLeavesADeadPair(t *testing.T) {
	s := newSite(t, Settings{Renewal: RenewalLost})
	pair := s.Grant(AccessGrant{UserID: 1})
	if r, err := s.renewal(pair, false); err == nil {
		t.Errorf("%+v", r)
	}
	if chain := s.Chains()[0]; chain.Renewals != 1 || chain.Dead || s.bearerLives(pair.Access) {
		t.Errorf("%+v", chain)
	}
	s.Configure(func(settings *Settings) { settings.Renewal = Renewal200 })
	for range 2 {
		if r, err := s.renewal(pair, false); err != nil || r.status != 403 {
			t.Errorf("the old pair again: %+v, %v", r, err)
		}
	}
	if chain := s.Chains()[0]; chain.Reused != 2 || !chain.Dead || chain.Renewals != 1 {
		t.Errorf("%+v", chain)
	}
}

func TestSlowRenewalRotatesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Settings{RenewalDelay: time.Minute})
		pair, begun := s.Grant(AccessGrant{UserID: 1}), time.Now()
		r, err := s.renewal(pair, false)
		if err != nil || r.status != 200 || time.Since(begun) != time.Minute {
			t.Fatalf("%+v, %v after %v", r, err, time.Since(begun))
		}
		s.client.Timeout = time.Second
		if r, err := s.renewal(leniently(r.body), false); err == nil {
			t.Errorf("%+v", r)
		}
		if chain := s.Chains()[0]; chain.Renewals != 2 {
			t.Errorf("%+v", chain)
		}
	})
}

func TestRenewalMayOrMayNotHaveTheOldTokenInItsHeader(t *testing.T) {
	for setting, statuses := range map[RenewalHeader][2]int{"": {200, 200}, RenewalHeaderRefused: {200, 401}, RenewalHeaderNeeded: {401, 200}} {
		for i, header := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, Settings{RenewalHeader: setting})
				pair := s.Grant(AccessGrant{UserID: 1})
				pass(time.Hour) // an access token that has died will do
				r, err := s.renewal(pair, header)
				if err != nil || r.status != statuses[i] {
					t.Errorf("%q, header %v: %+v, %v", setting, header, r, err)
				}
				if renewed := s.Chains()[0].Renewals == 1; renewed != (statuses[i] == 200) {
					t.Errorf("%q, header %v: rotated %v", setting, header, renewed)
				}
			})
		}
	}
}

func TestGrantSaysHowLongATokenLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Settings{})
		now := time.Now()
		pair := s.Grant(AccessGrant{UserID: 2, Expiry: now.Add(time.Minute), RenewableUntil: now.Add(time.Hour), Scope: []string{"/WhoAmI"}})
		if chain := s.Chains()[0]; chain.ID != pair.Chain || chain.UserID != 2 || !chain.Expiry.Equal(now.Add(time.Minute)) || !chain.RenewableUntil.Equal(now.Add(time.Hour)) {
			t.Errorf("%+v", chain)
		}
		pass(59 * time.Second)
		if !s.bearerLives(pair.Access) {
			t.Error("dead too early")
		}
		pass(time.Second)
		if s.bearerLives(pair.Access) {
			t.Error("alive too long")
		}
		r, err := s.renewal(pair, false)
		if err != nil || r.status != 200 || s.decode(r)["renewableUntilTimestamp"] != float64(now.Add(time.Hour).Unix()) {
			t.Errorf("%+v, %v", r, err)
		}
		pass(time.Hour)
		if r, err := s.renewal(leniently(r.body), false); err != nil || r.status != 403 {
			t.Errorf("after the end of renewals: %+v, %v", r, err)
		}
		if chain := s.Chains()[0]; chain.Dead || chain.Reused != 0 || chain.Renewals != 1 {
			t.Errorf("%+v", chain)
		}
	})
}

func TestBearerCallersShowUpAsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Settings{})
		pair := s.Grant(AccessGrant{UserID: 1})
		s.bearerLives(pair.Access)
		if rows := s.Sessions(); len(rows) != 0 {
			t.Errorf("%+v", rows)
		}
		s.Configure(func(settings *Settings) { settings.BearerSessions = true })
		for range 2 {
			r := s.ask("GET", "Session?userId=1", "", "Authorization", "Bearer "+pair.Access, "Accept", "application/json")
			if rows := s.decode(r)["sessions"].([]any); len(rows) != 1 || rows[0].(map[string]any)["isCurrentSession"] != true {
				t.Errorf("%s", r.body)
			}
		}
		id := s.Sessions()[0].ID
		if r := s.ask("DELETE", "Sessions", documentOf(id), "Authorization", "Bearer "+pair.Access); !success(r) {
			t.Errorf("%+v", r)
		}
		s.wantAlive([]string{id}, false)
		if !s.bearerLives(pair.Access) || len(s.Sessions()) != 2 {
			t.Error("the token died with its session, or has no new one")
		}
		if r := s.ask("POST", "V4/AccessToken", `{"tokenName":"another"}`, "Authorization", "Bearer "+pair.Access); r.status != 403 {
			t.Errorf("an access token made another: %+v", r)
		}
		pass(31 * time.Minute)
		if rows := s.Sessions(); rows[1].Active() {
			t.Error("the session outlives its use")
		}
	})
}

func TestControlMakesAndShowsAccessTokens(t *testing.T) {
	s := newSite(t, Settings{})
	status, body := s.control("POST", "/tokens", `{"userId":1,"scope":["/Session"],"renewableUntil":"2000-01-01T00:00:00Z"}`)
	var pair AccessPair
	if err := json.Unmarshal([]byte(body), &pair); err != nil || status != 200 || pair.Chain != 1 || len(pair.Access) != 64 {
		t.Fatalf("%d %s", status, body)
	}
	if r := s.ask("GET", "Session?userId=1", "", "Authorization", "Bearer "+pair.Access); r.status != 200 {
		t.Errorf("%+v", r)
	}
	if r, err := s.renewal(pair, false); err != nil || r.status != 403 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := s.renewal(AccessPair{Access: pair.Access, Refresh: pair.Access}, false); err != nil {
		t.Fatal(err)
	}
	chains := s.list("/tokens")
	if len(chains) != 1 || chains[0]["userId"] != 1.0 || chains[0]["renewals"] != 0.0 || chains[0]["reused"] != 1.0 || chains[0]["dead"] != true {
		t.Errorf("%v", chains)
	}
	if _, text := s.control("GET", "/tokens", ""); strings.Contains(text, pair.Access) || strings.Contains(text, pair.Refresh) {
		t.Error("a token comes out")
	}
	if status, _ := s.control("POST", "/tokens", `{"userId":99}`); status != 404 {
		t.Errorf("nobody has a token: %d", status)
	}
}

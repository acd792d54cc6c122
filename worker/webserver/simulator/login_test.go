package simulator

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLoginGivesATokenAsCaptured(t *testing.T) {
	s := newSite(t, Settings{})
	for name, id := range map[string]string{"admin": "1", "ADMIN": "1", "Root@corp.example": "1"} {
		answer := s.login(name, "secret", "")
		token, _ := answer["token"].(string)
		if !regexp.MustCompile(`^QSDK 3[0-9a-f]{530,600}$`).MatchString(token) {
			t.Errorf("%s: token %q", name, token)
		}
		if answer["aliasName"] != id || answer["userName"] != "admin" || answer["capability"].(float64) <= 1<<32 || fmt.Sprint(answer["errList"]) != "[]" {
			t.Errorf("%s: %v", name, answer)
		}
		if r := s.ask("GET", "WhoAmI", "", "Authtoken", token, "Accept", "application/json"); r.status != 200 || s.decode(r)["user"].(map[string]any)["userId"] != 1.0 {
			t.Errorf("%s: WhoAmI %+v", name, r)
		}
	}
	sessions := s.Sessions()
	if len(sessions) != 3 || sessions[0].Console != ConsoleAPI || sessions[0].Display != "Administrator" {
		t.Errorf("sessions %+v", sessions)
	}
	if answer := s.login("jane", "pässword", `,"domain":"corp"`); answer["token"] == nil {
		t.Errorf("domain user: %v", answer)
	}
}

func TestLoginInXML(t *testing.T) {
	s := newSite(t, Settings{})
	form := `<DM2ContentIndexing_CheckCredentialReq username="admin" password="` + base64.StdEncoding.EncodeToString([]byte("secret")) + `" />`
	r := s.ask("POST", "Login", form)
	if r.status != 200 || !strings.Contains(r.body, `<DM2ContentIndexing_CheckCredentialResp aliasName="1"`) || !strings.Contains(r.body, ` token="QSDK 3`) {
		t.Errorf("%+v", r)
	}
	for _, form := range []string{"<Other/>", "", "{", "username=admin"} {
		if r := s.ask("POST", "Login", form); r.status != 400 {
			t.Errorf("%q: %+v", form, r)
		}
	}
}

func TestV10LoginIsACopyOfTheXML(t *testing.T) {
	s := newSite(t, Settings{V10Login: true})
	root, ok := s.login("admin", "secret", "")["DM2ContentIndexing_CheckCredentialResp"].(map[string]any)
	if !ok || root["@aliasName"] != "1" || !strings.HasPrefix(root["@token"].(string), "QSDK 3") || root["ownerOrganization"].(map[string]any)["@providerId"] != "0" {
		t.Errorf("%v", root)
	}
	root, _ = s.login("admin", "wrong", "")["DM2ContentIndexing_CheckCredentialResp"].(map[string]any)
	if _, has := root["@token"]; has || root["errList"].(map[string]any)["@errorCode"] != "1116" {
		t.Errorf("%v", root)
	}
	if r := s.ask("POST", "Login", `{"username":"admin","password":"c2VjcmV0"}`); !strings.Contains(r.body, `<DM2ContentIndexing_CheckCredentialResp aliasName="1"`) {
		t.Errorf("XML: %+v", r)
	}
}

func TestRejectedLoginIsA200WithoutToken(t *testing.T) {
	s := newSite(t, Settings{})
	for i, login := range [][2]string{{"admin", "wrong"}, {"admin", ""}, {"nobody", "secret"}} {
		answer := s.login(login[0], login[1], "")
		failure := answer["errList"].([]any)[0].(map[string]any)
		if _, has := answer["token"]; has || failure["errorCode"] != 1116.0 || answer["aliasName"] != "" || answer["isAccountLocked"] != false {
			t.Errorf("%v: %v", login, answer)
		}
		if want := []float64{1, 2, 0}[i]; answer["loginAttempts"] != want {
			t.Errorf("%v: %v attempts, want %v", login, answer["loginAttempts"], want)
		}
	}
	if s.login("admin", "secret", "")["token"] == nil {
		t.Error("without the setting, failures lock the account")
	}
	if n := s.Count("login"); n != 4 {
		t.Errorf("%d logins counted", n)
	}
}

func TestFailedLoginsLockTheAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Settings{LockoutAfter: 3, LockoutWithin: time.Hour, LockoutFor: 2 * time.Hour})
		s.login("admin", "wrong", "")
		pass(time.Hour) // too long ago to count
		s.login("admin", "wrong", "")
		s.login("admin", "wrong", "")
		if s.login("admin", "secret", "")["token"] == nil {
			t.Fatal("locked after two failures")
		}
		for range 3 {
			s.login("admin", "wrong", "")
		}
		pass(30 * time.Minute)
		answer := s.login("admin", "secret", "")
		if answer["token"] != nil || answer["isAccountLocked"] != true || answer["remainingLockTime"] != 5400.0 {
			t.Errorf("%v", answer)
		}
		pass(90 * time.Minute)
		if s.login("admin", "secret", "")["token"] == nil {
			t.Error("still locked after the time")
		}
	})
}

func TestIdleTokenDiesAndItsSessionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Settings{})
		usual := s.login("admin", "secret", "")["token"].(string)
		short := s.login("admin", "secret", `,"timeout":5`)["token"].(string)
		long := s.login("admin", "secret", `,"timeout":"600"`)["token"].(string)
		used := time.Now()
		for range 6 { // each call starts the idle time anew
			pass(29 * time.Minute)
			used = time.Now()
			if r := s.ask("GET", "WhoAmI", "", "Authtoken", usual); r.status != 200 {
				t.Fatalf("%+v", r)
			}
		}
		if r := s.ask("GET", "WhoAmI", "", "Authtoken", short); r.status != 401 {
			t.Errorf("a token of 5 minutes lives: %d", r.status)
		}
		pass(30 * time.Minute)
		if r := s.ask("GET", "WhoAmI", "", "Authtoken", usual); r.status != 401 {
			t.Errorf("after 30 idle minutes: %d", r.status)
		}
		if end := s.Sessions()[0].LogoutTime; !end.Equal(used.Add(30 * time.Minute)) {
			t.Errorf("the session ended at %v, was last used at %v", end, used)
		}
		if r := s.ask("GET", "WhoAmI", "", "Authtoken", long); r.status != 200 {
			t.Errorf("a token of 10 hours died: %d", r.status)
		}
	})
}

func TestRenewalIsBoundToTheDevice(t *testing.T) {
	s := newSite(t, Settings{})
	renew := func(token, device string) string {
		r := s.ask("POST", "RenewLoginToken", fmt.Sprintf(`{"sessionId":%q,"deviceId":%q}`, token, device), "Accept", "application/json")
		answer := s.decode(r)
		if renewed, ok := answer["token"].(string); ok {
			return renewed
		}
		if r.status != 200 || answer["error"].(map[string]any)["errLogMessage"] == "" {
			t.Errorf("%+v", r)
		}
		return ""
	}
	alive := func(token string) bool { return s.ask("GET", "WhoAmI", "", "Authtoken", token).status == 200 }

	first := s.login("admin", "secret", `,"deviceId":"d1"`)["token"].(string)
	if renew(first, "d2") != "" || renew(first, "") != "" {
		t.Error("another device renewed the token")
	}
	second := renew(first, "d1")
	if second == "" || !alive(second) || alive(first) {
		t.Error("renewal of a living token")
	}
	s.RevokeTokens()
	if alive(second) {
		t.Error("a revoked token lives")
	}
	third := renew(second, "d1")
	if third == "" || !alive(third) || renew(second, "d1") != "" {
		t.Error("renewal of a token that idled out")
	}
	active := 0
	for _, row := range s.Sessions() {
		if row.Active() {
			active++
			s.SignOff(row.ID)
		}
	}
	if active != 1 || alive(third) || renew(third, "d1") != "" {
		t.Errorf("%d sessions; a session that was ended comes back by renewal", active)
	}
	if without := s.login("admin", "secret", "")["token"].(string); renew(without, "") != "" {
		t.Error("a login without a device was renewed")
	}
}

func TestLogoutTexts(t *testing.T) {
	s := newSite(t, Settings{})
	token := s.Token(1)
	r := s.ask("POST", "Logout", "", "Authtoken", token)
	if r.status != 200 || r.body != "User logged out" || r.header.Get("Content-Type") != "text/plain" {
		t.Errorf("%+v", r)
	}
	if s.Sessions()[0].Active() {
		t.Error("the session is still on")
	}
	if r := s.ask("POST", "Logout", "", "Authtoken", token); r.body != "Invalid authorization token provided." || s.last().Success {
		t.Errorf("%+v", r)
	}
}

func TestUnauthorizedBodies(t *testing.T) {
	is := map[UnauthorizedBody]func(string) bool{
		UnauthorizedEmpty: func(body string) bool { return body == "" },
		UnauthorizedText:  func(body string) bool { return body == "Invalid authorization token provided." },
		UnauthorizedJSON:  func(body string) bool { return strings.HasPrefix(body, "{") },
		UnauthorizedHTML:  func(body string) bool { return strings.Contains(body, "<html") },
	}
	s := newSite(t, Settings{})
	seen := map[UnauthorizedBody]int{}
	for range 8 {
		r := s.ask("GET", "WhoAmI", "", "Authtoken", "QSDK 3dead")
		for form, matches := range is {
			if r.status == 401 && matches(r.body) {
				seen[form]++
			}
		}
	}
	for form, matches := range is {
		if seen[form] != 2 {
			t.Errorf("%s came %d times in two rounds", form, seen[form])
		}
		s.Configure(func(settings *Settings) { settings.UnauthorizedBody = form })
		for _, headers := range [][]string{nil, {"Authtoken", "QSDK"}, {"Authorization", "Bearer x"}, {"Authtoken", "Bearer "}} {
			if r := s.ask("GET", "Session?userId=1", "", headers...); r.status != 401 || !matches(r.body) {
				t.Errorf("%s with %v: %+v", form, headers, r)
			}
		}
	}
}

func TestAccessTokenRotatesAndReuseKillsTheChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Settings{})
		access, refresh := s.AccessToken(1)
		renew := func(access, refresh string) (status int, newAccess, newRefresh string) {
			r := s.ask("POST", "V4/AccessToken/Renew", fmt.Sprintf(`{"accessToken":%q,"refreshToken":%q}`, access, refresh))
			answer := s.decode(r)
			newAccess, _ = answer["accessToken"].(string)
			newRefresh, _ = answer["refreshToken"].(string)
			if r.status == 200 && int64(answer["tokenExpiryTimestamp"].(float64)) != time.Now().Add(30*time.Minute).Unix() {
				t.Errorf("expiry %v", answer)
			}
			return r.status, newAccess, newRefresh
		}
		alive := func(access string) bool {
			return s.ask("GET", "WhoAmI", "", "Authorization", "Bearer "+access).status == 200
		}
		pass(29 * time.Minute)
		if !alive(access) || s.ask("GET", "WhoAmI", "", "Authtoken", "Bearer "+access).status != 200 {
			t.Error("one of the headers does not do")
		}
		pass(time.Minute) // used or not
		if alive(access) {
			t.Error("lives for more than 30 minutes")
		}
		status, access2, refresh2 := renew(access, refresh)
		if status != 200 || access2 == access || refresh2 == refresh || !alive(access2) {
			t.Fatalf("renewal: %d", status)
		}
		if status, _, _ := renew(access2, refresh); status != 403 || alive(access2) {
			t.Errorf("an old half: %d, alive %v", status, alive(access2))
		}
		if status, _, _ := renew(access2, refresh2); status != 404 {
			t.Errorf("the right pair of a dead chain: %d", status)
		}
		if status, _, _ := renew("x", "y"); status != 404 {
			t.Errorf("an unknown pair: %d", status)
		}
		access, refresh = s.AccessToken(1)
		pass(30*time.Minute + 14*24*time.Hour + time.Second)
		if status, _, _ := renew(access, refresh); status != 403 {
			t.Errorf("after the time of grace: %d", status)
		}
		access, _ = s.AccessToken(1)
		s.RevokeTokens()
		if alive(access) {
			t.Error("a revoked access token lives")
		}
	})
}

func TestAccessTokenIsHeldToItsScope(t *testing.T) {
	s := newSite(t, Settings{})
	access, _ := s.AccessToken(1, "/Session")
	id := s.SignOn(2, ConsoleWeb)
	bearer := []string{"Authorization", "Bearer " + access}
	if r := s.ask("GET", "Session?userId=2", "", bearer...); r.status != 200 || strings.Contains(r.body, "isCurrentSession") {
		t.Errorf("list %+v", r)
	}
	if r := s.ask("DELETE", "Sessions", documentOf(id), bearer...); !success(r) {
		t.Errorf("logoff %+v", r)
	}
	if r := s.ask("GET", "WhoAmI", "", bearer...); r.status != 403 {
		t.Errorf("out of scope: %d", r.status)
	}
}

func TestAccessTokensAreMadeByPeopleOnly(t *testing.T) {
	s := newSite(t, Settings{})
	r := s.ask("POST", "V4/AccessToken", `{"tokenName":"worker","apiEndpoints":["/WhoAmI","/V4"]}`, "Authtoken", s.Token(1))
	info := s.decode(r)["tokenInfo"].(map[string]any)
	access, _ := info["accessToken"].(string)
	if r.status != 200 || info["userId"] != 1.0 || info["refreshToken"] == "" {
		t.Fatalf("%+v", r)
	}
	if r := s.ask("GET", "WhoAmI", "", "Authorization", "Bearer "+access); r.status != 200 {
		t.Errorf("%+v", r)
	}
	if r := s.ask("POST", "V4/AccessToken", `{"tokenName":"another"}`, "Authorization", "Bearer "+access); r.status != 403 {
		t.Errorf("an access token made another: %+v", r)
	}
	if r := s.ask("GET", "Session?userId=1", "", "Authorization", "Bearer "+access); r.status != 403 {
		t.Errorf("out of scope: %d", r.status)
	}
}

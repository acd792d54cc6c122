package simulator

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// control sends a request to the control address.
func (s *site) control(method, path, body string) (status int, answer string) {
	recorder := httptest.NewRecorder()
	s.Control().ServeHTTP(recorder, httptest.NewRequest(method, path, strings.NewReader(body)))
	return recorder.Code, recorder.Body.String()
}

func (s *site) list(path string) (rows []map[string]any) {
	s.t.Helper()
	status, body := s.control("GET", path, "")
	if err := json.Unmarshal([]byte(body), &rows); err != nil || status != 200 {
		s.t.Fatalf("%s: %d, %v, %s", path, status, err, body)
	}
	return rows
}

func TestControlChangesTheNamedSettingsOnly(t *testing.T) {
	s := newSite(t, Settings{Partial: PartialStop, LatencyFixed: time.Nanosecond})
	id := s.SignOn(2, ConsoleWeb)
	status, body := s.control("PUT", "/settings", `{"ended":"ignore","latencyFixed":"2ns","badIDs":{"`+strings.ToLower(id)+`":413}}`)
	if status != 200 || !strings.Contains(body, `"latencyFixed": "2ns"`) || !strings.Contains(body, `"partial": "stop"`) || !strings.Contains(body, `"ended": "ignore"`) {
		t.Errorf("%d %s", status, body)
	}
	if r := s.logoff(s.Token(1), id); r.status != 413 {
		t.Errorf("%+v", r)
	}
	for _, bad := range []string{`{"ended":"sometimes"}`, `{"endet":"500"}`, `{"latencyFixed":5}`, `{"latencyFixed":"-5s"}`, `{"badIDs":{"x":1}}`, `{`, ``, `[]`} {
		if status, body := s.control("PUT", "/settings", bad); status != 400 || body == "" {
			t.Errorf("%s: %d %s", bad, status, body)
		}
	}
	if status, body := s.control("PATCH", "/settings", `{"badIDs":null}`); status != 200 || !strings.Contains(body, `"ended": "ignore"`) || strings.Contains(body, "413") {
		t.Errorf("%d %s", status, body)
	}
}

func TestControlShowsAndMakesSessionsAndUsers(t *testing.T) {
	s := newSite(t, Settings{})
	if status, body := s.control("POST", "/users", `{"login":"eve","password":"e","administrator":true}`); status != 200 || !strings.Contains(body, `"id": 4`) {
		t.Errorf("%d %s", status, body)
	}
	if users := s.list("/users"); len(users) != 4 || users[3]["login"] != "eve" || users[3]["administrator"] != true || users[3]["password"] != nil {
		t.Errorf("%v", users)
	}
	if status, _ := s.control("POST", "/users", `{"login":"EVE"}`); status != 409 {
		t.Errorf("a second eve: %d", status)
	}
	if status, body := s.control("PUT", "/users/4", `{"disabled":true,"email":"eve@corp.example"}`); status != 204 {
		t.Errorf("%d %s", status, body)
	}
	if eve := s.Users()[3]; !eve.Disabled || eve.Email != "eve@corp.example" || eve.Login != "eve" || !eve.Administrator {
		t.Errorf("%+v", eve)
	}
	for path, body := range map[string]string{"/users/99": `{}`, "/users/4": `{"login":"bob"}`, "/users/3": `{"nonsense":1}`} {
		if status, _ := s.control("PUT", path, body); status != 409 {
			t.Errorf("%s %s: %d", path, body, status)
		}
	}
	status, body := s.control("POST", "/sessions", `{"userId":4,"console":5,"count":2}`)
	var ids []string
	if err := json.Unmarshal([]byte(body), &ids); err != nil || status != 200 || len(ids) != 2 || !strings.HasPrefix(ids[0], "EMC") {
		t.Fatalf("%d %s", status, body)
	}
	if status, _ := s.control("POST", "/sessions", `{"userId":99}`); status != 404 {
		t.Errorf("nobody signed on: %d", status)
	}
	if status, _ := s.control("DELETE", "/sessions/"+ids[0], ""); status != 204 {
		t.Errorf("sign off: %d", status)
	}
	if status, _ := s.control("DELETE", "/sessions/x", ""); status != 404 {
		t.Errorf("sign off of nothing: %d", status)
	}
	s.SignOn(2, ConsoleWeb)
	if all, on, hers := s.list("/sessions"), s.list("/sessions?active=true"), s.list("/sessions?user=4"); len(all) != 3 || len(on) != 2 || len(hers) != 2 || on[0]["id"] != ids[1] || on[0]["logoutTime"] != nil || all[2]["id"] != ids[0] || all[2]["logoutTime"] == nil {
		t.Errorf("%v\n%v\n%v", all, on, hers)
	}
}

func TestControlJournalHidesSecrets(t *testing.T) {
	s := newSite(t, Settings{})
	token := s.login("admin", "secret", `,"deviceId":"d"`)["token"].(string)
	access, refresh := s.AccessToken(1)
	ids := s.SignOnMany(2, 1)
	s.logoff(token, ids...)
	s.ask("GET", "WhoAmI", "", "Authorization", "Bearer "+access)
	s.ask("POST", "RenewLoginToken", `{"sessionId":"`+token+`","deviceId":"d"}`)
	s.ask("POST", "V4/AccessToken/Renew", `{"accessToken":"`+access+`","refreshToken":"`+refresh+`"}`)
	s.ask("POST", "Nowhere", token)
	s.ask("GET", "WhoAmI?token="+access, "")
	s.ask("GET", "Session?userId=2", "", "Authtoken", token)
	_, everything := s.control("GET", "/journal", "")
	for _, secret := range []string{token[5:30], access, refresh, "c2VjcmV0"} {
		if strings.Contains(everything, secret) {
			t.Errorf("%q is in the journal", secret)
		}
	}
	logoffs := s.list("/journal?op=logoff")
	if len(logoffs) != 1 || logoffs[0]["body"] != documentOf(ids...) || fmt.Sprint(logoffs[0]["applied"]) != fmt.Sprint(ids) || logoffs[0]["success"] != true {
		t.Errorf("%v", logoffs)
	}
	if header := logoffs[0]["header"].(map[string]any); fmt.Sprint(header["Authtoken"]) != "[(redacted)]" {
		t.Errorf("%v", header)
	}
	if reads := s.list("/journal?op=session"); len(reads) != 1 || reads[0]["query"] != "userId=2" {
		t.Errorf("%v", reads)
	}
	if since := s.list("/journal?since=4"); len(since) != 4 || since[0]["number"] != 5.0 {
		t.Errorf("%v", since)
	}
	if first := s.list("/journal?since=4&limit=1"); len(first) != 1 || first[0]["number"] != 5.0 {
		t.Errorf("%v", first)
	}
	for _, wrong := range []string{"since=x", "limit=x"} {
		if status, _ := s.control("GET", "/journal?"+wrong, ""); status != 400 {
			t.Errorf("%s: %d", wrong, status)
		}
	}
	if s.control("DELETE", "/journal", ""); len(s.list("/journal")) != 0 {
		t.Error("the journal is not empty")
	}
	if s.Journal(); s.Count("login") != 1 {
		t.Error("the counts are gone")
	}
}

func TestControlQueuesFaults(t *testing.T) {
	s := newSite(t, Settings{})
	token := s.Token(1)
	for _, kind := range []string{
		"status", "answer", "throttle", "reset", "hang", "page", "empty", "cutoff", "errorbody", "redirect", "slow", "endless", "gzipbomb", "doctype", "generic500",
	} {
		if status, body := s.control("POST", "/faults", `{"fault":"`+kind+`"}`); status != 200 {
			t.Errorf("%s: %d %s", kind, status, body)
		}
	}
	if status, _ := s.control("DELETE", "/faults", ""); status != 204 || !success(s.logoff(token)) {
		t.Error("the faults are still there")
	}
	ids := s.SignOnMany(2, 1)
	s.control("POST", "/faults", `{"fault":"status","status":502,"applied":true}`)
	s.control("POST", "/faults", `{"fault":"answer","status":207,"contentType":"text/x","body":"so","op":"whoami","count":2}`)
	if r := s.logoff(token, ids...); r.status != 502 {
		t.Errorf("%+v", r)
	}
	s.wantAlive(ids, false)
	for _, want := range []int{207, 207, 200} {
		if r := s.ask("GET", "WhoAmI", "", "Authtoken", token); r.status != want {
			t.Errorf("%d, want %d", r.status, want)
		}
	}
	s.control("POST", "/faults", `{"fault":"page","rate":1}`)
	if r := s.logoff(token); success(r) {
		t.Error("a rate of 1 let one through")
	}
	for _, bad := range []string{`{}`, `{"fault":"nothing"}`, `{"fault":"status","status":99}`, `{"fault":"page","count":0}`, `{"fault":"page","op":"x"}`, `{"fault":"page","rate":2}`} {
		if status, body := s.control("POST", "/faults", bad); status != 400 || body == "" {
			t.Errorf("%s: %d", bad, status)
		}
	}
}

func TestControlHelpsAndRevokes(t *testing.T) {
	s := newSite(t, Settings{})
	if status, help := s.control("GET", "/", ""); status != 200 || !strings.Contains(help, "seed 1") || !strings.Contains(help, "/journal") {
		t.Errorf("%d %s", status, help)
	}
	if status, _ := s.control("GET", "/elsewhere", ""); status != 404 {
		t.Errorf("%d", status)
	}
	token := s.Token(1)
	access, _ := s.AccessToken(1)
	whoAmI := func() int { return s.ask("GET", "WhoAmI", "", "Authorization", "Bearer "+access).status }
	s.control("POST", "/logins/revoke", "")
	if r, status := s.logoff(token), whoAmI(); r.status != 401 || status != 200 {
		t.Errorf("%+v, %d", r, status)
	}
	token = s.Token(1)
	s.control("POST", "/tokens/revoke", "")
	if r, status := s.logoff(token), whoAmI(); r.status != 401 || status != 401 {
		t.Errorf("%+v, %d", r, status)
	}
}

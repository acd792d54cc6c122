package simulator

import (
	"fmt"
	"strings"
	"testing"
)

func TestLogoffEndsSessionsOfAllConsoles(t *testing.T) {
	s := newSite(t, Settings{})
	token := s.Token(1)
	ids := []string{
		s.SignOn(2, ConsoleCommCell), s.SignOn(2, ConsoleWeb),
		s.SignOn(3, ConsoleCommandLine), s.SignOn(3, ConsoleAPI), s.SignOn(3, ConsoleWeb),
	}
	r := s.logoff(token, ids[0], strings.ToLower(ids[1]), ids[2])
	if !success(r) || !strings.HasPrefix(r.header.Get("Content-Type"), "application/xml") {
		t.Errorf("XML: %+v", r)
	}
	s.wantAlive(ids, false, false, false, true, true)
	if !strings.HasPrefix(ids[0], "EMC") || len(ids[0]) != 39 || len(ids[1]) != 36 {
		t.Errorf("IDs %s and %s", ids[0], ids[1])
	}
	r = s.ask("DELETE", "sessions", `{"sessions":["`+ids[3]+`"]}`, "Authtoken", token, "Accept", "application/json", "Content-Type", "application/json")
	if r.status != 200 || r.body != "{\r\r}" {
		t.Errorf("JSON: %+v", r)
	}
	s.wantAlive(ids, false, false, false, false, true)
	if request := s.last(); !request.Success || fmt.Sprint(request.Applied) != fmt.Sprint(ids[3:4]) {
		t.Errorf("journal %+v", request)
	}
}

func TestDeclarationComesSometimes(t *testing.T) {
	s := newSite(t, Settings{})
	token := s.Token(1)
	declared := 0
	for range 40 {
		if strings.HasPrefix(s.logoff(token).body, "<?xml ") {
			declared++
		}
	}
	if declared == 0 || declared == 40 {
		t.Errorf("%d of 40 answers have a declaration", declared)
	}
}

func TestOwnSessionCanBeEnded(t *testing.T) {
	s := newSite(t, Settings{})
	token := s.Token(1)
	own := s.Sessions()[0].ID
	if r := s.logoff(token, own); !success(r) {
		t.Fatalf("%+v", r)
	}
	if r := s.logoff(token); r.status != 401 {
		t.Errorf("the token of an ended session gets %d", r.status)
	}
	if r := s.ask("GET", "WhoAmI", "", "Authtoken", token); r.status != 401 {
		t.Errorf("WhoAmI gets %d", r.status)
	}
}

func TestUnreadableDocumentIsRefused(t *testing.T) {
	s := newSite(t, Settings{})
	token, id := s.Token(1), s.SignOn(2, ConsoleWeb)
	element := `<sessions val="` + id + `"/>`
	for _, body := range []string{
		"<Api_LogonUsersRequest>" + element + "</Api_LogonUsersRequest>",
		"<Api_LogoffUsersRequest>" + element,
		"<Api_LogoffUsersRequest>" + element + "text</Api_LogoffUsersRequest>",
		"<Api_LogoffUsersRequest>" + element + "</Api_LogoffUsersRequest><more/>",
		`<!DOCTYPE x><Api_LogoffUsersRequest>` + element + "</Api_LogoffUsersRequest>",
		`<Api_LogoffUsersRequest><session val="` + id + `"/></Api_LogoffUsersRequest>`,
		`<Api_LogoffUsersRequest><sessions id="` + id + `"/></Api_LogoffUsersRequest>`,
		`<Api_LogoffUsersRequest><sessions val="` + id + `">` + element + `</sessions></Api_LogoffUsersRequest>`,
		`{"session":["` + id + `"]}`,
		`{"sessions":[{"val":"` + id + `"}]}`,
		`{"sessions":["` + id + `"]}{}`,
		"sessions=" + id,
	} {
		if r := s.ask("DELETE", "Sessions", body, "Authtoken", token); r.status != 400 {
			t.Errorf("%s: %d", body, r.status)
		}
	}
	s.wantAlive([]string{id}, true)
}

func TestEmptyDocumentSucceedsWithoutEffect(t *testing.T) {
	s := newSite(t, Settings{})
	token, id := s.Token(1), s.SignOn(2, ConsoleWeb)
	for _, body := range []string{"", "<Api_LogoffUsersRequest/>", "\xEF\xBB\xBF<Api_LogoffUsersRequest> </Api_LogoffUsersRequest>"} {
		if r := s.ask("DELETE", "Sessions", body, "Authtoken", token); !success(r) {
			t.Errorf("%q: %+v", body, r)
		}
	}
	s.wantAlive([]string{id}, true)
}

// Each way to answer a bad ID, with each way to treat the good ones beside it.
func TestEndedAndPartialSwitches(t *testing.T) {
	answers := map[Ended]func(received) bool{
		"":          isGeneric500,
		Ended500:    isGeneric500,
		EndedIgnore: success,
		EndedError: func(r received) bool {
			return r.status == 200 && !success(r) && strings.Contains(r.body, `errorCode="616"`)
		},
	}
	left := map[Partial][]bool{
		"": {false, false}, PartialApply: {false, false}, PartialAtomic: {true, true}, PartialStop: {false, true},
	}
	for ended, right := range answers {
		for partial, alive := range left {
			for _, bad := range []string{"ended", "unknown", "twice"} {
				t.Run(fmt.Sprintf("%s/%s/%s", ended, partial, bad), func(t *testing.T) {
					s := newSite(t, Settings{Ended: ended, Partial: partial})
					ids := s.SignOnMany(2, 3)
					token, badID := s.Token(1), ids[2]
					switch bad {
					case "ended":
						s.SignOff(badID)
					case "unknown":
						badID = "00000000-0000-0000-0000-000000000000"
					case "twice":
						badID = strings.ToLower(ids[0])
					}
					if r := s.logoff(token, ids[0], badID, ids[1]); !right(r) {
						t.Errorf("answer %+v", r)
					}
					if ended == EndedIgnore {
						alive = []bool{false, false}
					}
					s.wantAlive(ids[:2], alive...)
				})
			}
		}
	}
}

func isGeneric500(r received) bool {
	return r.status == 500 && strings.Contains(r.body, `errorMessage="Something is not right. Please check web service logs for details"`)
}

func TestCaptured500IsReproducedToTheByte(t *testing.T) {
	s := newSite(t, Settings{})
	r := s.ask("DELETE", "Sessions", `{"sessions":["x"]}`, "Authtoken", s.Token(1), "Accept", "application/json")
	if r.status != 500 || len(r.body) != 114 || r.header.Get("Content-Length") != "114" || r.header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("%d, %d bytes, %v", r.status, len(r.body), r.header)
	}
	if got := strings.ReplaceAll(r.body, "\r", ""); got != `{"error":{"errorMessage":"Something is not right. Please check web service logs for details","errorCode":500}}` {
		t.Errorf("%q", r.body)
	}
}

func TestExplicitBadIDsFailTheirDocument(t *testing.T) {
	for status, alive := range map[int]bool{400: true, 413: true, 500: false, 503: false} {
		s := newSite(t, Settings{})
		token, ids := s.Token(1), s.SignOnMany(2, 2)
		s.Configure(func(settings *Settings) { settings.BadIDs = map[string]int{strings.ToLower(ids[1]): status} })
		if r := s.logoff(token, ids...); r.status != status {
			t.Errorf("%d: answer %+v", status, r)
		}
		s.wantAlive(ids, alive, true)
		s.Configure(func(settings *Settings) { settings.BadIDs = nil; settings.Ended = EndedIgnore })
		if r := s.logoff(token, ids...); !success(r) {
			t.Errorf("%d: afterwards %+v", status, r)
		}
	}
}

func TestOtherPeopleNeedTheRight(t *testing.T) {
	for setting, want := range map[NoPermission]struct{ list, logoff int }{"": {403, 403}, NoPermissionError: {200, 200}, NoPermissionEmpty: {200, 500}} {
		s := newSite(t, Settings{NoPermission: setting})
		token, other, own := s.Token(3), s.SignOn(2, ConsoleWeb), s.SignOn(3, ConsoleWeb)
		list := s.ask("GET", "Session?userId=2", "", "Authtoken", token, "Accept", "application/json")
		if list.status != want.list || strings.Contains(list.body, other) || s.last().Success != (setting == NoPermissionEmpty) {
			t.Errorf("%q: list %+v", setting, list)
		}
		if r := s.logoff(token, other); r.status != want.logoff || success(r) {
			t.Errorf("%q: logoff %+v", setting, r)
		}
		s.wantAlive([]string{other, own}, true, true)
		if list := s.ask("GET", "Session?userId=3", "", "Authtoken", token); !strings.Contains(list.body, own) {
			t.Errorf("%q: own list %+v", setting, list)
		}
		if r := s.logoff(token, own); !success(r) {
			t.Errorf("%q: own logoff %+v", setting, r)
		}
	}
}

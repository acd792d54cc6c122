package simulator

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// newOffice is a site with people to look up.
func newOffice(t *testing.T, settings Settings) *site {
	t.Helper()
	s := newSite(t, settings)
	s.AddUser(User{ID: 4, Login: `CORP\Miles.O'Brien`, Display: "Miles O'Brien", Email: "Miles@corp.example", UPN: "obrien@ad.example", Company: "Corp", CompanyID: 9})
	s.AddUser(User{ID: 5, Login: "keiko", Display: "Keiko O'Brien", Email: "keiko@corp.example", Disabled: true})
	return s
}

// asJSON asks as user 1 and decodes the answer.
func (s *site) asJSON(path string, headers ...string) (status int, answer map[string]any) {
	s.t.Helper()
	r := s.ask("GET", path, "", append([]string{"Authtoken", s.Token(1), "Accept", "application/json"}, headers...)...)
	return r.status, s.decode(r)
}

// ids are the userIds in an answer of either kind.
func ids(answer map[string]any) string {
	list := []any{}
	users, _ := answer["users"].([]any)
	for _, row := range users {
		row := row.(map[string]any)
		if entity, old := row["userEntity"].(map[string]any); old {
			row = map[string]any{"id": entity["userId"]}
		}
		list = append(list, row["id"])
	}
	return fmt.Sprint(list)
}

func byName(name string) string {
	return "User/byName(userName='" + url.PathEscape(strings.ReplaceAll(name, "'", "''")) + "')"
}

func TestUserIsFoundByName(t *testing.T) {
	s := newOffice(t, Settings{})
	for name, want := range map[string]string{
		"admin": "[1]", "ADMIN": "[1]", `CORP\jane`: "[2]", `corp\miles.o'brien`: "[4]", "keiko": "[5]", "Administrator": "[]", "jane": "[]",
	} {
		status, answer := s.asJSON(byName(name))
		if status != 200 || ids(answer) != want {
			t.Errorf("%s: %d %v", name, status, answer)
		}
		if want == "[]" && answer["errorCode"] != -1.0 {
			t.Errorf("%s: %v", name, answer)
		}
	}
	r := s.ask("GET", byName("nobody"), "", "Authtoken", s.Token(1))
	var root struct {
		Code int `xml:"errorCode,attr"`
	}
	if err := xml.Unmarshal([]byte(r.body), &root); err != nil || root.Code != -1 || r.status != 200 {
		t.Errorf("unknown name in XML: %v, %+v", err, r)
	}
	if r := s.ask("GET", "user/BYNAME(username='keiko')", "", "Authtoken", s.Token(1)); !strings.Contains(r.body, `<App_GetUserPropertiesResponse>`) || !strings.Contains(r.body, ` userId="5"`) {
		t.Errorf("XML: %+v", r)
	}
	if r := s.ask("GET", `User/byName(userName='CORP%5CMiles.O'Brien')`, "", "Authtoken", s.Token(1)); r.status != 400 {
		t.Errorf("a single quote that is not doubled: %+v", r)
	}
}

func TestOldUserListHasWhatItsLevelSays(t *testing.T) {
	s := newOffice(t, Settings{})
	s.SignOn(5, ConsoleWeb)
	_, answer := s.asJSON("User?level=10")
	if ids(answer) != "[1 2 3 4 5]" {
		t.Fatalf("%v", answer)
	}
	rows := answer["users"].([]any)
	miles, keiko := rows[3].(map[string]any), rows[4].(map[string]any)
	if miles["email"] != "Miles@corp.example" || miles["UPN"] != "obrien@ad.example" || miles["fullName"] != "Miles O'Brien" || miles["companyName"] != "Corp" ||
		miles["enableUser"] != true || miles["lastLogIntime"] != 0.0 || keiko["enableUser"] != false || keiko["lastLogIntime"] == 0.0 || keiko["companyName"] != "Commcell" {
		t.Errorf("%v\n%v", miles, keiko)
	}
	if entity := miles["userEntity"].(map[string]any); entity["userName"] != `corp\miles.o'brien` || len(entity["userGUID"].(string)) != 36 {
		t.Errorf("%v", entity)
	}
	_, answer = s.asJSON("User")
	if _, has := answer["users"].([]any)[3].(map[string]any)["email"]; has || ids(answer) != "[1 2 3 4 5]" {
		t.Errorf("without a level: %v", answer)
	}
	if r := s.ask("GET", "User?level=10", "", "Authtoken", s.Token(1)); strings.Count(r.body, "<users ") != 5 || !strings.Contains(r.body, ` email="Miles@corp.example"`) {
		t.Errorf("XML: %s", r.body)
	}
	if status, answer := s.asJSON("User/4"); status != 200 || ids(answer) != "[4]" || answer["users"].([]any)[0].(map[string]any)["email"] != "Miles@corp.example" {
		t.Errorf("%v", answer)
	}
	if _, answer := s.asJSON("User/77"); answer["errorCode"] != -1.0 {
		t.Errorf("%v", answer)
	}
	if r := s.ask("GET", "User/x", "", "Authtoken", s.Token(1)); r.status != 404 {
		t.Errorf("%+v", r)
	}
}

func TestV4UsersAreAsDocumented(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newOffice(t, Settings{LockoutAfter: 1})
		s.login("bob", "wrong", "")
		s.ChangeUser(4, func(u *User) { u.GUID = "G" })
		_, answer := s.asJSON("V4/user")
		if answer["numberOfUsers"] != 5.0 || ids(answer) != "[1 2 3 4 5]" {
			t.Fatalf("%v", answer)
		}
		miles := answer["users"].([]any)[3].(map[string]any)
		want := map[string]any{
			"id": 4.0, "name": `CORP\Miles.O'Brien`, "fullName": "Miles O'Brien", "email": "Miles@corp.example", "GUID": "G", "enabled": true,
			"userPrincipalName": "obrien@ad.example", "lockInfo": map[string]any{"isLocked": false, "startTime": 0.0, "endTime": 0.0},
			"company": map[string]any{"id": 9.0, "name": "Corp"},
		}
		if fmt.Sprint(miles) != fmt.Sprint(want) {
			t.Errorf("%v\n%v", miles, want)
		}
		now := float64(time.Now().Unix())
		_, bob := s.asJSON("V4/user/3")
		if lock := bob["lockInfo"].(map[string]any); lock["isLocked"] != true || lock["startTime"] != now || lock["endTime"] != now+24*3600 {
			t.Errorf("%v", bob)
		}
		if bob["lastLoggedIn"] != 0.0 || bob["authenticationMethod"] != "LOCAL" || bob["name"] != "bob" {
			t.Errorf("%v", bob)
		}
		if _, admin := s.asJSON("V4/user/1"); admin["lastLoggedIn"] != now || admin["fullName"] != "Administrator" || admin["name"] != "admin" {
			t.Errorf("%v", admin)
		}
		if status, answer := s.asJSON("V4/user/77"); status != 404 || answer["errorMessage"] == "" {
			t.Errorf("%d %v", status, answer)
		}
	})
}

func TestUserListsTakeFiltersAndPages(t *testing.T) {
	s := newOffice(t, Settings{})
	for query, want := range map[string]string{
		"fq=users.UPN:eq:OBRIEN@ad.example":                                   "[4]",
		"fq=users.email:eq:keiko%40corp.example":                              "[5]",
		"fq=users.email:contains:@corp&fq=users.enableUser:eq:true":           "[1 4]",
		"fq=users.email:notContain:corp":                                      "[2 3]",
		"fq=users.userEntity.userName:neq:admin&start=1&limit=2":              "[3 4]",
		"start=4&limit=100":                                                   "[5]",
		"start=9&limit=100":                                                   "[]",
		"sort=users.userEntity.userName:1&limit=2":                            "[1 3]",
		"sort=users.fullName:-1&limit=2&hardRefresh=true&fl=users.userEntity": "[4 5]",
		"fq=users.nonsense:eq:x":                                              "[1 2 3 4 5]",
		"fq=name:eq:keiko":                                                    "[1 2 3 4 5]",
	} {
		for _, path := range []string{"User?", "V4/user?"} {
			if status, answer := s.asJSON(path + query); status != 200 || ids(answer) != want {
				t.Errorf("%s%s: %s, want %s", path, query, ids(answer), want)
			}
		}
	}
	if _, answer := s.asJSON("User?fq=name:eq:Keiko", "mode", "EdgeMode"); ids(answer) != "[5]" {
		t.Errorf("EdgeMode: %v", answer)
	}
	_, old := s.asJSON("User?fq=users.email:contains:corp&limit=1")
	_, v4 := s.asJSON("V4/user?fq=users.email:contains:corp&limit=1")
	if old["filterQueryCount"] != 3.0 || v4["numberOfUsers"] != 3.0 || ids(old) != "[1]" || ids(v4) != "[1]" {
		t.Errorf("%v\n%v", old, v4)
	}
	s.Configure(func(settings *Settings) { settings.UserListLimit = 2 })
	if _, answer := s.asJSON("V4/user"); ids(answer) != "[1 2]" || answer["numberOfUsers"] != 5.0 {
		t.Errorf("with a limit of the server's: %v", answer)
	}
	if _, answer := s.asJSON("V4/user?limit=4"); ids(answer) != "[1 2 3 4]" {
		t.Errorf("with one's own: %v", answer)
	}
}

func TestUserNamesAreSpelledAsSet(t *testing.T) {
	for form, want := range map[UserNames][3]string{
		"":               {`corp\miles.o'brien`, "Miles O'Brien", `CORP\Miles.O'Brien`},
		UserNamesLogin:   {`CORP\Miles.O'Brien`, `CORP\Miles.O'Brien`, `CORP\Miles.O'Brien`},
		UserNamesLower:   {`corp\miles.o'brien`, `corp\miles.o'brien`, `corp\miles.o'brien`},
		UserNamesDisplay: {"Miles O'Brien", "Miles O'Brien", "Miles O'Brien"},
	} {
		s := newOffice(t, Settings{UserNames: form})
		_, list := s.asJSON("User?fq=users.upn:eq:obrien@ad.example")
		_, detail := s.asJSON("User/4")
		_, v4 := s.asJSON("V4/user/4")
		name := func(answer map[string]any) any {
			return answer["users"].([]any)[0].(map[string]any)["userEntity"].(map[string]any)["userName"]
		}
		if got := [3]string{fmt.Sprint(name(list)), fmt.Sprint(name(detail)), fmt.Sprint(v4["name"])}; got != want {
			t.Errorf("%q: %q", form, got)
		}
	}
}

func TestBackslashInAPathMayNotArrive(t *testing.T) {
	for setting, want := range map[PathBackslash][2]int{"": {200, 2}, PathBackslash400: {400, 0}, PathBackslashSlash: {200, 0}} {
		s := newOffice(t, Settings{PathBackslash: setting})
		r := s.ask("GET", byName(`CORP\jane`), "", "Authtoken", s.Token(1))
		if found := strings.Contains(r.body, ` userId="2"`); r.status != want[0] || found != (want[1] == 2) {
			t.Errorf("%q: %+v", setting, r)
		}
		if r := s.ask("GET", byName("keiko"), "", "Authtoken", s.Token(1)); r.status != 200 || !strings.Contains(r.body, ` userId="5"`) {
			t.Errorf("%q, without a backslash: %+v", setting, r)
		}
	}
}

func TestVersionsLackSomeCalls(t *testing.T) {
	s := newOffice(t, Settings{})
	token := s.Token(1)
	everything := []string{"User", "User/4", byName("keiko"), "V4/user", "V4/user/4", "Session?userId=4", "Sessions?userId=4"}
	for name, test := range map[string]struct {
		change func(*Settings)
		gone   []string
	}{
		"all there":   {func(*Settings) {}, nil},
		"no V4":       {func(s *Settings) { s.NoV4Users = true }, everything[3:5]},
		"no old ones": {func(s *Settings) { s.NoOldUsers = true }, everything[:3]},
		"plural":      {func(s *Settings) { s.SessionPath = SessionPathPlural }, everything[5:6]},
		"singular":    {func(s *Settings) { s.SessionPath = SessionPathSingular }, everything[6:]},
	} {
		s.Configure(func(settings *Settings) { *settings = Settings{}; test.change(settings) })
		for _, path := range everything {
			want := http.StatusOK
			for _, gone := range test.gone {
				if path == gone {
					want = http.StatusNotFound
				}
			}
			if r := s.ask("GET", path, "", "Authtoken", token); r.status != want {
				t.Errorf("%s, %s: %d, want %d", name, path, r.status, want)
			}
		}
		if r := s.logoff(token); !success(r) {
			t.Errorf("%s: a logoff answers %+v", name, r)
		}
	}
}

func TestWithoutTheRightOneSeesOnlyOneself(t *testing.T) {
	for setting, status := range map[NoPermission]int{"": 403, NoPermissionError: 200, NoPermissionEmpty: 200} {
		s := newOffice(t, Settings{NoPermission: setting})
		jane := []string{"Authtoken", s.Token(2), "Accept", "application/json"}
		for _, path := range []string{"User?level=10", "User/2", byName(`CORP\jane`), "V4/user", "User?fq=users.fullName:contains:jane"} {
			if r := s.ask("GET", path, "", jane...); r.status != 200 || ids(s.decode(r)) != "[2]" {
				t.Errorf("%q, %s: %+v", setting, path, r)
			}
		}
		if r := s.ask("GET", "V4/user/2", "", jane...); r.status != 200 || s.decode(r)["id"] != 2.0 {
			t.Errorf("%q: %+v", setting, r)
		}
		for _, path := range []string{"User/4", byName("keiko"), byName("nobody"), "V4/user/4"} {
			want := status
			if setting == NoPermissionEmpty && path == "V4/user/4" {
				want = 404
			}
			r := s.ask("GET", path, "", jane...)
			if r.status != want || strings.Contains(r.body, "Brien") || s.last().Success {
				t.Errorf("%q, %s: %+v", setting, path, r)
			}
		}
		if r := s.ask("GET", "User", ""); r.status != 401 {
			t.Errorf("without a token: %d", r.status)
		}
	}
}

func TestUsersChange(t *testing.T) {
	s := newOffice(t, Settings{})
	id := s.SignOn(3, ConsoleWeb)
	s.ChangeUser(3, func(u *User) { u.Login, u.Disabled = "robert", true })
	if s.login("bob", "b", "")["token"] != nil || s.login("robert", "b", "")["token"] != nil {
		t.Error("a disabled user logged in")
	}
	s.wantAlive([]string{id}, true)
	s.ChangeUser(3, func(u *User) { u.Disabled = false })
	if s.login("robert", "b", "")["token"] == nil || s.login("bob", "b", "")["token"] != nil {
		t.Error("the new name is not the login")
	}
	s.ChangeUser(3, func(u *User) { u.LockedUntil = time.Now().Add(time.Hour) })
	if answer := s.login("robert", "b", ""); answer["token"] != nil || answer["isAccountLocked"] != true {
		t.Errorf("%v", answer)
	}
	s.ChangeUser(3, func(u *User) { u.Email, u.LockedUntil = "root@corp.example", time.Time{} })
	if s.login("root@corp.example", "secret", "")["token"] != nil {
		t.Error("an e-mail of two people logs one of them in")
	}
	for name, change := range map[string]func(*User) error{
		"another ID": func(u *User) error { u.ID = 9; return nil }, "a taken login": func(u *User) error { u.Login = "ADMIN"; return nil },
		"no login": func(u *User) error { u.Login = ""; return nil },
	} {
		if err := s.changeUser(3, change); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if err := s.changeUser(99, func(*User) error { return nil }); err == nil {
		t.Error("nobody was changed")
	}
}

func TestNumbersCanArriveAsText(t *testing.T) {
	s := newSite(t, Settings{NumbersAsText: true})
	s.SignOn(2, ConsoleWeb)
	_, list := s.asJSON("Session?userId=2")
	row := list["sessions"].([]any)[0].(map[string]any)
	if row["user"].(map[string]any)["userId"] != "2" || row["consoleType"] != "19" || row["logoutTime"] != "0" {
		t.Errorf("%v", row)
	}
	if _, v4 := s.asJSON("V4/user/2"); v4["id"] != "2" || v4["enabled"] != true {
		t.Errorf("%v", v4)
	}
}

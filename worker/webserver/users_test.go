package webserver

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// The shapes of the calls, newer and older, as the reference has them.
const (
	v4Jane = `{"id":7,"name":"CORP\\jane","fullName":"Jane Doe","email":"Jane@corp.example","GUID":"A","enabled":true,` +
		`"userPrincipalName":"jane.doe@corp.example","lockInfo":{"isLocked":false},"company":{"id":3,"name":"Corp"}}`
	v4Max = `{"id":8,"name":"max","fullName":"","email":"","GUID":"B","enabled":false,"userPrincipalName":"JANE@corp.example","company":{"id":3,"name":"Corp"}}`

	oldJane = "{\r\"removeOtherActiveSessions\":false,\"email\":\"Jane@corp.example\",\"UPN\":\"jane.doe@corp.example\",\"enableUser\":true," +
		"\"idleTime\":0,\"userEntity\":{\r\"userGUID\":\"A\",\"userName\":\"CORP\\\\jane\",\"userId\":7\r}\r}"
	oldMax = `{"email":"","UPN":"JANE@corp.example","enableUser":false,"userEntity":{"userName":"max","userId":8}}`

	unknownUser = `<App_GetUserPropertiesResponse errorCode="-1" errorMessage=""/>`
)

var (
	jane   = User{ID: 7, Name: `CORP\jane`, Email: "Jane@corp.example", UPN: "jane.doe@corp.example", Enabled: true}
	maxine = User{ID: 8, Name: "max", UPN: "JANE@corp.example"}
)

// plain is a user without what only some of the calls tell.
func plain(u User) User {
	u.Full, u.Company = "", ""
	return u
}

func plainly(users []User) []User {
	for i := range users {
		users[i] = plain(users[i])
	}
	return users
}

func v4List(users ...string) string {
	return fmt.Sprintf(`{"numberOfUsers":%d,"users":[%s]}`, len(users), strings.Join(users, ","))
}

func oldList(users ...string) string { return "{\r\"users\":[\r" + strings.Join(users, ",") + "\r]\r}" }

// A calls is a set of handlers for the calls that look users up.
type calls struct{ v4ID, oldID, byName, v4List, oldList http.HandlerFunc }

// directory is a site with the calls; one that is nil answers as a path that is not there.
func directory(t testing.TB, c calls) *site {
	none := says(404, wcfPage)
	pick := func(handler http.HandlerFunc) http.HandlerFunc {
		if handler == nil {
			return none
		}
		return handler
	}
	by := func(w http.ResponseWriter, r *http.Request) {
		path := strings.TrimPrefix(r.URL.Path, "/commandcenter/api")
		switch {
		case path == "/V4/user":
			pick(c.v4List)(w, r)
		case strings.HasPrefix(path, "/V4/user/"):
			pick(c.v4ID)(w, r)
		case path == "/User":
			pick(c.oldList)(w, r)
		case strings.HasPrefix(path, "/User/byName("):
			pick(c.byName)(w, r)
		case strings.HasPrefix(path, "/User/"):
			pick(c.oldID)(w, r)
		}
	}
	return serveAll(t, by)
}

// asked are the paths of the requests that a site received.
func (s *site) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var paths []string
	for _, r := range s.requests {
		paths = append(paths, strings.TrimPrefix(r.URL.RequestURI(), "/commandcenter/api"))
	}
	return paths
}

func TestUserByIDInEveryForm(t *testing.T) {
	for name, c := range map[string]calls{
		"V4":             {v4ID: says(200, v4Jane)},
		"V4, wrapped":    {v4ID: says(200, `{"user":`+v4Jane+`}`)},
		"V4, listed":     {v4ID: says(200, v4List(v4Jane))},
		"old":            {oldID: says(200, oldList(oldJane))},
		"old, strings":   {oldID: says(200, strings.NewReplacer(`"userId":7`, `"userId":"7"`, `"enableUser":true`, `"enableUser":"1"`).Replace(oldList(oldJane)))},
		"users in users": {oldID: says(200, oldList(strings.Replace(oldJane, "{", `{"users":[{"userId":8}],`, 1)))},
		"old, V10":       {oldID: says(200, `{"App_GetUserPropertiesResponse":{"users":{"@email":"Jane@corp.example","@UPN":"jane.doe@corp.example","@enableUser":"1","userEntity":{"@userId":"7","@userName":"CORP\\jane"}}}}`)},
		"old, XML": {oldID: says(200, `<?xml version="1.0"?><App_GetUserPropertiesResponse><users email="Jane@corp.example" UPN="jane.doe@corp.example" enableUser="1">`+
			`<userEntity userId="7" userName="CORP\jane"/><associatedUserGroups userGroupId="1" userGroupName="all"/></users></App_GetUserPropertiesResponse>`)},
		"403 for V4": {v4ID: says(403, `{"errorCode":5}`), oldID: says(200, oldList(oldJane))},
	} {
		if u, err := directory(t, c).client(t).UserByID(t.Context(), 7); err != nil || plain(u) != jane {
			t.Errorf("%s: %+v, %v", name, u, err)
		}
	}
}

func TestUserCallIsFoundOutOnce(t *testing.T) {
	for name, test := range map[string]struct {
		calls calls
		want  []string
	}{
		"V4":  {calls{v4ID: says(200, v4Jane), v4List: says(200, v4List(v4Jane))}, []string{"/V4/user/7", "/V4/user/7", "/V4/user"}},
		"old": {calls{oldID: says(200, oldList(oldJane)), oldList: says(200, oldList(oldJane))}, []string{"/V4/user/7", "/User/7", "/User/7", "/User?level=10"}},
	} {
		s := directory(t, test.calls)
		c := s.client(t)
		for range 2 {
			if _, err := c.UserByID(t.Context(), 7); err != nil {
				t.Error(err)
			}
		}
		if _, err := c.UsersByEmail(t.Context(), "jane@corp.example"); err != nil {
			t.Error(err)
		}
		if asked := s.asked(); !slices.Equal(asked, test.want) {
			t.Errorf("%s: %q", name, asked)
		}
	}
}

// Nobody of that id is a fact that a wrong path, an outage or a missing permission is not.
func TestUserByIDTellsNobodyFromNoAnswer(t *testing.T) {
	missing, bare := `{"errorMessage":"User with id [7] does not exist.","errorCode":587202606}`, `{"errorMessage":"Not found","errorCode":404}`
	for name, test := range map[string]struct {
		calls  calls
		known  bool // the call has worked before, for user 8
		want   Verdict
		nobody bool
	}{
		"neither path":                    {calls{}, false, Misconfigured, false},
		"404 in words":                    {calls{v4ID: says(404, missing)}, false, NotFound, true},
		"200 in words":                    {calls{oldID: says(200, missing)}, false, NotFound, true},
		"200 in words of XML":             {calls{oldID: says(200, `<App_GenericResp errorCode="2" errorMessage="User not found"/>`)}, false, NotFound, true},
		"404 with a code, twice":          {calls{v4ID: says(404, bare), oldID: says(404, bare)}, false, NotFound, true},
		"404 with a code, once":           {calls{v4ID: says(404, bare)}, false, Misconfigured, false},
		"404 with a code, path known":     {calls{v4ID: says(404, bare)}, true, NotFound, true},
		"404 of a gateway, path known":    {calls{v4ID: says(404, `{"message":"no Route matched with those values"}`)}, true, Misconfigured, false},
		"404 page, path known":            {calls{v4ID: says(404, iisPage)}, true, Misconfigured, false},
		"404 page with the words":         {calls{v4ID: says(404, "<html><title>User not found</title></html>")}, false, Misconfigured, false},
		"404 words cut off":               {calls{v4ID: says(404, missing[:len(missing)-1])}, false, Misconfigured, false},
		"200 of another code":             {calls{v4ID: says(200, `{"errorMessage":"Failed","errorCode":-1}`)}, false, Refused, false},
		"words about a session":           {calls{v4ID: says(200, `{"errorMessage":"User session not found","errorCode":2}`)}, false, Refused, false},
		"permission":                      {calls{v4ID: says(200, `{"errorMessage":"No permission, or the user does not exist","errorCode":5}`)}, false, Forbidden, false},
		"403 in the same words":           {calls{v4ID: says(403, missing)}, false, Forbidden, false},
		"403, and the old one, too":       {calls{v4ID: says(403, ""), oldID: says(403, "")}, false, Forbidden, false},
		"403, and no old one":             {calls{v4ID: says(403, "")}, false, Forbidden, false},
		"no V4, and 403":                  {calls{oldID: says(403, "")}, false, Forbidden, false},
		"firewall":                        {calls{v4ID: says(403, iisPage), oldID: says(200, oldList(oldJane))}, false, Forbidden, false},
		"500 in the same words":           {calls{v4ID: says(500, missing)}, false, Unavailable, false},
		"503":                             {calls{v4ID: says(503, missing)}, false, Unavailable, false},
		"no V4, and 503":                  {calls{oldID: says(503, "")}, false, Unavailable, false},
		"401":                             {calls{v4ID: says(401, missing)}, false, Unauthorized, false},
		"429":                             {calls{v4ID: says(429, "")}, false, Throttled, false},
		"maintenance":                     {calls{v4ID: says(200, maintenance)}, false, Unavailable, false},
		"nothing":                         {calls{v4ID: says(200, "")}, false, Unavailable, false},
		"empty object":                    {calls{v4ID: says(200, "{}")}, false, Unavailable, false},
		"empty list":                      {calls{oldID: says(200, `{"users":[]}`)}, false, Unavailable, false},
		"no id":                           {calls{v4ID: says(200, `{"name":"jane","company":{"id":7}}`)}, false, Unavailable, false},
		"another user":                    {calls{v4ID: says(200, v4Max)}, false, Unavailable, false},
		"another user, old":               {calls{oldID: says(200, oldList(oldMax))}, false, Unavailable, false},
		"several users":                   {calls{oldID: says(200, oldList(oldMax, oldJane))}, false, Unavailable, false},
		"cut off":                         {calls{v4ID: says(200, v4Jane[:len(v4Jane)-1])}, false, Unavailable, false},
		"a company of that id in another": {calls{v4ID: says(200, `{"id":9,"company":{"id":7}}`)}, false, Unavailable, false},
	} {
		if answer := test.calls.v4ID; test.known {
			test.calls.v4ID = func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/8") {
					says(200, v4Max)(w, r)
					return
				}
				answer(w, r)
			}
		}
		c := directory(t, test.calls).client(t)
		if test.known {
			if _, err := c.UserByID(t.Context(), 8); err != nil {
				t.Fatal(err)
			}
		}
		u, err := c.UserByID(t.Context(), 7)
		e := facts(t, err)
		if e.Verdict != test.want || errors.Is(err, ErrNoUser) != test.nobody || e.Op != "user" || e.Sent || u != (User{}) {
			t.Errorf("%s: %+v, %+v", name, u, e)
		}
	}
}

func TestUserByName(t *testing.T) {
	byName, all := says(200, oldList(oldJane)), says(200, v4List(v4Jane, v4Max))
	for name, test := range map[string]struct {
		calls calls
		name  string
		want  User
		asked []string
	}{
		"by name":         {calls{byName: byName}, `corp\JANE`, jane, []string{`/User/byName(userName='corp%5CJANE')`}},
		"name cut short":  {calls{byName: says(200, strings.Replace(oldList(oldJane), `CORP\\jane`, "jane", 1)), v4ID: says(200, v4Jane)}, `CORP\jane`, jane, []string{`/User/byName(userName='CORP%5Cjane')`, "/V4/user/7"}},
		"full name":       {calls{byName: says(200, strings.Replace(oldList(oldJane), `CORP\\jane`, "Jane Doe", 1)), v4ID: says(200, v4Jane)}, `CORP\jane`, jane, []string{`/User/byName(userName='CORP%5Cjane')`, "/V4/user/7"}},
		"full name, old":  {calls{byName: says(200, strings.Replace(oldList(oldJane), `CORP\\jane`, "Jane Doe", 1)), oldList: says(200, oldList(oldJane, oldMax))}, `CORP\jane`, jane, []string{`/User/byName(userName='CORP%5Cjane')`, "/V4/user/7", "/V4/user", "/User?level=10"}},
		"unknown address": {calls{byName: says(200, unknownUser), v4List: all}, "jane@corp.example", User{}, nil},
		"by address":      {calls{byName: says(200, unknownUser), v4List: says(200, v4List(v4Jane, strings.Replace(v4Max, "JANE@", "max@", 1)))}, "jane@corp.example", jane, nil},
		"became a slash":  {calls{byName: says(200, unknownUser), v4List: all}, `CORP\jane`, jane, nil},
		"by UPN":          {calls{byName: byName}, "Jane.Doe@corp.example", jane, nil},
		"quoted":          {calls{byName: byName, v4List: says(200, v4List(v4Jane, strings.Replace(v4Max, `"max"`, `"o'hara /x?"`, 1)))}, "o'hara /x?", User{}, []string{`/User/byName(userName='o%27%27hara%20%2Fx%3F')`, "/V4/user/7", "/V4/user"}},
		"searched":        {calls{v4List: all}, "MAX", maxine, []string{`/User/byName(userName='MAX')`, "/V4/user"}},
		"searched, old":   {calls{oldList: says(200, oldList(oldJane, oldMax))}, "max", maxine, []string{`/User/byName(userName='max')`, "/V4/user", "/User?level=10"}},
		"backslash fails": {calls{byName: says(400, iisPage), v4List: all}, `CORP\jane`, jane, []string{`/User/byName(userName='CORP%5Cjane')`, "/V4/user"}},
	} {
		s := directory(t, test.calls)
		u, err := s.client(t).UserByName(t.Context(), test.name)
		if test.want == (User{}) {
			facts(t, err) // what is found is not who was asked for
		} else if err != nil || plain(u) != test.want {
			t.Errorf("%s: %+v, %v", name, u, err)
		}
		if asked := s.asked(); test.asked != nil && !slices.Equal(asked, test.asked) {
			t.Errorf("%s: %q", name, asked)
		}
	}
}

func TestNameThatAPathCannotCarryIsNoReasonToSearchForOthers(t *testing.T) {
	s := directory(t, calls{v4List: says(200, v4List(v4Jane, v4Max)), byName: func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, `\`) {
			says(400, "")(w, r)
			return
		}
		says(200, oldList(oldMax))(w, r)
	}})
	c := s.client(t)
	for _, name := range []string{`CORP\jane`, "max"} {
		if _, err := c.UserByName(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
	if asked := s.asked(); len(asked) != 3 || asked[2] != "/User/byName(userName='max')" {
		t.Errorf("%q", asked)
	}
}

func TestUserByNameTellsNobodyFromNoAnswer(t *testing.T) {
	all := says(200, v4List(v4Jane, v4Max))
	for name, test := range map[string]struct {
		calls  calls
		want   Verdict
		nobody bool
	}{
		"code -1 in XML":          {calls{byName: says(200, unknownUser)}, NotFound, true},
		"code -1 in JSON":         {calls{byName: says(200, `{"errorCode":-1,"errorMessage":"Invalid user [x]"}`)}, NotFound, true},
		"code -1 in a cache":      {calls{byName: says(200, unknownUser, "Age", "5")}, Unavailable, false},
		"not in a cached list":    {calls{v4List: says(200, v4List(v4Jane, v4Max), "Age", "5")}, Unavailable, false},
		"code -1 of other things": {calls{byName: says(200, `{"errorCode":-1,"errorMessage":"The database is not reachable"}`)}, Refused, false},
		"code -1 of a right":      {calls{byName: says(200, `{"errorCode":-1,"errorMessage":"The user has no permission"}`)}, Forbidden, false},
		"not in the list":         {calls{v4List: all}, NotFound, true},
		"404, not in the list":    {calls{byName: says(404, `{"errorCode":404}`), v4List: all}, NotFound, true},
		"400, not in the list":    {calls{byName: says(400, ""), v4List: all}, NotFound, true},
		"400, and no list":        {calls{byName: says(400, "")}, Refused, false},
		"no call at all":          {calls{}, Misconfigured, false},
		"503":                     {calls{byName: says(503, ""), v4List: all}, Unavailable, false},
		"403":                     {calls{byName: says(403, "")}, Forbidden, false},
		"another name alone":      {calls{byName: says(200, oldList(oldMax))}, Refused, false},
		"another domain's name":   {calls{byName: says(200, oldList(oldJane))}, Refused, false},
		"another user":            {calls{byName: says(200, oldList(oldMax)), v4List: all}, Unavailable, false},
		"another domain's user":   {calls{byName: says(200, oldList(oldJane)), v4ID: says(200, v4Jane)}, Unavailable, false},
		"a user who is not there": {calls{byName: says(200, oldList(oldJane)), v4ID: says(404, `{"errorMessage":"User not found","errorCode":2}`), v4List: all}, Unavailable, false},
		"another, and 503":        {calls{byName: says(200, oldList(oldJane)), v4ID: says(503, "")}, Unavailable, false},
		"full names alone":        {calls{v4List: says(200, v4List(strings.Replace(v4Jane, `CORP\\jane`, "Jane Doe", 1), strings.Replace(v4Max, `"fullName":""`, `"fullName":"max"`, 1)))}, Refused, false},
		"nobody listed":           {calls{byName: says(200, oldList())}, Unavailable, false},
		"two users":               {calls{byName: says(200, oldList(oldMax, oldMax))}, Unavailable, false},
		"two users in the list":   {calls{v4List: says(200, v4List(strings.Replace(v4Jane, `CORP\\jane`, "Jane", 1), strings.Replace(v4Max, `"max"`, `"jane"`, 1)))}, Refused, false},
	} {
		u, err := directory(t, test.calls).client(t).UserByName(t.Context(), "jane")
		e := facts(t, err)
		if e.Verdict != test.want || errors.Is(err, ErrNoUser) != test.nobody || e.Op != "user" || u != (User{}) {
			t.Errorf("%s: %+v, %+v", name, u, e)
		}
	}
}

// Who is shown under another name is told by the newer call or by the list, and never by an answer about somebody else.
func TestShownUserIsMadeSureOf(t *testing.T) {
	fullName := strings.NewReplacer(`CORP\\jane`, "Jane Doe")
	shown := says(200, fullName.Replace(oldList(oldJane)))
	listed := strings.Replace(v4Jane, `CORP\\jane`, "jane", 1)
	others := strings.Replace(v4Max, "JANE@", "max@", 1)
	all := says(200, v4List(listed, others))
	for name, test := range map[string]struct {
		calls calls
		name  string
		want  int64 // 0 for an error
		lists int   // how often lists are asked for
	}{
		"by the newer call":                        {calls{byName: shown, v4ID: says(200, listed), v4List: all}, "jane", 7, 0},
		"not by an answer about another":           {calls{byName: shown, v4ID: says(200, strings.Replace(listed, `"id":7`, `"id":9`, 1)), v4List: all}, "jane", 0, 0},
		"not by what a refusal shows":              {calls{byName: shown, v4ID: says(403, v4Jane), v4List: all}, "jane", 7, 1},
		"not by a full name":                       {calls{byName: shown, v4ID: says(200, fullName.Replace(v4Jane)), v4List: all}, "jane", 7, 1},
		"another login":                            {calls{byName: shown, v4ID: says(200, v4Jane), v4List: all}, "jane", 0, 0},
		"an address, which the newer call has not": {calls{byName: shown, v4ID: says(200, v4Jane), v4List: says(200, v4List(v4Jane, others))}, "jane@corp.example", 7, 1},
		"an address of somebody else":              {calls{byName: shown, v4ID: says(200, v4Jane), v4List: says(200, v4List(v4Jane, others))}, "max@corp.example", 0, 1},
	} {
		s := directory(t, test.calls)
		u, err := s.client(t).UserByName(t.Context(), test.name)
		lists := len(s.received("user"))
		if u.ID != test.want || (err != nil) != (test.want == 0) || lists != test.lists {
			t.Errorf("%s: %+v, %v after %d lists", name, u, err, lists)
		}
	}
}

// A list is searched for what somebody is called, and for addresses only where that is asked for.
func TestNameIsSearchedAmongLogins(t *testing.T) {
	row := func(id int, name, full, email string) string {
		return fmt.Sprintf(`{"id":%d,"name":%q,"fullName":%q,"email":%q}`, id, name, full, email)
	}
	for name, test := range map[string]struct {
		list    string
		name    string
		want    int64
		verdict Verdict
	}{
		"a login":                           {v4List(row(7, "jane", "Jane Doe", ""), row(8, "max", "", "")), "jane", 7, 0},
		"a full name, where all are such":   {v4List(row(7, "Jane", "Jane", ""), row(8, "max", "max", "")), "max", 0, Refused},
		"a login before the same address":   {v4List(row(7, "jane@x", "Jane Doe", ""), row(8, "max", "", "jane@x")), "jane@x", 7, 0},
		"an address":                        {v4List(row(7, "jane", "Jane Doe", ""), row(8, "max", "", "jane@x")), "jane@x", 8, 0},
		"an address, which is not one":      {v4List(row(7, "jane", "Jane Doe", ""), row(8, "max", "", "moritz")), "moritz", 0, NotFound},
		"one account":                       {v4List(row(8, "max", "", "")), "jane", 0, Forbidden},
		"one account, which has that name":  {v4List(row(8, "max", "", "")), "max", 8, 0},
		"nobody among full names":           {v4List(row(7, "Jane", "Jane", ""), row(8, "Max", "max", "")), "moritz", 0, Refused},
		"nobody, of one account, full name": {v4List(row(7, "Jane", "Jane", "")), "moritz", 0, Forbidden},
	} {
		u, err := directory(t, calls{v4List: says(200, test.list)}).client(t).UserByName(t.Context(), test.name)
		if e, _ := Problem(err); u.ID != test.want || (e == nil) != (test.verdict == 0) || e != nil && e.Verdict != test.verdict {
			t.Errorf("%s: %+v, %v", name, u, err)
		}
	}
}

// A list is searched where the name may have been changed on its way, or has another spelling; and not where the
// question failed.
func TestListIsSearchedForNamesThatMayBeOthers(t *testing.T) {
	for _, test := range []struct {
		status   int
		name     string
		searched bool
	}{
		{200, `CORP\boss`, true},
		{200, "jane@corp.example", true},
		{200, "boss", true},
		{200, "jane", false},
		{503, `CORP\boss`, false},
		{503, "jane@corp.example", false},
		{503, "boss", false},
	} {
		s := directory(t, calls{byName: says(test.status, unknownUser), v4List: says(200, v4List(v4Jane, v4Max))})
		_, err := s.client(t).UserByName(t.Context(), test.name)
		if searched := len(s.received("user")) > 0; searched != test.searched {
			t.Errorf("%q after %d: searched %t, %v", test.name, test.status, searched, err)
		}
	}
	s := directory(t, calls{byName: says(200, `{"a":1}`)})
	if e := facts(t, second(s.client(t).UserByName(t.Context(), "jane"))); !strings.Contains(e.Error(), "no list of users") {
		t.Errorf("%v", e)
	}
}

func TestUsersByEmail(t *testing.T) {
	for name, c := range map[string]calls{
		"V4":              {v4List: says(200, v4List(v4Jane, v4Max))},
		"old":             {oldList: says(200, oldList(oldJane, oldMax))},
		"V4 pages":        {v4List: says(200, `{"numberOfUsers":2,"users":[`+v4Jane+`]}`), oldList: says(200, oldList(oldJane, oldMax))},
		"V4 out of scope": {v4List: says(403, ""), oldList: says(200, oldList(oldJane, oldMax))},
		"a cached list":   {v4List: says(200, v4List(v4Jane, v4Max), "X-Cache", "HIT")},
	} {
		client := directory(t, c).client(t)
		for email, want := range map[string][]User{
			"jane@CORP.example":     {jane, maxine},
			"jane.doe@corp.example": {jane},
		} {
			if users, err := client.UsersByEmail(t.Context(), email); err != nil || !slices.Equal(plainly(users), want) {
				t.Errorf("%s, %s: %+v, %v", name, email, users, err)
			}
		}
	}
}

func TestUsersByEmailTellsNobodyFromNoAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		calls  calls
		want   Verdict
		nobody bool
	}{
		"not in the list":                {calls{v4List: says(200, v4List(v4Jane, v4Max))}, NotFound, true},
		"not in the old list":            {calls{oldList: says(200, oldList(oldJane, oldMax))}, NotFound, true},
		"not in a cached list":           {calls{v4List: says(200, v4List(v4Jane, v4Max), "X-Cache", "HIT")}, Unavailable, false},
		"nobody has an address":          {calls{v4List: says(200, v4List(`{"id":1,"email":""}`, `{"id":2,"email":""}`))}, NotFound, true},
		"addresses not told":             {calls{v4List: says(200, v4List(`{"id":1}`, `{"id":2}`))}, Unavailable, false},
		"one account":                    {calls{v4List: says(200, v4List(v4Jane))}, Forbidden, false},
		"a page of the list":             {calls{v4List: says(200, `{"numberOfUsers":3,"users":[`+v4Jane+","+v4Max+`]}`)}, Unavailable, false},
		"not counted":                    {calls{v4List: says(200, `{"users":[`+v4Jane+","+v4Max+`]}`)}, Unavailable, false},
		"empty":                          {calls{v4List: says(200, v4List())}, Unavailable, false},
		"empty, old":                     {calls{oldList: says(200, oldList())}, Unavailable, false},
		"no list":                        {calls{}, Misconfigured, false},
		"{}":                             {calls{v4List: says(200, "{}")}, Unavailable, false},
		"names alone":                    {calls{v4List: says(200, `{"numberOfUsers":1,"users":["jane"]}`)}, Unavailable, false},
		"one row without id":             {calls{v4List: says(200, v4List(v4Jane, `{"email":"x@corp.example"}`))}, Unavailable, false},
		"cut off":                        {calls{v4List: says(200, v4List(v4Jane, v4Max)[:200])}, Unavailable, false},
		"page":                           {calls{v4List: says(200, maintenance)}, Unavailable, false},
		"nested without end":             {calls{v4List: says(200, strings.Repeat(`{"users":`, 101)+v4Jane+strings.Repeat("}", 101))}, Unavailable, false},
		"error":                          {calls{v4List: says(200, `{"errorCode":2,"errorMessage":"User not found"}`)}, Refused, false},
		"error beside a list":            {calls{v4List: says(200, `{"errorCode":2,`+v4List(v4Jane, v4Max)[1:])}, Refused, false},
		"403, and no old list":           {calls{v4List: says(403, "")}, Forbidden, false},
		"503, though there is an old":    {calls{v4List: says(503, ""), oldList: says(200, oldList(oldJane, oldMax))}, Unavailable, false},
		"503 and a list, and an old one": {calls{v4List: says(503, v4List(v4Jane, v4Max)), oldList: says(200, oldList(oldJane, oldMax))}, Unavailable, false},
		"{}, though there is an old":     {calls{v4List: says(200, "{}"), oldList: says(200, oldList(oldJane, oldMax))}, Unavailable, false},
		"429":                            {calls{v4List: says(429, "")}, Throttled, false},
		"a page, and the old one is out": {calls{v4List: says(200, `{"numberOfUsers":3,"users":[`+v4Jane+`]}`), oldList: says(503, "")}, Unavailable, false},
	} {
		users, err := directory(t, test.calls).client(t).UsersByEmail(t.Context(), "x@corp.example")
		e := facts(t, err)
		if e.Verdict != test.want || errors.Is(err, ErrNoUser) != test.nobody || e.Op != "user" || users != nil {
			t.Errorf("%s: %+v, %+v", name, users, e)
		}
		if strings.Contains(err.Error(), "Jane") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: shows %v", name, err)
		}
	}
}

func TestLookUpsThatCannotBeMadeMakeNoCall(t *testing.T) {
	s := serve(t, nil)
	c := s.client(t)
	for name, err := range map[string]error{
		"id 0":             second(c.UserByID(t.Context(), 0)),
		"id -1":            second(c.UserByID(t.Context(), -1)),
		"no name":          second(c.UserByName(t.Context(), "")),
		"a name of breaks": second(c.UserByName(t.Context(), "a\r\nb")),
		"no address":       second(c.UsersByEmail(t.Context(), "")),
	} {
		if e := facts(t, err); e.Verdict != Refused || errors.Is(err, ErrNoUser) {
			t.Errorf("%s: %v", name, e)
		}
	}
	if len(s.requests) != 0 {
		t.Errorf("%d requests", len(s.requests))
	}
}

func TestUsersIsTheWholeListOrAnError(t *testing.T) {
	all, err := directory(t, calls{v4List: says(200, v4List(v4Jane, v4Max))}).client(t).Users(t.Context())
	if err != nil || len(all) != 2 || !all[0].HasAddress("JANE.DOE@corp.example") || all[1].HasAddress("jane.doe@corp.example") {
		t.Errorf("%+v, %v", all, err)
	}
	for name, list := range map[string]string{"one account": v4List(v4Jane), "cut": strings.Replace(v4List(v4Jane, v4Max), `2`, `3`, 1)} {
		if all, err := directory(t, calls{v4List: says(200, list)}).client(t).Users(t.Context()); err == nil || all != nil {
			t.Errorf("%s: %+v, %v", name, all, err)
		}
	}
	for name, test := range map[string]struct {
		list http.HandlerFunc
		want Verdict
	}{
		"out of use":  {says(503, ""), Unavailable},
		"a cache's":   {says(200, v4List(v4Jane, v4Max), "X-Cache", "HIT"), Unavailable},
		"one account": {says(200, v4List(v4Jane)), Forbidden},
		"no such":     {nil, Misconfigured},
	} {
		if e := facts(t, second(directory(t, calls{v4List: test.list}).client(t).Users(t.Context()))); e.Verdict != test.want {
			t.Errorf("%s: %v", name, e)
		}
	}
	full := v4List(strings.Replace(v4Jane, `CORP\\jane`, "Jane Doe", 1), strings.Replace(v4Max, `"fullName":""`, `"fullName":"max"`, 1))
	if all, err := directory(t, calls{v4List: says(200, full)}).client(t).Users(t.Context()); err != nil || len(all) != 2 || all[0].Name != "" || all[1].Name != "" {
		t.Errorf("full names count as logins: %+v, %v", all, err)
	}
}

// Whoever has logged in last is the first to have a session listed.
func TestLatestAreThoseWhoLoggedInLast(t *testing.T) {
	at := func(row string, seconds int) string {
		return strings.Replace(row, `{`, fmt.Sprintf(`{"lastLogIntime":%d,`, seconds), 1)
	}
	s := directory(t, calls{oldList: says(200, oldList(at(oldJane, 1000), at(oldMax, 3000)))})
	if latest, err := s.client(t).Latest(t.Context()); err != nil || len(latest) != 2 || latest[0].ID != maxine.ID || latest[0].LastLogin.Unix() != 3000 {
		t.Errorf("%+v, %v", latest, err)
	}
	if latest, err := directory(t, calls{v4List: says(200, v4List(v4Max, v4Jane))}).client(t).Latest(t.Context()); err != nil || len(latest) != 2 || latest[0].Company != "corp" {
		t.Errorf("%+v, %v", latest, err)
	}
	for status, want := range map[int]bool{403: true, 503: false, 429: false} {
		latest, err := directory(t, calls{oldList: says(status, ""), v4List: says(200, v4List(v4Max, v4Jane))}).client(t).Latest(t.Context())
		if (err == nil) != want || want && len(latest) != 2 {
			t.Errorf("after %d: %+v, %v", status, latest, err)
		}
	}
	if _, err := directory(t, calls{}).client(t).Latest(t.Context()); err == nil {
		t.Error("there is nobody to tell")
	}
}

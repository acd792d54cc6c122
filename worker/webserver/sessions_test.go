package webserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// captured is a row as the reference has it, with the carriage returns of the real server.
const captured = "{\r\"lastAccessedTime\":1496117912,\"logoutTime\":0,\"loginTime\":1496115991,\"host\":\"firewalltestcs\",\"location\":\"\"," +
	"\"sessionId\":\"F4A9CBA3-FFA4-4B58-8E38-FDA6A9A19076\",\"browserSessionId\":13,\"consoleType\":0," +
	"\"isCurrentSession\":true,\"user\":{\r\"userName\":\"Administrator\",\"userId\":1\r}\r}"

// listed is a row in short; what follows the user goes into it as it is.
func listed(id string, user, login, logout int64, more string) string {
	return fmt.Sprintf(`{"sessionId":%q,"loginTime":%d,"logoutTime":%d,"user":{"userId":%d}%s}`, id, login, logout, user, more)
}

// list is a JSON list of rows.
func list(rows ...string) string { return "{\r\"sessions\":[\r" + strings.Join(rows, ",") + "\r]\r}" }

// numbered are n rows of a user, one login a second, the newest first.
func numbered(n int, user, newest int64) []string {
	rows := make([]string, n)
	for i := range rows {
		rows[i] = listed(fmt.Sprintf("%08X-0000-0000-0000-000000000000", i), user, newest-int64(i), 0, "")
	}
	return rows
}

// listing is what Sessions makes of a body, of user 1, who we are.
func listing(t *testing.T, userID int64, body string) (Listing, error) {
	t.Helper()
	s := serve(t, map[string]http.HandlerFunc{"Login": says(200, `{"token":"QSDK 3canary","aliasName":"1"}`), "Session": says(200, body)})
	return s.client(t, withLogin(fixed("p"))).Sessions(t.Context(), userID)
}

func TestSessionsAreReadInEveryForm(t *testing.T) {
	want := Listed{
		ID: "F4A9CBA3-FFA4-4B58-8E38-FDA6A9A19076", UserID: 1, UserName: "Administrator", LoginTime: time.Unix(1496115991, 0), Own: true,
	}
	for name, body := range map[string]string{
		"captured":           list(captured),
		"numbers as strings": strings.NewReplacer("1496115991", `"1496115991"`, `"userId":1`, `"userId":"1"`, `:0`, `:"0"`).Replace(list(captured)),
		"deeper":             `{"errorCode":0,"data":{"response":` + list(captured) + `}}`,
		"flat user":          `{"sessions":[{"UserId":1,"userName":"Administrator","loginTime":1496115991,"SessionID":"F4A9CBA3-FFA4-4B58-8E38-FDA6A9A19076","consoleType":0,"isCurrentSession":true}]}`,
		"V10": `{"Api_GetSessionsResponse":{"sessions":{"@sessionId":"F4A9CBA3-FFA4-4B58-8E38-FDA6A9A19076","@loginTime":"1496115991","@logoutTime":"0",` +
			`"@consoleType":"0","@isCurrentSession":"1","user":{"@userId":"1","@userName":"Administrator"}}}}`,
		"XML": "\uFEFF" + `<?xml version="1.0" encoding="UTF-8" standalone="no" ?><Api_GetSessionsResponse><sessions sessionId="F4A9CBA3-FFA4-4B58-8E38-FDA6A9A19076" ` +
			`loginTime="1496115991" logoutTime="0" consoleType="0" isCurrentSession="1"><user userId="1" userName="Administrator"/></sessions></Api_GetSessionsResponse>`,
	} {
		l, err := listing(t, 1, body)
		if err != nil || len(l.Sessions) != 1 || l.Sessions[0] != want || !l.Complete {
			t.Errorf("%s: %+v, %v", name, l, err)
		}
	}
}

func TestSessionsThatEndedSayWhen(t *testing.T) {
	l, err := listing(t, 1, list(listed(guid, 1, 100, 250, `,"consoleType":"EMC"`)))
	if err != nil {
		t.Fatal(err)
	}
	if row := l.Sessions[0]; !row.LogoutTime.Equal(time.Unix(250, 0)) || row.Own || row.ConsoleType != -1 {
		t.Errorf("%+v", row)
	}
}

func TestSessionsRequest(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"Session": says(200, list(listed(guid, 7, 1, 0, "")))})
	if _, err := s.client(t).Sessions(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	r := s.received("Session")[0]
	if r.Method != "GET" || r.URL.String() != "/commandcenter/api/Session?userId=7" || r.body != "" ||
		r.Header.Get("Accept") != "application/json" || r.Header.Get("Authtoken") != "QSDK 3canary" || r.Header.Get("Content-Type") != "" {
		t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
	}
}

// What is no list of that person's sessions is never one, least of all an empty one.
func TestAnswersThatAreNoListOfSessions(t *testing.T) {
	row := listed(guid, 7, 1, 0, "")
	for name, test := range map[string]struct {
		status int
		body   string
		want   Verdict
	}{
		"nothing":                 {200, "", Unavailable},
		"empty object":            {200, "{}", Unavailable},
		"null":                    {200, `{"sessions":null}`, Unavailable},
		"text":                    {200, "OK", Unavailable},
		"array":                   {200, "[" + row + "]", Unavailable},
		"another document":        {200, `{"users":[{"userId":7}]}`, Unavailable},
		"logoff's answer":         {200, successElement, Unavailable},
		"XML root alone":          {200, `<Api_GenericResp/>`, Unavailable},
		"XML of another meaning":  {200, `<Api_GetSessionsResponse><error/></Api_GetSessionsResponse>`, Unavailable},
		"DOCTYPE":                 {200, `<!DOCTYPE x><Api_GetSessionsResponse/>`, Unavailable},
		"maintenance":             {200, maintenance, Unavailable},
		"cut off":                 {200, strings.TrimSuffix(list(row), "}"), Unavailable},
		"more than one":           {200, list(row) + list(row), Unavailable},
		"IDs alone":               {200, `{"sessions":["` + guid + `"]}`, Unavailable},
		"empty rows":              {200, `{"sessions":[{}]}`, Unavailable},
		"one row without ID":      {200, list(row, `{"loginTime":5,"user":{"userId":7}}`), Unavailable},
		"one row without user":    {200, list(row, `{"sessionId":"`+emc+`","loginTime":5}`), Unavailable},
		"one row of another user": {200, list(row, listed(emc, 8, 1, 0, "")), Unavailable},
		"another user's":          {200, list(listed(emc, 8, 1, 0, "")), Unavailable},
		"our own instead":         {200, list(listed(emc, 1, 1, 0, "")), Forbidden},
		"times of no sense":       {200, list(strings.Replace(row, `"logoutTime":0`, `"logoutTime":"soon"`, 1)), Unavailable},
		"negative times":          {200, list(strings.Replace(row, `"logoutTime":0`, `"logoutTime":-1`, 1)), Unavailable},
		"a time after all time":   {200, list(strings.Replace(row, `"logoutTime":0`, `"logoutTime":999999999999`, 1)), Unavailable},
		"an ID of no sense":       {200, list(strings.Replace(row, guid, `a\u0000b`, 1)), Unavailable},
		"an ID without end":       {200, list(strings.Replace(row, guid, strings.Repeat("A", 300), 1)), Unavailable},
		"error body":              {200, generic500, Refused},
		"error beside rows":       {200, `{"errorCode":5,` + list(row)[1:], Refused},
		"permission":              {200, `{"sessions":[],"errorMessage":"User does not have permission"}`, Forbidden},
		"dead token":              {200, "Invalid authorization token provided.", Unauthorized},
		"created":                 {201, list(row), Unavailable},
		"400":                     {400, `{"errorCode":2}`, Refused},
		"401":                     {401, "", Unauthorized},
		"403":                     {403, `{"errorCode":5}`, Forbidden},
		"404":                     {404, iisPage, NotFound},
		"405 maintenance":         {405, maintenance, Unavailable},
		"413":                     {413, "", Misconfigured},
		"429":                     {429, "", Throttled},
		"500":                     {500, list(row), Unavailable},
		"503":                     {503, list(row), Unavailable},
	} {
		answers := says(test.status, test.body)
		s := serve(t, map[string]http.HandlerFunc{"Login": says(200, `{"token":"QSDK 3canary","aliasName":"1"}`), "Session": answers})
		l, err := s.client(t, withLogin(fixed("p"))).Sessions(t.Context(), 7)
		if e := facts(t, err); e.Verdict != test.want || e.Op != "sessions" || e.Sent || l.Sessions != nil || l.Complete {
			t.Errorf("%s: %+v, %+v", name, l, e)
		}
		if strings.Contains(err.Error(), guid) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: shows %v", name, err)
		}
	}
}

// While our own userId is unknown, a row of nobody is not our own.
func TestRowsOfNobodyAreNotOurs(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"Session": says(200, list(listed(guid, 0, 1, 0, "")))})
	if e := facts(t, second(s.client(t).Sessions(t.Context(), 7))); e.Verdict != Unavailable {
		t.Errorf("%v", e)
	}
}

// Whoever is shown the session of the token, asking for another's, has no right to see that.
func TestOwnSessionsInAnothersPlaceAreForbidden(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"Session": says(200, list(listed(guid, 1, 1, 0, `,"isCurrentSession":true`)))})
	if e := facts(t, second(s.client(t).Sessions(t.Context(), 7))); e.Verdict != Forbidden {
		t.Errorf("%v", e)
	}
}

// A cache makes lists of sessions old, and that there is nobody. What else an answer says, it says from a cache, too.
func TestCacheChangesNoOtherVerdict(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		body   string
		want   Verdict // 0 for none
	}{
		"a user":        {200, v4Jane, 0},
		"nobody":        {404, `{"errorMessage":"User not found","errorCode":2}`, Unavailable},
		"no right":      {403, iisPage, Forbidden},
		"a dead token":  {401, "", Unauthorized},
		"another user":  {200, v4Max, Unavailable},
		"something odd": {200, "{}", Unavailable},
	} {
		_, err := directory(t, calls{v4ID: says(test.status, test.body, "Age", "7")}).client(t).UserByID(t.Context(), 7)
		if e, _ := Problem(err); test.want == 0 && e != nil || test.want != 0 && (e == nil || e.Verdict != test.want || e.old != (name == "nobody")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for status, want := range map[int]Verdict{200: Unavailable, 401: Unauthorized, 403: Forbidden, 429: Throttled} {
		s := serve(t, map[string]http.HandlerFunc{"Session": says(status, list(listed(guid, 7, 1, 0, "")), "Age", "7")})
		if e := facts(t, second(s.client(t).Sessions(t.Context(), 7))); e.Verdict != want || e.old != (status == 200) {
			t.Errorf("a list with %d: %v", status, e)
		}
	}
}

func TestEmptyListOfSessions(t *testing.T) {
	for _, body := range []string{list(), `<?xml version="1.0"?><Api_GetSessionsResponse />`, `<Api_GetSessionsResponse xmlns:xsi="x"></Api_GetSessionsResponse>`} {
		l, err := listing(t, 1, body)
		if err != nil || len(l.Sessions) != 0 || !l.Complete || !l.Covers(time.Time{}) {
			t.Errorf("%s: %+v, %v", body, l, err)
		}
	}
}

// An empty list may be all that somebody without the permission is shown of others.
func TestEmptyListOfSomebodyElseProvesNothing(t *testing.T) {
	bodies := map[string]string{"1": list(listed(guid, 1, 1, 0, "")), "7": list(), "8": list(listed(emc, 8, 1, 0, ""))}
	handlers := map[string]http.HandlerFunc{
		"Login":   says(200, `{"token":"QSDK 3canary","aliasName":"1"}`),
		"Session": func(w http.ResponseWriter, r *http.Request) { says(200, bodies[r.URL.Query().Get("userId")])(w, r) },
	}
	for name, test := range map[string]struct {
		before []int64
		login  bool
	}{
		"at first":                     {nil, true},
		"after our own":                {[]int64{1}, true},
		"after somebody else's":        {[]int64{8}, true},
		"unknown self, after a second": {[]int64{8, 1}, false},
	} {
		s := serve(t, handlers)
		c := s.client(t)
		if test.login {
			c = s.client(t, withLogin(fixed("p")))
		}
		for _, id := range test.before {
			if _, err := c.Sessions(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		l, err := c.Sessions(t.Context(), 7)
		if err != nil || l.Complete || l.Covers(time.Now()) {
			t.Errorf("%s: %+v, %v", name, l, err)
		}
	}
}

func TestListsThatMayBeCutCoverWhatIsNewerThanTheirOldest(t *testing.T) {
	at := func(seconds int64) time.Time { return time.Unix(seconds, 0) }
	short, err := listing(t, 7, list(numbered(49, 7, 1000)...))
	if err != nil || !short.Complete || !short.Covers(time.Time{}) || !short.Covers(at(1)) {
		t.Errorf("49 rows: %t, %v", short.Complete, err)
	}
	for _, n := range []int{50, 51, 200} {
		l, err := listing(t, 7, list(numbered(n, 7, 1000)...))
		oldest := int64(1000 - n + 1)
		if err != nil || l.Complete || !l.Covers(at(oldest+1)) || !l.Covers(at(5000)) {
			t.Errorf("%d rows: %t, %v", n, l.Complete, err)
		}
		// Of two logins in the same second, the list may have dropped one.
		for _, login := range []time.Time{{}, at(oldest), at(oldest).Add(999 * time.Millisecond), at(1)} {
			if l.Covers(login) {
				t.Errorf("%d rows cover %v", n, login)
			}
		}
	}
	disordered := numbered(50, 7, 1000)
	disordered[3], disordered[40] = disordered[40], disordered[3]
	timeless := append(numbered(49, 7, 1000), listed(emc, 7, 0, 0, ""))
	for name, rows := range map[string][]string{"disordered": disordered, "without a time": timeless} {
		l, err := listing(t, 7, list(rows...))
		if err != nil || l.Complete || l.Covers(at(5000)) {
			t.Errorf("%s: %t, %v", name, l.Complete, err)
		}
	}
}

func TestSessionsComeNewestFirst(t *testing.T) {
	l, err := listing(t, 7, list(listed(emc, 7, 5, 0, ""), listed(guid, 7, 9, 0, "")))
	if err != nil || l.Sessions[0].ID != guid || l.Sessions[1].ID != emc {
		t.Errorf("%+v, %v", l, err)
	}
}

func TestFindComparesWithoutCaseAndPrefersWhatIsOn(t *testing.T) {
	l := Listing{Sessions: []Listed{{ID: guid, LogoutTime: time.Unix(5, 0)}, {ID: emc}, {ID: strings.ToLower(guid)}, {ID: guid, LogoutTime: time.Unix(6, 0)}}}
	if row, found := l.Find(strings.ToLower(emc)); !found || row.ID != emc {
		t.Errorf("%+v", row)
	}
	if row, found := l.Find(guid); !found || !row.LogoutTime.IsZero() {
		t.Errorf("%+v", row)
	}
	if row, found := l.Find("other"); found || row != (Listed{}) {
		t.Errorf("%+v", row)
	}
}

func TestSessionsPathIsFoundOutOnce(t *testing.T) {
	ok := says(200, list(listed(guid, 7, 1, 0, "")))
	for name, test := range map[string]struct {
		handlers         map[string]http.HandlerFunc
		singular, plural int // requests after two reads
	}{
		"singular": {map[string]http.HandlerFunc{"Session": ok, "Sessions": ok}, 2, 0},
		"plural":   {map[string]http.HandlerFunc{"Sessions": ok}, 1, 2},
	} {
		s := serve(t, test.handlers)
		c := s.client(t)
		for range 2 {
			if l, err := c.Sessions(t.Context(), 7); err != nil || len(l.Sessions) != 1 {
				t.Errorf("%s: %+v, %v", name, l, err)
			}
		}
		if a, b := len(s.received("Session")), len(s.received("Sessions")); a != test.singular || b != test.plural {
			t.Errorf("%s: %d singular, %d plural", name, a, b)
		}
	}
	var upgraded atomic.Bool
	s := serve(t, map[string]http.HandlerFunc{
		"Session":  func(w http.ResponseWriter, r *http.Request) { either(&upgraded, http.NotFound, ok)(w, r) },
		"Sessions": func(w http.ResponseWriter, r *http.Request) { either(&upgraded, ok, http.NotFound)(w, r) },
	})
	c := s.client(t)
	for range 2 {
		if _, err := c.Sessions(t.Context(), 7); err != nil {
			t.Errorf("upgraded %t: %v", upgraded.Load(), err)
		}
		upgraded.Store(true)
	}
}

func either(first *atomic.Bool, one, other http.HandlerFunc) http.HandlerFunc {
	if first.Load() {
		return one
	}
	return other
}

func TestOtherPathIsAskedOnlyWhereTheFirstIsUnknown(t *testing.T) {
	for _, status := range []int{302, 400, 401, 403, 405, 429, 500, 503} {
		s := serve(t, map[string]http.HandlerFunc{"Session": says(status, ""), "Sessions": says(200, list())})
		facts(t, second(s.client(t).Sessions(t.Context(), 7)))
		if n := len(s.received("Sessions")); n != 0 {
			t.Errorf("%d: %d requests", status, n)
		}
	}
	s := serve(t, map[string]http.HandlerFunc{"Sessions": says(503, "")})
	if e := facts(t, second(s.client(t).Sessions(t.Context(), 7))); e.Verdict != Unavailable || e.Status != 503 {
		t.Errorf("%v", e)
	}
}

func second[T any](_ T, err error) error { return err }

func TestSessionsOfNobodyMakeNoCall(t *testing.T) {
	s := serve(t, nil)
	for _, id := range []int64{0, -1} {
		if e := facts(t, second(s.client(t).Sessions(t.Context(), id))); e.Verdict != Refused || e.Sent {
			t.Errorf("%v", e)
		}
	}
	if len(s.requests) != 0 {
		t.Errorf("%d requests", len(s.requests))
	}
}

func TestListsHaveALimitOfTheirOwn(t *testing.T) {
	rows := numbered(1000, 7, 5000) // more than maxBody
	if l, err := listing(t, 7, list(rows...)); err != nil || len(l.Sessions) != 1000 {
		t.Errorf("%d rows, %v", len(l.Sessions), err)
	}
	body := list(rows...)
	if l, err := listing(t, 7, body+strings.Repeat(" ", maxRead-len(body))); err != nil || len(l.Sessions) != 1000 {
		t.Errorf("at the limit: %d rows, %v", len(l.Sessions), err)
	}
	_, err := listing(t, 7, body+strings.Repeat(" ", maxRead-len(body)+1))
	if e := facts(t, err); e.Verdict != Unavailable || !strings.Contains(e.Error(), "longer than 8388608 bytes") {
		t.Errorf("over the limit: %v", err)
	}
}

func TestListThatIsCutOffByTheConnectionIsNone(t *testing.T) {
	body := list(listed(guid, 7, 1, 0, ""))
	s := serve(t, map[string]http.HandlerFunc{"Session": says(200, body, "Content-Length", fmt.Sprint(len(body)+1))})
	if e := facts(t, second(s.client(t).Sessions(t.Context(), 7))); e.Verdict != Unavailable || e.Sent {
		t.Errorf("%+v", e)
	}
}

func TestSessionsEndWithTheirContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := serve(t, map[string]http.HandlerFunc{"Session": func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}})
	if _, err := s.client(t).Sessions(ctx, 7); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestReadsAreObserved(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"Sessions": says(200, list())})
	var calls []Call
	c := s.client(t, func(c *Config) {
		c.Observe = func(call Call) { call.Took = 0; calls = append(calls, call) }
	})
	if _, err := c.Sessions(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	want := []Call{{Op: "sessions", Status: 404, Verdict: NotFound}, {Op: "sessions", Status: 200, Verdict: Accepted}}
	if len(calls) != 2 || calls[0] != want[0] || calls[1] != want[1] {
		t.Errorf("%+v", calls)
	}
}

func TestSelfIsWhoLoggedIn(t *testing.T) {
	aliases := []string{`"aliasName":"12",`, `"aliasName":13,`, ""}
	logins := 0
	s := serve(t, map[string]http.HandlerFunc{
		"Login": func(w http.ResponseWriter, r *http.Request) {
			says(200, `{`+aliases[logins]+`"token":"QSDK 3abc"}`)(w, r)
			logins++
		},
		"WhoAmI":          says(401, ""),
		"RenewLoginToken": says(404, ""),
	})
	c := s.client(t, withLogin(fixed("p")))
	if c.Self() != 0 {
		t.Errorf("%d before the login", c.Self())
	}
	for _, want := range []int64{12, 13, 13} {
		e := facts(t, c.Ping(t.Context()))
		if c.Self() != want {
			t.Errorf("%d, not %d", c.Self(), want)
		}
		if want == 12 || logins < 3 {
			if err := c.Renew(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
	}
	given := s.client(t)
	if given.Ping(t.Context()); given.Self() != 0 {
		t.Errorf("%d with a given token", given.Self())
	}
}

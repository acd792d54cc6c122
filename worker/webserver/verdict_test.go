package webserver

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// Each kind of failure has the advice that helps, and no other.
func TestAdviceIsThatOfTheFailure(t *testing.T) {
	const page, firewall, right = "a page, which the Web Server does not answer with", "a firewall", "the account needs the right"
	for i, test := range []struct {
		e    Error
		want string // its beginning; empty for none
	}{
		{Error{hint: "h", Location: "x"}, "h"},
		{Error{Location: "x", Page: true}, "it points to x"},
		{Error{Op: "logoff", Page: true, Status: 405, Verdict: Misconfigured}, page},
		{Error{Op: "logoff", Page: true, Status: 400, Verdict: Refused}, page},
		{Error{Op: "logoff", Page: true, Status: 403, Verdict: Forbidden}, page},
		{Error{Op: "logoff", Page: true, Status: 404, Verdict: NotFound}, "the path of the base URL is wrong, or the document"},
		{Error{Op: "logoff", Page: true, Status: 401, Verdict: Unauthorized}, ""},
		{Error{Op: "logoff", Page: true, Status: 503, Verdict: Unavailable}, ""},
		{Error{Op: "logoff", Status: 400, Verdict: Refused}, ""},
		{Error{Op: "ping", Page: true, Status: 403, Verdict: Forbidden}, firewall},
		{Error{Op: "ping", Status: 403, Verdict: Forbidden}, right},
		{Error{Op: "ping", Page: true, Status: 400, Verdict: Refused}, ""},
		{Error{Op: "logoff", Status: 405, Verdict: Misconfigured}, "something in front of the Web Server blocks"},
		{Error{Op: "logoff", Status: 501, Verdict: Misconfigured}, "something in front of the Web Server blocks"},
		{Error{Op: "logoff", Status: 411, Verdict: Misconfigured}, "something in front of the Web Server refuses"},
		{Error{Op: "logoff", Status: 302, Verdict: Misconfigured}, ""},
		{Error{Op: "ping", Status: 501, Verdict: Unavailable}, ""},
		{Error{Op: "ping", Status: 400, Verdict: Misconfigured}, ""},
		{Error{Op: "ping", Status: 404, Verdict: NotFound}, ""},
		{Error{Op: "ping", Status: 404, Verdict: Misconfigured}, "the path of the base URL is wrong"},
		{Error{Op: "ping", Status: 404, Verdict: Unavailable}, ""},
		{Error{Op: "ping", Status: 200, Verdict: Unavailable, Page: true}, "maintenance"},
		{Error{Op: "ping", Status: 503, Verdict: Unavailable, Page: true}, ""},
		{Error{Op: "ping", Status: 200, Verdict: Unauthorized, Page: true}, ""},
		{Error{Op: "ping", Status: 200, Verdict: Unavailable}, "not an answer that is known"},
		{Error{Op: "ping", Status: 200, Verdict: Unavailable, Err: io.EOF}, ""},
		{Error{Op: "ping", Status: 200, Verdict: Throttled}, ""},
		{Error{Op: "ping", Status: 503, Verdict: Unavailable}, ""},
		{Error{Op: "ping", Verdict: Unavailable}, ""},
	} {
		if got := test.e.advice(); !strings.HasPrefix(got, test.want) || test.want == "" && got != "" {
			t.Errorf("%d: %+v: %q, want %q", i, test.e, got, test.want)
		}
	}
	for first, want := range map[string]string{"": "not an answer that is known", "\x1f\x8b": "not an answer that is known; it begins with the bytes 1f 8b"} {
		if got := (&Error{Status: 200, Verdict: Unavailable, first: first}).advice(); got != want {
			t.Errorf("%q: %q", first, got)
		}
	}
	if got := (&Error{Status: 200, Verdict: Unavailable, first: "x", Text: "words"}).advice(); strings.Contains(got, "bytes") {
		t.Error(got)
	}
	if got := (&Error{Verdict: Throttled}).Words(); got != "throttled" {
		t.Errorf("without a word: %q", got)
	}
	if Verdict(-1).String() != "unknown" || Verdict(99).String() != "unknown" {
		t.Error("a verdict that there is not has a name")
	}
}

// A yes that is cut off, or comes with another status, is none.
func TestSuccessIsWholeAndOfItsStatus(t *testing.T) {
	cut := errors.New("cut")
	for i, test := range []struct {
		a           answer
		empty, ping bool // whether an empty answer counts; what is asked is a ping
		yes         bool
	}{
		{a: answer{status: 200, body: []byte(successElement)}, yes: true},
		{a: answer{status: 201, body: []byte(successElement)}, yes: true},
		{a: answer{status: 202, body: []byte(successElement)}},
		{a: answer{status: 500, body: []byte(successElement)}},
		{a: answer{status: 200, body: []byte(successElement), cut: cut}},
		{a: answer{status: 204, saysEmpty: true}, empty: true, yes: true},
		{a: answer{status: 204, saysEmpty: true}},
		{a: answer{status: 204, saysEmpty: true, cut: cut}, empty: true},
		{a: answer{status: 200}, empty: true},
		{a: answer{status: 500, saysEmpty: true}, empty: true},
		{a: answer{status: 200, body: []byte(`{"a":1}`)}, ping: true, yes: true},
		{a: answer{status: 200, body: []byte(`{"a":1}`), cut: cut}, ping: true},
		{a: answer{status: 500, body: []byte(`{"a":1}`)}, ping: true},
		{a: answer{status: 200, body: []byte(`{"errorCode":5}`)}, ping: true},
		{a: answer{status: 200, body: []byte(`{"errorMessage":"Access denied. The token is invalid or expired."}`)}, ping: true},
		{a: answer{status: 200, body: []byte(`hello`)}, ping: true},
	} {
		c := &Client{}
		c.config.AcceptEmpty = test.empty
		judge := c.judgeLogoff
		if test.ping {
			judge = c.judgePing
		}
		if e := judge(test.a); (e == nil) != test.yes {
			t.Errorf("%d: %v", i, e)
		}
	}
}

// A body is unpacked where its first bytes are what its header says, and read as it is otherwise.
func TestBodyIsUnpackedWhereItIsPacked(t *testing.T) {
	packed := func(w io.WriteCloser, into *bytes.Buffer) string {
		_, _ = io.WriteString(w, "text")
		_ = w.Close()
		return into.String()
	}
	var g, z, f bytes.Buffer
	raw, _ := flate.NewWriter(&f, 9)
	gzipped, zipped, flat := packed(gzip.NewWriter(&g), &g), packed(zlib.NewWriter(&z), &z), packed(raw, &f)
	for _, test := range []struct{ encoding, body, want string }{
		{"gzip", gzipped, "text"},
		{"x-gzip", gzipped, "text"},
		{" GZIP ", gzipped, "text"},
		{"deflate", zipped, "text"},
		{"deflate", flat, "text"},
		{"gzip", "{}", "{}"},
		{"deflate", "{}", "{}"},
		{"deflate", "[1]", "[1]"},
		{"deflate", "<a/>", "<a/>"},
		{"deflate", " {}", " {}"},
		{"deflate", "", ""},
		{"gzip", "", ""},
		{"gzip", "\x1f", "\x1f"},
		{"gzip", "\x1fx", "\x1fx"},
		{"gzip", "x\x8b", "x\x8b"},
		{"identity", zipped, zipped},
		{"", zipped, zipped},
		{"", flat, flat},
		{"br", gzipped, gzipped},
	} {
		response := &http.Response{StatusCode: 200, Header: http.Header{"Content-Encoding": {test.encoding}}, Body: io.NopCloser(strings.NewReader(test.body)), ContentLength: -1}
		if a := read(response, 100); a.cut != nil || string(a.body) != test.want {
			t.Errorf("%q of %q is %q (%v), want %q", test.encoding, test.body, a.body, a.cut, test.want)
		}
	}
	for bytes, zlib := range map[string]bool{"\x78\x9c": true, "\x78\x01": true, "\x78\x9d": false, "\x79\x18": false, "\x78": false, "": false} {
		if isZlib([]byte(bytes)) != zlib {
			t.Errorf("% x: %t", bytes, !zlib)
		}
	}
}

// An answer says that it is empty where its length or its chunks do.
func TestEmptyIsWhatSaysSo(t *testing.T) {
	for i, test := range []struct {
		length  int64
		coding  []string
		body    string
		empty   bool
		tooLong bool
	}{
		{0, nil, "", true, false},
		{-1, []string{"chunked"}, "", true, false},
		{-1, nil, "", false, false},
		{2, nil, "{}", false, false},
		{-1, []string{"chunked"}, "{}", false, false},
		{11, nil, "12345678901", false, true},
		{10, nil, "1234567890", false, false},
	} {
		a := read(&http.Response{ContentLength: test.length, TransferEncoding: test.coding, Body: io.NopCloser(strings.NewReader(test.body))}, 10)
		if a.saysEmpty != test.empty || (a.cut != nil) != test.tooLong {
			t.Errorf("%d: empty %t, %v", i, a.saysEmpty, a.cut)
		}
	}
	broken := io.MultiReader(strings.NewReader("12345678901"), failing{})
	if a := read(&http.Response{ContentLength: 20, Body: io.NopCloser(broken)}, 20); !errors.Is(a.cut, errBroken) {
		t.Errorf("%v", a.cut)
	}
}

var errBroken = errors.New("broken")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errBroken }

func TestNumbersAreThoseOfIdentifiers(t *testing.T) {
	for digits, want := range map[string]int64{"": 0, "7": 7, "-7": 0, "x": 0, "7x": 0, "99999999999999999999": 0} {
		if got := number(digits); got != want {
			t.Errorf("%q: %d", digits, got)
		}
	}
	const limit = 5 * time.Minute
	for value, want := range map[string]time.Duration{
		"": 0, "4": 4 * time.Second, "4.5": 4500 * time.Millisecond, "301": limit, "300": limit, "300.5": limit, "-1": 0, "x": 0, ".5": 500 * time.Millisecond,
		strings.Repeat("9", 40): limit, strings.Repeat("9", 400) + ".5": limit,
	} {
		if got := fractionalSeconds(value, limit); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
	begun := time.Unix(1_800_000_000, 0)
	for text, want := range map[string]time.Duration{"60": time.Minute, "0": 0, "99999999999": 0} {
		p := readPair(fmt.Appendf(nil, `{"accessToken":"a","expiresIn":%s}`, text), begun)
		if got := p.Expires; want == 0 != got.IsZero() || want > 0 && got.Sub(begun) != want {
			t.Errorf("expiresIn %s: %v", text, got)
		}
	}
}

// A login is rejected only in the Web Server's own way.
func TestLoginIsRejectedByTheWebServerAlone(t *testing.T) {
	own, foreign := loginAnswer{whole: true, refusing: true}, loginAnswer{}
	for i, test := range []struct {
		e     Error
		l     loginAnswer
		want  Verdict
		rests bool
	}{
		{Error{Status: 429, Verdict: Throttled}, own, Throttled, false},
		{Error{Status: 200, Verdict: Throttled}, own, Throttled, false},
		{Error{Status: 200, Verdict: Unavailable}, own, LoginRejected, false},
		{Error{Status: 200, Verdict: Unavailable}, foreign, Unavailable, false},
		{Error{Status: 500, Verdict: Undecided}, own, Unavailable, false},
		{Error{Status: 401, Verdict: Unauthorized}, own, LoginRejected, false},
		{Error{Status: 403, Verdict: Forbidden}, own, LoginRejected, false},
		{Error{Status: 400, Verdict: Refused}, own, LoginRejected, false},
		{Error{Status: 401, Verdict: Unauthorized}, foreign, Unavailable, true},
		{Error{Status: 403, Verdict: Forbidden, Page: true}, foreign, Unavailable, false},
		{Error{Status: 400, Verdict: Refused, Text: "no"}, foreign, Unavailable, false},
		{Error{Status: 503, Verdict: Unavailable}, own, Unavailable, false},
		{Error{Status: 404, Verdict: NotFound}, foreign, Misconfigured, false},
		{Error{Status: 413, Verdict: TooLarge}, foreign, Misconfigured, false},
	} {
		e := test.e
		if loginVerdict(&e, test.l); e.Verdict != test.want || (e.RetryAfter > 0) != test.rests {
			t.Errorf("%d: %+v becomes %s, and rests %v", i, test.e, e.Verdict, e.RetryAfter)
		}
	}
	for value, locked := range map[string]bool{"true": true, "1": true, `"true"`: true, "false": false, "0": false} {
		l := readLogin(answer{status: 200, body: []byte(`{"isAccountLocked":` + value + `,"remainingLockTime":60}`)})
		if l.lockedOut != locked || (l.locked > 0) != locked {
			t.Errorf("%s: %+v", value, l)
		}
	}
	for token, good := range map[string]bool{"": false, "x": true, "a\nb": false, strings.Repeat("x", 16<<10): true, strings.Repeat("x", 16<<10+1): false} {
		if (usable(token) == nil) != good {
			t.Errorf("a token of %d bytes can be used: %t", len(token), !good)
		}
	}
}

// A list of sessions is rows, or says itself that it is one.
func TestListsOfSessionsAreKnown(t *testing.T) {
	const row = `{"sessionId":"` + guid + `","userId":7,"loginTime":1700000000}`
	for body, rows := range map[string]int{
		`{"sessions":[` + row + `]}`: 1, `{"a":{"sessions":[` + row + `,` + row + `]}}`: 2, `{"sessions":[]}`: 0, `{"a":[],"sessions":[]}`: 0, `{"sessions":[],"a":[]}`: 0,
		`<GetUserSessionsResponse/>`: 0, `<DM2ContentIndexing_GetSessionsResp></DM2ContentIndexing_GetSessionsResp>`: 0,
		`{"sessions":{"row":[` + row + `],"b":{"x":1}}}`: 1, `<html><sessions sessionId="` + guid + `" userId="7"/></html>`: -1,
		`{"a":[]}`: -1, `{}`: -1, `{"sessions":[{}]}`: -1, `{"sessions":["x"]}`: -1, `{"sessions":{"a":1}}`: -1, `<GetUserSessionsResponse a="1"/>`: -1, `<x><GetUserSessionsResponse/></x>`: -1,
		`<GetUserSessionsResponse><b/></GetUserSessionsResponse>`: -1, `<LogoutResponse/>`: -1,
		`{"sessions":[{"sessionId":"` + guid + `"}]}`: -1, `{"sessions":[{"sessionId":"","userId":7}]}`: -1, `{"sessions":[{"sessionId":"a\u0001b","userId":7}]}`: -1,
		`{"sessions":[{"sessionId":"` + guid + `","userId":7,"loginTime":"soon"}]}`: -1, `{"sessions":[{"sessionId":"` + guid + `","userId":7,"logoutTime":"soon"}]}`: -1,
		`{"sessions":[{"sessionId":"` + strings.Repeat("a", maxSessionID+1) + `","userId":7}]}`: -1,
	} {
		got, err := readSessions(answer{status: 200, body: []byte(body)})
		if (err != nil) != (rows < 0) || err == nil && len(got) != rows {
			t.Errorf("%.80s: %d rows, %v", body, len(got), err)
		}
	}
	at := time.Unix(1_700_000_000, 0)
	for i, test := range []struct {
		l     Listing
		login time.Time
		want  bool
	}{
		{Listing{Complete: true}, time.Time{}, true},
		{Listing{}, at, false},
		{Listing{since: at}, time.Time{}, false},
		{Listing{since: at}, at, false},
		{Listing{since: at}, at.Add(time.Second), true},
		{Listing{since: at}, at.Add(time.Second - 1), false},
	} {
		if test.l.Covers(test.login) != test.want {
			t.Errorf("%d: %t", i, !test.want)
		}
	}
}

// What stands twice counts as it stood first, and what is inside an object is known from outside.
func TestObjectsKeepTheFirstValue(t *testing.T) {
	var names []string
	err := readObjects(answer{body: []byte(`{"a":"","A":"1","a":"2","in":{"b":"3","deep":{"c":"4"}}}`)}, func(string) {}, func(o *object) {
		names = append(names, fmt.Sprint(o.name, o.first("a"), o.first("in.b"), o.first("in.deep.c"), o.within("in")))
	})
	if want := []string{"deeptrue", "infalse", "13false"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("%q, %v, want %q", names, err, want)
	}
}

// A list of users proves that somebody is missing only where it is whole.
func TestListsOfUsersAreKnown(t *testing.T) {
	user := func(more string) string {
		return `{"userEntity":{"userId":7,"userName":"jane"},"email":"j@x"` + more + `}`
	}
	for body, want := range map[string]struct {
		users  int // -1 where it is no list
		logins bool
	}{
		`{"users":[` + user("") + `]}`:                                    {1, true},
		`{"users":[` + user(`,"fullName":"Jane"`) + `]}`:                  {1, false},
		`{"users":[` + user(`,"fullName":"Jane Doe"`) + `]}`:              {1, true},
		`{"users":[` + user(`,"fullName":"Jane"`) + `,` + user("") + `]}`: {2, false},
		`{"users":[]}`:            {0, true},
		`{"users":[],"other":[]}`: {0, true},
		`{"a":{"users":[` + user("") + `,` + user("") + `]}}`: {2, true},
		`{"a":[]}`:                        {-1, false},
		`{}`:                              {-1, false},
		`{"users":["jane"]}`:              {-1, false},
		`{"users":[{"userName":"jane"}]}`: {-1, false},
		`{"users":[` + user("") + `]`:     {-1, false},
		`<Resp><users userId="7" userName="jane" email="j@x"/></Resp>`:   {1, true},
		`{"users":[` + user(`,"users":[{"userId":8,"name":"x"}]`) + `]}`: {1, true},
	} {
		p, err := readUsers(answer{status: 200, body: []byte(body)})
		if (err != nil) != (want.users < 0) || err == nil && (len(p.users) != want.users || p.logins != want.logins) {
			t.Errorf("%s: %d users, logins %t, %v", body, len(p.users), p.logins, err)
		}
	}
	if p, err := readUsers(answer{status: 200, body: []byte(`{"users":[` + user("") + `,{"userId":8}]}`)}); err != nil || !p.addresses {
		t.Errorf("addresses of one user only: %t, %v", p.addresses, err)
	}
	two := []User{{ID: 1}, {ID: 2}}
	for i, test := range []struct {
		p      people
		counts bool
		whole  bool
	}{
		{people{users: two, total: 2, addresses: true}, true, true},
		{people{users: two, total: 3, addresses: true}, true, false},
		{people{users: two, total: 3, addresses: true}, false, false},
		{people{users: two, addresses: true}, true, false},
		{people{users: two, addresses: true}, false, true},
		{people{users: two, total: 2}, true, false},
		{people{addresses: true}, false, false},
	} {
		if (test.p.doubt(test.counts) == nil) != test.whole {
			t.Errorf("%d: %v", i, test.p.doubt(test.counts))
		}
	}
}

// One user is the only one of a list, or an object of that id.
func TestOneUserIsKnownByID(t *testing.T) {
	for body, good := range map[string]bool{
		`{"users":[{"userEntity":{"userId":7,"userName":"jane"}}]}`: true, `{"users":[{"userEntity":{"userId":8,"userName":"jane"}}]}`: false,
		`{"userId":7,"name":"jane"}`: true, `{"id":7,"name":"jane","company":{"id":9,"name":"c"}}`: true, `{"data":{"id":7,"name":"jane"}}`: true, `{"user":{"id":7,"name":"jane"}}`: true,
		`{"other":{"id":7,"name":"jane"}}`: false, `{"id":8,"name":"jane"}`: false, `{}`: false, `{"id":7`: false, `{"users":[]}`: false,
		`{"users":[{"userId":7,"name":"a"},{"userId":8,"name":"b"}]}`: false,
		`{"data":{"id":7,"name":"jane"},`:                             false, `{"id":7,"name":"jane","users":[]}`: false,
	} {
		u, err := readUser(answer{status: 200, body: []byte(body)}, 7)
		if (err == nil) != good || good && (u.ID != 7 || u.Name != "jane") {
			t.Errorf("%s: %+v, %v", body, u, err)
		}
	}
	for i, test := range []struct {
		a    answer
		want bool
	}{
		{answer{status: 404, body: []byte(`{"errorCode":5}`)}, true},
		{answer{status: 400, body: []byte(`{"errorCode":5}`)}, false},
		{answer{status: 404, body: []byte(`{"a":5}`)}, false},
		{answer{status: 404, body: []byte(`{"errorCode":5`)}, false},
		{answer{status: 404, body: []byte("<html></html>")}, false},
	} {
		if denies(test.a) != test.want {
			t.Errorf("%d: %t", i, !test.want)
		}
	}
	for full, shows := range map[string]bool{"": false, "JANE": false, "Jane Doe": true} {
		if (User{Name: "jane", Full: full}).showsLogin() != shows {
			t.Errorf("%q: %t", full, !shows)
		}
	}
}

// Trouble on the way through a proxy is the proxy's.
func TestProxyIsBlamedForItsOwnAnswers(t *testing.T) {
	for err, blamed := range map[error]bool{
		&net.OpError{Op: "proxyconnect", Err: io.EOF}: true, &net.OpError{Op: "dial", Err: io.EOF}: false, &proxyError{"403"}: true, io.EOF: false,
	} {
		if throughProxy(err) != blamed {
			t.Errorf("%v: %t", err, !blamed)
		}
	}
	for status, good := range map[int]bool{200: true, 403: false, 407: false} {
		if (proxyAnswered(t.Context(), nil, nil, &http.Response{StatusCode: status}) == nil) != good {
			t.Errorf("%d: good %t", status, !good)
		}
	}
}

// The encoding is blamed where it is what hides an answer that nobody knows, and nowhere else.
func TestEncodingIsBlamedForWhatItHides(t *testing.T) {
	c := &Client{}
	for name, test := range map[string]struct {
		status         int
		encoding, body string
		want           string // of the hint, its beginning; empty for none
	}{
		"hidden":            {200, "br", "\x1b\x03\xff", "not an answer that is known; its encoding is said to be br"},
		"a server in need":  {503, "br", "\x1b\x03\xff", ""},
		"no encoding":       {200, "", "\x1b\x03\xff", ""},
		"nothing to hide":   {200, "br", "", "an answer without a body"},
		"an answer in text": {200, "identity", `{"status":"OK"}`, ""},
	} {
		a := answer{op: OpLogoff, status: test.status, header: http.Header{"Content-Encoding": {test.encoding}}, body: []byte(test.body)}
		if e := c.judgeLogoff(a); e == nil || !strings.HasPrefix(e.hint, test.want) || test.want == "" && e.hint != "" {
			t.Errorf("%s: %v, with the hint %q", name, e, e.hint)
		}
	}
}

// Why an answer could not be read is told where nothing else says what it is.
func TestWhyAnAnswerWasNotReadIsToldWhereNothingElseIs(t *testing.T) {
	c, why := &Client{}, errors.New("no list")
	for name, test := range map[string]struct {
		status int
		body   string
		want   Verdict
		told   bool
	}{
		"no list":                 {200, `{"a":1}`, Unavailable, true},
		"words":                   {200, "starting", Unavailable, false},
		"a page without a title":  {200, "<html></html>", Unavailable, false},
		"a server that is down":   {503, `{"a":1}`, Unavailable, false},
		"a verdict without words": {200, `["invalid token"]`, Unauthorized, false},
	} {
		e := c.unread(answer{op: OpSessions, status: test.status, body: []byte(test.body)}, why)
		if e == nil || e.Verdict != test.want || (e.Err != nil) != test.told {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

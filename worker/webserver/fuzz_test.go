package webserver

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// FuzzClassify has any answer judged: it never panics, success has one spelling, and what is shown
// of the rest is harmless.
func FuzzClassify(f *testing.F) {
	for _, body := range []string{
		successElement, "\uFEFF<?xml version=\"1.0\"?>\n<Api_LogoffUsersResponse></Api_LogoffUsersResponse>", successElement + successElement,
		generic500, maintenance, iisPage, wcfPage, "{}", "", "Invalid authorization token provided.",
		`<R><errors><errList errorCode="6" errLogMessage="a"/></errors></R>`, `{"a":[{"errorCode":"x"}`, "QSDK 3canary",
		`<Api_LogoffUsersResponse xmlns:i='http://www.w3.org/2001/XMLSchema-instance' xmlns="" errorCode="0" errorMessage='' />`,
	} {
		f.Add(200, "Retry-After", "5", body, false)
		f.Add(201, "A", "b", body, false)
		f.Add(429, "Location", "https://u:3canary@h/p?q", body, true)
	}
	f.Fuzz(func(t *testing.T, status int, name, value, body string, broken bool) {
		c, err := New(Config{URL: "https://web.example/api", Token: fixed("QSDK 3canary")})
		if err != nil {
			t.Fatal(err)
		}
		c.remember("QSDK 3canary")
		at, _ := url.Parse("https://web.example/api/Sessions")
		a := answer{op: "logoff", url: at, status: status, header: http.Header{}, body: []byte(body), saysEmpty: body == ""}
		a.header.Set(name, value)
		if broken {
			a.cut = errors.New("cut off")
		}
		e := c.judgeLogoff(a)
		if e == nil {
			if status != 200 && status != 201 || broken || !strict(body) {
				t.Fatalf("%d %q is accepted", status, body)
			}
			return
		}
		if e.Verdict <= Accepted || e.Verdict > Unavailable || e.RetryAfter < 0 || e.RetryAfter > 5*time.Minute {
			t.Fatalf("%+v", e)
		}
		for _, shown := range []string{e.Text, e.Location, e.Error()} {
			if !utf8.ValidString(shown) || strings.ContainsFunc(shown, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Fatalf("not printable: %q", shown)
			}
			if strings.Contains(shown, "3canary") {
				t.Fatalf("a secret: %q", shown)
			}
		}
		if len(e.Text) > maxText || len(e.Location) > maxText {
			t.Fatalf("%d bytes of text", len(e.Text))
		}
	})
}

// strict is success told in another way than the client's, by a parser: one root of that name, nothing else but white
// space, and no attribute that says anything.
func strict(body string) bool {
	body = strings.TrimLeft(strings.TrimPrefix(body, "\uFEFF"), " \t\r\n")
	if rest, declared := strings.CutPrefix(body, "<?xml"); declared { // whatever version or encoding it tells
		_, body, _ = strings.Cut(rest, "?>")
	}
	d := xml.NewDecoder(strings.NewReader(body))
	for roots := 0; ; {
		token, err := d.Token()
		if err != nil {
			return errors.Is(err, io.EOF) && roots == 1
		}
		switch token := token.(type) {
		case xml.StartElement:
			if roots++; token.Name != (xml.Name{Local: "Api_LogoffUsersResponse"}) || slices.ContainsFunc(token.Attr, talks) {
				return false
			}
		case xml.EndElement:
		case xml.CharData:
			if strings.Trim(string(token), " \t\r\n") != "" {
				return false
			}
		default:
			return false
		}
	}
}

// talks reports whether an attribute says something.
func talks(a xml.Attr) bool {
	switch {
	case a.Name.Space == "xmlns":
		return !strings.HasPrefix(a.Value, "http://www.w3.org/2001/XMLSchema")
	case a.Name.Space != "":
		return true
	case a.Name.Local == "errorCode":
		return a.Value != "0"
	}
	return a.Value != "" || a.Name.Local != "errorMessage" && a.Name.Local != "xmlns"
}

func FuzzRetryAfter(f *testing.F) {
	for _, value := range []string{"5", "-1", "99999999999999999999", "Mon, 23 Nov 2026 10:00:00 GMT", "Monday, 23-Nov-26 10:00:00 GMT", "", "1e9"} {
		f.Add(value, "Mon, 23 Nov 2026 09:59:00 GMT", value)
		f.Add(value, "", "")
	}
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value, date, period string) {
		header := http.Header{"Retry-After": {value}, "Date": {date}, "X-Ratelimit-Period": {period}}
		for _, got := range []time.Duration{retryAfter(header, now, time.Minute), rateLimitPeriod(header, time.Minute)} {
			if got < 0 || got > time.Minute {
				t.Fatalf("%q at %q, %q: %v", value, date, period, got)
			}
		}
	})
}

// FuzzLogin has any answer to a login read: a token is taken from a complete one alone.
func FuzzLogin(f *testing.F) {
	for _, body := range []string{
		`{"token":"QSDK 3a","aliasName":"1"}`, `{"data":{"authToken":"t"}}`, `<R token="QSDK 3a"/>`, `{"R":{"@token":"t"}}`, maintenance,
		`{"isAccountLocked":true,"remainingLockTime":60,"errList":[{"errorCode":1116,"errLogMessage":"bad"}]}`, `{"token":"a\nb"}`, `{"token":"t"`,
	} {
		f.Add(200, body)
		f.Add(403, body)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		l := readLogin(answer{op: "login", status: status, body: []byte(body)})
		if l.complete() && (status/100 != 2 || !l.whole || usable(l.token) != nil || !strings.Contains(strings.ToLower(body), "token")) {
			t.Fatalf("%d %q gives %+v", status, body, l)
		}
		if l.locked < 0 || l.locked > maxLocked {
			t.Fatalf("locked for %v", l.locked)
		}
	})
}

// FuzzSessions has any answer read as a list of sessions: what is taken for one says what it should.
func FuzzSessions(f *testing.F) {
	for _, body := range []string{
		list(captured), list(), list(captured, listed(emc, 7, 5, 6, "")), "{}", `{"sessions":null}`, `{"sessions":["x"]}`, `{"sessions":[{}]}`, maintenance, generic500,
		`<Api_GetSessionsResponse/>`, `<Api_GetSessionsResponse><sessions sessionId="a" loginTime="1"><user userId="1"/></sessions></Api_GetSessionsResponse>`,
		`{"a":{"@sessions":{"@sessionId":"x","@userId":"1"}}}`, `{"sessions":[{"sessionId":"x","user":{"userId":9223372036854775808}}]}`, "<a><b>", "",
	} {
		f.Add(200, body, false)
		f.Add(200, body, true)
		f.Add(404, body, false)
	}
	f.Fuzz(func(t *testing.T, status int, body string, broken bool) {
		c, err := New(Config{URL: "https://web.example/api", Token: fixed("QSDK 3canary")})
		if err != nil {
			t.Fatal(err)
		}
		a := answer{op: "sessions", status: status, header: http.Header{}, body: []byte(body)}
		if broken {
			a.cut = errors.New("cut off")
		}
		rows, e := c.judgeSessions(a, 1)
		if e != nil {
			if rows != nil || e.Verdict <= Accepted || e.Verdict > Unavailable {
				t.Fatalf("%+v", e)
			}
			return
		}
		if status != 200 || broken || rows == nil || isPage(content(a)) {
			t.Fatalf("%d %q is a list of %d", status, body, len(rows))
		}
		for _, row := range rows {
			if row.UserID != 1 || misfit(row.ID) != "" || row.LoginTime.Year() > 9999 || row.LogoutTime.Year() > 9999 {
				t.Fatalf("%q gives %+v", body, row)
			}
		}
		l := c.listing(rows, 1)
		if l.Complete && len(rows) >= listCap || len(l.Sessions) != len(rows) {
			t.Fatalf("%d rows: %t", len(rows), l.Complete)
		}
		for i := range l.Sessions {
			if i > 0 && l.Sessions[i].LoginTime.After(l.Sessions[i-1].LoginTime) {
				t.Fatal("not the newest first")
			}
			if row, found := l.Find(l.Sessions[i].ID); !found || !strings.EqualFold(row.ID, l.Sessions[i].ID) {
				t.Fatalf("%q is not found", l.Sessions[i].ID)
			}
		}
	})
}

// FuzzUsers has any answer read as users: whoever is taken for one has an id, and is who was asked for.
func FuzzUsers(f *testing.F) {
	for _, body := range []string{
		v4Jane, v4List(v4Jane, v4Max), oldList(oldJane, oldMax), oldList(), unknownUser, "{}", `{"users":["x"]}`, `{"users":{"users":{"id":7}}}`, maintenance, generic500,
		`<R><users email="x"><userEntity userId="7" userName="jane"/></users></R>`, `{"user":{"id":"7"}}`, `{"id":7,"users":[{}]}`, `{"numberOfUsers":"9","users":[{"id":1}]}`,
	} {
		f.Add(200, body)
		f.Add(404, body)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		a := answer{op: "user", status: status, header: http.Header{}, body: []byte(body)}
		p, err := readUsers(a)
		for _, u := range p.users {
			if err == nil && u.ID <= 0 || !utf8.ValidString(u.Name+u.Email+u.UPN) {
				t.Fatalf("%q gives %+v", body, u)
			}
		}
		if p.doubt(false) == nil && (len(p.users) == 0 || p.total > int64(len(p.users))) {
			t.Fatalf("no doubt about %q", body)
		}
		if u, err := readUser(a, 7); err == nil && u.ID != 7 {
			t.Fatalf("%q gives %+v", body, u)
		}
		c, err := New(Config{URL: "https://web.example/api", Token: fixed("QSDK 3canary")})
		if err != nil {
			t.Fatal(err)
		}
		e := c.lookedUp(a, errors.New("not read"))
		if e == nil || errors.Is(e, ErrNoUser) && (status/100 == 5 || e.Verdict != NotFound || e.Page) {
			t.Fatalf("%d %q: %+v", status, body, e)
		}
	})
}

// FuzzPair has any answer read as a pair: tokens are taken as they stand in it, and are never shown.
func FuzzPair(f *testing.F) {
	for _, body := range []string{
		renewedBody, strings.Replace(renewedBody, "tokenExpiryTimestamp", "tokenExpiryTimes}amp", 1), `{"accessToken":"a","refreshToken":"r","expiresIn":1800}`,
		`<R accessToken="a" refreshToken="b"/>`, `{"accessToken":"a\u0041","refreshToken":"\`, `{"accessToken":"a`, maintenance, "",
	} {
		f.Add(200, body)
		f.Add(450, body)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		begun := time.Unix(1000, 0)
		p := readPair([]byte(body), begun)
		if !p.Expires.IsZero() && p.Expires.Unix() < 1 || p.Expires.Year() > 9999 || p.RenewableUntil.Year() > 9999 {
			t.Fatalf("%q gives %v, %v", body, p.Expires, p.RenewableUntil)
		}
		lower := strings.ToLower(body)
		if p.Access != "" && !strings.Contains(lower, "accesstoken") || p.Refresh != "" && !strings.Contains(lower, "refreshtoken") {
			t.Fatalf("%q gives %q, %q", body, p.Access, p.Refresh)
		}
		c, err := New(Config{URL: "https://web.example/api", Token: fixed("QSDK 3canary")})
		if err != nil {
			t.Fatal(err)
		}
		c.secrets.add("3canary")
		e := c.pairVerdict(answer{op: "token", status: status, header: http.Header{}, body: []byte(body)})
		if e.Verdict <= Accepted || e.Verdict > Unavailable || strings.Contains(e.Error(), "3canary") {
			t.Fatalf("%+v", e)
		}
		if in4xx := status/100 == 4; in4xx && e.Sent || status/100 == 5 && status != 501 && !e.Sent || status/100 == 2 && !e.Sent {
			t.Fatalf("%d: sent is %t", status, e.Sent)
		}
	})
}

func BenchmarkClassify(b *testing.B) {
	for name, body := range map[string]string{"success": successElement, "error": generic500, "page": iisPage + strings.Repeat("x", 4000)} {
		b.Run(name, func(b *testing.B) {
			c, err := New(Config{URL: "https://web.example/api", Token: fixed("QSDK 3canary")})
			if err != nil {
				b.Fatal(err)
			}
			a := answer{op: "logoff", status: 200, header: http.Header{}, body: []byte(body)}
			b.ReportAllocs()
			for b.Loop() {
				c.judgeLogoff(a)
			}
		})
	}
}

package webserver

import (
	"errors"
	"net/http"
	"net/url"
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
	} {
		f.Add(200, "Retry-After", "5", body, false)
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
			if status != 200 || broken || !strict(body) {
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

// strict is success told in another way than the client's: nothing but the tags is left when mark,
// declaration and white space are taken away.
func strict(body string) bool {
	body = strings.TrimPrefix(body, "\uFEFF")
	body = strings.TrimLeft(body, " \t\r\n")
	if rest, declared := strings.CutPrefix(body, "<?xml"); declared {
		_, body, _ = strings.Cut(rest, "?>")
	}
	body = strings.NewReplacer(" ", "", "\t", "", "\r", "", "\n", "").Replace(body)
	return body == "<Api_LogoffUsersResponse/>" || body == "<Api_LogoffUsersResponse></Api_LogoffUsersResponse>"
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

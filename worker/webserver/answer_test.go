package webserver

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const (
	iisPage     = "\r\n<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Strict//EN\" \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd\"><html><head><title>404 - File or directory not found.</title></head><body/></html>"
	wcfPage     = `<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "x"><html><head><title>Service</title></head></html>`
	maintenance = `<html><head><title>Scheduled Maintenance</title></head><body>back soon</body></html>`
	generic500  = "{\r\"error\":{\r\"errorMessage\":\"Something is not right. Please check web service logs for details\",\"errorCode\":500\r}\r}"
)

func TestEveryAnswerHasItsVerdict(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		body   string
		header string // "Name: value"
		want   Error
	}{
		{name: "documented success", status: 200, body: successElement, want: Error{Verdict: Accepted}},
		{name: "no blank", status: 200, body: `<Api_LogoffUsersResponse/>`, want: Error{Verdict: Accepted}},
		{name: "two tags", status: 200, body: `<Api_LogoffUsersResponse></Api_LogoffUsersResponse>`, want: Error{Verdict: Accepted}},
		{name: "two tags, white space", status: 200, body: "<Api_LogoffUsersResponse>\r\n</Api_LogoffUsersResponse >\r\n", want: Error{Verdict: Accepted}},
		{name: "mark and declaration", status: 200, body: "\uFEFF<?xml version=\"1.0\" encoding=\"utf-8\" standalone=\"no\"?>\r\n" + successElement, want: Error{Verdict: Accepted}},
		{name: ".NET declaration", status: 200, body: `<?xml version="1.0" encoding="utf-16"?>` + successElement, want: Error{Verdict: Accepted}},
		{name: "lying type", status: 200, body: successElement, header: "Content-Type: text/html", want: Error{Verdict: Accepted}},

		{name: "empty 200", status: 200, want: Error{Verdict: Unavailable, Sent: true, Unknown: true}},
		{name: "empty 204", status: 204, want: Error{Verdict: Unavailable, Sent: true, Unknown: true}},
		{name: "success with 201", status: 201, body: successElement, want: Error{Verdict: Accepted}},
		{name: "silent code", status: 200, body: `<Api_LogoffUsersResponse errorCode="0"/>`, want: Error{Verdict: Accepted}},
		{name: "silent code and message", status: 200, body: `<Api_LogoffUsersResponse errorCode='0' errorMessage="" />`, want: Error{Verdict: Accepted}},
		{name: "schema namespaces", status: 200, body: `<?xml version="1.0"?><Api_LogoffUsersResponse xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema" />`, want: Error{Verdict: Accepted}},
		{name: "another namespace", status: 200, body: `<Api_LogoffUsersResponse xmlns="http://x"/>`, want: Error{Verdict: Unavailable, Sent: true, Unknown: true, Text: `<Api_LogoffUsersResponse xmlns="http://x"/>`}},
		{name: "prefix that is another's", status: 200, body: `<Api_LogoffUsersResponse xmlns:xsi="http://x"/>`, want: Error{Verdict: Unavailable, Sent: true, Unknown: true, Text: `<Api_LogoffUsersResponse xmlns:xsi="http://x"/>`}},
		{name: "code with a message", status: 200, body: `<Api_LogoffUsersResponse errorCode="0" errorMessage="later"/>`, want: Error{Verdict: Unavailable, Sent: true, Unknown: true, Text: "later"}},
		{name: "no code of ours", status: 200, body: `<Api_LogoffUsersResponse status="0"/>`, want: Error{Verdict: Unavailable, Sent: true, Unknown: true, Text: `<Api_LogoffUsersResponse status="0"/>`}},
		{name: "code in a child", status: 200, body: `<Api_LogoffUsersResponse><error errorCode="0"/></Api_LogoffUsersResponse>`, want: Error{Verdict: Unavailable, Sent: true, Unknown: true, Text: `<Api_LogoffUsersResponse><error errorCode="0"/></Api_LogoffUsersResponse>`}},
		{name: "success with 202", status: 202, body: successElement, want: Error{Verdict: Unavailable, Sent: true, Unknown: true, Text: successElement}},
		{name: "namespace of a data contract", status: 200, body: `<Api_LogoffUsersResponse xmlns:i="http://www.w3.org/2001/XMLSchema-instance" xmlns='' />`, want: Error{Verdict: Accepted}},
		{name: "root in a namespace", status: 200, body: `<Api_LogoffUsersResponse xmlns="http://www.w3.org/1999/xhtml"/>`, want: Error{Verdict: Unavailable, Sent: true, Unknown: true, Text: `<Api_LogoffUsersResponse xmlns="http://www.w3.org/1999/xhtml"/>`}},
		{name: "code that is nearly none", status: 200, body: `<Api_LogoffUsersResponse errorCode="00"/>`, want: Error{Verdict: Refused, Sent: true, Text: "errorCode 00"}},
		{name: "attribute with code", status: 200, body: `<Api_LogoffUsersResponse errorCode="7" errorMessage="no"/>`, want: Error{Verdict: Refused, Sent: true, Text: "no (errorCode 7)"}},
		{name: "child", status: 200, body: `<Api_LogoffUsersResponse><x/></Api_LogoffUsersResponse>`, want: Error{Verdict: Unavailable, Sent: true, Unknown: true, Text: `<Api_LogoffUsersResponse><x/></Api_LogoffUsersResponse>`}},
		{name: "text inside", status: 200, body: `<Api_LogoffUsersResponse>x</Api_LogoffUsersResponse>`, want: Error{Verdict: Unavailable, Sent: true, Unknown: true, Text: `<Api_LogoffUsersResponse>x</Api_LogoffUsersResponse>`}},
		{name: "comment", status: 200, body: `<Api_LogoffUsersResponse/><!-- x -->`, want: Error{Verdict: Unavailable, Sent: true, Unknown: true, Text: `<Api_LogoffUsersResponse/><!-- x -->`}},
		{name: "two roots", status: 200, body: successElement + successElement, want: Error{Verdict: Unavailable, Sent: true, Unknown: true, Text: successElement + successElement}},
		{name: "trailing junk", status: 200, body: successElement + "x", want: Error{Verdict: Unavailable, Sent: true, Unknown: true, Text: successElement + "x"}},
		{name: "DOCTYPE", status: 200, body: `<!DOCTYPE x>` + successElement, want: Error{Verdict: Unavailable, Sent: true, Unknown: true, Text: `<!DOCTYPE x>` + successElement}},
		{name: "DOCTYPE before an error", status: 200, body: `<!DOCTYPE x><error errorCode="7"/>`, want: Error{Verdict: Unavailable, Sent: true, Unknown: true, Text: `<!DOCTYPE x><error errorCode="7"/>`}},
		{name: "other root", status: 200, body: `<Api_LogoffUsersResponses/>`, want: Error{Verdict: Unavailable, Sent: true, Unknown: true, Text: `<Api_LogoffUsersResponses/>`}},
		{name: "other case", status: 200, body: `<api_logoffusersresponse/>`, want: Error{Verdict: Unavailable, Sent: true, Unknown: true, Text: `<api_logoffusersresponse/>`}},
		{name: "cut off", status: 200, body: `<Api_LogoffUsersResp`, want: Error{Verdict: Unavailable, Sent: true, Unknown: true, Text: `<Api_LogoffUsersResp`}},
		{name: "JSON success", status: 200, body: `{}`, want: Error{Verdict: Unavailable, Sent: true, Unknown: true, Text: `{}`}},
		{name: "JSON success with code", status: 200, body: `{"errorMessage":"","errorCode":0}`, want: Error{Verdict: Unavailable, Sent: true, Unknown: true, Text: `{"errorMessage":"","errorCode":0}`}},
		{name: "page", status: 200, body: maintenance, want: Error{Verdict: Unavailable, Sent: true, Page: true, Text: "Scheduled Maintenance"}},
		{name: "page after a declaration", status: 200, body: wcfPage, want: Error{Verdict: Unavailable, Sent: true, Page: true, Text: "Service"}},
		{name: "page that mentions a token", status: 200, body: `<html><title>Invalid token</title></html>`, want: Error{Verdict: Unavailable, Sent: true, Page: true, Text: "Invalid token"}},
		{name: "sentence", status: 200, body: "All is  well\nhere", want: Error{Verdict: Unavailable, Sent: true, Unknown: true, Text: "All is well here"}},
		{name: "not text, with words", status: 200, body: "\xff\xfe\xfd the token has expired", want: Error{Verdict: Unavailable, Sent: true, Unknown: true}},
		{name: "not text", status: 200, body: "\x1f\x8b\x08\x00\xff\xfe", want: Error{Verdict: Unavailable, Sent: true, Unknown: true}},

		{name: "wrapped", status: 200, body: generic500, want: Error{Verdict: Refused, Sent: true, Text: "Something is not right. Please check web service logs for details (errorCode 500)"}},
		{name: "wrapped success", status: 200, body: `{"error":{"errorMessage":"done","errorCode":200}}`, want: Error{Verdict: Unavailable, Sent: true, Unknown: true, Text: "done"}},
		{name: "flat, number as text", status: 200, body: `{"errorMessage":"bad id","errorCode":"-32000"}`, want: Error{Verdict: Refused, Sent: true, Text: "bad id (errorCode -32000)"}},
		{name: "per entity", status: 200, body: `{"response":[{"errorString":"","errorCode":0},{"errorString":"ended","errorCode":2,"entity":{"userId":1}}]}`, want: Error{Verdict: Refused, Sent: true, Text: "ended (errorCode 2)"}},
		{name: "list", status: 200, body: `{"errList":[{"errorCode":3,"errLogMessage":"m"}]}`, want: Error{Verdict: Refused, Sent: true, Text: "m (errorCode 3)"}},
		{name: "V10", status: 200, body: `{"App_GenericResp":{"@errorCode":"4","@errorMessage":"m"}}`, want: Error{Verdict: Refused, Sent: true, Text: "m (errorCode 4)"}},
		{name: "XML root", status: 200, body: `<?xml version="1.0"?><CVGui_GenericResp errorMessage="m" errorCode="5"/>`, want: Error{Verdict: Refused, Sent: true, Text: "m (errorCode 5)"}},
		{name: "XML child", status: 200, body: `<R><errors><errList errorCode="6" errLogMessage="a &amp; b"/></errors></R>`, want: Error{Verdict: Refused, Sent: true, Text: "a & b (errorCode 6)"}},
		{name: "XML text", status: 200, body: `<R><errorCode>6</errorCode><errorMessage>m</errorMessage></R>`, want: Error{Verdict: Refused, Sent: true, Text: "m (errorCode 6)"}},
		{name: "error cut off", status: 200, body: `{"errorMessage":"m","errorCode":5`, want: Error{Verdict: Unavailable, Sent: true, Unknown: true, Text: "m (errorCode 5)"}},
		{name: "two errors", status: 200, body: `{"errorCode":5}{"errorCode":5}`, want: Error{Verdict: Unavailable, Sent: true, Unknown: true, Text: "errorCode 5"}},
		{name: "session that is off", status: 200, body: `{"errorMessage":"User not logged in","errorCode":616}`, want: Error{Verdict: Refused, Sent: true, Text: "User not logged in (errorCode 616)"}},

		{name: "dead token as text", status: 200, body: "Invalid authorization token provided.", want: Error{Verdict: Unauthorized, Sent: true, Text: "Invalid authorization token provided."}},
		{name: "dead token as an error", status: 200, body: `{"errorMessage":"Session expired. Please log in again.","errorCode":1}`, want: Error{Verdict: Unauthorized, Sent: true, Text: "Session expired. Please log in again. (errorCode 1)"}},
		{name: "no permission in a 200", status: 200, body: `<R errorCode="5" errorMessage="User does not have permission to log off others"/>`, want: Error{Verdict: Forbidden, Sent: true, Text: "User does not have permission to log off others (errorCode 5)"}},
		{name: "limit in a 200", status: 200, body: `{"errorMessage":"API rate limit exceeded","errorCode":9}`, header: "Retry-After: 7", want: Error{Verdict: Throttled, Sent: true, Text: "API rate limit exceeded (errorCode 9)", RetryAfter: 7 * time.Second}},
		{name: "size limit in a 200", status: 200, body: `{"errorMessage":"document size limit exceeded","errorCode":9}`, want: Error{Verdict: Refused, Sent: true, Text: "document size limit exceeded (errorCode 9)"}},

		{name: "redirect", status: 302, header: "Location: https://u:p@sso.example/login?token=x#y", want: Error{Verdict: Misconfigured, Location: "https://sso.example/login"}},
		{name: "redirect within", status: 307, header: "Location: /webconsole/login", want: Error{Verdict: Misconfigured, Location: "https://web.example/webconsole/login"}},
		{name: "redirect with a long path", status: 302, header: "Location: https://u:p@sso.example/adfs/services/trust/2005/usernamemixed/SecretsOfTheCommandCenterLogin?wa=wsignin1.0", want: Error{Verdict: Misconfigured, Location: "https://sso.example/adfs/services/trust/2005/usernamemixed/SecretsOfTheCommandCenterLogin"}},
		{name: "redirect to nowhere", status: 301, want: Error{Verdict: Misconfigured}},
		{name: "400", status: 400, body: `{"errorMessage":"m","errorCode":1}`, want: Error{Verdict: Refused, Sent: true, Text: "m (errorCode 1)"}},
		{name: "422", status: 422, want: Error{Verdict: Refused, Sent: true}},
		{name: "412", status: 412, want: Error{Verdict: Refused, Sent: true}},
		{name: "411", status: 411, want: Error{Verdict: Misconfigured}},
		{name: "413", status: 413, want: Error{Verdict: TooLarge}},
		{name: "414", status: 414, want: Error{Verdict: TooLarge}},
		{name: "401 empty", status: 401, want: Error{Verdict: Unauthorized}},
		{name: "401 page", status: 401, body: maintenance, want: Error{Verdict: Unauthorized, Page: true, Text: "Scheduled Maintenance"}},
		{name: "403", status: 403, body: `{"error":{"errorMessage":"m","errorCode":5}}`, want: Error{Verdict: Forbidden, Text: "m (errorCode 5)"}},
		{name: "403 with a token text", status: 403, body: "invalid token", want: Error{Verdict: Forbidden, Text: "invalid token"}},
		{name: "403 page", status: 403, body: `<HTML><title>Blocked</title>`, want: Error{Verdict: Forbidden, Page: true, Text: "Blocked"}},
		{name: "404 page", status: 404, body: iisPage, want: Error{Verdict: NotFound, Page: true, Text: "404 - File or directory not found."}},
		{name: "404 JSON", status: 404, body: `{"errorCode":404}`, want: Error{Verdict: NotFound, Text: "errorCode 404"}},
		{name: "405 page", status: 405, body: maintenance, want: Error{Verdict: Unavailable, Sent: true, Page: true, Text: "Scheduled Maintenance"}},
		{name: "405", status: 405, want: Error{Verdict: Misconfigured}},
		{name: "501", status: 501, want: Error{Verdict: Misconfigured}},
		{name: "407", status: 407, want: Error{Verdict: Misconfigured}},
		{name: "450", status: 450, want: Error{Verdict: Misconfigured}},
		{name: "408", status: 408, want: Error{Verdict: Unavailable, Sent: true}},
		{name: "425", status: 425, want: Error{Verdict: Unavailable, Sent: true}},
		{name: "429", status: 429, want: Error{Verdict: Throttled}},
		{name: "429 seconds", status: 429, header: "Retry-After: 90", want: Error{Verdict: Throttled, RetryAfter: 90 * time.Second}},
		{name: "429 with a fraction", status: 429, header: "Retry-After: 4.5", want: Error{Verdict: Throttled, RetryAfter: 4500 * time.Millisecond}},
		{name: "429 with blanks", status: 429, header: "Retry-After:  4.25 ", want: Error{Verdict: Throttled, RetryAfter: 4250 * time.Millisecond}},
		{name: "429 with a comma", status: 429, header: "Retry-After: 4,5", want: Error{Verdict: Throttled}},
		{name: "429 with an exponent", status: 429, header: "Retry-After: 1e3", want: Error{Verdict: Throttled}},
		{name: "429 with a unit", status: 429, header: "Retry-After: 4.5s", want: Error{Verdict: Throttled}},
		{name: "429 before now", status: 429, header: "Retry-After: -4.5", want: Error{Verdict: Throttled}},
		{name: "429 for ages", status: 429, header: "Retry-After: 99999999999999999999.5", want: Error{Verdict: Throttled, RetryAfter: 5 * time.Minute}},
		{name: "429 period", status: 429, header: "X-RateLimit-Period: 120", want: Error{Verdict: Throttled, RetryAfter: 2 * time.Minute}},
		{name: "429 hour", status: 429, header: "X-RateLimit-Period: 3600", want: Error{Verdict: Throttled, RetryAfter: 5 * time.Minute}},
		{name: "500", status: 500, body: generic500, want: Error{Verdict: Undecided, Sent: true, Text: "Something is not right. Please check web service logs for details (errorCode 500)"}},
		{name: "500 page", status: 500, body: maintenance, want: Error{Verdict: Undecided, Sent: true, Page: true, Text: "Scheduled Maintenance"}},
		{name: "502", status: 502, want: Error{Verdict: Unavailable, Sent: true}},
		{name: "503", status: 503, header: "Retry-After: 30", want: Error{Verdict: Unavailable, Sent: true, RetryAfter: 30 * time.Second}},
		{name: "504", status: 504, want: Error{Verdict: Unavailable, Sent: true}},
		{name: "599", status: 599, want: Error{Verdict: Unavailable, Sent: true}},
		{name: "101", status: 101, want: Error{Verdict: Unavailable, Sent: true}},
		{name: "999", status: 999, want: Error{Verdict: Unavailable, Sent: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := judge(t, test.status, test.header, test.body, false)
			if test.want.Verdict == Accepted {
				if e != nil {
					t.Fatalf("not accepted: %v", e)
				}
				return
			}
			if e == nil {
				t.Fatal("accepted")
			}
			got := Error{Verdict: e.Verdict, Text: e.Text, RetryAfter: e.RetryAfter, Location: e.Location, Sent: e.Sent, Unknown: e.Unknown, Page: e.Page}
			if got != test.want {
				t.Errorf("got  %+v\nwant %+v\nwhich reads %v", got, test.want, e)
			}
		})
	}
}

// judge has a complete answer to a logoff judged.
func judge(t testing.TB, status int, header, body string, acceptEmpty bool) *Error {
	t.Helper()
	c, err := New(Config{URL: "https://web.example/commandcenter/api", Token: fixed("QSDK 3canary"), AcceptEmpty: acceptEmpty})
	if err != nil {
		t.Fatal(err)
	}
	c.remember("QSDK 3canary")
	at, _ := url.Parse("https://web.example/commandcenter/api/Sessions")
	a := answer{op: "logoff", url: at, status: status, header: http.Header{}, body: []byte(body), saysEmpty: body == ""}
	if name, value, found := strings.Cut(header, ": "); found {
		a.header.Set(name, value)
	}
	return c.judgeLogoff(a)
}

func TestEmptyAnswerIsSuccessOnlyWhereItWasAllowed(t *testing.T) {
	for _, status := range []int{200, 204} {
		if e := judge(t, status, "", "", true); e != nil {
			t.Errorf("empty %d: %v", status, e)
		}
		if e := judge(t, status, "", "", false); e == nil || !strings.Contains(e.Error(), "without a body") {
			t.Errorf("empty %d: %v", status, e)
		}
	}
	for _, body := range []string{" ", "{}", maintenance} {
		if judge(t, 200, "", body, true) == nil {
			t.Errorf("%q is accepted", body)
		}
	}
	if judge(t, 500, "", "", true) == nil {
		t.Error("an empty 500 is accepted")
	}
}

func TestErrorsTellOperatorsWhatToLookAt(t *testing.T) {
	for _, test := range []struct {
		status             int
		header, body, want string
	}{
		{503, "", "starting", "logoff: 503 Service Unavailable: starting"},
		{302, "Location: https://sso.example/login", "", "logoff: 302 Found (it points to https://sso.example/login: the base URL is wrong, or a login page stands in front)"},
		{411, "", "", "logoff: 411 Length Required (something in front of the Web Server refuses the request as it is: a request filter, a load balancer or a proxy)"},
		{407, "", "", "logoff: 407 Proxy Authentication Required (the HTTP proxy wants a user name and a password: give them in HTTPS_PROXY, or name the Web Server's host in NO_PROXY)"},
		{302, "Location: https://sso.example/a-path/of-more-than-41-characters-without-a-dot;jsessionid=8F3A?x=1", "", "logoff: 302 Found (it points to https://sso.example/a-path/of-more-than-41-characters-without-a-dot: the base URL is wrong, or a login page stands in front)"},
		{405, "", "", "logoff: 405 Method Not Allowed (something in front of the Web Server blocks the method: WebDAV, a request filter or a proxy)"},
		{404, "", iisPage, "logoff: 404 Not Found: an HTML page: 404 - File or directory not found. (the path of the base URL is wrong, or the document too large for IIS)"},
		{403, "", "no", "logoff: 403 Forbidden: no (the account needs the right to add, delete and modify users, and this address must be allowed)"},
		{200, "", maintenance, "logoff: 200 OK: an HTML page: Scheduled Maintenance (maintenance, a login page in front, or a wrong path in the base URL)"},
		{200, "", "{}", "logoff: 200 OK: {} (not an answer that is known)"},
	} {
		if got := judge(t, test.status, test.header, test.body, false).Error(); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}

func TestTextIsOneShortPrintableLine(t *testing.T) {
	body := "a\x1b[31m\u202e\u2028b\r\n\tc  " + strings.Repeat("ä ", 400)
	e := judge(t, 503, "", body, false)
	if !strings.HasPrefix(e.Text, "a [31m b c ä ä") || len(e.Text) > maxText || !strings.HasSuffix(e.Text, "…") {
		t.Errorf("%d bytes: %q", len(e.Text), e.Text)
	}
}

func TestWhatLooksLikeATokenIsCutOut(t *testing.T) {
	long := "3f" + strings.Repeat("a0", 20)
	e := judge(t, 503, "", "token "+long+" of "+guid+" and "+emc+" by 3canary", false)
	if want := "token [cut] of " + guid + " and " + emc + " by [cut]"; e.Text != want {
		t.Errorf("got %q, want %q", e.Text, want)
	}
}

func TestVerdictsAreMetricLabels(t *testing.T) {
	want := "accepted refused too_large not_found undecided unauthorized login_rejected forbidden throttled misconfigured unavailable"
	var got []string
	for v := Accepted; v <= Unavailable; v++ {
		got = append(got, v.String())
	}
	if strings.Join(got, " ") != want || Verdict(0).String() != "unknown" || Verdict(99).String() != "unknown" {
		t.Errorf("labels %q", got)
	}
}

func TestLongestOfSeveralRetryAfterCounts(t *testing.T) {
	header := http.Header{"Retry-After": {"5", "60", "7"}}
	if got := retryAfter(header, time.Now(), 5*time.Minute); got != time.Minute {
		t.Errorf("%v", got)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	date := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	for _, test := range []struct {
		value, date string
		want        time.Duration
	}{
		{"", "", 0},
		{"0", "", 0},
		{" 30 ", "", 30 * time.Second},
		{"-30", "", 0},
		{"+30", "", 0},
		{"1.5", "", 1500 * time.Millisecond},
		{"4.5", "", 4500 * time.Millisecond},
		{".5", "", 500 * time.Millisecond},
		{"5.", "", 5 * time.Second},
		{"4.5s", "", 0},
		{"1e3", "", 0},
		{"NaN", "", 0},
		{strings.ToLower(date(time.Minute)), "", time.Minute},
		{"soon", "", 0},
		{"300", "", 5 * time.Minute},
		{"301", "", 5 * time.Minute},
		{strings.Repeat("9", 100), "", 5 * time.Minute},
		{date(time.Minute), "", time.Minute},
		{date(-time.Minute), "", 0},
		{date(24 * time.Hour), "", 5 * time.Minute},
		{date(time.Hour + time.Minute), date(time.Hour), time.Minute}, // the server's clock is an hour ahead
		{date(-time.Hour), date(-time.Hour - time.Minute), time.Minute},
	} {
		header := http.Header{"Retry-After": {test.value}}
		if test.date != "" {
			header.Set("Date", test.date)
		}
		if got := retryAfter(header, now, 5*time.Minute); got != test.want {
			t.Errorf("%q at %q: got %v, want %v", test.value, test.date, got, test.want)
		}
	}
}

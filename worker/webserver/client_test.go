package webserver

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestNewReportsEveryProblemWithoutSecrets(t *testing.T) {
	_, err := New(Config{
		URL: "https://canary-user:canary-password@h/api", Token: fixed("canary"), Username: "u",
		Timeout: -1, LoginPause: -1, MaxRetryAfter: -1, UserAgent: "a\nb",
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"URL: ", "credentials: ", "Timeout: ", "LoginPause: ", "MaxRetryAfter: ", "UserAgent: "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "canary") {
		t.Errorf("a secret in:\n%v", err)
	}
}

func TestBaseURL(t *testing.T) {
	for raw, want := range map[string]string{
		"https://h/commandcenter/api/":             "https://h/commandcenter/api",
		"https://h:443/SearchSvc/CVWebService.svc": "https://h:443/SearchSvc/CVWebService.svc",
		"https://h//":                       "https://h/",
		"http://127.0.0.1:81/api":           "http://127.0.0.1:81/api",
		"http://[::1]/api":                  "http://[::1]/api",
		"http://LocalHost/api":              "http://LocalHost/api",
		"http://h/api":                      "URL: plain http",
		"http://127.0.0.1.evil.example/api": "URL: plain http",
		"http://10.0.0.1/api":               "URL: plain http",
		"http://[2001:db8::1]/api":          "URL: plain http",
		"ftp://h/api":                       "URL: must begin",
		"h/api":                             "URL: must begin",
		"":                                  "URL: required",
		"https:///api":                      "URL: names no host",
		"https://h/api?x=canary":            "URL: must end with the path",
		"https://h/api?":                    "URL: must end with the path",
		"https://h/api#":                    "URL: must end with the path",
		"https://canary@h/api":              "URL: must not hold a user name",
		"https://h:canary/api":              "URL: not a URL",
		"https://h/\x00canary":              "URL: not a URL",
	} {
		got, err := baseURL(raw, false)
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, want) || err == nil && got != want || strings.Contains(got, "canary") {
			t.Errorf("%q gives %q, want %q", raw, got, want)
		}
	}
	if _, err := baseURL("http://h/api", true); err != nil {
		t.Errorf("http that is allowed: %v", err)
	}
}

func TestCredentialsAreOneKindAndComplete(t *testing.T) {
	for _, c := range []Config{
		{},
		{Username: "u"},
		{Password: fixed("p")},
		{Token: fixed("t"), Username: "u", Password: fixed("p")},
		{Token: fixed("t"), Password: fixed("p")},
		{Token: fixed("t"), Username: "u"},
	} {
		c.URL = "https://h"
		if _, err := New(c); err == nil {
			t.Errorf("user %q, password %v, token %v pass", c.Username, c.Password != nil, c.Token != nil)
		}
	}
}

func TestRequestHasTheVendorsForm(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"Sessions": says(200, successElement)})
	c := s.client(t)
	if err := c.Logoff(t.Context(), Origin{ID: "w-1", Traceparent: "00-4bf9-00f0-01"}, []string{emc, guid}); err != nil {
		t.Fatal(err)
	}
	r := s.received("Sessions")[0]
	if r.Method != "DELETE" || r.URL.Path != "/commandcenter/api/Sessions" || r.Proto != "HTTP/1.1" {
		t.Errorf("%s %s %s", r.Method, r.URL, r.Proto)
	}
	if r.ContentLength != int64(len(r.body)) || len(r.TransferEncoding) != 0 || r.body != string(AppendDocument(nil, []string{emc, guid})) {
		t.Errorf("length %d, encoding %q, body %s", r.ContentLength, r.TransferEncoding, r.body)
	}
	want := http.Header{
		"Accept": {"application/xml"}, "Content-Type": {"application/xml"}, "Authtoken": {"QSDK 3canary"}, "User-Agent": {"test/1"},
		"X-Request-Id": {"w-1"}, "Traceparent": {"00-4bf9-00f0-01"}, "Accept-Encoding": {"identity"}, "Content-Length": {r.Header.Get("Content-Length")},
		"Cache-Control": {"no-cache"}, "Pragma": {"no-cache"},
	}
	for name := range r.Header {
		if r.Header.Get(name) != want.Get(name) {
			t.Errorf("%s: %q", name, r.Header.Get(name))
		}
		want.Del(name)
	}
	if len(want) != 0 {
		t.Errorf("missing: %v", want)
	}
}

func TestBearerTokenGoesIntoAuthorization(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"Sessions": says(200, successElement)})
	c := s.client(t, func(c *Config) { c.Token = fixed("Bearer abc") })
	if err := c.Logoff(t.Context(), Origin{}, []string{guid}); err != nil {
		t.Fatal(err)
	}
	r := s.received("Sessions")[0]
	if r.Header.Get("Authorization") != "Bearer abc" || r.Header.Get("Authtoken") != "" || r.Header.Values("X-Request-Id") != nil {
		t.Errorf("header %v", r.Header)
	}
}

func TestPing(t *testing.T) {
	for _, test := range []struct {
		status int
		body   string
		want   Verdict // 0 for nil
		page   bool
	}{
		{200, `{"user":{"userId":1}}`, 0, false},
		{200, `<App_WhoAmIResp userId="1"/>`, 0, false},
		{200, `{"errorCode":0}`, 0, false},
		{200, "", Unavailable, false},
		{200, "OK", Unavailable, false},
		{200, `{"user":`, Unavailable, false},
		{200, maintenance, Unavailable, true},
		{200, "Invalid authorization token provided.", Unauthorized, false},
		{200, `{"errorCode":5,"errorMessage":"m"}`, Unavailable, false},
		{401, "", Unauthorized, false},
		{403, "", Forbidden, false},
		{404, "", NotFound, false},
		{404, iisPage, NotFound, true},
		{500, "", Unavailable, false},
		{503, "", Unavailable, false},
	} {
		s := serve(t, map[string]http.HandlerFunc{"WhoAmI": says(test.status, test.body)})
		err := s.client(t).Ping(t.Context())
		if test.want == 0 {
			if err != nil {
				t.Errorf("%d %q: %v", test.status, test.body, err)
			}
			continue
		}
		if e := facts(t, err); e.Verdict != test.want || e.Page != test.page || e.Op != "ping" {
			t.Errorf("%d %q: %+v", test.status, test.body, e)
		}
	}
}

func TestCallsAreObserved(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{
		"Login":    says(200, `{"token":"QSDK 3a"}`),
		"Sessions": says(503, ""),
		"WhoAmI":   says(200, "{}"),
		"Logout":   says(200, "User logged out"),
	})
	var calls []Call
	c := s.client(t, withLogin(fixed("p")), func(c *Config) { c.Observe = func(call Call) { calls = append(calls, call) } })
	facts(t, c.Logoff(t.Context(), Origin{}, []string{guid, emc}))
	if err := errors.Join(c.Ping(t.Context()), c.Logout(t.Context())); err != nil {
		t.Error(err)
	}
	want := []Call{
		{Op: "login", Status: 200, Verdict: Accepted},
		{Op: "logoff", Status: 503, Verdict: Unavailable, Sessions: 2},
		{Op: "ping", Status: 200, Verdict: Accepted},
		{Op: "logout", Status: 200, Verdict: Accepted},
	}
	for i, call := range calls {
		if call.Took <= 0 {
			t.Errorf("%s took %v", call.Op, call.Took)
		}
		call.Took = 0
		if i >= len(want) || call != want[i] {
			t.Errorf("call %d: %+v", i, call)
		}
	}
	if len(calls) != len(want) {
		t.Errorf("%d calls", len(calls))
	}
}

func TestEndOfTheCallersContextIsTheError(t *testing.T) {
	arrived := make(chan struct{})
	s := serve(t, map[string]http.HandlerFunc{"Sessions": func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	err := s.client(t).Logoff(ctx, Origin{}, []string{guid})
	if e := facts(t, err); !errors.Is(err, context.Canceled) || !e.Sent || e.Timeout || e.Verdict != Unavailable {
		t.Errorf("%+v", e)
	}
	c := s.client(t)
	if err := c.Logoff(ctx, Origin{}, []string{guid}); !errors.Is(err, context.Canceled) || facts(t, err).Sent {
		t.Errorf("%v", err)
	}
}

func TestConnectionIsKeptAfterSuccessAlone(t *testing.T) {
	status := make(chan int, 6)
	s := serve(t, map[string]http.HandlerFunc{"Sessions": func(w http.ResponseWriter, r *http.Request) {
		says(<-status, successElement)(w, r)
	}})
	dials := 0
	c := s.client(t, func(c *Config) {
		c.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials++
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		}
	})
	for i, want := range []struct{ status, dials int }{{200, 1}, {200, 1}, {503, 1}, {200, 2}, {500, 2}, {200, 3}} {
		status <- want.status
		err := c.Logoff(t.Context(), Origin{}, []string{guid})
		if (err == nil) != (want.status == 200) || dials != want.dials {
			t.Errorf("call %d: %v after %d dials, not %d", i, err, dials, want.dials)
		}
	}
}

func TestDefaults(t *testing.T) {
	c, err := New(Config{URL: "https://h", Token: fixed("t")})
	if err != nil {
		t.Fatal(err)
	}
	got := c.config
	if got.Timeout != 30*time.Second || got.LoginPause != time.Hour || got.MaxRetryAfter != 5*time.Minute || got.UserAgent == "" || got.DialContext == nil {
		t.Errorf("%+v", got)
	}
}

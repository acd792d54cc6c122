package ssf

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"logoffworker/worker/intake/ssf/transmitter"
)

const revoked = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"

// serve starts a transmitter below a path, and returns a client of it.
func serve(t *testing.T, path string, s transmitter.Settings, change func(*Config)) (*transmitter.Transmitter, *Client) {
	t.Helper()
	var x *transmitter.Transmitter
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { x.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	s.Issuer = server.URL + path
	x = transmitter.New(s)
	config := Config{Issuer: s.Issuer}
	if change != nil {
		change(&config)
	}
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	return x, c
}

// answering starts a server that answers as it is told, and returns a client of it.
func answering(t *testing.T, h http.HandlerFunc) (*Client, Metadata) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c, err := New(Config{Issuer: server.URL, Bearer: func() (string, error) { return "bearer-canary", nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	return c, Metadata{Issuer: server.URL, Configuration: server.URL + "/streams", Status: server.URL + "/status", Verification: server.URL + "/verify"}
}

func discover(t *testing.T, c *Client) Metadata {
	t.Helper()
	m, err := c.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestTheConfigurationIsFoundWhereverTransmittersPutIt(t *testing.T) {
	for name, test := range map[string]struct {
		path     string
		settings transmitter.Settings
	}{
		"between host and path":  {"/realms/staff", transmitter.Settings{}},
		"a path with a slash":    {"/realms/staff/", transmitter.Settings{}},
		"no path":                {"", transmitter.Settings{}},
		"behind the path":        {"/realms/staff", transmitter.Settings{Appended: true}},
		"where it was before":    {"/realms/staff", transmitter.Settings{Old: true}},
		"that, without any path": {"", transmitter.Settings{Old: true}},
	} {
		t.Run(name, func(t *testing.T) {
			_, c := serve(t, test.path, test.settings, nil)
			if m := discover(t, c); !strings.HasSuffix(m.Configuration, "/streams") || !strings.HasSuffix(m.JWKS, "/keys") {
				t.Errorf("it is read as %+v", m)
			}
		})
	}
}

func TestTheConfigurationOfAnotherIssuerIsRefused(t *testing.T) {
	x, c := serve(t, "", transmitter.Settings{}, nil)
	x.Configure(func(s *transmitter.Settings) { s.Issuer += "/other" })
	if _, err := c.Discover(t.Context()); err == nil || !strings.Contains(err.Error(), "another issuer") {
		t.Errorf("the error is %v", err)
	}
}

func TestAStreamIsCreatedReadAndChanged(t *testing.T) {
	x, c := serve(t, "/realms/staff", transmitter.Settings{Bearer: "open-sesame"}, func(c *Config) {
		c.Bearer = func() (string, error) { return "open-sesame", nil }
	})
	m := discover(t, c)
	made, err := c.Create(t.Context(), m, Stream{Delivery: Delivery{Method: Poll}, Requested: []string{revoked}, Description: "ours"})
	if err != nil {
		t.Fatal(err)
	}
	want := Stream{
		ID: "stream-1", Delivery: Delivery{Method: Poll, URL: c.config.Issuer + "/poll/stream-1"}, Requested: []string{revoked}, Description: "ours",
		Issuer: c.config.Issuer, Audience: Audience{"receiver/stream-1"}, Supported: []string{revoked}, Delivered: []string{revoked},
	}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("the stream that was created (-want +got):\n%s", diff)
	}
	listed, err := c.Streams(t.Context(), m)
	if err != nil || cmp.Diff([]Stream{want}, listed) != "" {
		t.Errorf("listed are %+v, %v", listed, err)
	}
	changed, err := c.Update(t.Context(), m, Stream{ID: made.ID, Requested: []string{revoked, "https://events.example/more"}})
	if err != nil || len(changed.Delivered) != 2 || changed.Description != "ours" {
		t.Errorf("changed, it is %+v, %v", changed, err)
	}
	x.SetStatus("paused", "maintenance")
	if s, err := c.Status(t.Context(), m, made.ID); err != nil || s != (Status{"paused", "maintenance"}) {
		t.Errorf("its status is %+v, %v", s, err)
	}
}

func TestStreamsMayBeListedAsOneOrNone(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		body   string
		want   []Stream
	}{
		"one, not in a list": {200, `{"stream_id":"a","aud":["x","y"],"unknown":{"a":1}}`, []Stream{{ID: "a", Audience: Audience{"x", "y"}}}},
		"a list":             {200, `[{"stream_id":"a","aud":"x"},{"stream_id":"b","aud":""}]`, []Stream{{ID: "a", Audience: Audience{"x"}}, {ID: "b"}}},
		"an empty list":      {200, `[]`, []Stream{}},
		"not found":          {404, `{"err":"not_found"}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c, m := answering(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			})
			got, err := c.Streams(t.Context(), m)
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestAPollBringsTokensUntilTheyAreAcknowledgedOrRefused(t *testing.T) {
	x, c := serve(t, "", transmitter.Settings{}, nil)
	x.Add("ours", revoked)
	for _, jti := range []string{"a", "b", "c"} {
		x.Issue(transmitter.Event{Type: revoked, JTI: jti})
	}
	poll := func(p PollRequest) (jtis []string, more bool) {
		t.Helper()
		polled, err := c.Poll(t.Context(), c.config.Issuer+"/poll/stream-1", p)
		if err != nil {
			t.Fatal(err)
		}
		for _, token := range polled.Tokens {
			jtis = append(jtis, token.JTI)
		}
		return jtis, polled.More
	}
	if got, more := poll(PollRequest{Max: 2}); !slices.Equal(got, []string{"a", "b"}) || !more {
		t.Errorf("first come %v, more: %v", got, more)
	}
	if got, more := poll(PollRequest{Max: 2, Ack: []string{"a"}, Refused: map[string]Refusal{"b": {"invalid_key", "who is that"}}}); !slices.Equal(got, []string{"c"}) || more {
		t.Errorf("then come %v, more: %v", got, more)
	}
	if got, more := poll(PollRequest{Ack: []string{"c"}}); len(got) != 0 || more {
		t.Errorf("at last come %v, more: %v", got, more)
	}
	if x.Pending() != 0 || x.Journal()[1].Refused["b"] != "invalid_key" {
		t.Errorf("%d are pending after %+v", x.Pending(), x.Journal())
	}
}

func TestWhatIsNoTokenComesWithTheOthers(t *testing.T) {
	c, m := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "{\"sets\":{\"a\":\"x.y.z\",\"b\":{\"no\":1},\"c\":\"\xff\"},\"moreAvailable\":true}")
	})
	got, err := c.Poll(t.Context(), m.Status, PollRequest{Max: 1})
	want := Polled{More: true, Tokens: []Token{{"a", "x.y.z"}, {"b", `{"no":1}`}, {"c", "\"\xff\""}}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestATokenOfClientCredentialsIsKeptAndRenewedAfterARefusal(t *testing.T) {
	x, c := serve(t, "", transmitter.Settings{Client: "logoff-worker", Secret: "canary-secret"}, func(c *Config) {
		c.TokenURL, c.ClientID = c.Issuer+"/token", "logoff-worker"
		c.ClientSecret = func() (string, error) { return "canary-secret", nil }
	})
	m := discover(t, c)
	for range 3 {
		if _, err := c.Streams(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if n := x.Count("token"); n != 1 {
		t.Errorf("%d tokens were asked for", n)
	}
	x.ForgetTokens()
	var e *Error
	if _, err := c.Streams(t.Context(), m); !errors.As(err, &e) || e.Status != http.StatusUnauthorized {
		t.Errorf("the error of a token that is refused is %v", err)
	}
	if _, err := c.Streams(t.Context(), m); err != nil {
		t.Errorf("after it: %v", err)
	}
}

func TestAnErrorTellsFactsAndNoSecret(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s was asked for at another host", r.URL)
	}))
	defer elsewhere.Close()
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		words  string
		facts  Error
	}{
		"busy": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(503)
		}, "create the stream: HTTP 503 Service Unavailable", Error{Status: 503, After: 7 * time.Second}},
		"refused, with what was sent": {func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			w.WriteHeader(400)
			_, _ = io.WriteString(w, `{"err":"invalid_request","description":"not with bearer-canary and `+map[bool]string{true: "push-canary"}[strings.Contains(string(body), "push-canary")]+`"}`)
		}, "create the stream: HTTP 400 Bad Request: invalid_request: not with (secret) and (secret)", Error{Status: 400}},
		"sent elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/?bearer-canary", http.StatusTemporaryRedirect)
		}, "create the stream: it redirects to another place, which is not followed", Error{}},
		"no JSON": {
			func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"aud": bearer-canary}`) },
			"create the stream: the answer is not the JSON that it should be (at byte 8)",
			Error{Status: 200},
		},
		"too long": {
			func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, maxAnswer+1)) },
			"create the stream: the answer has more than 1048576 bytes",
			Error{Status: 200, TooLarge: true},
		},
		"cut off": {
			func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			"create the stream: EOF",
			Error{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, m := answering(t, test.answer)
			_, err := c.Create(t.Context(), m, Stream{Delivery: Delivery{Push, "https://us.example/", "Bearer push-canary"}})
			var e *Error
			if !errors.As(err, &e) || err.Error() != test.words {
				t.Fatalf("the error is %v", err)
			}
			if e.Status != test.facts.Status || e.After != test.facts.After || e.TooLarge != test.facts.TooLarge {
				t.Errorf("it is %+v", e)
			}
		})
	}
	c, m := answering(t, nil)
	c.config.Bearer, c.config.TokenURL, c.config.ClientID = nil, m.Configuration, "us"
	c.config.ClientSecret = func() (string, error) { return "canary-secret", nil }
	x := transmitter.New(transmitter.Settings{Issuer: m.Issuer, Client: "us", Secret: "another"})
	server := httptest.NewServer(x)
	defer server.Close()
	c.config.TokenURL = server.URL + "/token"
	_, err := c.Streams(t.Context(), m)
	if err == nil || err.Error() != "list the streams: get an access token: HTTP 401 Unauthorized: invalid_client: no client has the secret (secret)" {
		t.Errorf("the error of client credentials that are refused is %v", err)
	}
}

func TestCredentialsGoToSafeAddressesAlone(t *testing.T) {
	for address, safe := range map[string]bool{
		"https://idp.example/x": true, "http://127.0.0.1:1/": true, "http://localhost/": true, "http://[::1]:80/": true,
		"http://idp.example/": false, "http://127.0.0.1.example/": false, "ftp://idp.example/": false, "https://user:x@idp.example/": false, "https://": false, "": false, "%": false,
	} {
		if got := legalAddress(address) == nil; got != safe {
			t.Errorf("%q is safe: %v", address, got)
		}
	}
	c, m := answering(t, func(http.ResponseWriter, *http.Request) { t.Error("it is asked") })
	m.Verification = "http://idp.example/verify"
	if err := c.Verify(t.Context(), m, "a", "b"); err == nil || !strings.Contains(err.Error(), "is not used") {
		t.Errorf("the error is %v", err)
	}
}

// FuzzAnswers reads what a transmitter may say: it must not panic, and what it makes of a poll must be sorted.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"sets":{"a":"x"},"moreAvailable":true}`))
	f.Add([]byte(`[{"stream_id":"a","aud":["b"],"delivery":{"method":"urn:ietf:rfc:8936","endpoint_url":"https://a"}}]`))
	f.Add([]byte(`{"err":"a","description":"\u0000"}`))
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	f.Cleanup(server.Close)
	f.Fuzz(func(t *testing.T, answer []byte) {
		body = answer
		c, err := New(Config{Issuer: server.URL})
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseIdle()
		polled, _ := c.Poll(t.Context(), server.URL, PollRequest{})
		if !slices.IsSortedFunc(polled.Tokens, func(a, b Token) int { return strings.Compare(a.JTI, b.JTI) }) {
			t.Errorf("the tokens are not in order: %+v", polled.Tokens)
		}
		_, _ = c.Streams(t.Context(), Metadata{Configuration: server.URL})
		if words := reason(answer, []string{"a"}); len(words) > maxShown+len("…") || strings.ContainsRune(words, 0) {
			t.Errorf("shown is %q", words)
		}
	})
}

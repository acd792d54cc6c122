package webserver

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	guid  = "CF1C660B-396F-44B7-86DA-5608CEC97453"
	emc   = "EMCAE92D1DD-0C68-49A6-BEBB-404D96D7A4BF"
	empty = `<Api_LogoffUsersResponse />`
)

// A received request is what a test server saw.
type received struct {
	*http.Request
	body string
}

// A site is a Web Server made of handlers, which remembers what it received.
type site struct {
	*httptest.Server
	mu       sync.Mutex
	requests []received
}

// serve starts a site. Handlers are found by the last part of the path; one that is missing answers 404.
func serve(t testing.TB, handlers map[string]http.HandlerFunc) *site {
	t.Helper()
	s := &site{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.requests = append(s.requests, received{r, string(body)})
		s.mu.Unlock()
		handler := handlers[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]]
		if handler == nil {
			http.NotFound(w, r)
			return
		}
		handler(w, r)
	}))
	s.Config.ErrorLog = nil
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func (s *site) received(name string) []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.requests), func(r received) bool { return !strings.HasSuffix(r.URL.Path, "/"+name) })
}

// says answers every request alike.
func says(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func fixed(value string) func() (string, error) {
	return func() (string, error) { return value, nil }
}

// client is a Client of the site with a token that is given; changes may make it something else.
func (s *site) client(t testing.TB, changes ...func(*Config)) *Client {
	t.Helper()
	config := Config{URL: s.URL + "/commandcenter/api", Token: fixed("QSDK 3canary"), UserAgent: "test/1", Timeout: time.Minute}
	for _, change := range changes {
		change(&config)
	}
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	return c
}

// withLogin makes a Client log in.
func withLogin(password func() (string, error)) func(*Config) {
	return func(c *Config) { c.Token, c.Username, c.Password = nil, "admin", password }
}

// facts is the Error that an error is, or a failed test.
func facts(t testing.TB, err error) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v is no *Error", err)
	}
	return e
}

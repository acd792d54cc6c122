package webserver

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	guid           = "CF1C660B-396F-44B7-86DA-5608CEC97453"
	emc            = "EMCAE92D1DD-0C68-49A6-BEBB-404D96D7A4BF"
	successElement = `<Api_LogoffUsersResponse />`
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
	return serveAll(t, func(w http.ResponseWriter, r *http.Request) {
		handler := handlers[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]]
		if handler == nil {
			http.NotFound(w, r)
			return
		}
		handler(w, r)
	})
}

// serveAll starts a site with one handler for all paths.
func serveAll(t testing.TB, handler http.HandlerFunc) *site {
	t.Helper()
	s := &site{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.requests = append(s.requests, received{r, string(body)})
		s.mu.Unlock()
		handler(w, r)
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
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

// passes lets time pass in a bubble.
func passes(d time.Duration) { <-time.After(d) }

// raw makes a Client dial connections that are served by play, byte by byte, each to its end. It works
// in a bubble. play gets the connection with the first request read.
func raw(t testing.TB, play func(net.Conn), changes ...func(*Config)) (c *Client, dials *atomic.Int64) {
	t.Helper()
	dials = new(atomic.Int64)
	var served sync.WaitGroup
	config := Config{URL: "http://127.0.0.1/api", Token: fixed("QSDK 3canary")}
	config.DialContext = func(context.Context, string, string) (net.Conn, error) {
		dials.Add(1)
		near, far := net.Pipe()
		served.Go(func() {
			defer far.Close()
			r, err := http.ReadRequest(bufio.NewReader(far))
			if err != nil {
				return
			}
			io.Copy(io.Discard, r.Body)
			play(far)
		})
		return near, nil
	}
	for _, change := range changes {
		change(&config)
	}
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.CloseIdle()
		served.Wait()
	})
	return c, dials
}

// plays writes what it is given, as far as anybody reads it, and closes the connection.
func plays(text string) func(net.Conn) {
	return func(conn net.Conn) { io.WriteString(conn, text) }
}

// A pipedSite is a Web Server made of handlers, behind pipes, for a bubble.
type pipedSite struct {
	client *Client
	counts map[string]int
}

func pipeSite(t testing.TB, handlers map[string]http.HandlerFunc) *pipedSite {
	s := &pipedSite{counts: map[string]int{}}
	listener := make(pipes)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		s.counts[name]++
		handlers[name](w, r)
	})}
	var served sync.WaitGroup
	served.Go(func() { server.Serve(listener) })
	config := Config{URL: "http://127.0.0.1/api", DialContext: listener.dial}
	withLogin(fixed("p"))(&config)
	var err error
	if s.client, err = New(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.client.CloseIdle()
		server.Close()
		served.Wait()
	})
	return s
}

func (s *pipedSite) count(name string) int { return s.counts[name] }

// pipes is a listener of connections within the process.
type pipes chan net.Conn

func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	p <- far
	return near, nil
}

func (p pipes) Accept() (net.Conn, error) {
	conn, open := <-p
	if !open {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (p pipes) Close() error {
	close(p)
	return nil
}

func (p pipes) Addr() net.Addr { return &net.IPAddr{} }

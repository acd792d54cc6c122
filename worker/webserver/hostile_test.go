package webserver

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"logoffworker/worker/stage"
)

func TestRedirectsCarryNoTokenAway(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		elsewhere := serve(t, map[string]http.HandlerFunc{"Sessions": says(200, successElement)})
		s := serve(t, map[string]http.HandlerFunc{"Sessions": says(status, "", "Location", elsewhere.URL+"/Sessions?t=3canary")})
		e := facts(t, s.client(t).Logoff(t.Context(), Origin{}, []string{guid}))
		if e.Verdict != Misconfigured || e.Location != elsewhere.URL+"/Sessions" || len(elsewhere.received("Sessions")) != 0 {
			t.Errorf("%d: %+v, %d requests elsewhere", status, e, len(elsewhere.received("Sessions")))
		}
	}
}

func TestCookiesAreNotKept(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"Sessions": says(200, successElement, "Set-Cookie", "JSESSIONID=1")})
	c := s.client(t)
	for range 2 {
		if err := c.Logoff(t.Context(), Origin{}, []string{guid}); err != nil {
			t.Fatal(err)
		}
	}
	if cookie := s.received("Sessions")[1].Header.Get("Cookie"); cookie != "" {
		t.Errorf("cookie %q", cookie)
	}
}

func TestProxiesOfTheEnvironmentAreNotUsed(t *testing.T) {
	c, err := New(Config{URL: "https://web.example/api", Token: fixed("t"), DialContext: func(_ context.Context, _, addr string) (net.Conn, error) {
		return nil, errors.New("dialled " + addr)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HTTPS_PROXY", "http://proxy.example:3128")
	if e := facts(t, c.Ping(t.Context())); !strings.Contains(e.Error(), "dialled web.example:443") {
		t.Errorf("%v", e)
	}
}

func TestCompressedAnswerIsNotUnpacked(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for range 64 {
		z.Write(make([]byte, maxBody))
	}
	z.Close()
	s := serve(t, map[string]http.HandlerFunc{"Sessions": says(200, bomb.String(), "Content-Encoding", "gzip")})
	e := facts(t, s.client(t).Logoff(t.Context(), Origin{}, []string{guid}))
	if e.Verdict != Unavailable || !e.Sent {
		t.Errorf("%+v", e)
	}
}

func TestBrokenAnswersAreNoSuccess(t *testing.T) {
	head := "HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\n"
	for name, test := range map[string]struct {
		answer string
		want   Verdict // 0 is success
	}{
		"ends with the connection":          {head + "\r\n" + successElement, 0},
		"ends with the connection, cut off": {head + "\r\n" + successElement[:20], Unavailable},
		"ends before the body":              {head + "\r\n", Unavailable},
		"shorter than its length":           {head + "Content-Length: 100\r\n\r\n" + successElement, Unavailable},
		"chunks without an end":             {head + "Transfer-Encoding: chunked\r\n\r\n1b\r\n" + successElement + "\r\n", Unavailable},
		"chunks":                            {head + "Transfer-Encoding: chunked\r\n\r\n1b\r\n" + successElement + "\r\n0\r\n\r\n", 0},
		"two lengths":                       {head + "Content-Length: 27\r\nContent-Length: 28\r\n\r\n" + successElement, Unavailable},
		"not HTTP":                          {"SSH-2.0-OpenSSH\r\n\r\n", Unavailable},
		"nothing":                           {"", Unavailable},
		"body over the limit":               {head + "\r\n" + successElement + strings.Repeat(" ", maxBody), Unavailable},
		"body at the limit":                 {head + "\r\n" + successElement + strings.Repeat(" ", maxBody-len(successElement)), 0},
		"endless header":                    {head + strings.Repeat("X: "+strings.Repeat("y", 1000)+"\r\n", 200), Unavailable},
		"early hints without end":           {strings.Repeat("HTTP/1.1 103 Early Hints\r\nX: "+strings.Repeat("y", 1000)+"\r\n\r\n", 200), Unavailable},
		"status alone of a 401":             {"HTTP/1.1 401 No\r\nContent-Length: 100\r\n\r\ncut", Unauthorized},
		"status alone of a 500":             {"HTTP/1.1 500 No\r\nContent-Length: 100\r\n\r\n{", Undecided},
	} {
		t.Run(name, func(t *testing.T) {
			c, dials := raw(t, plays(test.answer), func(c *Config) { c.AcceptEmpty = name == "ends before the body" })
			err := c.Logoff(t.Context(), Origin{}, []string{guid})
			if dials.Load() != 1 {
				t.Errorf("%d requests", dials.Load())
			}
			if test.want == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if e := facts(t, err); e.Verdict != test.want || e.Sent != (test.want != Unauthorized) || e.Timeout {
				t.Errorf("%+v", e)
			}
		})
	}
}

// An answer that was there before its question, because there was one too many to the question before, is none.
func TestSurplusAnswerIsNobodys(t *testing.T) {
	before := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler)) // where net/http notices
	defer slog.SetDefault(before)
	answer := "HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n" + successElement
	for range 3000 { // whether net/http notices is a matter of which goroutine is first
		connections := 0
		c, _ := raw(t, func(conn net.Conn) {
			if connections++; connections == 1 {
				io.WriteString(conn, answer+answer)
				io.Copy(io.Discard, conn)
			}
		})
		if err := c.Logoff(t.Context(), Origin{}, []string{guid}); err != nil {
			t.Fatal(err)
		}
		if err := c.Logoff(t.Context(), Origin{}, []string{emc}); err == nil {
			t.Fatal("the second answer to the first request is one to the second")
		}
		c.CloseIdle()
	}
}

// Of an answer to a request something is heard after the request. That a surplus one is read from memory instead, as
// above, depends on who is first; here nothing is ever heard.
func TestAnswerOfWhichNothingIsHeardAfterTheRequestIsNone(t *testing.T) {
	c, dials := raw(t, plays("HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n"+successElement))
	c.lines.open = func() *line {
		l := newLine(c.config)
		l.transport.DialContext = c.config.DialContext // not counted
		return l
	}
	e := facts(t, c.Logoff(t.Context(), Origin{}, []string{guid}))
	if e.Verdict != Unavailable || !e.Sent || !strings.Contains(e.Error(), "an answer was there before the request") || dials.Load() != 1 {
		t.Errorf("%v on %d connections", e, dials.Load())
	}
}

func TestSlowAnswersEndWithTheTimeout(t *testing.T) {
	dribble := func(text string) func(net.Conn) {
		return func(conn net.Conn) {
			for _, b := range []byte(text) {
				passes(time.Second)
				if _, err := conn.Write([]byte{b}); err != nil {
					return
				}
			}
		}
	}
	for name, play := range map[string]func(net.Conn){
		"no answer":   func(conn net.Conn) { io.Copy(io.Discard, conn) },
		"slow header": dribble("HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 100)),
		"slow body": func(conn net.Conn) {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
			dribble(strings.Repeat(" ", 100))(conn)
		},
		"endless body": func(conn net.Conn) {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			dribble(strings.Repeat("1\r\n \r\n", 100))(conn)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, dials := raw(t, play, func(c *Config) { c.Timeout = 20 * time.Second })
				begun := time.Now()
				e := facts(t, c.Logoff(t.Context(), Origin{}, []string{guid}))
				if took := time.Since(begun); took != 20*time.Second {
					t.Errorf("it took %v", took)
				}
				if e.Verdict != Unavailable || !e.Timeout || !e.Sent || dials.Load() != 1 || !strings.Contains(e.Error(), "within 20s") {
					t.Errorf("%+v after %d requests", e, dials.Load())
				}
			})
		})
	}
}

func TestCallersDeadlineIsATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := raw(t, func(conn net.Conn) { io.Copy(io.Discard, conn) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := c.Logoff(ctx, Origin{}, []string{guid})
		if e := facts(t, err); !e.Timeout || !e.Sent || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%+v", e)
		}
	})
}

func TestUnreachableServerWasNotSentAnything(t *testing.T) {
	nobody, err := stage.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{URL: "http://" + nobody, Token: fixed("t")})
	if err != nil {
		t.Fatal(err)
	}
	if e := facts(t, c.Logoff(t.Context(), Origin{}, []string{guid})); e.Verdict != Unavailable || e.Sent || e.Status != 0 || !strings.Contains(e.Error(), "refused") {
		t.Errorf("%+v", e)
	}
}

// A connection that the server closes while it is idle fails the next request at most once, and that
// request is not sent by itself again.
func TestRequestIsNotSentTwice(t *testing.T) {
	requests := 0
	c, dials := raw(t, func(conn net.Conn) {
		requests++
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n"+successElement)
		one := make([]byte, 1)
		if n, _ := conn.Read(one); n == 1 {
			requests++ // the second request on this connection: it gets no answer
		}
	})
	if err := c.Logoff(t.Context(), Origin{}, []string{guid}); err != nil {
		t.Fatal(err)
	}
	e := facts(t, c.Logoff(t.Context(), Origin{}, []string{guid}))
	if e.Verdict != Unavailable || !e.Sent || requests != 2 || dials.Load() != 1 {
		t.Errorf("%+v; %d requests on %d connections", e, requests, dials.Load())
	}
}

func TestFailedWriteIsNotSent(t *testing.T) {
	c, _ := raw(t, plays(""), func(c *Config) {
		dial := c.DialContext
		c.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			return deaf{conn}, err
		}
	})
	if e := facts(t, c.Logoff(t.Context(), Origin{}, []string{guid})); e.Verdict != Unavailable || e.Sent {
		t.Errorf("%+v", e)
	}
}

// deaf takes nothing.
type deaf struct{ net.Conn }

func (d deaf) Write([]byte) (int, error) {
	d.Close()
	return 0, errors.New("broken pipe")
}

func TestCertificatesAreVerified(t *testing.T) {
	requests := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests++
		io.WriteString(w, successElement)
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	defer server.Close()
	trusted := x509.NewCertPool()
	trusted.AddCert(server.Certificate())
	call := func(url string, roots *x509.CertPool) error {
		c, err := New(Config{URL: url, Token: fixed("t"), RootCAs: roots, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseIdle()
		return c.Logoff(t.Context(), Origin{}, []string{guid})
	}
	if err := call(server.URL, trusted); err != nil {
		t.Errorf("trusted: %v", err)
	}
	for name, err := range map[string]error{"unknown CA": call(server.URL, nil), "other host": call("https://other.test", trusted)} {
		if e := facts(t, err); e.Verdict != Misconfigured || e.Sent || !strings.Contains(e.Error(), "the certificate is not trusted") {
			t.Errorf("%s: %v", name, e)
		}
	}
	if requests != 1 {
		t.Errorf("%d requests", requests)
	}
}

// No version of TLS that is broken is spoken, whatever the server offers.
func TestOldTLSIsNotSpoken(t *testing.T) {
	for version, spoken := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		server := httptest.NewUnstartedServer(says(200, successElement))
		server.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: version}
		server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		server.StartTLS()
		defer server.Close()
		trusted := x509.NewCertPool()
		trusted.AddCert(server.Certificate())
		c, err := New(Config{URL: server.URL, Token: fixed("t"), RootCAs: trusted})
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseIdle()
		if err := c.Logoff(t.Context(), Origin{}, []string{guid}); (err == nil) != spoken {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
}

func TestHTTPSToAnHTTPServerIsAMisconfiguration(t *testing.T) {
	s := serve(t, nil)
	c := s.client(t, func(c *Config) { c.URL = strings.Replace(s.URL, "http:", "https:", 1) })
	if e := facts(t, c.Logoff(t.Context(), Origin{}, []string{guid})); e.Verdict != Misconfigured || e.Sent {
		t.Errorf("%+v", e)
	}
}

// What speaks neither TLS nor HTTP is not told to be a Web Server without TLS.
func TestHTTPSToWhatSpeaksNeitherIsAnOutage(t *testing.T) {
	c, _ := raw(t, nil, func(c *Config) {
		c.URL = "https://127.0.0.1/api"
		c.DialContext = func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			go func() {
				defer far.Close()
				go io.Copy(io.Discard, far)
				io.WriteString(far, "SSH-2.0-OpenSSH_9.9\r\n")
			}()
			return near, nil
		}
	})
	if e := facts(t, c.Ping(t.Context())); e.Verdict != Unavailable || strings.Contains(e.Error(), "speaks http") {
		t.Errorf("%v", e)
	}
}

// A server that repeats whatever it gets, everywhere it can, gets no secret into what we show.
func TestNoSecretIsEverShown(t *testing.T) {
	const password, token = "canary pass<word>", "QSDK 3canarytoken"
	var shown []string
	for _, form := range []func(echo string) (int, string, http.Header){
		func(echo string) (int, string, http.Header) { return 500, echo, nil },
		func(echo string) (int, string, http.Header) { return 200, echo, nil },
		func(echo string) (int, string, http.Header) { return 403, "<html><title>" + echo + "</title>", nil },
		func(echo string) (int, string, http.Header) {
			return 200, fmt.Sprintf(`{"errorCode":5,"errorMessage":%q}`, echo), nil
		},
		func(echo string) (int, string, http.Header) {
			return 400, `<R errorCode="5" errorMessage="` + strings.NewReplacer("<", "&lt;", `"`, "&quot;").Replace(echo) + `"/>`, nil
		},
		func(echo string) (int, string, http.Header) {
			return 302, "", http.Header{"Location": {"https://h/" + strings.ReplaceAll(echo, " ", "%20")}}
		},
		func(echo string) (int, string, http.Header) { return 200, `{"token":"` + echo, nil },
		func(echo string) (int, string, http.Header) { return 200, "token=" + echo, nil },
	} {
		for _, op := range []string{"Login", "RenewLoginToken", "Sessions", "WhoAmI", "Logout"} {
			s := serveEchoes(t, op, token, password, form)
			c := s.client(t, withLogin(fixed(password)))
			err := c.Logoff(t.Context(), Origin{}, []string{guid})
			e, _ := errors.AsType[*Error](err)
			for _, err := range []error{err, c.Ping(t.Context()), c.Renew(t.Context(), e), c.Logout(t.Context())} {
				if e, ok := errors.AsType[*Error](err); ok {
					shown = append(shown, fmt.Sprintf("%v %s %s %s %v", e, e.Text, e.Location, e.Words(), errors.Unwrap(e)))
				}
			}
		}
	}
	c, _ := raw(t, plays("QSDK 3canarytoken canary\r\n\r\n"), func(c *Config) { c.Token = fixed(token) })
	shown = append(shown, c.Ping(t.Context()).Error())
	for _, text := range shown {
		if strings.Contains(strings.ToLower(text), "canary") || strings.Contains(text, "Y2FuYXJ5") {
			t.Errorf("a secret in %q", text)
		}
	}
	if len(shown) < 40 {
		t.Errorf("only %d errors", len(shown))
	}
}

// serveEchoes is a site where one operation repeats the secrets of the request.
func serveEchoes(t testing.TB, echoing, token, password string, form func(string) (int, string, http.Header)) *site {
	handlers := map[string]http.HandlerFunc{
		"Login":           says(200, `{"token":"`+token+`"}`),
		"RenewLoginToken": says(200, `{"token":"`+token+`2"}`),
		"Sessions":        says(200, successElement),
		"WhoAmI":          says(200, "{}"),
		"Logout":          says(200, "User logged out"),
	}
	handlers[echoing] = func(w http.ResponseWriter, r *http.Request) {
		status, body, header := form(r.Header.Get("Authtoken") + " " + password + " Y2FuYXJ5IHBhc3M8d29yZD4=")
		for name := range header {
			w.Header().Set(name, header.Get(name))
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
	return serve(t, handlers)
}

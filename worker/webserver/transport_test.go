package webserver

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// tlsSite is a site whose certificate a Client trusts, with changes to how it speaks TLS.
func tlsSite(t *testing.T, change func(*tls.Config), config func(*Config)) (*Client, *httptest.Server) {
	t.Helper()
	s := httptest.NewUnstartedServer(says(200, successElement))
	s.TLS = &tls.Config{}
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	if change != nil {
		change(s.TLS)
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	c := Config{URL: s.URL + "/api", Token: fixed("QSDK 3canary"), RootCAs: roots}
	if config != nil {
		config(&c)
	}
	client, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdle)
	return client, s
}

func TestOldTLSIsRefused(t *testing.T) {
	for version, name := range map[uint16]string{tls.VersionTLS10: "1.0", tls.VersionTLS11: "1.1"} {
		client, _ := tlsSite(t, func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version }, nil)
		if e := facts(t, client.Logoff(t.Context(), Origin{}, []string{guid})); e.Sent || e.Verdict != Misconfigured || !strings.Contains(e.Error(), "an old TLS") {
			t.Errorf("TLS %s is spoken, or not named: %v", name, e)
		}
	}
	client, _ := tlsSite(t, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, nil)
	if client.lines.open().transport.TLSClientConfig.MinVersion != tls.VersionTLS12 {
		t.Error("the oldest version is left to the standard library")
	}
	if err := client.Logoff(t.Context(), Origin{}, []string{guid}); err != nil {
		t.Error(err)
	}
}

// A client certificate is asked for anew at each handshake, so that one that was renewed is used.
func TestClientCertificateIsShown(t *testing.T) {
	var asked atomic.Int64
	problem := error(nil)
	var server *httptest.Server
	client, server := tlsSite(t, func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }, func(c *Config) {
		c.Certificate = func() (*tls.Certificate, error) {
			asked.Add(1)
			return &server.TLS.Certificates[0], problem
		}
	})
	for range 2 {
		if err := client.Logoff(t.Context(), Origin{}, []string{guid}); err != nil {
			t.Fatal(err)
		}
		client.CloseIdle()
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("the certificate was asked for %d times in two handshakes", n)
	}
	problem = errors.New("the client certificate cannot be read")
	if e := facts(t, client.Logoff(t.Context(), Origin{}, []string{guid})); e.Sent || !strings.Contains(e.Error(), problem.Error()) {
		t.Error(e)
	}
}

// The proxy carries the calls, and what goes wrong with it is not blamed on the Web Server.
func TestProxyIsUsedAndNamed(t *testing.T) {
	var carried atomic.Int64
	refuse := false
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		carried.Add(1)
		if refuse || r.Method == http.MethodConnect {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		(&httputil.ReverseProxy{Rewrite: func(*httputil.ProxyRequest) {}}).ServeHTTP(w, r)
	}))
	defer proxy.Close()
	through := func(c *Config) {
		c.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(proxy.URL) }
	}
	s := serve(t, map[string]http.HandlerFunc{"Sessions": says(200, successElement)})
	if err := s.client(t, through).Logoff(t.Context(), Origin{}, []string{guid}); err != nil || carried.Load() != 1 {
		t.Errorf("%v, the proxy carried %d calls", err, carried.Load())
	}
	encrypted, _ := tlsSite(t, nil, through)
	e := facts(t, encrypted.Logoff(t.Context(), Origin{}, []string{guid}))
	if e.Verdict != Unavailable || e.Sent || !strings.Contains(e.Error(), "403 Forbidden") || !strings.Contains(e.Error(), "HTTPS_PROXY") {
		t.Errorf("refused by the proxy: %v", e)
	}
	proxy.Close()
	e = facts(t, s.client(t, through).Logoff(t.Context(), Origin{}, []string{guid}))
	if e.Verdict != Unavailable || e.Sent || !strings.Contains(e.Error(), "HTTPS_PROXY") {
		t.Errorf("no proxy there: %v", e)
	}
}

func TestMissingClientCertificateIsNamed(t *testing.T) {
	client, _ := tlsSite(t, func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }, nil)
	if e := facts(t, client.Ping(t.Context())); e.Verdict != Misconfigured || !strings.Contains(e.Error(), "wants a client certificate") {
		t.Error(e)
	}
}

// The words of a proxy's address may hold a password, also where they are no address.
func TestProxyAddressIsNeverShown(t *testing.T) {
	for name, proxy := range map[string]func(*http.Request) (*url.URL, error){
		"no address": func(*http.Request) (*url.URL, error) {
			return nil, errors.New(`invalid proxy address "http://u:canary@x y"`)
		},
		"SOCKS":  func(*http.Request) (*url.URL, error) { return url.Parse("socks5://u:canary@127.0.0.1:1") },
		"nobody": func(*http.Request) (*url.URL, error) { return url.Parse("http://u:canary@127.0.0.1:1") },
	} {
		s := serve(t, nil)
		e := facts(t, s.client(t, func(c *Config) { c.Proxy = proxy }).Ping(t.Context()))
		if e.Sent || !strings.Contains(e.Error(), "HTTPS_PROXY") || strings.Contains(e.Error(), "canary") || (e.Verdict == Misconfigured) != (name == "no address") {
			t.Errorf("%s: %v", name, e)
		}
	}
}

func TestRefusedTokenWithoutSchemeGetsAHint(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"WhoAmI": says(401, "")})
	for token, want := range map[string]string{
		"eyJhbGciOi.x.y": "needs 'Bearer ' before it",
		"3a5f00":         "begins with 'QSDK '",
		"bearer abc":     "spelled 'Bearer '",
		"Bearer abc":     "",
		"QSDK 3a":        "",
	} {
		e := facts(t, s.client(t, func(c *Config) { c.Token = fixed(token) }).Ping(t.Context()))
		if want != "" && !strings.Contains(e.Error(), want) || want == "" && strings.Contains(e.Error(), "(") {
			t.Errorf("%q: %v", token, e)
		}
	}
	if hint := (&token{value: "3a5f00", own: true}).hint(); hint != "" {
		t.Errorf("of a token that a login gave: %s", hint)
	}
	s = serve(t, map[string]http.HandlerFunc{"WhoAmI": says(503, "")})
	if e := facts(t, s.client(t, func(c *Config) { c.Token = fixed("3a5f00") }).Ping(t.Context())); strings.Contains(e.Error(), "(") {
		t.Errorf("not refused: %v", e)
	}
}

func TestCallThatCannotBeMadeIsNotSent(t *testing.T) {
	s := serve(t, nil)
	e := s.client(t).call(t.Context(), request{op: OpPing, method: http.MethodGet, path: "/\x7f"}, func(answer) *Error { return nil })
	if e == nil || e.Verdict != Misconfigured || e.Sent || len(s.requests) != 0 {
		t.Errorf("%v after %d requests", e, len(s.requests))
	}
}

// What TLS says has a hint, and what anything else says of certificates has none.
func TestHintIsOfTLSAlone(t *testing.T) {
	for words, hinted := range map[string]bool{
		"remote error: tls: bad certificate": true, "remote error: tls: protocol version not supported": true, "remote error: tls: handshake failure": true,
		"remote error: tls: internal error": false, "the client certificate cannot be read": false,
	} {
		if got := tlsHint(errors.New(words)); (got != "") != hinted {
			t.Errorf("%s: %q", words, got)
		}
	}
}

func TestPageThatRefusesALogoffSaysWhatIsInFront(t *testing.T) {
	page := `<html><head><title>Not here</title></head></html>`
	for _, status := range []int{400, 403, 405, 411, 413, 422} {
		s := serve(t, map[string]http.HandlerFunc{"Sessions": says(status, page)})
		e := facts(t, s.client(t).Logoff(t.Context(), Origin{}, []string{guid}))
		if !strings.Contains(e.Error(), "something in front of it refuses DELETE") {
			t.Errorf("%d: %v", status, e)
		}
	}
}

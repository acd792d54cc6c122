// Package webserver is a client of the Commvault Web Server's REST API for one purpose: to end
// sessions with DELETE <webservice>/Sessions, and to see that they have ended.
//
// Every method makes one attempt and says what came of it. Nothing here retries, splits a document
// or waits: an [Error] carries the facts, and its caller decides. The exceptions keep the token in
// order: the first call logs in, and [Client.Renew] replaces a refused token once for all who were
// refused with it. And where versions of the Web Server know different calls for the same thing, a read
// that meets an unknown one asks the other.
//
// It guarantees that
//   - success is never inferred: [Client.Logoff] returns nil for the documented answer alone;
//   - a list of sessions or users is a complete answer, understood to its last row and made after it was
//     asked for, or an error;
//   - a request is sent at most once, but for a read whose kept connection turns out dead before any
//     answer, which net/http sends again;
//   - it goes to the configured address, through [Config.Proxy] if there is one, and nowhere else: redirects
//     are not followed, and cookies are not used;
//   - a rejected login is not tried again for [Config.LoginPause], so that no account is locked out;
//   - an answer, however large or broken, costs at most 64 KiB of headers, 64 KiB of body, or 8 MiB
//     where a list is read, and [Config.Timeout];
//   - no token or password is in an error, not even where the server repeats it.
//
// It leaves out when to renew an access token and where to keep it: [Client.RenewPair] makes the call,
// and a Bearer token is used as it is given.
//
// What it knows of the Web Server comes from Commvault's documentation of the calls it makes, from
// published answers of real servers, and from published clients.
package webserver

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
)

// Config says where the Web Server is and who we are there.
type Config struct {
	// URL is the whole base URL, such as https://commvault.example/commandcenter/api. One slash at
	// its end is dropped. It holds no user, query or fragment.
	URL string
	// AllowHTTP allows plain http to a host other than this one. Tokens and passwords can then be
	// read on the way.
	AllowHTTP bool
	// AcceptEmpty makes a 2xx answer without a body count as success: for a front end that is known
	// to drop the element.
	AcceptEmpty bool
	// RootCAs are trusted instead of the system's; nil means the system's.
	RootCAs *x509.CertPool
	// Certificate returns the client certificate with which we show the Web Server's front end who we are; nil
	// means that there is none. It is asked at each handshake.
	Certificate func() (*tls.Certificate, error)
	// Proxy returns the HTTP proxy for a request, or nil for none, as [http.ProxyFromEnvironment] does; nil
	// means that there never is one.
	Proxy func(*http.Request) (*url.URL, error)
	// Timeout bounds each HTTP call from dialling to the last byte; 0 means 30 seconds.
	Timeout time.Duration
	// UserAgent is sent with every request; empty means "logoff-worker". Firewalls in front of the
	// Web Server are known to refuse those of libraries.
	UserAgent string

	// Token returns a token to send as it is: "Bearer …" in Authorization, anything else, such as
	// "QSDK …", in Authtoken. It is asked again when the Web Server refuses the token.
	Token func() (string, error)
	// Kept says that somebody keeps Token: asking for it tells them that the last one was refused. It is then asked
	// for after a refusal alone, and a refused one is soon another.
	Kept bool
	// Username and Password log in instead. Password is asked at each login.
	Username string
	Password func() (string, error)
	// LoginPause is how long a rejected login is not tried again, unless the password has changed;
	// 0 means an hour.
	LoginPause time.Duration

	// MaxRetryAfter caps [Error.RetryAfter]; 0 means 5 minutes.
	MaxRetryAfter time.Duration
	// DialContext replaces the network; nil means TCP.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// Observe, unless nil, is told of every HTTP call when it has ended. It must not block.
	Observe func(Call)
}

// A Call is one HTTP call that has ended.
type Call struct {
	Op       string // logoff, sessions, user, ping, login, renew, logout or token
	Status   int    // 0 when there was no answer
	Verdict  Verdict
	Sessions int // how many the document held
	Took     time.Duration
}

// A Client calls one Web Server. Its methods may be called concurrently.
type Client struct {
	config  Config
	base    string
	device  string // ties a renewal to the login before it
	lines   lines
	secrets secrets
	auth    auth
	tokens  atomic.Int64
	clock   clock

	sessionPaths choice // GET Session or GET Sessions
	userCalls    choice // GET V4/user or GET User
	nameCalls    choice // GET User/byName, or a search of all users
}

// New returns a Client, or everything that is wrong with c at once. It calls nobody.
func New(c Config) (*Client, error) {
	base, err := baseURL(c.URL, c.AllowHTTP)
	if err := errors.Join(err, c.credentialProblems(), c.valueProblems()); err != nil {
		return nil, err
	}
	c.setDefaults()
	client := &Client{config: c, base: base, device: rand.Text()}
	client.lines.open = func() *line { return newLine(c) }
	return client, nil
}

// CloseIdle closes the connections that are not in use.
func (c *Client) CloseIdle() { c.lines.close() }

// baseURL checks a base URL and trims it. Its errors never repeat it, since it may hold a password.
func baseURL(raw string, allowHTTP bool) (string, error) {
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return "", errors.New("URL: required: the whole base URL, path included")
	case err != nil:
		return "", errors.New("URL: not a URL")
	case u.User != nil:
		return "", errors.New("URL: must not hold a user name or a password")
	case u.Scheme != "https" && u.Scheme != "http":
		return "", errors.New("URL: must begin with https://")
	case u.Hostname() == "":
		return "", errors.New("URL: names no host")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(raw, "#"):
		return "", errors.New("URL: must end with the path, without query or fragment")
	case u.Scheme == "http" && !allowHTTP && !loopback(u.Hostname()):
		return "", errors.New("URL: plain http to another host shows the password and the token to the network: use https, or allow http")
	}
	return strings.TrimSuffix(raw, "/"), nil
}

func loopback(host string) bool {
	addr, _ := netip.ParseAddr(host) // what is no address is no loopback
	return strings.EqualFold(host, "localhost") || addr.Unmap().IsLoopback()
}

func (c Config) credentialProblems() error {
	login := c.Username != "" || c.Password != nil
	switch {
	case c.Token != nil && login:
		return errors.New("credentials: a token and a user name are given; keep one")
	case c.Token == nil && !login:
		return errors.New("credentials: a token is required, or a user name and a password")
	case login && c.Username == "":
		return errors.New("credentials: a password without a user name")
	case login && c.Password == nil:
		return errors.New("credentials: a user name without a password")
	}
	return nil
}

func (c Config) valueProblems() error {
	var problems []error
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"Timeout", c.Timeout}, {"LoginPause", c.LoginPause}, {"MaxRetryAfter", c.MaxRetryAfter}} {
		if d.value < 0 {
			problems = append(problems, fmt.Errorf("%s: negative", d.name))
		}
	}
	if strings.ContainsFunc(c.UserAgent, unicode.IsControl) {
		problems = append(problems, errors.New("UserAgent: holds a control character"))
	}
	return errors.Join(problems...)
}

func (c *Config) setDefaults() {
	defaultTo(&c.Timeout, 30*time.Second)
	defaultTo(&c.LoginPause, time.Hour)
	defaultTo(&c.MaxRetryAfter, 5*time.Minute)
	defaultTo(&c.UserAgent, "logoff-worker")
	if c.DialContext == nil {
		c.DialContext = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	}
}

func defaultTo[T comparable](value *T, standard T) {
	var zero T
	if *value == zero {
		*value = standard
	}
}

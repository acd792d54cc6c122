// Package ssf speaks to a transmitter of Shared Signals (SSF 1.0, RFC 8936) as its receiver: it finds the transmitter's
// addresses, looks after a stream, asks for verification events, and polls security event tokens.
//
// Each call is one attempt, within a time limit and a limit of bytes; the caller decides whether there is another. An
// [Error] says what was being done and what came of it. Credentials go to https and loopback addresses only, are never
// sent on to another host, and are in no error.
//
// It reads no token, and deletes nothing at the transmitter. When to ask, and what becomes of tokens, is its caller's
// business.
package ssf

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const (
	// callTimeout is how long an answer may take; a poll may be held open for up to pollTimeout.
	callTimeout = 30 * time.Second
	pollTimeout = 2 * time.Minute
	// maxAnswer is the most bytes of an answer, maxPolled those of a poll's.
	maxAnswer = 1 << 20
	maxPolled = 16 << 20
)

// A Config says who the transmitter is, and what proves to it who asks. The token of requests is either Bearer's, or one
// that client credentials of OAuth get; where there is neither, requests have none.
type Config struct {
	Issuer             string // its URL
	Bearer             func() (string, error)
	TokenURL, ClientID string
	ClientSecret       func() (string, error)
	Scopes             []string
	RootCAs            *x509.CertPool // nil: the system's
	UserAgent          string
	// DialContext makes connections instead of the network, unless it is nil.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
}

// A Client asks one transmitter. Its methods may be called concurrently.
type Client struct {
	config Config
	http   *http.Client

	mu    sync.Mutex
	token *oauth2.Token // that client credentials got; nil: there is none that is of use
}

// New returns a client, or what is wrong with the addresses. It asks nothing.
func New(c Config) (*Client, error) {
	if err := legalAddress(c.Issuer); err != nil {
		return nil, fmt.Errorf("the issuer's URL: %w", err)
	}
	if c.TokenURL != "" {
		if err := legalAddress(c.TokenURL); err != nil {
			return nil, fmt.Errorf("the URL that access tokens are got from: %w", err)
		}
	}
	if c.DialContext == nil {
		c.DialContext = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	return &Client{config: c, http: &http.Client{CheckRedirect: sameHost, Transport: &http.Transport{
		DialContext:            c.DialContext,
		Proxy:                  proxy,
		TLSClientConfig:        &tls.Config{RootCAs: c.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
	}}}, nil
}

// CloseIdle closes connections that are not in use.
func (c *Client) CloseIdle() { c.http.CloseIdleConnections() }

var errAddress = errors.New("it has to be https://, or http:// on this machine, without a user")

// legalAddress refuses addresses that credentials must not be sent to. The error does not repeat the address.
func legalAddress(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.User != nil:
		return errAddress
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return errAddress
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

var (
	errRedirect = errors.New("it redirects to another place, which is not followed")
	errProxy    = errors.New("the address of the HTTP proxy, which HTTPS_PROXY or HTTP_PROXY gives, is no URL")
)

// sameHost follows a redirect only where the same request goes to the same host.
func sameHost(next *http.Request, before []*http.Request) error {
	first := before[0]
	if len(before) > 3 || next.URL.Scheme != first.URL.Scheme || next.URL.Host != first.URL.Host || next.Method != first.Method {
		return errRedirect
	}
	return nil
}

// proxy keeps the words of a proxy's address, which may hold a password, out of errors.
func proxy(r *http.Request) (*url.URL, error) {
	address, err := http.ProxyFromEnvironment(r)
	if err != nil {
		return nil, errProxy
	}
	return address, nil
}

// bearer is the token of a request; empty for none.
func (c *Client) bearer(ctx context.Context) (string, error) {
	switch {
	case c.config.Bearer != nil:
		return c.config.Bearer()
	case c.config.TokenURL == "":
		return "", nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token.Valid() {
		return c.token.AccessToken, nil
	}
	token, err := c.newToken(ctx)
	if err != nil {
		return "", err
	}
	c.token = token
	return token.AccessToken, nil
}

// newToken gets a token with the client's credentials.
func (c *Client) newToken(ctx context.Context) (*oauth2.Token, error) {
	secret := ""
	if c.config.ClientSecret != nil {
		var err error
		if secret, err = c.config.ClientSecret(); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, oauth2.HTTPClient, c.http), callTimeout)
	defer cancel()
	credentials := clientcredentials.Config{ClientID: c.config.ClientID, ClientSecret: secret, TokenURL: c.config.TokenURL, Scopes: c.config.Scopes}
	token, err := credentials.Token(ctx)
	var refused *oauth2.RetrieveError
	switch {
	case err == nil:
		return token, nil
	case errors.As(err, &refused) && refused.Response != nil:
		return nil, answer{refused.Response.StatusCode, refused.Response.Header, refused.Body}.failure("get an access token", secret)
	case errors.As(err, new(*url.Error)):
		return nil, broken(ctx, "get an access token", err)
	}
	return nil, &Error{Doing: "get an access token", words: "the answer is no access token"} // the error may quote it
}

// forget has the next request get another token than one that was refused.
func (c *Client) forget(bearer string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token != nil && c.token.AccessToken == bearer {
		c.token = nil
	}
}

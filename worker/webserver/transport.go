package webserver

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A request is one call that is to be made.
type request struct {
	op       string
	method   string
	path     string // below the base URL
	format   string // of the body and of the answer; empty for neither
	body     []byte
	origin   Origin
	token    *token // nil for none
	sessions int
	limit    int  // of the answer's body; 0 means maxBody
	fresh    bool // on a connection of its own, since one that idled may be dead without our knowing
	// salvage, unless nil, is asked whether a success that was cut off holds all that was wanted.
	salvage func(answer) bool
}

// call makes one request and has its answer judged; nil is success. A connection goes on being used
// only after a success: whatever else an answer was, more of it may follow.
func (c *Client) call(ctx context.Context, r request, judge func(answer) *Error) *Error {
	begun := time.Now()
	l := c.lines.take()
	if r.fresh {
		l.transport.CloseIdleConnections()
	}
	a, e := c.exchange(ctx, l, r)
	switch {
	case e == nil:
		a.old = c.clock.old(r, a, begun)
		if e = judge(a); e == nil || e.old {
			c.clock.learn(r, a, begun)
		}
	case r.salvage != nil && r.salvage(a):
		e = nil
	}
	c.lines.give(l, e == nil)
	observed := Call{Op: r.op, Status: a.status, Verdict: Accepted, Sessions: r.sessions, Took: time.Since(begun)}
	if e != nil {
		e.token = r.token
		if e.Verdict == Unauthorized && r.token != nil {
			e.hint = cmp.Or(e.hint, r.token.hint())
		}
		observed.Verdict = e.Verdict
	}
	if c.config.Observe != nil {
		c.config.Observe(observed)
	}
	return e
}

// exchange sends a request and reads its answer within the time-out. An Error means that there was no
// answer that could be judged.
func (c *Client) exchange(caller context.Context, l *line, r request) (answer, *Error) {
	ctx, cancel := context.WithTimeout(caller, c.config.Timeout)
	defer cancel()
	var written, heard atomic.Int64 // on the connection, before the request
	written.Store(-1)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) {
			heard.Store(l.heard.Load())
			written.Store(l.written.Load())
		},
	})
	q, err := c.httpRequest(ctx, r)
	if err != nil {
		return answer{}, &Error{Op: r.op, Verdict: Misconfigured, Err: &cause{words: c.secrets.clean(err.Error())}}
	}
	response, err := l.transport.RoundTrip(q)
	if err != nil {
		e := c.broken(caller, ctx, r.op, err)
		e.Sent = written.Load() >= 0 && l.written.Load() > written.Load()
		return answer{}, e
	}
	if l.heard.Load() == heard.Load() {
		response.Body.Close()
		return answer{}, &Error{
			Op: r.op, Verdict: Unavailable, Sent: true, Err: errors.New("an answer was there before the request"),
			hint: "something in front of the Web Server answers more than once",
		}
	}
	a := read(response, cmp.Or(r.limit, maxBody))
	a.op, a.url = r.op, q.URL
	if a.cut == nil {
		return a, nil
	}
	e := c.broken(caller, ctx, r.op, a.cut)
	e.Sent, e.Status = true, a.status
	if a.status/100 == 2 {
		return a, e
	}
	return a, nil // the status is the answer
}

func (c *Client) httpRequest(ctx context.Context, r request) (*http.Request, error) {
	q, err := http.NewRequestWithContext(ctx, r.method, c.base+r.path, bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	q.GetBody = nil // without it net/http cannot send a body a second time
	q.Header.Set("Accept-Encoding", "identity")
	q.Header.Set("User-Agent", c.config.UserAgent)
	q.Header.Set("Cache-Control", "no-cache")
	q.Header.Set("Pragma", "no-cache")
	if r.format != "" {
		q.Header.Set("Accept", r.format)
	}
	if len(r.body) > 0 {
		q.Header.Set("Content-Type", r.format)
	}
	for name, value := range map[string]string{"X-Request-Id": r.origin.ID, "Traceparent": r.origin.Traceparent} {
		if value != "" {
			q.Header.Set(name, value)
		}
	}
	if r.token != nil {
		r.token.authorize(q.Header)
	}
	return q, nil
}

// read reads a body to its end, or to the limit.
func read(response *http.Response, limit int) answer {
	defer response.Body.Close()
	response.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(response.Body, int64(limit)+1), response.Body}
	body, err := io.ReadAll(io.LimitReader(decoded(response), int64(limit)+1))
	if len(body) > limit {
		err = fmt.Errorf("the body is longer than %d bytes", limit)
	}
	// Without a length or chunks the body ends with the connection, whatever was cut off.
	framed := response.ContentLength >= 0 || len(response.TransferEncoding) > 0
	return answer{
		status:    response.StatusCode,
		header:    response.Header,
		body:      fromUTF16(body[:min(len(body), limit)]),
		saysEmpty: framed && len(body) == 0,
		cut:       err,
	}
}

// broken says why there was no complete answer.
func (c *Client) broken(caller, call context.Context, op string, err error) *Error {
	e := &Error{Op: op, Verdict: Unavailable}
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case caller.Err() != nil:
		e.Err = ended(caller)
		e.Timeout = errors.Is(caller.Err(), context.DeadlineExceeded)
		return e
	case call.Err() != nil:
		e.Timeout = true
		e.Err = &cause{words: fmt.Sprintf("no complete answer within %v", c.config.Timeout)}
		return e
	case errors.Is(err, errProxyAddress):
		e.Verdict = Misconfigured
	case throughProxy(err):
		e.hint = "this is the HTTP proxy that HTTPS_PROXY names, and not the Web Server: see that it is right, and lets this worker through, or name the Web Server's host in NO_PROXY"
	case errors.As(err, &certificate):
		e.Verdict = Misconfigured
		e.hint = "the certificate is not trusted: give its CA, or mend the host name or the certificate"
	case errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/":
		e.Verdict = Misconfigured
		e.hint = "the base URL says https, the server speaks http"
	default:
		if e.hint = tlsHint(err); e.hint != "" {
			e.Verdict = Misconfigured
		}
	}
	e.Err = &cause{words: c.secrets.clean(err.Error())}
	return e
}

// lines are the connections to the Web Server. Each has a Transport to itself, because net/http
// gives a connection that is shared to the next request before the answer could be judged.
type lines struct {
	open func() *line
	mu   sync.Mutex
	free []*line
}

// A line is at most one connection at a time.
type line struct {
	transport *http.Transport
	written   atomic.Int64 // bytes given to the network
	heard     atomic.Int64 // bytes got from it
}

func newLine(c Config) *line {
	l := &line{}
	encryption := &tls.Config{RootCAs: c.RootCAs, MinVersion: tls.VersionTLS12}
	if c.Certificate != nil {
		encryption.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.Certificate() }
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	l.transport = &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := c.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &countedConn{Conn: conn, line: l}, nil
		},
		Proxy:                  proxy(c),
		OnProxyConnectResponse: proxyAnswered,
		TLSClientConfig:        encryption,
		TLSHandshakeTimeout:    10 * time.Second,
		IdleConnTimeout:        time.Minute,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
		Protocols:              protocols,
	}
	return l
}

// tlsHint says what is wrong where the two ends cannot agree on how to speak TLS; empty for any other error.
func tlsHint(err error) string {
	if !strings.Contains(err.Error(), "tls: ") {
		return ""
	}
	for _, h := range []struct{ words, hint string }{
		{"certificate", "the Web Server wants a client certificate, or does not trust the one it was shown"},
		{"protocol version", "the Web Server speaks an old TLS only; 1.2 or newer is needed"},
		{"handshake failure", "the Web Server and this worker have no way to encrypt in common, or it wants a client certificate"},
	} {
		if strings.Contains(err.Error(), h.words) {
			return h.hint
		}
	}
	return ""
}

var errProxyAddress = errors.New("the address of the HTTP proxy, which HTTPS_PROXY or HTTP_PROXY gives, is no URL")

// proxy keeps the words of a proxy's address, which may hold a password, out of errors.
func proxy(c Config) func(*http.Request) (*url.URL, error) {
	if c.Proxy == nil {
		return nil
	}
	return func(r *http.Request) (*url.URL, error) {
		address, err := c.Proxy(r)
		if err != nil {
			return nil, errProxyAddress
		}
		return address, nil
	}
}

// A proxyError is an answer of the proxy instead of a way to the Web Server.
type proxyError struct{ status string }

func (e *proxyError) Error() string { return "the proxy answers " + e.status }

// proxyAnswered makes an error of a proxy's answer that opens no way.
func proxyAnswered(_ context.Context, _ *url.URL, _ *http.Request, response *http.Response) error {
	if response.StatusCode == http.StatusOK {
		return nil
	}
	return &proxyError{strconv.Itoa(response.StatusCode) + " " + http.StatusText(response.StatusCode)}
}

// throughProxy reports whether an error is about the proxy and not the Web Server.
func throughProxy(err error) bool {
	var answered *proxyError
	var dialled *net.OpError
	return errors.As(err, &answered) || errors.As(err, &dialled) && dialled.Op == "proxyconnect"
}

// A countedConn counts what is written to it and read from it, so that a request of which nothing left is known, and
// an answer that is not one to it.
type countedConn struct {
	net.Conn
	line *line
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.line.heard.Add(int64(n))
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.line.written.Add(int64(n))
	return n, err
}

// take takes the line that was used last, which is the likeliest to be connected still.
func (l *lines) take() *line {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.free); n > 0 {
		last := l.free[n-1]
		l.free = l.free[:n-1]
		return last
	}
	return l.open()
}

// give gives a line back, connected still or not.
func (l *lines) give(used *line, keep bool) {
	if !keep {
		used.transport.CloseIdleConnections()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free = append(l.free, used)
}

func (l *lines) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, free := range l.free {
		free.transport.CloseIdleConnections()
	}
}

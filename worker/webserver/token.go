package webserver

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
)

// A token is what a request carries to show who we are. Its identity is its address: a token that was
// renewed to the same value is another one.
type token struct {
	value string
	own   bool // from our own login, so ours to renew and to log out
}

// hint says what is probably wrong with a given token that is refused; empty where nothing is seen.
func (t *token) hint() string {
	switch {
	case t.own || strings.HasPrefix(t.value, "QSDK ") || strings.HasPrefix(t.value, "Bearer "):
		return ""
	case strings.HasPrefix(strings.ToLower(t.value), "bearer"):
		return "the token's scheme must be spelled 'Bearer ', with one blank behind it"
	}
	return "the given token has no scheme: an access token needs 'Bearer ' before it, and a login token begins with 'QSDK '"
}

func (t *token) authorize(h http.Header) {
	if strings.HasPrefix(t.value, "Bearer ") {
		h.Set("Authorization", t.value)
		return
	}
	h.Set("Authtoken", t.value)
}

// auth is the token and whoever is getting a new one.
type auth struct {
	mu      sync.Mutex
	token   *token     // nil until there is one
	pending *obtaining // nil when nobody is getting one
	self    atomic.Int64
	admit   func(context.Context) error // see AdmitLogins

	// The last rejected login; nil when there is none that counts.
	rejected         *Error
	rejectedPassword string
	rejectedUntil    time.Time
	refusedToken     string // the last given token that was refused
}

// An obtaining gets a token, once for everybody who waits for it.
type obtaining struct {
	done    chan struct{}
	old     *token // in whose place
	token   *token
	failure *Error
}

// Renew replaces the token that was refused. Callers that were refused with the same token share one
// renewal, and when it has been replaced since, nil is returned at once. A caller whose ctx ends
// leaves; the renewal goes on for the others.
//
// A token from a login is renewed, and where that is refused, a login follows. A rejected login is
// answered from memory, without a call, until [Config.LoginPause] is over, the password changes, or
// [Client.TryLoginAgain] is called; RetryAfter of the error is the rest of that pause.
// A given token is read anew; if it is still the refused one, that Unauthorized is the error.
func (c *Client) Renew(ctx context.Context, refused *Error) error {
	if refused == nil {
		refused = &Error{}
	}
	_, e := c.obtain(ctx, refused)
	return asError(e)
}

// AdmitLogins has admit called before each request that logs in or renews a token, which waits until one
// more may be made. Its error, which is that of a caller who stops, becomes that of the call. It must be
// set before the first call.
func (c *Client) AdmitLogins(admit func(context.Context) error) { c.auth.admit = admit }

// TryLoginAgain forgets that the last login was rejected, so that the next call that needs one logs in at
// once. Each login that is rejected counts towards the lock-out of the account.
func (c *Client) TryLoginAgain() {
	c.auth.mu.Lock()
	defer c.auth.mu.Unlock()
	c.auth.rejected = nil
}

// SecretChanged reports whether the password is another than the one that was rejected last, or the given
// token another than the one that was refused last. It reads the secret, and calls nobody. Without a
// refusal, with a token that is [Config.Kept], and where the secret cannot be read, it is false.
func (c *Client) SecretChanged() bool {
	if c.config.Kept {
		return false
	}
	source := c.config.Password
	if c.config.Token != nil {
		source = c.config.Token
	}
	value, err := source()
	c.auth.mu.Lock()
	defer c.auth.mu.Unlock()
	switch {
	case err != nil:
		return false
	case c.config.Token != nil:
		value = strings.TrimSpace(value)
		return c.auth.refusedToken != "" && value != c.auth.refusedToken && usable(value) == nil
	}
	return c.auth.rejected != nil && value != c.auth.rejectedPassword
}

// Current reports whether the token with which a call was refused is the one in use.
func (c *Client) Current(refused *Error) bool {
	c.auth.mu.Lock()
	defer c.auth.mu.Unlock()
	return c.auth.token == refused.token
}

// authorized makes a call with the token, which it gets first if there is none.
func (c *Client) authorized(ctx context.Context, r request, judge func(answer) *Error) *Error {
	t, e := c.obtain(ctx, &Error{})
	if e != nil {
		return e
	}
	r.token = t
	return c.call(ctx, r, judge)
}

// obtain returns a token other than the refused one.
func (c *Client) obtain(ctx context.Context, refused *Error) (*token, *Error) {
	if ctx.Err() != nil {
		return nil, givenUp(OpLogin, ctx)
	}
	c.auth.mu.Lock()
	if c.auth.pending == nil {
		if c.auth.token != nil && c.auth.token != refused.token {
			defer c.auth.mu.Unlock()
			return c.auth.token, nil
		}
		c.auth.pending = c.obtainOnce(ctx, c.auth.token, refused.copied())
	}
	f := c.auth.pending
	c.auth.mu.Unlock()
	select {
	case <-f.done:
		if f.failure != nil && f.failure.Op == OpToken && refused.token == nil {
			return f.old, nil // which was refused to somebody else, and is still the given one
		}
		return f.token, f.failure.copied()
	case <-ctx.Done():
		return nil, givenUp(OpLogin, ctx)
	}
}

// obtainOnce starts to get a token in place of old. The end of one waiter's ctx does not end it; the
// time-out of its calls does.
func (c *Client) obtainOnce(ctx context.Context, old *token, refused *Error) *obtaining {
	f := &obtaining{done: make(chan struct{}), old: old}
	ctx = context.WithoutCancel(ctx)
	go func() {
		replacement, e := c.replace(ctx, old, refused)
		c.auth.mu.Lock()
		defer c.auth.mu.Unlock()
		if f.token = replacement; replacement != nil {
			c.auth.token = replacement
		}
		if f.failure = e; e != nil {
			// These were calls of their own: what they did says nothing about the request that waits.
			f.failure.Sent, f.failure.Timeout = false, false
		}
		c.auth.pending = nil
		close(f.done)
	}()
	return f
}

func (c *Client) replace(ctx context.Context, old *token, refused *Error) (*token, *Error) {
	if c.config.Token != nil {
		return c.reread(old, refused)
	}
	if old != nil {
		t, e := c.renew(ctx, old)
		if e == nil || e.Verdict != Unauthorized {
			return t, e
		}
		c.forget(old)
	}
	return c.login(ctx)
}

// reread asks for the given token again.
func (c *Client) reread(old *token, refused *Error) (*token, *Error) {
	value, err := c.config.Token()
	if value = strings.TrimSpace(value); err == nil {
		err = usable(value)
	}
	if err != nil {
		return nil, c.unreadable("token", err)
	}
	c.remember(value)
	if old != nil && old.value == value {
		c.auth.mu.Lock()
		defer c.auth.mu.Unlock()
		c.auth.refusedToken = value
		if c.config.Kept {
			refused.RetryAfter = keptPause
		}
		refused.Op, refused.hint = OpToken, cmp.Or(old.hint(), "the given token is refused; a new one in its place is used at once")
		return nil, refused
	}
	c.tokens.Add(1)
	c.auth.self.Store(0) // it may be somebody else's
	return &token{value: value}, nil
}

// keptPause is how long a token that is kept needs to be another, if nothing is in the way.
const keptPause = 5 * time.Second

// renew exchanges a token for a new one, which works for an expired one too. Unauthorized means that
// only a login helps.
func (c *Client) renew(ctx context.Context, old *token) (*token, *Error) {
	body, err := json.Marshal(struct {
		SessionID string `json:"sessionId"`
		DeviceID  string `json:"deviceId"`
	}{old.value, c.device})
	if err != nil {
		return nil, c.unreadable("token", err)
	}
	l, e := c.askForToken(ctx, OpRenew, "/RenewLoginToken", body, renewalVerdict)
	if e != nil {
		return nil, e
	}
	return c.own(l), nil
}

// askForToken makes a request that brings a token, once it may be made. verdict says what a failure means.
func (c *Client) askForToken(ctx context.Context, op, path string, body []byte, verdict func(*Error, loginAnswer) *Error) (l loginAnswer, e *Error) {
	if e = c.admitted(ctx, op); e != nil {
		return l, e
	}
	e = c.call(ctx, request{op: op, method: http.MethodPost, path: path, format: "application/json", body: body}, func(a answer) *Error {
		if l = readLogin(a); l.complete() {
			return nil
		}
		return verdict(c.failure(a), l)
	})
	return l, e
}

// renewalVerdict leaves what concerns every call as it is: a login would fare no better. Everything
// else, such as the 404 of a version without renewal, asks for a login, and is Unauthorized.
func renewalVerdict(e *Error, l loginAnswer) *Error {
	switch {
	case e.Verdict == Throttled, e.Verdict == Forbidden && e.Page, e.Status/100 == 3:
	case e.Verdict == Unavailable && (e.Status/100 != 2 || !l.whole):
	default:
		e.Verdict = Unauthorized
	}
	return e
}

// admitted waits until another login or renewal may be made.
func (c *Client) admitted(ctx context.Context, op string) *Error {
	if c.auth.admit == nil {
		return nil
	}
	if err := c.auth.admit(ctx); err != nil {
		return &Error{Op: op, Verdict: Unavailable, Err: &cause{words: "given up: " + err.Error(), end: err}}
	}
	return nil
}

// login logs in, unless that was rejected before and nothing has changed.
func (c *Client) login(ctx context.Context) (*token, *Error) {
	password, err := c.config.Password()
	if err != nil {
		return nil, c.unreadable("password", err)
	}
	if e := c.rejectedBefore(password); e != nil {
		return nil, e
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(password))
	c.secrets.add(password, encoded)
	body, err := json.Marshal(struct {
		Username string `json:"username"`
		Password string `json:"password"`
		DeviceID string `json:"deviceId"`
		Timeout  int    `json:"timeout"`
	}{c.config.Username, encoded, c.device, idleMinutes})
	if err != nil {
		return nil, c.unreadable("user name", errors.New("not valid UTF-8"))
	}
	l, e := c.askForToken(ctx, OpLogin, "/Login", body, loginVerdict)
	return c.loggedIn(e, l, password)
}

// rejectedBefore is the rejection of the last login, if one with that password is not to be tried yet.
func (c *Client) rejectedBefore(password string) *Error {
	c.auth.mu.Lock()
	defer c.auth.mu.Unlock()
	rest := time.Until(c.auth.rejectedUntil)
	if c.auth.rejected == nil || password != c.auth.rejectedPassword || rest <= 0 {
		return nil
	}
	e := c.auth.rejected.copied()
	e.RetryAfter = rest
	return e
}

// loggedIn takes over what came of a login.
func (c *Client) loggedIn(e *Error, l loginAnswer, password string) (*token, *Error) {
	c.auth.mu.Lock()
	defer c.auth.mu.Unlock()
	switch {
	case e == nil:
		c.auth.rejected = nil
		return c.own(l), nil
	case e.Verdict == LoginRejected:
		e.RetryAfter = max(c.config.LoginPause, l.locked)
		c.auth.rejectedUntil = time.Now().Add(e.RetryAfter)
		e.hint = "the next login is tried at " + c.auth.rejectedUntil.UTC().Format(time.RFC3339) +
			", or at once when the password changes or the worker gets SIGHUP; each rejected login counts towards the lock-out of the account; " +
			"an account with two-factor or SAML login needs an access token instead"
		c.auth.rejected, c.auth.rejectedPassword = e.copied(), password
	}
	return nil, e
}

// idleMinutes is how long a token lives without use; it is the server's own default.
const idleMinutes = 30

// wordlessPause is the rest after a login that got a status for bad requests or missing rights, and not a
// word: mostly of a gateway, but if it was the Web Server, more tries would lock the account.
const wordlessPause = time.Minute

// loginVerdict tells a rejected login from a server, or something in front of it, that is not well. The Web
// Server rejects with a 200 without a token, or with a status and an error code of its own; a page, or a
// status in a gateway's words, says nothing about the password.
func loginVerdict(e *Error, l loginAnswer) *Error {
	turnedAway := e.Verdict == Unauthorized || e.Verdict == Forbidden || e.Verdict == Refused
	switch {
	case e.Verdict == Throttled:
	case e.Status/100 == 2 && !l.whole, e.Verdict == Undecided:
		e.Verdict = Unavailable
	case e.Status/100 == 2, turnedAway && l.refusing:
		e.Verdict = LoginRejected
	case turnedAway:
		e.Verdict = Unavailable
		e.hint = "this is not the Web Server's way to reject a login: something in front of it answers, such as a gateway or a firewall"
		if e.Text == "" && !e.Page {
			e.RetryAfter = max(e.RetryAfter, wordlessPause)
		}
	case e.Verdict == TooLarge, e.Verdict == NotFound:
		e.Verdict = Misconfigured
		e.hint = "the path of the base URL is wrong"
	}
	if l.lockedOut {
		e.Text = strings.TrimPrefix(e.Text+"; the account is locked", "; ")
	}
	return e
}

// A loginAnswer is what a login or a renewal answered.
type loginAnswer struct {
	status    int
	whole     bool // it is a JSON object or an XML element, complete
	refusing  bool // it holds an error code, as the Web Server's own answers do
	token     string
	userID    int64 // 0 where it is not said
	lockedOut bool
	locked    time.Duration
}

func (l loginAnswer) complete() bool {
	return l.status/100 == 2 && l.whole && usable(l.token) == nil
}

// maxLocked bounds what is believed of remainingLockTime, whose unit the documentation leaves open;
// a published client reads seconds.
const maxLocked = 24 * time.Hour

// readLogin takes the values by name at any depth, because versions and SaaS nest them differently,
// in XML as in JSON.
func readLogin(a answer) loginAnswer {
	l := loginAnswer{status: a.status, refusing: readWords(a).refusing}
	l.whole = readValues(a, func(name, value string) {
		switch {
		case strings.EqualFold(name, "token"), strings.EqualFold(name, "authToken"):
			if l.token == "" {
				l.token = value
			}
		case strings.EqualFold(name, "aliasName"):
			l.userID = number(strings.TrimSpace(value))
		case strings.EqualFold(name, "isAccountLocked"):
			l.lockedOut = value == "true" || value == "1"
		case strings.EqualFold(name, "remainingLockTime"):
			l.locked = seconds(value, maxLocked)
		}
	})
	if !l.lockedOut {
		l.locked = 0
	}
	return l
}

// own takes a token from our own login into use.
func (c *Client) own(l loginAnswer) *token {
	c.tokens.Add(1)
	c.remember(l.token)
	if l.userID != 0 { // a renewal does not say it
		c.auth.self.Store(l.userID)
	}
	return &token{value: l.token, own: true}
}

// remember keeps a token out of every text, with and without its scheme.
func (c *Client) remember(value string) {
	_, bare, _ := strings.Cut(value, " ")
	c.secrets.add(value, bare)
}

func (c *Client) forget(old *token) {
	c.auth.mu.Lock()
	defer c.auth.mu.Unlock()
	if c.auth.token == old {
		c.auth.token = nil
	}
}

// usable says why a token cannot stand in a header.
func usable(value string) error {
	switch {
	case value == "":
		return errors.New("is empty")
	case len(value) > 16<<10:
		return errors.New("is longer than 16 KiB")
	case strings.ContainsFunc(value, unicode.IsControl):
		return errors.New("holds a control character or a line break")
	}
	return nil
}

// givenUp is the Error of a caller whose ctx ended before its own request was made.
func givenUp(op string, ctx context.Context) *Error {
	return &Error{Op: op, Verdict: Unavailable, Err: ended(ctx)}
}

func (c *Client) unreadable(what string, err error) *Error {
	return &Error{Op: OpLogin, Verdict: Misconfigured, Err: &cause{words: c.secrets.clean("the " + what + ": " + err.Error())}}
}

// Logout ends the session that our own login made, so that it does not stay until its idle time-out.
// It is nil when there is none, and when the session had ended already. A call after it logs in again.
func (c *Client) Logout(ctx context.Context) error {
	t, e := c.leaving(ctx)
	if t == nil {
		return asError(e)
	}
	e = c.call(ctx, request{op: OpLogout, method: http.MethodPost, path: "/Logout", token: t}, func(a answer) *Error {
		w := readWords(a)
		gone := a.status == http.StatusUnauthorized || a.status/100 == 2 && remark(w.text) == Unauthorized
		if gone || a.status/100 == 2 && !w.page && !w.refusing {
			return nil
		}
		return withoutDocument(c.failure(a))
	})
	if e == nil {
		c.forget(t)
	}
	return asError(e)
}

// leaving waits for a token that is on its way, and returns the one that is ours to log out.
func (c *Client) leaving(ctx context.Context) (*token, *Error) {
	for {
		c.auth.mu.Lock()
		t, f := c.auth.token, c.auth.pending
		c.auth.mu.Unlock()
		if f == nil {
			if t != nil && t.own {
				return t, nil
			}
			return nil, nil
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, givenUp(OpLogout, ctx)
		}
	}
}

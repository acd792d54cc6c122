package webserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
)

// A Verdict is what an answer, or the want of one, means. What to do about it is the caller's
// decision.
type Verdict int

// The verdicts. The zero Verdict is none of them.
const (
	_             Verdict = iota
	Accepted              // the documented success
	Refused               // the request was read, and what it says was refused
	TooLarge              // the request was too large to be read
	NotFound              // wrong path or, behind IIS, a request that was too large; of a look-up: ErrNoUser
	Undecided             // 500: a session in the document that has ended, or a fault
	Unauthorized          // the token is missing, expired or invalid
	LoginRejected         // the user name or password is wrong, the account is locked, or a pair of tokens is dead
	Forbidden             // a permission is missing, the address is not allowed, or a firewall says no
	Throttled             // too many calls
	Misconfigured         // waiting does not mend it: redirect, certificate, blocked verb, unreadable secret
	Unavailable           // no answer, or one that is none: outage, maintenance, overload, broken answer
)

var verdictNames = [...]string{
	"unknown", "accepted", "refused", "too_large", "not_found", "undecided", "unauthorized",
	"login_rejected", "forbidden", "throttled", "misconfigured", "unavailable",
}

// String returns the verdict's name as a metric label.
func (v Verdict) String() string {
	if v < 0 || int(v) >= len(verdictNames) {
		return verdictNames[0]
	}
	return verdictNames[v]
}

// Part is the part of a worker's health that tells of the Web Server.
const Part = "webserver"

// The operations: what a call is for. OpToken is the reading of a secret that was given, which is no request.
const (
	OpLogoff   = "logoff"
	OpSessions = "sessions"
	OpUser     = "user"
	OpPing     = "ping"
	OpLogin    = "login"
	OpRenew    = "renew"
	OpLogout   = "logout"
	OpToken    = "token"
)

// An Error is a call that was no success, as facts. None of its fields holds a token or a password.
type Error struct {
	Op      string // one of the operations
	Verdict Verdict
	Status  int // of the answer; 0 without one
	// Text is what the server said: one line, printable, at most 300 bytes. It is empty when the
	// answer had no words for people.
	Text string
	// RetryAfter is how long the server asks to be left alone, capped; 0 when it does not say.
	RetryAfter time.Duration
	// Location is where a redirect pointed, without query and user.
	Location string
	// Sent reports that the call's own request may have taken effect: it may have reached the Web
	// Server, and no answer says that it was turned away at the door. A login before it does not count.
	Sent bool
	// Unknown reports that a logoff was answered with a 2xx that is neither the documented success nor an error
	// nor a page: it may have had its effect, and the next will probably be answered in the same way.
	Unknown bool
	// Page reports that the answer was an HTML page.
	Page bool
	// Timeout reports that the call's own request went unanswered until its time was up.
	Timeout bool
	// Err is why there was no complete answer. It unwraps to the end of the caller's context, if
	// that was it.
	Err error

	first     string // of an answer that is no text
	hint      string // what an operator can do about it, where advice does not know
	token     *token // that the request carried
	elsewhere bool   // another call for the same may fare better
	old       bool   // a cache on the way has kept the answer
}

// Problem tells what a call came to: nil after success, and otherwise the [*Error]. err is what is none, above
// all the end of the call's context.
func Problem(result error) (problem *Error, err error) {
	if errors.As(result, &problem) && !errors.Is(result, context.Canceled) {
		return problem, nil
	}
	return nil, result
}

// With is the same with another verdict, which something that the error does not show has led to.
func (e *Error) With(v Verdict) *Error {
	other := *e
	other.Verdict = v
	return &other
}

// NeedsPerson reports whether waiting mends nothing: a person has to do something about the account, the
// address or the secret.
func (e *Error) NeedsPerson() bool {
	switch e.Verdict {
	case Forbidden, LoginRejected, Unauthorized, Misconfigured:
		return true
	}
	return false
}

// Blocked reports whether the method itself, or the way in which the request was made, was refused.
func (e *Error) Blocked() bool {
	return e.Status == http.StatusMethodNotAllowed || e.Status == http.StatusNotImplemented || e.Verdict == Misconfigured && e.Status/100 == 4
}

// OldVersion reports whether the harmless question was answered by a version that does not know it.
func (e *Error) OldVersion() bool { return e.Verdict == NotFound && !e.Page }

// Error says what was done, what came of it and, where an operator can act, what to look at.
func (e *Error) Error() string {
	text := e.Op + ": " + e.Words()
	if advice := e.advice(); advice != "" {
		text += " (" + advice + ")"
	}
	return text
}

// Words is the answer in one line: its status and what the server said.
func (e *Error) Words() string {
	var parts []string
	if e.Status != 0 {
		parts = append(parts, strings.TrimSpace(strconv.Itoa(e.Status)+" "+http.StatusText(e.Status)))
	}
	if e.Page {
		parts = append(parts, "an HTML page")
	}
	if e.Text != "" {
		parts = append(parts, e.Text)
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	if len(parts) == 0 {
		return e.Verdict.String()
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// advice says what an operator can do; empty where waiting is all.
func (e *Error) advice() string {
	switch {
	case e.hint != "":
		return e.hint
	case e.Location != "":
		return fmt.Sprintf("it points to %s: the base URL is wrong, or a login page stands in front", e.Location)
	case e.Op == OpLogoff && e.Page && e.Status/100 == 4 && e.Verdict != NotFound && e.Verdict != Unauthorized:
		return "a page, which the Web Server does not answer with: something in front of it refuses DELETE, such as WebDAV or request filtering of IIS, a load balancer or a firewall"
	case e.Verdict == Misconfigured && (e.Status == http.StatusMethodNotAllowed || e.Status == http.StatusNotImplemented):
		return "something in front of the Web Server blocks the method: WebDAV, a request filter or a proxy"
	case e.Status == http.StatusProxyAuthRequired:
		return "the HTTP proxy wants a user name and a password: give them in HTTPS_PROXY, or name the Web Server's host in NO_PROXY"
	case e.Verdict == NotFound && e.Page:
		return "the path of the base URL is wrong, or the document too large for IIS"
	case e.Verdict == Misconfigured && e.Status == http.StatusNotFound:
		return "the path of the base URL is wrong"
	case e.Verdict == Misconfigured && e.Op == OpLogoff && e.Status/100 == 4:
		return "something in front of the Web Server refuses the request as it is: a request filter, a load balancer or a proxy"
	case e.Verdict == Forbidden && e.Page:
		return "a firewall in front of the Web Server answers: it must let this address and User-Agent through"
	case e.Verdict == Forbidden:
		return "the account needs the right to add, delete and modify users, and this address must be allowed"
	case e.Verdict == Unavailable && e.Status/100 == 2 && e.Page:
		return "maintenance, a login page in front, or a wrong path in the base URL"
	case e.Verdict == Unavailable && e.Status/100 == 2 && e.Err == nil:
		return e.beginning("not an answer that is known")
	}
	return ""
}

// beginning adds to words how the answer begins, where nothing of it was fit to be shown.
func (e *Error) beginning(words string) string {
	if e.Text != "" || len(e.first) == 0 {
		return words
	}
	return fmt.Sprintf("%s; it begins with the bytes % x", words, e.first)
}

// copied returns e for one more caller, who may change it.
func (e *Error) copied() *Error {
	if e == nil {
		return nil
	}
	again := *e
	return &again
}

// asError keeps a nil *Error from becoming an error that is not nil.
func asError(e *Error) error {
	if e == nil {
		return nil
	}
	return e
}

// A cause is why there was no complete answer, in words that were cleaned. What it was made of may
// hold bytes of the server, so only the end of a context is unwrapped.
type cause struct {
	words string
	end   error
}

func (c *cause) Error() string { return c.words }
func (c *cause) Unwrap() error { return c.end }

// ended is the cause of a call that its caller did not want any more.
func ended(ctx context.Context) *cause {
	return &cause{words: "given up: " + ctx.Err().Error(), end: ctx.Err()}
}

// secrets are the tokens and passwords that were in use lately.
type secrets struct {
	mu    sync.Mutex
	known []string // as they look in clean text, the latest last
}

// maxSecrets bounds what is remembered; a token that has left the list is long dead.
const maxSecrets = 32

// add remembers a secret in each of the given spellings. The list is replaced rather than changed,
// since clean reads it without the lock.
func (s *secrets) add(spellings ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, spelling := range spellings {
		spelling = oneLine(spelling)
		if i := slices.Index(s.known, spelling); i >= 0 {
			s.known = slices.Delete(slices.Clone(s.known), i, i+1) // to the end: the latest use
		}
		if spelling != "" {
			s.known = append(slices.Clone(s.known[max(0, len(s.known)-maxSecrets+1):]), spelling)
		}
	}
}

// tokenLike is what may be a piece of a token; session IDs are shorter, and have dashes.
var tokenLike = regexp.MustCompile(`[0-9A-Za-z+/=_]{32,}|[0-9A-Za-z_-]{41,}`)

const cut = "[cut]"

// clean makes foreign text fit to be shown: one line, printable, short, and without secrets.
func (s *secrets) clean(text string) string {
	return shorten(tokenLike.ReplaceAllString(s.hide(oneLine(text)), cut))
}

// hide cuts the secrets that are known out of a text.
func (s *secrets) hide(text string) string {
	s.mu.Lock()
	known := s.known
	s.mu.Unlock()
	// The longest first: a short secret inside a long one must not break it up.
	for _, secret := range slices.SortedFunc(slices.Values(known), func(a, b string) int { return len(b) - len(a) }) {
		text = strings.ReplaceAll(text, secret, cut)
	}
	return text
}

func shorten(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.TrimSpace(strings.ToValidUTF8(text[:maxText-len("…")], "")) + "…"
}

// maxText is the most of the server's words that is kept, in bytes.
const maxText = 300

// oneLine replaces what is not printable by single blanks.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return !unicode.IsPrint(r) || r == ' ' || r == unicode.ReplacementChar
	}), " ")
}

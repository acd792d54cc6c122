package webserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
)

// Logoff asks the Web Server to end the sessions, in one document. nil means that it accepted all of
// it: a 200 or 201 whose whole body is the empty element Api_LogoffUsersResponse. That is what the
// documentation shows as the answer; it has no word about single sessions. A JSON answer is never a
// success, because XML is what the request asks for, and "{}" could be anyone's.
//
// The error is always an [*Error]. Where there is no token yet, one is obtained first, and an Error
// of that has the Op login. A session ID that XML cannot carry unchanged, or none at all, is Refused
// without a call.
func (c *Client) Logoff(ctx context.Context, origin Origin, ids []string) error {
	if e := misfits(ids); e != nil {
		return e
	}
	return asError(c.authorized(ctx, request{
		op:       OpLogoff,
		method:   http.MethodDelete,
		path:     "/Sessions",
		format:   "application/xml",
		body:     AppendDocument(make([]byte, 0, documentSize(ids)), ids),
		origin:   origin,
		sessions: len(ids),
	}, c.judgeLogoff))
}

// An Origin is what a logoff is known by elsewhere. What is empty is left out.
type Origin struct {
	ID          string // goes along as X-Request-Id
	Traceparent string // goes along under its name: the trace context of what asked for the logoff
}

// Ping asks WhoAmI: nil means that the Web Server is well and takes our token, which counts as use
// of the token. It logs in when there is no token yet, and does nothing about one that is refused.
// The error is always an [*Error]. NotFound without Page comes from a version that does not know the
// question.
func (c *Client) Ping(ctx context.Context) error {
	return asError(c.whoAmI(ctx, func(User) {}))
}

func (c *Client) whoAmI(ctx context.Context, tell func(User)) *Error {
	return c.authorized(ctx, request{op: OpPing, method: http.MethodGet, path: "/WhoAmI", format: "application/json"}, func(a answer) *Error {
		if e := c.judgePing(a); e != nil {
			return e
		}
		c.learnSelf(a, tell)
		return nil
	})
}

func misfits(ids []string) *Error {
	if len(ids) == 0 {
		return &Error{Op: OpLogoff, Verdict: Refused, Err: errors.New("no session to end")}
	}
	for i, id := range ids {
		if reason := misfit(id); reason != "" {
			return &Error{Op: OpLogoff, Verdict: Refused, Err: fmt.Errorf("session ID %d of %d %s", i+1, len(ids), reason)}
		}
	}
	return nil
}

func documentSize(ids []string) int {
	n := DocumentOverhead
	for _, id := range ids {
		n += SessionSize(id)
	}
	return n
}

// success is the documented answer: that element and nothing else. Byte order mark, declaration, white space,
// the declarations of the schema namespaces that .NET writes, and an error code of 0 without words say nothing,
// so they may be there. An XML parser would be the wrong tool: it passes over comments, directives and whatever
// follows the root.
var success = regexp.MustCompile(`^(\x{FEFF})?[ \t\r\n]*(<\?xml[ \t\r\n][^<>?]*\?>)?[ \t\r\n]*` +
	`<Api_LogoffUsersResponse([ \t\r\n]+` + silentAttribute + `)*[ \t\r\n]*(/>|>[ \t\r\n]*</Api_LogoffUsersResponse[ \t\r\n]*>)[ \t\r\n]*$`)

// silentAttribute is one that says nothing. The prefixes are xsi and xsd, or i from a data contract.
const silentAttribute = `(xmlns:[a-z][a-z0-9]*[ \t\r\n]*=[ \t\r\n]*("http://www\.w3\.org/2001/XMLSchema(-instance)?"|'http://www\.w3\.org/2001/XMLSchema(-instance)?')` +
	`|xmlns[ \t\r\n]*=[ \t\r\n]*(""|'')|errorCode[ \t\r\n]*=[ \t\r\n]*("0"|'0')|errorMessage[ \t\r\n]*=[ \t\r\n]*(""|''))`

func (c *Client) judgeLogoff(a answer) *Error {
	switch {
	case (a.status == http.StatusOK || a.status == http.StatusCreated) && a.whole() && success.Match(a.body):
		return nil
	case c.config.AcceptEmpty && a.status/100 == 2 && a.whole() && a.saysEmpty:
		return nil
	}
	e := c.failure(a)
	switch encoding := c.secrets.clean(a.header.Get("Content-Encoding")); {
	case e.Unknown && len(a.body) > 0 && encoding != "" && e.Text == "":
		e.hint = e.beginning("not an answer that is known; its encoding is said to be " + encoding + ", which was not asked for")
	case e.Unknown && len(a.body) == 0:
		e.hint = "an answer without a body; where a front end is known to drop it, empty answers can be accepted"
	}
	return e
}

func (c *Client) judgePing(a answer) *Error {
	w := readWords(a)
	if a.status/100 == 2 && w.whole && !w.refusing && remark(w.text) == 0 {
		return nil
	}
	return withoutDocument(c.failure(a))
}

// withoutDocument turns verdicts about a document into what they mean for a call that has none.
func withoutDocument(e *Error) *Error {
	switch e.Verdict {
	case Refused, Undecided:
		e.Verdict = Unavailable
	case TooLarge:
		e.Verdict = Misconfigured
	}
	return e
}

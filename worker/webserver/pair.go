package webserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A Pair is an access token and the refresh token that renews it, once. It prints without either.
type Pair struct {
	Access  string // without "Bearer "
	Refresh string
	// Expires is when the access token ends, and RenewableUntil when the renewing does, by the
	// server's clock. They are zero while unknown; that a token has ended, a 401 says.
	Expires, RenewableUntil time.Time
}

// Format keeps the tokens out of whatever a Pair is printed with.
func (p Pair) Format(s fmt.State, _ rune) {
	fmt.Fprintf(s, "pair that expires %s", p.Expires.UTC().Format(time.RFC3339))
}

// LogValue keeps the tokens out of logs.
func (p Pair) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(p)) }

// RenewPair exchanges a pair for a new one, with POST V4/AccessToken/Renew. Both tokens of the old one
// are dead afterwards, and whoever presents it again loses the new one too: the pair must be stored
// before it is used, one caller at a time may renew, and ctx should outlast the call.
//
// It makes one call that carries the access token, and only if that is refused with 401 one without,
// since versions differ. A success is an answer in which both tokens can be read, however broken or cut
// off the rest is: without them the pair is lost. An answer with the old access token is none.
//
// The error is always an [*Error] with the Op token:
//   - Sent: the pair may have been renewed and the new one lost, after a time-out, a 5xx or an answer
//     without tokens. Presenting it again may destroy it;
//   - LoginRejected: refused for good, by 403, 404 or 450. A person has to make a new token;
//   - neither: it was not renewed and may be presented again. The call was not sent, or turned away:
//     Throttled, Unauthorized, Refused, Forbidden by a firewall, Misconfigured by a wrong path, by a
//     version before 11.38, or by a Pair that is none.
func (c *Client) RenewPair(ctx context.Context, p Pair) (Pair, error) {
	p.Access = strings.TrimPrefix(p.Access, "Bearer ")
	c.secrets.add(p.Access, p.Refresh)
	body, err := json.Marshal(struct {
		AccessToken  string `json:"accessToken"`
		RefreshToken string `json:"refreshToken"`
	}{p.Access, p.Refresh})
	switch {
	case usable(p.Access) != nil:
		return Pair{}, notPair("access token", usable(p.Access))
	case usable(p.Refresh) != nil:
		return Pair{}, notPair("refresh token", usable(p.Refresh))
	case err != nil:
		return Pair{}, notPair("pair", errors.New("is not valid UTF-8"))
	case ctx.Err() != nil:
		return Pair{}, givenUp(OpToken, ctx)
	}
	r := request{
		op: OpToken, method: http.MethodPost, path: "/V4/AccessToken/Renew", format: "application/json", body: body, fresh: true,
		token: &token{value: "Bearer " + p.Access},
	}
	renewed, e := c.presentPair(ctx, r, p)
	if e != nil && e.Status == http.StatusUnauthorized {
		r.token = nil
		renewed, e = c.presentPair(ctx, r, p)
	}
	if e != nil {
		e.token = nil // not for Renew, whose tokens are others
		return Pair{}, e
	}
	return renewed, nil
}

func notPair(what string, err error) *Error {
	return &Error{Op: OpToken, Verdict: Misconfigured, Err: fmt.Errorf("the %s %w", what, err)}
}

// presentPair makes one call.
func (c *Client) presentPair(ctx context.Context, r request, old Pair) (Pair, *Error) {
	var renewed Pair
	begun := time.Now()
	take := func(a answer) bool {
		found := readPair(a.body, begun)
		c.secrets.add(found.Access, found.Refresh)
		if a.status/100 != 2 || usable(found.Access) != nil || usable(found.Refresh) != nil || found.Access == old.Access {
			return false
		}
		if found.RenewableUntil.IsZero() {
			found.RenewableUntil = old.RenewableUntil // a renewal does not move it
		}
		renewed = found
		return true
	}
	r.salvage = take
	e := c.call(ctx, r, func(a answer) *Error {
		if take(a) {
			return nil
		}
		return c.pairVerdict(a)
	})
	return renewed, e
}

// pairVerdict says what came of a pair.
func (c *Client) pairVerdict(a answer) *Error {
	e := c.failure(a)
	if a.status/100 != 5 && a.status/100 != 2 {
		e.Sent = false // turned away
	}
	switch {
	case a.status/100 == 2 && !readWords(a).refusing:
		e.Text = "" // it may hold tokens in a form that nobody has seen yet
	case e.Verdict == Undecided:
		e.Verdict = Unavailable
	case e.Verdict == TooLarge:
		e.Verdict = Misconfigured
	case a.status == statusPairDead, (a.status == http.StatusForbidden || a.status == http.StatusNotFound) && !e.Page:
		e.Verdict = LoginRejected
		e.hint = "the access token cannot be renewed any more: a person has to make a new one"
	case e.Verdict == NotFound:
		e.Verdict = Misconfigured
		e.hint = "the path of the base URL is wrong, or the Web Server older than 11.38"
	}
	return e
}

// statusPairDead is a status of the Web Server's own, seen on renewal alone.
const statusPairDead = 450

// A renewal's answer was seen with a damaged key, which no parser of JSON takes. So values are looked
// for by their names; those of an XML attribute are found as well.
var (
	accessToken    = pairText("accessToken")
	refreshToken   = pairText("refreshToken")
	expiry         = pairNumber("tokenExpiryTimes[^\"]{0,3}amp") // the damage: "tokenExpiryTimes}amp"
	expiresIn      = pairNumber("expiresIn")
	renewableUntil = pairNumber("renewableUntilTimestamp")
)

func pairText(name string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)["\s@]` + name + `"?\s*[:=]\s*"((?:[^"\\]|\\.)+)"`)
}

func pairNumber(name string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)["\s@]` + name + `"?\s*[:=]\s*"?([0-9]+)`)
}

// readPair reads what there is of a pair. begun is when the answer was asked for, from which expiresIn
// counts at the latest.
func readPair(body []byte, begun time.Time) Pair {
	p := Pair{Access: strings.TrimPrefix(pairValue(accessToken, body), "Bearer "), Refresh: pairValue(refreshToken, body)}
	p.Expires, _ = epoch(pairValue(expiry, body)) // one of no sense is unknown
	p.RenewableUntil, _ = epoch(pairValue(renewableUntil, body))
	if p.Expires.IsZero() {
		if n, err := strconv.ParseInt(pairValue(expiresIn, body), 10, 32); err == nil && n > 0 {
			p.Expires = begun.Add(time.Duration(n) * time.Second)
		}
	}
	return p
}

func pairValue(name *regexp.Regexp, body []byte) string {
	m := name.FindSubmatch(body)
	if m == nil {
		return ""
	}
	if plain, err := jsontext.AppendUnquote(nil, `"`+string(m[1])+`"`); err == nil {
		return string(plain)
	}
	return string(m[1])
}

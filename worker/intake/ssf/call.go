package ssf

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// An Error says what was being done, and what came of it.
type Error struct {
	Doing string
	// Status is HTTP's; 0 where there was no whole answer.
	Status int
	// After is how long the transmitter asks to wait; 0 where it does not.
	After time.Duration
	// Timeout means that no whole answer came in time, TooLarge that it was longer than is read.
	Timeout, TooLarge bool

	words string
	cause error
}

func (e *Error) Error() string { return e.Doing + ": " + e.words }

// Unwrap is the end of the caller's context, where that was the reason.
func (e *Error) Unwrap() error { return e.cause }

// A request is one call that is to be made.
type request struct {
	doing   string
	method  string
	url     string
	open    bool // it needs no token
	body    any
	secret  string // within the body
	timeout time.Duration
	limit   int64
}

// call makes one request, and reads a success into the value, unless that is nil.
func (c *Client) call(ctx context.Context, r request, into any) error {
	if err := legalAddress(r.url); err != nil {
		return &Error{Doing: r.doing, words: "the address that the transmitter gives for it is not used: " + err.Error()}
	}
	bearer := ""
	if !r.open {
		var err error
		if bearer, err = c.bearer(ctx); err != nil {
			return fmt.Errorf("%s: %w", r.doing, err)
		}
	}
	a, err := c.exchange(ctx, r, bearer)
	switch {
	case err != nil:
		return err
	case a.status == http.StatusUnauthorized:
		c.forget(bearer)
	}
	if a.status/100 != 2 {
		return a.failure(r.doing, bearer, r.secret)
	}
	if into == nil || len(a.body) == 0 && a.status == http.StatusNoContent {
		return nil
	}
	// What is not UTF-8 must not hold up the rest; a token with such is refused by whoever reads it.
	if err := json.Unmarshal(a.body, into, jsontext.AllowInvalidUTF8(true)); err != nil {
		return &Error{Doing: r.doing, Status: a.status, words: "the answer is not the JSON that it should be" + place(err)}
	}
	return nil
}

// place says where JSON is wrong, without a word of it.
func place(err error) string {
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		return " (at byte " + strconv.FormatInt(syntax.ByteOffset, 10) + ")"
	}
	var semantic *json.SemanticError
	if errors.As(err, &semantic) {
		return " (at byte " + strconv.FormatInt(semantic.ByteOffset, 10) + ")"
	}
	return ""
}

// An answer is what came to a request.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// exchange sends a request and reads the whole answer.
func (c *Client) exchange(caller context.Context, r request, bearer string) (answer, error) {
	ctx, cancel := context.WithTimeout(caller, cmp.Or(r.timeout, callTimeout))
	defer cancel()
	q, err := c.httpRequest(ctx, r, bearer)
	if err != nil {
		return answer{}, &Error{Doing: r.doing, words: "the request cannot be made"}
	}
	response, err := c.http.Do(q)
	if err != nil {
		return answer{}, broken(caller, r.doing, err)
	}
	defer response.Body.Close()
	limit := cmp.Or(r.limit, maxAnswer)
	body, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	switch {
	case err != nil:
		return answer{}, broken(caller, r.doing, err)
	case int64(len(body)) > limit:
		return answer{}, &Error{Doing: r.doing, Status: response.StatusCode, TooLarge: true, words: fmt.Sprintf("the answer has more than %d bytes", limit)}
	}
	return answer{response.StatusCode, response.Header, body}, nil
}

func (c *Client) httpRequest(ctx context.Context, r request, bearer string) (*http.Request, error) {
	var body io.Reader
	if r.body != nil {
		text, err := json.Marshal(r.body, jsontext.AllowInvalidUTF8(true))
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	q, err := http.NewRequestWithContext(ctx, r.method, r.url, body)
	if err != nil {
		return nil, err
	}
	q.Header.Set("Accept", "application/json")
	q.Header.Set("User-Agent", cmp.Or(c.config.UserAgent, "logoff-worker"))
	if r.body != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		q.Header.Set("Authorization", "Bearer "+bearer)
	}
	return q, nil
}

// broken says why there was no whole answer.
func broken(caller context.Context, doing string, err error) error {
	e := &Error{Doing: doing, cause: caller.Err()}
	var u *url.Error
	if errors.As(err, &u) {
		e.Timeout = u.Timeout()
		err = u.Err // which leaves the address out, whose query may be a secret
	}
	e.Timeout = e.Timeout || errors.Is(err, context.DeadlineExceeded)
	switch {
	case e.cause != nil:
		e.words = e.cause.Error()
	case e.Timeout:
		e.words = "no whole answer came in time"
	default:
		e.words = err.Error()
	}
	return e
}

// failure is the error of an answer that is no success, with what its body says of the reason.
func (a answer) failure(doing string, secrets ...string) error {
	e := &Error{Doing: doing, Status: a.status, After: retryAfter(a.header.Get("Retry-After"))}
	e.words = strings.TrimSpace(fmt.Sprintf("HTTP %d %s", e.Status, http.StatusText(e.Status)))
	if reason := reason(a.body, secrets); reason != "" {
		e.words += ": " + reason
	}
	return e
}

// reason is what the body of an error says, as RFC 8935 and OAuth write it.
func reason(body []byte, secrets []string) string {
	var says struct {
		Err         string `json:"err"`
		Description string `json:"description"`
		Error       string `json:"error"`
		Explained   string `json:"error_description"`
	}
	if json.Unmarshal(body, &says) != nil {
		return ""
	}
	var words []string
	for _, word := range []string{says.Err, says.Error, says.Description, says.Explained} {
		if word != "" {
			words = append(words, word)
		}
	}
	return shown(strings.Join(words, ": "), secrets)
}

// maxShown is how much of somebody else's words is shown.
const maxShown = 200

// shown makes somebody else's words fit to be shown.
func shown(words string, secrets []string) string {
	for _, secret := range secrets {
		if secret != "" {
			words = strings.ReplaceAll(words, secret, "(secret)")
		}
	}
	words = strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return ' '
		}
		return r
	}, words)
	if len(words) > maxShown {
		return strings.ToValidUTF8(words[:maxShown], "") + "…"
	}
	return words
}

// maxAfter is the longest wait that a transmitter may ask for.
const maxAfter = time.Hour

func retryAfter(value string) time.Duration {
	after := time.Duration(0)
	if seconds, err := strconv.Atoi(value); err == nil {
		after = time.Duration(min(max(0, seconds), int(maxAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		after = time.Until(at)
	}
	return min(max(0, after), maxAfter)
}

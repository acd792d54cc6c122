package ssf

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// A PollRequest is what a poll asks for, and what it says of earlier tokens.
type PollRequest struct {
	Max         int                `json:"maxEvents"`
	Immediately bool               `json:"returnImmediately"`
	Ack         []string           `json:"ack,omitzero"`
	Refused     map[string]Refusal `json:"setErrs,omitzero"`
}

// A Refusal is why a token was not taken.
type Refusal struct {
	Err         string `json:"err"` // a code of RFC 8935
	Description string `json:"description"`
}

// Polled is what a poll brought.
type Polled struct {
	Tokens []Token // by their jti
	More   bool    // there are more right now
}

// A Token is one that is signed, as it came.
type Token struct {
	JTI  string // as the transmitter names it beside the token
	Text string
}

// Poll asks an address for tokens. The transmitter may hold the request open until there are some.
func (c *Client) Poll(ctx context.Context, address string, p PollRequest) (Polled, error) {
	var answer struct {
		Sets map[string]jsontext.Value `json:"sets"`
		More bool                      `json:"moreAvailable"`
	}
	err := c.call(ctx, request{doing: "poll the stream", method: http.MethodPost, url: address, body: p, timeout: pollTimeout, limit: maxPolled}, &answer)
	if err != nil {
		return Polled{}, err
	}
	polled := Polled{More: answer.More}
	for jti, value := range answer.Sets {
		polled.Tokens = append(polled.Tokens, Token{JTI: jti, Text: text(value)})
	}
	slices.SortFunc(polled.Tokens, func(a, b Token) int { return strings.Compare(a.JTI, b.JTI) })
	return polled, nil
}

// text is what a value says; one that is no text is no token, and is given as it is, to be refused.
func text(v jsontext.Value) string {
	if unquoted, err := jsontext.AppendUnquote(nil, v); err == nil {
		return string(unquoted)
	}
	return string(v) // so that bytes which are not UTF-8 stay what they are
}

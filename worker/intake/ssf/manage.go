package ssf

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The ways in which a transmitter delivers.
const (
	Push = "urn:ietf:rfc:8935"
	Poll = "urn:ietf:rfc:8936"
)

// older are the names that the ways of delivery had in drafts.
var older = map[string]string{
	Push: "https://schemas.openid.net/secevent/risc/delivery-method/push",
	Poll: "https://schemas.openid.net/secevent/risc/delivery-method/poll",
}

// Method is today's name of a way of delivery.
func Method(name string) string {
	for today, before := range older {
		if name == before {
			return today
		}
	}
	return name
}

// Metadata is what a transmitter says of itself.
type Metadata struct {
	Issuer          string   `json:"issuer"`
	JWKS            string   `json:"jwks_uri"`
	Methods         []string `json:"delivery_methods_supported"`
	Configuration   string   `json:"configuration_endpoint"`
	Status          string   `json:"status_endpoint"`
	Verification    string   `json:"verification_endpoint"`
	DefaultSubjects string   `json:"default_subjects"` // ALL, NONE or empty
}

// Named is how the transmitter calls a way of delivery.
func (m Metadata) Named(method string) string {
	if before := older[method]; !slices.Contains(m.Methods, method) && slices.Contains(m.Methods, before) {
		return before
	}
	return method
}

// A Stream is how a transmitter's stream is set up. Only the upper part is the receiver's to say.
type Stream struct {
	ID          string   `json:"stream_id,omitzero"`
	Delivery    Delivery `json:"delivery,omitzero"`
	Requested   []string `json:"events_requested,omitzero"`
	Description string   `json:"description,omitzero"`

	Issuer    string   `json:"iss,omitzero"`
	Audience  Audience `json:"aud,omitzero"`
	Supported []string `json:"events_supported,omitzero"`
	Delivered []string `json:"events_delivered,omitzero"` // nil where it does not say
	// MinVerification is the least time between two requests for a verification event, Inactivity that after which
	// it may pause a stream whose receiver asks for nothing; in seconds.
	MinVerification float64 `json:"min_verification_interval,omitzero"`
	Inactivity      float64 `json:"inactivity_timeout,omitzero"`
}

// A Delivery is how a stream's tokens come.
type Delivery struct {
	Method string `json:"method"`
	URL    string `json:"endpoint_url,omitzero"`
	// Authorization is the header that pushes are to have.
	Authorization string `json:"authorization_header,omitzero"`
}

// Audience is one or several, which JSON writes as text or a list.
type Audience []string

// UnmarshalJSONFrom reads either.
func (a *Audience) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() == '[' {
		return json.UnmarshalDecode(d, (*[]string)(a))
	}
	var one string
	err := json.UnmarshalDecode(d, &one)
	*a = nil
	if one != "" {
		*a = Audience{one}
	}
	return err
}

// A Status is whether a stream delivers.
type Status struct {
	Status string `json:"status"` // enabled, paused or disabled
	Reason string `json:"reason"`
}

// Enabled is the status of a stream that delivers.
const Enabled = "enabled"

// Discover reads what the transmitter says of itself, from where SSF puts it, or from where others do.
func (c *Client) Discover(ctx context.Context) (Metadata, error) {
	var first error
	for _, address := range wellKnown(c.config.Issuer) {
		var m Metadata
		err := c.call(ctx, request{doing: "read the transmitter's configuration", method: http.MethodGet, url: address, open: true}, &m)
		var e *Error
		switch {
		case err == nil && m.Issuer != c.config.Issuer:
			return m, &Error{Doing: "read the transmitter's configuration", words: fmt.Sprintf("it is that of another issuer, %s", shown(m.Issuer, nil))}
		case err == nil:
			return m, nil
		case !errors.As(err, &e) || e.Status == 0:
			return m, err // there is no such host, or it does not answer
		case first == nil:
			first = err
		}
	}
	return Metadata{}, first
}

// wellKnown are the places of a transmitter's configuration: between host and path, as SSF has it; behind the path; and
// where it was before SSF.
func wellKnown(issuer string) []string {
	u, err := url.Parse(issuer)
	if err != nil {
		return nil
	}
	root, path := u.Scheme+"://"+u.Host, strings.TrimSuffix(u.EscapedPath(), "/")
	places := []string{root + "/.well-known/ssf-configuration" + path, root + path + "/.well-known/ssf-configuration", root + "/.well-known/risc-configuration" + path}
	return slices.Compact(places)
}

// Streams are those of this receiver.
func (c *Client) Streams(ctx context.Context, m Metadata) ([]Stream, error) {
	var streams oneOrMore
	err := c.call(ctx, request{doing: "list the streams", method: http.MethodGet, url: m.Configuration}, &streams)
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusNotFound {
		return nil, nil
	}
	return streams, err
}

// oneOrMore are streams; older transmitters give the one that there is alone.
type oneOrMore []Stream

// UnmarshalJSONFrom reads either.
func (s *oneOrMore) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() == '[' {
		return json.UnmarshalDecode(d, (*[]Stream)(s))
	}
	var one Stream
	err := json.UnmarshalDecode(d, &one)
	*s = oneOrMore{one}
	return err
}

// Create makes a stream, and returns it as the transmitter has it.
func (c *Client) Create(ctx context.Context, m Metadata, s Stream) (made Stream, err error) {
	err = c.call(ctx, request{doing: "create the stream", method: http.MethodPost, url: m.Configuration, body: s, secret: s.Delivery.secret()}, &made)
	return made, err
}

// Update changes what a stream, which has an ID, is set to, and returns it as the transmitter has it now.
func (c *Client) Update(ctx context.Context, m Metadata, s Stream) (now Stream, err error) {
	err = c.call(ctx, request{doing: "change the stream", method: http.MethodPatch, url: m.Configuration, body: s, secret: s.Delivery.secret()}, &now)
	return now, err
}

// secret is what must not be shown of a delivery.
func (d Delivery) secret() string {
	_, secret, _ := strings.Cut(d.Authorization, " ")
	return secret
}

// Status asks whether a stream delivers.
func (c *Client) Status(ctx context.Context, m Metadata, stream string) (s Status, err error) {
	err = c.call(ctx, request{doing: "ask for the stream's status", method: http.MethodGet, url: withStream(m.Status, stream)}, &s)
	return Status{Status: shown(s.Status, nil), Reason: shown(s.Reason, nil)}, err
}

func withStream(address, stream string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address // which is refused
	}
	q := u.Query()
	q.Set("stream_id", stream)
	u.RawQuery = q.Encode()
	return u.String()
}

// Verify asks for a verification event with a state.
func (c *Client) Verify(ctx context.Context, m Metadata, stream, state string) error {
	return c.call(ctx, request{doing: "ask for a verification event", method: http.MethodPost, url: m.Verification, body: struct {
		Stream string `json:"stream_id"`
		State  string `json:"state"`
	}{stream, state}}, nil)
}

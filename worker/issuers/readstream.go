package issuers

import (
	"crypto/sha256"
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"

	"logoffworker/worker/env"
)

const (
	standardEvery  = 5 * time.Second
	standardVerify = 5 * time.Minute
	minVerify      = time.Minute
)

func (r *reader) stream(how *Issuer) take {
	return func(n *yaml.Node, at string) {
		s := &Stream{Every: standardEvery, Verify: standardVerify}
		how.Stream = s
		managed := true
		r.members(n, at, map[string]take{
			"delivery":    r.choice(&s.Delivery, "poll", "push"),
			"push_url":    r.url(&s.PushURL),
			"poll_url":    r.url(&s.PollURL),
			"managed":     r.truth(&managed),
			"every":       r.duration(&s.Every, time.Second, false),
			"verify":      r.duration(&s.Verify, minVerify, true),
			"bearer":      r.secret(&s.Bearer),
			"bearer_file": r.secretFile(&s.Bearer),
			"client":      r.client(s),
			"ca_file":     r.caFile(&s.CAFile),
		})
		s.Unmanaged = !managed
		if s.Unmanaged && !has(n, "verify") {
			s.Verify = 0
		}
		r.checkStream(n, at, s)
	}
}

// sum makes [Stream.Sum] of an issuer's entry.
func (r *reader) sum(issuer *yaml.Node, url string, s *Stream) env.Sum {
	all := fmt.Appendf(nil, "%q %q %x", url, s.Events, r.files.sums[s.CAFile])
	for i := 0; i+1 < len(issuer.Content); i += 2 {
		if name := issuer.Content[i].Value; name == "stream" || name == "push" {
			var says any
			_ = issuer.Content[i+1].Decode(&says) // what is wrong with it is told
			all = fmt.Appendf(all, " %s %#v", name, says)
		}
	}
	return sha256.Sum256(all)
}

func (r *reader) checkStream(n *yaml.Node, at string, s *Stream) {
	r.needs(n, at, s.Delivery != "", "delivery", "poll or push")
	switch {
	case s.Bearer != nil && has(n, "client"):
		r.wrong(n, at, "has a bearer token and a client; keep one")
	case s.Unmanaged && s.Delivery == "push":
		r.wrong(n, at, "is neither managed nor polled; leave the stream out, and give push: {path: …} beside it")
	case s.Unmanaged && s.Verify > 0:
		r.wrong(n, at, "is not managed, so that no verification event can be asked for; leave verify out")
	}
	if s.Unmanaged && s.Delivery == "poll" {
		r.needs(n, at, s.PollURL != "", "poll_url", "where the stream is polled, since it is not managed")
	}
	if s.Delivery == "push" {
		r.needs(n, at, s.PushURL != "", "push_url", "the whole address that the transmitter pushes to, which leads to the path of push")
	}
}

// client reads the credentials by which an OAuth server gives tokens for the stream.
func (r *reader) client(s *Stream) take {
	return func(n *yaml.Node, at string) {
		r.members(n, at, map[string]take{
			"token_url":   r.url(&s.TokenURL),
			"id":          r.text(&s.ClientID),
			"secret":      r.secret(&s.ClientSecret),
			"secret_file": r.secretFile(&s.ClientSecret),
			"scopes":      r.texts(&s.Scopes),
		})
		r.needs(n, at, s.TokenURL != "", "token_url", "where tokens are given")
		r.needs(n, at, s.ClientID != "", "id", "the name of the client")
		r.needs(n, at, s.ClientSecret != nil || has(n, "secret"), "secret_file", "the file with the secret of the client")
	}
}

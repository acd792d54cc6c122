package signals

import (
	"net/url"

	"logoffworker/jobs"
)

// LogoutToken reads a form with a logout_token (OpenID Connect Back-Channel Logout 1.0 §2.5).
func (r Reader) LogoutToken(issuer string, form []byte) Answer {
	g := r.read(jobs.SET)
	return g.end(g.logoutToken(issuer, form))
}

func (g *reading) logoutToken(issuer string, form []byte) error {
	values, err := url.ParseQuery(string(form))
	if err != nil || len(values["logout_token"]) != 1 {
		return g.looked("form", invalid(InvalidRequest, "the body is no form with one logout_token"), "")
	}
	t, err := g.prove([]byte(values.Get("logout_token")), purpose{
		typ: "logout+jwt", issuer: issuer, audience: func(i Issuer) []string { return i.Audience },
	})
	if err != nil {
		return err
	}
	if _, there := t.claims["nonce"]; there {
		return g.looked("nonce", invalid(InvalidRequest, "the token has a nonce, as an ID token has; a logout token has none"), "")
	}
	return requested(g.obey(t, sessionOf))
}

// sessionOf is whom a logout token is about: a person, a session of theirs at the issuer, or both.
func sessionOf(t token, _ event) any {
	subject := map[string]any{"format": "complex"}
	if sub := t.claims["sub"]; sub != nil {
		subject["user"] = map[string]any{"format": "iss_sub", "iss": t.claims["iss"], "sub": sub}
	}
	if sid := t.claims["sid"]; sid != nil {
		subject["session"] = map[string]any{"format": "opaque", "id": sid}
	}
	return subject
}

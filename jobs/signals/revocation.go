package signals

import (
	"errors"
	"strings"
	"time"

	"logoffworker/jobs"
)

// sameCall is how long a call that comes again with its token may be the same one: as a connection that broke has it
// repeated. Later it is a new one, which ends what was opened since.
const sameCall = 2 * time.Second

// Revocation reads a call of Universal Logout (draft-parecki-oauth-global-token-revocation-06), which the
// token of its Authorization header proves.
func (r Reader) Revocation(issuer, authorization string, body []byte) Answer {
	g := r.read(jobs.SET)
	return g.end(g.revocation(issuer, authorization, body))
}

func (g *reading) revocation(issuer, authorization string, body []byte) error {
	scheme, bearer, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") || strings.TrimSpace(bearer) == "" {
		return g.looked("authorization", invalid(Unauthenticated, "the call has no bearer token"), "")
	}
	t, err := g.prove([]byte(bearer), purpose{
		typ: "global-token-revocation+jwt", issuer: issuer, nameless: true, exactly: true,
		audience: func(i Issuer) []string { return []string{i.RevokeAudience} },
	})
	if err != nil {
		return unauthenticated(err)
	}
	if t.claims["exp"] == nil {
		return g.looked("age", invalid(Unauthenticated, "the call's token never expires (no exp)"), "")
	}
	call, err := object(body)
	if err != nil {
		return g.looked("body", invalid(InvalidRequest, "the body: %v", err), "")
	}
	if jti, ok := text(t.claims["jti"]); ok { // one token may prove several calls, and the same one later
		g.answer.Job.ID = jobs.SignalID(g.issuer.URL, jti, string(body), g.Now.Truncate(sameCall).UTC().Format(time.RFC3339))
	}
	return g.revoke(call)
}

// revoke makes the job. All that was open when the call came is to end; the token may be older.
func (g *reading) revoke(call map[string]any) error {
	subject := call["sub_id"]
	if subject == nil {
		subject = call["subject"] // before draft 06
	}
	e := event{uri: tokenRevocation}
	found, err := g.who(subject, e)
	if err != nil {
		return err
	}
	var o order
	o.add(found, nil, g.Now.UTC().Truncate(time.Microsecond), false, e)
	return g.give(&o)
}

// unauthenticated says of a token that is not believed that the caller is not known. One whose key may be new is not yet.
func unauthenticated(err error) error {
	var ended *ending
	if errors.As(err, &ended) && ended.verdict == Invalid {
		ended.code = Unauthenticated
	}
	return err
}

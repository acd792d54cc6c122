package intake

import (
	"context"
	"mime"
	"net/http"

	"logoffworker/jobs"
	"logoffworker/jobs/signals"
	"logoffworker/worker/issuers"
)

// pushEndpoint is where an issuer pushes security event tokens (RFC 8935).
func (rc *Receiver) pushEndpoint(issuer issuers.Issuer) endpoint {
	return endpoint{
		kind: "push", limit: maxToken, proved: issuer.PushBearer != nil, say: sayPush,
		prove: func(r *http.Request) answer {
			if issuer.PushBearer == nil {
				return answer{}
			}
			return rc.unproven(proves(issuer.PushBearer, bearer(r)), "push "+issuer.Name, "whoever pushes events as "+issuer.Name, func() answer {
				return pushError(signals.Unauthenticated, "the bearer token is missing or wrong")
			})
		},
		take: func(ctx context.Context, r *http.Request, body []byte) answer {
			if mediaType(r) != "application/secevent+jwt" {
				return pushError(signals.InvalidRequest, "the content type must be application/secevent+jwt")
			}
			s := sender{
				publisher: issuer.Name, lane: jobs.Urgent, body: body, tokens: true, say: sayPush,
				done:    func(string, signals.Answer) answer { return answer{code: http.StatusAccepted} },
				invalid: func(a signals.Answer) answer { return pushError(a.Code, a.Why) },
			}
			if issuer.PushBearer != nil {
				s.secrets = []string{bearer(r)}
			}
			return rc.settle(ctx, s, rc.reader().SET(issuer.Name, body))
		},
	}
}

// pushError is an error of RFC 8935 §2.3.
func pushError(code signals.Code, words string) answer {
	switch code {
	case signals.InvalidRequest, signals.InvalidKey, signals.InvalidIssuer, signals.InvalidAudience, signals.Unauthenticated, signals.AccessDenied:
	default:
		code = signals.InvalidRequest
	}
	return answer{code: http.StatusBadRequest, body: map[string]string{"err": string(code), "description": words}}.with("Content-Language", "en")
}

// sayPush is an answer that the RFC has no code for; what is too large is no request.
func sayPush(code int, words string) answer {
	if code == http.StatusRequestEntityTooLarge || code == http.StatusBadRequest {
		return pushError(signals.InvalidRequest, words)
	}
	return problem(code, words)
}

// logoutEndpoint is where an issuer posts logout tokens (OpenID Connect Back-Channel Logout 1.0). Their signature is all
// that proves them.
func (rc *Receiver) logoutEndpoint(issuer issuers.Issuer) endpoint {
	return endpoint{
		kind: "logout", limit: maxToken, say: sayLogout,
		prove: func(*http.Request) answer { return answer{} },
		take: func(ctx context.Context, _ *http.Request, body []byte) answer {
			s := sender{
				publisher: issuer.Name, lane: jobs.Urgent, say: sayLogout,
				done:    func(string, signals.Answer) answer { return answer{code: http.StatusOK} },
				invalid: func(a signals.Answer) answer { return sayLogout(http.StatusBadRequest, a.Why) },
			}
			return rc.settle(ctx, s, rc.reader().LogoutToken(issuer.Name, body))
		},
	}
}

// sayLogout is an error as OAuth 2.0 has them.
func sayLogout(code int, words string) answer {
	if code == http.StatusRequestEntityTooLarge {
		code = http.StatusBadRequest
	}
	kind := "invalid_request"
	if code >= http.StatusInternalServerError {
		kind = "temporarily_unavailable"
	}
	return answer{code: code, body: map[string]string{"error": kind, "error_description": words}}
}

func isForm(r *http.Request) bool { return mediaType(r) == "application/x-www-form-urlencoded" }

// mediaType is a request's content type without parameters, in lower case.
func mediaType(r *http.Request) string {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return kind
}

// revokeEndpoint is where an issuer calls Universal Logout. The token of the call proves it.
func (rc *Receiver) revokeEndpoint(issuer issuers.Issuer) endpoint {
	return endpoint{
		kind: "revoke", limit: maxToken, say: problem,
		prove: func(r *http.Request) answer {
			if bearer(r) == "" {
				return revokeError(signals.Unauthenticated, "a signed bearer token is needed")
			}
			return answer{}
		},
		take: func(ctx context.Context, r *http.Request, body []byte) answer {
			s := sender{
				publisher: issuer.Name, lane: jobs.Urgent, body: body, say: problem,
				done:    func(string, signals.Answer) answer { return answer{code: http.StatusNoContent} },
				invalid: func(a signals.Answer) answer { return revokeError(a.Code, a.Why) },
			}
			return rc.settle(ctx, s, rc.reader().Revocation(issuer.Name, r.Header.Get("Authorization"), body))
		},
	}
}

// revokeError is a refusal of Universal Logout by its code.
func revokeError(code signals.Code, words string) answer {
	switch code {
	case signals.UnknownUser:
		return problem(http.StatusNotFound, words)
	case signals.AccessDenied:
		return problem(http.StatusForbidden, words)
	case signals.Unauthenticated, signals.InvalidKey, signals.InvalidIssuer, signals.InvalidAudience:
		return problem(http.StatusUnauthorized, words).with("WWW-Authenticate", "Bearer")
	}
	return problem(http.StatusBadRequest, words)
}

package intake

import (
	"context"
	"net/http"

	"logoffworker/jobs"
	"logoffworker/jobs/signals"
	"logoffworker/worker/issuers"
)

// hookEndpoint is where a recipe's bodies are posted to. It is answered before the three seconds are over that senders
// of webhooks wait.
func (rc *Receiver) hookEndpoint(hook issuers.Hook) endpoint {
	return endpoint{
		kind: "hook", limit: MaxBody, proved: true, say: problem,
		greet: func(r *http.Request) answer { return challenged(hook, r) },
		prove: func(r *http.Request) answer {
			return rc.unproven(ofHook(hook, r), "hook "+hook.Recipe, "whoever posts to the hook "+hook.Recipe, func() answer {
				return problem(http.StatusUnauthorized, "what proves the sender is missing or wrong")
			})
		},
		take: func(ctx context.Context, r *http.Request, body []byte) answer {
			s := sender{
				publisher: hook.Recipe, lane: jobs.Urgent, secrets: shownTo(hook, r), body: body, say: problem,
				done:    func(id string, a signals.Answer) answer { return jobAnswer(http.StatusOK, id, a) },
				invalid: func(a signals.Answer) answer { return problem(http.StatusBadRequest, a.Why) },
			}
			return rc.settle(ctx, s, rc.reader().Hook(hook.Recipe, body))
		},
	}
}

// challenged answers those who ask before they send: Okta, and event grids. Neither sends a header that proves it then;
// the query they do send.
func challenged(hook issuers.Hook, r *http.Request) answer {
	if queryOf(hook, r) != shown {
		return answer{}
	}
	if challenge := r.Header.Get("X-Okta-Verification-Challenge"); r.Method == http.MethodGet && challenge != "" {
		return answer{code: http.StatusOK, body: map[string]string{"verification": challenge}}
	}
	return allowOrigin(r)
}

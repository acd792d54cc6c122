package intake

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"logoffworker/jobs"
	"logoffworker/jobs/signals"
	"logoffworker/worker/issuers"
)

// jobsPath is where publishers post jobs, and all else that a message on NATS may be.
const jobsPath = "/v1/jobs"

func (rc *Receiver) jobsEndpoint(file *issuers.File) endpoint {
	return endpoint{
		kind: "jobs", limit: MaxBody, proved: true, greet: allowOrigin, say: problem,
		prove: func(r *http.Request) answer {
			_, p := ofPublisher(file, r)
			return rc.unproven(p, "jobs", "whoever posts jobs", bearerWanted)
		},
		take: func(ctx context.Context, r *http.Request, body []byte) answer {
			publisher, _ := ofPublisher(file, r)
			return rc.takeJob(ctx, publisher, r, body)
		},
	}
}

// bearerWanted is the answer to who has no bearer that is known.
func bearerWanted() answer {
	return problem(http.StatusUnauthorized, "a bearer token of a publisher is needed").with("WWW-Authenticate", "Bearer")
}

func (rc *Receiver) takeJob(ctx context.Context, publisher string, r *http.Request, body []byte) answer {
	lane := jobs.Urgent
	if asked := r.URL.Query()["lane"]; len(asked) > 0 {
		lane = jobs.Lane(asked[0])
		if len(asked) > 1 || !slices.Contains(jobs.Lanes, lane) {
			return problem(http.StatusBadRequest, "the lane is urgent or bulk")
		}
	}
	s := sender{
		publisher: publisher, lane: lane, secrets: []string{bearer(r)}, body: body, author: true, tokens: true, say: problem,
		done:    func(id string, a signals.Answer) answer { return jobAnswer(http.StatusAccepted, id, a) },
		invalid: func(a signals.Answer) answer { return problem(http.StatusBadRequest, a.Why) },
	}
	return rc.settle(ctx, s, rc.reader().Message(withoutProof(r.Header), body))
}

// jobAnswer tells what a job is called, and what of it could not be read; or why there is none.
func jobAnswer(code int, id string, a signals.Answer) answer {
	body := map[string]string{}
	for name, text := range map[string]string{"jobId": id, "remarks": a.Job.Remark()} {
		if text != "" {
			body[name] = text
		}
	}
	if id == "" {
		body["ignored"] = a.Why
	}
	return answer{code: code, body: body}
}

// withoutProof are the headers that say what a message is.
func withoutProof(header http.Header) http.Header {
	header = header.Clone()
	header.Del("Authorization")
	return header
}

// allowOrigin answers the question of an event grid whether its events are welcome (CloudEvents HTTP webhook 1.0 §4).
// The address for a later answer, which a stranger could name, is not used.
func allowOrigin(r *http.Request) answer {
	origin := r.Header.Get("WebHook-Request-Origin")
	if r.Method != http.MethodOptions || origin == "" {
		return answer{}
	}
	a := answer{code: http.StatusOK}.with("WebHook-Allowed-Origin", origin).with("Allow", http.MethodPost)
	if strings.TrimSpace(r.Header.Get("WebHook-Request-Rate")) != "" {
		a = a.with("WebHook-Allowed-Rate", "*")
	}
	return a
}

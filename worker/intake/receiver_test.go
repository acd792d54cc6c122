package intake

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"logoffworker/jobs"
	"logoffworker/jobs/signals"
	"logoffworker/worker/stage"
)

const (
	setType  = "application/secevent+jwt"
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

// Each example that comes over HTTP is answered as its index says, and stored if it is a job.
func TestExamplesAreAnswered(t *testing.T) {
	codes := map[string]int{
		"logout-sub-sid": 200, "logout-sid-only": 400, "logout-nonce": 400,
		"revoke-email": 204, "revoke-iss-sub": 204, "revoke-aud": 401, "revoke-no-auth": 401,
		"okta-hook-two": 200, "splunk-user": 200, "http-job": 202, "http-job-no-auth": 401,
		"push-ok": 202, "push-no-auth": 400, "push-aud": 400, "push-iss": 400, "push-garbage": 400,
	}
	r := newRig(t, 0)
	x := r.receive()
	index, err := os.ReadFile(examples + "/index.tsv")
	if err != nil {
		t.Fatal(err)
	}
	wanted := 0
	for _, row := range strings.Split(strings.TrimSpace(string(index)), "\n")[1:] {
		column := strings.Split(row, "\t")
		id, verdict := column[0], column[4]
		target, isHTTP := strings.CutPrefix(column[2], "http POST ")
		if !isHTTP {
			continue
		}
		var header map[string]string
		if err := json.Unmarshal([]byte(column[3]), &header); err != nil {
			t.Fatal(err)
		}
		got := x.send(http.MethodPost, target, header, example(t, id))
		if got.code != codes[id] {
			t.Errorf("%s: %d %s, want %d", id, got.code, got.body, codes[id])
		}
		delete(codes, id)
		if verdict == "job" {
			wanted++
		}
	}
	if n := len(r.jobs()); n != wanted || len(codes) > 0 {
		t.Errorf("%d jobs are stored, want %d; not sent: %v", n, wanted, codes)
	}
}

// A publisher is known by its own bearer, and hears what its job is called, or what is wrong with it.
func TestJobsOverHTTP(t *testing.T) {
	const job = `{"id":"case-17","users":[{"email":"jane@corp.example"}]}`
	large := `{"users":[{"id":7}],"reason":"` + strings.Repeat("x", 800<<10) + `"}`
	for name, test := range map[string]struct {
		target, bearer, kind, body string
		code                       int
		words, subject             string
	}{
		"a job":                  {"/v1/jobs", "job-secret", jsonType, job, 202, `"jobId":"case-17"`, "logoff.requests.urgent.soar"},
		"another's":              {"/v1/jobs?lane=bulk", "hr-secret", jsonType, job, 202, `"jobId":"case-17"`, "logoff.requests.bulk.hr"},
		"one without an id":      {"/v1/jobs?lane=urgent", "job-secret", jsonType, `{"users":[{"id":7}]}`, 202, `"jobId":"http-`, "logoff.requests.urgent.soar"},
		"a part is unreadable":   {"/v1/jobs", "job-secret", jsonType, `{"users":[{"id":7}],"notAfter":"soon"}`, 202, `"remarks":"`, "logoff.requests.urgent.soar"},
		"the vendor's document":  {"/v1/jobs", "job-secret", "application/xml", `<Api_LogoffUsersRequest><sessions val="EMCAE92D1DD-0C68-49A6-BEBB-404D96D7A4BF"/></Api_LogoffUsersRequest>`, 202, "jobId", "logoff.requests.urgent.soar"},
		"a list of IDs":          {"/v1/jobs", "job-secret", "text/plain", "EMCAE92D1DD-0C68-49A6-BEBB-404D96D7A4BF\n", 202, "jobId", "logoff.requests.urgent.soar"},
		"a signed event":         {"/v1/jobs", "job-secret", setType, "push-ok", 202, `"jobId":"set-`, "logoff.requests.urgent.soar"},
		"an event of no recipe":  {"/v1/jobs", "job-secret", "application/cloudevents+json", "ce-unknown-type", 202, `"ignored":"`, ""},
		"no job":                 {"/v1/jobs", "job-secret", jsonType, `{"users":[]}`, 400, "names no session and no user", ""},
		"no such lane":           {"/v1/jobs?lane=fast", "job-secret", jsonType, job, 400, "urgent or bulk", ""},
		"two lanes":              {"/v1/jobs?lane=bulk&lane=urgent", "job-secret", jsonType, job, 400, "urgent or bulk", ""},
		"no bearer":              {"/v1/jobs", "", jsonType, job, 401, "bearer", ""},
		"a wrong bearer":         {"/v1/jobs", "job-secre", jsonType, job, 401, "bearer", ""},
		"too large":              {"/v1/jobs", "job-secret", jsonType, large, 413, "larger", ""},
		"too large and unproved": {"/v1/jobs", "x", jsonType, large, 401, "bearer", ""},
		"a key that is unknown":  {"/v1/jobs", "job-secret", setType, "kid-unknown", 503, "key", ""},
		"nothing is there":       {"/v1/job", "job-secret", jsonType, job, 404, "nothing", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 0)
			x := r.receive()
			body := test.body
			if test.kind == setType || test.kind == "application/cloudevents+json" {
				body = example(t, body)
			}
			got := x.post(test.target, test.bearer, test.kind, body)
			if got.code != test.code || !got.says(test.words) || got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%d %s, want %d %s", got.code, got.body, test.code, test.words)
			}
			if (got.code == 503) != (got.header.Get("Retry-After") != "") || (got.code == 401) != (got.header.Get("WWW-Authenticate") != "") {
				t.Errorf("%d with the headers %v", got.code, got.header)
			}
			stored := r.stored()
			if len(stored) > 1 || (len(stored) == 1) != (test.subject != "") || test.subject != "" && stored[0].Subject != test.subject {
				t.Errorf("%d messages are stored", len(stored))
			}
		})
	}
}

// Each error code of RFC 8935 is given where it belongs, and a signature's key that may be a new one is waited for.
func TestPushedEventsAreAnsweredByTheRFC(t *testing.T) {
	r := newRig(t, 0)
	x := r.receive()
	for _, test := range []struct {
		id, target, bearer, kind, err string
		code                          int
	}{
		{"push-ok", "/v1/events/idp", "push-secret", setType, "", 202},
		{"push-ok", "/v1/events/idp", "push-secret", "Application/SecEvent+JWT; charset=utf-8", "", 202}, // again
		{"caep-assurance", "/v1/events/idp", "push-secret", setType, "", 202},
		{"ssf-verification", "/v1/events/idp", "push-secret", setType, "", 202},
		{"keycloak-logout", "/v1/events/keycloak", "", setType, "", 202},
		{"push-garbage", "/v1/events/idp", "push-secret", setType, "invalid_request", 400},
		{"oversize", "/v1/events/idp", "push-secret", setType, "invalid_request", 400},
		{"risc-unmapped", "/v1/events/idp", "push-secret", setType, "invalid_request", 400},
		{"push-ok", "/v1/events/idp", "push-secret", jsonType, "invalid_request", 400},
		{"key-attacker", "/v1/events/idp", "push-secret", setType, "invalid_key", 400},
		{"push-iss", "/v1/events/idp", "push-secret", setType, "invalid_issuer", 400},
		{"aud-other", "/v1/events/idp", "push-secret", setType, "invalid_audience", 400},
		{"push-ok", "/v1/events/idp", "", setType, "authentication_failed", 400},
		{"push-ok", "/v1/events/idp", "job-secret", setType, "authentication_failed", 400},
		{"subject-other-domain", "/v1/events/keycloak", "", setType, "access_denied", 400},
		{"kid-unknown", "/v1/events/idp", "push-secret", setType, "", 503},
	} {
		got := x.post(test.target, test.bearer, test.kind, example(t, test.id))
		var said struct {
			Err         string `json:"err"`
			Description string `json:"description"`
		}
		if test.code == 400 {
			if err := json.Unmarshal([]byte(got.body), &said); err != nil || said.Description == "" || got.header.Get("Content-Language") != "en" || got.header.Get("Content-Type") != jsonType {
				t.Errorf("%s: %s, %v, %v", test.id, got.body, got.header, err)
			}
		}
		if got.code != test.code || said.Err != test.err || test.code == 202 && got.body != "" {
			t.Errorf("%s: %d %s, want %d %s", test.id, got.code, got.body, test.code, test.err)
		}
		if (test.code == 503) != (got.header.Get("Retry-After") != "") {
			t.Errorf("%s: %v", test.id, got.header)
		}
	}
	if n := len(r.jobs()); n != 2 {
		t.Errorf("%d jobs are stored", n)
	}
	for _, line := range []string{
		`logoff_signals_total{issuer="idp",verdict="job"} 2`, `logoff_signals_total{issuer="idp",verdict="retry"} 1`, `logoff_signals_total{issuer="okta",verdict="job"} 0`,
		`logoff_signals_total{issuer="soar",verdict="job"} 0`, `logoff_receiver_requests_total{code="202",endpoint="push"} 5`, `logoff_receiver_requests_total{code="503",endpoint="push"} 1`,
	} {
		if !strings.Contains(x.metricsText(), line+"\n") {
			t.Errorf("there is no %s", line)
		}
	}
}

// A refused event is told of once, with what is wrong with it.
func TestRefusedEventIsToldOnce(t *testing.T) {
	x := newRig(t, 0).receive()
	for range 3 {
		x.post("/v1/events/idp", "push-secret", setType, example(t, "risc-unmapped"))
	}
	if n := strings.Count(x.out.String(), "an event of idp was refused"); n != 1 {
		t.Errorf("it is told %d times:\n%s", n, x.out)
	}
	x.rc.ask(t.Context())
	if ok, conditions := x.rc.Health.Ready(); !ok {
		t.Errorf("nobody is to be woken for it, and it says %v", conditions)
	}
}

// Whatever is known to come of somebody who may have sessions ended, and names nobody, has a dead letter: a person has to
// look, whatever its sender makes of the answer. What is stored can be no job.
func TestARevocationThatNamesNobodyIsKept(t *testing.T) {
	r := newRig(t, 0)
	x := r.receive()
	revoke, hook := x.example("revoke-email"), map[string]string{"Authorization": "hook-secret"}
	const nobody = `{"sub_id":{"format":"iss_sub","iss":"https://org.okta.com","sub":"nobody"}}`
	const noUser = `{"data":{"events":[{"eventType":"user.session.clear","target":[{"type":"App"}]}]}}`
	sent := []struct {
		name, publisher string
		got             reply
		code            int
	}{
		{"an unknown user", "idp", x.post("/v1/events/idp", "push-secret", setType, example(t, "risc-unmapped")), 400},
		{"no subject", "idp", x.post("/v1/events/idp", "push-secret", setType, example(t, "subject-missing")), 400},
		{"another domain", "keycloak", x.post("/v1/events/keycloak", "", setType, example(t, "subject-other-domain")), 400},
		{"no jti", "idp", x.post("/v1/events/idp", "push-secret", setType, example(t, "jti-missing")), 400},
		{"through a publisher", "soar", x.post("/v1/jobs", "job-secret", setType, example(t, "risc-unmapped")), 400},
		{"a logout token", "keycloak", x.post("/v1/events/keycloak", "", formType, example(t, "logout-sid-only")), 400},
		{"a call", "okta", x.send(http.MethodPost, "/v1/events/okta/revoke", revoke, nobody), 404},
		{"a hook without a user", "okta-hook", x.send(http.MethodPost, "/v1/hooks/okta", hook, noUser), 400},
		{"a hook's rubbish", "okta-hook", x.send(http.MethodPost, "/v1/hooks/okta", hook, `{"users":[{"id":7}]`), 400},
	}
	all := r.stored()
	if len(all) != len(sent) {
		t.Fatalf("%d of %d are stored", len(all), len(sent))
	}
	for i, test := range sent {
		msg := all[i]
		if test.got.code != test.code {
			t.Errorf("%s: %d %s", test.name, test.got.code, test.got.body)
		}
		if msg.Subject != "logoff.requests.urgent."+test.publisher {
			t.Errorf("%s is stored on %s", test.name, msg.Subject)
		}
		if a := x.rc.reader().Message(msg.Header, msg.Data); a.Verdict != signals.Invalid {
			t.Errorf("%s is read as %s: %s", test.name, a.Verdict, msg.Data)
		}
		for _, secret := range []string{"hook-secret", strings.TrimPrefix(revoke["Authorization"], "Bearer ")} {
			if strings.Contains(fmt.Sprint(msg.Header, string(msg.Data)), secret) {
				t.Errorf("%s is stored with a credential", test.name)
			}
		}
	}
	for _, got := range []reply{
		x.post("/v1/events/keycloak", "", setType, example(t, "aud-other")),
		x.post("/v1/events/idp", "push-secret", setType, example(t, "key-attacker")),
		x.post("/v1/events/idp", "push-secret", setType, example(t, "push-garbage")),
		x.post("/v1/jobs", "job-secret", jsonType, `{"users":[]}`),
		x.send(http.MethodPost, "/v1/events/okta/revoke", x.example("revoke-aud"), nobody),
	} {
		if n := len(r.stored()); n > len(all) || got.code/100 != 4 {
			t.Errorf("%d %s: %d are stored", got.code, got.body, n)
		}
	}
}

// A refused event that cannot be stored stays with its sender.
func TestARefusedEventIsNotRefusedBeforeItIsStored(t *testing.T) {
	r := newRig(t, 0)
	x := r.receive()
	if err := r.js.DeleteStream(t.Context(), subjects.RequestStream()); err != nil {
		t.Fatal(err)
	}
	if got := x.post("/v1/events/idp", "push-secret", setType, example(t, "risc-unmapped")); got.code != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", got.code, got.body)
	}
}

// What a stranger sends in an issuer's name neither counts as the issuer's nor hides what is told of it.
func TestAStrangerHidesNoRefusedEvent(t *testing.T) {
	x := newRig(t, 0).receive()
	encode := base64.RawURLEncoding.EncodeToString
	for _, typ := range []string{"x", "logout+jwt"} {
		token := encode([]byte(`{"alg":"RS256","kid":"new","typ":"`+typ+`"}`)) + "." + encode([]byte(`{"iss":"https://idp.example.com/123456789/"}`)) + ".eA"
		x.post("/v1/events/idp", "", formType, "logout_token="+token)
	}
	if strings.Contains(x.out.String(), "an event of idp") || !strings.Contains(x.out.String(), "what somebody sent to the address of idp was refused") {
		t.Errorf("it is told:\n%s", x.out)
	}
	x.post("/v1/events/idp", "push-secret", setType, example(t, "risc-unmapped"))
	if !strings.Contains(x.out.String(), "an event of idp was refused") {
		t.Errorf("it is not told:\n%s", x.out)
	}
	for _, line := range []string{`logoff_signals_total{issuer="idp",verdict="invalid"} 1`, `logoff_signals_total{issuer="idp",verdict="retry"} 0`} {
		if !strings.Contains(x.metricsText(), line+"\n") {
			t.Errorf("there is no %s", line)
		}
	}
}

// Logout tokens are answered as OpenID Connect has it, Universal Logout as its draft has it.
func TestLogoutsAreAnsweredAsTheirProtocolsSay(t *testing.T) {
	r := newRig(t, 0)
	x := r.receive()
	got := x.post("/v1/events/keycloak", "", formType, example(t, "logout-sid-only"))
	if got.code != 400 || !got.says(`"error":"invalid_request"`) || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("a logout token that names nobody: %d %s %v", got.code, got.body, got.header)
	}
	if got := x.post("/v1/events/keycloak", "", formType, "logout_token="+strings.Repeat("x", 100<<10)); got.code != 400 || !got.says("invalid_request") {
		t.Errorf("a large one: %d %s", got.code, got.body)
	}
	revoke := x.example("revoke-email")
	for body, code := range map[string]int{
		`{"sub_id":{"format":"iss_sub","iss":"https://org.okta.com","sub":"nobody"}}`: 404,
		`{"sub_id":{"format":"did","url":"did:example:1"}}`:                           404,
		`{"sub_id":`: 400,
		`{"sub_id":{"format":"iss_sub","iss":"https://elsewhere.example","sub":"x"}}`: 403,
		`{"sub_id":{"format":"email","email":"jane@corp.example"}}`:                   204,
	} {
		if got := x.send(http.MethodPost, "/v1/events/okta/revoke", revoke, body); got.code != code || (code == 204) != (got.body == "") {
			t.Errorf("%s: %d %s, want %d", body, got.code, got.body, code)
		}
	}
	if n := len(r.jobs()); n != 1 {
		t.Errorf("%d jobs are stored", n)
	}
}

// A call of Universal Logout that comes again with the same token is stored once if it is repeated at once, and again if it
// comes later.
func TestALaterCallOfUniversalLogoutIsStored(t *testing.T) {
	r := newRig(t, 0)
	x := r.receive()
	header := x.example("revoke-email")
	for _, test := range []struct {
		after  time.Duration
		stored int
	}{{0, 1}, {time.Second, 1}, {4 * time.Minute, 2}} {
		x.rc.clock = func() time.Time { return noon().Add(test.after) }
		if got := x.send(http.MethodPost, "/v1/events/okta/revoke", header, example(t, "revoke-email")); got.code != 204 {
			t.Errorf("after %v: %d %s", test.after, got.code, got.body)
		}
		if n := len(r.stored()); n != test.stored {
			t.Errorf("after %v %d jobs are stored, want %d", test.after, n, test.stored)
		}
	}
}

// Hooks are known by their secrets, all of them, and their senders' challenges are answered.
func TestHooksAreProvedAndChallenged(t *testing.T) {
	r := newRig(t, 0)
	x := r.receive()
	okta, splunk := example(t, "okta-hook-two"), example(t, "splunk-user")
	for name, test := range map[string]struct {
		method, target string
		header         map[string]string
		body           string
		code           int
		words          string
	}{
		"the header":              {"POST", "/v1/hooks/okta", map[string]string{"Authorization": "hook-secret"}, okta, 200, "jobId"},
		"no header":               {"POST", "/v1/hooks/okta", nil, okta, 401, "missing or wrong"},
		"a wrong header":          {"POST", "/v1/hooks/okta", map[string]string{"Authorization": "hook-secret2"}, okta, 401, "missing or wrong"},
		"the query":               {"POST", "/v1/hooks/splunk?token=hook-secret", nil, splunk, 200, "jobId"},
		"no query":                {"POST", "/v1/hooks/splunk", nil, splunk, 401, "missing or wrong"},
		"a wrong query":           {"POST", "/v1/hooks/splunk?token=no", nil, splunk, 401, "missing or wrong"},
		"no event that counts":    {"POST", "/v1/hooks/okta", map[string]string{"Authorization": "hook-secret"}, `{"data":{"events":[{"eventType":"user.session.start"}]}}`, 200, "ignored"},
		"no body of the recipe":   {"POST", "/v1/hooks/splunk?token=hook-secret", nil, `{"result":{}}`, 400, "error"},
		"Okta's challenge":        {"GET", "/v1/hooks/okta", map[string]string{"X-Okta-Verification-Challenge": "abc"}, "", 200, `{"verification":"abc"}`},
		"a challenge, unproved":   {"GET", "/v1/hooks/splunk", map[string]string{"X-Okta-Verification-Challenge": "abc"}, "", 405, "POST"},
		"a look":                  {"GET", "/v1/hooks/okta", nil, "", 405, "POST"},
		"an event grid":           {"OPTIONS", "/v1/hooks/splunk?token=hook-secret", map[string]string{"WebHook-Request-Origin": "eventgrid.azure.net", "WebHook-Request-Rate": "120"}, "", 200, ""},
		"an event grid, unproved": {"OPTIONS", "/v1/hooks/splunk", map[string]string{"WebHook-Request-Origin": "eventgrid.azure.net"}, "", 405, "POST"},
		"an event grid for jobs":  {"OPTIONS", "/v1/jobs", map[string]string{"WebHook-Request-Origin": "eventgrid.azure.net"}, "", 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := x.send(test.method, test.target, test.header, test.body)
			if got.code != test.code || !got.says(test.words) {
				t.Errorf("%d %s, want %d %s", got.code, got.body, test.code, test.words)
			}
			if origin := test.header["WebHook-Request-Origin"]; test.code == 200 && got.header.Get("WebHook-Allowed-Origin") != origin {
				t.Errorf("the origin %q is allowed", got.header.Get("WebHook-Allowed-Origin"))
			}
			if rate := test.header["WebHook-Request-Rate"]; rate != "" && got.header.Get("WebHook-Allowed-Rate") != "*" {
				t.Errorf("the headers are %v", got.header)
			}
		})
	}
	if n := len(r.jobs()); n != 2 {
		t.Errorf("%d jobs are stored", n)
	}
}

// Whatever is in the stream already, under whatever message id somebody could calculate, what was answered with success
// is stored, and a repetition is stored once.
func TestNobodyKeepsAnothersJobFromBeingStored(t *testing.T) {
	const job = `{"id":"case-17","users":[{"email":"jane@corp.example"}]}`
	const iss = "https://idp.example.com/123456789/"
	r := newRig(t, 0)
	x := r.receive()
	plant := func(id string) {
		msg := nats.NewMsg("logoff.requests.bulk.hr")
		msg.Header.Set(nats.MsgIdHdr, id)
		msg.Data = []byte(`{"users":[{"id":999}]}`)
		if _, err := r.js.PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
	hook := map[string]string{"Authorization": "hook-secret"}
	plant(jobs.SignalID("soar", "urgent", job))
	plant(jobs.SignalID(iss, "push-ok"))
	plant(jobs.SignalID("okta-hook", example(t, "okta-hook-two")))
	for name, send := range map[string]func() reply{
		"a job":  func() reply { return x.post("/v1/jobs", "job-secret", jsonType, job) },
		"a push": func() reply { return x.post("/v1/events/idp", "push-secret", setType, example(t, "push-ok")) },
		"a hook": func() reply { return x.send(http.MethodPost, "/v1/hooks/okta", hook, example(t, "okta-hook-two")) },
		"in bulk": func() reply {
			return x.post("/v1/jobs?lane=bulk", "job-secret", setType, example(t, "caep-revoked-iat"))
		},
		"urgently": func() reply { return x.post("/v1/jobs", "job-secret", setType, example(t, "caep-revoked-iat")) },
		"as hr":    func() reply { return x.post("/v1/jobs", "hr-secret", setType, example(t, "caep-revoked-iat")) },
	} {
		before := len(r.stored())
		for range 2 {
			if got := send(); got.code/100 != 2 {
				t.Errorf("%s: %d %s", name, got.code, got.body)
			}
		}
		if n := len(r.stored()) - before; n != 1 {
			t.Errorf("%s is stored %d times", name, n)
		}
	}
}

// From the names of jobs that have none of their own, nobody can tell what the next will be.
func TestNamesOfJobsCannotBeGuessed(t *testing.T) {
	r := newRig(t, 0)
	x := r.receive()
	for range 2 {
		x.post("/v1/jobs", "job-secret", jsonType, `{"users":[{"id":7}]}`)
	}
	one, two := r.stored()[0].Header.Get(nats.MsgIdHdr), r.stored()[1].Header.Get(nats.MsgIdHdr)
	if same := len("http-") + 6; len(one) < same || one[:same] == two[:same] {
		t.Errorf("they are called %s and %s", one, two)
	}
}

// While the stream takes nothing, every sender is told to come again, and /readyz says why.
func TestWhatIsNotStoredIsNotAcknowledged(t *testing.T) {
	senders := map[string]func(x *receiving) reply{
		"a job": func(x *receiving) reply { return x.post("/v1/jobs", "job-secret", jsonType, `{"users":[{"id":7}]}`) },
		"a push": func(x *receiving) reply {
			return x.post("/v1/events/idp", "push-secret", setType, example(t, "push-ok"))
		},
		"a hook": func(x *receiving) reply {
			return x.post("/v1/hooks/splunk?token=hook-secret", "", jsonType, example(t, "splunk-user"))
		},
		"a token": func(x *receiving) reply {
			return x.post("/v1/events/keycloak", "", formType, example(t, "logout-sub-sid"))
		},
	}
	for name, test := range map[string]struct {
		ail   func(r *rig)
		words string
	}{
		"full": {func(r *rig) {
			for _, size := range []int{100 << 10, 1} {
				for err := error(nil); err == nil; {
					_, err = r.js.Publish(r.t.Context(), "logoff.requests.urgent.x", make([]byte, size))
				}
			}
		}, "no room"},
		"no stream": {func(r *rig) {
			if err := r.js.DeleteStream(r.t.Context(), subjects.RequestStream()); err != nil {
				r.t.Fatal(err)
			}
		}, "is missing"},
		"away": {func(r *rig) { r.store.NATS.Close() }, "connection to NATS is down"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1<<20)
			x := r.receive()
			test.ail(r)
			for what, send := range senders {
				if got := send(x); got.code != 503 || got.header.Get("Retry-After") == "" {
					t.Errorf("%s: %d %s %v", what, got.code, got.body, got.header)
				}
			}
			if !strings.Contains(x.ready(), test.words) {
				t.Errorf("/readyz says %s", x.ready())
			}
		})
	}
}

// The receiver finds out by itself that the stream is missing, and that it is back.
func TestMissingStreamIsToldBeforeAnythingComes(t *testing.T) {
	r := newRig(t, 0)
	x := r.receive()
	x.rc.ask(t.Context())
	if ok, conditions := x.rc.Health.Ready(); !ok {
		t.Errorf("all is well, and it says %v", conditions)
	}
	if err := r.js.DeleteStream(t.Context(), subjects.RequestStream()); err != nil {
		t.Fatal(err)
	}
	x.rc.ask(t.Context())
	if ok, _ := x.rc.Health.Ready(); ok || !strings.Contains(x.ready(), "jobs of idp could not be stored: no stream takes jobs") {
		t.Errorf("it says %s", x.ready())
	}
	newStreams(t, r.js)
	x.rc.ask(t.Context())
	if ok, conditions := x.rc.Health.Ready(); !ok {
		t.Errorf("the stream is back, and it says %v", conditions)
	}
}

// A secret that cannot be read refuses nobody for good.
func TestUnreadableSecretIsTold(t *testing.T) {
	x := newRig(t, 0).receive()
	if err := os.Remove(x.secret); err != nil {
		t.Fatal(err)
	}
	if got := x.post("/v1/jobs", "hr-secret", jsonType, `{"users":[{"id":7}]}`); got.code != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", got.code, got.body)
	}
	if got := x.post("/v1/jobs", "job-secret", jsonType, `{"users":[{"id":7}]}`); got.code != 202 {
		t.Errorf("another publisher: %d %s", got.code, got.body)
	}
	if !strings.Contains(x.ready(), "a secret by which whoever posts jobs is known cannot be read") {
		t.Errorf("it says %s", x.ready())
	}
}

// More at once than there is room for is told to come again, and who proves nothing takes nobody's room.
func TestCrowdIsToldToComeAgain(t *testing.T) {
	r := newRig(t, 0)
	x := r.receive()
	var leave []func()
	for i := 0; ; i++ {
		out, ok := x.rc.proved.enter(strconv.Itoa(i))
		if !ok {
			break
		}
		leave = append(leave, out)
	}
	if got := x.post("/v1/jobs", "job-secret", jsonType, `{"users":[{"id":7}]}`); got.code != 503 || got.header.Get("Retry-After") != "1" || len(leave) != atOnce {
		t.Errorf("beside %d others: %d %s", len(leave), got.code, got.body)
	}
	if got := x.post("/v1/jobs", "wrong", jsonType, `{"users":[{"id":7}]}`); got.code != 401 {
		t.Errorf("without a proof: %d %s", got.code, got.body)
	}
	leave[0]()
	if got := x.post("/v1/jobs", "job-secret", jsonType, `{"users":[{"id":7}]}`); got.code != 202 {
		t.Errorf("when one has left: %d %s", got.code, got.body)
	}
}

// A stalled is a body that does not come until it is let go.
type stalled struct {
	began func()
	let   chan struct{}
}

func (s stalled) Read([]byte) (int, error) {
	s.began()
	<-s.let
	return 0, io.EOF
}

// However many strangers begin requests that need no secret, and do not go on: senders with a bearer are answered, and so
// are those whose signature is all that proves them.
func TestStrangersTakeNobodysPlace(t *testing.T) {
	r := newRig(t, 0)
	x := r.receive()
	revoke := x.example("revoke-email")
	goOn := x.stall(map[string]map[string]string{
		"/v1/events/idp":         {"Content-Type": formType},
		"/v1/events/keycloak":    {"Content-Type": setType},
		"/v1/events/okta/revoke": {"Authorization": "Bearer x"},
	})
	if got := x.post("/v1/jobs", "job-secret", jsonType, `{"users":[{"id":7}]}`); got.code != 202 {
		t.Errorf("a job: %d %s", got.code, got.body)
	}
	if got := x.post("/v1/events/idp", "push-secret", setType, example(t, "push-ok")); got.code != 202 {
		t.Errorf("a push: %d %s", got.code, got.body)
	}
	if got := x.post("/v1/events/keycloak", "", formType, example(t, "logout-sub-sid")); got.code != 200 {
		t.Errorf("a logout token: %d %s", got.code, got.body)
	}
	if got := x.send(http.MethodPost, "/v1/events/okta/revoke", revoke, example(t, "revoke-email")); got.code != 204 {
		t.Errorf("a call: %d %s", got.code, got.body)
	}
	goOn()
}

// stall begins more requests to each target, with its header, than there are places, none of which has a body until it is
// to go on. Those that are sent away have ended then.
func (x *receiving) stall(headers map[string]map[string]string) (goOn func()) {
	x.t.Helper()
	let, begun := make(chan struct{}), make(chan struct{}, len(headers)*(atOnce+1))
	var requests sync.WaitGroup
	for target, header := range headers {
		for range atOnce + 1 {
			var once sync.Once
			began := func() { once.Do(func() { begun <- struct{}{} }) }
			request := httptest.NewRequestWithContext(x.t.Context(), http.MethodPost, target, stalled{began, let})
			for name, value := range header {
				request.Header.Set(name, value)
			}
			requests.Go(func() {
				defer began() // who is sent away has begun, too
				x.rc.ServeHTTP(httptest.NewRecorder(), request)
			})
		}
	}
	for range cap(begun) {
		<-begun
	}
	return func() {
		close(let)
		requests.Wait()
	}
}

// One sender who begins requests and does not go on keeps no other out, whatever secret it has.
func TestOneSenderTakesHalfThePlacesAtMost(t *testing.T) {
	x := newRig(t, 0).receive()
	goOn := x.stall(map[string]map[string]string{"/v1/jobs": {"Authorization": "Bearer hr-secret"}})
	if got := x.post("/v1/jobs", "hr-secret", jsonType, `{"users":[{"id":7}]}`); got.code != 503 {
		t.Errorf("a job of the same: %d %s", got.code, got.body)
	}
	if got := x.post("/v1/jobs", "job-secret", jsonType, `{"users":[{"id":7}]}`); got.code != 202 {
		t.Errorf("a job of another: %d %s", got.code, got.body)
	}
	if got := x.post("/v1/events/idp", "push-secret", setType, example(t, "push-ok")); got.code != 202 {
		t.Errorf("a push: %d %s", got.code, got.body)
	}
	goOn()
	if got := x.post("/v1/jobs", "hr-secret", jsonType, `{"users":[{"id":7}]}`); got.code != 202 {
		t.Errorf("a job of the same, later: %d %s", got.code, got.body)
	}
}

// Requests that their signature alone proves have places of their own, of which they take no more.
func TestSignedRequestsAreACrowdOfTheirOwn(t *testing.T) {
	x := newRig(t, 0).receive()
	for i := range atOnce {
		if _, ok := x.rc.signed.enter(strconv.Itoa(i)); !ok {
			t.Fatal("there is no place")
		}
	}
	if got := x.post("/v1/events/keycloak", "", formType, example(t, "logout-sub-sid")); got.code != 503 || got.header.Get("Retry-After") != "1" {
		t.Errorf("a logout token: %d %s", got.code, got.body)
	}
	if got := x.post("/v1/jobs", "job-secret", jsonType, `{"users":[{"id":7}]}`); got.code != 202 {
		t.Errorf("a job: %d %s", got.code, got.body)
	}
}

// A stop lets a request finish that has begun, and takes no other.
func TestStopLetsRequestsFinish(t *testing.T) {
	r := newRig(t, 0)
	x := r.receive()
	body, write := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, x.server.URL+"/v1/jobs", body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer job-secret")
	begun := func() bool {
		x.rc.proved.mu.Lock()
		defer x.rc.proved.mu.Unlock()
		return x.rc.proved.taken == 1
	}
	answered := make(chan error, 1)
	go func() {
		response, err := x.server.Client().Do(request)
		if err == nil {
			if err = response.Body.Close(); response.StatusCode != http.StatusAccepted {
				err = fmt.Errorf("it is answered with %d", response.StatusCode)
			}
		}
		answered <- err
	}()
	if _, err := io.WriteString(write, `{"users":`); err != nil {
		t.Fatal(err)
	}
	if !stage.Await(t.Context(), time.Minute, begun) {
		t.Fatal("the request does not begin")
	}
	stopped := make(chan error, 1)
	go func() { stopped <- x.server.Config.Shutdown(t.Context()) }()
	if !stage.Await(t.Context(), time.Minute, func() bool {
		response, err := http.Get(x.server.URL)
		if err == nil {
			response.Body.Close()
		}
		return err != nil
	}) {
		t.Error("others are still taken")
	}
	if _, err := io.WriteString(write, `[{"id":7}]}`); err != nil {
		t.Fatal(err)
	}
	write.Close()
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if err := <-stopped; err != nil || len(r.stored()) != 1 {
		t.Errorf("%d jobs are stored, %v", len(r.stored()), err)
	}
}

// No secret of the file, no hook's address, and nothing that was sent as a proof is in a log line, an answer or a metric.
func TestNoSecretIsTold(t *testing.T) {
	r := newRig(t, 0)
	x := r.receive()
	var answers strings.Builder
	secrets := []string{"job-secret", "hr-secret", "push-secret", "hook-secret", "wrong-canary"}
	paths := []string{"/v1/jobs", "/v1/events/idp", "/v1/events/keycloak", "/v1/events/okta/revoke", "/v1/hooks/okta", "/v1/hooks/splunk", "/v1/hooks/nowhere"}
	all := func() {
		for _, secret := range secrets {
			for _, path := range paths {
				for _, header := range []string{secret, "Bearer " + secret} {
					for _, kind := range []string{jsonType, setType, formType} {
						got := x.send(http.MethodPost, path+"?token="+secret, map[string]string{"Authorization": header, "Content-Type": kind}, `{"result":{"user":"CORP\\jane"}}`)
						fmt.Fprintln(&answers, got.header, got.body)
					}
				}
			}
		}
	}
	all()
	if err := os.Remove(x.secret); err != nil {
		t.Fatal(err)
	}
	if err := r.js.DeleteStream(t.Context(), subjects.RequestStream()); err != nil {
		t.Fatal(err)
	}
	all()
	for _, where := range []struct{ what, text string }{{"the log", x.out.String()}, {"an answer", answers.String()}, {"the metrics", x.metricsText()}, {"/readyz", x.ready()}} {
		for _, secret := range append(secrets, "/v1/hooks/") {
			if strings.Contains(where.text, secret) {
				t.Errorf("%s has %s:\n%s", where.what, secret, where.text)
			}
		}
	}
	if !strings.Contains(x.out.String(), "did not prove it") {
		t.Errorf("nothing is told:\n%s", x.out)
	}
}

// What is posted a thousand times is answered within 300 ms, with the time of one in a hundred as p99-ms.
func BenchmarkPostJob(b *testing.B) {
	x := newRig(b, 0).receive()
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		if got := x.post("/v1/jobs", "job-secret", jsonType, `{"users":[{"id":7}]}`); got.code != 202 {
			b.Fatalf("%d %s", got.code, got.body)
		}
		took = append(took, time.Since(began))
	}
	b.ReportMetric(percentile(took, 99).Seconds()*1000, "p99-ms")
}

// oneOf is a job's id in the stream, each of which there has to be one of.
func oneOf(t *testing.T, r *rig) map[string]int {
	t.Helper()
	count := map[string]int{}
	for _, msg := range r.stored() {
		job, err := jobs.Decode(msg.Data, jobs.Rules{})
		if err != nil {
			t.Fatal(err)
		}
		count[job.ID]++
	}
	return count
}

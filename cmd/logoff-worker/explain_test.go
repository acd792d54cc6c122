package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
)

// exampleEvents are messages of security systems; they came at exampleTime, and exampleIssuers says what becomes of them.
const (
	exampleEvents  = root + "/jobs/signals/testdata/events/"
	exampleIssuers = root + "/jobs/signals/testdata/issuers.yaml"
	exampleTime    = "2026-11-27T12:00:00Z"
)

var blanks = regexp.MustCompile(` +`)

// explained returns the exit code of explain and all that it says, a line break before each line and single blanks
// within.
func explained(t *testing.T, args ...string) (code int, says string) {
	t.Helper()
	var out strings.Builder
	err := program{stdout: &out, stderr: &out}.run(t.Context(), append([]string{"explain"}, args...))
	if err != nil {
		fmt.Fprintln(&out, err)
	}
	return exitCode(err), "\n" + blanks.ReplaceAllString(out.String(), " ")
}

// checkExplained fails unless explain ends with the code and says all of the words, and none of those after a "!".
func checkExplained(t *testing.T, args []string, code int, words ...string) {
	t.Helper()
	got, says := explained(t, args...)
	if got != code {
		t.Errorf("the exit code is %d, want %d", got, code)
	}
	for _, word := range words {
		if without, not := strings.CutPrefix(word, "!"); strings.Contains(says, without) == not {
			t.Errorf("not as wanted: %q", word)
		}
	}
	if t.Failed() {
		t.Errorf("explain %q says%s", args, says)
	}
}

// What cannot be explained is told as a mistake of usage or configuration, and nothing of a header with it.
func TestExplainTellsWhatIsWrongWithItsUse(t *testing.T) {
	job := written(t, "job.json", `{"users":[7]}`)
	dir := t.TempDir()
	broken := written(t, "issuers.yaml", "issuers: canary\n")
	for _, test := range []struct {
		args []string
		env  string
		says string
	}{
		{nil, "", "explain needs a file with the message, or - for the standard input"},
		{[]string{job, "again"}, "", `"again" is one word too many`},
		{[]string{job, "--nonsense"}, "", "flag provided but not defined: -nonsense"},
		{[]string{job, "--at", "noon"}, "", "a time is written as in 2026-11-27T12:00:00Z"},
		{[]string{job, "--header", "canary"}, "", "flag -header: a header is 'Name: value'"},
		{[]string{job, "--header", " : canary"}, "", "flag -header: a header is 'Name: value'"},
		{[]string{job, "--hook", "splunk", "--issuer", "idp"}, "", "--hook is of a recipe"},
		{[]string{job, "--hook", "splunk", "--logout-token"}, "", "--hook is of a recipe"},
		{[]string{job, "--hook", "splunk", "--revocation"}, "", "--hook is of a recipe"},
		{[]string{job, "--issuer", "idp", "--logout-token", "--revocation"}, "", "--logout-token and --revocation are two addresses; keep one"},
		{[]string{job, "--logout-token"}, "", "need --issuer, to whose address the message came"},
		{[]string{job, "--revocation"}, "", "need --issuer, to whose address the message came"},
		{[]string{dir + "/nowhere"}, "", "/nowhere: the file cannot be read: no such file or directory"},
		{[]string{dir}, "", dir + ": the file cannot be read: is a directory"},
		{[]string{job}, "LOGOFF_SLOTS=canary", "LOGOFF_SLOTS: must be a whole number"},
		{[]string{job}, "LOGOFF_ISSUERS_FILE=" + broken, "LOGOFF_ISSUERS_FILE: line 1, issuers: "},
		{[]string{job, "--issuer", "idp"}, "", "no issuer and no recipe is known: LOGOFF_ISSUERS_FILE is not set"},
		{[]string{job, "--hook", "splunk"}, "", "no issuer and no recipe is known: LOGOFF_ISSUERS_FILE is not set"},
		{[]string{job, "--issuer", "splunk"}, "LOGOFF_ISSUERS_FILE=" + exampleIssuers, `there is no issuer "splunk" in LOGOFF_ISSUERS_FILE; there are: idp, okta, keycloak, authentik, google, scim`},
		{[]string{job, "--hook", "idp"}, "LOGOFF_ISSUERS_FILE=" + exampleIssuers, `there is no recipe "idp" in LOGOFF_ISSUERS_FILE; there are: okta-hook, splunk, graph, auth0`},
	} {
		t.Run(test.says, func(t *testing.T) {
			if name, value, is := strings.Cut(test.env, "="); is {
				t.Setenv(name, value)
			}
			checkExplained(t, test.args, 2, "\nbad usage or configuration:", test.says, "!verdict", "!canary")
		})
	}
	checkExplained(t, []string{"--help"}, 0, "logoff-worker explain FILE", "!\nbad usage")
}

func TestExplainRefusesWhatIsTooLargeForNATS(t *testing.T) {
	large := written(t, "large", "")
	if err := os.Truncate(large, maxMessage+1); err != nil {
		t.Fatal(err)
	}
	checkExplained(t, []string{large}, 2, "large: the message has more than 67108864 bytes, and cannot come over NATS\n", "!verdict")
}

// The same bytes mean another thing at another address: how a message came decides how it is read.
func TestExplainReadsAMessageAsItCame(t *testing.T) {
	t.Setenv("LOGOFF_ISSUERS_FILE", exampleIssuers)
	bearer := regexp.MustCompile(`(?m)^revoke-email\t.*"Authorization":"(Bearer [^"]*)"`).FindStringSubmatch(read(t, exampleEvents+"../index.tsv"))[1]
	for _, test := range []struct {
		event string
		args  []string
		code  int
		says  string
	}{
		{"push-ok", []string{"--issuer", "idp"}, 0, "\nverdict job\nissuer idp\nrule session-revoked, "},
		{"push-iss", []string{"--issuer", "idp"}, 1, "\nno issuer "},
		{"caep-revoked-iat", nil, 0, "\nverdict job\nissuer idp\nrule session-revoked, "},
		{"caep-credential-change", nil, 0, "\nverdict ignored\nwhy the rules of the issuer idp do not name the event "},
		{"tampered-payload", nil, 1, "\nno signature "},
		{"logout-sub-sid", []string{"--issuer", "keycloak", "--logout-token"}, 0, "\nrule backchannel-logout, "},
		{"logout-sub-sid", []string{"--issuer", "keycloak"}, 1, "\nverdict invalid\n"},
		{"okta-hook-two", []string{"--hook", "okta-hook"}, 0, "\nissuer okta-hook\nrule user.lifecycle.deactivate, email:{/alternateId}\nuser email:jane@corp.example\nuser email:joe@corp.example\n"},
		{"revoke-email", []string{"--issuer", "okta", "--revocation", "--header", "Accept: */*", "--header", "authorization: " + bearer}, 0, "\nverdict job\nissuer okta\n"},
		{"revoke-email", []string{"--issuer", "okta", "--revocation", "--header", "Accept: " + bearer}, 1, "\nno authorization the call has no bearer token\n"},
	} {
		t.Run(test.event, func(t *testing.T) {
			args := append([]string{"--at", exampleTime, exampleEvents + test.event + ".body"}, test.args...)
			checkExplained(t, args, test.code, test.says, "!eyJ")
		})
	}
}

// Where the keys of an issuer are at an address, they are read from there, and it is told how that went.
func TestExplainReadsTheKeysThatAMessageNeeds(t *testing.T) {
	keys := read(t, exampleEvents+"../keys/idp.jwks.json")
	status := http.StatusOK
	idp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, keys)
	}))
	defer idp.Close()
	t.Setenv("LOGOFF_ISSUERS_FILE", written(t, "issuers.yaml", `
issuers:
  - name: idp
    issuer: https://idp.example.com/123456789/
    audience: https://sp.example.com/caep
    keys: {url: "`+idp.URL+`"}
    subjects: {email: "email:{email}"}
`))
	event := []string{exampleEvents + "caep-revoked-iat.body", "--at", exampleTime}
	checkExplained(t, event, 0, "\nkeys the keys of idp were read for this\n", "\nverdict job\n", "\nuser email:foo@example.com\n")
	status = http.StatusServiceUnavailable
	checkExplained(t, event, 1, "\nkeys the keys of idp cannot be read: "+strings.TrimPrefix(idp.URL, "http://")+" answers with status 503\n", "\nverdict retry\n", "\nthe verdict is retry\n", "!\njob")
}

const (
	twoSessions  = `{"sessions":["CF1C660B-396F-44B7-86DA-5608CEC97453","EMCAE92D1DD-0C68-49A6-BEBB-404D96D7A4BF"]}`
	firstAlone   = `<sessions val="CF1C660B-396F-44B7-86DA-5608CEC97453"/></Api_LogoffUsersRequest>`
	secondAlone  = `<Api_LogoffUsersRequest><sessions val="EMCAE92D1DD-0C68-49A6-BEBB-404D96D7A4BF"/></Api_LogoffUsersRequest>`
	xmlHead      = `<?xml version="1.0" encoding="utf-8"?>`
	bothTogether = `<Api_LogoffUsersRequest><sessions val="CF1C660B-396F-44B7-86DA-5608CEC97453"/><sessions val="EMCAE92D1DD-0C68-49A6-BEBB-404D96D7A4BF"/></Api_LogoffUsersRequest>`
)

// Whom a job means, and which documents it comes to, is shown as a worker with these settings would have it.
func TestExplainShowsWhatAWorkerWouldSend(t *testing.T) {
	const asked, protects = "\nnote whose sessions the users have is asked of the Web Server", "\nnote whom LOGOFF_PROTECTED_USERS and LOGOFF_PROTECTED_SESSIONS name is taken out"
	list := written(t, "protected", "jane\n")
	for name, test := range map[string]struct {
		job   string
		env   string
		words []string
	}{
		"sessions":                   {twoSessions, "", []string{"\nverdict job\njob " + twoSessions + "\ndocument ", bothTogether, "!" + asked, "!" + protects, "!\nissuer", "!\nrule", "!\nwhy", "!\nuser"}},
		"people":                     {`{"users":[7,{"email":"joe@corp.example"},{"name":"CORP\\jane"}]}`, "", []string{"\nuser id:7\nuser email:joe@corp.example\nuser name:CORP\\jane\njob ", asked, "!\ndocument "}},
		"a wrong entry among people": {`{"users":[7,{"phone":1}]}`, "", []string{"\nuser id:7\nuser nobody: unknown member \"phone\"; "}},
		"a wrong entry among sessions": {
			`{"sessions":["no id","CF1C660B-396F-44B7-86DA-5608CEC97453"]}`, "",
			[]string{"\nsession none: \"no id\" ", "!session none: \"CF1C", "<Api_LogoffUsersRequest>" + firstAlone},
		},
		"what is passed over": {
			`{"sessions":["CF1C660B-396F-44B7-86DA-5608CEC97453"],"notAfter":"soon"}`, "",
			[]string{"\nremark at /notAfter: the time \"soon\" cannot be read; ", ": worked without a deadline\n", "!\nsession none", firstAlone},
		},
		"one session a document":       {twoSessions, "LOGOFF_BATCH_MAX_SESSIONS=1", []string{"<Api_LogoffUsersRequest>" + firstAlone, secondAlone}},
		"too large together":           {twoSessions, "LOGOFF_BATCH_MAX_BYTES=" + fmt.Sprint(len(xmlHead+bothTogether)-1), []string{"<Api_LogoffUsersRequest>" + firstAlone, secondAlone}},
		"just large enough":            {twoSessions, "LOGOFF_BATCH_MAX_BYTES=" + fmt.Sprint(len(xmlHead+bothTogether)), []string{bothTogether}},
		"too large alone":              {twoSessions, "LOGOFF_BATCH_MAX_BYTES=10", []string{"<Api_LogoffUsersRequest>" + firstAlone, secondAlone}},
		"protected users":              {twoSessions, "LOGOFF_PROTECTED_USERS=jane", []string{protects}},
		"protected sessions":           {twoSessions, "LOGOFF_PROTECTED_SESSIONS=CF1C660B-396F-44B7-86DA-5608CEC97453", []string{protects}},
		"protected users of a file":    {twoSessions, "LOGOFF_PROTECTED_USERS_FILE=" + list, []string{protects}},
		"protected sessions of a file": {twoSessions, "LOGOFF_PROTECTED_SESSIONS_FILE=" + list, []string{protects}},
		"more than one job may name":   {twoSessions, "LOGOFF_HOLD_ABOVE_JOB=1", []string{"\nnote it names 2 sessions and people, and LOGOFF_HOLD_ABOVE_JOB is 1: it is held until "}},
		"as much as one job may name":  {twoSessions, "LOGOFF_HOLD_ABOVE_JOB=2", []string{"!\nnote it names"}},
		"too late":                     {`{"users":[7],"notAfter":"2026-01-02T03:04:05Z"}`, "", []string{"\nnote its notAfter has passed, "}},
		"not too late":                 {`{"users":[7],"notAfter":"2126-01-02T03:04:05Z"}`, "", []string{"!\nnote its notAfter"}},
		"IDs that are none":            {`{"sessions":["loose"]}`, "LOGOFF_LOOSE_SESSION_IDS=true", []string{`<sessions val="loose"/>`}},
	} {
		t.Run(name, func(t *testing.T) {
			if name, value, is := strings.Cut(test.env, "="); is {
				t.Setenv(name, value)
			}
			checkExplained(t, []string{written(t, "job.json", test.job)}, 0, append(test.words, "\nverdict job\n")...)
		})
	}
}

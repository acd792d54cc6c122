package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"logoffworker/jobs/signals"
	"logoffworker/worker/issuers"
)

// An issuers file that went away since the settings were read is a fault, and not the same as none.
func TestCheckTellsAnIssuersFileThatWentAwayFromNone(t *testing.T) {
	for file, says := range map[string]string{
		"":                                   "note  issuers    no security system is trusted",
		filepath.Join(t.TempDir(), "gone.x"): "FAIL  issuers    bad usage or configuration:\n  LOGOFF_ISSUERS_FILE: the file cannot be read",
	} {
		if said := tells(func(r *report) { r.checkIssuers(t.Context(), settings{IssuersFile: file}) }); !strings.HasPrefix(said, says) || strings.Count(said, "issuers  ") != 1 {
			t.Errorf("it says %q, want %q", said, says)
		}
	}
}

// Each part of an issuers file has its lines: keys, events, subjects, recipes, publishers and maps.
func TestCheckSaysWhatAnIssuersFileComesTo(t *testing.T) {
	file := root + "/jobs/signals/testdata/issuers.yaml"
	said := tells(func(r *report) { r.checkIssuers(t.Context(), settings{IssuersFile: file}) })
	for _, line := range []string{
		"ok    issuers    idp (https://idp.example.com/123456789/): 3 keys in ",
		"; its tokens are for https://sp.example.com/caep\n",
		"warn  issuers    idp: key 3 has 1024 bits",
		"ok    issuers    okta: session-revoked ends what its subject opened before it\n",
		"ok    issuers    okta: a subject of the format email is email:{email}\n",
		"note  issuers    okta may name anybody: ",
		"ok    issuers    keycloak (https://sso.corp.example/realms/staff): 1 key in ",
		"; its tokens are for logoff-worker/0a9c6a70-53f3-4c6e-8c1e-4a0d4e2f7f11 or commvault\n",
		"ok    issuers    recipe splunk: what is posted to its path with its secret ends sessions of name:{/result/user}\n",
		"/idp.csv: 5 subjects, changed ",
	} {
		if !strings.Contains(said, line) {
			t.Errorf("it does not say %q", line)
		}
	}
	for _, words := range []string{"keycloak may name anybody", "google may name anybody", "FAIL", "secret-", "-secret", "/v1/hooks"} {
		if strings.Contains(said, words) {
			t.Errorf("it says %q", words)
		}
	}
	if t.Failed() {
		t.Errorf("it says\n%s", said)
	}
}

// Keys that cannot be read are a fault; those that a transmitter tells are no question yet.
func TestCheckReadsTheKeysOfIssuers(t *testing.T) {
	file := written(t, "issuers.yaml", `issuers:
  - name: idp
    issuer: https://idp.example
    audience: us
    keys: {url: "http://127.0.0.1:1/keys"}
    subjects: {email: 'email:{email}'}
  - name: kc
    issuer: https://kc.example
    stream: {delivery: poll}
    subjects: {opaque: 'name:{id}'}
publishers:
  - {name: soar, bearer: canary}
`)
	said := tells(func(r *report) { r.checkIssuers(t.Context(), settings{IssuersFile: file}) })
	for _, line := range []string{
		"FAIL  issuers    idp (https://idp.example): its keys cannot be read: 127.0.0.1:1 does not answer",
		"note  issuers    kc (https://kc.example): where its keys are and what its audience is, the transmitter of its stream tells\n",
		"note  issuers    idp may name anybody",
		"ok    issuers    publisher soar may post jobs to /v1/jobs\n",
	} {
		if !strings.Contains(said, line) {
			t.Errorf("it does not say %q:\n%s", line, said)
		}
	}
	if strings.Count(said, "may name anybody") != 1 || strings.Contains(said, "canary") {
		t.Errorf("it says\n%s", said)
	}
}

// A rule is a sentence, with its conditions where it has any.
func TestRulesAreSaidInWords(t *testing.T) {
	uri, _ := signals.EventURI("session-revoked")
	for want, rule := range map[string]signals.EventRule{
		"session-revoked ends what its subject opened before it":                                         {},
		"session-revoked ends what its subject opened before it, and after it":                           {Newer: true},
		"session-revoked, if its initiator is not user or admin, ends what its subject opened before it": {ExceptInitiator: []string{"user", "admin"}},
		"session-revoked, if change_type is revoke or delete and credential_type is password and its initiator is not user, ends what its subject opened before it": {
			Members: map[string][]string{"credential_type": {"password"}, "change_type": {"revoke", "delete"}}, ExceptInitiator: []string{"user"},
		},
	} {
		if got := ruleInWords(uri, rule); got != want {
			t.Errorf("it is %q, want %q", got, want)
		}
	}
}

// Whom an issuer may name, and what a session of its means, is said with each limit that is set.
func TestSubjectsAreSaidInWords(t *testing.T) {
	for _, test := range []struct {
		issuer signals.Issuer
		want   []string
	}{
		{signals.Issuer{}, []string{"an event about one session ends all of the person's"}},
		{signals.Issuer{Session: signals.Person}, []string{"an event about one session ends all of the person's"}},
		{signals.Issuer{Session: signals.IgnoreSession}, []string{"an event about one session is ignored"}},
		{signals.Issuer{Session: signals.Commvault}, []string{"the session of a subject is the Web Server's, and is ended by its ID"}},
		{
			signals.Issuer{
				Subjects: signals.Subjects{
					Formats: map[string][]signals.Template{"opaque": {{Text: "map:a.csv"}, {Text: "name:{id}"}}, "email": {{Text: "email:{email}"}}},
					Domains: []string{"corp.example", "corp.test"}, Issuers: []string{"https://idp.example"},
				},
				Tenants: []string{"t1"}, Session: signals.IgnoreSession,
			},
			[]string{
				"a subject of the format email is email:{email}",
				"a subject of the format opaque is map:a.csv, else name:{id}",
				"it may name addresses of corp.example or corp.test only",
				"it may name subjects of https://idp.example, too",
				"the tenant of a subject has to be t1",
				"an event about one session is ignored",
			},
		},
	} {
		if got := subjectsInWords(test.issuer); !slices.Equal(got, test.want) {
			t.Errorf("it is %q, want %q", got, test.want)
		}
	}
}

// What a recipe reads, whom it names and which of their sessions end, is one sentence.
func TestRecipesAreSaidInWords(t *testing.T) {
	hooks := []issuers.Hook{{Recipe: "other"}, {Recipe: "hooked"}}
	user := signals.Template{Text: "email:{/mail}"}
	for want, recipe := range map[string]signals.Recipe{
		"CloudEvents of the type user.deleted ends sessions of email:{/mail}":                                                 {Name: "r", CloudEvent: "user.deleted", User: user},
		"what is posted to its path with its secret ends sessions of email:{/mail}":                                           {Name: "hooked", User: user},
		"CloudEvents of the type user.deleted, and what is posted to its path with its secret ends sessions of email:{/mail}": {Name: "hooked", CloudEvent: "user.deleted", User: user},
		"CloudEvents of the type user.deleted, if /a is 1 or 2 and /b is 3, ends sessions of email:{/mail}":                   {Name: "r", CloudEvent: "user.deleted", When: map[string][]string{"/b": {"3"}, "/a": {"1", "2"}}, User: user},
		"CloudEvents of the type user.deleted ends sessions of email:{/mail} that began before /time":                         {Name: "r", CloudEvent: "user.deleted", Time: "/time", User: user},
		"CloudEvents of the type user.deleted ends sessions of email:{/mail}, whenever they began":                            {Name: "r", CloudEvent: "user.deleted", Time: "/time", Newer: true, User: user},
	} {
		if got := recipeInWords(recipe, hooks); got != want {
			t.Errorf("it is %q, want %q", got, want)
		}
	}
}

package signals

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
)

// noon is when the fixtures are read.
var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// fixtureReader trusts whom the fixtures do.
func fixtureReader(t testing.TB) Reader {
	policy, keys := fixturePolicy(t), fixtureKeys(t)
	return Reader{Policy: &policy, Now: noon, Keys: func(issuer string) (jose.JSONWebKeySet, bool) {
		set, ok := keys[issuer]
		return set, ok
	}}
}

// fixturePolicy says what testdata/issuers.yaml does, in Go: this room reads no file.
func fixturePolicy(t testing.TB) Policy {
	recipes := ShippedRecipes()
	for i := range recipes {
		if recipes[i].Name == "graph" {
			recipes[i].User = template(t, "map:maps/entra.csv{/data/resourceData/id}")
		}
	}
	email := templates(t, "email:{email}")
	return Policy{Recipes: recipes, Issuers: []Issuer{
		{
			Name: "idp", URL: "https://idp.example.com/123456789/", Audience: []string{"https://sp.example.com/caep"},
			Algorithms: []string{"RS256", "ES256"}, MaxAge: 720 * time.Hour, Session: Person,
			Events: events(t, map[string]EventRule{
				"session-revoked": {}, "sessions-revoked": {}, "account-disabled": {Newer: true}, "account-purged": {Newer: true}, "credential-compromise": {},
				"risk-level-change": {Members: map[string][]string{"current_level": {"HIGH"}, "principal": {"USER"}}},
			}),
			Subjects: Subjects{Formats: map[string][]Template{
				"email": email, "account": templates(t, "email:{account}"), "iss_sub": templates(t, "map:maps/idp.csv", "email:{sub}"),
				"phone_number": templates(t, "map:maps/idp.csv"), "opaque": templates(t, "map:maps/idp.csv"), "uri": templates(t, "map:maps/idp.csv"), "did": templates(t, "map:maps/idp.csv"),
			}},
		},
		{
			Name: "okta", URL: "https://org.okta.com", Audience: []string{"https://logoff.corp.example/v1/events/okta"},
			Events: events(t, map[string]EventRule{
				"session-revoked": {}, "credential-change": {Members: map[string][]string{"change_type": {"revoke"}, "credential_type": {"password"}}},
			}),
			Subjects:       Subjects{Formats: map[string][]Template{"iss_sub": templates(t, "map:maps/okta.csv"), "email": email}},
			RevokeAudience: "https://logoff.corp.example/v1/events/okta/revoke",
		},
		{
			Name: "keycloak", URL: "https://sso.corp.example/realms/staff", Audience: []string{"logoff-worker/0a9c6a70-53f3-4c6e-8c1e-4a0d4e2f7f11", "commvault"},
			Events:   events(t, map[string]EventRule{"session-revoked": {}, "account-disabled": {Newer: true}, "backchannel-logout": {}}),
			Subjects: Subjects{Formats: map[string][]Template{"email": email, "iss_sub": templates(t, "map:maps/keycloak.csv")}, Domains: []string{"corp.example"}},
		},
		{
			Name: "authentik", URL: "https://authentik.corp.example/application/ssf/logoff/", Audience: []string{"logoff"},
			Events: events(t, map[string]EventRule{"session-revoked": {}}), Subjects: Subjects{Formats: map[string][]Template{"email": email}, Domains: []string{"corp.example"}},
		},
		{
			Name: "google", URL: "https://accounts.google.com/", Audience: []string{"123456789-abcedfgh.apps.googleusercontent.com"}, AnyType: true,
			Events:   events(t, map[string]EventRule{"account-disabled": {Newer: true}, "sessions-revoked": {}}),
			Subjects: Subjects{Formats: map[string][]Template{"iss_sub": templates(t, "map:maps/google.csv")}},
		},
		{
			Name: "scim", URL: "https://scim.example.com", Audience: []string{"https://scim.example.com/Feeds/98d52461fa5bbc879593b7754"}, Algorithms: []string{"EdDSA"},
			Events:   events(t, map[string]EventRule{"prov:deactivate": {Newer: true}, "prov:delete": {Newer: true}}),
			Subjects: Subjects{Formats: map[string][]Template{"scim": templates(t, `name:CORP\{externalId}`)}},
		},
	}}
}

func events(t testing.TB, rules map[string]EventRule) map[string]EventRule {
	all := make(map[string]EventRule)
	for name, rule := range rules {
		uri, ok := EventURI(name)
		if !ok {
			t.Fatalf("%s is no event", name)
		}
		all[uri] = rule
	}
	return all
}

func template(t testing.TB, text string) Template {
	made, err := ParseTemplate(text, fixtureMap)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func templates(t testing.TB, texts ...string) []Template {
	var all []Template
	for _, text := range texts {
		all = append(all, template(t, text))
	}
	return all
}

func fixtureMap(file string) (Map, error) {
	f, err := os.Open(filepath.Join("testdata", filepath.FromSlash(file)))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	reader := csv.NewReader(f)
	reader.Comment = '#'
	rows, err := reader.ReadAll()
	users := make(map[string]string, len(rows))
	for _, row := range rows {
		users[row[0]] = row[1]
	}
	return func(subject string) (string, bool) {
		user, ok := users[subject]
		return user, ok
	}, err
}

func fixtureKeys(t testing.TB) map[string]jose.JSONWebKeySet {
	files, err := filepath.Glob("testdata/keys/*.jwks.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no keys: %v", err)
	}
	all := make(map[string]jose.JSONWebKeySet)
	for _, file := range files {
		var set jose.JSONWebKeySet
		data, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(data, &set)
		}
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(file), ".jwks.json")] = set
	}
	return all
}

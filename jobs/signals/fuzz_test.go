package signals

import (
	"bytes"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"logoffworker/jobs"
)

// checkAnswer is what holds of every answer, whatever the message.
func checkAnswer(t *testing.T, r Reader, a Answer) {
	if !printable(a.Why) || len(a.Why) > 4096 {
		t.Fatalf("unfit to print: %q", a.Why)
	}
	for _, step := range a.Steps {
		if !printable(step.What + step.Why) {
			t.Fatalf("unfit to print: %+v", step)
		}
	}
	switch {
	case a.Verdict == Job && a.Why != "", a.Verdict != Job && a.Why == "":
		t.Fatalf("%s: %q", a.Verdict, a.Why)
	case a.Verdict == Invalid && a.Code == "" && a.Signal != nil:
		t.Fatalf("no code: %s", a.Why)
	case a.Job.ID != "" && jobs.LegalID(a.Job.ID) != nil:
		t.Fatalf("the id %q is not legal", a.Job.ID)
	case a.Format == "":
		t.Fatal("no format")
	}
	if a.Verdict != Job {
		if diff := cmp.Diff(jobs.Job{ID: a.Job.ID}, a.Job); diff != "" {
			t.Fatalf("%s has a job: %s", a.Verdict, diff)
		}
		return
	}
	data, err := a.Job.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := jobs.Decode(data, jobs.Rules{LooseIDs: r.Rules.LooseIDs})
	if err != nil {
		t.Fatalf("the job is not read again: %v", err)
	}
	if second, err := again.Encode(); err != nil || !bytes.Equal(data, second) {
		t.Fatalf("the job comes back as another:\n%s\n%s", data, second)
	}
	if a.Signal != nil && !a.Job.EventTime.IsZero() && a.Job.EventTime.After(r.Now.Add(clocks)) {
		t.Fatalf("the event is yet to come: %v", a.Job.EventTime)
	}
}

// noToken tells that nothing said of a message repeats its signature.
func noToken(t *testing.T, a Answer, token string) {
	t.Helper()
	signature := strings.TrimSpace(token[strings.LastIndexByte(token, '.')+1:])
	if len(signature) < 40 {
		return
	}
	said := a.Why
	for _, step := range a.Steps {
		said += " " + step.What + " " + step.Why
	}
	if strings.Contains(said, signature[:40]) {
		t.Fatalf("the token is told: %s", said)
	}
}

func seed(f *testing.F, pick func(fixture) bool, add func(fixture)) {
	for _, row := range fixtures(f) {
		if pick(row) && len(row.body) < 10_000 {
			add(row)
		}
	}
}

func isToken(f fixture) bool { return bytes.HasPrefix(f.body, []byte("eyJ")) }

// FuzzSET changes signed tokens. A job comes only of one that the signer of a fixture signed, byte for byte.
func FuzzSET(f *testing.F) {
	r := fixtureReader(f)
	signed := make(map[string]bool)
	seed(f, isToken, func(row fixture) {
		f.Add(row.body)
		signed[strings.TrimSpace(string(row.body))] = true
	})
	for _, part := range []string{"", "eyJ", "...", "eyJ..", "e30.e30.e30"} {
		f.Add([]byte(part))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for name, a := range map[string]Answer{
			"message": r.Message(map[string][]string{"Content-Type": {"application/secevent+jwt"}}, body), "push": r.SET("idp", body),
			"form": r.LogoutToken("keycloak", append([]byte("logout_token="), body...)), "call": r.Revocation("okta", "Bearer "+string(body), []byte(`{"sub_id":{"format":"email","email":"jane@corp.example"}}`)),
		} {
			checkAnswer(t, r, a)
			noToken(t, a, string(body))
			if token := strings.TrimSpace(strings.TrimPrefix(string(body), "\ufeff")); a.Verdict == Job && !signed[token] {
				t.Fatalf("%s: a job without a signature: %s", name, body)
			}
		}
	})
}

// FuzzClaims changes what is signed, by an issuer that is trusted: its subjects and events are foreign all the same.
func FuzzClaims(f *testing.F) {
	seed(f, isToken, func(row fixture) {
		if t, err := parseToken(row.body); err == nil {
			if data, err := decodePart(strings.Split(t.compact, ".")[1]); err == nil {
				f.Add(data)
			}
		}
	})
	policy := fixturePolicy(f)
	f.Fuzz(func(t *testing.T, claims []byte) {
		b := newBench(t)
		b.reader.Policy = &policy
		for i := range policy.Issuers {
			policy.Issuers[i].Algorithms = []string{"ES256"}
		}
		a := b.reader.Message(nil, b.signRaw([]byte(`{"alg":"ES256","kid":"k1","typ":"secevent+jwt"}`), claims))
		checkAnswer(t, b.reader, a)
		for _, user := range a.Job.Users {
			if user.Wrong() == "" && a.Issuer == "scim" && (!strings.HasPrefix(user.Name, `CORP\`) || strings.Count(user.Name, `\`) != 1) {
				t.Fatalf("scim names %+v", user)
			}
			if domain := strings.ToLower(user.Email[strings.LastIndexByte(user.Email, '@')+1:]); user.Email != "" && a.Issuer == "keycloak" && domain != "corp.example" {
				t.Fatalf("keycloak names %+v", user)
			}
		}
	})
}

func FuzzCloudEvent(f *testing.F) {
	r := fixtureReader(f)
	seed(f, func(row fixture) bool {
		return strings.HasPrefix(row.id, "ce-") || strings.HasSuffix(row.id, "-deleted")
	}, func(row fixture) {
		f.Add(row.header["Content-Type"], row.header["ce-specversion"], row.header["ce-type"], row.header["ce-id"], row.body)
	})
	f.Fuzz(func(t *testing.T, contentType, version, typ, id string, body []byte) {
		given := bytes.Clone(body)
		a := r.Message(map[string][]string{"Content-Type": {contentType}, "CE-SpecVersion": {version}, "ce-type": {typ}, "Ce-Id": {id}, "ce-source": {"/s"}}, body)
		checkAnswer(t, r, a)
		if !bytes.Equal(given, body) {
			t.Fatal("the message was changed")
		}
		if a.Verdict == Invalid && a.Format == jobs.CloudEvent && strings.HasPrefix(a.Why, "at /") && !strings.HasPrefix(a.Why, "at /data") {
			t.Fatalf("a place outside of the data: %s", a.Why)
		}
	})
}

func FuzzRecipe(f *testing.F) {
	policy := fixturePolicy(f)
	seed(f, func(row fixture) bool {
		return strings.Contains(row.via, "/v1/hooks/")
	}, func(row fixture) {
		f.Add(row.body, "/data/events/*", "/target/*", "/alternateId", "/published")
		f.Add(row.body, "", "", "/result/user", "")
	})
	f.Fuzz(func(t *testing.T, body []byte, each, users, user, at string) {
		own := Recipe{Name: "own", Each: each, Users: users, User: Template{Text: `name:CORP\{` + user + "}"}, Time: at}
		r := Reader{Now: noon, Policy: &Policy{Recipes: append([]Recipe{own}, policy.Recipes...)}}
		for _, recipe := range r.Policy.Recipes {
			if recipe.Validate() != nil {
				continue
			}
			a := r.Hook(recipe.Name, body)
			checkAnswer(t, r, a)
			for _, u := range a.Job.Users {
				if recipe.Name == "own" && u.Wrong() == "" && (!strings.HasPrefix(u.Name, `CORP\`) || strings.Count(u.Name, `\`) != 1) {
					t.Fatalf("the recipe names %+v", u)
				}
			}
		}
	})
}

func FuzzLines(f *testing.F) {
	seed(f, func(row fixture) bool { return strings.HasPrefix(row.id, "lines") }, func(row fixture) { f.Add(row.body, false) })
	f.Add([]byte("{"+guid+"}\n\n\u00a0emc"+guid), true)
	f.Fuzz(func(t *testing.T, body []byte, loose bool) {
		r := Reader{Now: noon, Rules: jobs.Rules{LooseIDs: loose}, Keys: func(string) (jose.JSONWebKeySet, bool) { return jose.JSONWebKeySet{}, false }}
		a := r.Message(map[string][]string{"Content-Type": {"text/plain"}}, body)
		checkAnswer(t, r, a)
		if a.Verdict != Job || a.Format != jobs.Lines {
			return
		}
		if len(a.Job.Users) > 0 {
			t.Fatalf("lines name people: %+v", a.Job.Users)
		}
		for _, s := range a.Job.Sessions {
			if s.Wrong() == "" && !bytes.Contains(body, []byte(s.Spelled())) {
				t.Fatalf("the session %s is not in the message", s.Spelled())
			}
		}
	})
}

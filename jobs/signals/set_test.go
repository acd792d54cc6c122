package signals

import (
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"logoffworker/jobs"
)

// named writes whom a job names, for tables.
func named(a Answer) string {
	if a.Verdict != Job {
		return string(a.Verdict) + ": " + a.Why
	}
	var all []string
	for _, u := range a.Job.Users {
		switch {
		case u.Wrong() != "":
			all = append(all, "wrong: "+u.Wrong())
		case u.ID != 0:
			all = append(all, "id")
		default:
			all = append(all, u.Name+u.Email)
		}
	}
	for _, s := range a.Job.Sessions {
		all = append(all, s.Spelled())
	}
	return strings.Join(all, " ")
}

func TestASubjectNamesWhomTheRulesSay(t *testing.T) {
	own := func(b *bench) {
		b.issuer.Subjects.Issuers = []string{"https://friend.example"}
		formats := b.issuer.Subjects.Formats
		formats["uri"], formats["did"], formats["odd"] = []Template{{Text: "map:people", Map: mapped}}, []Template{{Text: "map:people"}}, formats["opaque"]
	}
	for _, c := range []struct{ subject, want string }{
		{`{"format":"email","email":"Jane@Own.Example"}`, "Jane@Own.Example"},
		{`{"subject_type":"email","email":"jane@own.example"}`, "jane@own.example"},
		{`{"format":"EMAIL","email":"jane@own.example","other":null}`, "jane@own.example"},
		{`{"format":"email","email":"a/b@own.example"}`, "invalid: the subject maps to nobody: email:{email}: the value \"a/b@own.example\" has a slash"},
		{`{"format":"email","email":"a@b@own.example"}`, "invalid: the subject maps to nobody: email:{email}: \"a@b@own.example\" is no e-mail address"},
		{`{"format":"email","email":"jane@own.example\u200b"}`, "invalid: the subject maps to nobody: email:{email}: the value \"jane@own.example\\u200b\" has control or invisible characters"},
		{`{"format":"email","email":null}`, "invalid: the subject maps to nobody: email:{email}: email is missing"},
		{`{"format":"iss-sub","iss":"https://own.example","sub":"1"}`, `CORP\one`},
		{`{"format":"iss_sub","iss":"https://own.example","sub":"2"}`, "id"},
		{`{"format":"iss_sub","iss":"https://own.example","sub":"5"}`, "invalid: the subject maps to nobody: map:people: a user begins with email:, name: or id:, and \"nobody\" does not; email:{sub}: \"5\" is no e-mail address"},
		{`{"format":"iss_sub","sub":"1"}`, "invalid: the subject's iss is \"\"; the issuer may speak for https://own.example, https://friend.example only"},
		{`{"format":"iss_sub","iss":"https://friend.example","sub":"1"}`, `CORP\one`},
		{`{"format":"email","email":"jane@own.example","iss":"https://evil.example"}`, "invalid: the subject's iss is \"https://evil.example\"; the issuer may speak for https://own.example, https://friend.example only"},
		{`{"format":"account","uri":"acct:jane@own.example"}`, `CORP\jane`},
		{`{"format":"account","uri":"ACCT:jane@own.example"}`, `CORP\jane`},
		{`{"format":"account","uri":"acct:jane"}`, "invalid: the subject maps to nobody: name:CORP\\{localpart}: \"jane\" is no e-mail address"},
		{`{"format":"phone_number","phone_number":"+4"}`, "four"},
		{`{"format":"scim","uri":"/Users/1","externalId":"jane"}`, `CORP\jane`},
		{`{"format":"scim","uri":"/Users/1"}`, `CORP\jdoe`},
		{`{"format":"scim","externalId":"a@own.example"}`, `CORP\jdoe`},
		{`{"format":"jwt_id","iss":"https://own.example","jti":"x"}`, "invalid: the subject names nobody: there is no rule for its format \"jwt_id\""},
		{`{"email":"jane@own.example"}`, "invalid: the subject has no format, and so names nobody"},
		{`{"format":"complex","user":{"format":"opaque","id":"1"},"device":{"format":"opaque","id":"d"}}`, `CORP\one`},
		{`{"user":{"format":"opaque","id":"1"},"session":null}`, `CORP\one`},
		{`{"format":"complex","device":{"format":"opaque","id":"1"}}`, "invalid: the subject has no user, and so names nobody; it has \"device, format\""},
		{`{"format":"complex","user":{"format":"complex","user":{"format":"opaque","id":"1"}}}`, "invalid: the subject names nobody: there is no rule for its format \"complex\""},
		{`{"format":"aliases","identifiers":[{"format":"opaque","id":"1"},{"format":"opaque","id":"9"},5,null,{"format":"opaque","id":"1"},{"format":"opaque","id":"3"}]}`, `CORP\one three@own.example`},
		{`{"format":"complex","user":{"format":"aliases","identifiers":[{"format":"opaque","id":"3"}]}}`, "three@own.example"},
		{`{"format":"aliases","identifiers":[{"format":"aliases","identifiers":[{"format":"opaque","id":"1"}]}]}`, "invalid: none of the aliases of the subject maps to anybody; the subject names nobody: there is no rule for its format \"aliases\""},
		{`{"format":"aliases","identifiers":"1"}`, "invalid: none of the aliases of the subject maps to anybody"},
		{`"jane"`, "invalid: the subject is no object"},
		{`{"format":"account","uri":"a"}`, "invalid: the subject maps to nobody: name:CORP\\{localpart}: \"a\" is no e-mail address"},
		{`{"format":"account","uri":"http:jane@own.example"}`, `CORP\http:jane`},
		{`{"format":"email","email":"acct:jane@own.example"}`, "acct:jane@own.example"},
		{`{"format":"email","email":"@own.example"}`, "invalid: the subject maps to nobody: email:{email}: \"@own.example\" is no e-mail address"},
		{`{"format":"email","email":"jane@"}`, "invalid: the subject maps to nobody: email:{email}: \"jane@\" is no e-mail address"},
		{`{"format":"email","email":"jane doe@own.example"}`, "invalid: the subject maps to nobody: email:{email}: \"jane doe@own.example\" is no e-mail address"},
		{`{"format":"email","email":""}`, "invalid: the subject maps to nobody: email:{email}: email is missing"},
		{`{"format":"opaque","uri":"1"}`, "invalid: the subject maps to nobody: map:people: id is missing"},
		{`{"format":"opaque","id":"acct:1"}`, "invalid: the subject maps to nobody: map:people: \"acct:1\" is not in it"},
		{`{"format":"uri","uri":"urn:1"}`, `CORP\one`},
		{`{"format":"did","url":"did:1"}`, "invalid: the subject maps to nobody: map:people: the map has not been read"},
		{`{"format":"odd","id":"1"}`, "invalid: the subject maps to nobody: map:people: the format has no member that identifies somebody"},
		{`[]`, "invalid: the subject is no object"},
	} {
		b := newBench(t)
		own(b)
		var subject any
		if err := json.Unmarshal([]byte(c.subject), &subject); err != nil {
			t.Fatal(err)
		}
		for place, claims := range map[string]map[string]any{
			"sub_id":  {"sub_id": subject, "events": map[string]any{revoked: map[string]any{"data": map[string]any{"userName": "jdoe"}}}},
			"subject": {"sub_id": nil, "events": map[string]any{revoked: map[string]any{"subject": subject, "data": map[string]any{"userName": "jdoe"}}}},
		} {
			if got := named(b.set(claims)); got != c.want {
				t.Errorf("%s in %s:\n got %s\nwant %s", c.subject, place, got, c.want)
			}
		}
	}
}

func TestTheOldestPlaceOfASubjectIsSub(t *testing.T) {
	b := newBench(t)
	if got := named(b.set(map[string]any{"sub_id": nil, "sub": "1"})); got != `CORP\one` {
		t.Error(got)
	}
	expect(t, b.set(map[string]any{"sub_id": nil}), Invalid, "no subject")
}

// An address outside of the domains is nobody's, by whichever way it would be named.
func TestDomainsFenceAnIssuer(t *testing.T) {
	for subject, ok := range map[string]bool{
		`{"format":"email","email":"jane@CORP.example"}`:                  true,
		`{"format":"email","email":"jane@own.example"}`:                   false,
		`{"format":"email","email":"jane@corp.example.evil"}`:             false,
		`{"format":"email","email":"jane@sub.corp.example"}`:              false,
		`{"format":"account","uri":"acct:jane@corp.example"}`:             true,
		`{"format":"account","uri":"acct:jane@own.example"}`:              false,
		`{"format":"opaque","id":"3"}`:                                    false,
		`{"format":"opaque","id":"1"}`:                                    true,
		`{"format":"aliases","identifiers":[{"format":"opaque","id":3}]}`: false,
	} {
		b := newBench(t)
		b.issuer.Subjects.Domains = []string{"corp.example"}
		var id any
		if err := json.Unmarshal([]byte(subject), &id); err != nil {
			t.Fatal(err)
		}
		if a := b.set(map[string]any{"sub_id": id}); (a.Verdict == Job) != ok {
			t.Errorf("%s: %s %s", subject, a.Verdict, a.Why)
		}
	}
}

func TestAnIssuerSpeaksForItsTenants(t *testing.T) {
	user := map[string]any{"format": "opaque", "id": "1"}
	for _, c := range []struct {
		tenant any
		want   Verdict
	}{
		{map[string]any{"format": "opaque", "id": "acme"}, Job},
		{"acme", Job},
		{map[string]any{"format": "opaque", "id": "other"}, Invalid},
		{map[string]any{"format": "opaque"}, Invalid},
		{nil, Invalid},
	} {
		b := newBench(t)
		b.issuer.Tenants = []string{"acme"}
		if a := b.set(map[string]any{"sub_id": map[string]any{"format": "complex", "user": user, "tenant": c.tenant}}); a.Verdict != c.want {
			t.Errorf("%v: %s %s", c.tenant, a.Verdict, a.Why)
		}
		expect(t, b.set(nil), Invalid, "names no tenant")
	}
}

func TestASessionMeansWhatTheIssuersRulesSay(t *testing.T) {
	const guid = "EMCAE92D1DD-0C68-49A6-BEBB-404D96D7A4BF"
	session := func(id string) map[string]any { return map[string]any{"format": "opaque", "id": id} }
	both := func(id string) map[string]any {
		return map[string]any{"format": "complex", "user": session("1"), "session": session(id)}
	}
	for _, c := range []struct {
		meaning SessionMeaning
		event   string
		subject map[string]any
		want    string
	}{
		{"", revoked, both(guid), `CORP\one`},
		{Person, revoked, both("x"), `CORP\one`},
		{Person, revoked, map[string]any{"session": session(guid)}, `invalid: the subject has no user, and so names nobody; it has "session"`},
		{IgnoreSession, revoked, both("x"), "ignored: session-revoked is about one session of the issuer's, and those are ignored by its rules"},
		{IgnoreSession, revoked, map[string]any{"user": session("1")}, `CORP\one`},
		{IgnoreSession, risc + "account-disabled", both("x"), `CORP\one`},
		{Commvault, revoked, both(guid), guid},
		{Commvault, revoked, both("not-ours"), `CORP\one`},
		{Commvault, revoked, session(guid), guid},
		{Commvault, revoked, session("not-ours"), `invalid: the subject maps to nobody: map:people: "not-ours" is not in it`},
		{Person, revoked, session(guid), `invalid: the subject maps to nobody: map:people: "` + guid + `" is not in it`},
		{Commvault, risc + "account-disabled", both(guid), `CORP\one`},
		{Commvault, risc + "account-disabled", session(guid), `invalid: the subject maps to nobody: map:people: "` + guid + `" is not in it`},
		{Commvault, revoked, map[string]any{"format": "email", "email": "x", "id": guid}, `invalid: the subject maps to nobody: email:{email}: "x" is no e-mail address`},
		{Commvault, revoked, session("1"), `CORP\one`},
		{Commvault, revoked, session("EMC" + mappedGUID), "guid"},
		{Commvault, revoked, map[string]any{"session": session(guid)}, guid},
	} {
		b := newBench(t)
		b.issuer.Session = c.meaning
		if got := named(b.set(map[string]any{"sub_id": c.subject, "events": map[string]any{c.event: map[string]any{}}})); got != c.want {
			t.Errorf("%s %v:\n got %s\nwant %s", c.meaning, c.subject, got, c.want)
		}
	}
}

func TestRulesSayWhichEventsAreRevocations(t *testing.T) {
	for _, c := range []struct {
		rule    EventRule
		members map[string]any
		want    Verdict
	}{
		{EventRule{}, nil, Job},
		{EventRule{ExceptInitiator: []string{"user"}}, map[string]any{"initiating_entity": "user"}, Ignored},
		{EventRule{ExceptInitiator: []string{"user"}}, map[string]any{"initiating_entity": "admin"}, Job},
		{EventRule{ExceptInitiator: []string{"user"}}, map[string]any{"initiating_entity": []any{"user"}}, Job},
		{EventRule{ExceptInitiator: []string{"user"}}, nil, Job},
		{EventRule{Members: map[string][]string{"level": {"HIGH", "MAX"}}}, map[string]any{"level": "high"}, Job},
		{EventRule{Members: map[string][]string{"level": {"HIGH"}}}, map[string]any{"level": "LOW"}, Ignored},
		{EventRule{Members: map[string][]string{"level": {"HIGH"}}}, map[string]any{"level": nil}, Ignored},
		{EventRule{Members: map[string][]string{"level": {"HIGH"}}}, nil, Ignored},
		{EventRule{Members: map[string][]string{"level": {"3"}}}, map[string]any{"level": 3}, Job},
		{EventRule{Members: map[string][]string{"sure": {"true"}}}, map[string]any{"sure": true}, Job},
		{EventRule{Members: map[string][]string{"what": {"b"}}}, map[string]any{"what": []any{"a", "b"}}, Job},
		{EventRule{Members: map[string][]string{"what": {"b"}}}, map[string]any{"what": []any{"a", []any{"b"}}}, Ignored},
		{EventRule{Members: map[string][]string{"a": {"1"}, "b": {"1"}}}, map[string]any{"a": "1", "b": "2"}, Ignored},
	} {
		b := newBench(t)
		b.issuer.Events[revoked] = c.rule
		if a := b.set(map[string]any{"events": map[string]any{revoked: c.members}}); a.Verdict != c.want {
			t.Errorf("%v %v: %s %s", c.rule, c.members, a.Verdict, a.Why)
		}
	}
}

func TestTheEventsTimeIsNeverLaterThanItsToken(t *testing.T) {
	made := noon.Add(-time.Minute)
	at := noon.Add(-time.Hour)
	for _, c := range []struct {
		name       string
		stamp, toe any
		want       time.Time
	}{
		{"neither", nil, nil, made},
		{"seconds", at.Unix(), nil, at},
		{"milliseconds", at.UnixMilli() + 250, nil, at.Add(250 * time.Millisecond)},
		{"a fraction", float64(at.Unix()) + 0.5, nil, at.Add(500 * time.Millisecond)},
		{"toe", nil, at.Unix(), at},
		{"toe in milliseconds", nil, at.UnixMilli(), at},
		{"the event's own before toe", at.Unix(), noon.Add(-2 * time.Hour).Unix(), at},
		{"later than iat", noon.Add(time.Hour).Unix(), nil, made},
		{"toe later than iat", nil, noon.Add(time.Hour).UnixMilli(), made},
		{"microseconds", at.UnixMicro(), nil, time.Time{}},
		{"negative", -5, nil, time.Time{}},
		{"zero", 0, nil, time.Time{}},
		{"text", "1795780572", nil, time.Time{}},
		{"an object", map[string]any{}, nil, time.Time{}},
		{"toe of text", nil, "x", time.Time{}},
	} {
		b := newBench(t)
		a := b.set(map[string]any{"iat": made.Unix(), "toe": c.toe, "events": map[string]any{revoked: map[string]any{"event_timestamp": c.stamp}}})
		if !a.Job.EventTime.Equal(c.want) || (a.Verdict == Invalid) != c.want.IsZero() {
			t.Errorf("%s: %s %v, not %v", c.name, a.Why, a.Job.EventTime, c.want)
		}
	}
}

// One SET may have several events. Those that are revocations make one job, and what of them names nobody is told.
func TestSeveralEventsMakeOneJob(t *testing.T) {
	b := newBench(t)
	subject := func(id string) map[string]any { return map[string]any{"format": "opaque", "id": id} }
	at := noon.Add(-time.Hour)
	a := b.set(map[string]any{"sub_id": nil, "events": map[string]any{
		revoked:                   map[string]any{"subject": subject("1"), "event_timestamp": at.Unix(), "reason_admin": map[string]any{"de": "Verstoß", "en": "policy"}},
		risc + "account-disabled": map[string]any{"subject": subject("9"), "event_timestamp": at.Add(-time.Hour).Unix(), "reason_admin": "left"},
		risc + "account-enabled":  map[string]any{"subject": subject("2")},
	}})
	want := `CORP\one wrong: the subject maps to nobody: map:people: "9" is not in it`
	if got := named(a); got != want || !a.Job.EventTime.Equal(at) || !a.Job.IncludeNewer {
		t.Errorf("%s %v %v", got, a.Job.EventTime, a.Job.IncludeNewer)
	}
	if want := "session-revoked: policy; account-disabled: left"; a.Job.Reason != want {
		t.Errorf("reason %q", a.Job.Reason)
	}
	if diff := cmp.Diff(map[string]string{"issuer": "own", "event": "session-revoked"}, a.Job.Labels); diff != "" || a.Job.RequestedBy != "https://own.example" {
		t.Errorf("%s %s", a.Job.RequestedBy, diff)
	}
	again, err := jobs.Decode(encoded(t, a.Job), jobs.Rules{})
	if err != nil || len(again.Users) != 2 || again.Users[1].Wrong() == "" {
		t.Errorf("the job comes back as %+v: %v", again, err)
	}
}

// What of several events is ignored, or has no time, changes nothing of the others.
func TestEventsDoNotSpoilEachOther(t *testing.T) {
	b := newBench(t)
	b.issuer.Session = IgnoreSession
	one := map[string]any{"format": "opaque", "id": "1"}
	session := map[string]any{"user": map[string]any{"format": "opaque", "id": "2"}, "session": map[string]any{"format": "opaque", "id": "s"}}
	disabled := risc + "account-disabled"
	a := b.set(map[string]any{"sub_id": nil, "events": map[string]any{revoked: map[string]any{"subject": session}, disabled: map[string]any{"subject": one}}})
	if got := named(a); got != `CORP\one` || a.Job.Reason != "account-disabled" {
		t.Errorf("%s %s", got, a.Job.Reason)
	}
	b.issuer.Events = map[string]EventRule{revoked: {Newer: true}, disabled: {}}
	at := noon.Add(-time.Hour)
	a = b.set(map[string]any{"sub_id": one, "events": map[string]any{revoked: map[string]any{"event_timestamp": at.Unix()}, disabled: map[string]any{"event_timestamp": "x"}}})
	if got := named(a); !strings.HasPrefix(got, `CORP\one wrong: event_timestamp is no time`) || !a.Job.EventTime.Equal(at) || !a.Job.IncludeNewer {
		t.Errorf("%s %+v", got, a.Job)
	}
}

func encoded(t *testing.T, job jobs.Job) []byte {
	data, err := job.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestEventsOfTheStreamAreNobodysRevocation(t *testing.T) {
	b := newBench(t)
	if a := b.set(map[string]any{"events": map[string]any{sse + "stream-updated": map[string]any{"status": "disabled"}}}); a.Verdict != Ignored || a.StreamUpdated != "disabled" {
		t.Errorf("%+v", a)
	}
	for _, uri := range []string{ssf + "verification", sse + "verification", risc + "verification"} {
		b.issuer.Events[uri] = EventRule{}
		a := b.set(map[string]any{"events": map[string]any{uri: map[string]any{"state": "s"}}})
		if a.Verdict != Ignored || a.Verification == nil || *a.Verification != "s" {
			t.Errorf("%s: %+v", uri, a)
		}
	}
	if a := b.set(map[string]any{"events": map[string]any{ssf + "verification": nil}}); a.Verification == nil {
		t.Error("a verification without a state is none")
	}
	if a := b.set(map[string]any{"events": map[string]any{ssf + "stream-updated": map[string]any{"status": "paused"}}}); a.Verdict != Ignored || a.StreamUpdated != "paused" {
		t.Errorf("%+v", a)
	}
	if a := b.reader.SET("own", b.sign(b.claims(map[string]any{"aud": "x", "events": map[string]any{ssf + "verification": nil}}), nil)); a.Verification != nil {
		t.Error("a verification that is not believed shows life")
	}
}

// The same SET makes the same job, whoever brings it; another issuer's with the same jti does not.
func TestARepetitionHasTheSameID(t *testing.T) {
	b := newBench(t)
	first := b.set(nil)
	if first.Job.ID != jobs.SignalID("https://own.example", "j1") || first.Job.ID != b.reader.Message(nil, b.sign(b.claims(nil), nil)).Job.ID {
		t.Error("the ids differ")
	}
	b.issuer.URL = "https://two.example"
	if b.set(map[string]any{"iss": "https://two.example"}).Job.ID == first.Job.ID {
		t.Error("two issuers, one id")
	}
	if a := b.set(map[string]any{"iss": "https://two.example", "sub_id": nil}); a.Job.ID == "" || a.Signal == nil {
		t.Errorf("a revocation that names nobody has no id: %+v", a)
	}
}

func TestASignalCarriesItsProof(t *testing.T) {
	b := newBench(t)
	token := b.sign(b.claims(map[string]any{"jti": strings.Repeat("j", 300)}), nil)
	a := b.reader.SET("own", token)
	want := jobs.Signal{Issuer: "own", Event: revoked, Rule: "session-revoked, email by email:{email}", ID: strings.Repeat("j", 256), Token: string(token)}
	if diff := cmp.Diff(&want, a.Signal); diff != "" {
		t.Error(diff)
	}
	if a := b.set(map[string]any{"x": strings.Repeat("x", MaxEvidence)}); a.Signal.Token != "" || a.Verdict != Job {
		t.Error("a large token travels")
	}
}

func TestShortNamesAreOfEvents(t *testing.T) {
	for name, want := range map[string]string{
		"session-revoked": revoked, "account-disabled": risc + "account-disabled", "backchannel-logout": backchannelLogout, "prov:delete": "urn:ietf:params:scim:event:prov:delete",
		"urn:ietf:params:SCIM:event:prov:delete": "urn:ietf:params:scim:event:prov:delete", "https://corp.example/left": "https://corp.example/left", "http://corp.example/left": "http://corp.example/left", "sesion-revoked": "", "": "",
	} {
		if uri, ok := EventURI(name); ok != (want != "") || ok && uri != want {
			t.Errorf("%s: %s %v", name, uri, ok)
		}
	}
	b := newBench(t)
	b.issuer.Events["urn:ietf:params:scim:event:prov:delete"] = EventRule{}
	expect(t, b.set(map[string]any{"events": map[string]any{"urn:ietf:params:SCIM:event:prov:delete": map[string]any{}}}), Job, "")
}

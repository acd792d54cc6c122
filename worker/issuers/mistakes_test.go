package issuers

import (
	"path/filepath"
	"strings"
	"testing"
)

// good is an issuers file in which nothing is wrong; the tests of mistakes make one each.
const good = `
issuers:
  - name: idp
    issuer: https://idp.example
    audience: us
    keys: {url: "https://idp.example/keys"}
    events: {session-revoked: {}}
    subjects: {email: "email:{email}"}
    push: {path: /v1/events/idp, bearer: canary-push}
    stream: {delivery: push, push_url: "https://logoff.example/v1/events/idp", bearer: canary-stream}
recipes:
  - name: splunk
    path: /v1/hooks/splunk
    query: {token: canary-hook}
    user: 'name:{/result/user}'
publishers:
  - name: soar
    bearer: canary-soar
`

// Everything that is wrong with a file is told with its line and its member, and no value that may be a secret is.
func TestEachMistakeIsToldWithItsPlace(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "empty.csv", "# subject,user\n")
	write(t, dir, "bad.csv", "x,name:CORP\\jane\nx,canary\n")
	write(t, dir, "no.jwks.json", "canary")
	write(t, dir, "two-lines", "canary\ncanary\n")
	for _, test := range []struct{ old, new, want string }{
		{"", "", ""},
		{"    issuer: https://idp.example\n", "", "line 3, issuer idp: needs issuer: "},
		{"issuer: https://idp.example\n", "issuer:\n", "line 4, issuer idp, issuer: is empty"},
		{"  - name: idp\n    issuer", "  - issuer", "line 3, one of the issuers: needs name: "},
		{"name: idp", "name: i.d", "line 3, issuer i.d, name: must be 1 to 64 visible characters"},
		{"name: splunk", "name: idp", "line 12, recipe idp, name: is the name of another"},
		{"name: soar", "name: splunk", "line 17, publisher splunk, name: is the name of another"},
		{`{url: "https://idp.example/keys"}`, `{}`, "line 6, issuer idp, keys: needs url or file"},
		{`{url: "https://idp.example/keys"}`, `{url: "http://idp.example/keys"}`, "line 6, issuer idp, keys.url: must begin with https://"},
		{`{url: "https://idp.example/keys"}`, `{url: "https://u:canary@idp.example/keys"}`, "keys.url: must not hold a user or password"},
		{`{url: "https://idp.example/keys"}`, `{url: "https://idp.example/keys", file: no.jwks.json}`, "keys: a file and a URL are given; keep one"},
		{`{url: "https://idp.example/keys"}`, `{file: no.jwks.json}`, "issuer idp, keys.file: the file is no key set"},
		{`{url: "https://idp.example/keys"}`, `{file: nowhere.jwks.json}`, "issuer idp, keys.file: the file cannot be read"},
		{`{url: "https://idp.example/keys"}`, `{url: "https://idp.example/keys", ca_file: no.jwks.json}`, "keys.ca_file: the file holds no PEM certificate"},
		{"{session-revoked: {}}", "{session-revokd: {}}", "line 7, issuer idp, events: there is no such event; did you mean session-revoked?"},
		{"{session-revoked: {}}", "{}", "line 7, issuer idp, events: lists no event"},
		{"{session-revoked: {}}", "{session-revoked: {except_initator: [user]}}", "line 7, issuer idp, events.session-revoked: there is no such member; did you mean except_initiator?"},
		{"{session-revoked: {}}", "{'https://x.example/own': {except_initator: [user]}}", "did you mean except_initiator?"},
		{"{session-revoked: {}}", "{session-revoked: {}, 'https://schemas.openid.net/secevent/caep/event-type/session-revoked': {}}", "an event is here under two names"},
		{"{session-revoked: {}}", "{session-revoked: {newer: maybe}}", "events.session-revoked.newer: must be true or false"},
		{"{session-revoked: {}}", "[session-revoked]", "line 7, issuer idp, events: must be a mapping"},
		{`{email: "email:{email}"}`, `{mail: "email:{email}"}`, "line 8, issuer idp, subjects: there is no such member; did you mean email?"},
		{`{email: "email:{email}"}`, `{email: "email:jane@corp.example"}`, "subjects.email: the template"},
		{`{email: "email:{email}"}`, `{email: "map:nowhere.csv"}`, "line 8, issuer idp, subjects.email: nowhere.csv: the file cannot be read"},
		{`{email: "email:{email}"}`, `{email: ["map:empty.csv", "map:bad.csv"]}`, "subjects.email: empty.csv: no line of a subject and its user"},
		{`{email: "email:{email}"}`, `{email: ["map:empty.csv", "map:bad.csv"]}`, "subjects.email: bad.csv: line 2: the user must be email:…"},
		{`{email: "email:{email}"}`, `{domains: [corp.example]}`, "subjects: names no format"},
		{`{email: "email:{email}"}`, `{email: "email:{email}", domains: ["*.example"]}`, "subjects.domains: must be whole domains"},
		{"    audience: us", "    audience: []", "line 5, issuer idp, audience: is an empty list"},
		{"    audience: us", "    audience: us\n    algorithms: [HS256]", "line 6, issuer idp, algorithms: must be RS256 or"},
		{"    audience: us", "    audience: us\n    max_age: 5 days", "line 6, issuer idp, max_age: must be a duration such as"},
		{"    audience: us", "    audience: us\n    max_age: 5s", "max_age: must be 1m0s or more"},
		{"    audience: us", "    audience: us\n    typ: none", "typ: must be any"},
		{"    audience: us", "    audience: us\n    session: mine", "session: must be person or ignore or commvault"},
		{"    audience: us", "    audience: us\n    audience: them", "line 6, issuer idp: a member is here that stands above already"},
		{"    audience: us", "    audience: *canary", "a value begins with an asterisk"},
		{"    audience: us", "    audience: &a us\n    typ: *a", "typ: is a reference, which is not taken"},
		{"    audience: us", "    audience: !canary us", "audience: begins with an exclamation mark"},
		{"    audience: us", "    audience: us\n    <<: {typ: any}", "line 6, issuer idp: must have plain names"},
		{"    audience: us", "   audience: us", "the file is no YAML: line "},
		{"    audience: us", "    audience: us\n    canry: canary", "line 6, issuer idp: there is no such member; there are algorithms, audience, events,"},
		{"    audience: us", "    audience: us\n    revoke: {path: /v1/events/revoke}", "revoke: needs audience"},
		{"    audience: us", "    audience: us\n    revoke: {path: /v1/events/idp, audience: us}", "push.path: is used above already"},
		{"/v1/events/idp, bearer", "/events/idp, bearer", "push.path: must begin with /v1/"},
		{"/v1/events/idp, bearer", "/v1/jobs, bearer", "push.path: is where publishers post jobs"},
		{"bearer: canary-push", "bearer: canary-push, bearer_file: two-lines", "push.bearer_file: is given as a value and as a file; keep one"},
		{"bearer: canary-push", "bearer: {file: two-lines}", "push.bearer.file: the file holds more than one line"},
		{"bearer: canary-push", "bearer: [canary-push]", "push.bearer: must be one value"},
		{"bearer: canary-push", "bearer: \"canary\\nx\"", "push.bearer: holds a line break"},
		{"    push: {path: /v1/events/idp, bearer: canary-push}\n", "", "issuer idp: needs push: {path: …}"},
		{"delivery: push,", "", "line 10, issuer idp, stream: needs delivery: poll or push"},
		{"delivery: push,", "delivery: pull,", "stream.delivery: must be poll or push"},
		{`push_url: "https://logoff.example/v1/events/idp",`, "", "stream: needs push_url"},
		{"delivery: push,", "delivery: push, managed: false,", "stream: is neither managed nor polled"},
		{"delivery: push,", "delivery: poll, managed: false,", "stream: needs poll_url"},
		{"delivery: push,", "delivery: poll, managed: false, poll_url: 'https://x.example', verify: 5m,", "stream: is not managed, so that no verification"},
		{"delivery: push,", "delivery: push, every: 10ms,", "stream.every: must be 1s or more"},
		{"delivery: push,", "delivery: push, client: {id: x, secret: canary},", "stream.client: needs token_url"},
		{"delivery: push,", "delivery: push, client: {id: x, secret: canary, token_url: 'https://x.example'},", "stream: has a bearer token and a client; keep one"},
		{"    path: /v1/hooks/splunk\n", "", "line 12, recipe splunk: needs path: where its bodies are posted to, with that header or query"},
		{"    query: {token: canary-hook}\n", "", "recipe splunk: needs header or query with a secret"},
		{"{token: canary-hook}", "{}", "recipe splunk, query: names none"},
		{"    user: 'name:{/result/user}'\n", "", "recipe splunk: needs user"},
		{"'name:{/result/user}'", "'name:{user}'", "line 12, recipe splunk: "},
		{"    path: /v1/hooks/splunk\n", "    path: /v1/hooks/splunk\n    time: published\n", "line 12, recipe splunk: "},
		{"    path: /v1/hooks/splunk\n", "    path: /v1/hooks/splunk\n    use: splnk\n", "line 14, recipe splunk, use: there is no such recipe; did you mean splunk?"},
		{"    bearer: canary-soar\n", "", "line 17, publisher soar: needs bearer"},
		{"publishers:", "publisher:", "there is no such member; did you mean publishers?"},
		{good, "---\nissuers: []\n", "nothing is in the file"},
		{good, "", "nothing is in the file"},
		{good, "canary", "line 1: must be a mapping"},
		{good, good + "---\n" + good, "more than one YAML document"},
		{good, strings.Repeat("#", maxFile+1), "the file has more than"},
	} {
		content := strings.Replace(good, test.old, test.new, 1)
		if test.old != "" && !strings.Contains(good, test.old) {
			t.Fatalf("the file does not hold %q", test.old)
		}
		_, err := Open(write(t, dir, "issuers.yaml", content))
		switch {
		case test.want == "" && err != nil:
			t.Errorf("the good file: %v", err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%q for %q: %v\nwant %q", test.new, test.old, err, test.want)
		case err != nil && strings.Contains(err.Error(), "canary"):
			t.Errorf("a value is repeated: %v", err)
		}
	}
}

// unmanaged is the good file without the stream that tells audience and keys.
var unmanaged = strings.Replace(good, `    stream: {delivery: push, push_url: "https://logoff.example/v1/events/idp", bearer: canary-stream}`, "", 1)

// Audience and keys may be left out only where a transmitter tells them.
func TestAudienceAndKeysAreNeededWhereNobodyTellsThem(t *testing.T) {
	dir := t.TempDir()
	for member, line := range map[string]string{"audience": "    audience: us\n", "keys": "    keys: {url: \"https://idp.example/keys\"}\n"} {
		if _, err := Open(write(t, dir, "issuers.yaml", strings.Replace(good, line, "", 1))); err != nil {
			t.Errorf("without %s, which the transmitter tells: %v", member, err)
		}
		_, err := Open(write(t, dir, "issuers.yaml", strings.Replace(unmanaged, line, "", 1)))
		if want := "line 3, issuer idp: needs " + member; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without %s: %v", member, err)
		}
	}
}

// All mistakes are told at once, in the order of their lines.
func TestAllMistakesAreToldAtOnce(t *testing.T) {
	content := strings.NewReplacer("audience: us", "audiance: us", "session-revoked", "revoked", "name: soar", "name: 'a b'").Replace(unmanaged)
	_, err := Open(write(t, t.TempDir(), "issuers.yaml", content))
	if err == nil {
		t.Fatal("nothing is told")
	}
	var lines []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		lines = append(lines, line[:strings.Index(line, ",")])
	}
	if got := strings.Join(lines, "; "); got != "line 3; line 5; line 7; line 17" {
		t.Fatalf("%s\n%v", got, err)
	}
}

// A file may have recipes or publishers alone.
func TestAFileNeedsNoIssuers(t *testing.T) {
	i, err := Open(write(t, t.TempDir(), "issuers.yaml", good[strings.Index(good, "recipes:"):]))
	if err != nil {
		t.Fatal(err)
	}
	file := i.File()
	if len(file.Issuers) != 0 || len(file.Hooks) != 1 || len(file.Publishers) != 1 {
		t.Fatalf("%+v", file)
	}
	bearer, err := file.Publishers[0].Bearer()
	if bearer != "canary-soar" || err != nil {
		t.Fatalf("%q, %v", bearer, err)
	}
}

// A secret in a file is read anew each time, and files are looked for beside the issuers file.
func TestSecretsInFilesAreReadAnew(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "secret", "one\n")
	i, err := Open(write(t, dir, "issuers.yaml", strings.Replace(good, "bearer: canary-push", "bearer_file: secret", 1)))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"one", "two"} {
		write(t, dir, "secret", want+"\n")
		if got, err := i.File().Issuers[0].PushBearer(); got != want || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	}
}

// What is not said is as the manual has it.
func TestWhatIsLeftOutIsAsUsual(t *testing.T) {
	i := open(t, strings.Replace(good, "    events: {session-revoked: {}}\n", "", 1))
	p, how := i.File().Policy.Issuers[0], i.File().Issuers[0]
	newer := 0
	for _, rule := range p.Events {
		if rule.Newer {
			newer++
		}
	}
	if len(p.Events) != len(standard) || newer != 2 {
		t.Errorf("%d events, %d of which end what began later", len(p.Events), newer)
	}
	if s := how.Stream; s.Every != standardEvery || s.Verify != standardVerify || len(s.Events) != len(standard) {
		t.Errorf("%+v", s)
	}
}

// A recipe of the product may be used under another name, and with parts of one's own.
func TestARecipeOfTheProductIsUsed(t *testing.T) {
	i := open(t, `
recipes:
  - {name: okta, use: okta-hook, path: /v1/hooks/okta, header: {Authorization: canary}}
  - {name: auth, use: auth0, newer: false}
`)
	okta, auth := i.File().Policy.Recipes[0], i.File().Policy.Recipes[1]
	if okta.Name != "okta" || okta.Each != "/data/events/*" || okta.User.Text != "email:{/alternateId}" {
		t.Errorf("%+v", okta)
	}
	if auth.Name != "auth" || auth.CloudEvent != "user.deleted" || auth.Newer {
		t.Errorf("%+v", auth)
	}
	if hooks := i.File().Hooks; len(hooks) != 1 || hooks[0].Recipe != "okta" || hooks[0].Path != "/v1/hooks/okta" {
		t.Errorf("%+v", hooks)
	}
}

// Whatever is in the file, it is read or refused in words that can be printed.
func FuzzIssuersFile(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("issuers: [{name: x, issuer: y, audience: z, session: commvault, keys: {file: z}, events: {'urn:x': {a: [b]}}}]"))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("recipes:\n- {name: a, use: graph, user: 'map:x{/a}', when: {/a: b}}\n---\n"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := read(data, newFiles(filepath.Join(dir, "issuers.yaml")))
		if (file == nil) != (err != nil) {
			t.Fatalf("%v, %v", file, err)
		}
		if err != nil && err.Error() == "" {
			t.Fatal("an error without words")
		}
	})
}

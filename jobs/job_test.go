package jobs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const (
	emc  = "EMCAE92D1DD-0C68-49A6-BEBB-404D96D7A4BF"
	guid = "CF1C660B-396F-44B7-86DA-5608CEC97453"
)

func sample(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func compact(t testing.TB, data []byte) string {
	t.Helper()
	v := jsontext.Value(bytes.Clone(data))
	if err := v.Compact(); err != nil {
		t.Fatal(err)
	}
	return string(v)
}

func TestSampleJobsAreRead(t *testing.T) {
	both := []Session{{ID: emc}, {ID: guid}}
	for name, want := range map[string]Job{
		"job.json": {
			ID:          "01JDCASE7K2Q5",
			Sessions:    []Session{{ID: emc}, {ID: guid, UserID: 42}},
			Users:       []User{{ID: 42}, {Name: `CORP\jane`}, {Email: "jane@corp.example"}},
			Reason:      "credential compromise",
			RequestedBy: "soar",
			EventTime:   time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC),
			NotAfter:    time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
			Labels:      map[string]string{"case": "INC-1"},
		},
		"job-minimal.json": {Sessions: []Session{{ID: emc}}},
		"job.xml":          {Sessions: both},
	} {
		got, err := Decode(sample(t, name), "", Rules{MaxBytes: 1 << 20})
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

func TestJobIsWrittenAsItIsRead(t *testing.T) {
	for _, name := range []string{"job.json", "job-minimal.json"} {
		want := sample(t, name)
		job, err := Decode(want, "application/json", Rules{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := job.Encode()
		if err != nil || string(got) != compact(t, want) {
			t.Errorf("%s became %s (%v)", name, got, err)
		}
	}
}

func TestXMLIsToleratedWhereItMeansTheSame(t *testing.T) {
	for name, document := range map[string]string{
		"byte order mark":       "\ufeff" + string(sample(t, "job.xml")),
		"windows line ends":     strings.ReplaceAll(string(sample(t, "job.xml")), "\n", "\r\n"),
		"no declaration":        `<Api_LogoffUsersRequest><sessions val="` + emc + `"/><sessions val="` + guid + `"/></Api_LogoffUsersRequest>`,
		"single quotes":         `<?xml version='1.0' encoding='UTF-8' standalone='yes' ?><Api_LogoffUsersRequest><sessions val='` + emc + `'/><sessions val='` + guid + `'/></Api_LogoffUsersRequest>`,
		"elements with an end":  `<Api_LogoffUsersRequest><sessions val="` + emc + `"> </sessions><sessions val="` + guid + `"></sessions></Api_LogoffUsersRequest>`,
		"characters by numbers": `<Api_LogoffUsersRequest><sessions val="&#69;` + emc[1:] + `"/><sessions val="&#x43;` + guid[1:] + `"/></Api_LogoffUsersRequest>`,
		"space before it":       "\n  " + string(sample(t, "job.xml")),
	} {
		for _, contentType := range []string{"", "application/xml", "Text/XML; charset=utf-8"} {
			job, err := Decode([]byte(document), contentType, Rules{})
			if err != nil || len(job.Sessions) != 2 || job.Sessions[0].ID != emc || job.Sessions[1].ID != guid {
				t.Errorf("%s as %q: %v, %v", name, contentType, job, err)
			}
		}
	}
}

// Every file in testdata/invalid has its message here, and what is known of its id.
func TestInvalidJobsSayWhereAndWhy(t *testing.T) {
	const (
		known      = "unknown member; members are id, sessions, users, reason, requestedBy, eventTime, notAfter, includeNewer, labels"
		noSession  = " is no session ID; a GUID is accepted, with or without EMC before it"
		aSession   = ` found; a session is a string, or an object {"id": …, "userId": …}`
		attributes = "at line 1, byte 25: the element sessions needs the attribute val and no other"
		aUser      = "a user is named by exactly one of id, name and email"
		nothing    = "the job names no session and no user; at least one is needed"
		noGUID     = `"EMCAE92D1DD-0C68-49A6-BEBB-404D96D7A4BF`
	)
	want := map[string]struct{ id, message string }{
		"bad-id.json":                 {"", `at /id: the id "a.b" contains '.'; an id has graphic characters only, and no space, dot, asterisk or >`},
		"bad-time.json":               {"", "at /notAfter: a string found, a time as in RFC 3339 (2026-11-23T12:00:00Z) expected"},
		"byte-order-mark.json":        {"", `at byte 1: not JSON: invalid character '\ufeff' at start of value`},
		"cdata.xml":                   {"", `at line 1, byte 25: text is not accepted: "<![CDATA[ ]]>"`},
		"comment.xml":                 {"", "at line 1, byte 25: comments are not accepted"},
		"control-in-id.json":          {"", `at /sessions/1: ` + noGUID + `\x00"` + noSession},
		"control-in-id.xml":           {"", `at line 2, byte 1: ` + noGUID + `\n"` + noSession},
		"control-in-json.json":        {"", `at byte 15: not JSON: invalid character '\x01' in string (expecting non-control character)`},
		"cut-off.json":                {"cut-off", "at byte 70: the message ends too early"},
		"cut-off.xml":                 {"", "at line 3, byte 1: not XML: unexpected EOF"},
		"doctype.xml":                 {"", "at line 1, byte 1: DOCTYPE and other directives are not accepted"},
		"double-attribute.xml":        {"", attributes},
		"duplicate-key.json":          {"duplicate-key", "at /sessions: the member is there twice"},
		"duplicate-label.json":        {"", "at /labels/case: the member is there twice"},
		"empty-session.json":          {"", "at /sessions/0: the session ID is empty"},
		"empty.json":                  {"", "empty message; a job is a JSON object or an Api_LogoffUsersRequest document"},
		"entity.xml":                  {"", "at line 2, byte 19: not XML: invalid character entity &e;"},
		"fraction-owner.json":         {"", `at /sessions/0/userId: the number "1.5" found, a whole number expected`},
		"hidden-encoding.xml":         {"", `at line 1, byte 1: the XML declaration is not accepted; <?xml version="1.0" encoding="utf-8"?> is`},
		"instruction.xml":             {"", "at line 1, byte 22: processing instructions are not accepted"},
		"invalid-utf8.json":           {"invalid-utf8", "at byte 35: invalid UTF-8"},
		"invalid-utf8.xml":            {"", "at line 1, byte 42: not XML: invalid UTF-8"},
		"label-number.json":           {"", "at /labels/case: a number found, a string expected"},
		"late-declaration.xml":        {"", "at line 1, byte 25: the XML declaration is accepted at the beginning only"},
		"latin1.xml":                  {"", `at line 1, byte 44: the encoding "iso-8859-1" is not accepted; utf-8 is`},
		"lone-surrogate.json":         {"lone-surrogate", "at byte 34: not JSON: invalid surrogate pair `\\ud800\",\"ses` in string"},
		"long-id.json":                {"", `at /id: the id "` + strings.Repeat("x", 64) + `"… has more than 64 characters`},
		"namespaced-root.xml":         {"", `at line 1, byte 1: the root element is "urn:x:Api_LogoffUsersRequest"; Api_LogoffUsersRequest is accepted`},
		"negative-user.json":          {"", "at /users/1: the user id -1 is negative"},
		"root-attribute.xml":          {"", `at line 1, byte 1: the root element has the attribute "all"; none is accepted`},
		"negative-owner.json":         {"", "at /sessions/0: the userId -1 is negative"},
		"nested.xml":                  {"", `at line 2, byte 59: the element "sessions" is not accepted; sessions within Api_LogoffUsersRequest is`},
		"no-attribute.xml":            {"", attributes},
		"no-email.json":               {"", `at /users/0: "jane" is no e-mail address`},
		"no-root.xml":                 {"", "at line 2, byte 1: the element Api_LogoffUsersRequest is missing"},
		"no-sessions.xml":             {"", nothing},
		"not-a-guid.json":             {"", `at /sessions/0: "admin"` + noSession},
		"not-a-guid.xml":              {"", `at line 3, byte 3: "a\"b"` + noSession},
		"not-an-object.json":          {"", "a list found, an object expected"},
		"not-json.json":               {"", "at byte 1: not JSON: invalid character 'l' at start of value"},
		"nothing-named.json":          {"nothing-named", nothing},
		"nul-in-id.xml":               {"", "at line 2, byte 60: not XML: illegal character code U+0000"},
		"null-session.json":           {"", "at /sessions/1: null" + aSession},
		"null-user.json":              {"", "at /users/0: " + aUser},
		"number-session.json":         {"", "at /sessions/0: a number" + aSession},
		"other-attribute.xml":         {"", attributes},
		"other-element.xml":           {"", `at line 1, byte 25: the element "session" is not accepted; sessions within Api_LogoffUsersRequest is`},
		"second-root.xml":             {"", `at line 1, byte 107: a second root element "Api_LogoffUsersRequest"`},
		"sessions-string.json":        {"", "at /sessions: a string found, a list of sessions expected"},
		"text-owner.json":             {"", "at /sessions/0/userId: a string found, a whole number expected"},
		"text.xml":                    {"", `at line 2, byte 59: text is not accepted: ","`},
		"trailing-bytes.json":         {"trailing", "at byte 74: not JSON: invalid character '{' after top-level value"},
		"trailing-text.xml":           {"", `at line 1, byte 107: text is not accepted: "}"`},
		"two-ids.json":                {"", "at /id: the member is there twice"},
		"two-owners.json":             {"", "at /sessions/3: the session " + noGUID + `" is named twice, with the owners 1 and 2`},
		"unknown-member.json":         {"unknown-member", "at /session: " + known},
		"unknown-session-member.json": {"", "at /sessions/0/user: unknown member; members are id, userId"},
		"user-twice-named.json":       {"", "at /users/1: " + aUser},
		"wrong-case.json":             {"", "at /ID: " + known},
		"wrong-root.xml":              {"", `at line 1, byte 1: the root element is "Api_LogoffUsersResponse"; Api_LogoffUsersRequest is accepted`},
	}
	files, err := os.ReadDir(filepath.Join("testdata", "invalid"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(want) {
		t.Errorf("%d files, %d messages", len(files), len(want))
	}
	for _, file := range files {
		job, err := Decode(sample(t, "invalid/"+file.Name()), "", Rules{})
		var invalid *InvalidError
		if !errors.As(err, &invalid) {
			t.Errorf("%s: %v is no InvalidError", file.Name(), err)
			continue
		}
		if w := want[file.Name()]; err.Error() != w.message {
			t.Errorf("%s:\n got %s\nwant %s", file.Name(), err, w.message)
		}
		if diff := cmp.Diff(Job{ID: want[file.Name()].id}, job); diff != "" {
			t.Errorf("%s: %s", file.Name(), diff)
		}
	}
}

func TestContentTypeDecides(t *testing.T) {
	jsonJob, xmlJob := sample(t, "job-minimal.json"), sample(t, "job.xml")
	for contentType, want := range map[string]struct{ json, xml bool }{
		"":                                {true, true},
		"application/json":                {true, false},
		"Application/JSON ; charset=utf8": {true, false},
		"application/xml":                 {false, true},
		"text/xml;charset=utf-8":          {false, true},
		"text/plain":                      {false, false},
		"application/json+x":              {false, false},
		"text/\x00\n":                     {false, false},
	} {
		_, jsonErr := Decode(jsonJob, contentType, Rules{})
		_, xmlErr := Decode(xmlJob, contentType, Rules{})
		if (jsonErr == nil) != want.json || (xmlErr == nil) != want.xml {
			t.Errorf("%q: JSON %v, XML %v", contentType, jsonErr, xmlErr)
		}
		if !want.json && !want.xml && !printable(jsonErr.Error()) {
			t.Errorf("%q gives %q", contentType, jsonErr)
		}
	}
}

func TestSessionIDRule(t *testing.T) {
	long := strings.Repeat("a", 128)
	for id, want := range map[string]struct{ strict, loose bool }{
		emc:                                     {true, true},
		guid:                                    {true, true},
		strings.ToLower(guid):                   {true, true},
		"emc" + guid:                            {false, true},
		"EMCEMC" + guid:                         {false, true},
		guid[:35]:                               {false, true},
		guid + "0":                              {false, true},
		strings.Replace(guid, "-", "0", 1):      {false, true},
		"g" + guid[1:]:                          {false, true},
		"G" + guid[1:]:                          {false, true},
		"{" + guid + "}":                        {false, true},
		`<"&'>\`:                                {false, true},
		"":                                      {false, false},
		long:                                    {false, true},
		long + "a":                              {false, false},
		"a b":                                   {false, false},
		"a\x7f":                                 {false, false},
		"a\x00":                                 {false, false},
		"é":                                     {false, false},
		strings.ReplaceAll(guid, "-", "\u2010"): {false, false},
	} {
		job := Job{Sessions: []Session{{ID: id}}}
		if err := job.Validate(Rules{}); (err == nil) != want.strict {
			t.Errorf("%q: %v", id, err)
		}
		if err := job.Validate(Rules{LooseIDs: true}); (err == nil) != want.loose {
			t.Errorf("loose %q: %v", id, err)
		}
	}
}

func TestSessionNamedTwiceIsKeptOnce(t *testing.T) {
	lower := strings.ToLower(guid)
	given := Job{Sessions: []Session{{ID: guid}, {ID: emc, UserID: 1}, {ID: guid, UserID: 2}, {ID: lower}, {ID: guid}, {ID: emc}, {ID: lower}}}
	data, err := given.Encode()
	if err != nil {
		t.Fatal(err)
	}
	before := cmp.Diff(nil, given.Sessions)
	if err := given.Validate(Rules{}); err != nil || cmp.Diff(nil, given.Sessions) != before {
		t.Errorf("Validate: %v, sessions now %v", err, given.Sessions)
	}
	got, err := Decode(data, "", Rules{})
	want := []Session{{ID: guid, UserID: 2}, {ID: emc, UserID: 1}, {ID: lower}}
	if diff := cmp.Diff(want, got.Sessions); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestNullMeansNotGiven(t *testing.T) {
	job, err := Decode([]byte(`{"id":null,"sessions":[{"id":"`+guid+`","userId":null}],"users":null,"notAfter":null,"labels":null,"reason":null}`), "", Rules{})
	if diff := cmp.Diff(Job{Sessions: []Session{{ID: guid}}}, job, cmpopts.EquateEmpty()); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func manySessions(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"sessions":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"EMC%08X-0C68-49A6-BEBB-404D96D7A4BF","userId":%d}`, i, i+1)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

func TestLimits(t *testing.T) {
	var document strings.Builder
	document.WriteString("<Api_LogoffUsersRequest>")
	for range MaxSessions + 1 {
		document.WriteString(`<sessions val="` + guid + `"/>`)
	}
	document.WriteString("</Api_LogoffUsersRequest>")
	users := strings.Repeat(`,{"id":1}`, MaxUsers)
	notes := strings.Repeat("n", MaxNotes-3)
	id := strings.Repeat("é", MaxIDLength)
	for name, c := range map[string]struct {
		message string
		want    string // "" if it is accepted
	}{
		"10,000 sessions": {string(manySessions(MaxSessions)), ""},
		"10,001 sessions": {string(manySessions(MaxSessions + 1)), "at /sessions: more than 10000 sessions; split the job"},
		"10,001 in XML":   {document.String(), "at line 1, byte 540025: more than 10000 sessions; split the job"},
		"1,000 users":     {`{"users":[` + users[1:] + `]}`, ""},
		"1,001 users":     {`{"users":[{"id":1}` + users + `]}`, "at /users: more than 1000 users; split the job"},
		"long user":       {`{"users":[{"name":"` + strings.Repeat("u", maxUserText+1) + `"}]}`, `at /users/0: "` + strings.Repeat("u", 64) + `"… is longer than 256 bytes`},
		"user's newline":  {`{"users":[{"name":"u\n"}]}`, `at /users/0: "u\n" contains control or invisible characters`},
		"full notes":      {`{"users":[{"id":1}],"reason":"` + notes + `","labels":{"l":"23"}}`, ""},
		"too many notes":  {`{"users":[{"id":1}],"reason":"` + notes + `","labels":{"l":"234"}}`, "reason, requestedBy and labels have 16385 bytes together; at most 16384 are accepted"},
		"long id":         {`{"id":"` + id + `","users":[{"id":1}]}`, ""},
		"torn character":  {`{"sessions":["x` + id + `"]}`, `at /sessions/0: "x` + strings.Repeat("é", 31) + `"… is no session ID; a GUID is accepted, with or without EMC before it`},
		"longer id":       {`{"id":"` + id + `é","users":[{"id":1}]}`, `at /id: the id "` + strings.Repeat("é", 32) + `"… has more than 64 characters`},
	} {
		_, err := Decode([]byte(c.message), "", Rules{})
		if fmt.Sprint(err) != c.want && (err != nil || c.want != "") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestJobMadeByAProgramIsHeldToTheSameRules(t *testing.T) {
	for want, job := range map[string]Job{
		"at /sessions: more than 10000 sessions; split the job":        {Sessions: make([]Session, MaxSessions+1)},
		"at /users: more than 1000 users; split the job":               {Users: slices.Repeat([]User{{ID: 1}}, MaxUsers+1)},
		`at /users/0: "\xff" contains control or invisible characters`: {Users: []User{{Name: "\xff"}}},
		`at /id: the id "\xff" is not valid UTF-8`:                     {ID: "\xff", Users: []User{{ID: 1}}},
		"reason, requestedBy or labels are not valid UTF-8":            {Users: []User{{ID: 1}}, Labels: map[string]string{"l": "\xff"}},
		"the job names no session and no user; at least one is needed": {ID: "j"},
		`at /sessions/0: the userId -1 is negative`:                    {Sessions: []Session{{ID: emc, UserID: -1}}},
	} {
		var invalid *InvalidError
		if err := job.Validate(Rules{}); !errors.As(err, &invalid) || err.Error() != want {
			t.Errorf("%v, not %s", err, want)
		}
	}
}

func TestTooManySessionsCostNoMemory(t *testing.T) {
	hostile := []byte(`{"sessions":[` + strings.Repeat(`"",`, 1<<20) + `""]}`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Decode(hostile, "", Rules{})
	runtime.ReadMemStats(&after)
	if err == nil {
		t.Error("accepted")
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 2<<20 {
		t.Errorf("%d bytes allocated", got)
	}
}

func TestJobWhoseResultCannotBeStoredIsInvalid(t *testing.T) {
	job := Job{ID: "large", Sessions: []Session{{ID: emc}}, Reason: strings.Repeat("\x01", 1000)}
	for limit, want := range map[int]string{
		0:      "",
		12_000: "",
		10_000: "too large: its result may need 10180 bytes of at most 10000; split it",
	} {
		err := job.Validate(Rules{MaxBytes: limit})
		if fmt.Sprint(err) != want && (err != nil || want != "") {
			t.Errorf("%d: %v", limit, err)
		}
	}
	if _, err := Decode(manySessions(MaxSessions), "", Rules{MaxBytes: 1_040_000}); err != nil {
		t.Errorf("the largest job does not fit under NATS' default limit: %v", err)
	}
}

func TestForeignTextCannotFloodAMessage(t *testing.T) {
	long := strings.Repeat("\u202e\x1b", 5000)
	for _, message := range []string{
		fmt.Sprintf(`{%q:1}`, long),
		`{"` + strings.Repeat("é", 5000) + `":1}`,
		`<` + strings.Repeat("é", 5000) + `/>`,
		`<?xml version="1.0" encoding="` + strings.Repeat("é", 5000) + `"?>`,
		strings.Repeat("x", 5000),
	} {
		_, err := Decode([]byte(message), "", Rules{})
		if err == nil || len(err.Error()) > maxPlace+maxReason+10 || !printable(err.Error()) {
			t.Errorf("%.40q: %q", message, err)
		}
	}
	_, err := Decode([]byte("{}"), long, Rules{})
	if err == nil || len(err.Error()) > maxReason || !printable(err.Error()) {
		t.Errorf("content type: %q", err)
	}
}

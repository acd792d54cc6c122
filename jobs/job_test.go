package jobs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
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
		got, err := Decode(sample(t, name), Rules{MaxBytes: 1 << 20})
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

func TestJobIsWrittenAsItIsRead(t *testing.T) {
	for _, name := range []string{"job.json", "job-minimal.json"} {
		want := sample(t, name)
		job, err := Decode(want, Rules{})
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
		job, err := Decode([]byte(document), Rules{})
		if err != nil || len(job.Sessions) != 2 || job.Sessions[0].ID != emc || job.Sessions[1].ID != guid {
			t.Errorf("%s: %v, %v", name, job, err)
		}
	}
}

// Every file in testdata/invalid has its message here, and what is known of its id.
func TestInvalidJobsSayWhereAndWhy(t *testing.T) {
	const (
		known      = "unknown member; members are id, sessions, users, reason, requestedBy, eventTime, notAfter, includeNewer, labels"
		noSession  = " is no session ID; a GUID is accepted, with or without EMC before it"
		aSession   = ` found; a session is a string, or an object {"id": …, "userId": …}`
		attributes = "at /sessions/0: the element sessions needs the attribute val and no other"
		nothing    = "the job names no session and no user; at least one is needed"
		noGUID     = `"EMCAE92D1DD-0C68-49A6-BEBB-404D96D7A4BF`
	)
	want := map[string]struct{ id, message string }{
		"all-wrong.json":              {"all-wrong", `at /sessions/0: "admin"` + noSession},
		"cdata.xml":                   {"", `at line 1, byte 25: text is not accepted: "<![CDATA[ ]]>"`},
		"comment.xml":                 {"", "at line 1, byte 25: comments are not accepted"},
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
		"hidden-encoding.xml":         {"", `at line 1, byte 1: the XML declaration is not accepted; <?xml version="1.0" encoding="utf-8"?> is`},
		"instruction.xml":             {"", "at line 1, byte 22: processing instructions are not accepted"},
		"invalid-utf8.json":           {"invalid-utf8", "at byte 35: invalid UTF-8"},
		"invalid-utf8.xml":            {"", "at line 1, byte 42: not XML: invalid UTF-8"},
		"late-declaration.xml":        {"", "at line 1, byte 25: the XML declaration is accepted at the beginning only"},
		"latin1.xml":                  {"", `at line 1, byte 44: the encoding "iso-8859-1" is not accepted; utf-8 is`},
		"lone-surrogate.json":         {"lone-surrogate", "at byte 34: not JSON: invalid surrogate pair `\\ud800\",\"ses` in string"},
		"namespaced-root.xml":         {"", `at line 1, byte 1: the root element is "urn:x:Api_LogoffUsersRequest"; Api_LogoffUsersRequest is accepted`},
		"root-attribute.xml":          {"", `at line 1, byte 1: the root element has the attribute "all"; none is accepted`},
		"nested.xml":                  {"", `at line 2, byte 59: the element "sessions" is not accepted; sessions within Api_LogoffUsersRequest is`},
		"no-attribute.xml":            {"", attributes},
		"no-email.json":               {"", `at /users/0: "jane" is no e-mail address`},
		"no-root.xml":                 {"", "at line 2, byte 1: the element Api_LogoffUsersRequest is missing"},
		"no-sessions.xml":             {"", nothing},
		"not-a-guid.json":             {"", `at /sessions/0: "admin"` + noSession},
		"not-an-object.json":          {"", "a list found, an object expected"},
		"not-json.json":               {"", "at byte 1: not JSON: invalid character 'l' at start of value"},
		"nothing-named.json":          {"nothing-named", nothing},
		"nul-in-id.xml":               {"", "at line 2, byte 60: not XML: illegal character code U+0000"},
		"null-user.json":              {"", "at /users/0: null found; a user is an object with one of id, name and email"},
		"number-session.json":         {"", "at /sessions/0: a number" + aSession},
		"other-attribute.xml":         {"", attributes},
		"other-element.xml":           {"", `at line 1, byte 25: the element "session" is not accepted; sessions within Api_LogoffUsersRequest is`},
		"second-root.xml":             {"", `at line 1, byte 107: a second root element "Api_LogoffUsersRequest"`},
		"text.xml":                    {"", `at line 2, byte 59: text is not accepted: ","`},
		"trailing-bytes.json":         {"trailing", "at byte 74: not JSON: invalid character '{' after top-level value"},
		"trailing-text.xml":           {"", `at line 1, byte 107: text is not accepted: "}"`},
		"two-ids.json":                {"", "at /id: the member is there twice"},
		"unknown-member.json":         {"unknown-member", "at /session: " + known},
		"unknown-session-member.json": {"", "at /sessions/0: the member user goes with a sessionId, as in a row of GET Session"},
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
		job, err := Decode(sample(t, "invalid/"+file.Name()), Rules{})
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

func TestSessionIDRule(t *testing.T) {
	long := strings.Repeat("a", 128)
	for id, want := range map[string]struct{ strict, loose bool }{
		emc:                                     {true, true},
		guid:                                    {true, true},
		strings.ToLower(guid):                   {true, true},
		"emc" + guid:                            {true, true},
		"EMCEMC" + guid:                         {false, true},
		guid[:35]:                               {false, true},
		guid + "0":                              {false, true},
		strings.Replace(guid, "-", "0", 1):      {false, true},
		"g" + guid[1:]:                          {false, true},
		"/" + guid[1:]:                          {false, true},
		":" + guid[1:]:                          {false, true},
		"@" + guid[1:]:                          {false, true},
		"`" + guid[1:]:                          {false, true},
		"G" + guid[1:]:                          {false, true},
		"{" + guid + "}":                        {true, true},
		"{" + guid:                              {false, true},
		guid + "}":                              {false, true},
		strings.Repeat(" ", 128) + guid:         {false, false},
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
		if _, err := (Rules{}).sessionID(id); (err == nil) != want.strict {
			t.Errorf("%q: %v", id, err)
		}
		if _, err := (Rules{LooseIDs: true}).sessionID(id); (err == nil) != want.loose {
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
	got, err := Decode(data, Rules{})
	want := []Session{{ID: guid, UserID: 2}, {ID: emc, UserID: 1}, {ID: lower}}
	if diff := cmp.Diff(want, got.Sessions); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestNullMeansNotGiven(t *testing.T) {
	job, err := Decode([]byte(`{"id":null,"sessions":[{"id":"`+guid+`","userId":null}],"users":null,"notAfter":null,"labels":null,"reason":null}`), Rules{})
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
		"user's newline":  {`{"users":[{"name":"u\nu"}]}`, `at /users/0: "u\nu" contains control or invisible characters`},
		"long id":         {`{"id":"` + id + `","users":[{"id":1}]}`, ""},
		"torn character":  {`{"sessions":["x` + id + `"]}`, `at /sessions/0: "x` + strings.Repeat("é", 31) + `"… is no session ID; a GUID is accepted, with or without EMC before it`},
	} {
		_, err := Decode([]byte(c.message), Rules{})
		if fmt.Sprint(err) != c.want && (err != nil || c.want != "") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTooManySessionsCostNoMemory(t *testing.T) {
	hostile := []byte(`{"sessions":[` + strings.Repeat(`"",`, 1<<20) + `""]}`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Decode(hostile, Rules{})
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
		err := job.checkSize(limit)
		if fmt.Sprint(err) != want && (err != nil || want != "") {
			t.Errorf("%d: %v", limit, err)
		}
	}
	if _, err := Decode(manySessions(MaxSessions), Rules{MaxBytes: 1_040_000}); err != nil {
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
		_, err := Decode([]byte(message), Rules{})
		if err == nil || len(err.Error()) > maxPlace+maxReason+10 || !printable(err.Error()) {
			t.Errorf("%.40q: %q", message, err)
		}
	}
}

// What is quoted for people is printable and short, and is told as it came where it can be.
func TestForeignTextIsShownAsItCame(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "",
		`a "quoted" \ text`:          `a "quoted" \ text`,
		"a\x00\"b\"":                 `a\x00"b"`,
		"\ufffd and \xff":            "\ufffd and \\xff",
		strings.Repeat("é", 51):      strings.Repeat("é", 48) + "…",
		strings.Repeat("\x80", 1000): strings.Repeat(`\x80`, 24) + `\…`,
	} {
		if got := escape(text, 100); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
	if got := quote(strings.Repeat("\x80", 1000)); len(got) > 8*maxQuoted {
		t.Errorf("%q", got)
	}
}

// The place of the first bad byte is told, also behind a character that stands for bad ones.
func TestFirstBadByteIsFound(t *testing.T) {
	for text, want := range map[string]int{"": -1, "é\ufffd": -1, "\xff": 0, "a\ufffdé\xffb\xff": 6} {
		if got := invalidUTF8([]byte(text)); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

// What only tells of schemas is passed over; whatever else an element says is not.
func TestXMLAttributesMeanOneThing(t *testing.T) {
	const schema = `xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"`
	for document, good := range map[string]bool{
		`<Api_LogoffUsersRequest ` + schema + ` xsi:schemaLocation="x"><sessions val="` + guid + `"/></Api_LogoffUsersRequest>`:    true,
		`<Api_LogoffUsersRequest ` + schema + ` xsi:nil="true"><sessions val="` + guid + `"/></Api_LogoffUsersRequest>`:            false,
		`<Api_LogoffUsersRequest ` + schema + `><sessions xsi:type="s" val="` + guid + `"/></Api_LogoffUsersRequest>`:              true,
		`<Api_LogoffUsersRequest><sessions id="` + guid + `"/></Api_LogoffUsersRequest>`:                                           false,
		`<Api_LogoffUsersRequest ` + schema + `><sessions xsi:nil="true" val="` + guid + `"/></Api_LogoffUsersRequest>`:            false,
		`<Api_LogoffUsersRequest xmlns:o="urn:other" o:schemaLocation="x"><sessions val="` + guid + `"/></Api_LogoffUsersRequest>`: false,
	} {
		job, err := Decode([]byte(document), Rules{})
		if (err == nil) != good || good && (len(job.Sessions) != 1 || job.Sessions[0].ID != guid) {
			t.Errorf("%s: %+v, %v", document, job.Sessions, err)
		}
	}
}

// A declaration stands at the beginning, once.
func TestXMLDeclarationStandsAtTheBeginning(t *testing.T) {
	const declared, root = `<?xml version="1.0"?>`, `<Api_LogoffUsersRequest><sessions val="` + guid + `"/></Api_LogoffUsersRequest>`
	for _, document := range []string{declared + declared + root, declared + root + declared, root + declared} {
		if _, err := Decode([]byte(document), Rules{}); err == nil || !strings.Contains(err.Error(), "at the beginning only") {
			t.Errorf("%s: %v", document, err)
		}
	}
	if _, err := Decode([]byte(declared+root), Rules{}); err != nil {
		t.Error(err)
	}
}

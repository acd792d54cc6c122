package signals

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"logoffworker/jobs"
)

func TestARecipeReadsAFixedBody(t *testing.T) {
	recipe := Recipe{
		Name: "tool", Each: "/events/*", When: map[string][]string{"/type": {"left", "lost"}, "/ok": {"true"}}, Users: "/who/*",
		UserWhen: map[string][]string{"/kind": {"user"}}, User: Template{Text: "email:{/mail}"}, Time: "/at", Newer: true,
	}
	for _, c := range []struct{ body, want string }{
		{`{"events":[{"type":"left","ok":true,"at":"2026-11-27T11:00:00Z","who":[{"kind":"user","mail":"a@own.example"},{"kind":"app","mail":"b@own.example"}]}]}`, "a@own.example"},
		{`{"events":[{"type":"LOST","ok":"true","who":[{"kind":"user","mail":"a@own.example"},{"kind":"user","mail":"a@own.example"}]}]}`, "a@own.example"},
		{`{"events":[{"type":"left","ok":true,"who":[{"kind":"user","mail":"a@own.example"},{"kind":"user","mail":"a"}]}]}`, `a@own.example wrong: a user maps to nobody: email:{/mail}: "a" is no e-mail address`},
		{`{"events":[{"type":"left","ok":true,"who":[]},{"type":"left","ok":true,"who":[{"kind":"user","mail":"a@own.example"}]}]}`, "a@own.example wrong: the event names no user by the recipe tool"},
		{`{"events":[{"type":"joined","ok":true,"who":[{"kind":"user","mail":"a@own.example"}]}]}`, "ignored: the event's /type is not left or lost"},
		{`{"events":[{"type":"left","ok":false}]}`, "ignored: the event's /ok is not true"},
		{`{"events":[{"type":"left","ok":true,"who":[{"kind":"app"}]}]}`, "invalid: the event names no user by the recipe tool"},
		{`{"events":[{"type":"left","ok":true,"who":[{"kind":"user"}]}]}`, "invalid: a user maps to nobody: email:{/mail}: /mail is missing"},
		{`{"events":[]}`, "ignored: nothing in the message is a revocation"},
		{`[]`, "invalid: the body cannot be followed to /events/*, where the recipe tool has its events"},
		{`{"events":{"type":"left","ok":true,"who":[{"kind":"user","mail":"a@own.example"}]}}`, "invalid: the body cannot be followed to /events/*, where the recipe tool has its events"},
		{`{"events":null}`, "invalid: the body cannot be followed to /events/*, where the recipe tool has its events"},
		{`{"Events":[]}`, "invalid: the body cannot be followed to /events/*, where the recipe tool has its events"},
		{`{"events":[{"kind":"left","ok":true,"who":[]}]}`, "invalid: the event has nothing at /type, by which the recipe tells whether it counts"},
		{`{"events":[{"type":null,"ok":true,"who":[]}]}`, "invalid: the event has nothing at /type, by which the recipe tells whether it counts"},
		{`{"events":["left"]}`, "invalid: the event has nothing at /ok, by which the recipe tells whether it counts"},
		{`{"events":[{"type":"joined"}]}`, "ignored: the event's /type is not left or lost"},
		{`{"events":[{"type":"left","ok":true,"who":{"kind":"user","mail":"a@own.example"}}]}`, "invalid: the event names no user by the recipe tool"},
		{`{"events":[{"ok":true},{"type":"left","ok":true,"who":[{"kind":"user","mail":"a@own.example"}]}]}`, "a@own.example"},
		{`{"events":[{"type":"left","ok":true,"who":[{"mail":"b@own.example"},{"kind":"user","mail":"a@own.example"}]}]}`, "a@own.example"},
		{`{"events":[{"type":"left","type":"x"}]}`, `invalid: the body: the member "/events/0/type" is there twice`},
		{`events`, "invalid: the body: not JSON at byte 1"},
		{``, "invalid: the body: the JSON ends too early"},
	} {
		r := Reader{Policy: &Policy{Recipes: []Recipe{recipe}}, Now: noon}
		a := r.Hook("tool", []byte(c.body))
		if got := named(a); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.body, got, c.want)
		}
		if a.Verdict == Job && (a.Signal.Issuer != "tool" || a.Job.RequestedBy != "tool" || a.Job.Labels["issuer"] != "tool" || a.Job.IncludeNewer == a.Job.EventTime.IsZero()) {
			t.Errorf("%s: %+v", c.body, a)
		}
	}
	expect(t, Reader{Now: noon}.Hook("tool", []byte("{}")), Invalid, "no recipe")
}

// A body that names more people than a job may is not read to its end, and one that names somebody again and again costs no
// more than its length.
func TestABodyOfManyPeopleIsBounded(t *testing.T) {
	const many = 20_000
	looked := 0
	count := func(subject string) (string, bool) {
		looked++
		return "name:" + strings.TrimPrefix(subject, "nobody"), !strings.HasPrefix(subject, "nobody")
	}
	r := Reader{Now: noon, Policy: &Policy{Recipes: []Recipe{{Name: "tool", Each: "/e/*", Users: "/p/*", User: Template{Text: "map:people{/n}", Map: count}}}}}
	list := func(entry func(i int) string) string {
		entries := make([]string, many)
		for i := range entries {
			entries[i] = entry(i)
		}
		return "[" + strings.Join(entries, ",") + "]"
	}
	other := func(i int) string { return fmt.Sprintf(`{"n":"p%d"}`, i) }
	nobody := func(i int) string { return fmt.Sprintf(`{"n":"nobody%d"}`, i) }
	same := func(int) string { return `{"n":"jane"}` }
	for name, test := range map[string]struct {
		body, want string
		most       int
	}{
		"others":                  {`{"e":[{"p":` + list(other) + `}]}`, "invalid: ", jobs.MaxUsers + 1},
		"others, an event each":   {`{"e":` + list(func(i int) string { return `{"p":[` + other(i) + `]}` }) + `}`, "invalid: ", jobs.MaxUsers + 1},
		"nobody":                  {`{"e":[{"p":` + list(nobody) + `}]}`, "invalid: ", many},
		"the same":                {`{"e":[{"p":` + list(same) + `}]}`, "jane", many},
		"the same, an event each": {`{"e":` + list(func(i int) string { return `{"p":[` + same(i) + `]}` }) + `}`, "jane", many},
	} {
		looked = 0
		a := r.Hook("tool", []byte(test.body))
		if !strings.HasPrefix(named(a), test.want) || looked > test.most || len(a.Steps) > maxSteps+1 {
			t.Errorf("%s: %.200s, with %d looked up and %d steps", name, named(a), looked, len(a.Steps))
		}
	}
}

// Whoever a body names is logged off, whatever else is in it: events of another kind are told in the reason, and people who
// cannot be named are entries as far as there is room beside those who can, the last for all others.
func TestWhatDoesNotFitTakesNobodysPlace(t *testing.T) {
	recipe := Recipe{Name: "tool", Each: "/events/*", When: map[string][]string{"/data/action": {"left"}}, Users: "/who/*", User: Template{Text: "email:{/mail}"}}
	r := Reader{Policy: &Policy{Recipes: []Recipe{recipe}}, Now: noon}
	const good = `{"data":{"action":"left"},"who":[{"mail":"a@own.example"}]}`
	read := func(events ...string) Answer {
		return r.Hook("tool", []byte(`{"events":[`+strings.Join(events, ",")+`]}`))
	}
	for _, n := range []int{1, 999, 1000, 1001} {
		noise := slices.Repeat([]string{`{"heartbeat":true}`}, n)
		for _, a := range []Answer{read(append(slices.Clone(noise), good)...), read(append([]string{good}, noise...)...)} {
			want := fmt.Sprintf("%d more in the message could not be followed, the first because the event has nothing at /data/action", n)
			if a.Verdict != Job || len(a.Job.Users) != 1 || !strings.Contains(a.Job.Reason, want) {
				t.Errorf("with %d others: %s %s, %d users, %q", n, a.Verdict, a.Why, len(a.Job.Users), a.Job.Reason)
			}
		}
		people := func(n int, mail string) (all []string) {
			for i := range n {
				all = append(all, fmt.Sprintf(`{"mail":"p%d%s"}`, i, mail))
			}
			return all
		}
		for _, known := range []int{1, 998, 999, 1000} {
			who := append(people(n, ""), people(known, "@own.example")...)
			a := read(`{"data":{"action":"left"},"who":[` + strings.Join(who, ",") + `]}`)
			entries := len(a.Job.Users) - known + len(a.Job.Sessions)
			if a.Verdict != Job || len(a.Job.Users) > jobs.MaxUsers || entries != min(n, max(1, jobs.MaxUsers-known)) {
				t.Errorf("%d beside %d who cannot be named: %s %s, %d users, %d sessions", known, n, a.Verdict, a.Why, len(a.Job.Users), len(a.Job.Sessions))
			}
		}
	}
}

// A body without a time may come again and be meant anew; one with a time that comes again is a repetition.
func TestAHooksIDIsMadeOfWhatIsUnique(t *testing.T) {
	read := func(time, body string) Answer {
		return Reader{Now: noon, Policy: &Policy{Recipes: []Recipe{{Name: "tool", User: Template{Text: "name:{/u}"}, Time: time}}}}.Hook("tool", []byte(body))
	}
	body := `{"u":"jane","at":1795780572}`
	if a := read("", body); a.Job.ID != "" || !a.Job.EventTime.IsZero() {
		t.Errorf("%+v", a.Job)
	}
	if a := read("/missing", body); a.Job.ID != "" || !a.Job.EventTime.IsZero() {
		t.Errorf("%+v", a.Job)
	}
	if a := read("/at", body); a.Job.ID == "" || a.Job.ID != read("/at", body).Job.ID || a.Job.ID == read("/at", `{"u":"jane","at":1795780573}`).Job.ID {
		t.Errorf("%+v", a.Job)
	}
	if a := read("/at", `{"u":"jane","at":"2030-01-01T00:00:00Z"}`); !a.Job.EventTime.Equal(noon) {
		t.Errorf("an event of the future is at %v", a.Job.EventTime)
	}
}

// Two recipes may read one type of CloudEvent, each what it is for.
func TestRecipesReadCloudEvents(t *testing.T) {
	when := func(text string) map[string][]string {
		return map[string][]string{"/data/what": {text}, "/data/x": {"y"}}
	}
	r := Reader{Now: noon, Policy: &Policy{Recipes: []Recipe{
		{Name: "one", CloudEvent: "t", When: when("left"), User: Template{Text: "name:{/data/u}"}},
		{Name: "two", CloudEvent: "t", When: when("lost"), User: Template{Text: "id:{/data/u}"}, Time: "/data/at", Newer: true},
	}}}
	for data, want := range map[string]string{
		`{"what":"left","x":"y","u":"jane"}`: "jane", `{"what":"lost","x":"y","u":42}`: "id", `{"what":"lost","x":"y","u":1.5}`: "invalid: a user maps to nobody: id:{/data/u}: /data/u is no text",
		`{"what":"lost","x":"y","u":1e16}`: "invalid: a user maps to nobody: id:{/data/u}: /data/u is no text", `{"what":"lost","x":"y","u":null}`: "invalid: a user maps to nobody: id:{/data/u}: /data/u is missing",
		`{"what":"lost","x":"y","u":-1e16}`: "invalid: a user maps to nobody: id:{/data/u}: /data/u is no text",
		`{"what":"found","x":"y","u":42}`:   "ignored: the event's /data/what is not lost", `{"x":"y","u":42}`: "invalid: the event has nothing at /data/what, by which the recipe tells whether it counts", `{"what":"left","x":"z"}`: "ignored: the event's /data/what is not lost", `"{"`: "invalid: at /data: the JSON ends too early",
	} {
		body := []byte(`{"specversion":"1.0","id":"1","source":"/s","type":"t","data":` + data + `}`)
		a := r.Message(nil, body)
		if got := named(a); got != want {
			t.Errorf("%s:\n got %s\nwant %s", data, got, want)
		}
		if a.Verdict == Job && (a.Signal.Event != "t" || a.Signal.ID != "1" || a.Job.Reason != "t") {
			t.Errorf("%s: %+v", data, a.Signal)
		}
		if two := r.Hook("two", body); a.Issuer == "two" && named(two) != want || two.Format != "cloudevent" {
			t.Errorf("%s posted: %s", data, named(two))
		}
	}
}

// Of two recipes for one type of CloudEvent the one that understands an event decides, and it is the one that is told of.
func TestARecipeThatUnderstandsAnEventDecides(t *testing.T) {
	one := Recipe{Name: "one", CloudEvent: "t", When: map[string][]string{"/data/what": {"left"}}, User: Template{Text: "name:{/data/u}"}}
	two := Recipe{Name: "two", CloudEvent: "t", When: map[string][]string{"/data/that": {"lost"}}, User: Template{Text: "name:{/data/u}"}}
	for data, want := range map[string]struct{ of, is string }{
		`{"that":"lost","u":"jane"}`:  {"two", "jane"},
		`{"what":"left","u":"jane"}`:  {"one", "jane"},
		`{"that":"found","u":"jane"}`: {"two", "ignored: the event's /data/that is not lost"},
		`{"what":"found","u":"jane"}`: {"one", "ignored: the event's /data/what is not left"},
	} {
		for _, recipes := range [][]Recipe{{one, two}, {two, one}} {
			r := Reader{Now: noon, Policy: &Policy{Recipes: recipes}}
			a := r.Message(nil, []byte(`{"specversion":"1.0","id":"1","source":"/s","type":"t","data":`+data+`}`))
			if named(a) != want.is || a.Issuer != want.of || a.Signal.Issuer != want.of {
				t.Errorf("%s: %s by %s", data, named(a), a.Issuer)
			}
		}
	}
}

// Where one of several events has no time, nothing is left on for having begun after another's.
func TestAnEventWithoutATimeSparesNothing(t *testing.T) {
	r := Reader{Now: noon, Policy: &Policy{Recipes: []Recipe{{Name: "tool", Each: "/*", User: Template{Text: "name:{/u}"}, Time: "/at", Newer: true}}}}
	a := r.Hook("tool", []byte(`[{"u":"jane","at":1795780572},{"u":"joe"}]`))
	if !a.Job.EventTime.IsZero() || named(a) != "jane joe" || a.Job.IncludeNewer {
		t.Errorf("%+v", a.Job)
	}
	if a = r.Hook("tool", []byte(`[{"u":"joe"},{"u":"jane","at":1795780572}]`)); !a.Job.EventTime.IsZero() {
		t.Errorf("%+v", a.Job)
	}
	a = r.Hook("tool", []byte(`[{"u":"jane","at":1795780572},{"u":"joe","at":1795780573}]`))
	if a.Job.EventTime.Unix() != 1795780573 || !a.Job.IncludeNewer {
		t.Errorf("%+v", a.Job)
	}
}

func TestPointersPointAsTheRFCSays(t *testing.T) {
	var document any // RFC 6901 §5
	if err := json.Unmarshal([]byte(`{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}`), &document); err != nil {
		t.Fatal(err)
	}
	for pointer, want := range map[string][]any{
		"": {document}, "/foo": {[]any{"bar", "baz"}}, "/foo/0": {"bar"}, "/": {0.0}, "/a~1b": {1.0}, "/c%d": {2.0}, "/e^f": {3.0}, "/g|h": {4.0}, `/i\j`: {5.0}, `/k"l`: {6.0}, "/ ": {7.0}, "/m~0n": {8.0},
		"/foo/*": {"bar", "baz"}, "/foo/2": nil, "/foo/-1": nil, "/foo/x": nil, "/foo/-": nil, "/foo/00": nil, "/foo/0/x": nil, "/*": nil, "/no": nil,
	} {
		if err := checkPointer(pointer); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, at(document, pointer)); diff != "" {
			t.Errorf("%s: %s", pointer, diff)
		}
	}
	for _, wrong := range []string{"foo", "/\x00", "/~", "/~2", "/a/*/b/*"} {
		if checkPointer(wrong) == nil {
			t.Errorf("%s is a pointer", wrong)
		}
	}
}

func TestShippedRecipesAreWhole(t *testing.T) {
	for _, r := range ShippedRecipes() {
		if r.Name == "graph" { // whose user is the operator's to say
			r.User.Text = "map:entra.csv{/data/resourceData/id}"
		}
		if err := r.Validate(); err != nil {
			t.Errorf("%s: %v", r.Name, err)
		}
	}
}

func TestAWrongRecipeIsTold(t *testing.T) {
	for _, r := range []Recipe{
		{User: Template{Text: "email:{mail}"}},
		{},
		{User: Template{Text: "email:{/a}"}, Each: "a"},
		{User: Template{Text: "email:{/a}"}, Time: "/*/*"},
		{User: Template{Text: "email:{/~}"}},
		{User: Template{Text: "email:{/a}"}, When: map[string][]string{"x": nil}},
		{User: Template{Text: "email:{/a}"}, UserWhen: map[string][]string{"x": nil}},
		{User: Template{Text: "email:{/a}"}, Users: "x"},
	} {
		if r.Validate() == nil {
			t.Errorf("%+v is right", r)
		}
	}
}

func TestTemplatesAreRead(t *testing.T) {
	opened := ""
	open := func(file string) (Map, error) { opened = file; return mapped, nil }
	for text, want := range map[string]string{
		"email:{email}": "", `name:CORP\{externalId}`: "", `name:CORP\{data.userName}`: "", "id:{/user/id}": "", "email:{/a b/~1}": "", "email:{localpart}@corp.example": "",
		"map:people.csv": "", "map:/etc/people.csv{sub}": "", "map:C:\\people.csv{/a/b}": "",
		"email:jane@corp.example": "no member in braces", "email:": "no member in braces", "email:{}": "no member in braces", "email:{a}}": "a brace that is not", "email:{a b}{c}": "a brace that is not",
		"map:": "is not map:FILE", "map:{a}": "is not map:FILE", "map:f{}": "is not map:FILE", "map:f{a}x": "is not map:FILE", "map:f{a}{b}": "is not map:FILE", "user:{a}": "a template begins with", "": "a template begins with",
	} {
		_, err := ParseTemplate(text, open)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := ParseTemplate("map:C:\\p.csv{sub}", open); err != nil || opened != "C:\\p.csv" {
		t.Error(opened, err)
	}
}

// What a foreign value says never makes another user than the template is for.
func TestAValueStaysWithinItsTemplate(t *testing.T) {
	for _, c := range []struct{ template, value, want string }{
		{`name:CORP\{v}`, "jane", `CORP\jane`},
		{`name:CORP\{v}`, "Jane Doe", `CORP\Jane Doe`},
		{`name:CORP\{v}`, `x\admin`, ""},
		{`name:CORP\{v}`, `\admin`, ""},
		{`name:CORP\{v}`, "x/admin", ""},
		{`name:CORP\{v}`, "jane@x", ""},
		{`name:CORP\{v}`, "jane ", ""},
		{`name:CORP\{v}`, "", ""},
		{`name:CORP\{v}`, "ja\x00ne", ""},
		{`name:CORP\{v}`, "ja\u202ene", ""},
		{"name:{v}", "jane", "jane"},
		{"name:{v}", `CORP\jane`, `CORP\jane`},
		{"name:{v}", `A\B\jane`, ""},
		{"name:{v}", `\jane`, ""},
		{"name:{v}", `CORP\`, ""},
		{"name:{v}", "jane@x", ""},
		{"email:{v}", "jane@x", "jane@x"},
		{"email:{v}", "jane", ""},
		{"email:{v}", `a\b@x`, ""},
		{"email:{v}@corp.example", "jane", "jane@corp.example"},
		{"email:{v}@corp.example", "jane@x", ""},
		{"email:jane@{v}", "x@y", ""},
		{"email:jane@{v}", "x y", ""},
		{"email:{v}x@own.example", "jane@", ""},
		{"id:{v}", "9223372036854775808", ""},
		{"id:{v}", "0", ""},
		{"id:{v}", "-1", ""},
		{"id:{v}", "1e3", ""},
		{"name:{v}{v}", "ab", "abab"},
		{"name:{v}", "{v}", "{v}"},
	} {
		user, err := template(t, c.template).user(func(string) (string, error) { return c.value, nil })
		if got := user.Name + user.Email; (err == nil) != (c.want != "") || err == nil && got != c.want {
			t.Errorf("%s with %q: %q, %v", c.template, c.value, got, err)
		}
	}
	user, err := template(t, "id:{v}").user(func(string) (string, error) { return "42", nil })
	if err != nil || user.ID != 42 {
		t.Error(user, err)
	}
}

func TestTimesOfBodiesAreRead(t *testing.T) {
	want := time.Date(2026, 11, 27, 11, 59, 0, 0, time.UTC)
	for _, value := range []any{"2026-11-27T11:59:00Z", "2026-11-27T12:59:00.0000000+01:00", float64(want.Unix()), float64(want.UnixMilli()), "1795780740"} {
		if got, err := written(value); err != nil || !got.Equal(want) {
			t.Errorf("%v: %v %v", value, got, err)
		}
	}
	for _, value := range []any{"yesterday", "2026-11-27T11:59:00", "", nil, true, []any{}, "NaN", "Inf"} {
		if got, err := written(value); err == nil || !got.IsZero() {
			t.Errorf("%v: %v", value, got)
		}
	}
}

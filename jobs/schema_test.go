package jobs

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"logoffworker/jobs/evidence"
)

// A schema is as much of a JSON Schema as tells of members and values.
type schema struct {
	Properties map[string]jsontext.Value `json:"properties"`
	Required   []string                  `json:"required"`
	Enum       []string                  `json:"enum"`
	Defs       map[string]schema         `json:"$defs"`
}

func readSchema(t *testing.T, name string) (s schema) {
	t.Helper()
	data, err := os.ReadFile("schema/" + name + ".schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return s
}

// membersOf are those that a type has in JSON, and those of them that are always there.
func membersOf(of reflect.Type) (all, always []string) {
	for i := range of.NumField() {
		name, rest, tagged := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		if !tagged && name == "" || name == "-" {
			continue
		}
		all = append(all, name)
		if !strings.HasPrefix(rest, "omit") {
			always = append(always, name)
		}
	}
	return all, always
}

func sorted(names []string) string {
	names = slices.Clone(names)
	slices.Sort(names)
	return strings.Join(names, " ")
}

func keys(all map[string]jsontext.Value) (names []string) {
	for name := range all {
		names = append(names, name)
	}
	return names
}

// A schema has the members of the type that is written, and of those it requires what is always there.
func TestSchemasHaveTheMembersOfTheirTypes(t *testing.T) {
	result, letter := readSchema(t, "result"), readSchema(t, "dead-letter")
	for name, c := range map[string]struct {
		schema schema
		of     reflect.Type
	}{
		"result":  {result, reflect.TypeFor[Result]()},
		"session": {result.Defs["session"], reflect.TypeFor[SessionResult]()},
		"user":    {result.Defs["user"], reflect.TypeFor[UserResult]()},
		"step":    {result.Defs["step"], reflect.TypeFor[Step]()},
		"signal":  {result.Defs["signal"], reflect.TypeFor[Signal]()},
		"act":     {readSchema(t, "act"), reflect.TypeFor[Act]()},
		"digest":  {readSchema(t, "digest"), reflect.TypeFor[evidence.Digest]()},
		"job":     {readSchema(t, "job"), reflect.TypeFor[message]()},
		"left":    {letter.Defs["left"], reflect.TypeFor[Job]()},
	} {
		all, always := membersOf(c.of)
		switch name {
		case "job":
			always = nil // what is read may lack anything
		case "left":
			always = []string{"id"} // under which it is published again
		}
		if got := sorted(keys(c.schema.Properties)); got != sorted(all) {
			t.Errorf("the schema of %s has the members\n%s, the type\n%s", name, got, sorted(all))
		}
		if got := sorted(c.schema.Required); got != sorted(always) {
			t.Errorf("the schema of %s requires\n%s, and there is always\n%s", name, got, sorted(always))
		}
	}
}

// The schemas list the values that there are, in the order of the code.
func TestSchemasHaveTheValuesOfTheCode(t *testing.T) {
	left := slices.DeleteFunc(slices.Clone(Statuses), Status.Success)
	result, letter, act := readSchema(t, "result"), readSchema(t, "dead-letter"), readSchema(t, "act")
	enum := func(value jsontext.Value) []string {
		var s schema
		if err := json.Unmarshal(value, &s); err != nil {
			t.Fatal(err)
		}
		return s.Enum
	}
	for name, c := range map[string]struct {
		got  []string
		want string
	}{
		"status":        {result.Defs["status"].Enum, list(Statuses)},
		"outcome":       {result.Defs["outcome"].Enum, list(Outcomes)},
		"userOutcome":   {result.Defs["userOutcome"].Enum, list(UserOutcomes)},
		"lane":          {result.Defs["lane"].Enum, list(Lanes)},
		"Logoff-Reason": {enum(letter.Properties["Logoff-Reason"]), list(left)},
		"verb":          {enum(act.Properties["verb"]), list(Verbs)},
	} {
		if got := strings.Join(c.got, " "); got != c.want {
			t.Errorf("%s: the schema has %s, want %s", name, got, c.want)
		}
	}
}

// The schema of dead letters has the headers that are written, and requires those without which none is read.
func TestSchemaOfDeadLettersHasTheirHeaders(t *testing.T) {
	header := DeadLetter{
		Reason: Failed, JobID: "j", Error: "e", Subject: "s", Result: "r", Sequence: 1, Stored: stored, ContentType: "c", MessageID: "m",
		Trace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Signal: &Signal{Issuer: "i"},
	}.Header()
	var all, always []string
	for name, value := range header {
		all = append(all, name)
		delete(header, name)
		if _, err := DecodeDeadLetter(header, nil); err != nil {
			always = append(always, name)
		}
		header[name] = value
	}
	letter := readSchema(t, "dead-letter")
	if got := sorted(keys(letter.Properties)); got != sorted(all) || len(all) != reflect.TypeFor[DeadLetter]().NumField()-1 {
		t.Errorf("the schema has the headers\n%s, the code\n%s", got, sorted(all))
	}
	if got := sorted(letter.Required); got != sorted(always) {
		t.Errorf("the schema requires\n%s, the decoder\n%s", got, sorted(always))
	}
}

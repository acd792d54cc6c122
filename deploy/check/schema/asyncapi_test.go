package schema

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"logoffworker/jobs"
)

// A document is as much of an AsyncAPI document as these tests ask for.
type document struct {
	Channels map[string]struct {
		Address    string               `yaml:"address"`
		Parameters map[string]parameter `yaml:"parameters"`
	} `yaml:"channels"`
	Components struct {
		Parameters map[string]parameter `yaml:"parameters"`
		Messages   map[string]struct {
			ContentType string `yaml:"contentType"`
			Examples    []struct {
				Name    string            `yaml:"name"`
				Headers map[string]string `yaml:"headers"`
				Payload any               `yaml:"payload"`
			} `yaml:"examples"`
		} `yaml:"messages"`
	} `yaml:"components"`
}

type parameter struct {
	Ref  string   `yaml:"$ref"`
	Enum []string `yaml:"enum"`
}

func readDocument(t *testing.T) (d document) {
	t.Helper()
	if err := yaml.Unmarshal(read(t, "asyncapi.yaml"), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// part compiles a schema within the AsyncAPI document.
func part(t *testing.T, pointer string) *jsonschema.Schema {
	t.Helper()
	var whole any
	if err := yaml.Unmarshal(read(t, "asyncapi.yaml"), &whole); err != nil {
		t.Fatal(err)
	}
	place, err := filepath.Abs(filepath.Join(contract, "asyncapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("file://"+place, asJSON(t, whole)); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("file://" + place + "#" + pointer)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// asJSON is a value as a JSON text would have it.
func asJSON(t *testing.T, value any) any {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	value, err = jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// The channels are the subjects of the code.
func TestChannelsAreTheSubjects(t *testing.T) {
	s := jobs.Subjects{Prefix: "{prefix}"}
	want := map[string]string{
		"requests":            s.Requests()[0],
		"requestsOfLane":      s.Request("{lane}", ""),
		"requestsOfPublisher": s.Request("{lane}", "{publisher}"),
		"approved":            s.Approved("{lane}", "{approver}"),
		"results":             s.Result("{jobId}", "{key}"),
		"deadLetters":         s.Dead("{status}"),
		"acts":                s.Act("{verb}", "{who}"),
		"laneActs":            s.LaneAct("{lane}", "{who}"),
		"digests":             s.Digests(),
		"receiver":            "/v1/jobs",
	}
	got := map[string]string{}
	for name, channel := range readDocument(t).Channels {
		got[name] = channel.Address
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	named := jobs.Subjects{Prefix: "logoff"}
	for _, stream := range []string{named.RequestStream(), named.ResultStream(), named.DeadStream(), named.AuditStream()} {
		if !strings.Contains(string(read(t, "asyncapi.yaml")), stream) {
			t.Errorf("the stream %s is not named", stream)
		}
	}
}

func TestParametersHaveTheValuesOfTheCode(t *testing.T) {
	d := readDocument(t)
	left := slices.DeleteFunc(slices.Clone(jobs.Statuses), jobs.Status.Success)
	for name, c := range map[string]struct{ got, want string }{
		"lane":   {fmt.Sprint(d.Components.Parameters["lane"].Enum), fmt.Sprint(jobs.Lanes)},
		"verb":   {fmt.Sprint(d.Channels["acts"].Parameters["verb"].Enum), fmt.Sprint(jobs.Verbs)},
		"status": {fmt.Sprint(d.Channels["deadLetters"].Parameters["status"].Enum), fmt.Sprint(left)},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", name, c.got, c.want)
		}
	}
}

// Each format has its message. A webhook's body is its sender's, which no document of ours describes.
func TestEachFormatHasItsMessage(t *testing.T) {
	messages := readDocument(t).Components.Messages
	for _, format := range jobs.Formats {
		if message := messages["job-"+string(format)]; format != jobs.Webhook && (message.ContentType == "" || len(message.Examples) == 0) {
			t.Errorf("%s has no message with a content type and an example", format)
		}
	}
	if !strings.Contains(string(read(t, "asyncapi.yaml")), "\n            "+jobs.SignalHeader+":\n") {
		t.Errorf("no message has the header %s", jobs.SignalHeader)
	}
}

// Each message has schemas that compile, and its examples fit them. One that has the name of a sample is that sample.
func TestExamplesFitTheirMessages(t *testing.T) {
	samples := map[string]bool{}
	for name, message := range readDocument(t).Components.Messages {
		payload := part(t, "/components/messages/"+name+"/payload")
		for _, example := range message.Examples {
			if err := payload.Validate(asJSON(t, example.Payload)); err != nil {
				t.Errorf("%s, %s: %v", name, example.Name, err)
			}
			if len(example.Headers) > 0 {
				if err := part(t, "/components/messages/"+name+"/headers").Validate(asJSON(t, example.Headers)); err != nil {
					t.Errorf("%s, the headers of %s: %v", name, example.Name, err)
				}
				if told := example.Headers["Content-Type"]; told != message.ContentType && strings.HasPrefix(name, "job-") {
					t.Errorf("%s: the example %s has another content type", name, example.Name)
				}
			}
			if strings.Contains(example.Name, ".") {
				samples[example.Name] = true
				if diff := cmp.Diff(sample(t, example.Name), asJSON(t, example.Payload)); diff != "" {
					t.Errorf("%s is not the sample %s:\n%s", name, example.Name, diff)
				}
			}
		}
	}
	if len(samples) < 6 {
		t.Errorf("only %v are shown", slices.Sorted(maps.Keys(samples)))
	}
}

// sample is a sample as an example has it: an object, or a text.
func sample(t *testing.T, name string) any {
	t.Helper()
	data := read(t, "testdata/"+name)
	if filepath.Ext(name) != ".json" {
		return string(data)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// TestValidatorTakesTheDocument asks AsyncAPI's own parser, which LOGOFF_TEST_ASYNCAPI says where to find (make
// schema-check).
func TestValidatorTakesTheDocument(t *testing.T) {
	installed := os.Getenv("LOGOFF_TEST_ASYNCAPI")
	if installed == "" {
		t.Skip("@asyncapi/parser is not installed: make schema-check installs it")
	}
	validate := func(file string) (string, error) {
		said, err := exec.CommandContext(t.Context(), "node", "validate.mjs", installed, file).CombinedOutput()
		return string(said), err
	}
	if said, err := validate(filepath.Join(contract, "asyncapi.yaml")); err != nil || said != "" {
		t.Errorf("%v:\n%s", err, said)
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "schema"), os.DirFS(filepath.Join(contract, "schema"))); err != nil {
		t.Fatal(err)
	}
	for old, broken := range map[string]string{
		"action: receive":            "action: read",
		"'#/channels/results'":       "'#/channels/result'",
		"schema/job.schema.json":     "schema/jobs.schema.json",
		"{prefix}.dead.{status}":     "{prefix}.dead.{state}",
		"defaultContentType":         "defaultType",
		"      contentType: text/pl": "      contenttype: text/pl",
	} {
		file := filepath.Join(dir, "asyncapi.yaml")
		if err := os.WriteFile(file, bytes.Replace(read(t, "asyncapi.yaml"), []byte(old), []byte(broken), 1), 0o600); err != nil {
			t.Fatal(err)
		}
		if said, err := validate(file); err == nil {
			t.Errorf("with %s nothing is wrong: %s", broken, said)
		}
	}
}

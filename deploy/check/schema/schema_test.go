package schema

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nkeys"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"logoffworker/jobs"
	"logoffworker/jobs/evidence"
)

// contract is where the schemas, the document and the samples are.
const contract = "../../../jobs"

// compile compiles a schema by its place below [contract].
func compile(t testing.TB, place string) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	schema, err := compiler.Compile(filepath.Join(contract, "schema", place))
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(contract, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// validate says what of a JSON text does not fit a schema.
func validate(schema *jsonschema.Schema, data []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

func TestSamplesFitTheirSchemas(t *testing.T) {
	for schema, pattern := range map[string]string{
		"job.schema.json": "job*.json", "result.schema.json": "result-*.json",
	} {
		compiled := compile(t, schema)
		files, err := filepath.Glob(filepath.Join(contract, "testdata", pattern))
		if err != nil || len(files) < 3 {
			t.Fatalf("%d samples: %v", len(files), err)
		}
		for _, file := range files {
			name := filepath.Base(file)
			if name == "job-cloudevent.json" || name == "job-set.json" {
				continue // in which jobs are; the AsyncAPI document says what they are
			}
			if err := validate(compiled, read(t, "testdata/"+name)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestBrokenResultsDoNotFit(t *testing.T) {
	compiled, sample := compile(t, "result.schema.json"), string(read(t, "testdata/result-partial.json"))
	for old, new := range map[string]string{
		`"version": 1,`:                 ``,
		`"version": 1`:                  `"version": 0`,
		`"jobId": "88`:                  `"jobId": "a.b`,
		`"partial"`:                     `""`,
		`"bulk"`:                        `"slow"`,
		`"outcome": "rejected"`:         `"outcome": "Rejected!"`,
		`"outcome": "accepted", `:       ``,
		`"counts": {"accepted": 1, `:    `"counts": {"accepted": "1", `,
		`"2026-11-23T10:00:01.25Z"`:     `"2026-11-23 10:00"`,
		`"timeToLogoffMs": 8500`:        `"timeToLogoffMs": 8.5`,
		`"deliveries": 2`:               `"deliveries": 2, "trimmed": false`,
		`"usersLeft": 1`:                `"usersLeft": 1, "steps": [{"what": "sent"}]`,
		`"lane": "bulk",`:               `"lane": "bulk", "signal": {},`,
		`"worker": "worker-1",`:         `"worker": "worker-1", "traceparent": "00-1-2-3",`,
		`{"id": "EMCAE92D1DD`:           `"x", {"id": "EMCAE92D1DD`,
		`"requestedAt": "2026-11-23T10`: `"requestedAt": "2026-13-23T10`,
	} {
		if !strings.Contains(sample, old) {
			t.Fatalf("the sample does not have %s", old)
		}
		if validate(compiled, []byte(strings.Replace(sample, old, new, 1))) == nil {
			t.Errorf("with %s in place of %s it fits", new, old)
		}
	}
	later := strings.Replace(strings.Replace(sample, `"partial"`, `"paused"`, 1), `"version": 1`, `"version": 1, "new": [1]`, 1)
	if err := validate(compiled, []byte(later)); err != nil {
		t.Errorf("a later version's does not fit: %v", err)
	}
}

func TestActsAndDigestsFit(t *testing.T) {
	at := time.Date(2026, 11, 23, 10, 0, 0, 5, time.UTC)
	for _, act := range []jobs.Act{
		{Verb: jobs.ActPause, Who: "jane", Why: "INC-1", At: at, Lane: jobs.Bulk, Until: at}, {Verb: jobs.ActReplay, Who: "jane", At: at, Jobs: []string{"1-2"}},
	} {
		data, err := act.Encode()
		if err == nil {
			err = validate(compile(t, "act.schema.json"), data)
		}
		if err != nil {
			t.Errorf("%s: %v", data, err)
		}
	}
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	for _, digest := range []evidence.Digest{
		{Number: 1, At: at, Latest: at, Made: at, Worker: "w"}, {Number: 2, At: at, Latest: at, Made: at, Since: at, Previous: evidence.HashOf(nil), Worker: "w"},
	} {
		results := evidence.NewRange(1)
		results.Add(evidence.Record{Sequence: 1, Subject: "logoff.results.j.1-2", Payload: []byte("{}")})
		results.Into(&digest)
		data, err := digest.Sign(key)
		if err == nil {
			err = validate(compile(t, "digest.schema.json"), data)
		}
		if err != nil {
			t.Errorf("%s: %v", data, err)
		}
	}
}

// whole tells whether a message is worked as a whole, and without a remark.
func whole(message []byte) bool {
	job, err := jobs.Decode(message, jobs.Rules{MaxBytes: 1 << 20})
	if err != nil || len(job.Remarks) > 0 {
		return false
	}
	for _, s := range job.Sessions {
		if s.Wrong() != "" {
			return false
		}
	}
	for _, u := range job.Users {
		if u.Wrong() != "" {
			return false
		}
	}
	return true
}

// sayable tells whether it is for a schema to say what a message is: it is JSON, in which no member is there twice.
func sayable(message []byte) bool {
	return jsontext.Value(message).IsValid()
}

// contradicts tells whether a session is named twice in a job, maybe with two owners, which no schema can tell.
func contradicts(message []byte) bool {
	ids := regexp.MustCompile(`[0-9A-Fa-f]{8}-[0-9A-Fa-f-]{27}`).FindAllString(strings.ToUpper(string(message)), -1)
	seen := map[string]bool{}
	for _, id := range ids {
		if seen[id] {
			return true
		}
		seen[id] = true
	}
	return strings.Contains(string(message), `"user"`) && strings.Count(string(message), `"userId"`) > 1
}

// What README.md says is worked as it is meant fits, and nothing else of its tables does.
func TestReadmeAndSchemaAgree(t *testing.T) {
	compiled := compile(t, "job.schema.json")
	rows := regexp.MustCompile("(?m)^\\| `([^`]+)` \\|.*\\| [^|]* \\|$").FindAllStringSubmatch(string(read(t, "README.md")), -1)
	tested, fitting := 0, 0
	for _, row := range rows {
		const guid = "CF1C660B-396F-44B7-86DA-5608CEC97453"
		message := []byte(strings.NewReplacer("<GUID>", guid).Replace(row[1]))
		if !sayable(message) || contradicts(message) && !whole(message) {
			continue
		}
		tested++
		err := validate(compiled, message)
		if err == nil {
			fitting++
		}
		if whole(message) != (err == nil) {
			t.Errorf("%s: worked as a whole: %t, but %v", row[1], err != nil, err)
		}
	}
	if tested < 30 || fitting < 20 {
		t.Errorf("%d rows are tested, %d of which fit", tested, fitting)
	}
}

// What the decoder refuses as a whole does not fit.
func TestInvalidJobsDoNotFit(t *testing.T) {
	compiled := compile(t, "job.schema.json")
	files, err := filepath.Glob(filepath.Join(contract, "testdata", "invalid", "*.json"))
	if err != nil || len(files) < 15 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	tested := 0
	for _, file := range files {
		message := read(t, "testdata/invalid/"+filepath.Base(file))
		if !sayable(message) {
			continue
		}
		tested++
		if validate(compiled, message) == nil {
			t.Errorf("%s fits", file)
		}
	}
	if tested < 10 {
		t.Errorf("%d are tested", tested)
	}
}

// FuzzWhatFitsIsWorked holds the promise of the schema: a job that fits is worked as a whole, and without a remark.
func FuzzWhatFitsIsWorked(f *testing.F) {
	compiled := compile(f, "job.schema.json")
	for _, seed := range []string{
		`{"id":4711,"sessions":"%","eventTime":"2026-11-23T11:00+01"}`,
		`{"sessions":{"sessionId":"{emc%}","user":{"userId":"7"},"x":1},"includeNewer":"TRUE"}`,
		`{"users":["a@b",7,{"id":"7"},{"name":"CORP\\jane"},{"email":"\u00a0a@b "},{"userId":1,"userName":2}],"notAfter":1795428000}`,
		`{"users":"jané","notAfter":"Mon, 23 Nov 2026 10:00:00 GMT","eventTime":"/Date(1795428000250)/","labels":{"a":[1]},"reason":7}`,
		`{"sessions":[],"users":[{"id":1}],"eventTime":"20261123T100000.5Z UTC","notAfter":""}`,
	} {
		f.Add([]byte(strings.ReplaceAll(seed, "%", "CF1C660B-396F-44B7-86DA-5608CEC97453")))
	}
	for _, name := range []string{"job.json", "job-minimal.json", "job-users.json"} {
		f.Add(read(f, "testdata/"+name))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		if !sayable(message) || validate(compiled, message) != nil || whole(message) || contradicts(message) || len(message) > 8<<10 {
			return
		}
		var members map[string]jsontext.Value
		if err := json.Unmarshal(message, &members); err != nil {
			t.Fatal(err)
		}
		_, err := jobs.Decode(message, jobs.Rules{})
		job, _ := jobs.Decode(message, jobs.Rules{})
		t.Fatalf("%s fits: %v, %+v", message, err, job)
	})
}

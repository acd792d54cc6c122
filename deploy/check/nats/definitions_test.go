package nats_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
	"logoffworker/worker/stream"
)

var update = flag.Bool("update", false, "write the definitions of streams and consumers anew")

// shippedStreams are those that have a definition, that of counters, which no tool but the nats command can make, last.
var shippedStreams = []string{subjects.RequestStream(), subjects.ResultStream(), subjects.DeadStream(), subjects.AuditStream(), subjects.CountStream()}

// definitions are those that a worker makes on a server of its own, and as that server keeps them: nothing is left to
// the defaults of a tool.
func definitions(t *testing.T) (streams []jetstream.StreamConfig, consumers []jetstream.ConsumerConfig) {
	t.Helper()
	js := jetStream(t, connect(t, start(t, &server.Options{JetStream: true})))
	config := stream.DefaultConfig()
	config.Counts = true
	if err := config.ProvisionStreams(t.Context(), js); err != nil {
		t.Fatal(err)
	}
	for _, name := range shippedStreams {
		made, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		config := made.CachedInfo().Config
		config.Metadata = nil // the server's notes of its own version
		streams = append(streams, config)
	}
	for _, lane := range jobs.Lanes {
		made, err := js.Consumer(t.Context(), subjects.RequestStream(), string(lane))
		if err != nil {
			t.Fatal(err)
		}
		config := made.CachedInfo().Config
		config.Metadata, config.Name = nil, "" // its durable name says the same
		consumers = append(consumers, config)
	}
	return streams, consumers
}

// A field is what one setting of JetStream's own JSON is called elsewhere. Empty is that it has no name there: its
// value must then be the one that the other tool leaves, which is never said.
type field struct {
	json, terraform, nack string
	left                  string // the JSON of that value
}

var streamFields = []field{
	{json: "name", terraform: "name", nack: "name"},
	{json: "description", terraform: "description", nack: "description"},
	{json: "subjects", terraform: "subjects", nack: "subjects"},
	{json: "retention", terraform: "retention", nack: "retention"},
	{json: "discard", terraform: "discard", nack: "discard"},
	{json: "storage", terraform: "storage", nack: "storage"},
	{json: "num_replicas", terraform: "replicas", nack: "replicas"},
	{json: "max_bytes", terraform: "max_bytes", nack: "maxBytes"},
	{json: "max_age", terraform: "max_age", nack: "maxAge"},
	{json: "max_msg_size", terraform: "max_msg_size", nack: "maxMsgSize"},
	{json: "max_msgs", terraform: "max_msgs", nack: "maxMsgs"},
	{json: "max_msgs_per_subject", terraform: "max_msgs_per_subject", nack: "maxMsgsPerSubject", left: "-1"},
	{json: "discard_new_per_subject", terraform: "discard_new_per_subject", nack: "discardPerSubject"},
	{json: "max_consumers", terraform: "max_consumers", nack: "maxConsumers"},
	{json: "duplicate_window", terraform: "duplicate_window", nack: "duplicateWindow"},
	{json: "allow_direct", terraform: "allow_direct", nack: "allowDirect"},
	{json: "deny_delete", terraform: "deny_delete", nack: "denyDelete"},
	{json: "deny_purge", terraform: "deny_purge", nack: "denyPurge"},
	{json: "allow_rollup_hdrs", left: "false"},
	{json: "mirror_direct", left: "false"},
	{json: "compression", left: `"none"`},
	{json: "consumer_limits", left: "{}"},
}

var consumerFields = []field{
	{json: "durable_name", terraform: "durable_name", nack: "durableName"},
	{json: "description", terraform: "description", nack: "description"},
	{json: "filter_subjects", terraform: "filter_subjects", nack: "filterSubjects"},
	{json: "deliver_policy", terraform: "deliver_all", nack: "deliverPolicy"},
	{json: "ack_policy", terraform: "ack_policy", nack: "ackPolicy"},
	{json: "ack_wait", terraform: "ack_wait", nack: "ackWait"},
	{json: "max_deliver", terraform: "max_delivery", nack: "maxDeliver"},
	{json: "max_ack_pending", terraform: "max_ack_pending", nack: "maxAckPending"},
	{json: "max_waiting", terraform: "max_waiting", nack: "maxWaiting"},
	{json: "replay_policy", terraform: "replay_policy", nack: "replayPolicy"},
	{json: "num_replicas", left: "0"},
}

// durations are in nanoseconds in JSON, in seconds for Terraform, and in Go's notation for NACK.
var durations = []string{"max_age", "duplicate_window", "ack_wait"}

// indented is a definition for the nats command.
func indented(t *testing.T, definition any) string {
	t.Helper()
	text, err := json.MarshalIndent(definition, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

// each calls do for each setting of a definition, in the order of the fields, with its name in another tool.
func each(t *testing.T, definition any, fields []field, nameOf func(field) string, do func(name string, f field, value string)) {
	t.Helper()
	var all map[string]json.RawMessage
	if err := json.Unmarshal([]byte(indented(t, definition)), &all); err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		raw, found := all[f.json]
		delete(all, f.json)
		var value bytes.Buffer
		if found && json.Compact(&value, raw) != nil {
			t.Fatalf("%s is %s", f.json, raw)
		}
		switch name := nameOf(f); {
		case !found || value.String() == f.left: // every tool leaves it as it is
		case name != "":
			do(name, f, strings.ReplaceAll(value.String(), `","`, `", "`))
		default:
			t.Errorf("%s is %s, and a tool that cannot be told leaves it at %s", f.json, raw, f.left)
		}
	}
	for unknown := range all {
		t.Errorf("what %s is to the other tools is not known here", unknown)
	}
}

// inGo is a duration of a definition.
func inGo(t *testing.T, nanoseconds string) time.Duration {
	t.Helper()
	n, err := strconv.ParseInt(nanoseconds, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(n)
}

const generated = "# Made from the code of the worker by a test: make docs\n"

// forTerraform are the definitions in the words of the provider nats-io/jetstream.
func forTerraform(t *testing.T, streams []jetstream.StreamConfig, consumers []jetstream.ConsumerConfig) string {
	t.Helper()
	var out strings.Builder
	out.WriteString(generated + `
terraform {
  required_providers {
    jetstream = {
      source  = "nats-io/jetstream"
      version = ">= 0.4.0"
    }
  }
}
`)
	block := func(kind, name string, definition any, fields []field, first, last string) {
		var names, values []string
		each(t, definition, fields, func(f field) string { return f.terraform }, func(name string, f field, value string) {
			switch {
			case slices.Contains(durations, f.json):
				value = strconv.Itoa(int(inGo(t, value).Seconds()))
			case f.json == "deliver_policy" && value == `"all"`:
				value = "true"
			}
			names, values = append(names, name), append(values, value)
		})
		if first != "" {
			names, values = append([]string{"stream_id"}, names...), append([]string{first}, values...)
		}
		width := len(slices.MaxFunc(names, func(a, b string) int { return len(a) - len(b) }))
		fmt.Fprintf(&out, "\nresource %q %q {\n", kind, name)
		for i := range names {
			fmt.Fprintf(&out, "  %-*s = %s\n", width, names[i], values[i])
		}
		out.WriteString(last + "}\n")
	}
	for _, s := range streams {
		block("jetstream_stream", s.Name, s, streamFields, "", "\n  lifecycle {\n    prevent_destroy = true\n  }\n")
	}
	for _, c := range consumers {
		block("jetstream_consumer", c.Durable, c, consumerFields, "jetstream_stream."+subjects.RequestStream()+".id", "")
	}
	return out.String()
}

// forNACK are the definitions as resources of NACK, the controller of JetStream in Kubernetes.
func forNACK(t *testing.T, streams []jetstream.StreamConfig, consumers []jetstream.ConsumerConfig) string {
	t.Helper()
	var out strings.Builder
	out.WriteString(generated)
	document := func(kind, name, first string, definition any, fields []field) {
		fmt.Fprintf(&out, "---\napiVersion: jetstream.nats.io/v1beta2\nkind: %s\nmetadata:\n  name: %s\nspec:\n%s", kind, name, first)
		each(t, definition, fields, func(f field) string { return f.nack }, func(name string, f field, value string) {
			if slices.Contains(durations, f.json) {
				value = inGo(t, value).String() // 0s too: NACK makes a year of a maximum age that is not there
			}
			fmt.Fprintf(&out, "  %s: %s\n", name, value)
		})
	}
	const kept = "  preventDelete: true\n" // deleting the resource leaves what it describes
	for _, s := range streams {
		document("Stream", strings.ToLower(strings.ReplaceAll(s.Name, "_", "-")), kept, s, streamFields)
	}
	for _, c := range consumers {
		document("Consumer", subjects.Prefix+"-"+c.Durable, kept+"  streamName: "+subjects.RequestStream()+"\n", c, consumerFields)
	}
	return out.String()
}

// The shipped definitions are those of the code.
func TestDefinitionsAreThoseOfTheCode(t *testing.T) {
	streams, consumers := definitions(t)
	others := streams[:len(streams)-1]
	files := map[string]string{
		"logoff.tf": forTerraform(t, others, consumers),
		"nack.yaml": forNACK(t, others, consumers),
	}
	for _, s := range streams {
		files[s.Name+".json"] = indented(t, s)
	}
	for _, c := range consumers {
		files[c.Durable+".json"] = indented(t, c)
	}
	fed := streams[0]
	fed.Sources = []*jetstream.StreamSource{{
		Name:              "HR",
		SubjectTransforms: []jetstream.SubjectTransformConfig{{Source: "hr.leavers", Destination: subjects.Request(jobs.Bulk, "hr")}},
	}}
	files["../examples/sources.json"] = indented(t, fed)
	for name, want := range files {
		name = filepath.Join("jetstream", name)
		if *update {
			if err := os.WriteFile(filepath.Join(shipped, name), []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(read(t, name), want); diff != "" {
			t.Errorf("%s is not what the code makes; run `make docs`\n%s", name, diff)
		}
	}
	there, err := os.ReadDir(filepath.Join(shipped, "jetstream"))
	if err != nil || len(there) != len(files)-1 {
		t.Errorf("%d files are shipped, %d are made: %v", len(there), len(files), err)
	}
}

// What README.md gives for another prefix makes resources of NACK and streams of its own, which take the place of no other.
func TestAnotherPrefixTakesNothingsPlace(t *testing.T) {
	found := regexp.MustCompile("\\(`LOGOFF_PREFIX=acme.logoff`\\): `sed '([^']+)'`").FindStringSubmatch(read(t, "README.md"))
	if found == nil {
		t.Fatal("README.md gives no command for another prefix")
	}
	names := func(text string) (all []string) {
		for _, name := range regexp.MustCompile(`(?m)^  name: (.+)$`).FindAllStringSubmatch(text, -1) {
			all = append(all, name[1])
		}
		return all
	}
	file := filepath.Join(shipped, "jetstream", "nack.yaml")
	changed, err := exec.CommandContext(t.Context(), "sed", found[1], file).Output()
	before, after := names(read(t, "jetstream/nack.yaml")), names(string(changed))
	if err != nil || len(before) < 10 || len(after) != len(before) {
		t.Fatalf("%q becomes %q: %v", before, after, err)
	}
	for _, name := range after {
		if slices.Contains(before, name) {
			t.Errorf("%s is there for both prefixes", name)
		}
	}
}

// A worker that creates nothing accepts what the shipped JSON makes, as an admin of the shipped account makes it.
func TestDefinitionsAreAccepted(t *testing.T) {
	for _, prefix := range []string{"logoff", "acme.logoff"} {
		b := withPasswords(t)
		nc := connect(t, b.server, b.user("admin"))
		js := jetStream(t, nc)
		// As README.md says for another prefix.
		rename := strings.NewReplacer("LOGOFF_", strings.ToUpper(strings.ReplaceAll(prefix, ".", "_"))+"_", `"logoff.`, `"`+prefix+`.`)
		made := func(name string, config any) {
			t.Helper()
			if err := json.Unmarshal([]byte(rename.Replace(read(t, "jetstream/"+name))), config); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range shippedStreams {
			var config jetstream.StreamConfig
			made(name+".json", &config)
			if _, err := js.CreateStream(t.Context(), config); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		deployment := stream.Config{Subjects: jobs.Subjects{Prefix: prefix}, Provision: stream.ProvisionVerify, Counts: true}
		for _, lane := range jobs.Lanes {
			var config jetstream.ConsumerConfig
			made(string(lane)+".json", &config)
			if _, err := js.CreateConsumer(t.Context(), deployment.Subjects.RequestStream(), config); err != nil {
				t.Fatalf("%s: %v", lane, err)
			}
		}
		if err := deployment.ProvisionStreams(t.Context(), js); err != nil {
			t.Errorf("with the prefix %s: %v", prefix, err)
		}
	}
}

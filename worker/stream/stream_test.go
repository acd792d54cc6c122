package stream_test

import (
	"strings"
	"testing"

	"logoffworker/jobs"
	"logoffworker/worker/stream"
)

func TestConfigReportsEveryProblem(t *testing.T) {
	if err := stream.DefaultConfig().Validate(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
	err := stream.Config{Subjects: jobs.Subjects{Prefix: "a b"}, Provision: "maybe", MaxBytes: 1, API: "$JS..API"}.Validate()
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	for _, words := range []string{
		"Subjects: ", "Provision: must be create or verify", "Replicas: must be 1 to 5, not 0", "MaxBytes: must be 1048576 (1 MiB) or more, not 1", "API: must be tokens of a subject",
	} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("%q is not said in:\n%v", words, err)
		}
	}
	if strings.Contains(err.Error(), "maybe") || strings.Contains(err.Error(), "a b") || strings.Contains(err.Error(), "$JS") {
		t.Errorf("a text of a setting, which may be a secret in the wrong place, is said:\n%v", err)
	}
}

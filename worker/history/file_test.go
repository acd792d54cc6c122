package history

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRecordIsReadAsItWasWritten(t *testing.T) {
	dir := t.TempDir()
	h := good()
	if err := h.Write(dir); err != nil {
		t.Fatal(err)
	}
	read, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if difference := cmp.Diff(h, read); difference != "" {
		t.Error(difference)
	}
	err = filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if strings.Contains(string(data), canary) {
			t.Errorf("%s holds a canary", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestBrokenRecordIsNamed(t *testing.T) {
	for name, test := range map[string]struct {
		says   string
		breaks func(dir string) error
	}{
		"a line": {"acks.jsonl, line 2", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "acks.jsonl"), []byte("{}\n{\n"), 0o600)
		}},
		"a file":      {"dead.jsonl", func(dir string) error { return os.Remove(filepath.Join(dir, "dead.jsonl")) }},
		"the run":     {"run.json", func(dir string) error { return os.WriteFile(filepath.Join(dir, "run.json"), nil, 0o600) }},
		"the outputs": {"outputs", func(dir string) error { return os.RemoveAll(filepath.Join(dir, "outputs")) }},
		"an output":   {"outputs/log-logoff", func(dir string) error { return os.Remove(filepath.Join(dir, "outputs", "log-logoff")) }},
		"the list of outputs": {"run.json: the list of outputs is missing", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "run.json"), []byte("{}"), 0o600)
		}},
		"an output outside": {"no file name", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "run.json"), []byte(`{"outputs":["../acks.jsonl"]}`), 0o600)
		}},
		"a line cut short": {"acks.jsonl, line 1", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "acks.jsonl"), []byte(`{"deployment":"logoff"`), 0o600)
		}},
		"the canaries": {"canary web", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "run.json"), []byte(`{"canaries":{"web":"?"}}`), 0o600)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := good().Write(dir); err != nil {
				t.Fatal(err)
			}
			if err := test.breaks(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v, want %s", err, test.says)
			}
		})
	}
}

func TestOutputsStayWithinTheRecord(t *testing.T) {
	for _, name := range []string{"", ".", "..", "../x", "a/b", ".hidden", "a b", `a\b`} {
		h := good()
		h.Outputs[name] = nil
		if err := h.Write(t.TempDir()); err == nil {
			t.Errorf("the output %q was written", name)
		}
	}
}

// A directory may hold the outputs of an earlier record.
func TestRecordHoldsItsOwnOutputsAlone(t *testing.T) {
	dir := t.TempDir()
	earlier := good()
	earlier.Outputs["earlier"] = []byte("x")
	if err := earlier.Write(dir); err != nil {
		t.Fatal(err)
	}
	if err := good().Write(dir); err != nil {
		t.Fatal(err)
	}
	read, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if difference := cmp.Diff(good(), read); difference != "" {
		t.Error(difference)
	}
}

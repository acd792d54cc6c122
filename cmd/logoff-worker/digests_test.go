package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// What can sign no results is a mistake, of which nothing is shown; without a file nothing is signed, and nothing wrong.
// check says which it is.
func TestWhoSignsTheResultsIsSaid(t *testing.T) {
	seed, public := nkey(t)
	for name, test := range map[string]struct{ file, problem, checked string }{
		"none":          {"", "", "note  digests    results are not signed"},
		"a seed":        {written(t, "seed", seed+"\n"), "", "ok    digests    results are signed with " + public + ";"},
		"a public key":  {written(t, "public", public+"\n"), "LOGOFF_AUDIT_SEED_FILE: holds no NKey seed", "FAIL  digests    LOGOFF_AUDIT_SEED_FILE: holds no NKey seed"},
		"an empty file": {written(t, "empty", "\n"), "LOGOFF_AUDIT_SEED_FILE: the file is empty", "FAIL  digests    LOGOFF_AUDIT_SEED_FILE: the file is empty"},
		"no file":       {filepath.Join(t.TempDir(), "none"), "LOGOFF_AUDIT_SEED_FILE: the file cannot be read", "FAIL  digests    LOGOFF_AUDIT_SEED_FILE: the file cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			words := said(t, "LOGOFF_AUDIT_SEED_FILE="+test.file)
			if (words == "") != (test.problem == "") || !strings.Contains(words, test.problem) || strings.Count(words, "\n  LOGOFF_") > 1 {
				t.Errorf("it says %q, want %q", words, test.problem)
			}
			var s settings
			s.Audit.SeedFile = test.file
			var out strings.Builder
			r := report{w: &out}
			r.checkDigests(s)
			if !strings.HasPrefix(out.String(), test.checked) || strings.Count(out.String(), "\n") != 1 {
				t.Errorf("check says %q, want %q", out.String(), test.checked)
			}
			if shown := words + out.String(); strings.Contains(shown, seed) || test.problem != "" && strings.Contains(shown, public) {
				t.Errorf("it shows what the file holds: %s", shown)
			}
		})
	}
}

// Without a key no results are signed, and nothing is asked of NATS.
func TestNothingIsSignedWithoutAKey(t *testing.T) {
	stop, err := (&process{}).signResults(nil)
	if err != nil {
		t.Fatal(err)
	}
	stop()
}

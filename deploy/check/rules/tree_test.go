package rules

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Nothing that was built is kept in the source tree, and what `go build ./cmd/…` leaves at its top is ignored, so that
// it cannot be added by oversight.
func TestSourceTreeHoldsNoProgram(t *testing.T) {
	for _, file := range tracked(t) {
		text, err := os.ReadFile(filepath.Join(root, file))
		if os.IsNotExist(err) {
			continue // deleted, and not yet committed
		}
		if err != nil {
			t.Error(err)
			continue
		}
		if isProgram(text) {
			t.Errorf("%s is a program that was built (%d bytes): take it out with git rm, and name it in .gitignore", file, len(text))
		}
	}
	commands, err := os.ReadDir(filepath.Join(root, "cmd"))
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range commands {
		if err := exec.Command("git", "-C", root, "check-ignore", "--quiet", command.Name()).Run(); err != nil {
			t.Errorf(".gitignore does not name /%s, which go build ./cmd/%[1]s makes (%v)", command.Name(), err)
		}
	}
}

func TestProgramsAreKnown(t *testing.T) {
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(own)
	if err != nil {
		t.Fatal(err)
	}
	if !isProgram(text) {
		t.Errorf("%s is not taken for a program", own)
	}
	for _, other := range []string{"", "package main\n", "\x89PNG\r\n", "#!/bin/sh\n"} {
		if isProgram([]byte(other)) {
			t.Errorf("%q is taken for a program", other)
		}
	}
}

// tracked returns the files that git keeps, by their path from the root.
func tracked(t *testing.T) []string {
	t.Helper()
	if _, err := os.Stat(filepath.Join(root, ".git")); err != nil {
		t.Skipf("this is no checkout of git: %v", err)
	}
	list, err := exec.Command("git", "-C", root, "ls-files", "-z").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.FieldsFunc(string(list), func(r rune) bool { return r == 0 })
}

// isProgram reports whether a file begins as those do that a compiler or linker makes: ELF, Windows'
// PE, Mach-O, and archives of objects.
func isProgram(text []byte) bool {
	for _, magic := range []string{"\x7fELF", "MZ", "\xcf\xfa\xed\xfe", "\xca\xfe\xba\xbe", "!<arch>\n"} {
		if bytes.HasPrefix(text, []byte(magic)) {
			return true
		}
	}
	return false
}

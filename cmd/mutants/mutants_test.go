package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every mutant fits the source as it is, and compiles: else it would prove nothing.
func TestMutantsCompile(t *testing.T) {
	t.Chdir(filepath.Join("..", ".."))
	var folders []string
	for _, m := range mutants {
		folders = append(folders, "./"+filepath.Dir(m.file))
	}
	slices.Sort(folders)
	c, err := newChecker(t.Context(), slices.Compact(folders)...)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, m := range mutants {
		text, err := m.text()
		if err == nil {
			err = c.check(m.file, text)
		}
		if err != nil || names[m.name] {
			t.Errorf("%s (twice: %t): %v", m.name, names[m.name], err)
		}
		names[m.name] = true
	}
}

// The test that has to catch a mutant is there: one that is missing would pass, and catch nothing.
func TestTestsOfMutantsAreThere(t *testing.T) {
	t.Chdir(filepath.Join("..", ".."))
	for _, m := range mutants {
		if m.test == "" {
			continue
		}
		files, err := filepath.Glob(filepath.Join(m.folder(), "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(files, func(file string) bool {
			text, err := os.ReadFile(file)
			return err == nil && strings.Contains(string(text), "func "+m.test+"(t ")
		}) {
			t.Errorf("%s: %s has no %s", m.name, m.folder(), m.test)
		}
	}
}

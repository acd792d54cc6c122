//go:build !race

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every mutant fits the source as it is, and compiles: else it would prove nothing. That the compiler says so
// once is enough, so there is no such test under the race detector.
func TestMutantsCompile(t *testing.T) {
	t.Chdir(filepath.Join("..", ".."))
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			overlay, err := m.overlay(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			if text, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, m.folder()).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, text)
			}
		})
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

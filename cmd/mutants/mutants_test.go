//go:build !race

package main

import (
	"os/exec"
	"path/filepath"
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
			if text, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "./"+filepath.Dir(m.file)).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, text)
			}
		})
	}
}

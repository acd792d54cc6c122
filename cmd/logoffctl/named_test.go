package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// named is a command line of the tool as programs and documents name it.
var named = regexp.MustCompile("[`\"]logoffctl ([a-z][a-z ]*)")

// A command that a message, a runbook or a README has somebody run is one that there is.
func TestCommandsThatAreNamedExist(t *testing.T) {
	root := (&tool{}).root()
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd("")
	seen := 0
	check := func(path, text string) {
		for _, match := range named.FindAllStringSubmatch(text, -1) {
			words := strings.Fields(match[1])
			seen++
			if cmd, rest, err := root.Find(words); err != nil || cmd.HasSubCommands() && len(rest) > 0 {
				t.Errorf("%s names logoffctl %s, which there is not", path, match[1])
			}
		}
	}
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "testdata" || entry.Name() == "dist" || strings.HasPrefix(entry.Name(), ".") && len(entry.Name()) > 2):
			return fs.SkipDir
		case entry.IsDir(), strings.HasSuffix(path, "_test.go"):
			return nil
		}
		switch filepath.Ext(path) {
		case ".go", ".md", ".yaml":
			text, err := os.ReadFile(path)
			check(path, string(text))
			return err
		}
		return nil
	})
	if err != nil || seen < 20 {
		t.Errorf("%d commands were found, %v", seen, err)
	}
}

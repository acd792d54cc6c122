package main

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "put what the README shows into it anew")

// block is a fenced block of the README that shows a file, or what the program prints.
var block = regexp.MustCompile("(?s)<!-- ([^>]+) -->\n```(\\w*)\n(.*?)```")

// TestReadmeShowsWhatIs holds the README to the samples, the settings and the metrics. After a
// change, `make docs` mends it.
func TestReadmeShowsWhatIs(t *testing.T) {
	shown := 0
	for _, path := range []string{"../../README.md", "../../jobs/README.md"} {
		shown += readmeShows(t, path)
	}
	if shown < 5 {
		t.Errorf("the READMEs show %d files, want samples, settings and metrics", shown)
	}
}

// readmeShows holds one of them, and returns how many blocks it has.
func readmeShows(t *testing.T, path string) (shown int) {
	t.Helper()
	readme, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	mended := block.ReplaceAllStringFunc(string(readme), func(whole string) string {
		shown++
		parts := block.FindStringSubmatch(whole)
		content := content(t, parts[1])
		if parts[3] != content && !*update {
			t.Errorf("%s does not show %s as it is; run `make docs`", path, parts[1])
		}
		return "<!-- " + parts[1] + " -->\n```" + parts[2] + "\n" + content + "```"
	})
	if *update {
		if err := os.WriteFile(path, []byte(mended), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return shown
}

// content is what a block is to show.
func content(t *testing.T, what string) string {
	t.Helper()
	if what == "logoff-worker --help" {
		var out strings.Builder
		if err := usage(&out); err != nil {
			t.Fatal(err)
		}
		return trimLines(out.String())
	}
	data, err := os.ReadFile("../../" + what)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimRight(string(data), "\n") + "\n"
}

// trimLines drops blanks at the ends of lines.
func trimLines(s string) string {
	return regexp.MustCompile(`(?m) +$`).ReplaceAllString(s, "")
}

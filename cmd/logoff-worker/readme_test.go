package main

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"logoffworker/jobs"
)

var update = flag.Bool("update", false, "put what the README files show into them anew")

// root is the repository's.
const root = "../.."

// documents are the Markdown files of the repository.
func documents(t *testing.T) (all []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir // tools and history
		case !entry.IsDir() && strings.HasSuffix(path, ".md"):
			all = append(all, path)
		}
		return nil
	})
	if err != nil || len(all) < 10 {
		t.Fatalf("%d Markdown files: %v", len(all), err)
	}
	return all
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// block is a fenced block that shows a file, or what the program prints.
var block = regexp.MustCompile("(?s)<!-- ([^>]+) -->\n```(\\w*)\n(.*?)```")

// TestReadmeShowsWhatIs holds the documents to the samples, the settings and the metrics. After a
// change, `make docs` puts them right.
func TestReadmeShowsWhatIs(t *testing.T) {
	shown := map[string]bool{}
	for _, path := range documents(t) {
		showsWhatIs(t, path, shown)
	}
	for _, what := range []string{
		"logoff-worker --help", "metrics/testdata/metrics.txt", "metrics/testdata/token.txt", "metrics/testdata/canary.txt", "metrics/testdata/receiver.txt",
		"jobs/testdata/job.json", "jobs/testdata/job.xml", "jobs/testdata/result-partial.json",
	} {
		if !shown[what] {
			t.Errorf("no document shows %s", what)
		}
	}
}

// showsWhatIs holds one document to what it shows, and notes what that is. No two show the same.
func showsWhatIs(t *testing.T, path string, shown map[string]bool) {
	t.Helper()
	document := read(t, path)
	right := block.ReplaceAllStringFunc(document, func(whole string) string {
		parts := block.FindStringSubmatch(whole)
		if shown[parts[1]] {
			t.Errorf("%s shows %s, which another document shows", path, parts[1])
		}
		shown[parts[1]] = true
		content := content(t, parts[1])
		if parts[3] != content && !*update {
			t.Errorf("%s does not show %s as it is; run `make docs`", path, parts[1])
		}
		return "<!-- " + parts[1] + " -->\n```" + parts[2] + "\n" + content + "```"
	})
	if *update && right != document {
		if err := os.WriteFile(path, []byte(right), 0o644); err != nil {
			t.Fatal(err)
		}
	}
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
	return strings.TrimRight(read(t, filepath.Join(root, what)), "\n") + "\n"
}

// trimLines drops blanks at the ends of lines.
func trimLines(s string) string {
	return regexp.MustCompile(`(?m) +$`).ReplaceAllString(s, "")
}

// The first page stays one page.
func TestReadmeIsOnePage(t *testing.T) {
	if n := strings.Count(read(t, root+"/README.md"), "\n"); n > 120 {
		t.Errorf("README.md has %d lines, at most 120 are one page: say more beside the room that it is about", n)
	}
}

// Every module that go.mod requires itself has its reason in CONTRIBUTING.md, and no other has.
func TestEveryModuleHasItsReason(t *testing.T) {
	_, table, _ := strings.Cut(read(t, root+"/CONTRIBUTING.md"), "\n## Modules\n")
	var listed, required []string
	for _, cell := range regexp.MustCompile("(?m)^\\| (`[^|]+`) \\|").FindAllStringSubmatch(table, -1) {
		for module := range strings.SplitSeq(cell[1], ", ") {
			listed = append(listed, strings.Trim(module, "`"))
		}
	}
	for _, line := range regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(read(t, root+"/go.mod"), -1) {
		required = append(required, line[1])
	}
	slices.Sort(listed)
	slices.Sort(required)
	if len(required) == 0 || !slices.Equal(listed, required) {
		t.Errorf("CONTRIBUTING.md gives reasons for:\n%s\ngo.mod requires:\n%s", strings.Join(listed, "\n"), strings.Join(required, "\n"))
	}
}

// link is a link of Markdown, with what is in its parentheses.
var link = regexp.MustCompile(`\]\(([^()\s]+)\)`)

// Every link to another place in the repository leads somewhere, headings included.
func TestEveryLinkLeadsSomewhere(t *testing.T) {
	links := 0
	for _, path := range documents(t) {
		for _, found := range link.FindAllStringSubmatch(withoutCode(read(t, path)), -1) {
			if strings.Contains(found[1], "://") || strings.HasPrefix(found[1], "mailto:") {
				continue
			}
			links++
			if trouble := leadsNowhere(t, path, found[1]); trouble != "" {
				t.Errorf("%s: the link to %s leads nowhere: %s", path, found[1], trouble)
			}
		}
	}
	if links < 20 {
		t.Errorf("%d links are followed, which is too few to be all", links)
	}
}

// leadsNowhere says what is wrong with a link of a document; nothing if it leads somewhere.
func leadsNowhere(t *testing.T, from, to string) string {
	t.Helper()
	file, anchor, _ := strings.Cut(to, "#")
	target := from
	if file != "" {
		target = filepath.Join(filepath.Dir(from), file)
	}
	if _, err := os.Stat(target); err != nil {
		return err.Error()
	}
	if anchor == "" || anchors(read(t, target))[anchor] {
		return ""
	}
	return "it has no such heading"
}

var (
	fenced  = regexp.MustCompile("(?ms)^```.*?^```")
	inline  = regexp.MustCompile("`[^`\n]*`")
	heading = regexp.MustCompile(`(?m)^#+ +(.+)$`)
)

// withoutCode is a document without its code, in which nothing is a link or a heading.
func withoutCode(document string) string {
	return inline.ReplaceAllString(fenced.ReplaceAllString(document, ""), "")
}

// anchors are the names that GitHub gives to the headings of a document.
func anchors(document string) map[string]bool {
	all := map[string]bool{}
	for _, found := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(document, ""), -1) {
		all[strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, found[1])] = true
	}
	return all
}

// The documents name each part of a worker's health, of which /readyz and logoff_problem tell.
func TestEveryPartOfTheHealthIsNamed(t *testing.T) {
	want := []string{string(jobs.Urgent), string(jobs.Bulk)}
	constant := regexp.MustCompile(`(?m)^(?:const )?\s*\w*[pP]art(?:[A-Z]\w*)?\s+= "(\w+)"`)
	for _, room := range []string{"cmd/logoff-worker", "worker"} {
		err := filepath.WalkDir(filepath.Join(root, room), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			for _, found := range constant.FindAllStringSubmatch(read(t, path), -1) {
				want = append(want, found[1])
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(want)
	for path, begins := range map[string]string{"metrics/README.md": "The parts are ", "deploy/monitoring/README.md": "The parts: "} {
		_, list, _ := strings.Cut(read(t, filepath.Join(root, path)), begins)
		list, _, _ = strings.Cut(list, ".")
		var named []string
		for _, found := range inline.FindAllString(list, -1) {
			named = append(named, strings.Trim(found, "`"))
		}
		slices.Sort(named)
		if len(want) < 15 || !slices.Equal(named, want) {
			t.Errorf("%s names the parts\n%q, there are\n%q", path, named, want)
		}
	}
}

package rules

import (
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const (
	root   = "../../.."
	module = "logoffworker"
)

// A rule is one of depguard's: what files it looks at, and what they must not import.
type rule struct {
	Files []string
	Deny  []denied
}

type denied struct{ Pkg, Desc string }

// A complaint is one of depguard's, about one import of one file.
type complaint struct{ file, imports, words string }

func (c complaint) String() string {
	return fmt.Sprintf("%s imports %s: %s", c.file, c.imports, c.words)
}

// Into every folder of a copy of the source tree goes a file, and a test, that import everything which any rule
// denies. The linter has to complain of exactly what the rules of that folder deny.
func TestEachRuleComplainsOfAWrongImport(t *testing.T) {
	linter := findLinter(t)
	rules := readRules(t)
	folders := goFolders(t)
	checkRules(t, rules, folders)

	imports := wrongImports(rules)
	dir := copyOf(t, folders, imports)
	want := expected(t, rules, folders, imports)
	got := lint(t, linter, dir)
	for c := range want {
		if !got[c] {
			t.Errorf("no complaint: %v", c)
		}
	}
	for c := range got {
		if !want[c] {
			t.Errorf("a complaint that no rule asks for: %v", c)
		}
	}
	t.Logf("%d rules, %d folders, %d imports, %d complaints", len(rules), len(folders), len(imports), len(got))
}

// findLinter returns the linter that make installs. Where make lint-rules names it, it has to be there.
func findLinter(t *testing.T) string {
	t.Helper()
	linter, asked := os.LookupEnv("GOLANGCI_LINT")
	if !asked {
		text, err := os.ReadFile(filepath.Join(root, "Makefile"))
		if err != nil {
			t.Fatal(err)
		}
		version := regexp.MustCompile(`(?m)^GOLANGCI_LINT_VERSION := (\S+)$`).FindSubmatch(text)
		if version == nil {
			t.Fatal("Makefile does not say which version of the linter it installs (GOLANGCI_LINT_VERSION := …)")
		}
		linter = filepath.Join(root, ".tools", "golangci-lint-"+string(version[1]))
	}
	linter, err := filepath.Abs(linter)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(linter); err != nil {
		words := fmt.Sprintf("the linter is not installed; make lint-rules installs it and runs this test (%v)", err)
		if asked {
			t.Fatal(words)
		}
		t.Skip(words)
	}
	return linter
}

// readRules reads the rules of depguard. A part of them that this test does not know is an error.
func readRules(t *testing.T) map[string]rule {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, ".golangci.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Linters struct {
			Enable   []string
			Settings struct {
				Depguard yaml.Node
			}
		}
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(config.Linters.Enable, "depguard") {
		t.Error(".golangci.yml does not enable depguard")
	}
	text, err = yaml.Marshal(&config.Linters.Settings.Depguard)
	if err != nil {
		t.Fatal(err)
	}
	var depguard struct{ Rules map[string]rule }
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&depguard); err != nil {
		t.Fatalf(".golangci.yml, depguard: this test does not know all of it: %v", err)
	}
	return depguard.Rules
}

// room matches the files that a rule looks at: those of one folder.
var room = regexp.MustCompile(`^\*\*/((?:[\w-]+/)+)\*\.go$`)

// looksAt reports whether a rule is about a file, by its path from the root.
func (r rule) looksAt(t *testing.T, file string) bool {
	t.Helper()
	if slices.Contains(r.Files, "!$test") && strings.HasSuffix(file, "_test.go") {
		return false
	}
	looks := len(r.Files) == 0
	for _, pattern := range r.Files {
		switch match := room.FindStringSubmatch(pattern); {
		case match != nil:
			looks = looks || strings.HasSuffix("/"+path.Dir(file)+"/", "/"+match[1])
		case pattern != "!$test":
			t.Fatalf(".golangci.yml: this test knows files such as **/worker/*.go and !$test, and not %q", pattern)
		}
	}
	return looks
}

// denies returns what a rule says of an import, the longest entry first, as depguard does.
func (r rule) denies(imports string) (words string, denies bool) {
	longest := -1
	for _, d := range r.Deny {
		exact := strings.TrimSuffix(d.Pkg, "$")
		if (imports == exact || exact == d.Pkg && strings.HasPrefix(imports, d.Pkg)) && len(exact) > longest {
			words, denies, longest = d.Desc, true, len(exact)
		}
	}
	return words, denies
}

// checkRules finds rules that say nothing: about folders that are not there, or packages of ours that are not.
func checkRules(t *testing.T, rules map[string]rule, folders map[string]string) {
	t.Helper()
	for name, r := range rules {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(folders)), func(folder string) bool { return r.looksAt(t, folder+"/x.go") }) {
			t.Errorf("rule %s: there is no folder for %q", name, r.Files)
		}
		for _, d := range r.Deny {
			folder, ours := strings.CutPrefix(strings.TrimSuffix(d.Pkg, "$"), module)
			if _, err := os.Stat(filepath.Join(root, folder)); ours && err != nil {
				t.Errorf("rule %s denies %s, which is not there", name, d.Pkg)
			}
			if d.Desc == "" {
				t.Errorf("rule %s does not say why it denies %s", name, d.Pkg)
			}
		}
	}
}

// wrongImports are the packages that rules deny, and one below each, which an entry that ends with $ allows.
func wrongImports(rules map[string]rule) (all []string) {
	for _, r := range rules {
		for _, d := range r.Deny {
			exact := strings.TrimSuffix(d.Pkg, "$")
			all = append(all, exact, exact+"/below")
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// goFolders returns the folders of the source tree that hold Go files, and the names of their packages.
func goFolders(t *testing.T) map[string]string {
	t.Helper()
	folders := map[string]string{}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "testdata" || strings.HasPrefix(entry.Name(), ".") && entry.Name() != filepath.Base(root)):
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go"):
			return nil
		}
		folder, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly)
		if err != nil {
			return err
		}
		folders[filepath.ToSlash(folder)] = parsed.Name.Name
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return folders
}

// The files that go into each folder.
var wrongFiles = []string{"wrong.go", "wrong_test.go"}

// copyOf makes the copy of the source tree: the folders, the configuration, and nothing but the wrong imports.
func copyOf(t *testing.T, folders map[string]string, imports []string) string {
	t.Helper()
	dir := t.TempDir()
	put := func(file, text string) {
		file = filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	config, err := os.ReadFile(filepath.Join(root, ".golangci.yml"))
	if err != nil {
		t.Fatal(err)
	}
	put(".golangci.yml", string(config))
	put("go.mod", "module wrong // so that what is imported makes no cycle\n\ngo 1.26.0\n")
	for folder, pkg := range folders {
		text := "package " + pkg + "\n\nimport (\n\t_ \"" + strings.Join(imports, "\"\n\t_ \"") + "\"\n)\n"
		for _, file := range wrongFiles {
			put(path.Join(folder, file), text)
		}
	}
	return dir
}

func expected(t *testing.T, rules map[string]rule, folders map[string]string, imports []string) map[complaint]bool {
	t.Helper()
	want := map[complaint]bool{}
	for folder := range folders {
		for _, name := range wrongFiles {
			for list, r := range rules {
				file := path.Join(folder, name)
				if !r.looksAt(t, file) {
					continue
				}
				for _, each := range imports {
					if words, denies := r.denies(each); denies {
						want[complaint{file, each, fmt.Sprintf("import '%s' is not allowed from list '%s': %s", each, list, words)}] = true
					}
				}
			}
		}
	}
	return want
}

// lint runs depguard once over the copy, and returns its complaints.
func lint(t *testing.T, linter, dir string) map[complaint]bool {
	t.Helper()
	command := exec.Command(linter, "run", "--enable-only", "depguard", "--output.json.path", "stdout", "--show-stats=false",
		"--max-issues-per-linter", "0", "--max-same-issues", "0", "--uniq-by-line=false", "--allow-parallel-runners", "./...")
	command.Dir = dir
	var errors strings.Builder
	command.Stderr = &errors
	text, err := command.Output() // an error means that there are complaints, or more
	var report struct {
		Issues []struct {
			FromLinter, Text string
			SourceLines      []string
			Pos              struct{ Filename string }
		}
	}
	if jerr := json.Unmarshal(text, &report); jerr != nil {
		t.Fatalf("%s: %v, %v\n%s%s", linter, err, jerr, text, errors.String())
	}
	got := map[complaint]bool{}
	for _, issue := range report.Issues {
		if issue.FromLinter != "depguard" {
			t.Errorf("%s: %s: %s", issue.FromLinter, issue.Pos.Filename, issue.Text)
			continue
		}
		imports := strings.Trim(strings.TrimPrefix(strings.Join(issue.SourceLines, ""), "\t_ "), `"`)
		got[complaint{filepath.ToSlash(issue.Pos.Filename), imports, issue.Text}] = true
	}
	return got
}

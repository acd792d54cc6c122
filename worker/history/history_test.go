package history

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// source is every declared function of the package, by name, and the package comment.
func source(t *testing.T) (functions map[string]*ast.FuncDecl, comment string) {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	functions = map[string]*ast.FuncDecl{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		comment += file.Doc.Text()
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				functions[f.Name.Name] = f
			}
		}
	}
	return functions, comment
}

// calls are the calls of methods in a function: c.violated("I1", ...) is one of violated.
func calls(f *ast.FuncDecl) (all map[string][]*ast.CallExpr) {
	all = map[string][]*ast.CallExpr{}
	ast.Inspect(f, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if method, ok := call.Fun.(*ast.SelectorExpr); ok {
				all[method.Sel.Name] = append(all[method.Sel.Name], call)
			}
		}
		return true
	})
	return all
}

// rules are the entries of the package comment: the functions that judge each rule.
func rules(comment string) map[string][]string {
	all := map[string][]string{}
	for _, entry := range strings.Split(comment, "\n  - ")[1:] {
		entry, _, _ = strings.Cut(entry, "\n\n")
		entry = strings.Join(strings.Fields(entry), " ")
		head, _, _ := strings.Cut(entry, ",")
		_, judges, _ := strings.Cut(entry, "Judged by ")
		judges = strings.TrimSuffix(strings.ReplaceAll(judges, " and ", ", "), ".")
		for _, rule := range strings.Split(head, " and ") {
			all[rule] = strings.FieldsFunc(judges, func(r rune) bool { return r == ',' || r == ' ' })
		}
	}
	return all
}

// The package comment has the twelve invariants, and every function that it names exists.
func TestEveryRuleThatThePackageCommentNamesExists(t *testing.T) {
	functions, comment := source(t)
	all := rules(comment)
	for i := range 10 {
		if name := "I" + strconv.Itoa(i+1); len(all[name]) == 0 && name != "I7" {
			t.Errorf("no function judges %s", name)
		}
	}
	if _, told := all["I7"]; !told {
		t.Error("I7 is missing")
	}
	for rule, judges := range all {
		for _, judge := range judges {
			if functions[judge] == nil {
				t.Errorf("%s is judged by %q, which does not exist", rule, judge)
			}
		}
	}
}

// Whatever finds a violation is named beside the rule that it finds broken, and so is every step of Check.
func TestPackageCommentNamesEveryRule(t *testing.T) {
	functions, comment := source(t)
	all := rules(comment)
	named := slices.Concat(slices.Collect(maps.Values(all))...)
	for step := range calls(functions["Check"]) {
		if step != "sorted" && !slices.Contains(named, step) {
			t.Errorf("Check takes the step %s, which is not named", step)
		}
	}
	found := 0
	for name, f := range functions {
		if ast.IsExported(name) && f.Recv != nil && len(calls(f)["violated"]) > 0 && !slices.Contains(named, name) {
			t.Errorf("%s is not named", name)
		}
		for _, call := range calls(f)["violated"] {
			found++
			rule := violatedRule(t, call)
			if !slices.Contains(all[rule], name) {
				t.Errorf("%s finds violations of %s, and is not named there", name, rule)
			}
		}
	}
	if found < 40 {
		t.Errorf("%d places find violations, which is too few to be all", found)
	}
}

// violatedRule is the rule of a call of violated, a text in the source.
func violatedRule(t *testing.T, call *ast.CallExpr) string {
	t.Helper()
	literal, ok := call.Args[0].(*ast.BasicLit)
	if !ok || !regexp.MustCompile(`^"[ILB][0-9]+"$`).MatchString(literal.Value) {
		t.Fatal("a rule is not a text")
	}
	return strings.Trim(literal.Value, `"`)
}

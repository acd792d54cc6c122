package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A guard decides in the source whether something is done. It can be taken out: a condition that is never
// true, or an operand of && or || that has no say.
type guard struct {
	number int // in its package, from 1
	kind   guardKind
	file   string
	line   int
	text   string
}

// A guardKind is what kind of guard one is.
type guardKind string

const (
	condition guardKind = "if"      // of an if statement: never true
	passedOn  guardKind = "error"   // the same, where all that is done is to return an error
	caseOf    guardKind = "case"    // of a switch without a tag: never taken
	operand   guardKind = "operand" // of && or ||: dropped
)

var guardKinds = []guardKind{condition, caseOf, operand, passedOn}

func (g guard) String() string {
	return fmt.Sprintf("%s:%d: %s %s", g.file, g.line, g.kind, g.text)
}

// A switcher finds the guards of a package, and puts a switch into each of them, so that one build has them all.
type switcher struct {
	files  *token.FileSet
	guards []guard

	source  string // of the present file
	name    string
	tree    *token.File
	opens   map[int]string // what is put in at an offset, before what is put in there already
	closes  map[int]string
	chained map[*ast.BinaryExpr]bool // seen as a part of a longer chain
}

// switchedOff is the function that the switches ask. Its argument is a guard's number.
const switchedOff = "mutantsTakeOut"

// file returns the text of a file with a switch in every guard.
func (s *switcher) file(name string) (string, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	parsed, err := parser.ParseFile(s.files, name, text, parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	s.source, s.name, s.tree = string(text), name, s.files.File(parsed.FileStart)
	s.opens, s.closes, s.chained = map[int]string{}, map[int]string{}, map[*ast.BinaryExpr]bool{}
	ast.Inspect(parsed, s.node)
	return s.switched(), nil
}

// node looks at one node, and reports whether to go into it.
func (s *switcher) node(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GenDecl:
		return n.Tok != token.CONST
	case *ast.IfStmt:
		kind := condition
		if passesOn(n) {
			kind = passedOn
		}
		s.add(kind, n.Cond, s.text(n.Cond))
		s.wrap(n.Cond, "(", ") && !%s")
	case *ast.SwitchStmt:
		if n.Tag == nil {
			s.cases(n)
		}
	case *ast.BinaryExpr:
		if (n.Op == token.LAND || n.Op == token.LOR) && !s.chained[n] {
			s.chain(n)
		}
	}
	return true
}

func (s *switcher) cases(n *ast.SwitchStmt) {
	for _, c := range n.Body.List {
		list := c.(*ast.CaseClause).List
		if len(list) == 0 {
			continue // default
		}
		s.add(caseOf, list[0], s.source[s.tree.Offset(list[0].Pos()):s.tree.Offset(list[len(list)-1].End())])
		for _, e := range list {
			s.wrap(e, "(", ") && !%s")
		}
	}
}

// chain puts a switch into each operand of a row of the same operators. The switch is asked only where the
// operand decides something.
func (s *switcher) chain(n *ast.BinaryExpr) {
	for _, e := range s.operands(n, n.Op) {
		s.add(operand, e, s.text(e)+"  of  "+s.text(n))
		if n.Op == token.LAND {
			s.wrap(e, "((", ") || %s)")
		} else {
			s.wrap(e, "((", ") && !%s)")
		}
	}
}

func (s *switcher) operands(e ast.Expr, of token.Token) []ast.Expr {
	n, is := e.(*ast.BinaryExpr)
	if !is || n.Op != of {
		return []ast.Expr{e}
	}
	s.chained[n] = true
	return append(s.operands(n.X, of), s.operands(n.Y, of)...)
}

// add notes a guard; the calls of wrap that follow are for it.
func (s *switcher) add(kind guardKind, at ast.Node, text string) {
	s.guards = append(s.guards, guard{
		number: len(s.guards) + 1, kind: kind, file: filepath.ToSlash(s.name), line: s.tree.Line(at.Pos()), text: short(text),
	})
}

// wrap puts text around an expression. It is called for an expression before it is called for parts of it.
func (s *switcher) wrap(e ast.Expr, before, after string) {
	from, to := s.tree.Offset(e.Pos()), s.tree.Offset(e.End())
	s.opens[from] += before
	s.closes[to] = fmt.Sprintf(after, switchedOff+"("+strconv.Itoa(len(s.guards))+")") + s.closes[to]
}

func (s *switcher) text(n ast.Node) string {
	return s.source[s.tree.Offset(n.Pos()):s.tree.Offset(n.End())]
}

func short(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 160 {
		text = text[:157] + "..."
	}
	return text
}

// switched is the file's text with what was put in.
func (s *switcher) switched() string {
	var b strings.Builder
	from := 0
	places := slices.Concat(slices.Collect(maps.Keys(s.opens)), slices.Collect(maps.Keys(s.closes)))
	slices.Sort(places)
	for _, at := range slices.Compact(places) {
		b.WriteString(s.source[from:at] + s.closes[at] + s.opens[at])
		from = at
	}
	return b.String() + s.source[from:]
}

// passesOn reports whether an if statement does nothing but to return the error that it asks for.
func passesOn(n *ast.IfStmt) bool {
	cond, ok := n.Cond.(*ast.BinaryExpr)
	if !ok || cond.Op != token.NEQ || len(n.Body.List) != 1 || n.Else != nil {
		return false
	}
	asked, ok := cond.X.(*ast.Ident)
	back, returns := n.Body.List[0].(*ast.ReturnStmt)
	if !ok || !returns || !strings.HasSuffix(strings.ToLower(asked.Name), "err") || len(back.Results) == 0 {
		return false
	}
	told := false
	ast.Inspect(back, func(n ast.Node) bool {
		name, is := n.(*ast.Ident)
		told = told || is && name.Name == asked.Name
		return true
	})
	return told
}

// helper is the file that the switches need. A process reads at its start which guard is out, and where it is
// to note the guards that something depends on; it does so at once, because it may be killed.
func helper(pkg, state string, guards int) string {
	return fmt.Sprintf(`package %s

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

var mutantsState, mutantsNotes = func() (int, string) {
	text, _ := os.ReadFile(%q)
	number, notes, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	n, _ := strconv.Atoi(number)
	return n, notes
}()

var mutantsSeen [%d]atomic.Bool

func %s(n int) bool {
	if mutantsNotes != "" && !mutantsSeen[n].Swap(true) {
		f, err := os.OpenFile(mutantsNotes, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			panic(err)
		}
		if _, err := f.WriteString(strconv.Itoa(n) + "\n"); err != nil {
			panic(err)
		}
		_ = f.Close()
	}
	return n == mutantsState
}
`, pkg, state, guards+1, switchedOff)
}

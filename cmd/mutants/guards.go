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

// A dig finds the guards of a package, and puts a switch into each of them, so that one build has them all.
type dig struct {
	files  *token.FileSet
	guards []guard

	source  string // of the file at hand
	name    string
	tree    *token.File
	opens   map[int]string // what is put in at an offset, before what is put in there already
	closes  map[int]string
	chained map[*ast.BinaryExpr]bool // seen as a part of a longer chain
}

// switchedOff is the function that the switches ask. Its argument is a guard's number.
const switchedOff = "mutantsTakeOut"

// file returns the text of a file with a switch in every guard.
func (d *dig) file(name string) (string, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	parsed, err := parser.ParseFile(d.files, name, text, parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	d.source, d.name, d.tree = string(text), name, d.files.File(parsed.FileStart)
	d.opens, d.closes, d.chained = map[int]string{}, map[int]string{}, map[*ast.BinaryExpr]bool{}
	ast.Inspect(parsed, d.node)
	return d.switched(), nil
}

// node looks at one node, and reports whether to go into it.
func (d *dig) node(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GenDecl:
		return n.Tok != token.CONST
	case *ast.IfStmt:
		kind := condition
		if passesOn(n) {
			kind = passedOn
		}
		d.add(kind, n.Cond, d.text(n.Cond))
		d.wrap(n.Cond, "(", ") && !%s")
	case *ast.SwitchStmt:
		if n.Tag == nil {
			d.cases(n)
		}
	case *ast.BinaryExpr:
		if (n.Op == token.LAND || n.Op == token.LOR) && !d.chained[n] {
			d.chain(n)
		}
	}
	return true
}

func (d *dig) cases(n *ast.SwitchStmt) {
	for _, c := range n.Body.List {
		list := c.(*ast.CaseClause).List
		if len(list) == 0 {
			continue // default
		}
		d.add(caseOf, list[0], d.source[d.tree.Offset(list[0].Pos()):d.tree.Offset(list[len(list)-1].End())])
		for _, e := range list {
			d.wrap(e, "(", ") && !%s")
		}
	}
}

// chain puts a switch into each operand of a row of the same operators. The switch is asked only where the
// operand decides something.
func (d *dig) chain(n *ast.BinaryExpr) {
	for _, e := range d.operands(n, n.Op) {
		d.add(operand, e, d.text(e)+"  of  "+d.text(n))
		if n.Op == token.LAND {
			d.wrap(e, "((", ") || %s)")
		} else {
			d.wrap(e, "((", ") && !%s)")
		}
	}
}

func (d *dig) operands(e ast.Expr, of token.Token) []ast.Expr {
	n, is := e.(*ast.BinaryExpr)
	if !is || n.Op != of {
		return []ast.Expr{e}
	}
	d.chained[n] = true
	return append(d.operands(n.X, of), d.operands(n.Y, of)...)
}

// add notes a guard; the wraps that follow are its.
func (d *dig) add(kind guardKind, at ast.Node, text string) {
	d.guards = append(d.guards, guard{
		number: len(d.guards) + 1, kind: kind, file: filepath.ToSlash(d.name), line: d.tree.Line(at.Pos()), text: short(text),
	})
}

// wrap puts text around an expression; those within it come later.
func (d *dig) wrap(e ast.Expr, before, after string) {
	from, to := d.tree.Offset(e.Pos()), d.tree.Offset(e.End())
	d.opens[from] += before
	d.closes[to] = fmt.Sprintf(after, switchedOff+"("+strconv.Itoa(len(d.guards))+")") + d.closes[to]
}

func (d *dig) text(n ast.Node) string { return d.source[d.tree.Offset(n.Pos()):d.tree.Offset(n.End())] }

func short(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 160 {
		text = text[:157] + "..."
	}
	return text
}

// switched is the file's text with what was put in.
func (d *dig) switched() string {
	var b strings.Builder
	from := 0
	places := slices.Concat(slices.Collect(maps.Keys(d.opens)), slices.Collect(maps.Keys(d.closes)))
	slices.Sort(places)
	for _, at := range slices.Compact(places) {
		b.WriteString(d.source[from:at] + d.closes[at] + d.opens[at])
		from = at
	}
	return b.String() + d.source[from:]
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

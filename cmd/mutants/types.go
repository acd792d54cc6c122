package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// A checker tells whether a changed file still compiles in its package, in far less time than the compiler
// needs: everything that does not change is read once.
type checker struct {
	files    *token.FileSet
	packages map[string]*source // by directory, absolute
	importer types.Importer
}

// A source is a package's files, parsed.
type source struct {
	path   string
	names  []string // of the files, absolute
	parsed map[string]*ast.File
}

// newChecker reads some packages. It needs the project's root as the working directory.
func newChecker(ctx context.Context, patterns ...string) (*checker, error) {
	args := append([]string{"list", "-export", "-deps", "-json=ImportPath,Dir,GoFiles,Export,DepOnly"}, patterns...)
	list, err := exec.CommandContext(ctx, "go", args...).Output()
	if err != nil {
		return nil, fmt.Errorf("list the packages (in the project's root?): %w", err)
	}
	c := &checker{files: token.NewFileSet(), packages: map[string]*source{}}
	exports := map[string]string{}
	for decoder := json.NewDecoder(bytes.NewReader(list)); ; {
		var p struct {
			ImportPath, Dir, Export string
			GoFiles                 []string
			DepOnly                 bool
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		exports[p.ImportPath] = p.Export
		if !p.DepOnly {
			if c.packages[p.Dir], err = c.parse(p.ImportPath, p.Dir, p.GoFiles); err != nil {
				return nil, err
			}
		}
	}
	c.importer = importer.ForCompiler(c.files, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	return c, nil
}

func (c *checker) parse(path, dir string, names []string) (*source, error) {
	s := &source{path: path, parsed: map[string]*ast.File{}}
	for _, name := range names {
		name = filepath.Join(dir, name)
		f, err := parser.ParseFile(c.files, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		s.names = append(s.names, name)
		s.parsed[name] = f
	}
	return s, nil
}

// check returns why a package does not compile with another text of one of its files.
func (c *checker) check(name string, text []byte) error {
	name, err := filepath.Abs(name)
	if err != nil {
		return err
	}
	s := c.packages[filepath.Dir(name)]
	if s == nil || s.parsed[name] == nil {
		return fmt.Errorf("%s is in none of the packages", name)
	}
	changed, err := parser.ParseFile(c.files, name, text, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	all := make([]*ast.File, len(s.names))
	for i, each := range s.names {
		all[i] = s.parsed[each]
		if each == name {
			all[i] = changed
		}
	}
	config := types.Config{Importer: c.importer}
	_, err = config.Check(s.path, c.files, all, nil)
	return err
}

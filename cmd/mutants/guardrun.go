package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/token"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// guarded are the packages whose guards are taken out, unless others are named.
const guarded = "./jobs ./worker/webserver ./worker/tokens ./worker/gate ./worker/access ./worker/roster ./worker/guard ./worker/stream ./cmd/logoff-worker ./worker"

// A guardRun takes the guards of one package out, one after the other, and runs the tests of the package that
// depend on it.
type guardRun struct {
	options
	dir     string // for what it writes
	folder  string // of the package
	guards  []guard
	program string // the tests, with a switch in every guard
	state   string // the file that tells which guard is out
	tests   []packageTest
	out     io.Writer
}

// A packageTest is a test, and the guards that it depends on: those that decided something while it ran.
type packageTest struct {
	name    string
	took    time.Duration
	reaches map[int]bool
}

// An outcome says whether a test noticed that a guard was out.
type outcome string

const (
	caught    outcome = "caught"
	survives  outcome = "SURVIVES"
	unreached outcome = "UNREACHED" // no test of the package depends on it
)

// takeOutAll takes out the guards of some packages, and prints those whose absence no test notices.
func takeOutAll(ctx context.Context, o options, dir string, out io.Writer) error {
	for _, folder := range strings.Fields(cmp.Or(o.packages, guarded)) {
		place := filepath.Join(dir, strings.ReplaceAll(strings.Trim(folder, "./"), "/", "-"))
		if err := os.MkdirAll(place, 0o700); err != nil {
			return err
		}
		r := &guardRun{options: o, dir: place, folder: folder, state: filepath.Join(place, "state"), out: out}
		if err := r.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", folder, err)
		}
	}
	return nil
}

func (r *guardRun) run(ctx context.Context) error {
	overlay, err := r.prepare(ctx)
	if err != nil {
		return err
	}
	chosen := r.choose()
	if r.list {
		for _, g := range chosen {
			fmt.Fprintln(r.out, g)
		}
		return nil
	}
	r.program = filepath.Join(r.dir, "tests")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", r.program, r.folder)
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the tests: %w\n%s", err, text)
	}
	if err := r.observe(ctx); err != nil {
		return err
	}
	return r.takeOut(ctx, chosen)
}

// prepare puts a switch into every guard of the package, and returns the overlay that has them.
func (r *guardRun) prepare(ctx context.Context) (overlay string, err error) {
	var p struct {
		Name, Dir string
		GoFiles   []string
	}
	list, err := exec.CommandContext(ctx, "go", "list", "-json=Name,Dir,GoFiles", r.folder).Output()
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(list, &p); err != nil {
		return "", err
	}
	s := &switcher{files: token.NewFileSet()}
	replace := map[string]string{}
	put := func(name, text string) error {
		replace[filepath.Join(p.Dir, name)] = filepath.Join(r.dir, name)
		return os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600)
	}
	for _, name := range p.GoFiles {
		text, err := s.file(filepath.Join(r.folder, name))
		if err == nil {
			err = put(name, text)
		}
		if err != nil {
			return "", err
		}
	}
	r.guards = s.guards
	if err := put("mutants_switches.go", helper(p.Name, r.state, len(r.guards))); err != nil {
		return "", err
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(r.dir, "overlay.json")
	return overlay, os.WriteFile(overlay, data, 0o600)
}

// choose takes a sample, if one is asked for.
func (r *guardRun) choose() []guard {
	chosen := slices.DeleteFunc(slices.Clone(r.guards), func(g guard) bool { return !strings.Contains(g.String(), r.only) })
	if r.sample > 0 && r.sample < len(chosen) {
		random := rand.New(rand.NewPCG(r.seed, 0))
		random.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
		chosen = chosen[:r.sample]
		slices.SortFunc(chosen, func(a, b guard) int { return a.number - b.number })
	}
	return chosen
}

// observe runs each test once with every guard in its place, and notes the guards that it depends on.
func (r *guardRun) observe(ctx context.Context) error {
	if err := os.WriteFile(r.state, nil, 0o600); err != nil {
		return err
	}
	list, err := exec.CommandContext(ctx, r.program, "-test.list", ".").Output()
	if err != nil {
		return err
	}
	skip, err := regexp.Compile(r.skip)
	if err != nil {
		return err
	}
	tests, err := regexp.Compile(r.testsRun)
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(string(list)) {
		if r.skip != "" && skip.MatchString(name) || !tests.MatchString(name) || strings.HasPrefix(name, "Benchmark") {
			continue
		}
		t, err := r.observeTest(ctx, name)
		if err != nil {
			return err
		}
		if t.reaches == nil {
			fmt.Fprintf(r.out, "%s: %s fails with every guard in its place, and is left out\n", r.folder, name)
			continue
		}
		if r.verbose {
			fmt.Fprintf(r.out, "%s: %s takes %v and depends on %d guards\n", r.folder, name, t.took.Round(time.Millisecond), len(t.reaches))
		}
		r.tests = append(r.tests, t)
	}
	return nil
}

// observeTest runs one test; one that fails reaches nothing.
func (r *guardRun) observeTest(ctx context.Context, name string) (packageTest, error) {
	t := packageTest{name: name}
	notes := filepath.Join(r.dir, "notes-"+name)
	if err := os.WriteFile(r.state, []byte("0 "+notes), 0o600); err != nil {
		return t, err
	}
	begun := time.Now()
	failed, said, err := r.runTests(ctx, 10*time.Minute, name)
	t.took = time.Since(begun)
	if err != nil || failed {
		if failed {
			fmt.Fprintln(r.out, said)
		}
		return t, err
	}
	text, err := os.ReadFile(notes)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return t, err
	}
	t.reaches = map[int]bool{}
	for _, word := range strings.Fields(string(text)) {
		number, err := strconv.Atoi(word)
		if err != nil {
			return t, err
		}
		t.reaches[number] = true
	}
	return t, nil
}

// takeOut takes one guard out after the other, first those that no test reaches, because they need no run, and prints
// the outcomes and their numbers.
func (r *guardRun) takeOut(ctx context.Context, chosen []guard) error {
	counts := map[guardKind]map[outcome]int{}
	for _, kind := range guardKinds {
		counts[kind] = map[outcome]int{}
	}
	slices.SortStableFunc(chosen, func(a, b guard) int { return min(1, len(r.dependOn(a))) - min(1, len(r.dependOn(b))) })
	for _, g := range chosen {
		came, said, err := r.try(ctx, g)
		if err != nil {
			return err
		}
		counts[g.kind][came]++
		if came != caught || r.verbose {
			fmt.Fprintf(r.out, "%s: %s %s\n", g, came, said)
		}
	}
	fmt.Fprintf(r.out, "\n%s: %d of %d guards taken out (seed %d), %d tests\n", r.folder, len(chosen), len(r.guards), r.seed, len(r.tests))
	for _, kind := range guardKinds {
		c := counts[kind]
		fmt.Fprintf(r.out, "  %-8s %4d caught, %3d survive, %3d unreached\n", kind, c[caught], c[survives], c[unreached])
	}
	return nil
}

// try runs the tests that depend on a guard without it, the quickest and those that depend on few first, until
// one fails.
func (r *guardRun) try(ctx context.Context, g guard) (came outcome, said string, err error) {
	tests := r.dependOn(g)
	if len(tests) == 0 {
		return unreached, "", nil
	}
	slices.SortFunc(tests, func(a, b packageTest) int {
		return cmp.Compare(a.took.Seconds()*float64(len(a.reaches)), b.took.Seconds()*float64(len(b.reaches)))
	})
	if err := os.WriteFile(r.state, []byte(strconv.Itoa(g.number)), 0o600); err != nil {
		return "", "", err
	}
	for size, rest := 1, tests; len(rest) > 0; size *= 3 {
		some := rest[:min(size, len(rest))]
		rest = rest[len(some):]
		limit := time.Minute
		var names []string
		for _, t := range some {
			names = append(names, t.name)
			limit += 10 * t.took
		}
		failed, said, err := r.runTests(ctx, limit, names...)
		if failed || err != nil {
			return caught, said, err
		}
	}
	return survives, fmt.Sprintf("(%d tests depend on it)", len(tests)), nil
}

// dependOn returns the tests that depend on a guard.
func (r *guardRun) dependOn(g guard) []packageTest {
	return slices.DeleteFunc(slices.Clone(r.tests), func(t packageTest) bool { return !t.reaches[g.number] })
}

var failedTest = regexp.MustCompile(`(?m)^--- FAIL: (\S+)`)

// runTests runs tests, and kills the processes that they leave behind. A test that does not end in time has failed.
func (r *guardRun) runTests(ctx context.Context, limit time.Duration, names ...string) (failed bool, said string, err error) {
	command := exec.CommandContext(ctx, r.program, "-test.run", "^("+strings.Join(names, "|")+")$", "-test.failfast", "-test.timeout", limit.String())
	command.Dir = r.folder
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var text bytes.Buffer
	command.Stdout, command.Stderr = &text, &text
	command.WaitDelay = 5 * time.Second
	if err := command.Start(); err != nil {
		return false, "", err
	}
	err = command.Wait()
	_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL) // the group may be gone
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return false, "", ctx.Err()
	case errors.As(err, &exit), errors.Is(err, exec.ErrWaitDelay):
		if found := failedTest.FindStringSubmatch(text.String()); found != nil {
			return true, "by " + found[1], nil
		}
		return true, "by the end of " + strings.Join(names, ", "), nil
	}
	return false, "", err
}

// Mutants shows that the checks can fail. It seeds one bug after the other into the worker and wants
// a test of its package, tests of the whole in fake time, or the fault run, to catch each.
//
// A bug is a replacement of a few lines, and is handed to the compiler beside the source (go build's
// -overlay): no bug is ever in the source, and a replacement that no longer fits it is an error.
//
// With -guards it takes every guard of some packages out instead, one after the other, and prints those whose absence
// no test of the package notices.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

type options struct {
	only     string
	quick    bool
	seeds    int
	duration time.Duration
	seed     uint64

	guards, list, verbose bool
	packages              string
	testsRun, skip        string // which tests are run without guards
	sample                int
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var o options
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&o.only, "only", "", "try only the mutants whose name contains this")
	flags.BoolVar(&o.quick, "quick", false, "try only the mutants that name the test which has to catch them")
	flags.IntVar(&o.seeds, "seeds", 4, "simulations of a mutant")
	flags.DurationVar(&o.duration, "duration", 45*time.Second, "faults of a mutant's fault run")
	flags.Uint64Var(&o.seed, "seed", 1, "seed of the fault runs, and of a sample of guards")
	flags.BoolVar(&o.guards, "guards", false, "take the guards of packages out instead, and print those whose absence no test notices")
	flags.StringVar(&o.packages, "package", "", "the packages whose guards are taken out, separated by blanks; empty is all that has guards")
	flags.BoolVar(&o.list, "list", false, "print the guards and do nothing else")
	flags.BoolVar(&o.verbose, "v", false, "print also the guards whose absence a test notices")
	flags.StringVar(&o.testsRun, "run", "", "tests that are run without guards; empty is all")
	flags.StringVar(&o.skip, "skip", "^Test(Simulation|Model)", "tests that are not run without guards")
	flags.IntVar(&o.sample, "sample", 0, "take out only so many guards of each package, chosen by the seed")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return err
	}
	work := tryAll
	if o.guards {
		work = takeOutAll
	}
	err = work(ctx, o, dir, out)
	if errors.Is(err, errWithoutBug) {
		return err // dir shows why
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// errWithoutBug says that a check failed without any bug.
var errWithoutBug = errors.New("without any bug")

// tryAll tries each mutant.
func tryAll(ctx context.Context, o options, dir string, out io.Writer) error {
	verdicts := &strings.Builder{}
	table := tabwriter.NewWriter(verdicts, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "mutant\tcaught by\twhat it said")
	t := &trial{options: o, dir: dir, passes: map[check]bool{}}
	survivors := 0
	for _, m := range mutants {
		if !strings.Contains(m.name, o.only) || o.quick && m.test == "" {
			continue
		}
		begun := time.Now()
		by, said, err := t.try(ctx, m)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		if by == "" {
			survivors++
			by = "NOTHING"
		}
		fmt.Fprintf(out, "%s: caught by %s (%v) %s\n", m.name, by, time.Since(begun).Round(time.Second), said)
		fmt.Fprintf(table, "%s\t%s\t%s\n", m.name, by, said)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%s", verdicts)
	switch {
	case survivors > 0:
		return fmt.Errorf("%d mutants survive", survivors)
	case len(t.passes) == 0:
		return fmt.Errorf("no mutant has a name that contains %q", o.only)
	}
	return nil
}

// A mutant is one seeded bug.
type mutant struct {
	name   string
	file   string
	before string // in the file exactly once
	after  string
	by     way    // what is tried before the fault run; the simulations unless it says otherwise
	test   string // the test that has to catch it, instead of all that
	in     string // the folder of the test, where that is not the file's
}

// A check is a way in which a mutant is tried, and the test where that is one of a package.
type check struct {
	way
	folder, test string
}

// A way is one in which mutants are caught.
type way string

const (
	simulation way = "simulation" // hours of faults, outages and stops in fake time
	people     way = "people"     // read-back, users, protection and budgets in fake time
	fleet      way = "fleet"      // days of workers that share a pair of tokens, in fake time
	faultRun   way = "fault run"  // real processes
	oneTest    way = "test"       // one of the package
)

// checks are what a mutant is tried with, the likeliest first.
func (m mutant) checks() []check {
	switch {
	case m.test != "":
		return []check{{way: oneTest, folder: m.folder(), test: m.test}}
	case m.by == "":
		return []check{{way: simulation}, {way: faultRun}}
	case m.by == faultRun:
		return []check{{way: faultRun}}
	}
	return []check{{way: m.by}, {way: faultRun}}
}

func (m mutant) folder() string { return cmp.Or(m.in, "./"+filepath.Dir(m.file)) }

func (c check) String() string {
	if c.way == oneTest {
		return c.test
	}
	return string(c.way)
}

// command is what go is to do.
func (c check) command(o options, overlay, dir string) []string {
	test := []string{"test", "-overlay", overlay, "-count=1", "-failfast", "-timeout", "10m"}
	switch c.way {
	case oneTest:
		return append(test, "-run", "^"+c.test+"$", c.folder)
	case simulation:
		return append(test, "-run", "^(TestSimulation|TestOutage|TestPoisonCost|TestStop|TestKilled)", "./worker", "-args", "-seeds", fmt.Sprint(o.seeds))
	case people:
		return append(test, "-run", "^(TestPeople|TestSign|TestSessionsAre|TestSuccess|TestReadBack|TestList|TestEmpty|TestNobody|TestProtected|TestOwnSession|TestQuota|TestNoBudget|TestEvery|TestCached|TestHidden|TestEvent|TestWhatHad)", "./worker")
	case fleet:
		return append(test, "./worker/tokens")
	}
	return []string{"run", "-C", "deploy/check", "./chaos", "-overlay", overlay, "-seed", fmt.Sprint(o.seed), "-duration", o.duration.String(), "-out", filepath.Join(dir, "record")}
}

// A trial is one run of this program.
type trial struct {
	options
	dir    string
	passes map[check]bool // the checks that were tried without any bug, and passed
}

// try returns what caught a mutant, empty if nothing did, and a line of what it said. Each check is first
// tried without any bug: one that fails then would catch everything.
func (t *trial) try(ctx context.Context, m mutant) (by, said string, err error) {
	for _, c := range m.checks() {
		if !t.passes[c] {
			switch caught, said, err := t.catches(ctx, c, mutant{name: "none"}); {
			case err != nil:
				return "", "", err
			case caught:
				return "", "", fmt.Errorf("%w, the %s fails: %s; all it said, and the record of a fault run, are in %s", errWithoutBug, c, said, t.dir)
			}
			t.passes[c] = true
		}
		caught, said, err := t.catches(ctx, c, m)
		if caught || err != nil {
			return c.String(), said, err
		}
	}
	return "", "", nil
}

func (t *trial) catches(ctx context.Context, c check, m mutant) (caught bool, said string, err error) {
	overlay, err := m.overlay(t.dir)
	if err != nil {
		return false, "", err
	}
	return fails(ctx, filepath.Join(t.dir, "output"), "go", c.command(t.options, overlay, t.dir)...)
}

// text is the mutant's file.
func (m mutant) text() ([]byte, error) {
	source, err := os.ReadFile(m.file)
	if err != nil {
		return nil, fmt.Errorf("%w (run it in the project's root)", err)
	}
	if n := strings.Count(string(source), m.before); n != 1 {
		return nil, fmt.Errorf("the lines to replace are in %s %d times, not once: fix the mutant", m.file, n)
	}
	return []byte(strings.Replace(string(source), m.before, m.after, 1)), nil
}

// overlay writes the mutant's file and the file that tells the compiler of it.
func (m mutant) overlay(dir string) (string, error) {
	if m.file == "" {
		return overlay(dir, m.name, "", nil)
	}
	text, err := m.text()
	if err != nil {
		return "", err
	}
	return overlay(dir, m.name, m.file, text)
}

// overlay writes another text of a file, and the file that tells the compiler of it; no file is none.
func overlay(dir, name, file string, text []byte) (string, error) {
	replace := map[string]string{}
	if file != "" {
		original, err := filepath.Abs(file)
		if err != nil {
			return "", err
		}
		mutated := filepath.Join(dir, name+".go")
		if err := os.WriteFile(mutated, text, 0o600); err != nil {
			return "", err
		}
		replace[original] = mutated
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	told := filepath.Join(dir, name+".json")
	return told, os.WriteFile(told, data, 0o600)
}

// findings match the lines of an output that say what was wrong, the most telling first.
var findings = []*regexp.Regexp{
	regexp.MustCompile(`(?m)(VIOLATED|violated:) .*$`),
	regexp.MustCompile(`(?m)^ *\w+_test\.go:\d+: .*$`),
	regexp.MustCompile(`(?m)(panic|chaos): .*$`),
}

// fails runs a command and reports whether it failed, and what it said first; a file gets all. A mutant that does not
// compile is an error: no check has caught it.
func fails(ctx context.Context, file, name string, args ...string) (failed bool, said string, err error) {
	command := exec.CommandContext(ctx, name, args...)
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	text, err := command.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return false, "", nil
	case ctx.Err() != nil:
		return false, "", ctx.Err()
	case !errors.As(err, &exit):
		return false, "", err
	case strings.Contains(string(text), "[build failed]"), strings.Contains(string(text), "chaos: build "):
		return false, "", fmt.Errorf("it does not compile:\n%s", text)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return false, "", err
	}
	for _, pattern := range findings {
		if said = strings.TrimSpace(pattern.FindString(string(text))); said != "" {
			break
		}
	}
	return true, said[:min(len(said), 160)], nil
}

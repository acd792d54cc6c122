// Mutants shows that the checks can fail. It seeds one bug after the other into the worker and wants
// the simulations, or the fault run, to catch each.
//
// A bug is a replacement of a few lines, and is handed to the compiler beside the source (go build's
// -overlay): no bug is ever in the source, and a replacement that no longer fits it is an error.
package main

import (
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
	seeds    int
	duration time.Duration
	seed     uint64
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var o options
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&o.only, "only", "", "try only the mutants whose name holds this")
	flags.IntVar(&o.seeds, "seeds", 4, "simulations of a mutant")
	flags.DurationVar(&o.duration, "duration", 45*time.Second, "faults of a mutant's fault run")
	flags.Uint64Var(&o.seed, "seed", 1, "seed of the fault runs")
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
	return errors.Join(tryAll(ctx, o, dir, out), os.RemoveAll(dir))
}

// tryAll tries each mutant, and both ways without any bug first: else everything would be caught.
func tryAll(ctx context.Context, o options, dir string, out io.Writer) error {
	verdicts := &strings.Builder{}
	table := tabwriter.NewWriter(verdicts, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "mutant\tcaught by\twhat it said")
	survivors := 0
	for _, m := range append([]mutant{{name: "none"}}, mutants...) {
		if m.name != "none" && !strings.Contains(m.name, o.only) {
			continue
		}
		begun := time.Now()
		by, said, err := m.try(ctx, o, dir)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", m.name, err)
		case m.name == "none" && by != "":
			return fmt.Errorf("without any bug, %s fails: %s", by, said)
		case m.name != "none" && by == "":
			survivors++
			by = "NOBODY"
		}
		fmt.Fprintf(out, "%s: %s (%v) %s\n", m.name, caughtBy(by), time.Since(begun).Round(time.Second), said)
		fmt.Fprintf(table, "%s\t%s\t%s\n", m.name, by, said)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%s", verdicts)
	if survivors > 0 {
		return fmt.Errorf("%d mutants survive", survivors)
	}
	return nil
}

func caughtBy(by string) string {
	if by == "" {
		return "nothing to catch"
	}
	return "caught by " + by
}

// A mutant is one seeded bug.
type mutant struct {
	name   string
	file   string
	before string // in the file exactly once
	after  string
	chaos  bool // only the fault run can catch it: no use to simulate
}

// try returns what caught the mutant, empty if nothing did, and a line of what it said.
func (m mutant) try(ctx context.Context, o options, dir string) (by, said string, err error) {
	overlay, err := m.overlay(dir)
	if err != nil {
		return "", "", err
	}
	if !m.chaos {
		caught, said, err := fails(ctx, "go", "test", "-overlay", overlay, "-count=1", "-timeout", "10m", "-run", simulations,
			"./worker", "-args", "-seeds", fmt.Sprint(o.seeds))
		if caught || err != nil {
			return "simulation", said, err
		}
	}
	caught, said, err := fails(ctx, "go", "run", "./cmd/chaos", "-overlay", overlay, "-seed", fmt.Sprint(o.seed), "-duration", o.duration.String(),
		"-out", filepath.Join(dir, "record"))
	if caught || err != nil {
		return "fault run", said, err
	}
	return "", "", nil
}

// simulations are the tests that simulate whole runs in fake time.
const simulations = "^(TestSimulation|TestOutage|TestPoisonCost|TestStop|TestKilled)"

// overlay writes the mutant's file and the file that tells the compiler of it.
func (m mutant) overlay(dir string) (string, error) {
	replace := map[string]string{}
	if m.file != "" {
		source, err := os.ReadFile(m.file)
		if err != nil {
			return "", fmt.Errorf("%w (run it in the project's root)", err)
		}
		if n := strings.Count(string(source), m.before); n != 1 {
			return "", fmt.Errorf("the lines to replace are in %s %d times, not once: mend the mutant", m.file, n)
		}
		original, err := filepath.Abs(m.file)
		if err != nil {
			return "", err
		}
		mutated := filepath.Join(dir, m.name+".go")
		if err := os.WriteFile(mutated, []byte(strings.Replace(string(source), m.before, m.after, 1)), 0o600); err != nil {
			return "", err
		}
		replace[original] = mutated
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, m.name+".json")
	return file, os.WriteFile(file, data, 0o600)
}

// telling are the parts of an output that say what was wrong, the best first.
var telling = []*regexp.Regexp{
	regexp.MustCompile(`(?m)(VIOLATED|violated:) .*$`),
	regexp.MustCompile(`(?m)^ *\w+_test\.go:\d+: .*$`),
	regexp.MustCompile(`(?m)(panic|chaos): .*$`),
}

// fails runs a command and reports whether it failed, and what it said first. A mutant that does not
// compile is an error: nobody has caught it.
func fails(ctx context.Context, name string, args ...string) (failed bool, said string, err error) {
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
	for _, pattern := range telling {
		if said = strings.TrimSpace(pattern.FindString(string(text))); said != "" {
			break
		}
	}
	return true, said[:min(len(said), 160)], nil
}

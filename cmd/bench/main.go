// Bench measures logoff-worker from outside, as real processes on the loopback interface, beside the
// leanest client that does the same calls (the floor), and prints one table of what both took.
//
// The floor pulls, decodes, sends one big document for each slot, spaces those that are not full, stores results of
// the worker's size together and acknowledges. It has no retries, no leases, no deadlines, no metrics, no once-only
// results and no lanes that yield: what the worker takes beyond it is the price of its promises. A worker that is
// well ahead of it shows that it is no floor, and the bench fails.
//
// Both get the same settings and run against the same kind of NATS server and simulated Web Server, turn
// by turn, so that whatever else the machine does slows both. It needs the source tree, because it builds
// the programs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"logoffworker/worker/stage"
)

func main() {
	if stage.ServeNATS(os.Args) || runFloor(os.Args) {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

const usage = `bench measures logoff-worker beside the leanest client there is (the floor), as real processes on
the loopback interface, and prints one Markdown table. Run it in the project's source tree.

  go run ./cmd/bench                        everything, three rounds; fails when a goal is missed
  go run ./cmd/bench -case flood,urgent     two of the cases
  go run ./cmd/bench -quick                 shows in less than a minute that all of it runs

Cases:
`

// options are the flags.
type options struct {
	rounds int
	cases  []string
	scale  float64
	goals  bool
	keep   bool
	delay  time.Duration
	json   string
}

// parse reads the flags. It prints the help itself.
func parse(args []string, stdout io.Writer) (options, error) {
	var o options
	var chosen string
	var quick bool
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.IntVar(&o.rounds, "rounds", 3, "rounds; the table shows medians")
	flags.StringVar(&chosen, "case", "", "cases to measure, separated by commas (default all)")
	flags.StringVar(&chosen, "cases", "", "the same as -case")
	flags.Float64Var(&o.scale, "scale", 1, "part of the jobs and of the time; below 1 no goal is judged")
	flags.BoolVar(&quick, "quick", false, "the same as -rounds 1 -scale 0.02")
	flags.BoolVar(&o.goals, "goals", true, "exit with 1 when a goal is missed")
	flags.BoolVar(&o.keep, "keep", false, "keep the programs, the stores and what the processes put out, and say where")
	flags.DurationVar(&o.delay, "slow-floor", 0, "delay each document of the floor, to see that the bench calls it broken")
	flags.StringVar(&o.json, "json", "", "write every round's figures into this `file`")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		help(stdout, flags)
	}
	if err != nil {
		return o, err
	}
	if quick {
		o.rounds, o.scale = 1, 0.02
	}
	if o.rounds < 1 || !(o.scale > 0) || flags.NArg() > 0 {
		return o, errors.New("want -rounds of 1 or more, a -scale above 0, and no other arguments (try -help)")
	}
	o.cases = strings.FieldsFunc(chosen, func(r rune) bool { return r == ',' })
	for _, name := range o.cases {
		if !slices.ContainsFunc(cases, func(c benchCase) bool { return c.name == name }) {
			return o, fmt.Errorf("there is no case %q (try -help)", name)
		}
	}
	return o, nil
}

func help(w io.Writer, flags *flag.FlagSet) {
	fmt.Fprint(w, usage)
	for _, c := range cases {
		fmt.Fprintf(w, "  %-10s %s\n", c.name, c.words)
	}
	fmt.Fprint(w, "\nFlags:\n")
	flags.SetOutput(w)
	flags.PrintDefaults()
}

// run measures what the arguments say and prints the table. Nothing that it started is left, and no
// file unless the arguments ask for it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	if o.keep {
		fmt.Fprintln(stderr, "bench: kept in", dir)
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	if err := build(ctx, dir); err != nil {
		return err
	}
	b := &bench{options: o, dir: dir, figures: figures{}, processors: readProcessors}
	if err := b.measure(ctx, stderr); err != nil {
		return err
	}
	return b.report(stdout)
}

// build builds the programs, without what only a debugger reads. No flag makes them differ from what tests compile.
func build(ctx context.Context, dir string) error {
	for _, program := range []string{theProgram, "simulator"} {
		if err := stage.Build(ctx, program, filepath.Join(dir, program), "-ldflags", "-s -w"); err != nil {
			return err
		}
	}
	return nil
}

// measure runs every case in every round. Who comes first changes from round to round.
func (b *bench) measure(ctx context.Context, stderr io.Writer) error {
	for round := range b.rounds {
		for _, c := range cases {
			if len(b.cases) > 0 && !slices.Contains(b.cases, c.name) {
				continue
			}
			subjects := slices.Clone(c.subjects)
			if round%2 == 1 {
				slices.Reverse(subjects)
			}
			for range b.turns(c) {
				for _, subject := range subjects {
					if err := b.measureQuietly(ctx, c, subject); err != nil {
						return fmt.Errorf("round %d, case %s, %s: %w", round+1, c.name, subject, err)
					}
				}
			}
			if err := b.save(); err != nil {
				return err
			}
			fmt.Fprintf(stderr, "bench: round %d of %d, %s\n", round+1, b.rounds, c.name)
		}
	}
	return nil
}

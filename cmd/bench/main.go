// Bench measures logoff-worker from outside, as real processes on the loopback interface, beside the
// leanest client that does the same calls (the floor), and prints one table of what both took.
//
// The floor pulls, decodes, sends one big document for each slot, stores the results together and
// acknowledges. It has no retries, no leases, no deadlines, no metrics, no once-only results and no
// lanes that yield: what the worker takes beyond it is the price of its promises.
//
// Both run against the same NATS server and the same simulated Web Server, turn by turn, so that
// whatever else the machine does meets both. It needs the source tree, because it builds the programs.
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

	"logoffworker/worker/stage"
)

func main() {
	if stage.ServeNATS(os.Args) || runFloor(os.Args) {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	rounds int
	cases  string
	scale  float64
	goals  bool
}

func parse(args []string, out io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.IntVar(&o.rounds, "rounds", 3, "rounds; the table shows medians")
	flags.StringVar(&o.cases, "cases", "", "comma-separated cases (default: all): "+strings.Join(caseNames(), ", "))
	flags.Float64Var(&o.scale, "scale", 1, "part of the jobs and of the time: 0.05 only shows that all of it runs")
	flags.BoolVar(&o.goals, "goals", false, "fail when a goal is missed")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.rounds < 1 || o.scale <= 0 || flags.NArg() > 0 {
		return o, errors.New("want -rounds of 1 or more, a -scale above 0, and no other arguments (try -help)")
	}
	for _, name := range strings.FieldsFunc(o.cases, func(r rune) bool { return r == ',' }) {
		if !slices.Contains(caseNames(), name) {
			return o, fmt.Errorf("there is no case %q", name)
		}
	}
	return o, nil
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args, out)
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
	defer func() { _ = os.RemoveAll(dir) }()
	for _, program := range []string{"logoff-worker", "simulator"} {
		if err := stage.Build(ctx, program, filepath.Join(dir, program), "-trimpath", "-ldflags", "-s -w"); err != nil {
			return err
		}
	}
	b := &bench{options: o, dir: dir, out: out, measured: map[string]map[string][]float64{}}
	if err := b.measure(ctx); err != nil {
		return err
	}
	return b.report()
}

// measure runs every case in every round.
func (b *bench) measure(ctx context.Context) error {
	for round := range b.rounds {
		for _, c := range cases {
			if b.cases != "" && !slices.Contains(strings.Split(b.cases, ","), c.name) {
				continue
			}
			for _, subject := range c.subjects {
				if err := c.run(ctx, b, subject); err != nil {
					return fmt.Errorf("round %d, case %s, %s: %w", round+1, c.name, subject, err)
				}
			}
			fmt.Fprintf(os.Stderr, "bench: round %d, %s\n", round+1, c.name)
		}
	}
	return nil
}

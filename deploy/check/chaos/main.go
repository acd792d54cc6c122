// Chaos attacks logoff-worker in every way that its promises name, and prints a verdict that is
// computed from the record of the run alone.
//
// It starts real programs on the loopback interface: three workers, a NATS server and a simulated
// Web Server, with a faulty network between each pair, and beside them two workers that share an
// access token, on a cluster of three NATS servers. While jobs of both lanes are published, faults are injected in
// random order, each at least once; a fault that shows no effect fails the run. Meanwhile operators pause lanes, approve
// and deny jobs that are held, and publish dead letters again, with a logoffctl that is killed now and then. From time
// to time there are no faults, at the end everything heals, and package history decides.
//
// It needs the source tree, because it builds the programs that it attacks. As root it also fills
// a disk.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"logoffworker/worker/history"
	"logoffworker/worker/stage"
)

func main() {
	if stage.ServeNATS(os.Args) {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	err := run(ctx, os.Args[1:], os.Stdout)
	switch {
	case err == nil:
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

var (
	errUsage    = errors.New("bad usage")
	errViolated = errors.New("the promises were not kept")
)

// options are the flags.
type options struct {
	duration time.Duration
	seed     uint64
	rate     int
	race     bool
	overlay  string
	keep     bool
	out      string
	only     string
	soak     bool
}

func parse(args []string, out io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.DurationVar(&o.duration, "duration", 75*time.Second, "how long faults are injected; longer until each of them has come once")
	flags.Uint64Var(&o.seed, "seed", 0, "seed of the order of the faults and of all random choices; 0 picks a new one each time")
	flags.IntVar(&o.rate, "rate", 450, "jobs per second")
	flags.BoolVar(&o.race, "race", false, "build worker and logoffctl with the race detector; a race fails the run")
	flags.StringVar(&o.overlay, "overlay", "", "file for go build's -overlay, with which worker and logoffctl are built (for mutants)")
	flags.BoolVar(&o.keep, "keep", false, "keep the record of the run also when nothing is violated")
	flags.StringVar(&o.out, "out", "", "directory of the record (default: one for temporary files)")
	flags.StringVar(&o.only, "only", "", "inject only faults whose name begins with this, such as worker/ or nats/disk")
	flags.BoolVar(&o.soak, "soak", false, "inject nothing, to see that memory and goroutines do not grow")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q is not a flag", flags.Arg(0))
	}
	if o.rate < 1 || o.rate > 5000 {
		return o, errors.New("-rate must be from 1 to 5000")
	}
	if o.duration <= 0 {
		return o, errors.New("-duration must be more than 0")
	}
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	return o, nil
}

// run attacks, then judges.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	o, err := parse(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w (try -help)", errUsage, err)
	}
	fmt.Fprintf(stdout, "chaos: seed %d, %v of faults, %d jobs/s\n", o.seed, o.duration, o.rate)
	w, err := build(ctx, o, stdout)
	if err != nil {
		return err
	}
	defer w.close()
	h, err := w.live(ctx)
	if err != nil {
		return errors.Join(err, w.keepLogs())
	}
	return w.judge(h, stdout)
}

// live goes from the start of everything to the record of what happened.
func (w *world) live(ctx context.Context) (*history.History, error) {
	if err := w.start(ctx); err != nil {
		return nil, err
	}
	if err := w.attack(ctx); err != nil {
		return nil, err
	}
	return w.record(ctx)
}

// keepLogs writes the output of all programs into files, because there is no record.
func (w *world) keepLogs() error {
	outputs := map[string]*stage.Output{}
	for _, d := range []*deployment{w.solo, w.trio} {
		if d == nil {
			continue
		}
		outputs["workers-"+d.subjects.Prefix] = d.log
		for _, n := range d.nodes {
			outputs[n.Name] = n.Out
		}
	}
	if err := os.MkdirAll(w.options.out, 0o700); err != nil {
		return err
	}
	for name, b := range outputs {
		if err := os.WriteFile(filepath.Join(w.options.out, name+".log"), b.Bytes(), 0o600); err != nil {
			return err
		}
	}
	fmt.Fprintf(w.out, "chaos: the logs are in %s\n", w.options.out)
	return nil
}

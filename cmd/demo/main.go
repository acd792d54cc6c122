// Demo runs everything in one process: an embedded NATS broker, a simulated Web Server with people
// signed on, and the real worker between them. It submits a few jobs, prints their results, and
// stays up so that more can be published from another terminal.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// A second signal does not end it at once: a stop takes two seconds, and then nothing is left behind. Nor
	// does a reader who goes away, as in make run | head.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer stop()
	signal.Ignore(syscall.SIGPIPE)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil:
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("bad usage")

// options are the demo's flags.
type options struct {
	nats, http, webserver, control, provider string
	people                                   int
	once                                     bool
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o options
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.nats, "nats", "127.0.0.1:4222", "address of the embedded NATS broker")
	flags.StringVar(&o.http, "http", "127.0.0.1:9464", "address of the status page and the metrics")
	flags.StringVar(&o.webserver, "webserver", "127.0.0.1:8081", "address of the simulated Web Server")
	flags.StringVar(&o.control, "control", "127.0.0.1:8082", "address of the simulator's control")
	flags.StringVar(&o.provider, "provider", "127.0.0.1:8083", "address of the simulated identity provider")
	flags.IntVar(&o.people, "people", 36, "people who are signed on at the simulated Web Server")
	flags.BoolVar(&o.once, "once", false, "stop when the sample jobs have their results")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(stdout, "demo runs broker, simulated Web Server and worker in one process. Flags:")
		flags.SetOutput(stdout)
		flags.PrintDefaults()
		return nil
	}
	if err == nil && (flags.NArg() > 0 || o.people < 4 || o.people > 10_000) {
		err = errors.New("no arguments, and 4 to 10000 people")
	}
	if err != nil {
		return fmt.Errorf("%w: %w (try -help)", errUsage, err)
	}
	d, err := start(ctx, o, stderr)
	if err != nil {
		return err
	}
	defer d.stop()
	return ignoreEnd(ctx, d.show(ctx, stdout))
}

// Install lives through the life of the Debian package on a Debian that systemd runs, in namespaces of its own: it is
// installed, started, given jobs, upgraded with jobs in hand, reloaded, stopped, removed and purged, and after each step
// it is looked at what is there. Nothing of the machine around it is touched.
//
// It needs root, on Linux with a unified control group hierarchy to mount, and debootstrap. As "install drive" it is
// also the publisher inside (drive.go).
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
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	var err error
	if len(os.Args) > 1 && os.Args[1] == "drive" {
		err = drive(ctx, os.Args[2:], os.Stdout)
	} else {
		err = run(ctx, os.Args[1:], os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "install:", err)
		os.Exit(1)
	}
}

// A life is what the check goes through.
type life struct {
	*machine
	before, after string // packages, by their paths in the machine
	out           io.Writer
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("install", flag.ContinueOnError)
	base := flags.String("base", "", "folder of the Debian that debootstrap makes; kept for the next time")
	before := flags.String("before", "", "the package that is installed")
	after := flags.String("after", "", "the package of a later version, to which it is upgraded")
	simulator := flags.String("simulator", "", "the program of the simulated Web Server")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *base == "" || *before == "" || *after == "" || *simulator == "" {
		return errors.New("-base, -before, -after and -simulator must be given")
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	m, err := boot(ctx, *base, map[string]string{"before.deb": *before, "after.deb": *after, "simulator": *simulator, "install": self})
	if err != nil {
		return err
	}
	defer m.shutDown()
	l := life{machine: m, before: "/opt/before.deb", after: "/opt/after.deb", out: out}
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"install", l.install},
		{"settings and check", l.check},
		{"start", l.start},
		{"work", l.work},
		{"exposure", l.exposure},
		{"upgrade with jobs in hand", l.upgrade},
		{"reload", l.reload},
		{"stop", l.stop},
		{"remove", l.remove},
		{"purge", l.purge},
	} {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w\n%s", step.what, err, m.journal(ctx))
		}
		fmt.Fprintf(out, "%s: as it should be\n", step.what)
	}
	return nil
}

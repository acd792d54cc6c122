// Logoff-worker is the daemon: it reads its settings from the environment, connects what they name
// and runs a worker until it is told to stop.
//
// Exit codes: 0 stopped as asked, 1 failed while running, 2 bad usage or configuration.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
)

// garbage is how much a worker may allocate before it is collected, in percent of what lives. What it holds
// is some 15 MB under any load, so that 200 instead of Go's 100 costs 15 MB and saves a tenth of its time.
const garbage = 200

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop)       // a second signal ends the program at once
	hangups := make(chan os.Signal, 1) // some in a row are one
	signal.Notify(hangups, syscall.SIGHUP)
	err := program{os.Stdout, os.Stderr, hangups}.run(ctx, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "logoff-worker:", err)
	}
	os.Exit(exitCode(err))
}

// errUsage marks what the caller of the program has to put right.
var errUsage = errors.New("bad usage or configuration")

func exitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		return 2
	}
	return 1
}

const help = `logoff-worker ends Commvault sessions named by jobs in NATS JetStream.

Usage:
  logoff-worker [run]    work jobs until SIGTERM or SIGINT; SIGHUP makes it read its files again
  logoff-worker init     create the streams and consumers that are missing, and exit; it needs the
                         settings of NATS alone
  logoff-worker check    say what is wrong with the settings, NATS and the Web Server, and exit
      --prove            log in twice, end the second session by its ID, and see that it ended
      --prove-user ID    with --prove: see whether another user's sessions can be read, too
      --receive          the same for the settings of receive, with the rights of its NATS user
  logoff-worker receive  receive jobs and events over HTTP and store them, without working any
  logoff-worker explain FILE
                         say what would become of a message (- reads it from the standard input),
                         by the issuers file; neither NATS nor the Web Server is asked
      --header 'NAME: VALUE'
                         a header that came with it; may be given again and again
      --issuer NAME      it was pushed to the address of this issuer, or polled from it
      --logout-token     with --issuer: it is the form of a back-channel logout
      --revocation       with --issuer: it is a Universal Logout call, with its header Authorization
      --hook RECIPE      it was posted to the address of this recipe
      --at TIME          when it came, as in 2026-11-27T12:00:00Z (default: now)
  logoff-worker version  print version, revision and the Go it was built with (also --version)

Settings come from the environment:

`

// A program is the program without its process.
type program struct {
	stdout, stderr io.Writer
	hangups        <-chan os.Signal // to read files again
}

func (p program) run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "explain" {
		return p.explain(ctx, args[1:])
	}
	flags := flag.NewFlagSet("logoff-worker", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	var prove proving
	flags.BoolVar(&prove.asked, "prove", false, "")
	flags.Func("prove-user", "", prove.setUser)
	var asksVersion, asReceiver bool
	flags.BoolVar(&asReceiver, "receive", false, "")
	flags.BoolVar(&asksVersion, "version", false, "")
	flags.BoolVar(&asksVersion, "v", false, "")
	err := flags.Parse(args)
	command := flags.Arg(0)
	if err == nil && command != "" {
		err = flags.Parse(flags.Args()[1:]) // flags stand behind the command, too
	}
	if errors.Is(err, flag.ErrHelp) || command == "help" {
		fmt.Fprint(p.stdout, help)
		return usage(p.stdout)
	}
	if err != nil {
		return fmt.Errorf("%w: %w (try --help)", errUsage, err)
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%w: %q is one word too many (try --help)", errUsage, flags.Arg(0))
	}
	if err := prove.problem(command); err != nil {
		return fmt.Errorf("%w: %w (try --help)", errUsage, err)
	}
	if asReceiver && (command != "check" || prove.asked) {
		return fmt.Errorf("%w: --receive belongs to check, and goes with no --prove (try --help)", errUsage)
	}
	switch {
	case asksVersion, command == "version":
		_, err := fmt.Fprintf(p.stdout, "logoff-worker %s (revision %s, %s)\n", version(), revision(), runtime.Version())
		return err
	case command == "", command == "run":
		return runWorker(ctx, p.hangups, p.stderr)
	case command == "receive":
		return runReceiver(ctx, p.stderr)
	case command == "init":
		return initStreams(ctx, p.stdout, p.stderr)
	case asReceiver:
		return checkReceiver(ctx, p.stdout)
	case command == "check":
		return check(ctx, p.stdout, prove)
	}
	return fmt.Errorf("%w: there is no command %q (try --help)", errUsage, command)
}

// release and commit are set by the build to the version that is released, and what it was built from.
var release, commit string

func version() string {
	info, _ := debug.ReadBuildInfo()
	return versionOf(release, info)
}

// versionOf is what the build was told, else what Go noted of the module.
func versionOf(told string, info *debug.BuildInfo) string {
	if info != nil {
		told = cmp.Or(told, info.Main.Version)
	}
	return cmp.Or(told, "(devel)")
}

func revision() string {
	info, _ := debug.ReadBuildInfo()
	return revisionOf(commit, info)
}

// revisionOf is what the build was told, else what Go noted of the repository that it built from.
func revisionOf(told string, info *debug.BuildInfo) string {
	if told != "" || info == nil {
		return cmp.Or(told, "unknown")
	}
	noted := map[string]string{}
	for _, setting := range info.Settings {
		noted[setting.Key] = setting.Value
	}
	revision := cmp.Or(noted["vcs.revision"], "unknown")
	if noted["vcs.modified"] == "true" {
		revision += "+dirty"
	}
	return revision
}

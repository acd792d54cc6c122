// Logoffctl is the operator's tool: it stores jobs, waits for their results, and says what became of each.
//
// All state is in JetStream. The tool keeps none, and asks no worker to act: what one person stored or paused, another
// sees and goes on with, from another machine, after a crash.
//
// # How a verb is made
//
// Each verb is one file with one function that returns its command, such as
//
//	func (t *tool) statusCommand() *cobra.Command {
//		cmd := &cobra.Command{Use: "status", Short: "is it well, and if not, why", Example: "…"}
//		return t.verb(cmd, func(ctx context.Context, args []string) error { … })
//	}
//
// and [tool.root] lists it. What a verb rests on:
//
//   - [tool.verb] (main.go): wraps what it does, so that an error of the command line is told from one of its own.
//   - [tool.connect] (connection.go): the [site], that is NATS, JetStream, and the subjects and streams of the
//     deployment. [site.explain] adds the right that NATS said is missing to an error that is only a time-out.
//   - [site.whoAmI] (identity.go): the name under which something is published or done.
//   - [site.read], [site.follow], [site.lastResult] (read.go): the records of a stream from a place on, then those
//     that come, and the last result of a job, which a person names by id, key or sequence ([jobName]).
//   - [tool.table], [tool.object], [tool.say] (output.go): stdout is data, as columns or with --json one object a
//     line; stderr is everything else.
//   - [tool.changes] and [tool.confirm] (confirm.go): --yes, --dry-run, and the number that a person types.
//   - [notSo], [badUsage], [unclear], [late], [isHeld], [interrupted] (exit.go): errors that are exit codes.
//
// Exit codes: 0 what was asked for is so; 1 it is not; 2 bad usage or bad input, nothing was stored or changed; 3 it
// could not be found out; 4 stored, but the results did not come in time; 5 held for approval; 130 interrupted.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program without its process.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	t := &tool{stdin: stdin, stdout: stdout, stderr: stderr}
	root := t.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && !t.ran {
		err = badUsage("%w (try logoffctl --help)", err)
	}
	if words := wordsOf(ctx, err); words != "" {
		t.say("logoffctl: %s", words)
	}
	return exitCode(ctx, err)
}

// A tool is one run of the program.
type tool struct {
	stdin          io.Reader
	stdout, stderr io.Writer

	where whereabouts // of NATS, as the flags say
	json  bool        // one object a line
	ran   bool        // the command line is understood, and what it asks for was begun

	unfound bool // a job that is named is not there: exit code 1, whatever is done with others
}

// root is the command without a verb.
func (t *tool) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "logoffctl",
		Short:         "store logoff jobs, and see what became of them",
		Long:          rootHelp,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(t.stdin)
	root.SetOut(t.stdout)
	root.SetErr(t.stderr)
	root.SetVersionTemplate("logoffctl {{.Version}}\n")
	flags := root.PersistentFlags()
	flags.BoolVar(&t.json, "json", false, "print one JSON object a line")
	t.where.addFlags(flags)
	root.AddCommand(
		t.submitCommand(),
		t.watchCommand(),
		t.findCommand(),
		t.auditCommand(),
		t.showCommand(),
		t.statusCommand(),
		t.deadCommand(),
		t.approveCommand(),
		t.denyCommand(),
		t.pauseCommand(),
		t.resumeCommand(),
		t.doctorCommand(),
	)
	return root
}

const rootHelp = `Logoffctl stores logoff jobs in NATS JetStream, waits for their results, and says what became of
each.

Where NATS is: the flags below, else the LOGOFF_NATS_* variables of a worker, else the context
of the nats command (--context, NATS_CONTEXT or the selected one), else nats://127.0.0.1:4222.

Exit codes: 0 what was asked for is so; 1 it is not; 2 bad usage or bad input, nothing was
stored or changed; 3 it could not be found out; 4 stored, but the results did not come in time;
5 held for approval; 130 interrupted.`

// verb gives a command what it does.
func (t *tool) verb(cmd *cobra.Command, do func(ctx context.Context, args []string) error) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		t.ran = true
		err := do(cmd.Context(), args)
		if err == nil && t.unfound {
			err = notSo("")
		}
		return err
	}
	return cmd
}

// release is set by the build to the version that is released.
var release string

func version() string {
	if release != "" {
		return release
	}
	return "(devel)"
}

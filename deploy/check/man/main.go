// Man writes the manual page of logoff-worker, made from what its --help says. Its arguments are the version and the
// time of the release (RFC 3339).
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "man:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) != 2 {
		return errors.New("want a version and a time")
	}
	at, err := time.Parse(time.RFC3339, args[1])
	if err != nil {
		return err
	}
	asked := exec.CommandContext(ctx, "go", "run", "./cmd/logoff-worker", "--help")
	asked.Dir = "../.."
	help, err := asked.Output()
	if err != nil {
		return fmt.Errorf("ask for the help: %w", err)
	}
	_, err = io.WriteString(out, page(args[0], at, help))
	return err
}

// page is the manual page. The help is shown as it is, because it is set in columns.
func page(version string, at time.Time, help []byte) string {
	first, rest, _ := bytes.Cut(help, []byte("\n"))
	usage, settings, _ := bytes.Cut(rest, []byte("Settings come from the environment:\n"))
	purpose := strings.TrimSuffix(strings.TrimPrefix(string(first), "logoff-worker "), ".")
	var b strings.Builder
	fmt.Fprintf(&b, ".TH LOGOFF\\-WORKER 1 \"%s\" \"logoff\\-worker %s\" \"User commands\"\n", at.UTC().Format(time.DateOnly), version)
	fmt.Fprintf(&b, ".SH NAME\nlogoff\\-worker \\- %s\n", escaped(purpose))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.nf\n%s.fi\n", escaped(strings.TrimPrefix(strings.Trim(string(usage), "\n"), "Usage:\n")+"\n"))
	fmt.Fprintf(&b, ".SH ENVIRONMENT\n.nf\n%s.fi\n", escaped(strings.Trim(string(settings), "\n")+"\n"))
	b.WriteString(".SH EXIT STATUS\n0 when it stopped as asked, 1 when it failed while running, 2 for bad usage or configuration.\n")
	b.WriteString(".SH FILES\n.TP\n/etc/logoff\\-worker/logoff\\-worker.env\nthe settings of the systemd service\n.TP\n/etc/logoff\\-worker/secrets\nits secrets, a file for each\n")
	return b.String()
}

// escaped is a text as roff shows it: with its hyphens, backslashes, and dots at the beginning of lines.
func escaped(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}

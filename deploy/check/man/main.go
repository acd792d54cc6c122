// Man writes a program's manual page, made from what its --help says. Its arguments are the program, and the version
// and the time of the release (RFC 3339).
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	if len(args) != 3 {
		return errors.New("want a program, a version and a time")
	}
	program, version := args[0], args[1]
	at, err := time.Parse(time.RFC3339, args[2])
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "man")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // which the system does later otherwise
	text, file := "", filepath.Join(dir, program)
	switch program {
	case "logoff-worker":
		help, err := builtHelp(ctx, program, file)
		if err != nil {
			return err
		}
		text = page(version, at, help)
	case "logoffctl":
		if text, err = toolPage(ctx, file, version, at); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%q has no manual page", program)
	}
	_, err = io.WriteString(out, text)
	return err
}

// builtHelp builds a program into a file, and returns what it says of itself.
func builtHelp(ctx context.Context, program, file string) ([]byte, error) {
	build := exec.CommandContext(ctx, "go", "build", "-o", file, "./cmd/"+program)
	build.Dir = "../.."
	if said, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build %s: %w\n%s", program, err, said)
	}
	return helpOf(ctx, file)
}

// helpOf is what a program says of itself, or of one of its verbs.
func helpOf(ctx context.Context, file string, verb ...string) ([]byte, error) {
	help, err := exec.CommandContext(ctx, file, append(verb, "--help")...).Output()
	if err != nil {
		return nil, fmt.Errorf("ask for the help of %q: %w", verb, err)
	}
	return help, nil
}

// page is the manual page of the worker. The help is shown as it is, because it is set in columns.
func page(version string, at time.Time, help []byte) string {
	first, rest, _ := bytes.Cut(help, []byte("\n"))
	usage, settings, _ := bytes.Cut(rest, []byte("Settings come from the environment:\n"))
	purpose := strings.TrimSuffix(strings.TrimPrefix(string(first), "logoff-worker "), ".")
	var b strings.Builder
	begin(&b, "logoff-worker", purpose, version, at)
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.nf\n%s.fi\n", escaped(strings.TrimPrefix(strings.Trim(string(usage), "\n"), "Usage:\n")+"\n"))
	fmt.Fprintf(&b, ".SH ENVIRONMENT\n.nf\n%s.fi\n", escaped(strings.Trim(string(settings), "\n")+"\n"))
	b.WriteString(".SH EXIT STATUS\n0 when it stopped as asked, 1 when it failed while running, 2 for bad usage or configuration.\n")
	b.WriteString(".SH FILES\n.TP\n/etc/logoff\\-worker/logoff\\-worker.env\nthe settings of the systemd service\n.TP\n/etc/logoff\\-worker/secrets\nits secrets, a file for each\n")
	b.WriteString(".SH SEE ALSO\nlogoffctl(1)\n")
	return b.String()
}

// toolPage is the manual page of the operator's tool: what it says of itself, then of each of its verbs.
func toolPage(ctx context.Context, file, version string, at time.Time) (string, error) {
	help, err := builtHelp(ctx, "logoffctl", file)
	if err != nil {
		return "", err
	}
	description, usage, _ := strings.Cut(string(help), "\nUsage:\n")
	var b strings.Builder
	begin(&b, "logoffctl", "stores logoff jobs, and says what became of each", version, at)
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.nf\n%s.fi\n", escaped(strings.Trim(usage, "\n")+"\n"))
	fmt.Fprintf(&b, ".SH DESCRIPTION\n.nf\n%s.fi\n", escaped(strings.Trim(description, "\n")+"\n"))
	if err := verbs(ctx, &b, file, usage); err != nil {
		return "", err
	}
	b.WriteString(".SH SEE ALSO\nlogoff\\-worker(1), nats(1)\n")
	return b.String(), nil
}

// verbs writes a section for each verb that a help lists, and for the verbs below it.
func verbs(ctx context.Context, b *strings.Builder, file, usage string, above ...string) error {
	_, list, _ := strings.Cut(usage, "\nAvailable Commands:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	for line := range strings.Lines(list) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "" || name == "help" || name == "completion" {
			continue
		}
		verb := append(slices.Clone(above), name)
		help, err := helpOf(ctx, file, slices.Clone(verb)...)
		if err != nil {
			return err
		}
		text, _, _ := strings.Cut(string(help), "\nGlobal Flags:\n")
		fmt.Fprintf(b, ".SH \"logoffctl %s\"\n.nf\n%s.fi\n", escaped(strings.Join(verb, " ")), escaped(strings.Trim(text, "\n")+"\n"))
		if err := verbs(ctx, b, file, string(help), verb...); err != nil {
			return err
		}
	}
	return nil
}

// begin writes how a page begins.
func begin(b *strings.Builder, program, purpose, version string, at time.Time) {
	name := escaped(program)
	fmt.Fprintf(b, ".TH %s 1 \"%s\" \"%s %s\" \"User commands\"\n", strings.ToUpper(name), at.UTC().Format(time.DateOnly), name, version)
	fmt.Fprintf(b, ".SH NAME\n%s \\- %s\n", name, escaped(purpose))
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

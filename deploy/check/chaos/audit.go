package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/nats-io/nkeys"

	"logoffworker/worker/history"
	"logoffworker/worker/stage"
)

// makeSigner makes the key with which the workers sign digests of their results, and the list of those who are trusted.
// The seed must be seen nowhere.
func (w *world) makeSigner() error {
	key, err := nkeys.CreateUser()
	if err != nil {
		return err
	}
	seed, err1 := key.Seed()
	public, err2 := key.PublicKey()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	w.canaries["audit"] = string(seed)
	return errors.Join(os.WriteFile(w.seedFile(), seed, 0o600), os.WriteFile(w.trustFile(), []byte(public), 0o600))
}

func (w *world) seedFile() string { return filepath.Join(w.dir, "audit.seed") }

func (w *world) trustFile() string { return filepath.Join(w.dir, "audit.trust") }

// audit has logoffctl verify that no result was changed, and that each stored job has exactly one. What it finds are
// violations.
func (w *world) audit(ctx context.Context, d *deployment) error {
	var servers []string
	for _, n := range d.nodes {
		servers = append(servers, strings.Replace(n.URL(), "://", "://admin:"+stage.AdminPassword+"@", 1))
	}
	verify := exec.CommandContext(ctx, w.program("logoffctl"), "audit", "verify", "--complete", "--trust", w.trustFile(),
		"--server", strings.Join(servers, ","), "--prefix", d.subjects.Prefix, "--inbox-prefix", "_INBOX")
	text, err := verify.CombinedOutput()
	w.outputs["audit-"+d.subjects.Prefix] = text
	fmt.Fprintf(w.out, "%s\n", text)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &exit):
		return fmt.Errorf("run logoffctl: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "note: ") {
			w.audited = append(w.audited, history.Violation{Rule: "audit", Job: d.subjects.Prefix, Why: strings.TrimSpace(line)})
		}
	}
	return nil
}

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"logoffworker/worker/stage/bubble"
)

// examples are those of --help, with the exit code that each ends with in the world of [TestExamplesOfHelpRun]. A verb
// that has another example adds it here.
var examples = map[string]int{
	`logoffctl submit 'CORP\jane' --why "credential compromise" --label case=INC-1 --wait`: 0,
	`logoffctl submit AE92D1DD-0C68-49A6-BEBB-404D96D7A4BF@42 jane@corp.example`:           0,
	`logoffctl submit -f leavers.csv --column upn --why offboarding --wait --yes`:          1,
	`logoffctl submit -f leavers.csv --column upn --dry-run`:                               0,
	`logoffctl watch`:                       0,
	`logoffctl watch 01JDCASE7K2Q5`:         0,
	`logoffctl watch --since 1h --not-done`: 0,
	`logoffctl watch --status partial --status failed --publisher soar --json`: 0,
	`logoffctl find 'CORP\jane'`:                                                       0,
	`logoffctl find AE92D1DD-0C68-49A6-BEBB-404D96D7A4BF --since 7d`:                   1,
	`logoffctl find INC-1 --json`:                                                      1,
	`logoffctl audit verify`:                                                           0,
	`logoffctl audit verify --complete --trust keys.txt`:                               0,
	`logoffctl audit verify --since 7d`:                                                0,
	`logoffctl audit export --person 'CORP\jane' --since 30d`:                          0,
	`logoffctl audit export --label case=INC-1 --csv`:                                  1,
	`logoffctl audit export --publisher hr --since 2026-11-01 --until 2026-12-01`:      1,
	`logoffctl audit export --acts --since 7d`:                                         1,
	`logoffctl doctor`:                                                                 1, // no worker is asked there
	`logoffctl doctor --monitor http://nats.example:8222`:                              1,
	`logoffctl doctor --json`:                                                          1,
	`logoffctl show 01JDCASE7K2Q5`:                                                     0,
	`logoffctl show 1 --json`:                                                          0,
	`logoffctl status`:                                                                 3,
	`logoffctl status --watch`:                                                         3,
	`logoffctl status --json`:                                                          3,
	`logoffctl dead ls`:                                                                0,
	`logoffctl dead ls --group`:                                                        0,
	`logoffctl dead ls --reason partial --publisher hr --older 7d --json`:              0,
	`logoffctl dead replay --reason partial --why "the Web Server is back" --dry-run`:  0,
	`logoffctl dead replay 88102 --why "agreed with jane" --yes`:                       1,
	`logoffctl dead replay --reason failed --older 1h --rate 600/m --yes`:              0,
	`logoffctl dead drop 88102 --why "left the company" --dry-run`:                     1,
	`logoffctl dead drop --reason invalid --older 7d --why "told the publisher" --yes`: 0,
	`logoffctl approve 91207 --why "reorganisation, agreed with HR" --dry-run`:         1,
	`logoffctl approve 91207 --why "reorganisation, agreed with HR" --yes`:             1,
	`logoffctl deny 91207 --why "the wrong list" --dry-run`:                            1,
	`logoffctl deny 91207 --why "the wrong list" --yes`:                                1,
	`logoffctl pause bulk --for 3h --why "CommServe maintenance, CHG-4471"`:            0,
	`logoffctl pause all --for 30m --why "restore test" --dry-run`:                     0,
	`logoffctl resume bulk`:                                                            0,
	`logoffctl resume all --why "maintenance is over"`:                                 0,
}

// Every verb has examples, and they run in a shell as they stand there.
func TestExamplesOfHelpRun(t *testing.T) {
	bubble.SkipsUnderRace(t)
	w := testWorld(t, 3)
	if err := w.work(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	list := "name,upn\nJane,jane@corp.example\nNobody,nobody@corp.example\n"
	if err := os.WriteFile(filepath.Join(dir, "leavers.csv"), []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := w.run(t, "submit", `CORP\jane`, "--id", "01JDCASE7K2Q5", "--wait"); code != 0 {
		t.Fatalf("the first job ended with %d: %s", code, stderr)
	}
	n, err := newNotary(w)
	if err == nil {
		err = errors.Join(n.trust(filepath.Join(dir, "keys.txt")), n.digest(n.key, "", nil))
	}
	if err != nil {
		t.Fatal(err)
	}
	unseen := map[string]bool{}
	for example := range examples {
		unseen[example] = true
	}
	for _, cmd := range leaves((&tool{}).root()) {
		if cmd.Example == "" {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		for line := range strings.Lines(cmd.Example) {
			line = strings.TrimSpace(line)
			code, known := examples[line]
			delete(unseen, line)
			if !known {
				t.Errorf("the example %q of %s is run by no test", line, cmd.CommandPath())
				continue
			}
			if cmd.Name() == "watch" || strings.Contains(line, "--watch") {
				line += " --timeout 1s" // or it would watch for ever
			}
			shell := exec.Command("sh", "-c", line)
			shell.Dir, shell.Env = dir, append(os.Environ(), "LOGOFF_NATS_URL="+w.broker.URL())
			var out bytes.Buffer
			shell.Stdout, shell.Stderr = &out, &out
			if err := shell.Run(); err != nil && shell.ProcessState == nil {
				t.Fatal(err)
			}
			if got := shell.ProcessState.ExitCode(); got != code {
				t.Errorf("%s ended with %d, not %d:\n%s", line, got, code, out.String())
			}
		}
	}
	for example := range unseen {
		t.Errorf("%q is an example of no verb", example)
	}
}

// leaves are the commands that do something.
func leaves(cmd *cobra.Command) (all []*cobra.Command) {
	if !cmd.HasSubCommands() {
		return []*cobra.Command{cmd}
	}
	for _, sub := range cmd.Commands() {
		all = append(all, leaves(sub)...)
	}
	return all
}

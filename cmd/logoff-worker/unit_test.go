package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var unitFolder = filepath.Join("..", "..", "deploy", "systemd")

// Every variable that the unit and its example of settings name is one, and its example loads as it stands once the
// secrets are there.
func TestUnitNamesSettingsThatThereAre(t *testing.T) {
	known := variableNames()
	for _, name := range []string{"logoff-worker.env", "logoff-worker.service"} {
		text, err := os.ReadFile(filepath.Join(unitFolder, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, variable := range regexp.MustCompile(`LOGOFF_[A-Z_]+`).FindAllString(string(text), -1) {
			if !slices.Contains(known, variable) {
				t.Errorf("%s names %s, which is no setting", name, variable)
			}
		}
	}
	text, err := os.ReadFile(filepath.Join(unitFolder, "logoff-worker.env"))
	if err != nil {
		t.Fatal(err)
	}
	secrets := t.TempDir()
	for line := range strings.Lines(string(text)) {
		name, value, is := strings.Cut(strings.TrimSpace(line), "=")
		if !is || strings.HasPrefix(name, "#") {
			continue
		}
		value = strings.Trim(value, "'")
		if _, file, is := strings.Cut(value, "/secrets_"); is {
			value = filepath.Join(secrets, file)
			if err := os.WriteFile(value, []byte("secret\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		t.Setenv(name, value)
	}
	if _, warnings, err := load(); err != nil || len(warnings) > 0 {
		t.Errorf("%v, %q", err, warnings)
	}
}

// systemd and a shell, by which the settings are checked before the first start, read the same of each line: what one of
// them would take out or split stands in single quotes, and an example shows that.
func TestSettingsOfTheUnitAreReadByAShell(t *testing.T) {
	text := read(t, filepath.Join(unitFolder, "logoff-worker.env"))
	assignments := regexp.MustCompile(`(?m)^#?(LOGOFF_\w+)=(.*)$`).FindAllStringSubmatch(text, -1)
	safe := regexp.MustCompile(`^([\w./:,@-]*|'[^']*')$`)
	domain := false
	for _, assignment := range assignments {
		value := assignment[2]
		if !safe.MatchString(value) {
			t.Errorf("%s: put the value into single quotes", assignment[0])
		}
		out, err := exec.CommandContext(t.Context(), "sh", "-c", assignment[1]+"="+value+`; printf %s "$`+assignment[1]+`"`).CombinedOutput()
		if want := strings.Trim(value, "'"); err != nil || string(out) != want {
			t.Errorf("a shell reads %s as %q, want %q: %v", assignment[0], out, want, err)
		}
		domain = domain || strings.Contains(value, `\`)
	}
	if !domain || len(assignments) < 9 {
		t.Errorf("no example shows a name with its domain, among %d", len(assignments))
	}
}

// The command that has the settings checked before the first start is the one that is tried where the package is
// installed.
func TestCheckBeforeTheStartIsTried(t *testing.T) {
	blanks := regexp.MustCompile(`[\s\\]+`)
	_, command, _ := strings.Cut(read(t, root+"/deploy/README.md"), "this says what is wrong with the settings, NATS and the Web Server:\n\n```sh\nsudo sh -c '")
	command, _, found := strings.Cut(command, "'\n```")
	_, tried, _ := strings.Cut(read(t, root+"/deploy/check/install/steps.go"), "const checkCommand = `")
	tried, _, _ = strings.Cut(tried, "`")
	if command = blanks.ReplaceAllString(command, " "); !found || command != tried {
		t.Errorf("deploy/README.md says\n%s\nand the check of the package runs\n%s", command, tried)
	}
}

// The environment of the Deployment for Kubernetes loads as it stands once the files are mounted.
func TestDeploymentSetsWhatThereIs(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "kubernetes", "deployment.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	mounted := t.TempDir()
	variables := regexp.MustCompile(`- name: (LOGOFF_[A-Z_]+)\n +value: "?([^"\n]*)`).FindAllStringSubmatch(string(text), -1)
	for _, variable := range variables {
		name, value := variable[1], variable[2]
		if file, is := strings.CutPrefix(value, "/etc/logoff-worker/"); is {
			value = filepath.Join(mounted, file)
			if err := os.WriteFile(value, []byte("secret\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		t.Setenv(name, value)
	}
	if _, warnings, err := load(); err != nil || len(warnings) > 0 || len(variables) < 9 {
		t.Errorf("%v, %q, %d variables", err, warnings, len(variables))
	}
}

// The unit is one that systemd takes, and confines the service as far as systemd can tell.
func TestUnitIsConfined(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("there is no systemd-analyze")
	}
	unit := filepath.Join(unitFolder, "logoff-worker.service")
	if text, err := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=true", "--threshold=15", unit).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
	text, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", unit).CombinedOutput()
	said := regexp.MustCompile(`(?m)^.*/usr/bin/logoff-worker is not executable.*$`).ReplaceAllString(string(text), "")
	if strings.TrimSpace(said) != "" {
		t.Errorf("%v\n%s", err, said)
	}
}

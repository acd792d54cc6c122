package main

import (
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"unicode/utf8"

	"logoffworker/worker/stage/bubble"
)

// Whoever asks a program for help can read it in a window of 100 columns.
func TestEveryCommandTellsItsUseInAHundredColumns(t *testing.T) {
	bubble.SkipsUnderRace(t)
	bin := t.TempDir()
	for _, build := range [][]string{{"../..."}, {"-C", "../../deploy/check", "./chaos"}} {
		arguments := append([]string{"build"}, build[:len(build)-1]...)
		arguments = append(arguments, "-o", bin, build[len(build)-1])
		if out, err := exec.Command("go", arguments...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	programs, err := filepath.Glob(filepath.Join(bin, "*"))
	if err != nil || len(programs) < 6 {
		t.Fatalf("%d programs %v", len(programs), err)
	}
	for _, program := range programs {
		for _, arguments := range [][]string{{"--help"}, {"check", "--help"}} {
			if arguments[0] == "check" && filepath.Base(program) != "logoff-worker" {
				continue
			}
			out, err := exec.Command(program, arguments...).CombinedOutput()
			if err != nil || len(out) == 0 {
				t.Errorf("%s %v: %v\n%s", program, arguments, err, out)
			}
			for line := range strings.SplitSeq(string(out), "\n") {
				if n := utf8.RuneCountInString(line); n > 100 || strings.HasSuffix(line, " ") {
					t.Errorf("%s %v has a line of %d columns: %q", filepath.Base(program), arguments, n, line)
				}
			}
		}
	}
}

// The help tells all of each setting, however often it breaks the line.
func TestHelpTellsTheWholeOfEachSetting(t *testing.T) {
	var out strings.Builder
	if err := usage(&out); err != nil {
		t.Fatal(err)
	}
	all := strings.Join(strings.Fields(out.String()), " ")
	for _, words := range []string{
		"LOGOFF_NATS_MONITOR_URL monitoring address of a NATS server, such as http://nats.example:8222: with it 'check' can see whether the server writes to the disk at once LOGOFF",
		"LOGOFF_SLOTS 4 most logoff requests in flight at a time LOGOFF",
		"LOGOFF_LOOSE_SESSION_IDS false accept session IDs that are not GUIDs",
	} {
		if !strings.Contains(all, words) {
			t.Errorf("it does not say %q:\n%s", words, out.String())
		}
	}
}

// The revision is the build's word, else what Go has noted of the repository.
func TestRevisionIsWhatWasBuilt(t *testing.T) {
	vcs := func(settings ...string) *debug.BuildInfo {
		info := &debug.BuildInfo{}
		for i := 0; i < len(settings); i += 2 {
			info.Settings = append(info.Settings, debug.BuildSetting{Key: settings[i], Value: settings[i+1]})
		}
		return info
	}
	for _, test := range []struct {
		set  string
		info *debug.BuildInfo
		want string
	}{
		{"", vcs("vcs", "git", "vcs.revision", "4cffeeb", "vcs.modified", "false"), "4cffeeb"},
		{"", vcs("vcs.modified", "true", "vcs.revision", "4cffeeb"), "4cffeeb+dirty"},
		{"5b69137", vcs("vcs.revision", "4cffeeb", "vcs.modified", "true"), "5b69137"},
		{"", vcs(), "unknown"},
		{"", nil, "unknown"},
	} {
		if got := revisionOf(test.set, test.info); got != test.want {
			t.Errorf("%q is shown, want %q", got, test.want)
		}
	}
}

// So is the version.
func TestVersionIsWhatWasBuilt(t *testing.T) {
	for _, test := range []struct {
		set  string
		info *debug.BuildInfo
		want string
	}{
		{"v1.2.0", &debug.BuildInfo{Main: debug.Module{Version: "v1.1.0"}}, "v1.2.0"},
		{"", &debug.BuildInfo{Main: debug.Module{Version: "v1.1.0"}}, "v1.1.0"},
		{"", &debug.BuildInfo{}, "(devel)"},
		{"", nil, "(devel)"},
	} {
		if got := versionOf(test.set, test.info); got != test.want {
			t.Errorf("%q is shown, want %q", got, test.want)
		}
	}
}

package main

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
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

// A text is broken between words; a word that is wider than a line has one of its own.
func TestTextIsBrokenBetweenWords(t *testing.T) {
	for text, want := range map[string][]string{
		"":                {""},
		"one two":         {"one two"},
		"one two three":   {"one two", "three"},
		"a broken-word b": {"a", "broken-word", "b"},
		"broken-word b":   {"broken-word", "b"},
	} {
		if got := wrapped(text, 7); !slices.Equal(got, want) {
			t.Errorf("%q is broken into %q, want %q", text, got, want)
		}
	}
}

// Help that nobody gets is not said to be given.
func TestHelpThatCannotBeWrittenIsAnError(t *testing.T) {
	r, w := io.Pipe()
	r.Close()
	if err := (program{stdout: w}).run(t.Context(), []string{"--help"}); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

// What a program is asked for is done in every form in which it may be asked, and what it does not know is refused before
// it begins.
func TestCommandsAndTheirFlags(t *testing.T) {
	for words, want := range map[string]struct{ says, not string }{
		"help":                        {"Settings come from the environment", ""},
		"-h":                          {"Settings come from the environment", ""},
		"check --help":                {"Settings come from the environment", ""},
		"--prove help":                {"Settings come from the environment", ""},
		"version":                     {"(revision ", ""},
		"--version":                   {"(revision ", ""},
		"run -v":                      {"(revision ", ""},
		"":                            {"LOGOFF_WEBSERVER_URL: required", "LOGOFF_RECEIVER_ADDR"},
		"run":                         {"LOGOFF_WEBSERVER_URL: required", "LOGOFF_RECEIVER_ADDR"},
		"check":                       {"LOGOFF_WEBSERVER_URL: required", "LOGOFF_RECEIVER_ADDR"},
		"check --prove":               {"LOGOFF_WEBSERVER_URL: required", "LOGOFF_RECEIVER_ADDR"},
		"--prove check":               {"LOGOFF_WEBSERVER_URL: required", "LOGOFF_RECEIVER_ADDR"},
		"check --receive":             {"LOGOFF_RECEIVER_ADDR: required", "LOGOFF_WEBSERVER"},
		"receive":                     {"LOGOFF_RECEIVER_ADDR: required", "LOGOFF_WEBSERVER"},
		"init":                        {"LOGOFF_NATS_URL: required", "LOGOFF_WEBSERVER"},
		"explain":                     {"explain needs a file with the message", "LOGOFF_"},
		"fly":                         {`there is no command "fly" (try --help)`, "LOGOFF_"},
		"run now":                     {`"now" is one word too many (try --help)`, "LOGOFF_"},
		"--fast":                      {"-fast (try --help)", "LOGOFF_"},
		"--fast check":                {"-fast (try --help)", "LOGOFF_"},
		"check --fast":                {"-fast (try --help)", "LOGOFF_"},
		"run --prove":                 {"--prove goes with check only", "LOGOFF_"},
		"check --prove-user 7":        {"--prove-user goes with check --prove only", "LOGOFF_"},
		"check --prove-user x":        {"a userId is a whole number above 0", "LOGOFF_"},
		"run --receive":               {"--receive belongs to check", "LOGOFF_"},
		"check --receive --prove":     {"--receive belongs to check", "LOGOFF_"},
		"check --prove --receive now": {`"now" is one word too many`, "LOGOFF_"},
	} {
		t.Run(words, func(t *testing.T) {
			var out, log strings.Builder
			err := program{stdout: &out, stderr: &log}.run(t.Context(), strings.Fields(words))
			answers := want.not == ""
			said := out.String()
			if !answers {
				said = fmt.Sprint(err)
			}
			if !strings.Contains(said, want.says) || !answers && strings.Contains(said, want.not) {
				t.Errorf("it says %q, want %q and no %s", said, want.says, want.not)
			}
			if code := map[bool]int{true: 0, false: 2}[answers]; exitCode(err) != code || !answers && out.Len() > 0 {
				t.Errorf("it ends with %d, want %d, and says %q", exitCode(err), code, out.String())
			}
		})
	}
}

// The exit code tells whose mistake it was.
func TestExitCodeTellsWhoseMistakeItWas(t *testing.T) {
	for code, err := range []error{nil, errors.New("the disk is full"), fmt.Errorf("%w: a word too many", errUsage)} {
		if got := exitCode(err); got != code {
			t.Errorf("%v ends with %d, want %d", err, got, code)
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

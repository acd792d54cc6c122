package main

import (
	"bytes"
	"encoding/csv"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/stage"
	"logoffworker/worker/stage/bubble"
)

// listLines is how long the list is: go test ./cmd/logoffctl -run GoesOn -args -lines 10000.
var listLines = flag.Int("lines", 2_500, "lines of the list that is submitted, killed and submitted again")

// Of a list some lines name somebody twice, some are empty, and some are of people whom nobody knows.
const (
	listUnknown = 15
	listTwice   = 20
	listEmpty   = 3
)

// writeLeavers writes such a list.
func writeLeavers(t *testing.T, w *world) (path string, unknown []string) {
	t.Helper()
	people := w.sim.Populate(*listLines - listUnknown - listTwice - listEmpty)
	rows := [][]string{}
	for i, p := range people {
		rows = append(rows, []string{fmt.Sprint(i), p.Login, "left, on Friday"})
	}
	for i := range listUnknown {
		name := fmt.Sprintf("nobody-%d@corp.example", i)
		unknown = append(unknown, name)
		rows = slices.Insert(rows, i*100, []string{fmt.Sprint(i), name, "left"})
	}
	for i := range listTwice {
		rows = append(rows, []string{"again", people[i*7].Login, ""})
	}
	var file bytes.Buffer
	out := csv.NewWriter(&file)
	_ = out.Write([]string{"no", "upn", "note"})
	_ = out.WriteAll(rows)
	file.WriteString(strings.Repeat("0,,\n", listEmpty))
	path = filepath.Join(t.TempDir(), "leavers.csv")
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, unknown
}

// A long list is submitted, killed half-way, and submitted again: no job is stored twice, the table counts
// everybody once, and those who are not done are in a file. The stream forgets message ids at once, so that it is not
// they that keep the jobs from being stored twice.
func TestASubmissionThatWasKilledGoesOn(t *testing.T) {
	bubble.SkipsUnderRace(t)
	w := testWorld(t, 0)
	if err := w.forgetIDs(); err != nil {
		t.Fatal(err)
	}
	path, unknown := writeLeavers(t, w)
	if err := w.work(); err != nil {
		t.Fatal(err)
	}
	args := []string{"submit", "-f", path, "--column", "upn", "--why", "offboarding", "--wait", "--yes"}
	first := w.start(t, args...)
	w.awaitLogoffs(t, *listLines)
	_ = first.Process.Kill()
	_ = first.Wait()

	people := *listLines - listTwice - listEmpty
	jobsOfList := (people + jobs.MaxUsers - 1) / jobs.MaxUsers
	code, stdout, stderr := w.run(t, args...)
	if code != 1 {
		t.Errorf("it ended with %d, not 1", code)
	}
	if n, err := w.storedEver(); err != nil || n != uint64(jobsOfList) {
		t.Errorf("%d jobs were stored (%v), not %d", n, err, jobsOfList)
	}
	for _, want := range []string{
		fmt.Sprintf(`leavers.csv: %s people in "upn" (%d named twice; lines %d, %d and %d are empty), bulk, %d jobs`,
			number(people), listTwice, *listLines-1, *listLines, *listLines+1, jobsOfList),
		"before, and not stored again", "not done: 15 people, in " + strings.TrimSuffix(path, ".csv") + ".not-done.csv; again with: logoffctl submit -f ",
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("stderr does not say %q", want)
		}
	}
	for _, want := range []string{"PEOPLE  OUTCOME", "  15  unknown"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("stdout does not say %q", want)
		}
	}
	if strings.Contains(stderr, "\r") || strings.Contains(stderr, "%") {
		t.Error("there is progress without a terminal")
	}
	t.Logf("stdout:\n%s\nstderr:\n%s", stdout, stderr)
	checkNotDone(t, strings.TrimSuffix(path, ".csv")+".not-done.csv", unknown)
}

// checkNotDone reads the file of who is not done.
func checkNotDone(t *testing.T, path string, want []string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, row := range rows[1:] {
		names = append(names, row[1])
	}
	if !slices.Equal(names, want) || rows[0][1] != "upn" {
		t.Errorf("not done are %v under %v, not %v", names, rows[0], want)
	}
}

// Jobs, one a line, of which some were stored when it was killed: the others follow, and none is stored twice.
func TestWhatWasStoredWhenItWasKilledIsNotStoredAgain(t *testing.T) {
	bubble.SkipsUnderRace(t)
	const lines, most = 3000, 5
	var file bytes.Buffer
	for i := range lines {
		fmt.Fprintf(&file, `{"id":"job-%d","users":[{"id":%d}]}`+"\n", i, 100_000+i)
	}
	path := filepath.Join(t.TempDir(), "many.jsonl")
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"submit", "-f", path, "--yes"}
	var w *world
	var before uint64
	for tries := 1; before == 0 || before >= lines; tries++ { // the kill may come too late
		if tries > most {
			t.Fatalf("it was not killed half-way in %d tries: %d were stored", most, before)
		}
		w = testWorld(t, 0)
		if err := w.forgetIDs(); err != nil {
			t.Fatal(err)
		}
		first := w.start(t, args...)
		stage.Await(t.Context(), time.Minute, func() bool {
			n, _ := w.storedEver()
			return n >= 300
		})
		_ = first.Process.Kill()
		_ = first.Wait()
		before, _ = w.storedEver()
	}
	code, _, stderr := w.run(t, args...)
	after, err := w.storedEver()
	if code != 0 || err != nil || after != lines {
		t.Errorf("it ended with %d, and %d jobs are stored, not %d:\n%s", code, after, lines, stderr)
	}
	t.Logf("%d were stored when it was killed: %s", before, stderr)
}

// awaitLogoffs waits until about half of some people's sessions were logged off.
func (w *world) awaitLogoffs(t *testing.T, people int) {
	t.Helper()
	const each = 5 // sessions of one of them, about
	documents := people * each / 200 / 2
	if !stage.Await(t.Context(), 5*time.Minute, func() bool { return w.sim.Count("logoff") >= documents }) {
		t.Fatalf("there were %d logoffs, and not %d", w.sim.Count("logoff"), documents)
	}
}

// command is the tool with arguments, in this world, and in a directory for the files it writes.
func (w *world) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("logoffctl", args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(cmd.Environ(), "LOGOFF_NATS_URL="+w.broker.URL())
	return cmd
}

// start starts the tool.
func (w *world) start(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := w.command(t, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// run runs the tool to its end.
func (w *world) run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := w.command(t, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// Package bubble runs tests of the whole in fake time, with the real broker and real HTTP inside. A test that needs
// time to pass, or anything with a timer, belongs in [Run]; each has a process of its own, because libraries share
// timers within a process.
package bubble

import (
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// variable names the test that a process was started for.
const variable = "LOGOFF_TEST_BUBBLE"

// Inside is the test that this process was started for; empty outside of all bubbles.
func Inside() string { return os.Getenv(variable) }

// Long reports whether tests are to take as long as they may. Those that live through days in fake time live through
// a part of one otherwise, and under the race detector one test in a few is run.
func Long() bool { return os.Getenv("LOGOFF_TEST_LONG") != "" }

// Run runs a test in a bubble, in a process of its own that may take no longer than the limit: nats.go
// shares timers between all connections of a process, and a timer must not leave its bubble. Under the race
// detector it skips most of them, unless the run is [Long]. That process has one thread for Go code, but as many as
// there are processors under the race detector and in a long run.
func Run(t *testing.T, limit time.Duration, test func(t *testing.T)) {
	if Inside() != t.Name() {
		if !Long() && !chosen(t.Name(), oneIn) {
			t.Skip("left to a long run: make race")
		}
		t.Parallel()
		command := exec.Command(os.Args[0], "-test.run=^"+strings.ReplaceAll(regexp.QuoteMeta(t.Name()), "/", "$/^")+"$", "-test.timeout="+limit.String(), "-test.v="+fmt.Sprint(testing.Verbose()))
		command.Env = append(os.Environ(), variable+"="+t.Name())
		if oneIn == 1 && !Long() {
			// Several of these processes run at once. With a thread for each processor, up to a third of the time goes
			// into threads that wake each other.
			command.Env = append(command.Env, "GOMAXPROCS=1")
		}
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		} else if strings.Contains(string(out), "no tests to run") {
			t.Fatal("the test's own process did not find it")
		} else if testing.Verbose() {
			t.Logf("%s", out)
		}
		return
	}
	startServerClock()
	if err := os.Setenv("TMPDIR", t.TempDir()); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { time.Sleep(time.Second) }) // of fake time, in which the client library's last goroutines end
		test(t)
	})
}

// NeedsNATS skips a test of what NATS servers before 2.minor do not have.
func NeedsNATS(t *testing.T, minor int) {
	t.Helper()
	if !HasNATS(minor) {
		t.Skipf("nats-server %s has less than 2.%d", server.VERSION, minor)
	}
}

// HasNATS reports whether the NATS server of the tests is 2.minor or later.
func HasNATS(minor int) bool {
	var major, has int
	_, err := fmt.Sscanf(server.VERSION, "%d.%d.", &major, &has)
	return err == nil && has >= minor
}

// SkipsUnderRace skips a test under the race detector that would take minutes there, unless the run is [Long].
func SkipsUnderRace(t *testing.T) {
	t.Helper()
	if oneIn > 1 && !Long() {
		t.Skip("it takes too long under the race detector")
	}
}

// SampledUnderRace skips a test under the race detector unless it is one in n of its kind, or the run is [Long].
func SampledUnderRace(t *testing.T, n uint32) {
	t.Helper()
	if oneIn > 1 && !Long() && !chosen(t.Name(), n) {
		t.Skip("left to a long run: make race")
	}
}

// chosen reports whether a test is the one in n that is run, which follows from its name.
func chosen(name string, n uint32) bool {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return h.Sum32()%n == 0
}

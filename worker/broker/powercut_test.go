//go:build linux

package broker_test

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"
)

var (
	powerCuts = flag.Int("powercuts", 5, "how many power cuts the broker has to survive; given, it is an error if none can be made here")
	powerSeed = flag.Uint64("powercutseed", 0, "the seed that an earlier run printed, to cut after the same numbers of confirmations; 0 draws one")
)

func TestMain(m *testing.M) {
	if os.Args[0] == victimName {
		fmt.Fprintln(os.Stderr, runVictim(storeOn(victimDisk), os.Args[1] == strconv.FormatBool(true)))
		os.Exit(1) // it works until it is killed
	}
	os.Exit(m.Run())
}

func TestPowerCutsLoseNothingAcknowledged(t *testing.T) {
	needsPowerCuts(t)
	seed := *powerSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-powercutseed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var sum damage
	for range *powerCuts {
		after := 1 + random.IntN(800)
		d := cutPower(t, true, after)
		if d.lost() > 0 || d.cameBack > 0 {
			t.Errorf("a cut after %d confirmations undid some: %v", after, d)
		}
		sum.add(d)
	}
	t.Log(sum)
}

// TestPowerCutsAreReal shows that the test above could fail: a broker that does not sync, cut in the
// same way, has to lose what it confirmed.
func TestPowerCutsAreReal(t *testing.T) {
	needsPowerCuts(t)
	d := cutPower(t, false, 300)
	t.Log("without SyncAlways:", d)
	if d.lost() == 0 {
		t.Errorf("the method cuts nothing: a broker that does not sync lost none of %d messages", d.messages)
	}
}

// cutPower lets a broker work on a disk of its own until it has confirmed so much, cuts the power and
// compares what it had confirmed with what is found on the disk.
func cutPower(t *testing.T, syncAlways bool, after int) damage {
	t.Helper()
	working := newDisk(t)
	confirmed, remains := interrupt(t, working, syncAlways, after)
	found := restart(t, remains, syncAlways)
	working.remove(t)
	remains.remove(t)
	return compare(confirmed, found)
}

// interrupt returns what a broker on the working disk confirmed before the cut, and the disk as the
// cut leaves it.
func interrupt(t *testing.T, working *disk, syncAlways bool, after int) (ledger, *disk) {
	t.Helper()
	var complaints bytes.Buffer
	command, confirmations := startVictim(t, working, syncAlways, &complaints)
	confirmed := ledger{jobs: numbers{}, results: numbers{}, done: numbers{}}
	lines := bufio.NewScanner(confirmations)
	for range after {
		if !lines.Scan() {
			ended := command.Wait() // until then complaints are still being written
			t.Fatalf("the broker ended before the cut: %v: %s", ended, &complaints)
		}
		confirmed.note(t, lines.Text())
	}
	stop(t, command.Process.Pid)
	working.cut(t)
	remains := working.copy(t)
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // what was printed before the stop and is still in the pipe
		confirmed.note(t, lines.Text())
	}
	_ = command.Wait() // it was killed
	return confirmed, remains
}

// startVictim starts a broker with its clients in a process that can be stopped as a whole.
func startVictim(t *testing.T, working *disk, syncAlways bool, complaints io.Writer) (*exec.Cmd, io.Reader) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program)
	command.Args = []string{victimName, strconv.FormatBool(syncAlways)}
	command.ExtraFiles = []*os.File{working.root}
	command.Stderr = complaints
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	confirmations, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if command.ProcessState == nil {
			_ = command.Process.Kill()
			_ = command.Wait()
		}
	})
	return command, confirmations
}

// stop returns when every thread of the process has stopped.
func stop(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(pid, &status, syscall.WUNTRACED, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil || !status.Stopped():
			t.Fatalf("the broker did not stop but ended: status %#x, %v", status, err)
		default:
			return
		}
	}
}

// numbers are a set of job numbers.
type numbers map[int]bool

// A ledger says of which jobs JetStream has confirmed what.
type ledger struct {
	jobs    numbers // the job is stored
	results numbers // its result is stored
	done    numbers // its double acknowledgement was answered
}

// note enters one line of the victim.
func (l ledger) note(t *testing.T, line string) {
	t.Helper()
	var what string
	var n int
	if _, err := fmt.Sscan(line, &what, &n); err != nil {
		t.Fatalf("a confirmation reads %q: %v", line, err)
	}
	switch what {
	case "job":
		l.jobs[n] = true
	case "result":
		l.results[n] = true
	case "done":
		l.done[n] = true
	default:
		t.Fatalf("a confirmation reads %q", line)
	}
}

// damage is what cuts undid of what was confirmed.
type damage struct {
	cuts     int
	messages int // jobs and results that were confirmed
	settled  int // double acknowledgements that were answered

	lostJobs    int
	lostResults int
	cameBack    int // jobs that are in the stream again although they were settled

	recovery time.Duration
}

// compare holds a disk's contents against the ledger. A job whose result was confirmed may be gone
// although its acknowledgement was not answered: the answer may have been what the cut stopped.
func compare(confirmed ledger, found contents) damage {
	d := damage{cuts: 1, messages: len(confirmed.jobs) + len(confirmed.results), settled: len(confirmed.done), recovery: found.recovery}
	for n := range confirmed.jobs {
		if !confirmed.results[n] && !found.jobs[n] {
			d.lostJobs++
		}
	}
	for n := range confirmed.results {
		if !found.results[n] {
			d.lostResults++
		}
	}
	for n := range confirmed.done {
		if found.jobs[n] {
			d.cameBack++
		}
	}
	return d
}

func (d damage) lost() int { return d.lostJobs + d.lostResults }

func (d *damage) add(other damage) {
	d.cuts += other.cuts
	d.messages += other.messages
	d.settled += other.settled
	d.lostJobs += other.lostJobs
	d.lostResults += other.lostResults
	d.cameBack += other.cameBack
	d.recovery += other.recovery
}

func (d damage) String() string {
	mean := d.recovery / time.Duration(max(1, d.cuts))
	return fmt.Sprintf("%d cuts: %d messages and %d double acks confirmed; lost %d jobs and %d results; %d settled jobs came back; mean restart %v",
		d.cuts, d.messages, d.settled, d.lostJobs, d.lostResults, d.cameBack, mean.Round(time.Millisecond))
}

package stage

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Process is a program that this one started.
type Process struct {
	Name string
	Out  *Output // its standard output and error

	cmd   *exec.Cmd
	ended chan struct{}
	err   error // as Wait gave it; read after ended
}

// Launch starts a program.
func Launch(name string, out *Output, environment []string, command ...string) (*Process, error) {
	p := &Process{Name: name, Out: out, cmd: exec.Command(command[0], command[1:]...), ended: make(chan struct{})}
	p.cmd.Env = environment
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// PID is the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal; to a process that has ended it does nothing.
func (p *Process) Signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// Running reports whether the process has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// EndsWithin waits, and reports whether the process has ended.
func (p *Process) EndsWithin(d time.Duration) bool {
	select {
	case <-p.ended:
		return true
	case <-time.After(d):
		return false
	}
}

// Err waits until the process has ended, and returns how; nil for exit code 0.
func (p *Process) Err() error {
	<-p.ended
	return p.err
}

// Killed waits until the process has ended, and reports whether SIGKILL ended it.
func (p *Process) Killed() bool {
	var exit *exec.ExitError
	if !errors.As(p.Err(), &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// Frozen reports whether a signal has stopped the process, which has not ended.
func (p *Process) Frozen() bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	return err == nil && bytes.Contains(stat, []byte(") T "))
}

// Kill ends the process at once, frozen or not.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.ended
}

// Stop ends the process as an operator does. The error has its last output.
func (p *Process) Stop(patience time.Duration) error {
	p.Signal(syscall.SIGTERM)
	if !p.EndsWithin(patience) {
		p.Kill()
		return fmt.Errorf("%s did not stop within %v of SIGTERM", p.Name, patience)
	}
	if p.err != nil {
		return fmt.Errorf("%s did not stop well: %w\n%s", p.Name, p.err, p.Out.Tail())
	}
	return nil
}

// An Output keeps what processes write to their standard output and error, and counts words in it.
type Output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// Reset forgets all of it.
func (o *Output) Reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Reset()
}

// Bytes returns a copy of all of it.
func (o *Output) Bytes() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Clone(o.text.Bytes())
}

// String returns all of it as text.
func (o *Output) String() string { return string(o.Bytes()) }

// Mark returns a place to count from: the end so far.
func (o *Output) Mark() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Len()
}

// Count returns how often words come after a mark.
func (o *Output) Count(mark int, words string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Count(o.text.Bytes()[mark:], []byte(words))
}

// Tail returns the last lines, for an error.
func (o *Output) Tail() string {
	lines := strings.Split(strings.TrimSpace(o.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

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
	Out  *Book // all that it puts out

	cmd   *exec.Cmd
	ended chan struct{}
	err   error // as Wait gave it; read after ended
}

// Launch starts a program.
func Launch(name string, out *Book, environment []string, program string, args ...string) (*Process, error) {
	p := &Process{Name: name, Out: out, cmd: exec.Command(program, args...), ended: make(chan struct{})}
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
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.ended:
		return true
	case <-timer.C:
		return false
	}
}

// Err is how a process that has ended did; nil for exit code 0.
func (p *Process) Err() error {
	<-p.ended
	return p.err
}

// Killed reports whether a process that has ended did so by SIGKILL.
func (p *Process) Killed() bool {
	var exit *exec.ExitError
	if !errors.As(p.Err(), &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// Frozen reports whether the process is stopped but not at its end.
func (p *Process) Frozen() bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	return err == nil && bytes.Contains(stat, []byte(") T "))
}

// Kill ends the process as a power switch would, frozen or not.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.ended
}

// Stop ends the process as an operator does, and says what it put out last if it did not end well.
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

// A Book holds what processes put out, to be counted in and kept.
type Book struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *Book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// Reset empties the book.
func (b *Book) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Reset()
}

// Bytes is a copy of all.
func (b *Book) Bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.text.Bytes())
}

// String is all of it as text.
func (b *Book) String() string { return string(b.Bytes()) }

// Mark is a place to count from.
func (b *Book) Mark() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Len()
}

// Count is how often words are in the book after a mark.
func (b *Book) Count(mark int, words string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Count(b.text.Bytes()[mark:], []byte(words))
}

// Tail is the end of the book, for an error.
func (b *Book) Tail() string {
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

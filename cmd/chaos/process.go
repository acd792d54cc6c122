package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A process is a program that this one started; it dies with this one.
type process struct {
	name  string
	out   *book
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended
	err   error         // as Wait gave it; read after ended
}

// launch starts a program. All that it puts out is kept in a book.
func launch(name string, out *book, environment []string, program string, args ...string) (*process, error) {
	p := &process{name: name, out: out, cmd: exec.Command(program, args...), ended: make(chan struct{})}
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

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// running reports whether the process has not ended.
func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// endsWithin waits, and reports whether the process has ended.
func (p *process) endsWithin(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.ended:
		return true
	case <-timer.C:
		return false
	}
}

// killed reports how a process that has ended did: by SIGKILL.
func (p *process) killed() bool {
	var exit *exec.ExitError
	if !errors.As(p.err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// frozen reports whether the process is stopped but not at its end.
func (p *process) frozen() bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	return err == nil && bytes.Contains(stat, []byte(") T "))
}

// kill ends the process as a power switch would.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// A book holds what processes put out, to be counted in and kept.
type book struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// bytes is a copy of all.
func (b *book) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.text.Bytes())
}

// mark is a place to count from.
func (b *book) mark() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Len()
}

// count is how often words are in the book after a mark.
func (b *book) count(mark int, words string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Count(b.text.Bytes()[mark:], []byte(words))
}

// tail is the end of the book, for an error.
func (b *book) tail() string {
	text := string(b.bytes())
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

// freePorts finds ports that nobody listens on. They lie below those that the system gives to
// outgoing connections, so that they stay free until they are used, and after a restart.
func freePorts(n int) (ports []int, err error) {
	for tries := 0; len(ports) < n && tries < 1000; tries++ {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000)))
		if err != nil {
			continue
		}
		defer listener.Close()
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	if len(ports) < n {
		return nil, errors.New("no free ports between 10000 and 30000")
	}
	return ports, nil
}

// await asks every few milliseconds until the answer is yes.
func await(ctx context.Context, patience time.Duration, yes func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	for !yes() {
		select {
		case <-ctx.Done():
			return false
		case <-every.C:
		}
	}
	return true
}

// pause waits, and reports whether it could wait to the end.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

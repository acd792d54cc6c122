// Package stage puts whole deployments on the loopback interface, as the programs that people run: NATS
// servers, the simulated Web Server and workers, each in a process of its own. The fault run attacks
// them there, the benchmark measures them. A process dies with the one that started it.
//
// It knows programs by their flags, addresses and signals alone, and nothing of their code.
package stage

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// Build builds one of the project's programs into a file, which is an absolute path. The working directory is
// in the source tree, in whichever of its modules.
func Build(ctx context.Context, program, file string, flags ...string) error {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "logoffworker").Output()
	if err != nil {
		return fmt.Errorf("build %s: the working directory is not in the project's source tree: %w", program, err)
	}
	args := append(append([]string{"build", "-o", file}, flags...), "./cmd/"+program)
	build := exec.CommandContext(ctx, "go", args...)
	build.Dir = strings.TrimSpace(string(root))
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", program, err, text)
	}
	return nil
}

// reserved are UDP sockets, one for each port that this process gave out. Nothing here speaks UDP, and two
// sockets of one number cannot be: whoever looks for a port, in this process or in another, finds it taken
// until this process ends.
var reserved struct {
	sync.Mutex
	sockets []net.PacketConn
}

// FreePorts finds ports that nobody listens on and gives none of them out twice, though nobody listens on it
// yet, or for a while. They lie below those that the system gives to outgoing connections, so that they stay
// free until they are used, and after a restart.
func FreePorts(n int) (ports []int, err error) {
	reserved.Lock()
	defer reserved.Unlock()
	for tries := 0; len(ports) < n && tries < 1000; tries++ {
		address := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))
		socket, err := net.ListenPacket("udp", address)
		if err != nil {
			continue
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			_ = socket.Close()
			continue
		}
		listener.Close()
		reserved.sockets = append(reserved.sockets, socket)
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	if len(ports) < n {
		return nil, errors.New("no free ports between 10000 and 30000")
	}
	return ports, nil
}

// FreeAddress is an address at which nothing listens, and nothing will but who was given it: see FreePorts.
func FreeAddress() (string, error) {
	ports, err := FreePorts(1)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("127.0.0.1:%d", ports[0]), nil
}

// Await asks every few milliseconds until the answer is yes. It returns false when patience or ctx
// ends first.
func Await(ctx context.Context, patience time.Duration, yes func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	every := time.NewTicker(5 * time.Millisecond)
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

// Pause waits, and reports whether it could wait to the end.
func Pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

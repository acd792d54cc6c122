package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"logoffworker/metrics"
)

// systemd is the service manager that started this process, and wants to hear how it is (Type=notify); nil where none
// does. What it hears is in sd_notify(3).
type systemd struct {
	conn     *net.UnixConn
	watchdog time.Duration // it restarts a service that it has not heard of for so long; 0 or less is never
}

// statusEvery is how often it is told how the worker is.
const statusEvery = 5 * time.Second

// managedBySystemd takes from the environment how systemd is told. The variables are removed, because they are meant
// for this process alone.
func managedBySystemd() (*systemd, error) {
	address, interval, pid := os.Getenv("NOTIFY_SOCKET"), os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID")
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		_ = os.Unsetenv(name)
	}
	if address == "" {
		return nil, nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("systemd cannot be told how the worker is, over the socket in NOTIFY_SOCKET: %w", err)
	}
	d := &systemd{conn: conn}
	usec, _ := strconv.ParseInt(interval, 10, 64) // what is no number is never
	if pid == "" || pid == strconv.Itoa(os.Getpid()) {
		d.watchdog = time.Duration(usec) * time.Microsecond
	}
	return d, nil
}

// tell tells systemd. It listens, or the next message reaches it.
func (d *systemd) tell(states ...string) {
	if d != nil {
		_, _ = d.conn.Write([]byte(strings.Join(states, "\n")))
	}
}

// watch says that the process has started, and then how the worker is, until ctx ends: whoever runs systemctl status
// reads the words of /readyz. That the worker waits for NATS or for the Web Server is no reason to restart it, so the
// watchdog is fed whatever they say; a process in which nothing runs any more does not come here.
func (d *systemd) watch(ctx context.Context, health *metrics.Health) {
	if d == nil {
		return
	}
	every := statusEvery
	if d.watchdog > 0 {
		every = min(every, d.watchdog/3)
	}
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	d.tell("READY=1", "STATUS="+inALine(health))
	for {
		select {
		case <-ticks.C:
			d.tell("WATCHDOG=1", "STATUS="+inALine(health))
		case <-ctx.Done():
			d.tell("STOPPING=1", "STATUS=The worker stops: it finishes the requests in flight.")
			return
		}
	}
}

// inALine is what /readyz says, in one line.
func inALine(health *metrics.Health) string {
	return strings.Join(strings.Fields(health.Verdict().String()), " ")
}

//go:build faults

package main

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
)

// crashes lets this program die as by kill -9 when it next reaches the point that the file named by
// CRASH_POINT_FILE holds. It reads the file when SIGUSR1 comes.
func crashes() (reached func(point string)) {
	var armed atomic.Value
	armed.Store("")
	requests := make(chan os.Signal, 1)
	signal.Notify(requests, syscall.SIGUSR1)
	go func() {
		for range requests {
			data, err := os.ReadFile(os.Getenv("CRASH_POINT_FILE"))
			if err != nil {
				fmt.Fprintln(os.Stderr, "crash point:", err)
			}
			armed.Store(strings.TrimSpace(string(data)))
		}
	}()
	return func(point string) {
		if armed.Load() == point {
			fmt.Fprintln(os.Stderr, "crash point reached:", point)
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
}

//go:build faults

package main

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"

	"logoffworker/worker"
)

// crashes lets this program die as by kill -9 when it next reaches the point that the file named by
// CRASH_POINT_FILE holds. It reads the file when SIGUSR1 comes.
func crashes() func(worker.Point) {
	var armed atomic.Value
	armed.Store(worker.Point(""))
	requests := make(chan os.Signal, 1)
	signal.Notify(requests, syscall.SIGUSR1)
	go func() {
		for range requests {
			data, err := os.ReadFile(os.Getenv("CRASH_POINT_FILE"))
			if err != nil {
				fmt.Fprintln(os.Stderr, "crash point:", err)
			}
			armed.Store(worker.Point(strings.TrimSpace(string(data))))
		}
	}()
	return func(p worker.Point) {
		if armed.Load() == p {
			fmt.Fprintln(os.Stderr, "crash point reached:", p)
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
}

//go:build !faults

package main

import "logoffworker/worker"

// crashes is nil: only a program built for fault runs dies at a [worker.Point].
func crashes() func(worker.Point) { return nil }

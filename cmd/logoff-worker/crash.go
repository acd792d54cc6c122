//go:build !faults

package main

// crashes returns what does nothing: only a program built for fault runs dies at a point.
func crashes() (reached func(point string)) { return func(string) {} }

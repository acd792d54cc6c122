// Package rules has no code: its test shows that each import rule of .golangci.yml complains about a wrong
// import.
package rules

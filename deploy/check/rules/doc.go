// Package rules has no code: its tests hold the source tree to its rules. Each import rule of .golangci.yml complains
// about a wrong import, and no program that was built is kept.
package rules

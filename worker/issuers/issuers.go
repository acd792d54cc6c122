// Package issuers reads the issuers file: which security systems are trusted, by which keys, what of theirs becomes a
// job, and how they are reached. It keeps the file, its map files, its secrets and the issuers' keys fresh.
//
// A file that is wrong stops a start with everything that is wrong with it; a file that becomes wrong later changes
// nothing, and is told as a condition. Keys are read from the URLs of the file alone, at most once in 30 seconds each,
// whoever asks; a key set that cannot be read keeps the one that was read before.
package issuers

import (
	"context"
	"time"

	"logoffworker/jobs"
	"logoffworker/jobs/signals"
)

// Issuers are what the file says now.
type Issuers struct{}

// Open reads the file at path. The error says everything that is wrong with it, a line each.
func Open(path string) (*Issuers, error) { panic("issuers") }

// Run keeps the file, what it names and the keys fresh until ctx ends.
func (i *Issuers) Run(ctx context.Context) { panic("issuers") }

// File is what the file says now; it is not to be changed.
func (i *Issuers) File() *File { panic("issuers") }

// Reader reads messages by what the file says now.
func (i *Issuers) Reader(rules jobs.Rules, now time.Time) signals.Reader { panic("issuers") }

// Want says that a message waits for a key of an issuer that is not known. It returns at once; the key set is asked for
// unless that was done within the last 30 seconds.
func (i *Issuers) Want(issuer string) { panic("issuers") }

package tokens

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"logoffworker/worker/webserver"
)

// Stored is what a bucket holds, for a look from outside.
type Stored struct {
	Pair webserver.Pair
	// State is good, renewing, lost or dead, and Why the reason of the last two.
	State, Why string
	Renewals   int
	// File tells how a pair file stands to it.
	File FilePair
}

// LogValue keeps the tokens out of logs.
func (s Stored) LogValue() slog.Value { return s.Pair.LogValue() }

// A FilePair is how the pair of a file stands to the stored one.
type FilePair int

// The ways.
const (
	FileCurrent FilePair = iota // the stored pair comes from it by renewals, or is it
	FileNew                     // it will take the place of the stored pair
	FileOld                     // another has taken its place before
)

// ErrNothingStored is a bucket without a pair.
var ErrNothingStored = errors.New("no pair is stored")

// Inspect reads a bucket and changes nothing. Without a pair in it the error is [ErrNothingStored];
// without a bucket [jetstream.ErrBucketNotFound].
func (b Bucket) Inspect(ctx context.Context, key Key, file webserver.Pair) (Stored, error) {
	b.Create = false
	s := store{Bucket: b, key: key}
	r, _, err := s.read(ctx)
	if err != nil {
		return Stored{}, err
	}
	stored := Stored{Pair: webserver.Pair(r.Pair), State: string(r.State), Why: r.Why, Renewals: r.Renewals}
	switch fingerprint := key.fingerprint(pair(file)); {
	case fingerprint == r.seed():
	case slices.Contains(r.Seeds, fingerprint):
		stored.File = FileOld
	default:
		stored.File = FileNew
	}
	return stored, nil
}

// Usable reports whether the pair can be renewed.
func (s Stored) Usable() bool { return s.State == string(good) || s.State == string(renewing) }

// EndsSoon reports whether a person has to make a new access token before long.
func (s Stored) EndsSoon() bool {
	until := s.Pair.RenewableUntil
	return !until.IsZero() && time.Until(until) < warnBefore
}

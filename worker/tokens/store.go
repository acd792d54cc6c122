package tokens

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"
)

// pairKey is the one key of the bucket.
const pairKey = "pair"

// bucketBytes is room for the one record many times over: some accounts demand a limit.
const bucketBytes = 1 << 20

// storeTimeout is how long JetStream may take to answer one question.
const storeTimeout = 2 * time.Second

var errConflict = errors.New("somebody else has changed the stored pair")

var legalBucket = regexp.MustCompile(`^[-_0-9A-Za-z]+$`)

// LegalBucket reports whether NATS takes a bucket of this name.
func LegalBucket(name string) bool { return legalBucket.MatchString(name) }

// A store is the bucket with the fleet's record. Writes are by compare-and-set alone.
type store struct {
	Bucket
	key  Key
	kv   jetstream.KeyValue // nil until it was found, and after it failed
	born time.Time          // when the bucket that was last read was made
}

func (s *store) place() string { return s.Name + "/" + pairKey }

// A Bucket is where the fleet's record is, or is to be.
type Bucket struct {
	JS   jetstream.JetStream
	Name string
	// Create says whether it is made where it is missing, with so many copies.
	Create   bool
	Replicas int
}

// Provision finds the bucket, or creates it where that is wanted, and checks that it keeps what it is
// given.
func (b Bucket) Provision(ctx context.Context) error {
	s := store{Bucket: b}
	if err := s.open(ctx); err != nil {
		return err
	}
	return s.examine(ctx)
}

// open finds or creates the bucket.
func (s *store) open(ctx context.Context) error {
	kv, err := s.JS.KeyValue(ctx, s.Name)
	if errors.Is(err, jetstream.ErrBucketNotFound) && s.Create {
		// A NATS server that deletes a stream gives its name free before it removes its files: those of a
		// stream that is made right away may go with them, and it never confirms anything.
		if !s.born.IsZero() {
			s.born = time.Time{}
			return fmt.Errorf("bucket %s: it was deleted; it is made anew in a moment", s.Name)
		}
		kv, err = s.JS.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: s.Name, Description: "access token of the logoff workers, encrypted",
			History: 1, Storage: jetstream.FileStorage, Replicas: s.Replicas, MaxBytes: bucketBytes,
		})
		if errors.Is(err, jetstream.ErrBucketExists) { // another replica was first
			kv, err = s.JS.KeyValue(ctx, s.Name)
		}
	}
	if err != nil {
		return fmt.Errorf("bucket %s: %w", s.Name, err)
	}
	s.kv = kv
	return nil
}

// examine learns when the bucket was made, and says why it would lose the pair.
func (s *store) examine(ctx context.Context) error {
	status, err := s.kv.Status(ctx)
	if err == nil {
		info := status.(*jetstream.KeyValueBucketStatus).StreamInfo()
		s.born = info.Created
		err = unsafe(info.Config)
	}
	if err != nil {
		s.kv = nil
		return fmt.Errorf("bucket %s: %w", s.Name, err)
	}
	return nil
}

// unsafe says why a bucket would lose the pair.
func unsafe(c jetstream.StreamConfig) error {
	switch {
	case c.MaxAge != 0:
		return fmt.Errorf("it forgets what is older than %v, the pair too: it must have no TTL", c.MaxAge)
	case c.Storage != jetstream.FileStorage:
		return errors.New("it is kept in memory: it must have file storage")
	}
	return nil
}

// read returns what is stored and its revision. A handle that was good may have lost its bucket, so it
// asks again with a new one.
func (s *store) read(ctx context.Context) (record, uint64, error) {
	kept := s.kv != nil
	r, revision, err := s.readOnce(ctx)
	if kept && s.kv == nil { // which err says why
		r, revision, err = s.readOnce(ctx)
	}
	return r, revision, err
}

func (s *store) readOnce(ctx context.Context) (record, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*storeTimeout)
	defer cancel()
	if s.kv == nil {
		if err := s.open(ctx); err != nil {
			return record{}, 0, err
		}
	}
	if err := s.examine(ctx); err != nil { // before the record is read, which may then be of a later bucket, not of an earlier one
		return record{}, 0, err
	}
	entry, err := s.kv.Get(ctx, pairKey)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound), errors.Is(err, jetstream.ErrKeyDeleted):
		return record{}, 0, ErrNothingStored
	case err != nil:
		s.kv = nil
		return record{}, 0, fmt.Errorf("bucket %s: %w", s.Name, err)
	}
	text, err := s.key.decrypt(entry.Value(), s.place())
	if err != nil {
		return record{}, 0, err
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil || len(r.Seeds) == 0 || !usable(r.Pair.Access) {
		return record{}, 0, errSealed // the error would quote it
	}
	return r, entry.Revision(), nil
}

// write stores r if the revision is still the last one; 0 is for a key that is not there. Any error but
// errConflict leaves open whether it was stored. A bucket that was made anew counts its revisions from 1
// again: reading once more shows whether it was (born).
func (s *store) write(ctx context.Context, r record, revision uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*storeTimeout)
	defer cancel()
	if s.kv == nil {
		if err := s.open(ctx); err != nil {
			return 0, err
		}
	}
	text, err := json.Marshal(r)
	if err != nil {
		return 0, errors.New("the pair cannot be written as JSON") // the error would quote it
	}
	sealed := s.key.encrypt(text, s.place())
	if revision == 0 {
		revision, err = s.kv.Create(ctx, pairKey, sealed)
	} else {
		revision, err = s.kv.Update(ctx, pairKey, sealed, revision)
	}
	if conflict(err) {
		return 0, errConflict
	}
	if err != nil {
		s.kv = nil
		return 0, fmt.Errorf("bucket %s: %w", s.Name, err)
	}
	return revision, nil
}

// conflict reports whether NATS refused a write because of its revision.
func conflict(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, jetstream.ErrKeyExists) ||
		errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant // of a replicated bucket
}

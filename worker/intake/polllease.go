package intake

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/jobs"
)

const (
	// leaseTime is how long a lease is good that is not renewed, by the clock of whoever waits for it; leaseRenew is how
	// often it is renewed and looked at.
	leaseTime  = 10 * time.Second
	leaseRenew = 3 * time.Second
	// bucketWait is how long JetStream may take to answer.
	bucketWait = 2 * time.Second
	// bucketBytes is room for a few short values of each issuer, many times over: some accounts demand a limit.
	bucketBytes = 1 << 20
)

// PollBucket names the bucket that the pollers of a deployment share, as its streams are named: LOGOFF_SIGNALS for the
// prefix logoff.
func PollBucket(s jobs.Subjects) string {
	return strings.TrimSuffix(s.RequestStream(), "REQUESTS") + "SIGNALS"
}

var legalKey = regexp.MustCompile(`^[-_0-9A-Za-z]+$`)

// key is an issuer's name as part of a key, which takes fewer characters.
func key(issuer string) string {
	if legalKey.MatchString(issuer) {
		return issuer
	}
	return "=" + hex.EncodeToString([]byte(issuer))
}

// A bucket is what pollers of a deployment share: leases, which streams are ours, and signs of life. Losing it costs a few
// seconds.
type bucket struct {
	js       jetstream.JetStream
	name     string
	create   bool
	replicas int

	mu sync.Mutex
	kv jetstream.KeyValue // nil until it was found, and after it failed
}

// open finds or creates the bucket.
func (b *bucket) open(ctx context.Context) (jetstream.KeyValue, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kv != nil {
		return b.kv, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*bucketWait)
	defer cancel()
	kv, err := b.js.KeyValue(ctx, b.name)
	if errors.Is(err, jetstream.ErrBucketNotFound) && b.create {
		kv, err = b.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: b.name, Description: "who polls streams of Shared Signals, and what is known of them",
			History: 1, Storage: jetstream.FileStorage, Replicas: max(1, b.replicas), MaxBytes: bucketBytes,
		})
		if errors.Is(err, jetstream.ErrBucketExists) { // another was first
			kv, err = b.js.KeyValue(ctx, b.name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", b.name, err)
	}
	b.kv = kv
	return kv, nil
}

// use does something with the bucket, which is looked for anew after a failure.
func (b *bucket) use(ctx context.Context, do func(context.Context, jetstream.KeyValue) error) error {
	kv, err := b.open(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, bucketWait)
	defer cancel()
	if err := do(ctx, kv); err != nil {
		b.mu.Lock()
		b.kv = nil
		b.mu.Unlock()
		return fmt.Errorf("bucket %s: %w", b.name, err)
	}
	return nil
}

// get is the latest value of a key; nil if there is none.
func (b *bucket) get(ctx context.Context, key string) (entry jetstream.KeyValueEntry, err error) {
	err = b.use(ctx, func(ctx context.Context, kv jetstream.KeyValue) error {
		e, err := kv.Get(ctx, key)
		switch {
		case errors.Is(err, jetstream.ErrKeyNotFound):
			return nil
		case err != nil:
			return err
		}
		entry = e
		return nil
	})
	return entry, err
}

// put stores a value.
func (b *bucket) put(ctx context.Context, key string, value []byte) error {
	return b.use(ctx, func(ctx context.Context, kv jetstream.KeyValue) error {
		_, err := kv.Put(ctx, key, value)
		return err
	})
}

// ErrNotWritten is of a bucket that can be read and not be written.
var ErrNotWritten = errors.New("it can be read, but not be written")

const (
	// lookKey is where nothing ever is, and neverRevision one that no key has: what says that it follows that is not stored.
	lookKey       = "check"
	neverRevision = 1 << 40
)

// mayPut tries whether a value could be stored, and stores none.
func (b *bucket) mayPut(ctx context.Context) error {
	err := b.use(ctx, func(ctx context.Context, kv jetstream.KeyValue) error {
		_, err := kv.Update(ctx, lookKey, nil, neverRevision)
		return err
	})
	if taken(err) {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrNotWritten, err)
}

// A lease is held by one at a time, but for moments in which NATS or a clock is slow: what is done under it must bear
// two. It is held while its key is renewed; another may take it once the key has not changed for [leaseTime].
type lease struct {
	bucket *bucket
	key    string
	holder string // who we are

	revision uint64    // of the key, while we hold it
	seen     uint64    // that of another's,
	since    time.Time // which has stood since then
}

// try takes or renews the lease, and says whether it is ours. An error leaves that open.
func (l *lease) try(ctx context.Context) (held bool, err error) {
	expected := l.revision
	if expected == 0 {
		var free bool
		if expected, free, err = l.look(ctx); err != nil || !free {
			return false, err
		}
	}
	l.revision = 0 // where no answer comes, it is found by its holder
	err = l.bucket.use(ctx, func(ctx context.Context, kv jetstream.KeyValue) error {
		var revision uint64
		var err error
		if expected == 0 {
			revision, err = kv.Create(ctx, l.key, []byte(l.holder))
		} else {
			revision, err = kv.Update(ctx, l.key, []byte(l.holder), expected)
		}
		switch {
		case err == nil:
			l.revision = revision
		case taken(err):
			return nil // by another
		}
		return err
	})
	return l.revision != 0, err
}

// look says whether the lease may be taken, and at which revision; 0 is for a key that is not there.
func (l *lease) look(ctx context.Context) (revision uint64, free bool, err error) {
	entry, err := l.bucket.get(ctx, l.key)
	switch {
	case err != nil:
		return 0, false, err
	case entry == nil:
		return 0, true, nil
	case string(entry.Value()) == l.holder: // ours, whose answer was lost
		return entry.Revision(), true, nil
	case entry.Revision() != l.seen:
		l.seen, l.since = entry.Revision(), time.Now()
	}
	return entry.Revision(), time.Since(l.since) >= leaseTime, nil
}

// release gives the lease back, so that nobody has to wait.
func (l *lease) release(ctx context.Context) {
	if l.revision == 0 {
		return
	}
	revision := l.revision
	l.revision = 0
	_ = l.bucket.use(context.WithoutCancel(ctx), func(ctx context.Context, kv jetstream.KeyValue) error {
		return kv.Delete(ctx, l.key, jetstream.LastRevision(revision))
	}) // otherwise its time runs out
}

// taken reports whether a write was refused because of its revision.
func taken(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, jetstream.ErrKeyExists) ||
		errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

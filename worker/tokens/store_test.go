package tokens

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/metrics"
	"logoffworker/worker/broker"
	"logoffworker/worker/stage"
	"logoffworker/worker/webserver"
)

const testBucket = "LOGOFF_TOKENS"

// A bench is a broker, and somebody else who can step in before what a keeper sends.
type bench struct {
	t     *testing.T
	nats  *broker.Broker
	other jetstream.JetStream
	log   *bytes.Buffer
	pair  string // the pair file, which is not there at first

	mu     sync.Mutex
	before map[string]func()
	mute   atomic.Bool // what keepers send gets nowhere
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, log: &bytes.Buffer{}, pair: filepath.Join(t.TempDir(), "pair"), before: map[string]func(){}}
	var err error
	if b.nats, err = broker.Start(broker.Options{StoreDir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.nats.Shutdown)
	b.other = b.js(b.connect(b.nats.InProcess()))
	return b
}

func (b *bench) connect(how nats.Option) *nats.Conn {
	b.t.Helper()
	nc, err := nats.Connect("", how)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(nc.Close)
	return nc
}

func (b *bench) js(nc *nats.Conn) jetstream.JetStream {
	b.t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		b.t.Fatal(err)
	}
	return js
}

// Dial is for a connection whose every word can be preceded.
func (b *bench) Dial(_, _ string) (net.Conn, error) {
	conn, err := b.nats.Dial()
	return preceded{conn, b}, err
}

type preceded struct {
	net.Conn
	b *bench
}

func (p preceded) Write(text []byte) (int, error) {
	p.b.mu.Lock()
	var due []func()
	for words, do := range p.b.before {
		if bytes.Contains(text, []byte(words)) {
			due = append(due, do)
		}
	}
	p.b.mu.Unlock()
	for _, do := range due {
		do()
	}
	if p.b.mute.Load() {
		return len(text), nil
	}
	return p.Conn.Write(text)
}

// first has something happen before each piece of what keepers send that holds these words.
func (b *bench) first(words string, do func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.before[words] = do
}

const (
	putsPair = "PUB $KV." + testBucket + "." + pairKey
	getsPair = "$JS.API.DIRECT.GET.KV_" + testBucket
)

// keeper is a replica that does nothing by itself. What answers in place of the Web Server may be nil.
func (b *bench) keeper(server http.HandlerFunc) *Keeper {
	b.t.Helper()
	web := httptest.NewServer(server)
	b.t.Cleanup(web.Close)
	log := slog.New(slog.NewTextHandler(b.log, nil))
	k, err := New(Config{
		Name: "a", Bucket: testBucket, Create: true, Replicas: 1, Key: testKey(b.t, 1), PairFile: b.pair,
		NATS: b.connect(nats.SetCustomDialer(b)), WebServer: webserver.Config{URL: web.URL},
		Metrics: metrics.NewToken(prometheus.NewRegistry()), Health: metrics.NewHealth(log, Part), Log: log,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return k
}

// bucket is the bucket in the hands of somebody else.
func (b *bench) bucket() jetstream.KeyValue {
	b.t.Helper()
	kv, err := b.other.KeyValue(b.t.Context(), testBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		kv, err = b.other.CreateKeyValue(b.t.Context(), jetstream.KeyValueConfig{Bucket: testBucket})
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return kv
}

// put has somebody else store a text, sealed as a record is.
func (b *bench) put(text string) uint64 {
	b.t.Helper()
	s := store{Bucket: Bucket{Name: testBucket}}
	revision, err := b.bucket().Put(b.t.Context(), pairKey, testKey(b.t, 1).encrypt([]byte(text), s.place()))
	if err != nil {
		b.t.Error(err)
	}
	return revision
}

const (
	renewedText = `{"pair":{"access":"canary-1","refresh":"canary-r1"},"seeds":["s"],"renewals":1,"writes":%d,"issued":"2026-01-01T00:00:00Z","state":"good"}`
	intentText  = `{"pair":{"access":"canary-1","refresh":"canary-r1"},"seeds":["s"],"renewals":1,"writes":9,"issued":"2026-01-01T00:00:00Z","state":"renewing","intent":"i","by":"b","instance":"of b"}`
)

// knows lets a keeper have seen a record that is due to be renewed.
func (b *bench) knows(k *Keeper) {
	b.t.Helper()
	b.put(fmt.Sprintf(renewedText, 5))
	if err := k.look(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

// is is what is stored.
func (b *bench) is(k *Keeper) record {
	b.t.Helper()
	r, _, err := (&store{Bucket: Bucket{JS: b.other, Name: testBucket}, key: k.c.Key}).read(b.t.Context())
	if err != nil {
		b.t.Error(err)
	}
	return r
}

func wants(t *testing.T, err error, words string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("%v does not say %q", err, words)
	}
}

// What the key opens and is no record all the same is told as damaged, and never shown.
func TestDamagedRecordIsNotUsed(t *testing.T) {
	b := newBench(t)
	k := b.keeper(nil)
	for _, text := range []string{
		`canary`, `{"seeds":["s"],"pair":{"access":"canary"}`, `{"seeds":[],"pair":{"access":"canary"}}`,
		`{"seeds":["s"],"pair":{"access":""}}`, `{"seeds":["s"],"pair":{"access":"canary\n"}}`, `{"seeds":["s"],"pair":{"access":"canary"},"writes":"canary"}`,
	} {
		b.put(text)
		if err := k.look(t.Context()); !errors.Is(err, errSealed) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if k.known || k.access != "" {
		t.Error("it is used")
	}
}

// A record that JSON cannot hold is not stored in pieces: the one before it stays.
func TestRecordThatCannotBeWrittenLeavesTheStoredOne(t *testing.T) {
	b := newBench(t)
	k := b.keeper(nil)
	b.knows(k)
	outcome := k.record
	outcome.Pair.Access = "canary\xff"
	_, err := k.store.write(t.Context(), outcome, k.revision)
	wants(t, err, "the pair cannot be written as JSON")
	if strings.Contains(err.Error(), "canary") || b.is(k).Pair.Access != "canary-1" {
		t.Errorf("%v, %q is stored", err, b.is(k).Pair.Access)
	}
}

// NATS that fails between two questions of one look is told, and the next look asks all anew.
func TestReadThatIsCutShortIsTold(t *testing.T) {
	b := newBench(t)
	k := b.keeper(nil)
	b.knows(k)
	ctx, cancel := context.WithCancel(t.Context())
	b.first(getsPair, func() { cancel(); b.mute.Store(true) })
	wants(t, k.look(ctx), "bucket LOGOFF_TOKENS: ")
	b.first(getsPair, func() {})
	b.mute.Store(false)
	if err := k.look(t.Context()); err != nil {
		t.Errorf("the next look: %v", err)
	}
}

func TestBucketThatIsMissingIsNotProvisionedUnlessWanted(t *testing.T) {
	b := newBench(t)
	bucket := Bucket{JS: b.other, Name: testBucket, Replicas: 1}
	if err := bucket.Provision(t.Context()); !errors.Is(err, jetstream.ErrBucketNotFound) {
		t.Errorf("without Create: %v", err)
	}
	bucket.Create = true
	if err := bucket.Provision(t.Context()); err != nil {
		t.Error(err)
	}
}

// Two replicas make the bucket at the same time, with settings that differ: the second takes that of the first.
func TestBucketThatAnotherMakesFirstIsTaken(t *testing.T) {
	b := newBench(t)
	k := b.keeper(nil)
	b.first("$JS.API.STREAM.CREATE.KV_"+testBucket, func() { b.put(fmt.Sprintf(renewedText, 5)) })
	if err := k.look(t.Context()); err != nil || k.access != "canary-1" {
		t.Errorf("%v", err)
	}
}

// A conflict is told from a failure, whichever way NATS puts it: that of a replicated bucket has a code of its own.
func TestConflictsAreTold(t *testing.T) {
	for err, want := range map[error]bool{
		nil:                    false,
		io.EOF:                 false,
		jetstream.ErrKeyExists: true,
		&jetstream.APIError{ErrorCode: jetstream.JSErrCodeStreamWrongLastSequence}:         true,
		&jetstream.APIError{ErrorCode: jetstream.JSErrCodeStreamWrongLastSequenceConstant}: true,
		&jetstream.APIError{ErrorCode: jetstream.JSErrCodeStreamNotFound}:                  false,
	} {
		if conflict(err) != want {
			t.Errorf("%v: %v", err, !want)
		}
	}
}

// Somebody else stores an earlier pair before each try to put it right. A replica that knows the later one goes on
// with that; a new one, which knows none, has to say that it has none.
func TestStoreThatAlwaysChangesFirst(t *testing.T) {
	b := newBench(t)
	k := b.keeper(nil)
	b.knows(k)
	puts := 0
	b.first(putsPair, func() {
		if puts++; puts < 10 {
			b.put(fmt.Sprintf(renewedText, 4))
		}
	})
	b.put(fmt.Sprintf(renewedText, 4))
	if err := k.look(t.Context()); err != nil || puts != 3 || k.record.Writes != 5 || k.access != "canary-1" {
		t.Errorf("%v after %d tries, with %d", err, puts, k.record.Writes)
	}
	fresh := b.keeper(nil)
	b.file("canary-2")
	puts = 0
	if err := fresh.look(t.Context()); !errors.Is(err, errConflict) || puts != 3 {
		t.Errorf("a new replica: %v after %d tries", err, puts)
	}
}

// file writes the pair file.
func (b *bench) file(access string) {
	b.t.Helper()
	text := fmt.Sprintf(`{"accessToken":%q,"refreshToken":"canary-r"}`, access)
	if err := os.WriteFile(b.pair, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// A pair that is to be stored, and that NATS does not take, is told with the reason.
func TestWriteThatNATSRefusesIsTold(t *testing.T) {
	b := newBench(t)
	k := b.keeper(nil)
	b.knows(k)
	if _, err := b.other.UpdateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: testBucket, MaxValueSize: 1}); err != nil {
		t.Fatal(err)
	}
	b.file("canary-2")
	wants(t, k.look(t.Context()), "message size exceeds maximum allowed")
	if k.access != "canary-1" || b.is(k).Pair.Access != "canary-1" {
		t.Error("it is used all the same")
	}
}

// An intent to renew that NATS does not take is told with the reason, too, and nothing is presented.
func TestIntentThatNATSRefusesIsTold(t *testing.T) {
	b := newBench(t)
	asked := 0
	k := b.keeper(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.WriteHeader(http.StatusUnauthorized)
	})
	b.knows(k)
	if _, err := b.other.UpdateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: testBucket, MaxValueSize: 1}); err != nil {
		t.Fatal(err)
	}
	k.renew(t.Context())
	wants(t, k.trouble, "message size exceeds maximum allowed")
	if asked != 1 || b.is(k).State != good {
		t.Errorf("the Web Server was asked %d times, %s", asked, b.is(k).State)
	}
}

func TestLookIntoAnEmptyBucketIsTold(t *testing.T) {
	b := newBench(t)
	k := b.keeper(nil)
	if err := k.look(t.Context()); !errors.Is(err, ErrNothingStored) || k.known {
		t.Errorf("%v, known: %v", err, k.known)
	}
	wants(t, k.look(t.Context()), "the pair file: the file cannot be read")
}

// A bucket that was deleted is not made anew at once, because NATS may still be removing its files, but at the next look:
// whether this replica finds that out by a question of its own, or by a handle that is of no use any more.
func TestDeletedBucketIsMadeAnewAtTheNextLook(t *testing.T) {
	for _, handle := range []bool{true, false} {
		b := newBench(t)
		k := b.keeper(nil)
		b.knows(k)
		if err := b.other.DeleteKeyValue(t.Context(), testBucket); err != nil {
			t.Fatal(err)
		}
		if !handle {
			k.store.kv = nil
		}
		wants(t, k.look(t.Context()), "it was deleted; it is made anew in a moment")
		if _, err := b.other.KeyValue(t.Context(), testBucket); !errors.Is(err, jetstream.ErrBucketNotFound) {
			t.Errorf("it is made at once: %v", err)
		}
		var err error
		stage.Await(t.Context(), time.Minute, func() bool {
			err = k.look(t.Context())
			return err == nil || !strings.Contains(err.Error(), "error creating store") // while the server removes the old one's files
		})
		if err != nil || b.is(k).Pair.Access != "canary-1" {
			t.Errorf("the next look: %v", err)
		}
	}
}

// A pair that is lost, or in a bucket that is not as it must be, is not renewed, though it is known and due.
func TestNothingIsRenewedAfterALookThatSaysNo(t *testing.T) {
	for says, change := range map[string]func(b *bench) error{
		"must have no TTL": func(b *bench) error {
			_, err := b.other.UpdateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: testBucket, TTL: time.Hour})
			return err
		},
		"the pair may be lost": func(b *bench) error {
			b.put(strings.Replace(intentText, "renewing", "lost", 1))
			return nil
		},
	} {
		b := newBench(t)
		asked := 0
		k := b.keeper(func(http.ResponseWriter, *http.Request) { asked++ })
		b.knows(k)
		if err := change(b); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		k.c.Health = metrics.NewHealth(slog.New(slog.NewTextHandler(ending{cancel, b.log}, nil)), Part)
		k.Run(ctx)
		if !strings.Contains(b.log.String(), says) || asked != 0 {
			t.Errorf("the Web Server was asked %d times\n%s", asked, b.log)
		}
	}
}

// An ending is a log whose first line ends a context.
type ending struct {
	end context.CancelFunc
	log io.Writer
}

func (e ending) Write(line []byte) (int, error) {
	e.end()
	return e.log.Write(line)
}

// A stop breaks off the look that is under way, which says nothing of NATS.
func TestStopIsNotToldAsAFailure(t *testing.T) {
	b := newBench(t)
	k := b.keeper(nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	b.first(getsPair, func() { cancel(); b.mute.Store(true) })
	b.put(fmt.Sprintf(renewedText, 5))
	k.Run(ctx)
	if b.log.Len() > 0 {
		t.Error(b.log)
	}
}

// While the Web Server is not well, nothing is presented, and the next try waits as long as it asks for.
func TestNothingIsPresentedWhileTheWebServerIsNotWell(t *testing.T) {
	b := newBench(t)
	var paths []string
	k := b.keeper(func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.Path)
		w.Header().Set("Retry-After", "200")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	b.knows(k)
	begun := time.Now()
	k.renew(t.Context())
	if len(paths) != 1 || paths[0] != "/WhoAmI" || b.is(k).State != good {
		t.Errorf("%q, %s", paths, b.is(k).State)
	}
	wants(t, k.trouble, "503")
	if due, may := k.due(); !may || due.Sub(begun) < 200*time.Second {
		t.Errorf("the next try may be at %v", due)
	}
}

// Somebody else is first to say that it renews, and then nothing can be read: this replica does not try again at once.
func TestRenewalWhoseLookFailsIsPutOff(t *testing.T) {
	b := newBench(t)
	k := b.keeper(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	b.knows(k)
	b.first(putsPair, func() { b.put("rubbish") })
	begun := time.Now()
	k.renew(t.Context())
	if !errors.Is(k.trouble, errSealed) {
		t.Errorf("%v", k.trouble)
	}
	if due, may := k.due(); !may || due.Sub(begun) < 10*time.Second {
		t.Errorf("the next try may be at %v", due)
	}
}

// Nothing is presented unless what is stored is this replica's own intent, as it has just been written.
func TestIntentIsConfirmed(t *testing.T) {
	b := newBench(t)
	k := b.keeper(nil)
	b.knows(k)
	mine := b.put(intentText)
	if err := k.confirm(t.Context(), mine); err != nil {
		t.Error(err)
	}
	b.put(intentText)
	wants(t, k.confirm(t.Context(), mine), "made anew")
	if err := k.confirm(t.Context(), b.put("rubbish")); !errors.Is(err, errSealed) {
		t.Errorf("%v", err)
	}
	k.born = k.born.Add(-time.Hour)
	wants(t, k.confirm(t.Context(), b.put(intentText)), "made anew")
}

// An outcome is stored wherever nothing later is: over the intent, into a bucket that has lost it, and over an earlier
// record. What an operator has put in its place stays.
func TestOutcomeIsSettled(t *testing.T) {
	const taken = `{"pair":{"access":"canary-9","refresh":"canary-r9"},"seeds":["s","t"],"writes":11,"issued":"2026-01-01T00:00:00Z","state":"good"}`
	now := time.Now()
	for name, test := range map[string]struct {
		stored  string // nothing where it is empty
		outcome func(intent record) record
		access  string // what is stored in the end,
		state   state
		writes  int
	}{
		"over the intent":        {intentText, func(r record) record { return r.renewed(pair{Access: "canary-2"}, now) }, "canary-2", good, 10},
		"lost, over the intent":  {intentText, func(r record) record { return r.ended(lost, "no answer") }, "canary-1", lost, 10},
		"into an empty bucket":   {"", func(r record) record { return r.renewed(pair{Access: "canary-2"}, now) }, "canary-2", good, 10},
		"over an earlier record": {fmt.Sprintf(renewedText, 30), func(r record) record { return r.renewed(pair{Access: "canary-2"}, now) }, "canary-2", good, 31},
		"stored before":          {strings.Replace(strings.Replace(intentText, "renewing", "lost", 1), `"writes":9`, `"writes":40`, 1), func(r record) record { return r.ended(lost, "no answer") }, "canary-1", lost, 40},
		"in place of another":    {taken, func(r record) record { return r.renewed(pair{Access: "canary-2"}, now) }, "canary-9", good, 11},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			k := b.keeper(nil)
			b.put(intentText)
			if err := k.look(t.Context()); err != nil {
				t.Fatal(err)
			}
			if test.stored == "" {
				if err := b.bucket().Delete(t.Context(), pairKey); err != nil {
					t.Fatal(err)
				}
			} else {
				b.put(test.stored)
			}
			told, revision, err := k.settle(t.Context(), test.outcome(k.record))
			is := b.is(k)
			if err != nil || revision == 0 || is.Pair.Access != test.access || is.State != test.state || is.Writes != test.writes {
				t.Errorf("%v at %d; stored is %q, %s, %d", err, revision, is.Pair.Access, is.State, is.Writes)
			}
			if told.Pair.Access != is.Pair.Access || told.State != is.State || told.Writes != is.Writes {
				t.Errorf("told is %q, %s, %d", told.Pair.Access, told.State, told.Writes)
			}
		})
	}
	b := newBench(t)
	k := b.keeper(nil)
	b.knows(k)
	b.put("rubbish")
	if _, _, err := k.settle(t.Context(), k.record.renewed(pair{Access: "canary-2"}, now)); !errors.Is(err, errSealed) {
		t.Errorf("over what cannot be read: %v", err)
	}
}

// A look from outside tells what is stored and how the pair file stands to it, and changes nothing.
func TestInspectTellsWhatIsStored(t *testing.T) {
	b := newBench(t)
	key, other := testKey(t, 1), testKey(t, 2)
	bucket := Bucket{JS: b.other, Name: testBucket, Create: true, Replicas: 1}
	file := func(access string) webserver.Pair { return webserver.Pair{Access: access, Refresh: "r"} }
	if _, err := bucket.Inspect(t.Context(), key, file("now")); !errors.Is(err, jetstream.ErrBucketNotFound) {
		t.Errorf("without a bucket: %v", err)
	}
	kv := b.bucket()
	if _, err := bucket.Inspect(t.Context(), key, file("now")); !errors.Is(err, ErrNothingStored) {
		t.Errorf("without a pair: %v", err)
	}
	b.put(fmt.Sprintf(`{"pair":{"access":"canary-1","refresh":"r1"},"seeds":[%q,%q],"renewals":7,"state":"lost","why":"no answer"}`,
		key.fingerprint(pair(file("before"))), key.fingerprint(pair(file("now")))))
	for access, want := range map[string]FilePair{"now": FileCurrent, "before": FileOld, "to come": FileNew} {
		got, err := bucket.Inspect(t.Context(), key, file(access))
		if err != nil || got.File != want || got.State != "lost" || got.Why != "no answer" || got.Renewals != 7 || got.Pair.Access != "canary-1" {
			t.Errorf("%s: %+v, %v", access, got, err)
		}
	}
	if _, err := bucket.Inspect(t.Context(), other, file("now")); !errors.Is(err, errSealed) {
		t.Errorf("with another key: %v", err)
	}
	if entry, err := kv.Get(t.Context(), pairKey); err != nil || entry.Revision() != 1 {
		t.Errorf("%v: the bucket has changed", err)
	}
}

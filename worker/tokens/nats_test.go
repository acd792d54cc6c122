package tokens_test

import (
	"bytes"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"logoffworker/worker/stage"
	"logoffworker/worker/tokens"
	"logoffworker/worker/webserver/simulator"
)

// at has something happen once, when a renewal reaches a point.
func (f *fleet) at(p tokens.Point, do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.onReach = func(now tokens.Point) {
		if now == p {
			f.mu.Lock()
			f.onReach = nil
			f.mu.Unlock()
			do()
		}
	}
}

func (f *fleet) bucket() jetstream.KeyValue {
	f.t.Helper()
	kv, err := f.js().KeyValue(f.t.Context(), bucket)
	if err != nil {
		f.t.Fatal(err)
	}
	return kv
}

func token(t *testing.T, r *replica) string {
	t.Helper()
	value, err := r.keeper.Token()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(value, "Bearer ")
}

// NATS goes away when the new pair is in memory alone, longer than others wait for it. Nobody presents
// anything meanwhile; the pair is stored when NATS is back, and all is well.
func TestNewPairSurvivesAnOutageOfNATS(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFleet(t, simulator.Settings{})
		old := f.give(simulator.AccessGrant{})
		replicas := []*replica{f.start("a", nil), f.start("b", nil)}
		out := make(chan struct{})
		f.at(tokens.AfterCall, func() { f.broker.Load().Shutdown(); close(out) })
		<-out
		passes(40 * time.Second)
		keeps, waits := replicas[0], replicas[1]
		if waits.metric("logoff_token_state", "unstored") == 1 {
			keeps, waits = waits, keeps
		}
		says(t, keeps.problem(), "cannot be stored", "do not stop this worker")
		says(t, waits.problem(), "cannot be looked at")
		if token(t, keeps) != old.Access {
			t.Error("a new access token is used before it is stored")
		}
		passes(40 * time.Second)
		if err := keeps.call(t.Context()); err != nil || token(t, waits) != old.Access {
			t.Errorf("the worker that has the new pair does not use it at last: %v", err)
		}
		passes(30 * time.Minute)
		if n := len(f.presented()); n != 1 {
			t.Errorf("%d renewals", n)
		}
		f.startBroker()
		passes(30 * time.Second)
		for _, r := range replicas {
			if err := r.call(t.Context()); err != nil || r.problem() != "" {
				t.Errorf("%s: %v, %q", r.name, err, r.problem())
			}
		}
		passes(2 * time.Hour)
		f.intact()
		if c := f.sim.Chains()[0]; c.Renewals < 5 {
			t.Errorf("%+v", c)
		}
	})
}

// The others have given the pair up for lost when the one that renewed it can store it after all.
func TestLateOutcomeIsBelieved(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFleet(t, simulator.Settings{})
		f.give(simulator.AccessGrant{})
		a := f.start("a", nil)
		reached, goOn := make(chan struct{}), make(chan struct{})
		f.at(tokens.AfterCall, func() { close(reached); <-goOn })
		<-reached
		b := f.start("b", nil)
		passes(5 * time.Minute)
		says(t, b.problem(), "no known outcome", "worker a")
		close(goOn)
		passes(time.Minute)
		if a.problem() != "" || b.problem() != "" || a.call(t.Context()) != nil || b.call(t.Context()) != nil {
			t.Errorf("%q, %q", a.problem(), b.problem())
		}
		f.intact()
	})
}

// A stop while nothing can be stored ends, and says what it cost.
func TestStopWithoutNATSTellsWhatIsLost(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFleet(t, simulator.Settings{})
		f.give(simulator.AccessGrant{})
		a := f.start("a", nil)
		f.at(tokens.AfterCall, func() { f.broker.Load().Shutdown(); a.cancel() })
		begun := time.Now()
		<-a.ended
		if took := time.Since(begun); took > 24*time.Minute {
			t.Errorf("it took %v", took)
		}
		says(t, f.log.String(), "stopped before the outcome of a renewal was stored")
	})
}

// An answer of NATS that is lost leaves the replica unsure of what is stored. It looks, and nothing is
// presented twice.
func TestLostAcknowledgements(t *testing.T) {
	for _, point := range []tokens.Point{tokens.BeforeIntent, tokens.AfterCall} {
		t.Run(string(point), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				f := newFleet(t, simulator.Settings{})
				f.give(simulator.AccessGrant{})
				a := f.start("a", nil)
				f.at(point, func() { a.deafen() })
				passes(30 * time.Minute)
				if err := a.call(t.Context()); err != nil || a.problem() != "" {
					t.Errorf("%v, %q", err, a.problem())
				}
				if n := len(f.presented()); n != 1 {
					t.Errorf("%d renewals\n%s", n, f.log)
				}
				if point == tokens.BeforeIntent {
					says(t, f.log.String(), "an intent to renew that was not followed is taken back")
				}
				f.intact()
			})
		})
	}
}

func TestNATSOutAtTheStartIsWaitedFor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFleet(t, simulator.Settings{})
		f.give(simulator.AccessGrant{})
		f.broker.Load().Shutdown()
		a := f.start("a", nil)
		passes(time.Minute)
		says(t, a.problem(), "cannot be looked at")
		if _, err := a.keeper.Token(); err == nil {
			t.Error("there is a token")
		}
		f.startBroker()
		<-a.keeper.First()
		if err := a.call(t.Context()); err != nil {
			t.Error(err)
		}
		passes(time.Minute)
		if p := a.problem(); p != "" {
			t.Error(p)
		}
	})
}

// The bucket is lost with all its data. A replica that starts at that moment knows nothing but the file,
// whose pair has long been renewed: the others come first. The one that lives on has seen the last pair
// by then: what no living replica has seen is lost with the bucket.
func TestLostBucketIsRestoredFromMemory(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFleet(t, simulator.Settings{})
		f.give(simulator.AccessGrant{})
		a := f.start("a", nil)
		passes(3 * time.Hour)
		for range 4 {
			if err := f.js().DeleteKeyValue(t.Context(), bucket); err != nil {
				t.Fatal(err)
			}
			b := f.start("b", nil)
			passes(2 * time.Hour)
			if a.problem() != "" || b.problem() != "" || a.call(t.Context()) != nil || b.call(t.Context()) != nil {
				t.Errorf("%q, %q\n%s", a.problem(), b.problem(), f.log)
			}
			b.stop()
			passes(time.Minute)
		}
		says(t, f.log.String(), "is put right")
		if err := f.bucket().Delete(t.Context(), "pair"); err != nil {
			t.Fatal(err)
		}
		passes(time.Hour)
		says(t, f.log.String(), "the stored pair had gone; this worker remembered it")
		if c := f.sim.Chains()[0]; c.Renewals < 30 {
			t.Errorf("%+v", c)
		}
		f.intact()
	})
}

// The bucket is lost right after one replica has renewed a pair that an operator has just given. Another,
// which has not seen that pair yet, does not take it for new and present it.
func TestPairThatIsNewToOneReplicaAloneIsNotPresentedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFleet(t, simulator.Settings{})
		f.give(simulator.AccessGrant{})
		a, b, c := f.start("a", nil), f.start("b", nil), f.start("c", nil)
		js := f.js()
		for round := range 12 {
			passes(2 * time.Minute)
			f.at(tokens.AfterStore, func() {
				if err := js.DeleteKeyValue(t.Context(), bucket); err != nil {
					t.Error(err)
				}
			})
			f.give(simulator.AccessGrant{Expiry: time.Now().Add(100 * time.Second)})
			passes(2*time.Minute + time.Duration(round)*time.Second)
			if chain := f.sim.Chains()[round+1]; chain.Renewals != 1 {
				t.Errorf("%+v", chain)
			}
			for _, r := range []*replica{a, b, c} {
				if err := r.call(t.Context()); err != nil || r.problem() != "" {
					t.Errorf("%s: %v, %q", r.name, err, r.problem())
				}
			}
		}
		f.intact()
		says(t, f.log.String(), "this worker remembered it")
	})
}

// NATS comes back with data of an hour ago, as after a power cut that it had not synced for.
func TestStoredPairThatGoesBackIsPutRight(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFleet(t, simulator.Settings{})
		f.give(simulator.AccessGrant{})
		a, b := f.start("a", nil), f.start("b", nil)
		passes(time.Hour)
		before := f.stored()
		passes(time.Hour)
		if _, err := f.bucket().Put(t.Context(), "pair", before); err != nil {
			t.Fatal(err)
		}
		passes(2 * time.Hour)
		if a.problem() != "" || b.problem() != "" || a.call(t.Context()) != nil || b.call(t.Context()) != nil {
			t.Errorf("%q, %q", a.problem(), b.problem())
		}
		says(t, f.log.String(), "an earlier pair was stored than this worker remembers")
		f.intact()
	})
}

// A replica that starts right after the bucket was lost and made anew does not present a pair that looks new to
// it before those that may remember a later one have come.
func TestNewPairIsNotPresentedAtOnceByWhoStartsAfterALoss(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFleet(t, simulator.Settings{})
		f.give(simulator.AccessGrant{})
		a := f.start("a", nil)
		passes(time.Minute)
		if err := f.js().DeleteKeyValue(t.Context(), bucket); err != nil {
			t.Fatal(err)
		}
		passes(20 * time.Second)
		says(t, f.log.String(), "this worker remembered it")
		a.stop()
		f.give(simulator.AccessGrant{Expiry: time.Now().Add(100 * time.Second)})
		f.start("b", nil)
		passes(time.Second)
		if n := len(f.presented()); n != 0 {
			t.Errorf("it was presented at once\n%s", f.log)
		}
		passes(time.Minute)
		if n := len(f.presented()); n != 1 {
			t.Errorf("%d renewals\n%s", n, f.log)
		}
		f.intact()
	})
}

// NATS goes back to earlier data right after one replica has renewed. Another, which remembers the pair as it
// was before that, puts it right and does not present it.
func TestPairThatIsPutRightIsNotPresentedAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFleet(t, simulator.Settings{})
		f.give(simulator.AccessGrant{})
		for _, name := range []string{"a", "b", "c"} {
			f.start(name, nil)
		}
		passes(time.Minute)
		before, kv := f.stored(), f.bucket()
		for round := range 8 {
			f.at(tokens.AfterStore, func() {
				if _, err := kv.Put(t.Context(), "pair", before); err != nil {
					t.Error(err)
				}
			})
			f.give(simulator.AccessGrant{Expiry: time.Now().Add(150 * time.Second)})
			passes(4 * time.Minute)
			if chain := f.sim.Chains()[round+1]; chain.Renewals != 1 {
				t.Errorf("%+v", chain)
			}
			before = f.stored()
		}
		f.intact()
		says(t, f.log.String(), "is put right")
	})
}

// Between a look and the intent to renew, the bucket is deleted and made anew, and its revisions come to the
// same number. What is in it now was not read, so the pair is not presented before the others came.
func TestBucketMadeAnewIsNotTakenForTheOneThatWasRead(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFleet(t, simulator.Settings{})
		f.give(simulator.AccessGrant{})
		a, js := f.start("a", nil), f.js()
		passes(time.Minute)
		kv, made := f.bucket(), make(chan struct{})
		f.at(tokens.BeforeIntent, func() {
			defer close(made)
			entry, err := kv.Get(t.Context(), "pair")
			if err != nil {
				t.Error(err)
				return
			}
			if err := js.DeleteKeyValue(t.Context(), bucket); err != nil {
				t.Error(err)
			}
			anew, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: bucket})
			if err != nil {
				t.Error(err)
				return
			}
			for n := uint64(0); n != entry.Revision(); {
				if n, err = anew.Put(t.Context(), "pair", entry.Value()); err != nil {
					t.Error(err)
					return
				}
			}
		})
		select {
		case <-made:
		case <-time.After(renewalTime):
			t.Fatal("nobody renews")
		}
		passes(25 * time.Second)
		if n := len(f.presented()); n != 0 {
			t.Errorf("it was presented %d times\n%s", n, f.log)
		}
		says(t, f.log.String(), "the bucket was made anew", "is taken back")
		passes(time.Minute)
		if n := len(f.presented()); n != 1 || a.problem() != "" {
			t.Errorf("%d renewals, %q\n%s", n, a.problem(), f.log)
		}
		f.intact()
	})
}

func TestWrongKeyIsNamedAndHarmsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFleet(t, simulator.Settings{})
		f.give(simulator.AccessGrant{})
		a := f.start("a", nil)
		passes(time.Minute)
		before := f.stored()
		f.write(f.keyFile, otherKeyText)
		b := f.start("b", nil)
		passes(time.Minute)
		says(t, b.problem(), "cannot be decrypted", "same key file")
		if _, err := b.keeper.Token(); err == nil {
			t.Error("there is a token")
		}
		if !bytes.Equal(before, f.stored()) {
			t.Error("the stored pair has changed")
		}
		passes(time.Hour)
		if a.problem() != "" || f.sim.Chains()[0].Renewals < 2 {
			t.Errorf("%q, %+v", a.problem(), f.sim.Chains()[0])
		}
		// What is stored for one place is not taken from another, and rubbish is no panic.
		for _, value := range [][]byte{nil, {1}, []byte("rubbish"), bytes.Repeat([]byte{1}, 100)} {
			if _, err := f.bucket().Put(t.Context(), "pair", value); err != nil {
				t.Fatal(err)
			}
			passes(time.Minute)
			says(t, a.problem(), "cannot be decrypted")
			if err := a.call(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if err := f.bucket().Delete(t.Context(), "pair"); err != nil {
			t.Fatal(err)
		}
		b.stop()
		passes(time.Hour)
		if p := a.problem(); p != "" {
			t.Error(p)
		}
		f.intact()
	})
}

// No byte of a token is in what NATS keeps, or in what a worker says.
func TestPairIsEncryptedAtRest(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFleet(t, simulator.Settings{})
		given := f.give(simulator.AccessGrant{})
		a := f.start("a", nil)
		passes(3 * time.Hour)
		value := f.stored()
		all := value
		err := filepath.WalkDir(f.store, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			all = append(all, data...)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(all, value[:len(value)/2]) || len(all) < 2*len(value) {
			t.Error("the files were not read: what is stored is not in them")
		}
		if secrets := f.secrets(); len(secrets) < 18 || secrets[0] != given.Access {
			t.Errorf("%d secrets to look for", len(secrets))
		}
		f.noSecrets(string(all))
		for _, word := range []string{"access", "refresh", "good", "seeds"} {
			if bytes.Contains(value, []byte(word)) {
				t.Errorf("what is stored shows %q", word)
			}
		}
		f.noSecrets(a.problem())
	})
}

func TestMissingThingsAreNamed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFleet(t, simulator.Settings{})
		a := f.start("a", nil)
		passes(time.Minute)
		says(t, a.problem(), "no pair is stored", "the pair file: the file cannot be read")
		f.write(f.pair, `{"accessToken":"canary"}`)
		passes(time.Minute)
		says(t, a.problem(), "must hold JSON")
		f.give(simulator.AccessGrant{})
		passes(time.Minute)
		if a.problem() != "" || a.call(t.Context()) != nil {
			t.Error(a.problem())
		}
		if err := os.Remove(f.pair); err != nil {
			t.Fatal(err)
		}
		b := f.start("b", func(c *tokens.Config) { c.Create = false })
		passes(time.Hour)
		if b.problem() != "" || b.call(t.Context()) != nil {
			t.Error(b.problem())
		}
		says(t, f.log.String(), "the pair file is of no use; the stored pair is used")
		if strings.Contains(f.log.String(), "canary") {
			t.Error("the log repeats the file")
		}
		if err := f.js().DeleteKeyValue(t.Context(), bucket); err != nil {
			t.Fatal(err)
		}
		a.stop()
		passes(time.Minute)
		says(t, b.problem(), "bucket LOGOFF_TOKENS", "not found")
	})
}

func TestBucketThatForgetsIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFleet(t, simulator.Settings{})
		f.give(simulator.AccessGrant{})
		for _, test := range []struct {
			config jetstream.KeyValueConfig
			says   string
		}{
			{jetstream.KeyValueConfig{Bucket: bucket, TTL: time.Hour}, "must have no TTL"},
			{jetstream.KeyValueConfig{Bucket: bucket, Storage: jetstream.MemoryStorage}, "must have file storage"},
		} {
			if _, err := f.js().CreateKeyValue(t.Context(), test.config); err != nil {
				t.Fatal(err)
			}
			if err := (tokens.Bucket{JS: f.js(), Name: bucket, Create: true, Replicas: 1}).Provision(t.Context()); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v", err)
			}
			a := f.start("a", nil)
			passes(10 * time.Second)
			says(t, a.problem(), test.says)
			a.stop()
			if err := f.js().DeleteKeyValue(t.Context(), bucket); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A Keeper needs the permissions that deploy/nats/accounts.conf has for it, and no more.
func TestShippedPermissionsOfAPairAreEnough(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		accounts, err := os.ReadFile("../../deploy/nats/accounts.conf")
		if err != nil {
			t.Fatal(err)
		}
		_, ofPairs, _ := strings.Cut(string(accounts), "With LOGOFF_WEBSERVER_PAIR_FILE")
		ofPairs, _, _ = strings.Cut(ofPairs, "]")
		var allowed []string
		for _, line := range regexp.MustCompile(`#- "(.+)"`).FindAllStringSubmatch(ofPairs, -1) {
			allowed = append(allowed, line[1])
		}
		if len(allowed) != 3 {
			t.Fatalf("accounts.conf lists %q", allowed)
		}
		f := newFleet(t, simulator.Settings{})
		f.broker.Load().Shutdown() // this test brings its own, with users
		s, err := stage.StartNATS(&server.Options{
			JetStream: true, StoreDir: t.TempDir(), DontListen: true,
			Users: []*server.User{
				{Username: "admin", Password: "admin"},
				{Username: "worker", Password: "worker", Permissions: &server.Permissions{
					Publish:   &server.SubjectPermission{Allow: allowed},
					Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
				}},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		f.connect = func() (net.Conn, error) { return s.InProcessConn() }
		f.give(simulator.AccessGrant{})
		f.user = "admin"
		admin := f.start("admin", nil)
		passes(time.Minute)
		admin.stop()
		f.user = "worker"
		a := f.start("a", func(c *tokens.Config) { c.Create = false })
		passes(2 * time.Hour)
		if a.problem() != "" || a.call(t.Context()) != nil || f.sim.Chains()[0].Renewals < 5 {
			t.Errorf("%q, %+v", a.problem(), f.sim.Chains()[0])
		}
	})
}

// A replica whose last call was long ago knows a later token than the refused one, and that may have been
// replaced a moment ago as well.
func TestRefusedTokenLeadsToTheLatest(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFleet(t, simulator.Settings{})
		f.give(simulator.AccessGrant{})
		for _, name := range []string{"a", "b"} {
			f.start(name, nil)
		}
		passes(time.Minute)
		for range 4 {
			for range 3 {
				f.renewal()
			}
			for _, r := range f.replicas {
				if err := r.call(t.Context()); err != nil {
					t.Errorf("%s: %v", r.name, err)
				}
			}
		}
		f.intact()
	})
}

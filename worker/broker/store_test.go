package broker_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"logoffworker/worker/broker"
	"logoffworker/worker/stage/bubble"
)

// begin starts a broker that a test stops again.
func begin(t *testing.T, o broker.Options) *broker.Broker {
	t.Helper()
	b, err := broker.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Shutdown)
	return b
}

// Whatever a store is called, there is one broker on it.
func TestSecondBrokerOnAStoreIsRefused(t *testing.T) {
	for name, second := range map[string]func(t *testing.T, store string) string{
		"the same name": func(_ *testing.T, store string) string { return store },
		"a slash more":  func(_ *testing.T, store string) string { return store + "/./" },
		"a link": func(t *testing.T, store string) string {
			link := filepath.Join(t.TempDir(), "link")
			if err := os.Symlink(store, link); err != nil {
				t.Fatal(err)
			}
			return link
		},
		"a link on the way": func(t *testing.T, store string) string {
			link := filepath.Join(t.TempDir(), "link")
			if err := os.Symlink(filepath.Dir(store), link); err != nil {
				t.Fatal(err)
			}
			return filepath.Join(link, filepath.Base(store))
		},
		"relative": func(t *testing.T, store string) string {
			t.Chdir(filepath.Dir(store))
			return filepath.Base(store)
		},
		"the directory within": func(_ *testing.T, store string) string { return filepath.Join(store, "jetstream") },
		"the directory around": func(_ *testing.T, store string) string { return filepath.Dir(store) },
		"its lock and holder are gone": func(t *testing.T, store string) string {
			for _, file := range []string{".lock", "in-use-by.json"} {
				if err := os.RemoveAll(filepath.Join(store, file)); err != nil {
					t.Fatal(err)
				}
			}
			return store
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := filepath.Join(t.TempDir(), "jetstream")
			begin(t, broker.Options{StoreDir: store, Listen: "127.0.0.1:0"})
			other := second(t, store)
			_, err := broker.Start(broker.Options{StoreDir: other})
			var inUse *broker.InUse
			if !errors.As(err, &inUse) {
				t.Fatalf("the second broker: %v", err)
			}
			if look := broker.Inspect(other); !errors.As(look, &inUse) {
				t.Errorf("whoever looks is told %v", look)
			}
			if name == "its lock and holder are gone" {
				return
			}
			for _, words := range []string{"pid " + strconv.Itoa(os.Getpid()), "since 20", "at 127.0.0.1:0"} {
				if !strings.Contains(err.Error(), words) {
					t.Errorf("%q does not say %q", err, words)
				}
			}
		})
	}
}

// A store is free again when its broker has stopped, or has not come about, and when somebody has looked.
func TestStoppedBrokerLeavesItsStore(t *testing.T) {
	store := t.TempDir()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for range 2 {
		b, err := broker.Start(broker.Options{StoreDir: store})
		if err != nil {
			t.Fatal(err)
		}
		b.Shutdown()
		if _, err := broker.Start(broker.Options{StoreDir: store, Listen: taken.Addr().String()}); err == nil {
			t.Fatal("it listens at an address that is taken")
		}
		if err := broker.Inspect(store); err != nil {
			t.Error(err)
		}
	}
}

// What cannot work is said at once: in fake time, in which a wait is seen, and with the option at fault.
func TestImpossibleStartFailsAtOnce(t *testing.T) {
	for name, test := range map[string]struct {
		field, says string
		options     func(t *testing.T) broker.Options
	}{
		"a file": {"StoreDir", "not a directory", func(t *testing.T) broker.Options {
			return broker.Options{StoreDir: file(t, filepath.Join(t.TempDir(), "store"))}
		}},
		"under a file": {"StoreDir", "not a directory", func(t *testing.T) broker.Options {
			return broker.Options{StoreDir: filepath.Join(file(t, filepath.Join(t.TempDir(), "store")), "below")}
		}},
		"a link to nothing": {"StoreDir", "does not exist", func(t *testing.T) broker.Options {
			link := filepath.Join(t.TempDir(), "link")
			if err := os.Symlink(filepath.Join(t.TempDir(), "nothing"), link); err != nil {
				t.Fatal(err)
			}
			return broker.Options{StoreDir: link}
		}},
		"a file inside": {"StoreDir", "not a directory", func(t *testing.T) broker.Options {
			store := t.TempDir()
			file(t, filepath.Join(store, "jetstream"))
			return broker.Options{StoreDir: store}
		}},
		"a link to nothing inside": {"", "did not start", func(t *testing.T) broker.Options {
			store := t.TempDir()
			if err := os.Mkdir(filepath.Join(store, "jetstream"), 0o750); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(filepath.Join(t.TempDir(), "nothing"), filepath.Join(store, "jetstream", "$G")); err != nil {
				t.Fatal(err)
			}
			return broker.Options{StoreDir: store}
		}},
		"no directory": {"StoreDir", "no directory is given", func(*testing.T) broker.Options { return broker.Options{} }},
		"a taken address": {"Listen", "in use", func(t *testing.T) broker.Options {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { listener.Close() })
			return broker.Options{StoreDir: t.TempDir(), Listen: listener.Addr().String()}
		}},
		"an address of another machine": {"Listen", "assign", func(t *testing.T) broker.Options {
			return broker.Options{StoreDir: t.TempDir(), Listen: "192.0.2.1:4222"}
		}},
		"a port that there is not": {"Listen", "invalid port", func(t *testing.T) broker.Options {
			return broker.Options{StoreDir: t.TempDir(), Listen: "127.0.0.1:70000"}
		}},
		"no port": {"Listen", "missing port", func(t *testing.T) broker.Options {
			return broker.Options{StoreDir: t.TempDir(), Listen: "127.0.0.1"}
		}},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			bubble.Run(t, time.Minute, func(t *testing.T) {
				o := test.options(t)
				begun := time.Now()
				b, err := broker.Start(o)
				if err == nil {
					b.Shutdown()
					t.Fatal("it started")
				}
				if waited := time.Since(begun); waited > time.Second {
					t.Errorf("it took %v", waited)
				}
				var field *broker.FieldError
				if errors.As(err, &field) != (test.field != "") || field != nil && field.Field != test.field {
					t.Errorf("%q is not about the option %q", err, test.field)
				}
				if !strings.Contains(err.Error(), test.says) {
					t.Errorf("%q does not say %q", err, test.says)
				}
			})
		})
	}
}

// A start that is no longer wanted ends at once, and leaves the store to the next.
func TestStartEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o := broker.Options{StoreDir: t.TempDir()}
	b, err := broker.StartContext(ctx, o)
	if err == nil {
		b.Shutdown()
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	for { // until what was begun has ended, and left the store to the next
		next, err := broker.Start(o)
		if err == nil {
			next.Shutdown()
			return
		}
		if t.Context().Err() != nil {
			t.Fatal(err)
		}
	}
}

// file makes a file, and the directories to it.
func file(t *testing.T, path string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("no store\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

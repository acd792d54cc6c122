package broker_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"logoffworker/worker/broker"
)

// asNobody does something with the rights that others have to files. Root is asked for none otherwise.
func asNobody(t *testing.T, do func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		do()
		return
	}
	const nobody = 65534
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := syscall.Setfsuid(nobody); err != nil {
			t.Error(err)
			return
		}
		do()
	}()
	<-done
}

// A store of which something may not be read or written is refused before the server passes over it.
func TestForbiddenStoreIsRefused(t *testing.T) {
	for name, forbid := range map[string]func(store string) string{
		"read-only":        func(store string) string { return store },
		"a part read-only": func(store string) string { return filepath.Join(store, "jetstream", "$G", "streams") },
		"a part hidden":    func(store string) string { return filepath.Join(store, "jetstream", "$G") },
		"a file of it":     func(store string) string { return filepath.Join(store, "jetstream", "$G", "streams", "meta.inf") },
		"yet to be made":   func(store string) string { return store },
	} {
		t.Run(name, func(t *testing.T) {
			store := filepath.Join(t.TempDir(), "store")
			file(t, filepath.Join(store, "jetstream", "$G", "streams", "meta.inf"))
			opened(t, filepath.Dir(filepath.Dir(store)))
			forbidden := forbid(store)
			mode := os.FileMode(0o555)
			if name == "a part hidden" {
				mode = 0
			}
			if err := os.Chmod(forbidden, mode); err != nil {
				t.Fatal(err)
			}
			if name == "yet to be made" {
				store = filepath.Join(store, "more")
			}
			asNobody(t, func() {
				b, err := broker.Start(broker.Options{StoreDir: store})
				if err == nil {
					b.Shutdown()
				}
				if look := broker.Inspect(store); look == nil {
					t.Error("whoever looks is told that it will do")
				}
				var field *broker.FieldError
				if !errors.As(err, &field) || field.Field != "StoreDir" || !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), forbidden) {
					t.Errorf("it ended with %v, want the store's fault and %s", err, forbidden)
				}
			})
		})
	}
}

// opened gives everybody all rights to what is below a directory.
func opened(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Chmod(path, 0o777))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A store on a file system that is read-only, or full, is refused in words.
func TestStoreOnADiskThatTakesNothingIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a file system needs root")
	}
	for name, test := range map[string]struct{ options, says string }{
		"read-only": {"ro", "read-only file system"},
		"full":      {"size=4k", "no space left"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if complaint := run("mount", "-t", "tmpfs", "-o", test.options, "tmpfs", dir); complaint != "" {
				t.Skip(complaint)
			}
			defer func() {
				if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
					t.Error(err)
				}
			}()
			if name == "full" {
				file(t, filepath.Join(dir, "other"))
			}
			for _, store := range []string{dir, filepath.Join(dir, "store")} {
				b, err := broker.Start(broker.Options{StoreDir: store})
				if err == nil {
					b.Shutdown()
					t.Fatal("it started")
				}
				look := broker.Inspect(store)
				if !strings.Contains(err.Error(), test.says) || look == nil || !strings.Contains(look.Error(), test.says) {
					t.Errorf("it ended with %v, whoever looks is told %v; want %q", err, look, test.says)
				}
			}
		})
	}
}

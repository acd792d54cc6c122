//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package broker

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// errLocked is that of a directory that another process has locked.
var errLocked = errors.New("locked")

// lock locks a directory against every other lock, until it is closed or the process ends. The directory
// itself is locked, since a file could be deleted under whoever holds it; where a file system locks
// files only (NFS), it is a file.
func lock(dir string) (io.Closer, error) {
	held, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	err = flock(held)
	if err == nil || errors.Is(err, errLocked) {
		return closedUnless(held, err)
	}
	_ = held.Close()
	if held, err = os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o640); err != nil {
		return nil, err
	}
	return closedUnless(held, flock(held))
}

func flock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			return errLocked
		case err != nil:
			return &os.PathError{Op: "lock", Path: f.Name(), Err: err}
		default:
			return nil
		}
	}
}

func closedUnless(f *os.File, err error) (io.Closer, error) {
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

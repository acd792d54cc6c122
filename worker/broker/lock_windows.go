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

// sharingViolation is Windows' ERROR_SHARING_VIOLATION.
const sharingViolation = syscall.Errno(32)

// lock locks a directory against every other lock, until it is closed or the process ends: it opens a
// file in it that nobody else can open, or delete, meanwhile.
func lock(dir string) (io.Closer, error) {
	path := filepath.Join(dir, lockFile)
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	handle, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil, syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	switch {
	case errors.Is(err, sharingViolation):
		return nil, errLocked
	case err != nil:
		return nil, &os.PathError{Op: "lock", Path: path, Err: err}
	}
	return os.NewFile(uintptr(handle), path), nil
}

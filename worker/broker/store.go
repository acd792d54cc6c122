package broker

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats-server/v2/server"
)

// holderFile says who has a store. It is no lock itself, so deleting it lets nobody in.
const holderFile = "in-use-by.json"

// lockFile is what is locked where a directory cannot be.
const lockFile = ".lock"

// A Holder is the process that has a store.
type Holder struct {
	PID    int       `json:"pid"`
	Host   string    `json:"host"`
	Since  time.Time `json:"since"`
	Listen string    `json:"listen,omitempty"` // its address for other programs, as it was given
}

func (h Holder) String() string {
	if h.PID == 0 {
		return "a process that has not said who it is"
	}
	who := fmt.Sprintf("pid %d on %s, since %s", h.PID, h.Host, h.Since.UTC().Format(time.RFC3339))
	if h.Listen != "" {
		who += ", at " + h.Listen
	}
	return who
}

// InUse is the error of a store that another process has.
type InUse struct {
	Dir    string
	Holder Holder
}

func (e *InUse) Error() string {
	return fmt.Sprintf("the store %q is in use by %v; two processes on one store would lose what they have acknowledged", e.Dir, e.Holder)
}

// A store is a directory in which this process alone keeps streams: others are locked out until it is
// closed or the process ends, however that happens.
type store struct {
	dir   string
	locks []io.Closer
}

// openStore makes the directory if it is missing and takes it for this process.
func openStore(dir, listen string) (*store, error) {
	s := &store{dir: dir}
	err := s.take(listen)
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *store) take(listen string) error {
	if _, err := foundation(s.dir); err != nil {
		return err
	}
	for _, place := range places(s.dir) {
		if err := os.MkdirAll(place, 0o750); err != nil {
			return err
		}
		if err := s.lock(place); err != nil {
			return err
		}
	}
	if err := s.sign(listen); err != nil {
		return err
	}
	return usable(s.dir)
}

// foundation is the directory, or the one nearest to it that is there, in which it can be made.
func foundation(dir string) (string, error) {
	for there := filepath.Clean(dir); ; there = filepath.Dir(there) {
		info, err := os.Stat(there)
		switch {
		case err == nil && info.IsDir():
			return there, nil
		case err == nil:
			return "", fmt.Errorf("%s is not a directory", there)
		case !errors.Is(err, fs.ErrNotExist) || there == filepath.Dir(there):
			return "", err
		}
		if _, err := os.Lstat(there); err == nil {
			return "", fmt.Errorf("%s is a link to something that does not exist", there)
		}
	}
}

// places are what is locked. The server keeps its streams in a directory within the store, and takes up
// those that it finds beside an empty one: a store must be neither the inside nor the outside of another.
func places(dir string) []string {
	return []string{dir, filepath.Join(dir, server.JetStreamStoreDir)}
}

// Somebody who looks whether a store is in use holds its lock for a moment, see [Inspect].
const (
	lockTries    = 5
	lockInterval = 50 * time.Millisecond
)

func (s *store) lock(place string) error {
	held, err := lock(place)
	for tries := 1; errors.Is(err, errLocked) && tries < lockTries; tries++ {
		time.Sleep(lockInterval)
		held, err = lock(place)
	}
	if errors.Is(err, errLocked) {
		return &InUse{Dir: s.dir, Holder: holder(s.dir, place, filepath.Dir(s.dir))}
	}
	if err != nil {
		return err
	}
	s.locks = append(s.locks, held)
	return nil
}

// sign says who has the store, for whoever finds it locked.
func (s *store) sign(listen string) error {
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown host"
	}
	text, err := json.Marshal(Holder{PID: os.Getpid(), Host: host, Since: time.Now().UTC().Truncate(time.Second), Listen: listen})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.dir, holderFile), append(text, '\n'), 0o640)
}

// holder reads who last signed in one of the directories: where stores are one within the other, the
// holder has signed in another one than is locked.
func holder(dirs ...string) (last Holder) {
	for _, dir := range dirs {
		var h Holder
		text, err := os.ReadFile(filepath.Join(dir, holderFile))
		if err == nil && json.Unmarshal(text, &h) == nil && h.Since.After(last.Since) {
			last = h
		}
	}
	return last
}

func (s *store) close() {
	for _, held := range s.locks {
		_ = held.Close() // which unlocks
	}
	s.locks = nil
}

// usable sees whether all of a store can be read and written, and whether there is space. The server
// would pass over what it cannot read, and begin it anew.
func usable(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return writable(path)
		case !entry.Type().IsRegular() || entry.Name() == lockFile:
			return nil
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		return f.Close()
	})
}

// writable writes a block into a directory, and removes it again.
func writable(dir string) error {
	probe, err := os.CreateTemp(dir, ".probe-")
	if err != nil {
		return err
	}
	_, err = probe.Write(make([]byte, 4096))
	return errors.Join(err, probe.Close(), os.Remove(probe.Name()))
}

// Inspect says whether a broker could have a store, without making or changing anything that stays: an
// [*InUse] names the process that has it.
func Inspect(dir string) error {
	there, err := foundation(dir)
	if err != nil {
		return err
	}
	if there != filepath.Clean(dir) {
		return writable(there)
	}
	if err := (&store{dir: dir}).free(); err != nil {
		return err
	}
	return usable(dir)
}

// free reports who has a store, or any place of it that is there already.
func (s *store) free() error {
	defer s.close()
	for _, place := range places(s.dir) {
		if _, err := os.Stat(place); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := s.lock(place); err != nil {
			return err
		}
	}
	return nil
}

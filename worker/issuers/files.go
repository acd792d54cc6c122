package issuers

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"logoffworker/jobs/signals"
	"logoffworker/worker/env"
)

// files are the issuers file and those that it names, as they were read.
type files struct {
	dir  string              // that relative paths are relative to
	sums map[string]env.Sum  // by path; that of nothing for those that cannot be read
	maps map[string]*MapFile // by path
}

func newFiles(issuersFile string) *files {
	return &files{dir: filepath.Dir(issuersFile), sums: map[string]env.Sum{}, maps: map[string]*MapFile{}}
}

// resolve makes the path of a file that the issuers file names.
func (f *files) resolve(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(f.dir, name)
}

// read reads a file, and has it looked at from now on.
func (f *files) read(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	f.sums[path] = sha256.Sum256(data)
	if err != nil {
		return nil, env.Unreadable(err)
	}
	return data, nil
}

// sum stands for all that was read.
func (f *files) sum() env.Sum {
	var all []byte
	for _, path := range slices.Sorted(maps.Keys(f.sums)) {
		all = fmt.Appendf(all, "%q %x\n", path, f.sums[path])
	}
	return sha256.Sum256(all)
}

// now is what sum would be if the same files were read now.
func (f *files) now() env.Sum {
	again := files{sums: map[string]env.Sum{}}
	for path := range f.sums {
		_, _ = again.read(path)
	}
	return again.sum()
}

// A MapFile tells whom subjects mean, as it was read last.
type MapFile struct {
	Path     string
	Subjects int       // how many it knows
	Modified time.Time // when it was changed last
	users    map[string]string
}

// openMap reads a map file, whose name is as a template has it.
func (f *files) openMap(name string) (signals.Map, error) {
	path := f.resolve(name)
	m := f.maps[path]
	if m == nil {
		data, err := f.read(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		users, err := readMap(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		m = &MapFile{Path: path, Subjects: len(users), users: users}
		if info, err := os.Stat(path); err == nil {
			m.Modified = info.ModTime()
		}
		f.maps[path] = m
	}
	return func(subject string) (user string, ok bool) {
		user, ok = m.users[subject]
		return user, ok
	}, nil
}

// readMap reads the lines subject,user of a map file. That no line is in it is an error, since a file that is being
// written may be empty, and would let no revocation through. Its errors repeat nothing of the file.
func readMap(data []byte) (users map[string]string, err error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return nil, errors.New("the file is not in UTF-8: save it as plain UTF-8 text")
	}
	lines := csv.NewReader(bytes.NewReader(data))
	lines.Comment, lines.FieldsPerRecord, lines.TrimLeadingSpace, lines.ReuseRecord = '#', 2, true, true
	users = map[string]string{}
	for first := true; ; first = false {
		record, err := lines.Read()
		var wrong *csv.ParseError
		switch {
		case errors.Is(err, io.EOF) && len(users) == 0:
			return nil, errors.New("no line of a subject and its user is in the file")
		case errors.Is(err, io.EOF):
			return users, nil
		case errors.As(err, &wrong) && errors.Is(err, csv.ErrFieldCount):
			return nil, fmt.Errorf("line %d must hold a subject and a user, separated by one comma; what holds a comma itself stands in quotes", wrong.Line)
		case errors.As(err, &wrong):
			return nil, fmt.Errorf("line %d: %w", wrong.Line, wrong.Err)
		case err != nil:
			return nil, err
		}
		line, _ := lines.FieldPos(0)
		subject, user := strings.TrimSpace(record[0]), strings.TrimSpace(record[1])
		if first && subject == "subject" && user == "user" {
			continue // the heads of the columns
		}
		before, twice := users[subject]
		_, err = signals.ParseUser(user)
		switch {
		case subject == "":
			return nil, fmt.Errorf("line %d has no subject", line)
		case err != nil:
			return nil, fmt.Errorf(`line %d: the user must be email:…, name:… or id:…, as in email:jane@corp.example or name:CORP\jane`, line)
		case twice && before != user:
			return nil, fmt.Errorf("line %d has a subject that stands above with another user; keep one", line)
		}
		users[strings.Clone(subject)] = strings.Clone(user)
	}
}

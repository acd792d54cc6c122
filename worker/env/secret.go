package env

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"unicode/utf8"
)

// A Secret is a value that nothing prints.
type Secret string

// String implements fmt.Stringer; it tells only whether there is a value.
func (s Secret) String() string {
	if s == "" {
		return "not set"
	}
	return "set"
}

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return s.String() }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements encoding.TextMarshaler.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Source returns a function that reads a secret anew each time, so that a file can be rotated.
func Source(value Secret, file string) func() (string, error) {
	if file == "" {
		return func() (string, error) { return string(value), nil }
	}
	return func() (string, error) {
		value, err := ReadSecret(file)
		if err != nil {
			err = fmt.Errorf("%s: %w", file, err)
		}
		return value, err
	}
}

// ReadSecret reads a file that holds a secret in one line of plain text. Its errors repeat nothing of the file, and
// not its name, since a secret may have been given in place of the name.
func ReadSecret(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", Unreadable(err)
	}
	text := string(data)
	value := Trimmed(text)
	switch {
	case strings.HasPrefix(text, "\xff\xfe"), strings.HasPrefix(text, "\xfe\xff"), strings.Contains(text, "\x00"):
		return "", errors.New("the file is in UTF-16: save it as plain UTF-8 text")
	case strings.HasPrefix(text, "\ufeff"):
		return "", errors.New("the file begins with a byte order mark: save it as UTF-8 without one")
	case !utf8.ValidString(text):
		return "", errors.New("the file is not in UTF-8: save it as plain UTF-8 text")
	case value == "":
		return "", errors.New("the file is empty")
	case strings.ContainsAny(value, "\r\n"):
		return "", errors.New("the file holds more than one line: keep that of the secret")
	}
	return value, nil
}

// Readable says why a file cannot be read.
func Readable(path string) error {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		return errors.New("the file cannot be read: it is a directory")
	}
	if err == nil {
		var f *os.File
		if f, err = os.Open(path); err == nil {
			return f.Close()
		}
	}
	return Unreadable(err)
}

// Unreadable says why, without the name of the file.
func Unreadable(err error) error {
	var failed *fs.PathError
	if errors.As(err, &failed) {
		err = failed.Err
	}
	return fmt.Errorf("the file cannot be read: %w", err)
}

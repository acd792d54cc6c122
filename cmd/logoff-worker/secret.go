package main

import (
	"errors"
	"log/slog"
	"os"
	"strings"
)

// A secret is a value that nothing prints.
type secret string

// String implements fmt.Stringer; it tells only whether there is a value.
func (s secret) String() string {
	if s == "" {
		return "not set"
	}
	return "set"
}

// GoString implements fmt.GoStringer.
func (s secret) GoString() string { return s.String() }

// LogValue implements slog.LogValuer.
func (s secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements encoding.TextMarshaler.
func (s secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// source returns a function that reads a secret anew each time, so that a file can be rotated.
func source(value secret, file string) func() (string, error) {
	if file == "" {
		return func() (string, error) { return string(value), nil }
	}
	return func() (string, error) { return readSecret(file) }
}

// readSecret reads a file that holds a secret and at most a line break after it.
func readSecret(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	value := strings.TrimRight(string(data), "\r\n")
	if value == "" {
		return "", errors.New("the file is empty")
	}
	return value, nil
}

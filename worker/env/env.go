// Package env is what programs read of their environment: texts as they are meant ([Tidy]), secrets, also from
// files ([Source]), and where NATS is ([NATS]). A message of it repeats no value, because a value in the wrong
// place may be a secret. Which settings there are is each program's own.
package env

import (
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"strconv"
	"strings"
	"unicode"

	"github.com/kelseyhightower/envconfig"

	"logoffworker/worker/stream"
)

// Tidy is the one place where the variables of a specification, which is a pointer to a struct, are trimmed. Blanks
// around a value, a byte order mark and quotes, which some tools keep when they read a file of variables, are no part
// of it; but of a secret quotes may be. A variable in which nothing is left is not set.
func Tidy(prefix string, spec any) error {
	values := Values(reflect.ValueOf(spec).Elem())
	for i, name := range Names(prefix, spec) {
		given, isSet := os.LookupEnv(name)
		if !isSet {
			continue
		}
		value := Trimmed(given)
		if _, isSecret := values[i].(Secret); !isSecret {
			value = Unquoted(value)
		}
		err := os.Setenv(name, value)
		if value == "" {
			err = os.Unsetenv(name)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// Names lists the variables of a specification in the order of its fields.
func Names(prefix string, spec any) []string {
	var names strings.Builder
	if err := envconfig.Usagef(prefix, spec, &names, "{{range .}}{{usage_key .}}\n{{end}}"); err != nil {
		return nil
	}
	return strings.Fields(names.String())
}

// Values lists the values of a struct's fields, those of structs within in their place.
func Values(v reflect.Value) (all []any) {
	if v.Kind() != reflect.Struct {
		return []any{v.Interface()}
	}
	for i := range v.NumField() {
		all = append(all, Values(v.Field(i))...)
	}
	return all
}

// Trimmed is a text without what cannot be seen at its ends.
func Trimmed(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) })
}

// Unquoted is a text without the pair of quotes around it, if there is one.
func Unquoted(s string) string {
	if len(s) < 2 || s[0] != s[len(s)-1] || s[0] != '"' && s[0] != '\'' {
		return s
	}
	inner := s[1 : len(s)-1]
	if strings.IndexByte(inner, s[0]) >= 0 {
		return s // the quotes belong to the entries of a list
	}
	return Trimmed(inner)
}

// Entries reads the entries of a list, which commas or line breaks separate, and of which one may be in
// quotes. Those in which nothing stands are left out.
func Entries(text string) (all []string) {
	for _, entry := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' }) {
		if entry = Unquoted(Trimmed(entry)); entry != "" {
			all = append(all, entry)
		}
	}
	return all
}

// A Size is a number of bytes.
type Size int64

// units are those of a size, all powers of 1024.
var units = map[string]uint{"": 0, "K": 10, "M": 20, "G": 30, "T": 40}

// Decode implements envconfig.Decoder: a whole number with or without a unit, as in 512M, 512MB or 512MiB.
func (s *Size) Decode(value string) error {
	digits := strings.TrimRightFunc(value, func(r rune) bool { return r < '0' || r > '9' })
	unit := strings.TrimSuffix(strings.TrimSuffix(strings.ToUpper(strings.TrimSpace(value[len(digits):])), "B"), "I")
	shift, known := units[unit]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !known || n < 0 || n > math.MaxInt64>>shift {
		return errors.New("no number of bytes")
	}
	*s = Size(n << shift)
	return nil
}

// String implements fmt.Stringer.
func (s Size) String() string { return stream.Bytes(int64(s)) }

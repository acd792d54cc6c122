package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/kelseyhightower/envconfig"

	"logoffworker/worker/stream"
)

// tidyEnvironment is the one place where settings are trimmed. Blanks around a value, a byte order mark
// and quotes, which some tools keep when they read a file of variables, are no part of it; but of a secret
// quotes may be. A variable in which nothing is left is not set.
func tidyEnvironment() error {
	values := fieldValues(reflect.ValueOf(settings{}))
	for i, name := range variableNames() {
		given, isSet := os.LookupEnv(name)
		if !isSet {
			continue
		}
		value := trimmed(given)
		if _, isSecret := values[i].(secret); !isSecret {
			value = unquoted(value)
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

// trimmed is a text without what cannot be seen at its ends.
func trimmed(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) })
}

// unquoted is a text without the pair of quotes around it, if there is one.
func unquoted(s string) string {
	if len(s) < 2 || s[0] != s[len(s)-1] || s[0] != '"' && s[0] != '\'' {
		return s
	}
	inner := s[1 : len(s)-1]
	if strings.IndexByte(inner, s[0]) >= 0 {
		return s // the quotes belong to the entries of a list
	}
	return trimmed(inner)
}

// A list is a setting with any number of entries.
type list []string

// Decode implements envconfig.Decoder.
func (l *list) Decode(value string) error {
	*l = entries(value)
	if len(*l) == 0 && value != "" {
		return errors.New("nothing is in it")
	}
	return nil
}

// entries reads the entries of a list, which commas or line breaks separate, and of which one may be in
// quotes. Those in which nothing stands are left out.
func entries(text string) (all []string) {
	for _, entry := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' }) {
		if entry = unquoted(trimmed(entry)); entry != "" {
			all = append(all, entry)
		}
	}
	return all
}

// A size is a number of bytes.
type size int64

// units are those of a size, all powers of 1024.
var units = map[string]uint{"": 0, "K": 10, "M": 20, "G": 30, "T": 40}

// Decode implements envconfig.Decoder: a whole number with or without a unit, as in 512M, 512MB or 512MiB.
func (s *size) Decode(value string) error {
	digits := strings.TrimRightFunc(value, func(r rune) bool { return r < '0' || r > '9' })
	unit := strings.TrimSuffix(strings.TrimSuffix(strings.ToUpper(strings.TrimSpace(value[len(digits):])), "B"), "I")
	shift, known := units[unit]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !known || n < 0 || n > math.MaxInt64>>shift {
		return errors.New("no number of bytes")
	}
	*s = size(n << shift)
	return nil
}

// String implements fmt.Stringer.
func (s size) String() string { return stream.Bytes(int64(s)) }

// serviceLink is the name of a variable that Kubernetes makes for a service, when the service's name
// begins as ours do.
var serviceLink = regexp.MustCompile(`^LOGOFF(_\w+)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// strangers finds variables that are probably misspelled. It only tells, because others put variables with our
// prefix into an environment too.
func strangers() (told []string) {
	known := variableNames()
	var links []string
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		upper := strings.ToUpper(name)
		switch {
		case slices.Contains(known, name):
		case serviceLink.MatchString(name), strings.HasPrefix(name, prefix) && strings.HasSuffix(name, "_PORT") && strings.Contains(value, "://"):
			links = append(links, name)
		default:
			meant := nearest(upper, known)
			if meant != "" {
				told = append(told, fmt.Sprintf("%s is not a variable of this program; did you mean %s?", name, meant))
			} else if strings.HasPrefix(upper, prefix+"_") {
				told = append(told, name+" is not a variable of this program")
			}
		}
	}
	if len(links) > 0 {
		told = append(told, fmt.Sprintf("%d variables such as %s are no settings: Kubernetes makes them of its services (enableServiceLinks: false in the pod leaves them out)", len(links), slices.Min(links)))
	}
	return told
}

// nearest is the known name that is probably meant by another; empty when none is near.
func nearest(name string, known []string) (meant string) {
	best := 3 // edits; names with our prefix may be further off
	if strings.HasPrefix(name, prefix+"_") {
		best = 5
	}
	for _, candidate := range known {
		d := edits(name, candidate)
		if strings.HasPrefix(candidate, name) {
			d = 1 // it was cut short
		}
		if d < best {
			best, meant = d, candidate
		}
	}
	return meant
}

// edits counts the characters that have to be added, removed or replaced to make b of a.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// variableNames lists every variable in the order of the fields.
func variableNames() []string {
	var names strings.Builder
	if err := envconfig.Usagef(prefix, &settings{}, &names, "{{range .}}{{usage_key .}}\n{{end}}"); err != nil {
		return nil
	}
	return strings.Fields(names.String())
}

// fieldValues lists the values of a struct's fields, those of structs within in their place.
func fieldValues(v reflect.Value) (all []any) {
	if v.Kind() != reflect.Struct {
		return []any{v.Interface()}
	}
	for i := range v.NumField() {
		all = append(all, fieldValues(v.Field(i))...)
	}
	return all
}

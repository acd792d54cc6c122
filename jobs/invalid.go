package jobs

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxQuoted = 64  // bytes of foreign text within a reason
	maxPlace  = 128 // bytes of a place
	maxReason = 512 // bytes of a reason
)

// An InvalidError says what is wrong with a job and where. Both texts are printable: foreign bytes
// in them are escaped and cut short.
type InvalidError struct {
	// Place is a JSON pointer ("/sessions/3"), or a position counted from 1 ("byte 17", "line 2,
	// byte 57"). It is empty when the job as a whole is meant.
	Place string
	// Reason is what is wrong, and what is accepted instead.
	Reason string
}

func (e *InvalidError) Error() string {
	if e.Place == "" {
		return e.Reason
	}
	return "at " + e.Place + ": " + e.Reason
}

func invalidAt(place, format string, values ...any) *InvalidError {
	return &InvalidError{
		Place:  escape(place, maxPlace),
		Reason: escape(fmt.Sprintf(format, values...), maxReason),
	}
}

// A reason is an error in words of our own, as opposed to a library's.
type reason string

func (r reason) Error() string { return string(r) }

func refused(format string, values ...any) error {
	return reason(fmt.Sprintf(format, values...))
}

// quote makes foreign text fit to stand in a reason.
func quote[Text ~string | ~[]byte](s Text) string {
	if len(s) <= maxQuoted {
		return strconv.Quote(string(s))
	}
	return strconv.Quote(cut(string(s[:maxQuoted+1]), maxQuoted)) + "…"
}

// escape makes text printable and at most max bytes long. What comes out of it goes through it
// unchanged.
func escape(s string, max int) string {
	if len(s) > 2*max {
		s = s[:2*max] // what follows would be cut off anyway
	}
	if !printable(s) {
		var b strings.Builder
		for len(s) > 0 {
			r, size := utf8.DecodeRuneInString(s)
			if r == utf8.RuneError && size == 1 || !unicode.IsPrint(r) {
				quoted := strconv.Quote(s[:size])
				b.WriteString(quoted[1 : len(quoted)-1])
			} else {
				b.WriteString(s[:size])
			}
			s = s[size:]
		}
		s = b.String()
	}
	if len(s) <= max {
		return s
	}
	return cut(s, max-len("…")) + "…"
}

func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// cut shortens text to at most max bytes without tearing a character apart.
func cut(s string, max int) string {
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	return s[:max]
}

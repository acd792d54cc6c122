package webserver

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Fold is the form in which names and addresses are compared: that of Unicode's canonical caseless match. Two that
// differ in case alone, or in how an accent is written, have the same; ß is ss, and the Kelvin sign a k.
func Fold(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	return norm.NFC.String(cases.Fold().String(norm.NFD.String(s)))
}

// sameName reports whether two names, or two addresses, are the same. Nothing is not a name.
func sameName(a, b string) bool { return a == b || Fold(a) == Fold(b) }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

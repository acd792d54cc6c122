package webserver

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The document of DELETE Sessions, spelled as in the vendor's sample, on one line.
const (
	documentStart = `<?xml version="1.0" encoding="utf-8"?><Api_LogoffUsersRequest>`
	documentEnd   = `</Api_LogoffUsersRequest>`
	sessionStart  = `<sessions val="`
	sessionEnd    = `"/>`
)

// DocumentOverhead is the size of a document without sessions, in bytes.
const DocumentOverhead = len(documentStart) + len(documentEnd)

// SessionSize is how many bytes a session ID adds to a document.
func SessionSize(id string) int {
	n := len(sessionStart) + len(id) + len(sessionEnd)
	if !strings.ContainsAny(id, special) {
		return n
	}
	for i := range len(id) {
		if entity := entity(id[i]); entity != "" {
			n += len(entity) - 1
		}
	}
	return n
}

// AppendDocument appends the document that asks to end the sessions, in their order. The IDs are
// taken to be text that XML can hold; [Client.Logoff] refuses others.
func AppendDocument(dst []byte, ids []string) []byte {
	dst = append(dst, documentStart...)
	for _, id := range ids {
		dst = append(dst, sessionStart...)
		dst = appendEscaped(dst, id)
		dst = append(dst, sessionEnd...)
	}
	return append(dst, documentEnd...)
}

// special are the characters that XML has entities for.
const special = `&<>"'`

func appendEscaped(dst []byte, id string) []byte {
	if !strings.ContainsAny(id, special) {
		return append(dst, id...)
	}
	for i := range len(id) {
		if entity := entity(id[i]); entity != "" {
			dst = append(dst, entity...)
		} else {
			dst = append(dst, id[i])
		}
	}
	return dst
}

func entity(c byte) string {
	switch c {
	case '&':
		return "&amp;"
	case '<':
		return "&lt;"
	case '>':
		return "&gt;"
	case '"':
		return "&quot;"
	case '\'':
		return "&apos;"
	}
	return ""
}

// misfit says why a document cannot carry a session ID unchanged; empty when it can. A parser turns
// line breaks and tabs of an attribute into blanks, and XML has no spelling for the rest.
func misfit(id string) string {
	switch {
	case id == "":
		return "is empty"
	case visibleASCII(id):
		return ""
	case !utf8.ValidString(id):
		return "is not valid UTF-8"
	case strings.ContainsFunc(id, unicode.IsControl):
		return "holds a control character"
	case strings.ContainsAny(id, "\uFFFE\uFFFF"):
		return "holds a character that XML cannot carry"
	}
	return ""
}

// visibleASCII is what nearly every session ID consists of.
func visibleASCII(id string) bool {
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return true
}

package signals

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const maxQuoted = 128 // bytes of foreign text within a sentence

// quote makes foreign text fit to stand in a sentence: escaped, and cut short.
func quote(text string) string {
	if len(text) <= maxQuoted {
		return strconv.Quote(text)
	}
	return strconv.Quote(cut(text, maxQuoted)) + "…"
}

// cut shortens text to at most max bytes without tearing a character apart.
func cut(text string, max int) string {
	if len(text) <= max {
		return text
	}
	for max > 0 && !utf8.RuneStart(text[max]) {
		max--
	}
	return text[:max]
}

func printable(text string) bool {
	return utf8.ValidString(text) && strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// object reads JSON that is an object. No member may be there twice, at any depth, and all text is UTF-8.
func object(data []byte) (map[string]any, error) {
	all, err := value(data)
	members, ok := all.(map[string]any)
	if err == nil && !ok {
		err = errors.New("no JSON object")
	}
	return members, err
}

// value reads JSON as strictly.
func value(data []byte) (any, error) {
	var all any
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, explain(err)
	}
	return all, nil
}

// explain says in words what the JSON library found, without values.
func explain(err error) error {
	var syntactic *jsontext.SyntacticError
	switch {
	case !errors.As(err, &syntactic):
		return errors.New("not JSON that can be read")
	case errors.Is(err, jsontext.ErrDuplicateName):
		return errors.New("the member " + quote(string(syntactic.JSONPointer)) + " is there twice")
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return errors.New("the JSON ends too early")
	case strings.Contains(syntactic.Err.Error(), "UTF-8"):
		return errors.New("invalid UTF-8 at byte " + strconv.FormatInt(syntactic.ByteOffset+1, 10))
	}
	return errors.New("not JSON at byte " + strconv.FormatInt(syntactic.ByteOffset+1, 10))
}

// text is a string's own text; ok is false for anything else and for an empty one.
func text(value any) (string, bool) {
	s, _ := value.(string)
	return s, s != ""
}

// scalar is a string, a boolean or a number as text; ok is false for anything else.
func scalar(value any) (string, bool) {
	switch value := value.(type) {
	case string:
		return value, true
	case bool:
		return strconv.FormatBool(value), true
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64), true
	}
	return "", false
}

// oneOf tells whether a value, or an entry of a list, is one of those that are allowed. Case makes no difference.
func oneOf(value any, allowed []string) bool {
	if list, ok := value.([]any); ok {
		for _, entry := range list {
			if _, deeper := entry.([]any); !deeper && oneOf(entry, allowed) {
				return true
			}
		}
		return false
	}
	found, _ := scalar(value)
	for _, one := range allowed {
		if strings.EqualFold(found, one) {
			return true
		}
	}
	return false
}

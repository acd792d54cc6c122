package signals

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// checkPointer tells whether a text is a JSON pointer (RFC 6901), of which one part may be an asterisk.
func checkPointer(pointer string) error {
	if pointer == "" {
		return nil
	}
	if !printable(pointer) {
		return fmt.Errorf("%s is no JSON pointer that can be printed", quote(pointer))
	}
	if pointer[0] != '/' {
		return fmt.Errorf("%s is no JSON pointer; one begins with a slash", quote(pointer))
	}
	stars := 0
	for part := range strings.SplitSeq(pointer[1:], "/") {
		if part == "*" {
			stars++
		}
		if strings.Contains(strings.NewReplacer("~0", "", "~1", "").Replace(part), "~") {
			return fmt.Errorf("%s is no JSON pointer; a tilde is written ~0 and a slash ~1", quote(pointer))
		}
	}
	if stars > 1 {
		return errors.New(quote(pointer) + " has more than one asterisk")
	}
	return nil
}

var unescape = strings.NewReplacer("~1", "/", "~0", "~")

// at is what a pointer points at within a value: nothing, one value, or each entry of a list where a part is an asterisk.
func at(value any, pointer string) []any {
	found, _ := reach(value, pointer)
	return found
}

// reach is at, and tells whether the pointer can be followed in all of the value: an empty list can be.
func reach(value any, pointer string) (found []any, whole bool) {
	if pointer == "" {
		return []any{value}, true
	}
	part, rest, more := strings.Cut(pointer[1:], "/")
	if more {
		rest = "/" + rest
	}
	switch value := value.(type) {
	case map[string]any:
		if member, ok := value[unescape.Replace(part)]; ok {
			return reach(member, rest)
		}
	case []any:
		if part == "*" {
			whole = true
			for _, entry := range value {
				more, followed := reach(entry, rest)
				found, whole = append(found, more...), whole && followed
			}
			return found, whole
		}
		if i, err := strconv.Atoi(part); err == nil && i >= 0 && i < len(value) && strconv.Itoa(i) == part {
			return reach(value[i], rest)
		}
	}
	return nil, false
}

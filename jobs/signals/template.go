package signals

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"logoffworker/jobs"
)

// ParseTemplate reads a template, and opens the map file of one that begins with "map:". The error says what is wrong
// with it.
func ParseTemplate(text string, open func(file string) (Map, error)) (Template, error) {
	t := Template{Text: text}
	kind, rest, _ := strings.Cut(text, ":")
	switch kind {
	case "email", "name", "id":
		if !placeholder.MatchString(rest) {
			return t, fmt.Errorf("the template %s has no member in braces, and would mean the same user always; %s:{email} is one", quote(text), kind)
		}
		if strings.ContainsAny(placeholder.ReplaceAllString(rest, ""), "{}") {
			return t, fmt.Errorf("the template %s has a brace that is not around the name of a member or a JSON pointer", quote(text))
		}
		return t, nil
	case "map":
		file, member := t.file()
		if file == "" || strings.ContainsAny(file+strings.Trim(member, "{}"), "{}") || member != "" && !placeholder.MatchString(member) {
			return t, fmt.Errorf("the template %s is not map:FILE or map:FILE{member}", quote(text))
		}
		var err error
		t.Map, err = open(file)
		return t, err
	}
	return t, fmt.Errorf("a template begins with email:, name:, id: or map:, and %s does not", quote(text))
}

// placeholder is a member's name, with dots for members within, or a JSON pointer.
var placeholder = regexp.MustCompile(`\{([A-Za-z0-9_@$-]+(?:\.[A-Za-z0-9_@$-]+)*|/[^{}]*)\}`)

// file is the file of a map, and its member in braces.
func (t Template) file() (file, member string) {
	file = strings.TrimPrefix(t.Text, "map:")
	if at := strings.IndexByte(file, '{'); at >= 0 {
		return file[:at], file[at:]
	}
	return file, ""
}

// user makes the user; value is what a name or pointer in braces stands for, and what identifies a subject for "".
func (t Template) user(value func(name string) (string, error)) (jobs.User, error) {
	kind, rest, _ := strings.Cut(t.Text, ":")
	if kind == "map" {
		return t.look(value)
	}
	var failed error
	filled := placeholder.ReplaceAllStringFunc(rest, func(braced string) string {
		v, err := value(braced[1 : len(braced)-1])
		if err == nil {
			err = checkValue(kind, v, braced == rest)
		}
		if err != nil && failed == nil {
			failed = err
		}
		return v
	})
	if failed != nil {
		return jobs.User{}, failed
	}
	return ParseUser(kind + ":" + filled)
}

func (t Template) look(value func(name string) (string, error)) (jobs.User, error) {
	_, member := t.file()
	subject, err := value(strings.Trim(member, "{}"))
	switch {
	case err != nil:
		return jobs.User{}, err
	case t.Map == nil:
		return jobs.User{}, errors.New("the map has not been read")
	}
	user, known := t.Map(subject)
	if !known {
		return jobs.User{}, fmt.Errorf("%s is not in it", quote(subject))
	}
	return ParseUser(user)
}

// checkValue refuses what a foreign value must not bring into a user: it would be another one than the template is for.
// One that is the whole of the user may be what the user is: an address, or a name with its domain.
func checkValue(kind, value string, whole bool) error {
	domain, name, qualified := strings.Cut(value, `\`)
	switch {
	case whole && kind == "name" && qualified && domain != "" && name != "" && !strings.Contains(name, `\`):
		value = domain + name
	case strings.Contains(value, `\`):
		return fmt.Errorf("the value %s has a backslash, which would name somebody of another domain", quote(value))
	}
	switch {
	case strings.Contains(value, "/"):
		return fmt.Errorf("the value %s has a slash", quote(value))
	case strings.Contains(value, "@") && (kind != "email" || !whole):
		return fmt.Errorf("the value %s has an @, which is for addresses", quote(value))
	}
	return checkPlain(value)
}

func checkPlain(value string) error {
	switch {
	case !printable(value):
		return fmt.Errorf("the value %s has control or invisible characters", quote(value))
	case strings.TrimSpace(value) != value || value == "":
		return fmt.Errorf("the value %s is empty, or has a blank at an end", quote(value))
	}
	return nil
}

// ParseUser reads a user as templates and map files have it: "email:jane@corp.example", "name:CORP\jane", "id:42".
func ParseUser(text string) (jobs.User, error) {
	kind, rest, _ := strings.Cut(text, ":")
	switch kind {
	case "email":
		_, _, err := splitAddress(rest)
		if err == nil {
			err = checkPlain(rest)
		}
		return jobs.User{Email: rest}, err
	case "name":
		return jobs.User{Name: rest}, checkPlain(rest)
	case "id":
		id, err := strconv.ParseInt(rest, 10, 64)
		if err != nil || id <= 0 {
			return jobs.User{}, fmt.Errorf("%s is no userId; it is a whole number", quote(rest))
		}
		return jobs.User{ID: id}, nil
	}
	return jobs.User{}, fmt.Errorf("a user begins with email:, name: or id:, and %s does not", quote(text))
}

// splitAddress takes an e-mail address apart.
func splitAddress(address string) (local, domain string, err error) {
	local, domain, ok := strings.Cut(address, "@")
	if !ok || local == "" || domain == "" || strings.ContainsAny(domain, "@ ") || strings.ContainsAny(local, " ") {
		return "", "", fmt.Errorf("%s is no e-mail address", quote(address))
	}
	return local, domain, nil
}

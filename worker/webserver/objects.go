package webserver

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// An object is a JSON object or an XML element. Versions differ in nesting and agree in names, so its
// values are found by name without regard to case.
type object struct {
	name   string
	inside *object // nil for the root
	// values are its own, of each name the first that is not empty, and as "user.userId" those of an
	// object in it.
	values map[string]string
	holds  bool // a row is somewhere in it
}

// readObjects calls done for every object when it has ended, the innermost first, and list for the
// name of every JSON array. An error means that the answer is not exactly one object, complete.
func readObjects(a answer, list func(name string), done func(*object)) error {
	body := content(a)
	switch {
	case !a.whole():
		return errors.New("cut off")
	case !startsWith(body, '{', '<') || isPage(body):
		return errors.New("neither a JSON object nor an XML element")
	}
	var top *object
	err := walk(body, visitor{
		begin: func(name string) { top = &object{name: strings.ToLower(name), inside: top} },
		list:  func(name string) { list(strings.ToLower(name)) },
		value: func(name, value string) { top.set(name, strings.TrimSpace(value)) },
		end: func() {
			done(top)
			top.tell()
			top = top.inside
		},
	})
	if err != nil {
		return errors.New("a broken document") // the parser's own words may repeat what it read
	}
	return nil
}

func (o *object) set(name, value string) {
	name = strings.ToLower(name)
	if o.values[name] != "" {
		return
	}
	if o.values == nil {
		o.values = map[string]string{}
	}
	o.values[name] = value
}

// tell gives an object's own values to the one around it.
func (o *object) tell() {
	if o.inside == nil {
		return
	}
	o.inside.holds = o.inside.holds || o.holds
	for name, value := range o.values {
		if !strings.Contains(name, ".") {
			o.inside.set(o.name+"."+name, value)
		}
	}
}

// first is the first value that is not empty among the names, which are lower case.
func (o *object) first(names ...string) string {
	for _, name := range names {
		if value := o.values[name]; value != "" {
			return value
		}
	}
	return ""
}

// has reports whether any of the names has a value, even an empty one.
func (o *object) has(names ...string) bool {
	for _, name := range names {
		if _, known := o.values[name]; known {
			return true
		}
	}
	return false
}

// within reports whether an object is somewhere in one of that name.
func (o *object) within(name string) bool {
	for around := o.inside; around != nil; around = around.inside {
		if around.name == name {
			return true
		}
	}
	return false
}

// yes reads what JSON and XML write for true.
func yes(value string) bool { return strings.EqualFold(value, "true") || value == "1" }

// number reads an identifier, which is positive; 0 is none.
func number(digits string) int64 {
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// epoch reads seconds since 1970; 0, and nothing, is the zero time.
func epoch(digits string) (time.Time, error) {
	if digits == "" {
		return time.Time{}, nil
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case err != nil || n < 0 || n > lastEpoch:
		return time.Time{}, errors.New("a time that is no number of seconds")
	case n == 0:
		return time.Time{}, nil
	}
	return time.Unix(n, 0), nil
}

// lastEpoch is the end of the year 9999, the last that time can write.
const lastEpoch = 253402300799

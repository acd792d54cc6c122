package history

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"html"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// shortestSecret is the least bytes that a canary, or a form of it, must have: shorter ones are found by
// chance.
const shortestSecret = 8

// secrets checks I10: nothing that was put out holds a secret in any form.
func (c *check) secrets() {
	for _, name := range slices.Sorted(maps.Keys(c.h.Run.Canaries)) {
		if len(c.h.Run.Canaries[name]) < shortestSecret {
			c.violated("I10", "canary "+name, "it has fewer than %d bytes, so that no search for it proves anything", shortestSecret)
		}
	}
	search := newSearch(c.h.Run.Canaries)
	for _, output := range slices.Sorted(maps.Keys(c.h.Outputs)) {
		c.disclosed(output, search.find(c.h.Outputs[output]))
	}
	c.disclosedBy("result", c.h.Results, search)
	c.disclosedBy("dead letter", c.h.Dead, search)
	c.disclosedBy("job left", c.h.Left, search)
}

func (c *check) disclosedBy(what string, stored []Stored, search *search) {
	var text []byte
	for _, s := range stored {
		text = append(append(text[:0], s.Subject...), '\n')
		for name, values := range s.Header {
			text = fmt.Append(text, name, values, "\n")
		}
		text = append(text, s.Data...)
		if names := search.find(text); len(names) > 0 {
			c.disclosed(fmt.Sprintf("%s %d of %s", what, s.Sequence, s.Deployment), names)
		}
	}
}

func (c *check) disclosed(where string, names []string) {
	for _, name := range names {
		c.violated("I10", where, "it holds the secret %s", name)
	}
}

// masked takes the secrets out of what is quoted: a verdict is an output too.
func (c *check) masked(v Violation) Violation {
	for name, canary := range c.h.Run.Canaries {
		for _, form := range forms(canary) {
			v.Job = strings.ReplaceAll(v.Job, form, "["+name+"]")
			v.Why = strings.ReplaceAll(v.Why, form, "["+name+"]")
		}
	}
	return v
}

// forms are the ways in which a secret may be written, itself first.
func forms(secret string) []string {
	all := []string{
		secret,
		url.QueryEscape(secret), url.PathEscape(secret), html.EscapeString(secret),
		strings.Trim(strconv.Quote(secret), `"`),
	}
	for skip := range 3 {
		all = append(all, within64(secret, skip)...)
	}
	all = slices.DeleteFunc(all, func(form string) bool { return len(form) < shortestSecret })
	slices.Sort(all)
	return slices.Compact(all)
}

// within64 is what base64 of any text shows that holds the secret: its groups of three bytes begin at
// the first, second or third byte of the secret, and only whole groups look the same wherever it is.
func within64(secret string, skip int) []string {
	if len(secret) < skip {
		return nil
	}
	rest := secret[skip:]
	whole := []byte(rest[:len(rest)/3*3])
	return []string{base64.RawStdEncoding.EncodeToString(whole), base64.RawURLEncoding.EncodeToString(whole)}
}

// A search looks for all forms of all secrets at once.
type search struct {
	begins [1 << 16]bool // by the first two bytes of a form
	forms  []form
}

type form struct {
	name string // of the secret
	text []byte
}

func newSearch(canaries map[string]string) *search {
	s := &search{}
	for _, name := range slices.Sorted(maps.Keys(canaries)) {
		for _, text := range forms(canaries[name]) {
			s.forms = append(s.forms, form{name, []byte(text)})
			s.begins[uint16(text[0])<<8|uint16(text[1])] = true
		}
	}
	return s
}

// find names the secrets that a text holds.
func (s *search) find(text []byte) (names []string) {
	for i := range len(text) - 1 {
		if !s.begins[uint16(text[i])<<8|uint16(text[i+1])] {
			continue
		}
		for _, f := range s.forms {
			if bytes.HasPrefix(text[i:], f.text) && !slices.Contains(names, f.name) {
				names = append(names, f.name)
			}
		}
	}
	return names
}

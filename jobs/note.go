package jobs

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// What a job has besides sessions and users are notes: one that cannot be read never stops a revocation.

// blank tells what is dropped at both ends of a value: spaces of all kinds, and marks that nobody sees.
func blank(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }

// textOf is a JSON value as text: a string's own, and what stands there of anything else. It is empty
// for null.
func textOf(value jsontext.Value) string {
	switch value.Kind() {
	case 'n':
		return ""
	case '"':
		text, err := jsontext.AppendUnquote(nil, value)
		if err != nil {
			return "" // invalid UTF-8
		}
		return string(text)
	}
	return compacted(value)
}

func compacted(value jsontext.Value) string {
	value = slices.Clone(value)
	_ = value.Compact() // it has been read, so it is JSON
	return string(value)
}

// A note is echoed, so any value is good.
type note struct{ text string }

func (n *note) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	value, err := dec.ReadValue()
	if err == nil {
		n.text = textOf(value)
	}
	return err
}

// labels are notes with names of the publisher's own.
type labels struct {
	texts   map[string]string
	problem error
}

func (l *labels) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if kind := dec.PeekKind(); kind != '{' {
		if kind != 'n' && kind != 0 {
			l.problem = refused("%s found, an object expected", kindWords[kind])
		}
		return dec.SkipValue()
	}
	var notes map[string]note
	if err := json.UnmarshalDecode(dec, &notes); err != nil {
		return err
	}
	l.texts = make(map[string]string, len(notes))
	for name, n := range notes {
		l.texts[name] = n.text
	}
	return nil
}

// A truth is true where it cannot be read.
type truth struct {
	value   bool
	problem error
}

func (t *truth) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	value, err := dec.ReadValue()
	if err != nil {
		return err
	}
	switch text := strings.ToLower(strings.TrimFunc(textOf(value), blank)); text {
	case "true":
		t.value = true
	case "false", "":
	default:
		t.value, t.problem = true, refused("%s is neither true nor false", quote(textOf(value)))
	}
	return nil
}

// admitNotes leaves out the notes for which there is no room, and an id that cannot be one.
func (j *Job) admitNotes() {
	if j.ID != "" {
		if err := LegalID(j.ID); err != nil {
			j.remark("/id", err, "another stands in its place")
			j.ID = ""
		}
	}
	if j.notes() <= MaxNotes {
		return
	}
	room := MaxNotes
	admit := func(place string, bytes int) bool {
		if bytes > room {
			j.remark(place, refused("%d bytes are more than there is room for; reason, requestedBy and labels may have %d together", bytes, MaxNotes), "left out")
			return false
		}
		room -= bytes
		return true
	}
	if !admit("/reason", len(j.Reason)) {
		j.Reason = ""
	}
	if !admit("/requestedBy", len(j.RequestedBy)) {
		j.RequestedBy = ""
	}
	for _, name := range slices.Sorted(maps.Keys(j.Labels)) {
		if !admit("/labels/"+name, len(name)+len(j.Labels[name])) {
			delete(j.Labels, name)
		}
	}
}

// notes is how many bytes they are together.
func (j *Job) notes() int {
	sum := len(j.Reason) + len(j.RequestedBy)
	for name, text := range j.Labels {
		sum += len(name) + len(text)
	}
	return sum
}

package signals

import (
	"bytes"
	"maps"
	"mime"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"logoffworker/jobs"
)

// Message reads a message as it comes on NATS, or to POST /v1/jobs: its content type and first bytes say what
// it is. Names of headers are compared without case.
func (r Reader) Message(header map[string][]string, body []byte) Answer {
	if a, ok := r.plain(header, body); ok {
		return a
	}
	g := r.read(jobs.FormatOf(body))
	return g.end(g.message(lower(header), body))
}

func (g *reading) message(header headers, body []byte) error {
	kind := kindOf(header.one("content-type"), body)
	if header.one("ce-specversion") != "" && kind != structuredKind && kind != foreignKind {
		kind = binaryKind
	}
	switch kind {
	case binaryKind:
		g.answer.Format = jobs.CloudEvent
		return g.binary(header, body)
	case structuredKind:
		g.answer.Format = jobs.CloudEvent
		return g.structured(body, g.Policy.Recipes)
	case foreignKind:
		g.answer.Format = jobs.CloudEvent
		return invalid(InvalidRequest, "CloudEvents come one a message, as JSON (application/cloudevents+json) or with headers; no batches, no other form")
	case setKind:
		g.answer.Format = jobs.SET
		return g.set("", body)
	case linesKind:
		g.answer.Format = jobs.Lines
		return g.lines(body)
	}
	if err := g.refusal(body); err != nil {
		return err
	}
	job, err := jobs.Decode(body, g.Rules)
	g.answer.Job = job
	return err
}

// A kind is what a message is, as far as one can see from outside.
type kind int

const (
	jobKind kind = iota
	linesKind
	setKind
	structuredKind
	binaryKind
	foreignKind // a CloudEvent in a form that is not read
)

// kindOf tells by the content type, and where that says nothing, by the first bytes and by specversion. A JSON object or an
// XML document is never taken for lines: they are jobs whatever their content type.
func kindOf(contentType string, body []byte) kind {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		media, _, _ = strings.Cut(strings.ToLower(contentType), ";")
	}
	start := bytes.TrimLeft(bytes.TrimPrefix(body, []byte("\ufeff")), " \t\r\n")
	switch media = strings.TrimSpace(media); {
	case media == "application/cloudevents+json", media == "application/cloudevents":
		return structuredKind
	case strings.HasPrefix(media, "application/cloudevents"):
		return foreignKind
	case media == "application/"+setType, bytes.HasPrefix(start, []byte("eyJ")):
		return setKind
	case hasSpecVersion(start):
		return structuredKind
	case media == "text/plain" && !bytes.HasPrefix(start, []byte("<")) && !opensObject(start):
		return linesKind
	}
	return jobKind
}

// opensObject tells a JSON object from a session ID in braces.
func opensObject(start []byte) bool {
	rest, ok := bytes.CutPrefix(start, []byte("{"))
	rest = bytes.TrimLeft(rest, " \t\r\n")
	return ok && (len(rest) == 0 || rest[0] == '"' || rest[0] == '}')
}

// hasSpecVersion tells whether a message is an object with a member specversion, which only CloudEvents have.
func hasSpecVersion(body []byte) bool {
	if !bytes.HasPrefix(body, []byte("{")) || !bytes.Contains(body, []byte(`"specversion"`)) {
		return false
	}
	dec := jsontext.NewDecoder(bytes.NewReader(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if _, err := dec.ReadToken(); err != nil {
		return false
	}
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err == nil && name.String() == "specversion" {
			return true
		}
		if dec.SkipValue() != nil {
			return false
		}
	}
	return false
}

// headers have names in small letters.
type headers map[string][]string

func lower(header map[string][]string) headers {
	all := make(headers, len(header))
	for _, name := range slices.Sorted(maps.Keys(header)) {
		small := strings.ToLower(name)
		all[small] = append(all[small], header[name]...)
	}
	return all
}

// one is the first value of a header; empty if there is none.
func (h headers) one(name string) string {
	if values := h[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

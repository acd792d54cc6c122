package jobs

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
)

const (
	documentRoot    = "Api_LogoffUsersRequest"
	documentSession = "sessions"
	documentID      = "val"

	schemaInstance = "http://www.w3.org/2001/XMLSchema-instance"
)

// decodeXML reads the document that the vendor's DELETE Sessions request takes. It reads token by
// token, because unmarshalling would pass over foreign elements, attributes and text.
func decodeXML(data []byte) (Job, *InvalidError) {
	d := newDocument(data)
	for {
		token, err := d.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = d.take(token)
		}
		if err != nil {
			return Job{}, d.explain(err)
		}
	}
	if !d.ended {
		return Job{}, d.explain(refused("the element %s is missing", documentRoot))
	}
	return Job{Sessions: d.sessions}, nil
}

// A document is the state of reading one.
type document struct {
	data     []byte
	dec      *xml.Decoder
	start    int64  // offset of the current token
	place    string // of the current token
	declared bool
	depth    int
	ended    bool // the root is closed
	sessions []Session
}

func newDocument(data []byte) *document {
	dec := xml.NewDecoder(bytes.NewReader(data))
	dec.CharsetReader = func(label string, _ io.Reader) (io.Reader, error) {
		return nil, refused("the encoding %s is not accepted; utf-8 is", quote(label))
	}
	return &document{data: data, dec: dec}
}

func (d *document) next() (xml.Token, error) {
	d.start = d.dec.InputOffset()
	d.place = d.here()
	token, err := d.dec.Token()
	if err != nil {
		d.place = d.here()
	}
	return token, err
}

func (d *document) here() string {
	line, column := d.dec.InputPos()
	return fmt.Sprintf("line %d, byte %d", line, column)
}

func (d *document) take(token xml.Token) error {
	switch token := token.(type) {
	case xml.StartElement:
		d.depth++
		return d.open(token)
	case xml.EndElement:
		d.depth--
		d.ended = d.depth == 0
		return nil
	case xml.CharData:
		// The bytes themselves are looked at: the token hides CDATA sections and references.
		if text := d.data[d.start:d.dec.InputOffset()]; len(bytes.Trim(text, " \t\r\n")) > 0 {
			return refused("text is not accepted: %s", quote(bytes.TrimSpace(text)))
		}
		return nil
	case xml.ProcInst:
		return d.declare(token)
	case xml.Comment:
		return refused("comments are not accepted")
	}
	return refused("DOCTYPE and other directives are not accepted")
}

func (d *document) open(element xml.StartElement) error {
	switch {
	case d.ended:
		return refused("a second root element %s", quote(name(element.Name)))
	case d.depth == 1:
		return openRoot(element)
	case d.depth == 2 && name(element.Name) == documentSession:
		return d.openSession(element)
	}
	return refused("the element %s is not accepted; %s within %s is", quote(name(element.Name)), documentSession, documentRoot)
}

func openRoot(element xml.StartElement) error {
	if name(element.Name) != documentRoot {
		return refused("the root element is %s; %s is accepted", quote(name(element.Name)), documentRoot)
	}
	if others := meaningful(element.Attr); len(others) > 0 {
		return refused("the root element has the attribute %s; none is accepted", quote(name(others[0].Name)))
	}
	return nil
}

// meaningful leaves out what only tells of schemas, as libraries write it.
func meaningful(attributes []xml.Attr) []xml.Attr {
	return slices.DeleteFunc(slices.Clone(attributes), func(a xml.Attr) bool {
		return a.Name.Space == "xmlns" || a.Name.Space == schemaInstance && a.Name.Local != "nil"
	})
}

func (d *document) openSession(element xml.StartElement) error {
	if len(d.sessions) == MaxSessions {
		return errManySessions
	}
	attributes := meaningful(element.Attr)
	if len(attributes) == 1 && name(attributes[0].Name) == documentID {
		d.sessions = append(d.sessions, Session{ID: attributes[0].Value})
		return nil
	}
	// A person gets the element to see, in what is no session ID under any rules.
	text := string(d.data[d.start:d.dec.InputOffset()])
	whole, err := json.Marshal(map[string]string{"element": text})
	why := refused("the element %s needs the attribute %s and no other", documentSession, documentID)
	d.sessions = append(d.sessions, Session{Entry: wrongEntry(text, whole, why)})
	return err
}

func name(n xml.Name) string {
	if n.Space == "" {
		return n.Local
	}
	return n.Space + ":" + n.Local
}

// declaration is stricter than encoding/xml, which passes over what it does not know here and would
// miss an encoding that is spelled with spaces.
var declaration = regexp.MustCompile(`^version=(?:"1\.0"|'1\.0')` +
	`(?:\s+encoding=(?:"(?i:utf-8)"|'(?i:utf-8)'))?(?:\s+standalone=(?:"(?:yes|no)"|'(?:yes|no)'))?\s*$`)

func (d *document) declare(p xml.ProcInst) error {
	switch {
	case p.Target != "xml":
		return refused("processing instructions are not accepted")
	case d.declared || d.depth > 0 || d.ended:
		return refused("the XML declaration is accepted at the beginning only")
	case !declaration.Match(p.Inst):
		return refused(`the XML declaration is not accepted; <?xml version="1.0" encoding="utf-8"?> is`)
	}
	d.declared = true
	return nil
}

func (d *document) explain(err error) *InvalidError {
	var own reason
	var syntax *xml.SyntaxError
	switch {
	case errors.As(err, &own):
		return invalidAt(d.place, "%v", own)
	case errors.As(err, &syntax):
		return invalidAt(d.place, "not XML: %s", syntax.Msg)
	}
	return invalidAt(d.place, "not XML: %s", strings.TrimPrefix(err.Error(), "xml: "))
}

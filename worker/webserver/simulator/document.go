package simulator

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// A document is what a DELETE /Sessions asks for.
type document struct {
	ids []string // in order, as spelled
	err error    // why it could not be read
}

// readDocument reads the XML form of the documentation or the JSON form of the official Postman
// collection. Nothing at all is a document without sessions: that is what a server sees behind a
// proxy that drops the bodies of DELETE requests.
func readDocument(body []byte) document {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xEF\xBB\xBF")))
	switch {
	case len(body) == 0:
		return document{}
	case body[0] == '{':
		return readJSONDocument(body)
	default:
		return readXMLDocument(body)
	}
}

func readJSONDocument(body []byte) document {
	var form struct {
		Sessions []string `json:"sessions"`
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&form); err != nil {
		return document{err: err}
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return document{err: errors.New("more follows the JSON object")}
	}
	return document{ids: form.Sessions}
}

// readXMLDocument takes no more than the page describes: one root, empty sessions elements with
// one attribute. The blank in the page's own closing tag is fine.
func readXMLDocument(body []byte) document {
	decoder := xml.NewDecoder(bytes.NewReader(body))
	var ids []string
	depth, roots := 0, 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) && roots == 1 {
			return document{ids: ids}
		}
		if err != nil {
			return document{err: err}
		}
		switch token := token.(type) {
		case xml.StartElement:
			id, err := readElement(token, depth)
			if err != nil {
				return document{err: err}
			}
			if depth == 1 {
				ids = append(ids, id)
			} else {
				roots++
			}
			depth++
		case xml.EndElement:
			depth--
		case xml.CharData:
			if strings.TrimSpace(string(token)) != "" {
				return document{err: errors.New("there is text between the elements")}
			}
		case xml.Directive:
			return document{err: errors.New("a DOCTYPE is not allowed")}
		}
	}
}

// readElement returns the ID that a sessions element holds; the root holds none.
func readElement(element xml.StartElement, depth int) (string, error) {
	name, attributes := element.Name.Local, element.Attr
	switch {
	case depth == 0 && name == "Api_LogoffUsersRequest" && len(attributes) == 0:
		return "", nil
	case depth == 1 && name == "sessions" && len(attributes) == 1 && attributes[0].Name.Local == "val":
		return attributes[0].Value, nil
	default:
		return "", fmt.Errorf("the element %s is not expected there", name)
	}
}

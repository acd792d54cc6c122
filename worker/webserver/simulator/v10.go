package simulator

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
)

// asV10 is the JSON of very old servers: a literal copy of the XML, the root's name as a wrapper,
// attributes as "@name", all values as text. A client of their time, pinkopy, reads it. That elements
// which come several times are an array is a guess.
func asV10(value any) []byte {
	element, err := xml.Marshal(value)
	if err != nil {
		panic(err)
	}
	decoder := xml.NewDecoder(bytes.NewReader(element))
	document := map[string]any{}
	if err := copyChildren(decoder, document); err != nil {
		panic(err)
	}
	body, err := json.Marshal(document)
	if err != nil {
		panic(err)
	}
	return body
}

// copyChildren copies elements into object until the one around them ends.
func copyChildren(decoder *xml.Decoder, object map[string]any) error {
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch token := token.(type) {
		case xml.EndElement:
			return nil
		case xml.StartElement:
			child := map[string]any{}
			for _, attribute := range token.Attr {
				child["@"+attribute.Name.Local] = attribute.Value
			}
			if err := copyChildren(decoder, child); err != nil {
				return err
			}
			add(object, token.Name.Local, child)
		}
	}
}

func add(object map[string]any, name string, child map[string]any) {
	switch before := object[name].(type) {
	case nil:
		object[name] = child
	case []any:
		object[name] = append(before, child)
	default:
		object[name] = []any{before, child}
	}
}

package jobs

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Decode reads a job from a message: JSON, or the vendor's own Api_LogoffUsersRequest document. A
// message without a content type is XML when it begins with "<".
//
// A job that comes back without an error obeys the rules and names each session once. Otherwise the
// error is an [*InvalidError], and the job holds nothing but its id, and that only if it is plain
// from the bytes: its publisher can then find the result that says what was wrong.
func Decode(data []byte, contentType string, rules Rules) (Job, error) {
	var job Job
	var invalid *InvalidError
	switch format(data, contentType) {
	case "json":
		job, invalid = decodeJSON(data)
	case "xml":
		job, invalid = decodeXML(data, rules)
	case "empty":
		invalid = invalidAt("", "empty message; a job is a JSON object or an Api_LogoffUsersRequest document")
	default:
		invalid = invalidAt("", "the content type %s is not accepted; application/json, application/xml, text/xml or none is", quote(contentType))
	}
	if invalid == nil {
		invalid = job.normalize(rules)
	}
	if invalid == nil {
		return job, nil
	}
	if LegalID(job.ID) != nil {
		job.ID = ""
	}
	return Job{ID: job.ID}, invalid
}

var byteOrderMark = []byte("\ufeff")

// format tells how to read a message: "json", "xml", "empty", or "" when its content type is
// neither.
func format(data []byte, contentType string) string {
	content := bytes.TrimLeft(bytes.TrimPrefix(data, byteOrderMark), " \t\r\n")
	mediaType, _, _ := strings.Cut(contentType, ";")
	mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	switch {
	case len(content) == 0:
		return "empty"
	case mediaType == "application/xml", mediaType == "text/xml", mediaType == "" && content[0] == '<':
		return "xml"
	case mediaType == "application/json", mediaType == "":
		return "json"
	}
	return ""
}

var strict = json.JoinOptions(
	json.RejectUnknownMembers(true),
	json.WithUnmarshalers(json.JoinUnmarshalers(
		json.UnmarshalFromFunc(decodeSessions),
		json.UnmarshalFromFunc(decodeUsers),
	)),
)

func decodeJSON(data []byte) (Job, *InvalidError) {
	if at := invalidUTF8(data); at >= 0 {
		return Job{ID: plainID(data)}, invalidAt(position(at), "invalid UTF-8")
	}
	var job Job
	if err := json.Unmarshal(data, &job, strict); err != nil {
		return Job{ID: plainID(data)}, explain(err)
	}
	return job, nil
}

// invalidUTF8 returns where the first byte is that does not belong to a character; -1 if all do.
func invalidUTF8(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	for at := 0; ; {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size == 1 {
			return at
		}
		at += size
	}
}

func position[Int int | int64](offset Int) string {
	return "byte " + strconv.FormatInt(int64(offset)+1, 10)
}

var (
	errManySessions = refused("more than %d sessions; split the job", MaxSessions)
	errManyUsers    = refused("more than %d users; split the job", MaxUsers)
)

// decodeSessions stops at the first session too many, so that a hostile job costs no more memory
// than the largest legal one.
func decodeSessions(dec *jsontext.Decoder, sessions *[]Session) error {
	return decodeList(dec, "a list of sessions", func() error {
		if len(*sessions) == MaxSessions {
			return errManySessions
		}
		var s Session
		err := s.UnmarshalJSONFrom(dec)
		*sessions = append(*sessions, s)
		return err
	})
}

func decodeUsers(dec *jsontext.Decoder, users *[]User) error {
	return decodeList(dec, "a list of users", func() error {
		if len(*users) == MaxUsers {
			return errManyUsers
		}
		var u User
		err := json.UnmarshalDecode(dec, &u)
		*users = append(*users, u)
		return err
	})
}

// decodeList calls decode once for each element of a list; null is a list without any.
func decodeList(dec *jsontext.Decoder, what string, decode func() error) error {
	switch token, err := dec.ReadToken(); {
	case err != nil:
		return err
	case token.Kind() == 'n':
		return nil
	case token.Kind() != '[':
		return refused("%s found, %s expected", kindWords[token.Kind()], what)
	}
	for dec.PeekKind() != ']' {
		if err := decode(); err != nil {
			return err
		}
	}
	_, err := dec.ReadToken()
	return err
}

// explain says in the contract's words what the JSON library found.
func explain(err error) *InvalidError {
	var semantic *json.SemanticError
	var syntactic *jsontext.SyntacticError
	switch {
	case errors.As(err, &syntactic):
		return explainSyntax(syntactic)
	case errors.As(err, &semantic):
		return explainMeaning(semantic)
	}
	return invalidAt("", "%v", err)
}

func explainSyntax(err *jsontext.SyntacticError) *InvalidError {
	switch {
	case errors.Is(err.Err, jsontext.ErrDuplicateName):
		return invalidAt(string(err.JSONPointer), "the member is there twice")
	case errors.Is(err.Err, io.ErrUnexpectedEOF):
		return invalidAt(position(err.ByteOffset), "the message ends too early")
	}
	return invalidAt(position(err.ByteOffset), "not JSON: %v", err.Err)
}

func explainMeaning(err *json.SemanticError) *InvalidError {
	place := string(err.JSONPointer)
	var own reason
	switch {
	case errors.As(err.Err, &own):
		return invalidAt(place, "%v", own)
	case errors.Is(err.Err, json.ErrUnknownName):
		return invalidAt(place, "unknown member; members are %s", members(err.GoType))
	case len(err.JSONValue) > 0:
		return invalidAt(place, "the %s %s found, %s expected", kindNouns[err.JSONKind], quote(err.JSONValue), expectation(err.GoType))
	}
	return invalidAt(place, "%s found, %s expected", kindWords[err.JSONKind], expectation(err.GoType))
}

var kindWords = map[jsontext.Kind]string{
	'n': "null", 't': "a boolean", 'f': "a boolean", '"': "a string", '0': "a number", '{': "an object", '[': "a list",
}

var kindNouns = map[jsontext.Kind]string{'"': "string", '0': "number"}

func expectation(t reflect.Type) string {
	if t == reflect.TypeFor[time.Time]() {
		return "a time as in RFC 3339 (2026-11-23T12:00:00Z)"
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Bool:
		return "a boolean"
	case reflect.Slice:
		return "a list"
	}
	return "an object"
}

// members lists what an object may have, from the type that it is decoded into.
func members(t reflect.Type) string {
	var names []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// plainID finds the id in a message that is no job: the value of the only member "id" before the
// place, if any, where the message stops being JSON.
func plainID(data []byte) string {
	dec := jsontext.NewDecoder(bytes.NewBuffer(data), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if token, err := dec.ReadToken(); err != nil || token.Kind() != '{' {
		return ""
	}
	id, found := "", false
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		isID := err == nil && name.String() == "id"
		value, err := dec.ReadValue()
		if err != nil {
			break
		}
		if !isID {
			continue
		}
		if found {
			return ""
		}
		// Unquoting is strict about UTF-8, so that no other id is made of a broken one.
		text, err := jsontext.AppendUnquote(nil, value)
		if err != nil {
			return ""
		}
		id, found = string(text), true
	}
	return id
}

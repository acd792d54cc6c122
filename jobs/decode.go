package jobs

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Decode reads a job from a message: JSON, or the vendor's own Api_LogoffUsersRequest document, which
// begins with "<". What else was said of the message, as by a content type, changes nothing. README.md
// says what is tolerated, and what is refused.
//
// In a job that comes back without an error at least one session or user can be worked. Those that
// cannot be are in it too, and their [Entry] says why; what was passed over is in its Remarks. Otherwise
// the error is an [*InvalidError], and the job holds nothing but its id, and that only if it is plain
// from the bytes: its publisher can then find the result that says what was wrong.
func Decode(data []byte, rules Rules) (Job, error) {
	var job Job
	var invalid *InvalidError
	format := FormatOf(data)
	data = bytes.TrimPrefix(data, byteOrderMark)
	switch {
	case len(content(data)) == 0:
		invalid = invalidAt("", "empty message; a job is a JSON object or an Api_LogoffUsersRequest document")
	case format == XML:
		job, invalid = decodeXML(data)
	default:
		job, invalid = decodeJSON(data)
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

// A Format is what a job is written in.
type Format string

// The formats.
const (
	JSON       Format = "json"
	XML        Format = "xml"
	Lines      Format = "lines"      // text/plain: a session ID a line
	CloudEvent Format = "cloudevent" // with a job or somebody's event inside
	SET        Format = "set"        // a signed security event token, a logout token, a call of Universal Logout
	Webhook    Format = "webhook"    // somebody's fixed body, read by a recipe
)

// Formats lists them.
var Formats = []Format{JSON, XML, Lines, CloudEvent, SET, Webhook}

// FormatOf tells what a message is meant to be written in, which shows in its first character.
func FormatOf(data []byte) Format {
	if text := content(bytes.TrimPrefix(data, byteOrderMark)); len(text) > 0 && text[0] == '<' {
		return XML
	}
	return JSON
}

// content is a message without the blanks before it.
func content(data []byte) []byte { return bytes.TrimLeft(data, " \t\r\n") }

var byteOrderMark = []byte("\ufeff")

// A message is a job in JSON. Its members take whatever is there, and say in words what they could not
// read: only what else there is, is an error.
type message struct {
	ID           note        `json:"id"`
	Sessions     sessionList `json:"sessions"`
	Users        userList    `json:"users"`
	Reason       note        `json:"reason"`
	RequestedBy  note        `json:"requestedBy"`
	EventTime    moment      `json:"eventTime"`
	NotAfter     moment      `json:"notAfter"`
	IncludeNewer truth       `json:"includeNewer"`
	Labels       labels      `json:"labels"`
}

func decodeJSON(data []byte) (Job, *InvalidError) {
	if at := invalidUTF8(data); at >= 0 {
		return Job{ID: plainID(data)}, invalidAt(position(at), "invalid UTF-8")
	}
	m, _ := messages.Get().(*message)
	defer func() { *m = message{}; messages.Put(m) }()
	if err := json.Unmarshal(data, m, json.RejectUnknownMembers(true)); err != nil {
		return Job{ID: plainID(data)}, explain(err)
	}
	return m.job(), nil
}

// messages are used again, because one costs more to make than the job that it becomes. They are empty.
var messages = sync.Pool{New: func() any { return &message{} }}

func (m *message) job() Job {
	j := Job{
		ID: strings.TrimFunc(m.ID.text, blank), Sessions: m.Sessions.all, Users: m.Users.all,
		Reason: m.Reason.text, RequestedBy: m.RequestedBy.text, Labels: m.Labels.texts,
		EventTime: m.EventTime.time, NotAfter: m.NotAfter.time, IncludeNewer: m.IncludeNewer.value,
		Remarks: m.Sessions.remarks,
	}
	j.remark("/eventTime", m.EventTime.problem, "nothing is left on for having begun after it")
	j.remark("/notAfter", m.NotAfter.problem, "worked without a deadline")
	j.remark("/includeNewer", m.IncludeNewer.problem, "taken as true")
	j.remark("/labels", m.Labels.problem, "left out")
	return j
}

// remark notes that something of the job was not as it should be, and what that came to.
func (j *Job) remark(place string, problem error, consequence string) {
	if problem != nil {
		j.Remarks = append(j.Remarks, invalidAt(place, "%v: %s", problem, consequence).Error())
	}
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
		if id, found = textOf(value), true; id == "" {
			return ""
		}
	}
	return id
}

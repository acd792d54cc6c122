package signals

import (
	"encoding/base64"
	"errors"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"logoffworker/jobs"
)

// JobType is the type of a CloudEvent whose data is a job of this project.
const JobType = "logoff.job.v1"

// A cloudEvent is one as both of its forms have it (CloudEvents 1.0).
type cloudEvent struct {
	attributes  map[string]any
	contentType string // of data
	data        []byte // nil if there is none
}

// structured reads a CloudEvent that is one JSON object.
func (g *reading) structured(body []byte, recipes []Recipe) error {
	var members map[string]jsontext.Value
	if err := json.Unmarshal(body, &members); err != nil {
		return g.looked("cloudevent", invalid(InvalidRequest, "the CloudEvent: %v", explain(err)), "")
	}
	e := cloudEvent{attributes: make(map[string]any)}
	for name, value := range members {
		if name == "data" || name == "data_base64" {
			continue
		}
		var attribute any
		if err := json.Unmarshal(value, &attribute); err == nil {
			e.attributes[name] = attribute
		}
	}
	e.contentType, _ = e.attributes["datacontenttype"].(string)
	var err error
	if e.data, err = dataOf(members["data"], members["data_base64"]); err != nil {
		return g.looked("cloudevent", err, "")
	}
	return g.cloudEvent(e, recipes)
}

// dataOf is the data of a CloudEvent: JSON as it stands there, or what a string holds.
func dataOf(plain, encoded jsontext.Value) ([]byte, error) {
	given := func(v jsontext.Value) bool { return len(v) > 0 && v.Kind() != 'n' }
	var s string
	switch {
	case given(plain) && given(encoded):
		return nil, invalid(InvalidRequest, "data and data_base64 exclude each other")
	case given(encoded):
		err := json.Unmarshal(encoded, &s)
		data, wrong := base64.StdEncoding.DecodeString(s)
		if err != nil || wrong != nil {
			return nil, invalid(InvalidRequest, "at /data_base64: no base64")
		}
		return data, nil
	case given(plain) && plain.Kind() == '"':
		if err := json.Unmarshal(plain, &s); err != nil {
			return nil, invalid(InvalidRequest, "at /data: no text")
		}
		return []byte(s), nil
	case given(plain):
		return plain, nil
	}
	return nil, nil
}

// binary reads a CloudEvent whose attributes are headers and whose data is the body.
func (g *reading) binary(header headers, body []byte) error {
	e := cloudEvent{attributes: make(map[string]any), data: body}
	for name, values := range header {
		name, ok := strings.CutPrefix(name, "ce-")
		if !ok {
			continue
		}
		for _, value := range values {
			if plain, err := url.PathUnescape(value); err == nil {
				value = plain
			}
			if other, there := e.attributes[name]; there && other != value {
				return g.looked("cloudevent", invalid(InvalidRequest, "the header %s is there twice", quote("ce-"+name)), "")
			}
			e.attributes[name] = value
		}
	}
	e.contentType, _ = e.attributes["datacontenttype"].(string)
	if e.contentType == "" {
		e.contentType = header.one("content-type")
	}
	return g.cloudEvent(e, g.Policy.Recipes)
}

// cloudEvent makes a job of an event's data, if it is one, or by the recipe for the event's type.
func (g *reading) cloudEvent(e cloudEvent, recipes []Recipe) error {
	typ, err := e.check()
	if g.looked("cloudevent", err, quoteName(typ)) != nil {
		return err
	}
	if typ == JobType {
		return g.inner(e)
	}
	best := ignored("no recipe is for CloudEvents of the type %s", quote(typ))
	told, tried := g.answer, false
	for _, recipe := range recipes {
		if recipe.CloudEvent != typ {
			continue
		}
		id, _ := e.attributes["id"].(string)
		source, _ := e.attributes["source"].(string)
		g.answer.Job.ID = jobs.SignalID(recipe.Name, source, id)
		err := g.byRecipe(recipe, e, typ, id)
		if !isIgnored(err) && !isMisfit(err) {
			return err
		}
		if !tried || isIgnored(err) { // a recipe that understands it knows better than one that does not
			best, told, tried = err, g.answer, true
		}
	}
	told.Steps = g.answer.Steps
	g.answer = told
	return best
}

func (g *reading) byRecipe(recipe Recipe, e cloudEvent, typ, id string) error {
	tree := map[string]any{}
	for name, value := range e.attributes {
		tree[name] = value
	}
	if len(e.data) > 0 {
		data, err := value(e.data)
		if err != nil {
			return g.looked("data", invalid(InvalidRequest, "at /data: %v", err), "")
		}
		tree["data"] = data
	}
	o := g.follow(recipe, tree, typ)
	g.answer.Signal.ID = cut(id, maxID)
	return requested(g.give(o))
}

// check tells whether the attributes that are required are there, and returns the type.
func (e cloudEvent) check() (typ string, err error) {
	version, _ := e.attributes["specversion"].(string)
	if version != "1.0" {
		return "", invalid(InvalidRequest, "the CloudEvent's specversion is %s; 1.0 is read", quote(version))
	}
	for _, name := range []string{"id", "source", "type"} {
		if value, ok := text(e.attributes[name]); !ok {
			return "", invalid(InvalidRequest, "the CloudEvent has no %s, which is required", name)
		} else if name == "type" {
			typ = value
		}
	}
	return typ, nil
}

// inner reads a job that is a CloudEvent's data.
func (g *reading) inner(e cloudEvent) error {
	if e.data == nil {
		return invalid(InvalidRequest, "at /data: missing; the job is expected there")
	}
	var err error
	switch kindOf(e.contentType, e.data) {
	case linesKind:
		if err = g.lines(e.data); err != nil {
			return invalid(InvalidRequest, "at /data: %v", err)
		}
		return nil
	case setKind:
		return g.set("", e.data)
	}
	g.answer.Job, err = jobs.Decode(e.data, g.Rules)
	return within(err)
}

// within says that what is wrong is so within a CloudEvent's data.
func within(err error) error {
	var wrong *jobs.InvalidError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &wrong):
		return err
	case wrong.Place == "" || wrong.Place[0] == '/':
		return invalid(InvalidRequest, "at /data%s: %s", wrong.Place, wrong.Reason)
	}
	return invalid(InvalidRequest, "at /data, %s: %s", wrong.Place, wrong.Reason)
}

package webserver

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// An answer is read as values only where it is one thing, and all of it.
func TestValuesAreThoseOfOneWholeAnswer(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	deepXML := func(n int) string { return strings.Repeat("<r>", n) + strings.Repeat("</r>", n) }
	for body, whole := range map[string]bool{
		`{"a":1}`: true, ` {"a":[1,{"b":2}]} `: true, `<a/>`: true, "\ufeff<r> <b/> </r>\n": true, `<?xml version="1.0"?><a/>`: true,
		`{"a":1}{"b":2}`: false, `{"a":1`: false, `{"a":1}x`: false, `[1]`: false, `"a"`: false, ``: false, ` `: false,
		`<a/><b/>`: false, `<a>`: false, `<a/>text`: false, `<?xml version="1.0"?>`: false, `<!-- nothing -->`: false, `<a></b>`: false, `<!DOCTYPE a><a/>`: false, `<html><p/></html>`: false,
		deep(maxDepth): true, deep(maxDepth + 1): false, deepXML(maxDepth): true, deepXML(maxDepth + 1): false,
	} {
		if got := readValues(answer{body: []byte(body)}, func(string, string) {}); got != whole {
			t.Errorf("%.60s: %t", body, got)
		}
		if readValues(answer{body: []byte(body), cut: errors.New("cut")}, func(string, string) {}) {
			t.Errorf("%.60s: whole, although it was cut off", body)
		}
	}
}

// Names of schemas are no values, nor is the space between elements.
func TestValuesOfXMLAreAttributesAndTexts(t *testing.T) {
	var got []string
	readValues(answer{body: []byte("<r xmlns='1' xmlns:i='2' x='3' i:y='4'>\n <s> t </s>\n</r>")}, func(name, value string) { got = append(got, name+"="+strings.TrimSpace(value)) })
	if want := []string{"x=3", "y=4", "s=t"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	got = nil
	readValues(answer{body: []byte("<r x='1'/><s><t>2</t></s>")}, func(name, value string) { got = append(got, name+"="+value) })
	if want := []string{"x=1"}; !slices.Equal(got, want) {
		t.Errorf("%q with what is in a second root, want %q", got, want)
	}
}

// What a list may hold is not shown; what something in front says is.
func TestWordsAreShownWhereTheyAreNoList(t *testing.T) {
	c := &Client{}
	for op, texts := range map[string]map[string]string{
		OpSessions: {"starting": "starting", `["x"]`: "", `{"a":1}`: "", `<a/>`: "", `{"errorMessage":"m"}`: "m"},
		OpUser:     {"starting": "starting", `["x"]`: "", `{"a":1}`: "", `<a/>`: ""},
		OpLogoff:   {"starting": "starting", `["x"]`: `["x"]`, `{"a":1}`: `{"a":1}`},
		OpLogin:    {"starting": "", `{"a":1}`: ""},
		OpRenew:    {"starting": "", `{"a":1}`: ""},
		OpToken:    {"starting": "", `{"a":1}`: ""},
	} {
		for body, want := range texts {
			if got := c.failure(answer{op: op, status: 503, body: []byte(body)}).Text; got != want {
				t.Errorf("%q to %s is shown as %q, want %q", body, op, got, want)
			}
		}
	}
}

// What is said for each of many sessions is shown once, and of much that is said the beginning.
func TestRepeatedWordsAreShownOnce(t *testing.T) {
	var same, different []string
	for i := range 50 {
		same = append(same, `{"errorMessage":"no such session","errorCode":5}`)
		different = append(different, fmt.Sprintf(`{"errorMessage":"m%d"}`, i))
	}
	for words, list := range map[string][]string{"no such session (errorCode 5)": same, "m0; m1; m2; m3; m4; m5; m6; m7": different} {
		if w := readWords(answer{body: []byte(`{"errors":[` + strings.Join(list, ",") + `]}`)}); w.text != words {
			t.Errorf("%q, want %q", w.text, words)
		}
	}
}

// Where an answer points is told only where it points somewhere.
func TestRedirectWithoutAHostIsNotTold(t *testing.T) {
	c := &Client{}
	at := &url.URL{Scheme: "https", Host: "h", Path: "/a/b"}
	for raw, want := range map[string]string{"": "", "/login": "https://h/login", "c": "https://h/a/c", "mailto:a@b": "", "https:///x": "", ":": "", "https://u:p@x/y?z": "https://x/y"} {
		if got := c.location(answer{url: at, header: http.Header{"Location": {raw}}}); got != want {
			t.Errorf("%q points to %q, want %q", raw, got, want)
		}
		if got := c.location(answer{header: http.Header{"Location": {raw}}}); got != "" {
			t.Errorf("%q, asked nowhere, points to %q", raw, got)
		}
	}
}

// What a logoff answered that nobody knows is told as that, and for how long to wait by what says it best.
func TestFailureTellsWhatIsNotKnown(t *testing.T) {
	c := &Client{}
	c.config.setDefaults()
	for name, test := range map[string]struct {
		a       answer
		unknown bool
		bytes   bool
	}{
		"a yes nobody knows":        {answer{op: "logoff", status: 200, body: []byte(`{"a":1}`)}, true, false},
		"the same of another call":  {answer{op: "user", status: 200, body: []byte(`{"a":1}`)}, false, false},
		"cut off":                   {answer{op: "logoff", status: 200, body: []byte(`{"a":1`), cut: errors.New("cut")}, false, false},
		"a page":                    {answer{op: "logoff", status: 200, body: []byte(`<html><title>x</title>`)}, false, false},
		"a server that is down":     {answer{op: "logoff", status: 503, body: []byte(`{"a":1}`)}, false, false},
		"bytes":                     {answer{op: "logoff", status: 200, body: []byte("\x1f\x8b\x08\xff")}, true, true},
		"bytes of a login":          {answer{op: "login", status: 200, body: []byte("\x1f\x8b\x08\xff")}, false, false},
		"bytes of a list":           {answer{op: "sessions", status: 200, body: []byte("\x1f\x8b\x08\xff")}, false, false},
		"text that begins as bytes": {answer{op: "logoff", status: 200, body: []byte("plain")}, true, false},
	} {
		e := c.failure(test.a)
		if e.Unknown != test.unknown || (e.first != "") != test.bytes {
			t.Errorf("%s: unknown %t, %q: %s", name, e.Unknown, e.first, e.Words())
		}
	}
	period := func(status int, after string) float64 {
		header := http.Header{"X-Ratelimit-Period": {"60"}}
		if after != "" {
			header.Set("Retry-After", after)
		}
		return c.failure(answer{op: "logoff", status: status, header: header}).RetryAfter.Seconds()
	}
	if a, b, d := period(429, ""), period(429, "7"), period(503, ""); a != 60 || b != 7 || d != 0 {
		t.Errorf("it waits %v, %v and %v seconds", a, b, d)
	}
}

// Of two calls for the same, the one that the version has is found, and what tells more than an unknown path is told.
func TestChoiceRemembersWhatIsKnownToWork(t *testing.T) {
	gone, forbidden := Error{Verdict: NotFound, elsewhere: true}, Error{Verdict: Forbidden, elsewhere: true}
	alsoGone := gone
	odd, final := Error{Verdict: Unavailable, elsewhere: true}, Error{Verdict: Forbidden}
	for name, test := range map[string]struct {
		first, second *Error
		told          *Error
		asked         int // calls
		known         int32
	}{
		"the first":                      {nil, &gone, nil, 1, 1},
		"the second":                     {&gone, nil, nil, 2, 2},
		"the second, the other shut":     {&forbidden, nil, nil, 2, 2},
		"the second, this time":          {&odd, nil, nil, 2, 0},
		"one that ends it":               {&final, nil, &final, 1, 0},
		"neither":                        {&gone, &alsoGone, &gone, 2, 0},
		"an unknown path and a shut one": {&gone, &forbidden, &forbidden, 2, 0},
		"a shut path and an unknown one": {&forbidden, &gone, &forbidden, 2, 0},
		"two shut paths":                 {&forbidden, &odd, &forbidden, 2, 0},
		"an unknown path and the end":    {&gone, &final, &final, 2, 0},
	} {
		var c choice
		asked := 0
		call := func(e *Error) func(bool) *Error {
			return func(bool) *Error { asked++; return e }
		}
		if told := c.either(call(test.first), call(test.second)); told != test.told || asked != test.asked || c.known.Load() != test.known {
			t.Errorf("%s: %v after %d calls, known %d", name, told, asked, c.known.Load())
		}
	}
}

package webserver

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// maxBody is the most of a body that is read. The documented answer has some 30 bytes.
const maxBody = 64 << 10

// maxRead is the most of a body that is read where lists are asked for: a full list of sessions has
// 14 kB, one of all users some 400 bytes for each.
const maxRead = 8 << 20

// An answer is what came back to one request.
type answer struct {
	op        string
	url       *url.URL
	status    int
	header    http.Header
	body      []byte
	saysEmpty bool   // the body is empty by its own framing, not because the connection ended
	cut       error  // why the body was not read to its end
	old       string // why it was made before it was asked for; empty where nothing shows that
}

func (a answer) whole() bool { return a.cut == nil }

// failure says what an answer means that is no success. The status decides; under a 2xx, which
// proves nothing here, the body does. Whatever is not recognised there is Unavailable: it may be a
// page of anything in front, and the request may or may not have taken effect.
func (c *Client) failure(a answer) *Error {
	w := readWords(a)
	e := &Error{
		Op:      a.op,
		Verdict: verdict(a.status, w),
		Status:  a.status,
		Text:    c.secrets.clean(w.shown(a)),
		Page:    w.page,
	}
	e.Unknown = a.op == OpLogoff && e.Verdict == Unavailable && a.status/100 == 2 && a.whole() && !e.Page
	if a.op == OpLogoff && !utf8.Valid(a.body) {
		e.first = string(a.body[:min(len(a.body), 16)])
	}
	if a.status/100 == 3 {
		e.Location = c.location(a)
	}
	e.Sent = a.status/100 == 2 || e.Verdict == Refused || e.Verdict == Undecided || e.Verdict == Unavailable
	if e.Verdict == Unavailable || e.Verdict == Throttled {
		e.RetryAfter = retryAfter(a.header, time.Now(), c.config.MaxRetryAfter)
	}
	if e.Verdict == Throttled && e.RetryAfter == 0 {
		e.RetryAfter = rateLimitPeriod(a.header, c.config.MaxRetryAfter)
	}
	return e
}

func verdict(status int, w words) Verdict {
	switch {
	case status/100 == 2:
		return verdictOfWords(w)
	case status/100 == 3:
		return Misconfigured
	case status == http.StatusMethodNotAllowed && w.page:
		return Unavailable // the maintenance page, which answers GET with 200
	case status/100 == 4:
		return verdictOf4xx(status)
	case status == http.StatusInternalServerError:
		return Undecided
	case status == http.StatusNotImplemented:
		return Misconfigured
	}
	return Unavailable
}

func verdictOf4xx(status int) Verdict {
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusConflict, http.StatusPreconditionFailed:
		return Refused
	case http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong:
		return TooLarge
	case http.StatusUnauthorized:
		return Unauthorized
	case http.StatusForbidden:
		return Forbidden
	case http.StatusNotFound:
		return NotFound
	case http.StatusRequestTimeout, http.StatusTooEarly:
		return Unavailable
	case http.StatusTooManyRequests:
		return Throttled
	}
	return Misconfigured
}

func verdictOfWords(w words) Verdict {
	switch v := remark(w.text); {
	case w.page:
		return Unavailable
	case v != 0:
		return v
	case w.whole && w.refusing:
		return Refused
	}
	return Unavailable
}

// Texts that come with a 200 and say what a status should have said. They are narrow on purpose: a
// remark about a session in the document, such as "User not logged in", is none about our token.
var (
	tokenRemark      = regexp.MustCompile(`(?i)\btoken\b.*\b(invalid|expired|missing|not valid)\b|\b(invalid|expired|missing)\b.*\btoken\b|\b(log|sign) ?in again\b`)
	limitRemark      = regexp.MustCompile(`(?i)\brate.?limit|\btoo many (api )?(requests|calls)\b|\b(request|call|api) (limit|quota)\b|\bquota exceeded\b|\bthrottled\b`)
	permissionRemark = regexp.MustCompile(`(?i)\bpermissions?\b|\baccess (is )?denied\b|\bnot authori[sz]ed\b|\bprivileges?\b|\binsufficient rights\b`)
)

func remark(text string) Verdict {
	switch {
	case tokenRemark.MatchString(text):
		return Unauthorized
	case limitRemark.MatchString(text):
		return Throttled
	case permissionRemark.MatchString(text):
		return Forbidden
	}
	return 0
}

// words are what a body says, as far as it has one of the forms in which the Web Server speaks.
type words struct {
	page     bool   // an HTML page
	whole    bool   // exactly one JSON object or XML element, complete
	refusing bool   // it holds an error code that is not 0 or 200, both of which the server uses for success
	text     string // for people; may hold anything
}

// shown is what is worth showing of a body. Where nothing in it is known to be for people, that is
// all of it, except where the answer may hold a token in any form, or sessions and people.
func (w words) shown(a answer) string {
	structured := startsWith(content(a), '{', '<')
	switch {
	case w.page, w.text != "" && structured:
		return w.text
	case a.op == OpLogin, a.op == OpRenew, a.op == OpToken, !utf8.Valid(a.body):
		return ""
	case (a.op == OpSessions || a.op == OpUser) && startsWith(content(a), '{', '<', '['):
		return ""
	}
	return string(a.body[:min(len(a.body), maxBody)])
}

// readWords looks at the first byte instead of the declared type, which is known to lie.
func readWords(a answer) words {
	body := content(a)
	switch {
	case isPage(body):
		return words{page: true, text: title(body)}
	case !startsWith(body, '{', '<'):
		if !utf8.Valid(body) {
			return words{}
		}
		return words{text: string(body[:min(len(body), maxBody)])}
	}
	var r remarks
	err := walk(body, visitor{value: r.note})
	return words{whole: err == nil && a.whole(), refusing: r.refusing, text: r.text()}
}

// readValues calls note for every named value of a body; true when it is exactly one JSON object or
// XML element, complete.
func readValues(a answer, note func(name, value string)) bool {
	body := content(a)
	return startsWith(body, '{', '<') && !isPage(body) && walk(body, visitor{value: note}) == nil && a.whole()
}

func startsWith(body []byte, first ...byte) bool {
	return len(body) > 0 && slices.Contains(first, body[0])
}

func content(a answer) []byte {
	return bytes.TrimSpace(bytes.TrimPrefix(a.body, []byte("\uFEFF")))
}

// isPage asks the standard library, which knows how pages begin, but not that a declaration may stand
// before the page, as in those of WCF.
func isPage(body []byte) bool {
	if bytes.HasPrefix(body, []byte("<?xml")) {
		if _, rest, found := bytes.Cut(body, []byte("?>")); found {
			body = bytes.TrimSpace(rest)
		}
	}
	return strings.HasPrefix(http.DetectContentType(body), "text/html")
}

var titleElement = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title`)

func title(page []byte) string {
	if m := titleElement.FindSubmatch(page); m != nil {
		return html.UnescapeString(string(m[1]))
	}
	return ""
}

// remarks gathers codes and messages of the error forms, which differ in nesting and agree in names.
type remarks struct {
	refusing bool
	texts    []string
	codes    []string
}

func (r *remarks) note(name, value string) {
	value = strings.TrimSpace(value)
	if value == "" {
		return
	}
	switch strings.ToLower(name) {
	case "errorcode":
		// Read as text: some numbers arrive as strings, and a code that is no number is no success.
		if value != "0" && value != "200" {
			r.refusing = true
			r.codes = appendNew(r.codes, "errorCode "+value)
		}
	case "errormessage", "errorstring", "errlogmessage", "message", "error", "faultstring":
		r.texts = appendNew(r.texts, value)
	}
}

// appendNew keeps what is said once for each of 200 sessions from being said 200 times.
func appendNew(said []string, value string) []string {
	if len(said) == 8 || slices.Contains(said, value) {
		return said
	}
	return append(said, value)
}

func (r *remarks) text() string {
	text, codes := strings.Join(r.texts, "; "), strings.Join(r.codes, ", ")
	switch {
	case codes == "":
		return text
	case text == "":
		return codes
	}
	return text + " (" + codes + ")"
}

// A visitor is told what a body holds, in its order. Names are told as they are spelled, but without
// the leading @ of very old servers. Without begin only the values are told.
type visitor struct {
	value func(name, value string) // a text, a number, true or false; an attribute or the text of an element
	begin func(name string)        // an object or an element; in a list, by the name of the list
	end   func()                   // of what began last
	list  func(name string)        // a JSON array, even an empty one
}

// walk visits a JSON object or an XML element, at any depth. An error means that the body is not
// exactly one of these.
func walk(body []byte, v visitor) error {
	if v.begin == nil {
		v.begin, v.end, v.list = func(string) {}, func() {}, func(string) {}
	}
	if body[0] == '{' {
		return walkJSON(body, v)
	}
	return walkXML(body, v)
}

// maxDepth is how deep an answer may nest. Those that are known nest four deep.
const maxDepth = 100

var errTooDeep = fmt.Errorf("nested more than %d deep", maxDepth)

func walkJSON(body []byte, v visitor) error {
	d := jsontext.NewDecoder(bytes.NewReader(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	var key string    // the last that was read
	var open []string // the names of the objects and lists around
	named := func(holder jsontext.Kind) string {
		if holder == '[' {
			return open[len(open)-1]
		}
		return key
	}
	for first := true; first || d.StackDepth() > 0; first = false {
		t, err := d.ReadToken()
		if err != nil {
			return err
		}
		holder, n := d.StackIndex(d.StackDepth())
		switch t.Kind() {
		case '{', '[':
			name := named(kindAround(d))
			if open = append(open, name); len(open) > maxDepth {
				return errTooDeep
			}
			if holder == '{' {
				v.begin(name)
			} else {
				v.list(name)
			}
		case '}', ']':
			open = open[:len(open)-1]
			if t.Kind() == '}' {
				v.end()
			}
		case '"', '0', 't', 'f':
			if holder == '{' && n%2 == 1 {
				key = strings.TrimPrefix(t.String(), "@")
			} else {
				v.value(named(holder), t.String())
			}
		}
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}

// kindAround is the kind of what the object or list stands in that was just opened.
func kindAround(d *jsontext.Decoder) jsontext.Kind {
	kind, _ := d.StackIndex(d.StackDepth() - 1)
	return kind
}

func walkXML(body []byte, v visitor) error {
	d := xml.NewDecoder(bytes.NewReader(body))
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // .NET declares utf-16 over UTF-8
	var open []string
	for roots := 0; ; {
		t, err := d.Token()
		if errors.Is(err, io.EOF) && roots == 1 { // an element that is open is a syntax error
			return nil
		}
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if len(open) == 0 {
				roots++
			}
			if open = append(open, t.Name.Local); len(open) > maxDepth {
				return errTooDeep
			}
			v.begin(t.Name.Local)
			for _, attribute := range t.Attr {
				if attribute.Name.Space != "xmlns" && attribute.Name.Local != "xmlns" {
					v.value(attribute.Name.Local, attribute.Value)
				}
			}
		case xml.EndElement:
			open = open[:len(open)-1]
			v.end()
		case xml.CharData:
			switch blank := len(bytes.TrimSpace(t)) == 0; {
			case blank:
			case len(open) == 0:
				return errors.New("text outside the root")
			default:
				v.value(open[len(open)-1], string(t))
			}
		case xml.Directive:
			return errors.New("a DOCTYPE")
		}
		if roots > 1 {
			return errors.New("more than one root")
		}
	}
}

// pathParameters may hold the session of a front end, as in ;jsessionid=...
var pathParameters = regexp.MustCompile(`;[^/]*`)

// location is where a redirect points: scheme, host and the whole path. The query of a redirect to a login page
// may hold anything, and so may a user.
func (c *Client) location(a answer) string {
	raw := a.header.Get("Location")
	if raw == "" || a.url == nil {
		return ""
	}
	to, err := a.url.Parse(raw)
	if err != nil || to.Host == "" {
		return ""
	}
	path := pathParameters.ReplaceAllString(to.Path, "")
	return shorten(c.secrets.hide(oneLine(fmt.Sprintf("%s://%s%s", to.Scheme, to.Host, path))))
}

package simulator

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// An answer is what a request gets. Success says that it is what the caller asked for.
type answer struct {
	status      int
	contentType string
	header      map[string]string
	body        []byte
	success     bool
}

// generic500 is the error of the only captured DELETE /Sessions, in its words.
const generic500 = "Something is not right. Please check web service logs for details"

// The Web Server has no one form for errors. These two are captured.
type (
	flatError struct {
		XMLName      xml.Name `json:"-" xml:"Api_GenericResp"`
		ErrorMessage string   `json:"errorMessage" xml:"errorMessage,attr"`
		ErrorCode    int      `json:"errorCode" xml:"errorCode,attr"`
	}
	wrappedError struct {
		XMLName xml.Name    `json:"-" xml:"Api_LogoffUsersResponse"`
		Error   errorDetail `json:"error" xml:"error"`
	}
	errorDetail struct {
		ErrorMessage string `json:"errorMessage" xml:"errorMessage,attr"`
		ErrorCode    int    `json:"errorCode" xml:"errorCode,attr"`
	}
)

func (x *exchange) succeeded(value any) answer {
	a := x.failed(http.StatusOK, value)
	a.success = true
	return a
}

// failed renders value as the request's Accept asks for: XML unless it names JSON.
func (x *exchange) failed(status int, value any) answer {
	if x.wantsJSON() {
		body, err := json.Marshal(value)
		if err != nil {
			panic(err)
		}
		return jsonAnswer(status, x.numbered(body))
	}
	body, err := xml.Marshal(value)
	if err != nil {
		panic(err)
	}
	return x.xmlAnswer(status, body)
}

// jsonSuccess answers in JSON whatever the request accepts.
func (x *exchange) jsonSuccess(value any) answer {
	body, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	a := jsonAnswer(http.StatusOK, x.numbered(body))
	a.success = true
	return a
}

func (x *exchange) wantsJSON() bool {
	return strings.Contains(strings.ToLower(x.request.Header.Get("Accept")), "json")
}

// xmlAnswer is XML on one line, with a declaration sometimes.
func (x *exchange) xmlAnswer(status int, body []byte) answer {
	if x.declares {
		body = append([]byte(`<?xml version="1.0" encoding="UTF-8" standalone="no" ?>`), body...)
	}
	return answer{status: status, contentType: "application/xml; charset=utf-8", body: body}
}

func jsonAnswer(status int, compact []byte) answer {
	return answer{status: status, contentType: "application/json; charset=utf-8", body: withCarriageReturns(compact)}
}

// numbered puts the numbers of JSON in quotes where that is set.
func (x *exchange) numbered(compact []byte) []byte {
	if !x.settings.NumbersAsText {
		return compact
	}
	var out bytes.Buffer
	from, to := jsontext.NewDecoder(bytes.NewReader(compact)), jsontext.NewEncoder(&out)
	for {
		token, err := from.ReadToken()
		if errors.Is(err, io.EOF) {
			return bytes.TrimSpace(out.Bytes())
		}
		if err == nil && token.Kind() == '0' {
			token = jsontext.String(token.String())
		}
		if err == nil {
			err = to.WriteToken(token)
		}
		if err != nil {
			panic(err)
		}
	}
}

// withCarriageReturns puts the carriage returns in that saved answers have: after an opening
// bracket and before a closing one.
func withCarriageReturns(compact []byte) []byte {
	var out bytes.Buffer
	quoted := false
	for i, c := range compact {
		switch {
		case c == '"' && !escaped(compact[:i]):
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			out.WriteByte(c)
			c = '\r'
		case c == '}' || c == ']':
			out.WriteByte('\r')
		}
		out.WriteByte(c)
	}
	return out.Bytes()
}

// escaped reports whether an odd number of backslashes stands at the end.
func escaped(before []byte) bool {
	return (len(before)-len(bytes.TrimRight(before, `\`)))%2 == 1
}

func textAnswer(status int, text string) answer {
	return answer{status: status, contentType: "text/plain", body: []byte(text)}
}

// page is an HTML page as IIS, Tomcat and proxies make them.
func page(status int, title, text string) answer {
	body := fmt.Sprintf("<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Strict//EN\" \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd\">\r\n"+
		"<html xmlns=\"http://www.w3.org/1999/xhtml\">\r\n<head>\r\n<title>%s</title>\r\n</head>\r\n<body>\r\n<h2>%[1]s</h2>\r\n<p>%s</p>\r\n</body>\r\n</html>\r\n", title, text)
	return answer{status: status, contentType: "text/html", body: []byte(body)}
}

func maintenancePage(status int) answer {
	return page(status, "Scheduled Maintenance", "The Command Center is being updated. Please try again in a few minutes.")
}

func notFoundPage() answer {
	return page(http.StatusNotFound, "404 - File or directory not found.", "The resource you are looking for might have been removed, had its name changed, or is temporarily unavailable.")
}

// statusAnswer is how the real server, or what stands before it, answers with a status.
func (x *exchange) statusAnswer(status int) answer {
	switch status {
	case http.StatusInternalServerError:
		return x.failed(status, wrappedError{Error: errorDetail{generic500, 500}})
	case http.StatusBadRequest:
		return x.failed(status, flatError{ErrorMessage: "Failed to parse the request.", ErrorCode: 2})
	case http.StatusForbidden:
		return x.failed(status, flatError{ErrorMessage: "User does not have the required permission.", ErrorCode: 5})
	case http.StatusNotFound:
		return notFoundPage()
	case http.StatusTooManyRequests:
		return jsonAnswer(status, []byte(`{"message":"API rate limit exceeded"}`))
	case http.StatusNoContent, http.StatusNotModified:
		return answer{status: status}
	default:
		text := strconv.Itoa(status) + " " + http.StatusText(status)
		return page(status, text, "The request could not be completed.")
	}
}

// write sends the whole answer. The journal says that it was answered before the last byte leaves,
// so that whoever has read the answer finds it there, and takes that back if sending fails.
func (x *exchange) write(a answer) {
	x.head(a.status, a.contentType)
	header := x.writer.Header()
	for name, value := range a.header {
		header.Set(name, value)
	}
	if a.status != http.StatusNoContent && a.status != http.StatusNotModified {
		header.Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	x.record(a.status, a.success, true)
	x.writer.WriteHeader(a.status)
	_, err := x.writer.Write(a.body)
	if err == nil {
		err = http.NewResponseController(x.writer).Flush()
	}
	if err != nil && len(a.body) > 0 {
		x.record(a.status, a.success, false)
	}
}

// head sets the headers that every answer of IIS has.
func (x *exchange) head(status int, contentType string) {
	header := x.writer.Header()
	header.Set("Server", "Microsoft-IIS/10.0")
	header.Set("X-Powered-By", "ASP.NET")
	header.Set("Cache-Control", "no-store")
	header.Set("Date", x.date())
	if contentType != "" {
		header.Set("Content-Type", contentType)
	} else {
		header["Content-Type"] = nil // none, rather than one that net/http guesses
	}
	if _, err := x.request.Cookie("JSESSIONID"); err != nil && x.frontEnd && status < http.StatusInternalServerError {
		header.Set("Set-Cookie", "JSESSIONID="+x.cookie+"; Path=/webconsole; HttpOnly")
	}
}

func (x *exchange) record(status int, success, answered bool) {
	x.server.mu.Lock()
	defer x.server.mu.Unlock()
	x.entry.Status, x.entry.Success, x.entry.Answered = status, success, answered
	x.entry.Took = time.Since(x.entry.Time)
}

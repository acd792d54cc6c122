package simulator

import (
	"bytes"
	"compress/gzip"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Fault is what comes instead of the answer to one request. The request has no effect, except
// where [Fault.Applied] says so.
type Fault struct {
	name       string
	applied    bool
	withOthers bool
	inflict    func(*exchange)
}

// String names the fault.
func (f Fault) String() string {
	if f.applied {
		return f.name + ", applied"
	}
	return f.name
}

// Applied is the same fault after the request has taken effect.
func (f Fault) Applied() Fault {
	f.applied = true
	return f
}

// WithOthers is the same fault, but it waits for a document that holds more than one session.
func (f Fault) WithOthers() Fault {
	f.withOthers = true
	return f
}

// Status answers with a status in the form that the real server, or what stands before it, has for
// it: the generic error for 500, pages for 502 to 504.
func Status(code int) Fault {
	return Fault{name: "status " + strconv.Itoa(code), inflict: func(x *exchange) { x.write(x.statusAnswer(code)) }}
}

// Generic500 is the captured 500, "Something is not right".
func Generic500() Fault {
	f := Status(http.StatusInternalServerError)
	f.name = "generic 500"
	return f
}

// Answer answers with exactly that.
func Answer(code int, contentType, body string) Fault {
	return Fault{name: "answer " + strconv.Itoa(code), inflict: func(x *exchange) {
		x.write(answer{status: code, contentType: contentType, body: []byte(body)})
	}}
}

// Throttle is a 429 with Retry-After in seconds.
func Throttle(seconds int) Fault { return throttle(strconv.Itoa(seconds)) }

// ThrottleUntil is a 429 with Retry-After as a date, which has whole seconds.
func ThrottleUntil(t time.Time) Fault { return throttle(httpDate(t)) }

func throttle(retryAfter string) Fault {
	return Fault{name: "throttle until " + retryAfter, inflict: func(x *exchange) {
		a := x.statusAnswer(http.StatusTooManyRequests)
		a.header = map[string]string{"Retry-After": retryAfter}
		x.write(a)
	}}
}

// Reset resets the connection without an answer.
func Reset(applied bool) Fault {
	return Fault{name: "reset", applied: applied, inflict: (*exchange).reset}
}

// Hang answers nothing until the client goes away or the connection is closed.
func Hang(applied bool) Fault {
	return Fault{name: "hang", applied: applied, inflict: func(x *exchange) {
		<-x.request.Context().Done()
		panic(http.ErrAbortHandler)
	}}
}

// Page is the maintenance page with status 200.
func Page() Fault {
	return Fault{name: "page", inflict: func(x *exchange) { x.write(maintenancePage(http.StatusOK)) }}
}

// Empty is a 200 without a body.
func Empty() Fault {
	return Fault{name: "empty", inflict: func(x *exchange) { x.write(answer{status: http.StatusOK}) }}
}

// ErrorBody is a 200 with the captured error in its body.
func ErrorBody() Fault {
	return Fault{name: "error body", inflict: func(x *exchange) {
		x.write(x.failed(http.StatusOK, wrappedError{Error: errorDetail{generic500, 500}}))
	}}
}

// Redirect is a 302 to url.
func Redirect(url string) Fault {
	return Fault{name: "redirect", inflict: func(x *exchange) {
		x.write(answer{status: http.StatusFound, header: map[string]string{"Location": url}})
	}}
}

// Doctype is a 200 whose success element has a DOCTYPE before it.
func Doctype() Fault {
	f := Answer(http.StatusOK, "application/xml", `<!DOCTYPE r [<!ENTITY e "x">]><Api_LogoffUsersResponse />`)
	f.name = "doctype"
	return f
}

// CutOff is a 200 that ends within the success element: in turn short of its Content-Length, in the
// middle of a chunked body, and at the end of a connection that nothing else delimits.
func CutOff() Fault {
	return Fault{name: "cut off", inflict: func(x *exchange) {
		x.server.mu.Lock()
		way := x.server.cuts % 3
		x.server.cuts++
		x.server.mu.Unlock()
		const part = "<Api_LogoffUsersRes"
		x.raw(http.StatusOK, []string{
			"Content-Length: 27\r\n\r\n" + part,
			"Transfer-Encoding: chunked\r\n\r\n13\r\n" + part + "\r\n",
			"Connection: close\r\n\r\n" + part,
		}[way])
	}}
}

// SlowBody is a 200 whose body comes at one byte in ten seconds and never ends.
func SlowBody() Fault {
	return Fault{name: "slow body", inflict: func(x *exchange) { x.drip(1, 10*time.Second) }}
}

// EndlessBody is a 200 whose body begins like the success element and never ends.
func EndlessBody() Fault {
	return Fault{name: "endless body", inflict: func(x *exchange) { x.drip(32<<10, 0) }}
}

// GzipBomb is a 200 with some ten kilobytes of gzip, asked for or not, that are ten megabytes.
func GzipBomb() Fault {
	return Fault{name: "gzip bomb", inflict: func(x *exchange) {
		x.write(answer{status: http.StatusOK, contentType: "application/xml", header: map[string]string{"Content-Encoding": "gzip"}, body: bomb()})
	}}
}

var bomb = sync.OnceValue(func() []byte {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = io.WriteString(w, "<Api_LogoffUsersResponse>"+strings.Repeat(" ", 10<<20)+"</Api_LogoffUsersResponse>")
	_ = w.Close()
	return packed.Bytes()
})

// reset ends the connection with a RST where there is one to send.
func (x *exchange) reset() {
	conn, _, err := http.NewResponseController(x.writer).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// raw writes an answer past net/http, which would not send it, and closes the connection.
func (x *exchange) raw(status int, rest string) {
	x.record(status, false, false)
	conn, _, err := http.NewResponseController(x.writer).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 "+strconv.Itoa(status)+" "+http.StatusText(status)+
		"\r\nServer: Microsoft-IIS/10.0\r\nContent-Type: application/xml; charset=utf-8\r\n"+rest)
}

// drip sends the beginning of the success element, then blanks, until the client has enough.
func (x *exchange) drip(blanks int, pause time.Duration) {
	x.head(http.StatusOK, "application/xml")
	x.record(http.StatusOK, false, false)
	sending := http.NewResponseController(x.writer)
	next := "<Api_LogoffUsersResponse "
	for x.request.Context().Err() == nil {
		_, err := io.WriteString(x.writer, next)
		if err != nil || sending.Flush() != nil {
			break
		}
		x.wait(pause)
		next = strings.Repeat(" ", blanks)
	}
	panic(http.ErrAbortHandler)
}

// A faultQueue holds the faults of the next requests.
type faultQueue struct {
	next  map[string][]Fault // by kind of request
	rate  float64
	rated []Fault
}

// FailNext queues faults for the next DELETE /Sessions that get through to the Web Server, one for
// each.
func (s *Server) FailNext(faults ...Fault) { s.FailNextOn(opLogoff, faults...) }

// FailNextOn queues faults for requests of another kind; see [Request].Op.
func (s *Server) FailNextOn(op string, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.faults.next == nil {
		s.faults.next = map[string][]Fault{}
	}
	s.faults.next[op] = append(s.faults.next[op], faults...)
}

// FailAtRate lets a share of all DELETE /Sessions fail, from 0 to 1, each with one of the faults. The seed decides
// which. Without faults, or with a rate of 0, it ends.
func (s *Server) FailAtRate(rate float64, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.rate, s.faults.rated = rate, faults
}

// ClearFaults forgets all faults that have not happened yet.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = faultQueue{}
}

func (s *Server) nextFault(op string, sessions int) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if queue := s.faults.next[op]; len(queue) > 0 && queue[0].fits(sessions) {
		s.faults.next[op] = queue[1:]
		return queue[0], true
	}
	if op == opLogoff && len(s.faults.rated) > 0 && s.random.Float64() < s.faults.rate {
		fault := s.faults.rated[s.random.IntN(len(s.faults.rated))]
		return fault, fault.fits(sessions)
	}
	return Fault{}, false
}

func (f Fault) fits(sessions int) bool { return !f.withOthers || sessions > 1 }

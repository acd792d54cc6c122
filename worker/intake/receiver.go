package intake

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/worker/issuers"
)

const (
	// atOnce is how many requests of each [pool] may be stored at a time. More are told to come again.
	atOnce = 128
	// MaxBody is the most bytes that a job may have over HTTP, which is what the stream takes; maxToken the same for what
	// carries a signed token, which is looked at before it is known who sent it.
	MaxBody  = 768 << 10
	maxToken = 96 << 10
	// readWait is how long a whole request may take to arrive.
	readWait = 5 * time.Second
)

// A Receiver receives jobs and events over HTTP. What there is to be asked for is what the issuers file says at the time
// of each request. Fill the fields.
type Receiver struct {
	Issuers *issuers.Issuers
	Store   *Store
	Rules   jobs.Rules
	Metrics *metrics.Receiver
	Health  *metrics.Health
	Log     *slog.Logger
	// Command is what a person pastes to see what the receiver sees.
	Command string
	// Alive, if set, hears whose events have come, once they are verified, and whether they say that their stream has changed.
	Alive func(issuer string, updated bool)

	clock  func() time.Time // nil is time.Now
	proved pool             // of those who have shown a secret
	signed pool             // of those whose signature alone proves them, as anybody may claim
	named  *issuers.File    // whose names the metrics know
	mu     sync.Mutex       // of named
}

// Server returns an HTTP server of the receiver that slow or greedy clients cannot hold up. Its Shutdown lets requests
// finish that have begun.
func (rc *Receiver) Server() *http.Server {
	return &http.Server{
		Handler:           rc,
		ReadHeaderTimeout: readWait,
		ReadTimeout:       readWait,
		WriteTimeout:      15 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    96 << 10, // a call of Universal Logout has its token in a header
		// What the server has to say is of connections that strangers broke off.
		ErrorLog: slog.NewLogLogger(rc.Log.Handler(), slog.LevelDebug),
	}
}

// ServeHTTP implements [http.Handler].
func (rc *Receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	file := rc.file()
	e := rc.endpoint(file, r)
	a := rc.answer(e, r)
	a.write(w)
	rc.Metrics.Answered(e.kind, a.code, time.Since(began))
}

// file is what the issuers file says now. The metrics hear of its names.
func (rc *Receiver) file() *issuers.File {
	file := rc.Issuers.File()
	rc.mu.Lock()
	defer rc.mu.Unlock()
	if rc.named != file {
		rc.named = file
		rc.Metrics.Issuers(plain(Names(file)))
	}
	return file
}

// A Name is one that jobs are stored under. Publishers may have a lane only of those that there are.
type Name struct {
	Name  string
	Lanes []jobs.Lane
}

// Names are all those that the jobs of a file are stored under.
func Names(file *issuers.File) (all []Name) {
	for _, issuer := range file.Issuers {
		all = append(all, Name{issuer.Name, []jobs.Lane{jobs.Urgent}})
	}
	for _, hook := range file.Hooks {
		all = append(all, Name{hook.Recipe, []jobs.Lane{jobs.Urgent}})
	}
	for _, publisher := range file.Publishers {
		all = append(all, Name{publisher.Name, jobs.Lanes})
	}
	return all
}

func plain(all []Name) (names []string) {
	for _, of := range all {
		names = append(names, of.Name)
	}
	return names
}

// An endpoint is what may be asked for at a path.
type endpoint struct {
	kind  string // for the metrics
	limit int64  // of a body, in bytes
	// greet answers what is no POST, such as a challenge; its code is 0 where there is no such answer. It may be nil.
	greet func(r *http.Request) answer
	// prove says by the headers and the query alone whether the sender is who it has to be; its code is 0 if so.
	prove func(r *http.Request) answer
	// proved means that prove has seen a secret, and that not everybody comes so far.
	proved bool
	// take makes an answer of a whole request.
	take func(ctx context.Context, r *http.Request, body []byte) answer
	// say is an answer in the form that senders to this endpoint expect.
	say func(code int, words string) answer
}

// endpoint is what a request asks for.
func (rc *Receiver) endpoint(file *issuers.File, r *http.Request) endpoint {
	path := r.URL.Path
	if path == jobsPath {
		return rc.jobsEndpoint(file)
	}
	for _, issuer := range file.Issuers {
		switch {
		case path == issuer.PushPath && path != "" && isForm(r):
			return rc.logoutEndpoint(issuer)
		case path == issuer.PushPath && path != "":
			return rc.pushEndpoint(issuer)
		case path == issuer.RevokePath && path != "":
			return rc.revokeEndpoint(issuer)
		}
	}
	for _, hook := range file.Hooks {
		if path == hook.Path && path != "" {
			return rc.hookEndpoint(hook)
		}
	}
	return endpoint{kind: "none"}
}

// answer answers a request to an endpoint. Who is not the sender that there has to be takes nobody's place.
func (rc *Receiver) answer(e endpoint, r *http.Request) answer {
	if e.take == nil {
		return problem(http.StatusNotFound, "there is nothing at this path")
	}
	if e.greet != nil {
		if a := e.greet(r); a.code != 0 {
			return a
		}
	}
	if r.Method != http.MethodPost {
		return e.say(http.StatusMethodNotAllowed, "only POST is answered here").with("Allow", http.MethodPost)
	}
	if a := e.prove(r); a.code != 0 {
		return a
	}
	if e.proved {
		leave, ok := rc.proved.enter(r.URL.Path + " " + bearer(r))
		if !ok {
			return rc.crowded(e)
		}
		defer leave()
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, e.limit))
	switch {
	case tooLarge(err):
		return e.say(http.StatusRequestEntityTooLarge, "the body is larger than what is taken here")
	case err != nil:
		return e.say(http.StatusBadRequest, "the body did not arrive as a whole")
	}
	if !e.proved { // a stranger who sends no body takes no place
		leave, ok := rc.signed.enter(r.URL.Path)
		if !ok {
			return rc.crowded(e)
		}
		defer leave()
	}
	return e.take(r.Context(), r, body)
}

// A pool has places for requests that are read or stored, and half of them for any one sender at most.
type pool struct {
	mu    sync.Mutex
	taken int
	of    map[string]int // by sender
}

// enter takes a place for a sender, if there is one.
func (p *pool) enter(sender string) (leave func(), ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken == atOnce || p.of[sender] == atOnce/2 {
		return nil, false
	}
	if p.of == nil {
		p.of = map[string]int{}
	}
	p.taken++
	p.of[sender]++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.taken--
		if p.of[sender]--; p.of[sender] == 0 {
			delete(p.of, sender)
		}
	}, true
}

// Package statuspage is the page that somebody opens who is woken at night: whether it is well, and if not, what is
// wrong, since when, what happens by itself, and what a person has to do, with the command to paste.
//
// It has its words from [metrics.Health], its numbers from the registry that /metrics shows, and remembers them for an
// hour. What other workers say it asks for only while somebody watches. The page is rendered here, and works without
// script; with it, the sections that changed are replaced as they change. It shows no secret, no name of a person and
// no session ID, and changes nothing.
package statuspage

import (
	"context"
	"embed"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

// Config says what a page is about.
type Config struct {
	Registry prometheus.Gatherer
	Health   *metrics.Health
	Metrics  *metrics.Metrics
	Subjects jobs.Subjects

	Version, Worker string
	WebServer       string // its address, as it may be shown
	Slots           int    // how many requests may be in flight
	Settings        []Setting
}

// A Setting is one effective setting; a secret arrives here as set or not set.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// ofEachWorker are the settings in which the workers of one deployment may differ, by how their names begin.
var ofEachWorker = []string{"LOGOFF_WORKER_NAME", "LOGOFF_HTTP_", "LOGOFF_RECEIVER_", "LOGOFF_LOG_", "LOGOFF_NATS_STORE_DIR", "LOGOFF_NATS_LISTEN", "LOGOFF_SHUTDOWN_TIMEOUT"}

// OfEachWorker reports whether the workers of one deployment may differ in it.
func (s Setting) OfEachWorker() bool {
	return slices.ContainsFunc(ofEachWorker, func(name string) bool { return strings.HasPrefix(s.Name, name) })
}

// A Page is a worker's status page. Its zero value is of no use; see [New].
type Page struct {
	config  Config
	started time.Time
	mux     *http.ServeMux

	mu       sync.Mutex
	history  history
	fleet    fleet
	latest   rendered
	watchers int
}

// New returns the page of a worker. It remembers nothing before [Page.Run] runs.
func New(c Config) *Page {
	p := &Page{config: c, started: time.Now(), mux: http.NewServeMux()}
	p.mux.HandleFunc("GET /{$}", p.serveWhole)
	p.mux.HandleFunc("GET /live", p.serveLive)
	for path, kind := range map[string]string{"page.css": "text/css", "page.js": "text/javascript"} {
		p.mux.HandleFunc("GET /"+path, func(w http.ResponseWriter, _ *http.Request) { serveFile(w, path, kind) })
	}
	for tone, colour := range colours {
		p.mux.HandleFunc("GET /icon-"+string(tone)+".svg", func(w http.ResponseWriter, _ *http.Request) { serveIcon(w, tone, colour) })
	}
	return p
}

// ServeHTTP implements [http.Handler].
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }

// Run remembers how things are, until ctx ends.
func (p *Page) Run(ctx context.Context) {
	every := time.NewTicker(sampleEvery)
	defer every.Stop()
	for {
		if now, err := p.read(); err == nil {
			p.mu.Lock()
			p.history.add(now)
			p.mu.Unlock()
		}
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}

//go:embed page.css page.js
var files embed.FS

func serveFile(w http.ResponseWriter, name, kind string) {
	data, err := files.ReadFile(name)
	if err != nil {
		http.Error(w, "there is no such file", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", kind+"; charset=utf-8")
	_, _ = w.Write(data) // who went away needs no answer
}

package statuspage

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	// beat is how often a page that is watched is rendered. Its script says that it is not live after ten seconds.
	beat = 2 * time.Second
	// writeTime is how long a reader may take for what is sent to it.
	writeTime = 10 * time.Second
	// mostWatchers bounds the pages that are watched.
	mostWatchers = 50
)

// sections are what is replaced on a page, each by itself. The template has one of each name, and the page one with
// such an id.
var sections = []string{"top", "verdict", "path", "charts", "person", "sessions", "limits", "jobs", "workers", "settings"}

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("status").Funcs(template.FuncMap{
	"mark":  func(t tone) template.HTML { return template.HTML(marks[t]) },
	"words": inPieces,
}).Parse(pageHTML))

// filesVersion changes with what a page is made of, so that one that is open loads it anew.
var filesVersion = func() string {
	hash := sha256.New()
	hash.Write([]byte(pageHTML))
	for _, name := range []string{"page.css", "page.js"} {
		data, _ := files.ReadFile(name) // it is embedded
		hash.Write(data)
	}
	return hex.EncodeToString(hash.Sum(nil)[:6])
}()

// rendered is the page at a moment.
type rendered struct {
	at   time.Time
	view *view
	html map[string]string // by section
}

// render renders the page, unless it has just been done for somebody else.
func (p *Page) render(ctx context.Context) (rendered, error) {
	p.lookAround(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.latest.at) < beat/2 {
		return p.latest, nil
	}
	now, err := p.read()
	if err != nil {
		return rendered{}, fmt.Errorf("the numbers cannot be gathered: %w", err)
	}
	past := p.history.with(now)
	v := see(p.config, now, past, p.fleet.all(p.own(now, past)))
	v.Live = true
	r := rendered{at: now.at, view: v, html: map[string]string{}}
	for _, section := range sections {
		var html bytes.Buffer
		if err := pageTemplate.ExecuteTemplate(&html, section, v); err != nil {
			return rendered{}, fmt.Errorf("the page cannot be made: %w", err)
		}
		r.html[section] = html.String()
	}
	p.latest = r
	return r, nil
}

// serveWhole serves the page as it is now, which says of what time it is.
func (p *Page) serveWhole(w http.ResponseWriter, r *http.Request) {
	now, err := p.render(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	v := *now.view
	v.Live = false
	var page bytes.Buffer
	if err := pageTemplate.ExecuteTemplate(&page, "page", &v); err != nil {
		http.Error(w, "the page cannot be made: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(page.Bytes())
}

// A message is what the page's script gets: the sections that changed, by id.
type message struct {
	Files    string            `json:"files"`
	Title    string            `json:"title"`
	Tone     tone              `json:"tone"`
	Sections map[string]string `json:"sections"`
}

// serveLive sends what changes, until whoever watches goes away.
func (p *Page) serveLive(w http.ResponseWriter, r *http.Request) {
	if !p.watch(1) {
		http.Error(w, "too many watch this page", http.StatusServiceUnavailable)
		return
	}
	defer p.watch(-1)
	connection := http.NewResponseController(w)
	_ = connection.SetReadDeadline(time.Time{}) // the server's is for the request, which is read
	w.Header().Set("Content-Type", "text/event-stream")
	every := time.NewTicker(beat)
	defer every.Stop()
	for sent := map[string]string{}; ; {
		now, err := p.render(r.Context())
		if err != nil {
			return // the script says that nothing comes, and asks again
		}
		_ = connection.SetWriteDeadline(time.Now().Add(writeTime)) // the server's would end the stream
		if err := send(w, now, sent); err != nil || connection.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-every.C:
		}
	}
}

// watch counts somebody who comes, or goes, and reports whether there is room for them.
func (p *Page) watch(change int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.watchers+change > mostWatchers {
		return false
	}
	p.watchers += change
	return true
}

// send sends the sections that are not as they were sent before.
func send(w http.ResponseWriter, now rendered, sent map[string]string) error {
	m := message{Files: filesVersion, Title: now.view.Title, Tone: now.view.Tone, Sections: map[string]string{}}
	for section, html := range now.html {
		if sent[section] != html {
			m.Sections[section], sent[section] = html, html
		}
	}
	data, err := json.Marshal(m, json.Deterministic(true))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "data: %s\n\n", data)
	return err
}

package transmitter

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// An answer is what a request gets.
type answer struct {
	status int
	body   any // as JSON; nil for none
}

// A handler answers a request, and adds to its entry in the journal.
type handler func(r *http.Request, body []byte, e *Entry) answer

func (t *Transmitter) routes() *http.ServeMux {
	mux := http.NewServeMux()
	open := func(pattern, op string, h handler) { mux.HandleFunc(pattern, t.serve(op, false, t.locked(h))) }
	closed := func(pattern, op string, h handler) { mux.HandleFunc(pattern, t.serve(op, true, t.locked(h))) }
	switch {
	case t.settings.Appended:
		open("GET "+t.path("/.well-known/ssf-configuration"), "discover", t.discover)
	case t.settings.Old:
		open("GET /.well-known/risc-configuration"+t.path(""), "discover", t.discover)
	default:
		open("GET /.well-known/ssf-configuration"+t.path(""), "discover", t.discover)
	}
	open("GET "+t.path("/keys"), "keys", t.keySet)
	open("POST "+t.path("/token"), "token", t.accessToken)
	closed("GET "+t.path("/streams"), "list", t.list)
	closed("POST "+t.path("/streams"), "create", t.create)
	closed("PATCH "+t.path("/streams"), "change", t.change)
	closed("GET "+t.path("/status"), "status", t.showStatus)
	closed("POST "+t.path("/status"), "status", t.takeStatus)
	closed("POST "+t.path("/verify"), "verify", t.verify)
	// These take the lock themselves: one waits without it, and the other is called by tests, too.
	mux.HandleFunc("POST "+t.path("/poll/{stream}"), t.serve("poll", true, t.poll))
	mux.HandleFunc("DELETE "+t.path("/streams"), t.serve("delete", true, t.remove))
	return mux
}

// locked has a request answered with the lock held.
func (t *Transmitter) locked(h handler) handler {
	return func(r *http.Request, body []byte, e *Entry) answer {
		t.mu.Lock()
		defer t.mu.Unlock()
		return h(r, body, e)
	}
}

// serve is what all requests have in common.
func (t *Transmitter) serve(op string, closed bool, h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		e := Entry{At: time.Now(), Op: op}
		var a answer
		switch {
		case t.down(op):
			a = answer{status: http.StatusServiceUnavailable}
		case closed && !t.admits(r):
			a = failure(http.StatusUnauthorized, "authentication_failed", "the token is not known")
		default:
			a = h(r, body, &e)
		}
		e.Status = a.status
		t.note(e)
		if a.body != nil {
			w.Header().Set("Content-Type", "application/json")
		}
		w.WriteHeader(a.status)
		if a.body != nil {
			_ = json.NewEncoder(w).Encode(a.body)
		}
	}
}

func (t *Transmitter) note(e Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.journal = append(t.journal, e)
}

func failure(status int, code, description string) answer {
	return answer{status, map[string]string{"err": code, "description": description}}
}

func (t *Transmitter) down(op string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if op == "keys" {
		return t.settings.KeysDown
	}
	return t.settings.Down
}

// admits reports whether a request has the token that it needs.
func (t *Transmitter) admits(r *http.Request) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.settings.Client != "":
		for token, until := range t.tokens {
			if r.Header.Get("Authorization") == "Bearer "+token && time.Now().Before(until) {
				return true
			}
		}
		return false
	case t.settings.Bearer != "":
		return r.Header.Get("Authorization") == "Bearer "+t.settings.Bearer
	}
	return true
}

// ForgetTokens has all access tokens refused that were handed out.
func (t *Transmitter) ForgetTokens() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.tokens)
}

func (t *Transmitter) accessToken(r *http.Request, body []byte, _ *Entry) answer {
	client, secret, basic := r.BasicAuth()
	if form, err := url.ParseQuery(string(body)); err == nil && !basic {
		client, secret = form.Get("client_id"), form.Get("client_secret")
	}
	if t.settings.Client == "" || client != t.settings.Client || secret != t.settings.Secret {
		return answer{http.StatusUnauthorized, map[string]string{"error": "invalid_client", "error_description": "no client has the secret " + secret}}
	}
	token := rand.Text()
	t.tokens[token] = time.Now().Add(5 * time.Minute)
	return answer{http.StatusOK, map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 300}}
}

func (t *Transmitter) discover(*http.Request, []byte, *Entry) answer {
	says := map[string]any{
		"spec_version": "1_0", "issuer": t.settings.Issuer, "jwks_uri": t.address("/keys"),
		"delivery_methods_supported": []string{push, poll},
		"configuration_endpoint":     t.address("/streams"), "status_endpoint": t.address("/status"), "verification_endpoint": t.address("/verify"),
	}
	if t.settings.DefaultSubjects != "" {
		says["default_subjects"] = t.settings.DefaultSubjects
	}
	return answer{http.StatusOK, says}
}

func (t *Transmitter) keySet(*http.Request, []byte, *Entry) answer {
	keys := []any{}
	for _, k := range t.keys {
		keys = append(keys, k.public())
	}
	return answer{http.StatusOK, map[string]any{"keys": keys}}
}

// find is the stream with an ID; nil if there is none. The lock is held.
func (t *Transmitter) find(id string) *stream {
	for _, s := range t.streams {
		if s.ID == id {
			return s
		}
	}
	return nil
}

var noStream = failure(http.StatusNotFound, "not_found", "there is no such stream")

func (t *Transmitter) list(r *http.Request, _ []byte, _ *Entry) answer {
	if id := r.URL.Query().Get("stream_id"); id != "" {
		if s := t.find(id); s != nil {
			return answer{http.StatusOK, t.shown(s)}
		}
		return noStream
	}
	all := []stream{}
	for _, s := range t.streams {
		all = append(all, t.shown(s))
	}
	return answer{http.StatusOK, all}
}

// shown is a stream as its receiver sees it.
func (t *Transmitter) shown(s *stream) stream {
	c := *s
	c.Delivery.Authorization = ""
	if t.settings.Unnamed {
		c.Description = ""
	}
	return c
}

// wishes are what a receiver says of a stream.
type wishes struct {
	ID          string    `json:"stream_id"`
	Delivery    *delivery `json:"delivery"`
	Requested   *[]string `json:"events_requested"`
	Description *string   `json:"description"`
}

// Add makes a stream as a receiver would that asks for these events by poll, and returns its ID.
func (t *Transmitter) Add(description string, events ...string) (id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.newStream()
	t.apply(s, wishes{Requested: &events, Description: &description})
	return s.ID
}

func (t *Transmitter) newStream() *stream {
	t.made++
	id := fmt.Sprintf("stream-%d", t.made)
	s := &stream{ID: id, Issuer: t.settings.Issuer, Audience: cmp.Or(t.settings.Audience, "receiver/"+id), status: "enabled"}
	s.Delivery = delivery{Method: poll, Endpoint: t.address("/poll/" + id)}
	t.streams = append(t.streams, s)
	return s
}

// apply does to a stream what a receiver wishes.
func (t *Transmitter) apply(s *stream, w wishes) {
	if w.Delivery != nil {
		s.Delivery = *w.Delivery
		if w.Delivery.Method == poll {
			s.Delivery.Endpoint = t.address("/poll/" + s.ID)
		}
	}
	if w.Requested != nil {
		s.Requested = *w.Requested
	}
	if w.Description != nil {
		s.Description = *w.Description
	}
	s.Supported, s.Delivered = t.settings.Supported, slices.Clone(s.Requested)
	if t.settings.Supported == nil {
		s.Supported = s.Requested
	}
	s.Delivered = slices.DeleteFunc(s.Delivered, func(e string) bool { return !slices.Contains(s.Supported, e) })
	t.announce()
}

func (t *Transmitter) create(_ *http.Request, body []byte, e *Entry) answer {
	e.Body = string(body)
	var w wishes
	switch {
	case json.Unmarshal(body, &w) != nil || w.Delivery == nil || w.Delivery.Method != push && w.Delivery.Method != poll:
		return failure(http.StatusBadRequest, "invalid_request", "a stream needs a delivery")
	case t.settings.Single && len(t.streams) > 0:
		return failure(http.StatusConflict, "conflict", "the receiver has a stream already")
	}
	s := t.newStream()
	t.apply(s, w)
	return answer{http.StatusCreated, t.shown(s)}
}

func (t *Transmitter) change(_ *http.Request, body []byte, e *Entry) answer {
	e.Body = string(body)
	var w wishes
	if json.Unmarshal(body, &w) != nil {
		return failure(http.StatusBadRequest, "invalid_request", "this is no JSON")
	}
	s := t.find(w.ID)
	if s == nil {
		return noStream
	}
	t.apply(s, w)
	return answer{http.StatusOK, t.shown(s)}
}

func (t *Transmitter) remove(r *http.Request, _ []byte, _ *Entry) answer {
	if !t.Remove(r.URL.Query().Get("stream_id")) {
		return noStream
	}
	return answer{status: http.StatusNoContent}
}

func (t *Transmitter) showStatus(r *http.Request, _ []byte, _ *Entry) answer {
	s := t.find(r.URL.Query().Get("stream_id"))
	if s == nil {
		return noStream
	}
	return answer{http.StatusOK, map[string]string{"stream_id": s.ID, "status": s.status, "reason": s.reason}}
}

func (t *Transmitter) takeStatus(_ *http.Request, body []byte, _ *Entry) answer {
	var w struct {
		ID     string `json:"stream_id"`
		Status string `json:"status"`
		Reason string `json:"reason"`
	}
	if json.Unmarshal(body, &w) != nil || !slices.Contains([]string{"enabled", "paused", "disabled"}, w.Status) {
		return failure(http.StatusBadRequest, "invalid_request", "there is no such status")
	}
	s := t.find(w.ID)
	if s == nil {
		return noStream
	}
	t.setStatus(s, w.Status, w.Reason)
	return answer{http.StatusOK, w}
}

func subjectOf(s *stream) map[string]any { return map[string]any{"format": "opaque", "id": s.ID} }

func (t *Transmitter) verify(_ *http.Request, body []byte, _ *Entry) answer {
	var w struct {
		ID    string `json:"stream_id"`
		State string `json:"state"`
	}
	if json.Unmarshal(body, &w) != nil {
		return failure(http.StatusBadRequest, "invalid_request", "this is no JSON")
	}
	s := t.find(w.ID)
	if s == nil {
		return noStream
	}
	if !t.settings.Silent && s.status == "enabled" {
		members := map[string]any{}
		if w.State != "" {
			members["state"] = w.State
		}
		t.give(s, rand.Text(), Event{Type: verificationEvent, Subject: subjectOf(s), Members: members})
	}
	return answer{status: http.StatusNoContent}
}

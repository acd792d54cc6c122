package simulator

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const controlHelp = `The control of a simulated Commvault Web Server. Everything is JSON.

GET    /settings         the switches; durations are text such as "40ms"
PUT    /settings         changes the switches that are named, for example {"down":503}
GET    /sessions         the session table, those that are on first; ?active=true for these alone, ?user=3 for one person's
POST   /sessions         signs a person on: {"userId":3,"console":19,"count":2}; with "at":"2030-01-01T00:00:00Z" at that time
POST   /sessions/everywhere  signs a person on in every kind of console, with a history: {"userId":3,"ended":5}
POST   /comebacks        has a person sign on again when a logoff ends one of their sessions:
                         {"userId":3,"console":19,"times":2,"after":"1s"}; without "after" at once
DELETE /sessions/{id}    signs one off, as if the person had left
GET    /users            the users
POST   /users            adds one: {"login":"CORP\\jane","display":"Jane","password":"x","email":"jane@corp.example","upn":"jane@ad.example",
                         "company":"Corp","companyId":9,"administrator":true}
PUT    /users/{id}       changes what is named: {"disabled":true} or {"lockedUntil":"2030-01-01T00:00:00Z"}
GET    /journal          the requests; ?op=logoff for one kind, ?since=12 for those after number 12,
                         ?limit=100 for the first of these
DELETE /journal          forgets them
GET    /traffic          what the limiter let through and refused, reads and writes, and the most of an hour
DELETE /traffic          counts from zero
POST   /faults           fails the next requests: {"fault":"status","status":503,"count":3}
                         faults: status answer throttle reset hang page empty cutoff errorbody redirect
                         slow endless gzipbomb doctype generic500; more members: "op" (default logoff),
                         "applied", "withOthers" (only for documents of several sessions), "seconds", "url", "contentType", "body", "rate" (instead of a count)
DELETE /faults           forgets them
GET    /tokens           the access tokens through all their renewals: how often renewed, reused, whether dead
POST   /tokens           makes one: {"userId":1,"scope":["/Session"],"expiry":"2030-01-01T00:00:00Z","renewableUntil":"2030-03-01T00:00:00Z"};
                         all but userId may be missing
POST   /tokens/revoke    revokes every token now
POST   /logins/revoke    revokes the tokens of logins now
`

// Control is the handler of the control address: what the methods of a Server do, as JSON. No token
// and no password is shown, except an access token when it is made.
func (s *Server) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = fmt.Fprintf(w, "%s\n\n%s", s, controlHelp)
	})
	mux.HandleFunc("GET /settings", s.showSettings)
	mux.HandleFunc("PUT /settings", s.changeSettings)
	mux.HandleFunc("PATCH /settings", s.changeSettings)
	mux.HandleFunc("GET /sessions", s.showSessions)
	mux.HandleFunc("POST /sessions", s.makeSessions)
	mux.HandleFunc("DELETE /sessions/{id}", s.endSession)
	mux.HandleFunc("POST /sessions/everywhere", s.makeSessionsEverywhere)
	mux.HandleFunc("POST /comebacks", s.makeComeback)
	mux.HandleFunc("GET /users", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.Users()) })
	mux.HandleFunc("POST /users", s.makeUser)
	mux.HandleFunc("PUT /users/{id}", s.putUser)
	mux.HandleFunc("GET /journal", s.showJournal)
	mux.HandleFunc("DELETE /journal", done(s.ClearJournal))
	mux.HandleFunc("GET /traffic", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.Traffic()) })
	mux.HandleFunc("DELETE /traffic", done(s.ClearTraffic))
	mux.HandleFunc("POST /faults", s.makeFaults)
	mux.HandleFunc("DELETE /faults", done(s.ClearFaults))
	mux.HandleFunc("GET /tokens", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.Chains()) })
	mux.HandleFunc("POST /tokens", s.makeToken)
	mux.HandleFunc("POST /tokens/revoke", done(s.RevokeTokens))
	mux.HandleFunc("POST /logins/revoke", done(s.RevokeLogins))
	return mux
}

func done(do func()) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		do()
		w.WriteHeader(http.StatusNoContent)
	}
}

// durationsAsText writes and reads a duration as text such as "40ms".
var durationsAsText = json.JoinOptions(
	json.WithMarshalers(json.MarshalToFunc(func(out *jsontext.Encoder, d time.Duration) error {
		return out.WriteToken(jsontext.String(d.String()))
	})),
	json.WithUnmarshalers(json.UnmarshalFromFunc(func(in *jsontext.Decoder, d *time.Duration) error {
		token, err := in.ReadToken()
		if err != nil {
			return err
		}
		if token.Kind() != '"' {
			return errors.New(`a duration is text such as "40ms"`)
		}
		*d, err = time.ParseDuration(token.String())
		return err
	})),
	json.RejectUnknownMembers(true),
)

// reply sends a list with one element on a line, anything else on many lines.
func reply(w http.ResponseWriter, value any) {
	body, err := json.Marshal(value, durationsAsText, json.Deterministic(true))
	if err == nil && body[0] == '[' {
		body, err = onePerLine(body)
	} else if err == nil {
		err = (*jsontext.Value)(&body).Indent()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n'))
}

func onePerLine(list []byte) ([]byte, error) {
	var elements []jsontext.Value
	if err := json.Unmarshal(list, &elements); err != nil || len(elements) == 0 {
		return list, err
	}
	lines := make([][]byte, len(elements))
	for i, element := range elements {
		lines[i] = element
	}
	return slices.Concat([]byte("[\n"), bytes.Join(lines, []byte(",\n")), []byte("\n]")), nil
}

// read decodes a request's body into value, or says what is wrong with it.
func read(w http.ResponseWriter, r *http.Request, value any) bool {
	if err := json.UnmarshalRead(http.MaxBytesReader(w, r.Body, 1<<20), value, durationsAsText); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

func (s *Server) showSettings(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	settings := s.settings.clone()
	s.mu.Unlock()
	reply(w, settings)
}

func (s *Server) changeSettings(w http.ResponseWriter, r *http.Request) {
	var change jsontext.Value
	if !read(w, r, &change) {
		return
	}
	err := s.configure(func(settings *Settings) error { return json.Unmarshal(change, settings, durationsAsText) })
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.showSettings(w, r)
}

package simulator

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const controlHelp = `The control of a simulated Commvault Web Server. Everything is JSON.

GET    /settings         the switches; durations are text such as "40ms"
PUT    /settings         changes the switches that are named, for example {"down":503}
GET    /sessions         the session table, those that are on first; ?active=true for these alone, ?user=3 for one person's
POST   /sessions         signs a person on: {"userId":3,"console":19,"count":2}; with "at":"2030-01-01T00:00:00Z", then
POST   /sessions/everywhere  signs a person on in every kind of console, with a history: {"userId":3,"ended":5}
POST   /comebacks        has a person sign on again when a logoff ends a session of his:
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
POST   /faults           fails requests to come: {"fault":"status","status":503,"count":3}
                         faults: status answer throttle reset hang page empty cutoff errorbody redirect
                         slow endless gzipbomb doctype generic500; more members: "op" (default logoff),
                         "applied", "company" (for documents of several sessions only), "seconds", "url", "contentType", "body", "rate" (instead of a count)
DELETE /faults           forgets them
GET    /tokens           the access tokens through all their renewals: how often renewed, reused, whether dead
POST   /tokens           makes one: {"userId":1,"scope":["/Session"],"expiry":"2030-01-01T00:00:00Z","renewableUntil":"2030-03-01T00:00:00Z"};
                         all but userId may be missing
POST   /tokens/revoke    lets every token die now
`

// Control is the handler of the control address: what the methods of a Server do, as JSON. No token
// and no password comes out of it, but for an access token as it is made.
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
	return mux
}

func done(do func()) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		do()
		w.WriteHeader(http.StatusNoContent)
	}
}

// durationsAsText makes 40ms of a duration, and takes it.
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

func (s *Server) showSessions(w http.ResponseWriter, r *http.Request) {
	active, user := r.FormValue("active"), r.FormValue("user")
	rows := slices.DeleteFunc(s.Sessions(), func(row Session) bool {
		return (active != "" && active != strconv.FormatBool(row.Active())) || (user != "" && user != strconv.Itoa(row.UserID))
	})
	slices.SortStableFunc(rows, func(a, b Session) int { return a.LogoutTime.Compare(b.LogoutTime) })
	reply(w, rows)
}

func (s *Server) makeSessions(w http.ResponseWriter, r *http.Request) {
	form := struct {
		UserID  int       `json:"userId"`
		Console int       `json:"console"`
		Count   int       `json:"count"`
		At      time.Time `json:"at"`
	}{Console: ConsoleWeb, Count: 1}
	if !read(w, r, &form) {
		return
	}
	if form.Count < 1 || form.Count > 100_000 {
		http.Error(w, "count is not within 1 and 100000", http.StatusBadRequest)
		return
	}
	if !form.At.IsZero() {
		if err := s.signOnAt(form.UserID, form.Console, form.Count, form.At); err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		w.WriteHeader(http.StatusNoContent)
		return
	}
	ids, err := s.signOnMany(form.UserID, form.Console, form.Count)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	reply(w, ids)
}

func (s *Server) makeSessionsEverywhere(w http.ResponseWriter, r *http.Request) {
	var form struct {
		UserID int `json:"userId"`
		Ended  int `json:"ended"`
	}
	if !read(w, r, &form) {
		return
	}
	if form.Ended < 0 || form.Ended > 10_000 {
		http.Error(w, "ended is not within 0 and 10000", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	known := s.users[form.UserID] != nil
	s.mu.Unlock()
	if !known {
		http.Error(w, noSuchUser(form.UserID).Error(), http.StatusNotFound)
		return
	}
	on, off := s.SignOnEverywhere(form.UserID, form.Ended)
	reply(w, map[string][]string{"on": on, "off": off})
}

func (s *Server) makeComeback(w http.ResponseWriter, r *http.Request) {
	c := Comeback{Console: ConsoleWeb}
	if !read(w, r, &c) {
		return
	}
	if err := s.comeBack(c); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) endSession(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	s.mu.Lock()
	known := s.sessions.find(id) != nil
	s.mu.Unlock()
	if !known {
		http.Error(w, "there is no such session", http.StatusNotFound)
		return
	}
	s.SignOff(id)
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) makeUser(w http.ResponseWriter, r *http.Request) {
	var u User
	if !read(w, r, &u) {
		return
	}
	id, err := s.addUser(u)
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	reply(w, struct {
		ID int `json:"id"`
	}{id})
}

func (s *Server) putUser(w http.ResponseWriter, r *http.Request) {
	var change jsontext.Value
	if !read(w, r, &change) {
		return
	}
	id, _ := strconv.Atoi(r.PathValue("id"))
	err := s.changeUser(id, func(u *User) error { return json.Unmarshal(change, u, durationsAsText) })
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) makeToken(w http.ResponseWriter, r *http.Request) {
	var g AccessGrant
	if !read(w, r, &g) {
		return
	}
	pair, err := s.grant(g)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	reply(w, pair)
}

// shownRequest is a Request without its secrets.
type shownRequest struct {
	Number   int         `json:"number"`
	Time     time.Time   `json:"time"`
	Op       string      `json:"op"`
	Method   string      `json:"method"`
	Path     string      `json:"path"`
	Header   http.Header `json:"header"`
	Body     string      `json:"body"`
	Sessions []string    `json:"sessions,omitempty"`
	Applied  []string    `json:"applied,omitempty"`
	UserID   int         `json:"userId,omitzero"`
	Status   int         `json:"status"`
	Answered bool        `json:"answered"`
	Success  bool        `json:"success"`
	Fault    string      `json:"fault,omitzero"`
}

const redacted = "(redacted)"

func (s *Server) showJournal(w http.ResponseWriter, r *http.Request) {
	op := r.FormValue("op")
	since, err := strconv.Atoi(r.FormValue("since"))
	if err != nil && r.FormValue("since") != "" {
		http.Error(w, "since is the number of a request", http.StatusBadRequest)
		return
	}
	limit, err := strconv.Atoi(r.FormValue("limit"))
	if err != nil && r.FormValue("limit") != "" {
		http.Error(w, "limit is a number of requests", http.StatusBadRequest)
		return
	}
	shown := []shownRequest{}
	for _, request := range s.Journal() {
		if limit > 0 && len(shown) == limit {
			break
		}
		if request.Number > since && (op == "" || op == request.Op) {
			shown = append(shown, show(request))
		}
	}
	reply(w, shown)
}

func show(r Request) shownRequest {
	shown := shownRequest{
		r.Number, r.Time, r.Op, r.Method, r.Path, r.Header.Clone(), redacted, r.Sessions, r.Applied, r.UserID, r.Status, r.Answered, r.Success, r.Fault,
	}
	for _, name := range []string{"Authtoken", "Authorization", "Cookie", "Cookie2"} {
		if shown.Header.Get(name) != "" {
			shown.Header.Set(name, redacted)
		}
	}
	// Only a logoff's body is sure to hold no secret.
	if r.Op == opLogoff || len(r.Body) == 0 {
		shown.Body = strings.ToValidUTF8(string(r.Body), "\uFFFD")
	}
	return shown
}

// faultForm is a fault as the control address takes it.
type faultForm struct {
	Fault       string  `json:"fault"`
	Op          string  `json:"op"`
	Count       int     `json:"count"`
	Rate        float64 `json:"rate"`
	Applied     bool    `json:"applied"`
	Company     bool    `json:"company"`
	Status      int     `json:"status"`
	Seconds     int     `json:"seconds"`
	URL         string  `json:"url"`
	ContentType string  `json:"contentType"`
	Body        string  `json:"body"`
}

func (s *Server) makeFaults(w http.ResponseWriter, r *http.Request) {
	form := faultForm{Op: opLogoff, Count: 1, Status: http.StatusServiceUnavailable, Seconds: 5}
	if !read(w, r, &form) {
		return
	}
	fault, err := form.fault()
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if form.Rate > 0 {
		s.FailAtRate(form.Rate, fault)
	} else {
		s.FailNextOn(form.Op, slices.Repeat([]Fault{fault}, form.Count)...)
	}
	reply(w, map[string]string{"fault": fault.String()})
}

func (f faultForm) fault() (Fault, error) {
	switch {
	case f.Status < 200 || f.Status > 599:
		return Fault{}, errors.New("status is not within 200 and 599")
	case f.Count < 1 || f.Count > 100_000:
		return Fault{}, errors.New("count is not within 1 and 100000")
	case f.Rate < 0 || f.Rate > 1 || (f.Rate > 0 && f.Op != opLogoff):
		return Fault{}, errors.New("rate is within 0 and 1, and for logoff only")
	case !slices.Contains(ops, f.Op):
		return Fault{}, fmt.Errorf("there is no kind of request %q", f.Op)
	}
	kinds := map[string]Fault{
		"status": Status(f.Status), "answer": Answer(f.Status, f.ContentType, f.Body), "throttle": Throttle(f.Seconds),
		"reset": Reset(false), "hang": Hang(false), "page": Page(), "empty": Empty(), "cutoff": CutOff(), "errorbody": ErrorBody(),
		"redirect": Redirect(f.URL), "slow": SlowBody(), "endless": EndlessBody(), "gzipbomb": GzipBomb(), "doctype": Doctype(), "generic500": Generic500(),
	}
	fault, ok := kinds[f.Fault]
	if !ok {
		return Fault{}, fmt.Errorf("there is no fault %q", f.Fault)
	}
	fault.applied, fault.company = f.Applied, f.Company
	return fault, nil
}

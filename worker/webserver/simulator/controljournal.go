package simulator

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// shownRequest is a Request without its secrets.
type shownRequest struct {
	Number   int         `json:"number"`
	Time     time.Time   `json:"time"`
	Op       string      `json:"op"`
	Method   string      `json:"method"`
	Path     string      `json:"path"`
	Query    string      `json:"query,omitzero"` // of the calls that read sessions and users
	Header   http.Header `json:"header"`
	Body     string      `json:"body"`
	Sessions []string    `json:"sessions,omitempty"`
	Applied  []string    `json:"applied,omitempty"`
	UserID   int         `json:"userId,omitzero"`
	Status   int         `json:"status"`
	Answered bool        `json:"answered"`
	Success  bool        `json:"success"`
	Took     int64       `json:"took"` // microseconds
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
		r.Number, r.Time, r.Op, r.Method, r.Path, "", r.Header.Clone(), redacted, r.Sessions, r.Applied, r.UserID, r.Status, r.Answered, r.Success, r.Took.Microseconds(), r.Fault,
	}
	for _, name := range []string{"Authtoken", "Authorization", "Cookie", "Cookie2"} {
		if shown.Header.Get(name) != "" {
			shown.Header.Set(name, redacted)
		}
	}
	if r.Op == opSession || r.Op == opUser || r.Op == opUserV4 {
		shown.Query = r.Query
	}
	// Only a logoff's body is sure to hold no secret.
	if r.Op == opLogoff || len(r.Body) == 0 {
		shown.Body = strings.ToValidUTF8(string(r.Body), "\uFFFD")
	}
	return shown
}

package simulator

import (
	"net/http"
	"slices"
	"strconv"
	"time"
)

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

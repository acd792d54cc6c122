package simulator

import (
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

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

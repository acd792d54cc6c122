package simulator

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A User is a person or a service account.
type User struct {
	ID       int    `json:"id"`    // 0 lets the Server choose
	Login    string `json:"login"` // the name to log in with; DOMAIN\name for a domain's user
	Display  string `json:"display,omitzero"`
	Password string `json:"password,omitzero"`
	Email    string `json:"email,omitzero"`
	// Administrator is the right "Add, Delete and Modify a User", without which one sees and ends
	// one's own sessions only.
	Administrator bool `json:"administrator,omitzero"`
}

// user is what the Server knows of a User.
type user struct {
	User
	guid        string
	sessions    []*session  // oldest login first
	failures    []time.Time // of logins, those that count for a lock-out
	lockedUntil time.Time
}

// AddUser adds a user and returns the userId. One with the ID or the login of another is a mistake
// in the test, as is one without a login: it panics.
func (s *Server) AddUser(u User) int {
	id, err := s.addUser(u)
	if err != nil {
		panic("simulator: " + err.Error())
	}
	return id
}

func (s *Server) addUser(u User) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := slices.DeleteFunc([]string{strings.ToLower(u.Login), strings.ToLower(u.Email)}, func(name string) bool { return name == "" })
	if u.Login == "" {
		return 0, fmt.Errorf("a user needs a login")
	}
	for _, name := range names {
		if s.logins[name] != nil {
			return 0, fmt.Errorf("there is a user %s already", name)
		}
	}
	if u.ID == 0 {
		for u.ID = len(s.users) + 1; s.users[u.ID] != nil; {
			u.ID++
		}
	}
	if u.ID < 0 || s.users[u.ID] != nil {
		return 0, fmt.Errorf("the userId %d is taken or negative", u.ID)
	}
	if u.Display == "" {
		u.Display = u.Login
	}
	known := &user{User: u, guid: s.guid()}
	s.users[u.ID] = known
	for _, name := range names {
		s.logins[name] = known
	}
	return u.ID, nil
}

// Users are all users by ID, without their passwords.
func (s *Server) Users() []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	users := make([]User, 0, len(s.users))
	for _, known := range s.users {
		u := known.User
		u.Password = ""
		users = append(users, u)
	}
	slices.SortFunc(users, func(a, b User) int { return a.ID - b.ID })
	return users
}

// guid is a new GUID in the upper case of every sample.
func (s *Server) guid() string {
	a, b := s.random.Uint64(), s.random.Uint64()
	return fmt.Sprintf("%08X-%04X-4%03X-%04X-%012X", uint32(a>>32), uint16(a>>16), uint16(a)&0xFFF, uint16(b>>48)&0x3FFF|0x8000, b&0xFFFFFFFFFFFF)
}

// hex is n random hex digits.
func (s *Server) hex(n int) string {
	var digits strings.Builder
	for digits.Len() < n {
		fmt.Fprintf(&digits, "%016x", s.random.Uint64())
	}
	return digits.String()[:n]
}

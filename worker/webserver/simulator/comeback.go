package simulator

import (
	"errors"
	"time"
)

// A Comeback makes a person sign on again when a logoff has ended one of their sessions, while the caller still
// ends the others. A session that ends in another way brings nobody back.
type Comeback struct {
	UserID  int           `json:"userId"`
	Console int           `json:"console"`
	Times   int           `json:"times"` // how many ended sessions are replaced
	After   time.Duration `json:"after"` // time from the logoff to the new sign-on; 0 is at once, before the logoff is answered
}

// ComeBack adds a Comeback. It panics if there is no such user, if Times is below 1, and if After is below 0.
func (s *Server) ComeBack(c Comeback) {
	if err := s.comeBack(c); err != nil {
		panic("simulator: " + err.Error())
	}
}

func (s *Server) comeBack(c Comeback) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	person := s.users[c.UserID]
	switch {
	case person == nil:
		return noSuchUser(c.UserID)
	case c.Times < 1:
		return errors.New("times is below 1")
	case c.After < 0:
		return errors.New("after is below 0")
	}
	person.comebacks = append(person.comebacks, &c)
	return nil
}

// SignOnAt lets a person sign on at a later time, unless they are disabled by then. It panics if there is no such
// user.
func (s *Server) SignOnAt(userID, console int, at time.Time) {
	if err := s.signOnAt(userID, console, 1, at); err != nil {
		panic("simulator: " + err.Error())
	}
}

func (s *Server) signOnAt(userID, console, n int, at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	person := s.users[userID]
	if person == nil {
		return noSuchUser(userID)
	}
	for range n {
		s.planSignOn(person, console, at)
	}
	return nil
}

func (s *Server) planSignOn(person *user, console int, at time.Time) {
	s.plan(at, func(at time.Time) {
		if !person.Disabled {
			s.signOn(person, console, at)
		}
	})
}

// replace lets a person sign on again, one of whose sessions a logoff has just ended.
func (s *Server) replace(person *user, at time.Time) {
	for _, c := range person.comebacks {
		switch {
		case c.Times == 0:
			continue
		case c.After > 0:
			s.planSignOn(person, c.Console, at.Add(c.After))
		case !person.Disabled:
			s.signOn(person, c.Console, at)
		}
		c.Times--
		return
	}
}

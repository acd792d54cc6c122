package simulator

import (
	"errors"
	"time"
)

// A Comeback is a person who signs on again when a logoff has ended one of his sessions, so that the
// sign-on races whoever ends them. A session that ends in another way does not bring him back.
type Comeback struct {
	UserID  int           `json:"userId"`
	Console int           `json:"console"`
	Times   int           `json:"times"` // how many ended sessions he replaces
	After   time.Duration `json:"after"` // how long that takes him; 0 is at once, before the logoff is answered
}

// ComeBack lets a person sign on again. It panics if there is no such user, and if it is to happen
// less than once or before the end.
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

// SignOnAt lets a person sign on at a time to come, unless he is disabled by then. It panics if there
// is no such user.
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

// replace brings a person back, one of whose sessions a logoff has just ended.
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

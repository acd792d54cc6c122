package simulator

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A User is a person or a service account.
type User struct {
	ID    int    `json:"id"`    // 0 lets the Server choose
	Login string `json:"login"` // the name to log in with; DOMAIN\name for a domain's user
	// Display is the full name, and what sessions show instead of the login: Administrator logs in as
	// admin. Empty is the login.
	Display  string `json:"display,omitzero"`
	Password string `json:"password,omitzero"` // without one nobody logs in over the API
	Email    string `json:"email,omitzero"`    // several people may share one, which then logs in nobody
	UPN      string `json:"upn,omitzero"`
	GUID     string `json:"guid,omitzero"` // empty lets the Server choose
	// Disabled people do not log in or sign on any more. Their sessions go on, as documented.
	Disabled    bool      `json:"disabled,omitzero"`
	LockedUntil time.Time `json:"lockedUntil,omitzero"` // what failed logins bring; until then nobody logs in
	// CompanyID and Company are whose the user is; zero and empty is the CommCell itself.
	CompanyID int    `json:"companyId,omitzero"`
	Company   string `json:"company,omitzero"`
	// Administrator is the right "Add, Delete and Modify a User", without which one sees and ends
	// one's own sessions only, and sees no other user.
	Administrator bool `json:"administrator,omitzero"`
}

// user is what the Server knows of a User.
type user struct {
	User
	sessions  []*session  // oldest login first
	failures  []time.Time // of logins, those that count for a lock-out
	lockedAt  time.Time
	lastLogin time.Time
	comebacks []*Comeback
}

func (u *user) locked(now time.Time) bool { return now.Before(u.LockedUntil) }

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
	if u.ID == 0 {
		for u.ID = len(s.users) + 1; s.users[u.ID] != nil; {
			u.ID++
		}
	}
	if u.ID < 0 || s.users[u.ID] != nil {
		return 0, fmt.Errorf("the userId %d is taken or negative", u.ID)
	}
	known := &user{}
	if err := s.describe(known, u); err != nil {
		return 0, err
	}
	s.users[u.ID] = known
	return u.ID, nil
}

// ChangeUser changes a user: a name, a lock, whether the user is enabled. Sessions that exist keep the name that
// they were made with. It panics if there is no such user, and if the changed user is one that [Server.AddUser]
// would not take.
func (s *Server) ChangeUser(userID int, change func(*User)) {
	if err := s.changeUser(userID, func(u *User) error { change(u); return nil }); err != nil {
		panic("simulator: " + err.Error())
	}
}

func (s *Server) changeUser(userID int, change func(*User) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.users[userID]
	if known == nil {
		return noSuchUser(userID)
	}
	u := known.User
	if err := change(&u); err != nil {
		return err
	}
	if u.ID != userID {
		return fmt.Errorf("the userId %d cannot be changed", userID)
	}
	return s.describe(known, u)
}

// describe gives a user the fields of u, and updates the index of logins.
func (s *Server) describe(known *user, u User) error {
	login := strings.ToLower(u.Login)
	if login == "" {
		return errors.New("a user needs a login")
	}
	if other := s.logins[login]; other != nil && other != known {
		return fmt.Errorf("there is a user %s already", login)
	}
	if u.Display == "" {
		u.Display = u.Login
	}
	if u.GUID == "" {
		u.GUID = s.guid()
	}
	delete(s.logins, strings.ToLower(known.Login))
	s.logins[login] = known
	known.User = u
	return nil
}

func noSuchUser(userID int) error { return fmt.Errorf("there is no user with the userId %d", userID) }

// Users are all users by ID, without their passwords.
func (s *Server) Users() []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	users := make([]User, 0, len(s.users))
	for _, known := range s.byID() {
		u := known.User
		u.Password = ""
		users = append(users, u)
	}
	return users
}

// byID are all users by ID.
func (s *Server) byID() []*user {
	return slices.SortedFunc(maps.Values(s.users), func(a, b *user) int { return a.ID - b.ID })
}

// whoLogsIn is whose login or e-mail a name is; nil if it is nobody's or that of several.
func (s *Server) whoLogsIn(name string) *user {
	if known := s.logins[strings.ToLower(name)]; known != nil {
		return known
	}
	var found *user
	for _, known := range s.users {
		if name == "" || !strings.EqualFold(known.Email, name) {
			continue
		}
		if found != nil {
			return nil
		}
		found = known
	}
	return found
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

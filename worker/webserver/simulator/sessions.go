package simulator

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Console types of sessions. The first is what logins over the API are captured with.
const (
	ConsoleAPI         = 0
	ConsoleCommCell    = 5 // its sessions have EMC before the GUID
	ConsoleCommandLine = 13
	ConsoleBrowser     = 14 // a CommCell Console in a browser
	ConsoleWeb         = 19 // Web Console or mobile
)

// A Session is a row of the session table.
type Session struct {
	ID         string    `json:"id"`
	UserID     int       `json:"userId"`
	Login      string    `json:"login"`
	Display    string    `json:"display"`
	Console    int       `json:"console"`
	Location   string    `json:"location,omitzero"` // the client's address
	LoginTime  time.Time `json:"loginTime"`
	LogoutTime time.Time `json:"logoutTime,omitzero"` // zero while it is on
	LastAccess time.Time `json:"lastAccess,omitzero"`
}

// Active reports whether the session is still on.
func (s Session) Active() bool { return s.LogoutTime.IsZero() }

type session struct {
	Session
	browser int  // browserSessionId: small, reused, no identity
	leaving bool // a logoff is under way whose effect shows later
}

// sessionTable holds ended sessions too: the real list is a history.
type sessionTable struct {
	byID    map[string]*session // by ID in upper case
	inOrder []*session          // as they were made
}

func (t *sessionTable) find(id string) *session { return t.byID[strings.ToUpper(id)] }

// SignOn makes a session of a person and returns its ID. No token belongs to it, and it does not
// time out. It panics if there is no such user.
func (s *Server) SignOn(userID, console int) string {
	ids, err := s.signOnMany(userID, console, 1)
	if err != nil {
		panic("simulator: " + err.Error())
	}
	return ids[0]
}

// SignOnMany makes n Web Console sessions of one person and returns their IDs. It panics if there is
// no such user.
func (s *Server) SignOnMany(userID, n int) []string {
	ids, err := s.signOnMany(userID, ConsoleWeb, n)
	if err != nil {
		panic("simulator: " + err.Error())
	}
	return ids
}

func (s *Server) signOnMany(userID, console, n int) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.catchUp(time.Now())
	person := s.users[userID]
	if person == nil {
		return nil, noSuchUser(userID)
	}
	ids := make([]string, n)
	for i := range ids {
		ids[i] = s.signOn(person, console, time.Now()).ID
	}
	return ids, nil
}

func (s *Server) signOn(person *user, console int, at time.Time) *session {
	id := s.guid()
	if console == ConsoleCommCell {
		id = "EMC" + id
	}
	made := &session{Session: Session{
		ID: id, UserID: person.ID, Login: person.Login, Display: person.Display, Console: console, LoginTime: at, LastAccess: at,
	}}
	switch console {
	case ConsoleCommCell:
		made.LastAccess = time.Time{} // captured: never set for windows
	case ConsoleBrowser:
		made.Location = fmt.Sprintf("fe80::%x:%x%%14", s.random.IntN(1<<16), s.random.IntN(1<<16)) // such are captured
	case ConsoleWeb:
		made.browser = 1 + s.random.IntN(40)
		made.Location = fmt.Sprintf("10.0.%d.%d", s.random.IntN(8), 1+s.random.IntN(250))
	}
	if at.After(person.lastLogin) {
		person.lastLogin = at
	}
	s.sessions.byID[id] = made
	s.sessions.inOrder = append(s.sessions.inOrder, made)
	person.sessions = append(person.sessions, made)
	return made
}

// SignOff ends a session as if the person had signed off. It does nothing if there is no such session or
// it has ended.
func (s *Server) SignOff(sessionID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.catchUp(time.Now())
	if known := s.sessions.find(sessionID); known != nil && known.Active() {
		s.end(known, time.Now())
	}
}

// end ends a session; its token is refused from then on.
func (s *Server) end(ending *session, at time.Time) {
	ending.LogoutTime, ending.LastAccess = at, time.Time{}
}

// Sessions is the session table, ended sessions included, in the order in which they were made.
func (s *Server) Sessions() []Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.catchUp(time.Now())
	rows := make([]Session, len(s.sessions.inOrder))
	for i, known := range s.sessions.inOrder {
		rows[i] = known.Session
	}
	return rows
}

// sessionsReply is what GET /Session answers. The names are captured in JSON; the XML root is a
// guess in the style of the house.
type sessionsReply struct {
	XMLName  xml.Name     `json:"-" xml:"Api_GetSessionsResponse"`
	Sessions []sessionRow `json:"sessions" xml:"sessions"`
}

type sessionRow struct {
	LastAccessedTime int64       `json:"lastAccessedTime" xml:"lastAccessedTime,attr"`
	LogoutTime       int64       `json:"logoutTime" xml:"logoutTime,attr"`
	LoginTime        int64       `json:"loginTime" xml:"loginTime,attr"`
	Host             string      `json:"host" xml:"host,attr"`
	Location         string      `json:"location" xml:"location,attr"`
	SessionID        string      `json:"sessionId" xml:"sessionId,attr"`
	BrowserSessionID int         `json:"browserSessionId" xml:"browserSessionId,attr"`
	ConsoleType      int         `json:"consoleType" xml:"consoleType,attr"`
	IsCurrentSession bool        `json:"isCurrentSession,omitempty" xml:"isCurrentSession,attr,omitempty"`
	User             sessionUser `json:"user" xml:"user"`
}

type sessionUser struct {
	UserName string `json:"userName" xml:"userName,attr"`
	UserID   int    `json:"userId" xml:"userId,attr"`
}

// listSessions answers GET /Session?userId=N and its newer plural.
func (s *Server) listSessions(x *exchange, caller caller) answer {
	userID, err := strconv.Atoi(x.parameter("userId"))
	if err != nil {
		return x.failed(http.StatusBadRequest, flatError{ErrorMessage: "Missing or invalid parameter userId.", ErrorCode: 2})
	}
	if userID != caller.user.ID && !caller.user.Administrator {
		if s.settings.NoPermission == NoPermissionEmpty {
			return x.succeeded(sessionsReply{Sessions: []sessionRow{}})
		}
		return s.forbidden(x)
	}
	if userID == s.settings.UnlistedUser && userID != caller.user.ID {
		return s.forbidden(x)
	}
	if owner := s.users[userID]; owner != nil && s.hides(caller, owner) {
		return x.succeeded(sessionsReply{Sessions: []sessionRow{}})
	}
	return x.succeeded(sessionsReply{Sessions: s.rows(userID, caller.session)})
}

// rows are a person's sessions as listed: newest login first, and no more than the cap.
func (s *Server) rows(userID int, current *session) []sessionRow {
	rows := []sessionRow{}
	person := s.users[userID]
	if person == nil {
		return rows
	}
	newest := slices.Clone(person.sessions)
	slices.Reverse(newest)
	slices.SortStableFunc(newest, func(a, b *session) int { return cmp.Compare(b.LoginTime.Unix(), a.LoginTime.Unix()) })
	for i, known := range newest[:min(len(newest), s.settings.ListLimit)] {
		rows = append(rows, sessionRow{
			LastAccessedTime: s.epoch(known.LastAccess), LogoutTime: s.epoch(known.LogoutTime), LoginTime: s.epoch(known.LoginTime),
			Host: hosts[i%len(hosts)], Location: known.Location, SessionID: known.ID, BrowserSessionID: known.browser,
			ConsoleType: known.Console, IsCurrentSession: known == current, User: sessionUser{known.Display, userID},
		})
	}
	return rows
}

// hosts spell the server's own name in the ways that captures do.
var hosts = []string{"cssim01", "CSSIM01", "cssim01.corp.example"}

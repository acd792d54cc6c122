package simulator

import (
	"encoding/xml"
	"net/http"
	"strings"
	"time"
)

// A token is a QSDK token. It is valid as long as its session is on; when nobody uses it for too long, the session
// ends.
type token struct {
	session *session
	device  string        // deviceId of the login; renewal asks for it
	timeout time.Duration // idle time after which it dies
	used    time.Time
	idled   bool // it died of being idle, so it can be renewed
}

// A caller is who a request's token belongs to. An access token has no session unless that is set.
type caller struct {
	user    *user
	session *session
	bearer  bool // the token is an access token
}

// issue makes a session and its token: QSDK, a blank, and hex digits that start with 3.
func (s *Server) issue(person *user, device string, timeout time.Duration) string {
	return s.issueFor(s.signOn(person, ConsoleAPI, time.Now()), device, timeout)
}

func (s *Server) issueFor(owner *session, device string, timeout time.Duration) string {
	value := "QSDK 3" + s.hex(540+s.random.IntN(20))
	s.tokens[value] = &token{session: owner, device: device, timeout: timeout, used: time.Now()}
	return value
}

// Token makes a session of a user and returns its QSDK token. It panics if there is no such user.
func (s *Server) Token(userID int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.catchUp(time.Now())
	return s.issue(s.mustKnow(userID), "", s.settings.SessionTimeout)
}

func (s *Server) mustKnow(userID int) *user {
	person := s.users[userID]
	if person == nil {
		panic("simulator: there is no such user")
	}
	return person
}

// RevokeTokens makes every token invalid now: those of logins as RevokeLogins does, and access tokens, which
// can still be renewed.
func (s *Server) RevokeTokens() {
	s.RevokeLogins()
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, c := range s.chains {
		c.Expiry = now
	}
}

// RevokeLogins makes the tokens of all logins invalid now, as if all had been idle for too long: their sessions
// end, and RenewLoginToken still takes those with a deviceId.
func (s *Server) RevokeLogins() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.catchUp(now)
	for _, t := range s.tokens {
		if t.session.Active() {
			t.idled = true
			s.end(t.session, now)
		}
	}
}

// expireIdle ends the sessions whose tokens nobody used for too long, as of the time when their idle time was over.
func (s *Server) expireIdle(now time.Time) {
	for _, t := range s.tokens {
		if end := t.used.Add(t.timeout); t.session.Active() && !now.Before(end) {
			t.idled = true
			s.end(t.session, end)
		}
	}
	for _, c := range s.chains {
		if c.session == nil || !c.session.Active() {
			continue
		}
		if end := c.session.LastAccess.Add(s.settings.SessionTimeout); !now.Before(end) {
			s.end(c.session, end)
		}
	}
}

// authenticate finds out who calls, and starts the idle time anew. The refusal is a 401, or a 403
// where an access token's scope does not hold the path.
func (s *Server) authenticate(x *exchange) (who caller, refusal *answer) {
	value := presented(x.request.Header)
	if bearer, ok := strings.CutPrefix(value, "Bearer "); ok {
		return s.authenticateBearer(x, bearer)
	}
	known := s.tokens[value]
	if known == nil || !known.session.Active() {
		a := s.unauthorized()
		return caller{}, &a
	}
	known.used = time.Now()
	known.session.LastAccess = known.used
	x.entry.UserID = known.session.UserID
	return caller{user: s.users[known.session.UserID], session: known.session}, nil
}

// presented is the token that a request carries, in either header.
func presented(header http.Header) string {
	if value := header.Get("Authtoken"); value != "" {
		return value
	}
	return header.Get("Authorization")
}

// unauthorized is a 401. Its real body is not public, so all that can be expected come in turn.
func (s *Server) unauthorized() answer {
	form := s.settings.UnauthorizedBody
	if form == UnauthorizedRotate {
		form = []UnauthorizedBody{UnauthorizedEmpty, UnauthorizedText, UnauthorizedJSON, UnauthorizedHTML}[s.refusals%4]
		s.refusals++
	}
	switch form {
	case UnauthorizedText:
		return textAnswer(http.StatusUnauthorized, invalidToken)
	case UnauthorizedJSON:
		return jsonAnswer(http.StatusUnauthorized, []byte(`{"errorMessage":"Access denied. The token is missing or has expired.","errorCode":5}`))
	case UnauthorizedHTML:
		return page(http.StatusUnauthorized, "401 - Unauthorized: Access is denied due to invalid credentials.", "You do not have permission to view this directory or page using the credentials that you supplied.")
	default:
		return answer{status: http.StatusUnauthorized}
	}
}

// invalidToken is a captured text, which once came with status 200.
const invalidToken = "Invalid authorization token provided."

// forbidden answers someone who lacks the right to manage users.
func (s *Server) forbidden(x *exchange) answer {
	status := http.StatusForbidden
	if s.settings.NoPermission == NoPermissionError {
		status = http.StatusOK
	}
	return x.failed(status, flatError{ErrorMessage: "User does not have [Add, Delete and Modify a User] permission.", ErrorCode: 5})
}

type whoAmIReply struct {
	XMLName xml.Name   `json:"-" xml:"Api_WhoAmIResponse"`
	User    whoAmIUser `json:"user" xml:"user"`
}

type whoAmIUser struct {
	UserName string `json:"userName" xml:"userName,attr"`
	UserID   int    `json:"userId" xml:"userId,attr"`
	UserGUID string `json:"userGUID" xml:"userGUID,attr"`
}

// whoAmI answers GET /WhoAmI, the cheap check of a token.
func (s *Server) whoAmI(x *exchange, who caller) answer {
	return x.succeeded(whoAmIReply{User: whoAmIUser{who.user.Login, who.user.ID, who.user.GUID}})
}

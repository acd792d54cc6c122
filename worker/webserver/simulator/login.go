package simulator

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// loginReply is what POST /Login answers, with status 200 whether it worked or not: without a token
// it did not.
type loginReply struct {
	XMLName             xml.Name       `json:"-" xml:"DM2ContentIndexing_CheckCredentialResp"`
	AliasName           string         `json:"aliasName" xml:"aliasName,attr"` // the userId, as text
	UserGUID            string         `json:"userGUID" xml:"userGUID,attr"`
	LoginAttempts       int            `json:"loginAttempts" xml:"loginAttempts,attr"`
	RemainingLockTime   int            `json:"remainingLockTime" xml:"remainingLockTime,attr"` // seconds
	SMTPAddress         string         `json:"smtpAddress" xml:"smtpAddress,attr"`
	UserName            string         `json:"userName" xml:"userName,attr"`
	ProviderType        int            `json:"providerType" xml:"providerType,attr"`
	CCN                 int            `json:"ccn" xml:"ccn,attr"`
	Token               string         `json:"token,omitempty" xml:"token,attr,omitempty"`
	Capability          int64          `json:"capability" xml:"capability,attr"`
	ForcePasswordChange bool           `json:"forcePasswordChange" xml:"forcePasswordChange,attr"`
	IsAccountLocked     bool           `json:"isAccountLocked" xml:"isAccountLocked,attr"`
	OwnerOrganization   organization   `json:"ownerOrganization" xml:"ownerOrganization"`
	AdditionalResp      additionalResp `json:"additionalResp" xml:"additionalResp"`
	Provider            organization   `json:"providerOrganization" xml:"providerOrganization"`
	ErrList             []loginError   `json:"errList" xml:"errList"`
}

type organization struct {
	ProviderID         int    `json:"providerId" xml:"providerId,attr"`
	ProviderDomainName string `json:"providerDomainName" xml:"providerDomainName,attr"`
}

type additionalResp struct {
	NameValues []nameValue `json:"nameValues" xml:"nameValues"`
}

type nameValue struct {
	Name  string `json:"name" xml:"name,attr"`
	Value string `json:"value" xml:"value,attr"`
}

type loginError struct {
	ErrLogMessage string `json:"errLogMessage" xml:"errLogMessage,attr"`
	ErrorCode     int    `json:"errorCode" xml:"errorCode,attr"`
}

const (
	badCredentials = 1116
	capability     = 1<<33 | 1<<20 | 5 // above 32 bits, as captured
)

// login answers POST /Login: a new session and its token.
func (s *Server) login(x *exchange) answer {
	form, err := readForm(x.entry.Body, "DM2ContentIndexing_CheckCredentialReq")
	if err != nil {
		return x.statusAnswer(http.StatusBadRequest)
	}
	name := form["username"]
	if form["domain"] != "" {
		name = form["domain"] + `\` + name
	}
	now := time.Now()
	person := s.whoLogsIn(name)
	if person == nil {
		return x.loginAnswer(rejectedLogin(nil, now))
	}
	password, err := base64.StdEncoding.DecodeString(form["password"])
	if err != nil || person.Password == "" || string(password) != person.Password || person.Disabled || person.locked(now) {
		if !person.locked(now) {
			s.failedLogin(person, now)
		}
		return x.loginAnswer(rejectedLogin(person, now))
	}
	person.failures = nil
	x.entry.UserID = person.ID
	a := x.loginAnswer(loginReply{
		AliasName: strconv.Itoa(person.ID), UserGUID: person.GUID, SMTPAddress: person.Email, UserName: person.Login, ProviderType: 1,
		Token: s.issue(person, form["deviceId"], s.idleTime(form["timeout"])), Capability: capability,
		OwnerOrganization: organization{0, "Commcell"}, Provider: organization{0, "Commcell"},
		AdditionalResp: additionalResp{[]nameValue{{"USERNAME_UPN", person.Email}}}, ErrList: []loginError{},
	})
	a.success = true
	return a
}

// loginAnswer is a 200 whether the login worked or not.
func (x *exchange) loginAnswer(reply loginReply) answer {
	if x.settings.V10Login && x.wantsJSON() {
		return jsonAnswer(http.StatusOK, asV10(reply))
	}
	return x.failed(http.StatusOK, reply)
}

// idleTime is what a login asks for, in minutes, or the setting.
func (s *Server) idleTime(minutes string) time.Duration {
	if n, err := strconv.Atoi(minutes); err == nil && n > 0 {
		return time.Duration(n) * time.Minute
	}
	return s.settings.SessionTimeout
}

// failedLogin counts a failure and locks the account when there were too many.
func (s *Server) failedLogin(person *user, now time.Time) {
	person.failures = slices.DeleteFunc(person.failures, func(at time.Time) bool { return now.Sub(at) >= s.settings.LockoutWithin })
	person.failures = append(person.failures, now)
	if s.settings.LockoutAfter > 0 && len(person.failures) >= s.settings.LockoutAfter {
		person.lockedAt, person.LockedUntil = now, now.Add(s.settings.LockoutFor)
		person.failures = nil
	}
}

func rejectedLogin(person *user, now time.Time) loginReply {
	reply := loginReply{
		OwnerOrganization: organization{0, "Commcell"}, Provider: organization{0, "Commcell"}, AdditionalResp: additionalResp{[]nameValue{}},
		ErrList: []loginError{{"Invalid username or password.", badCredentials}},
	}
	if person == nil {
		return reply
	}
	reply.LoginAttempts = len(person.failures)
	if left := person.LockedUntil.Sub(now); left > 0 {
		reply.IsAccountLocked = true
		reply.RemainingLockTime = int((left + time.Second - 1) / time.Second)
		reply.ErrList[0].ErrLogMessage = "The user account is locked."
	}
	return reply
}

type renewReply struct {
	XMLName xml.Name    `json:"-" xml:"DM2ContentIndexing_RenewLoginTokenResp"`
	Token   string      `json:"token,omitempty" xml:"token,attr,omitempty"`
	Error   *loginError `json:"error,omitempty" xml:"error,omitempty"`
}

// renew answers POST /RenewLoginToken. It takes a token that lives or died of being idle, if the
// deviceId is that of the login; the old token is dead afterwards.
func (s *Server) renew(x *exchange) answer {
	form, err := readForm(x.entry.Body, "DM2ContentIndexing_RenewLoginTokenReq")
	if err != nil {
		return x.statusAnswer(http.StatusBadRequest)
	}
	value := form["sessionId"]
	old := s.tokens[value]
	if old == nil || (!old.session.Active() && !old.idled) || old.device == "" || old.device != form["deviceId"] {
		return x.failed(http.StatusOK, renewReply{Error: &loginError{"Failed to renew the token.", 1}})
	}
	delete(s.tokens, value)
	owner := old.session
	if !owner.Active() {
		owner = s.signOn(s.users[owner.UserID], ConsoleAPI, time.Now())
	}
	x.entry.UserID = owner.UserID
	return x.succeeded(renewReply{Token: s.issueFor(owner, old.device, old.timeout)})
}

// logout answers POST /Logout with the captured texts.
func (s *Server) logout(x *exchange) answer {
	known := s.tokens[presented(x.request.Header)]
	if known == nil || !known.session.Active() {
		return textAnswer(http.StatusOK, invalidToken)
	}
	x.entry.UserID = known.session.UserID
	s.end(known.session, time.Now())
	a := textAnswer(http.StatusOK, "User logged out")
	a.success = true
	return a
}

// readForm reads a request of names and values: a JSON object, or the attributes of an XML root.
func readForm(body []byte, root string) (map[string]string, error) {
	form := map[string]string{}
	if body = bytes.TrimSpace(body); len(body) > 0 && body[0] == '<' {
		var element struct {
			XMLName    xml.Name
			Attributes []xml.Attr `xml:",any,attr"`
		}
		if err := xml.Unmarshal(body, &element); err != nil {
			return nil, err
		}
		if element.XMLName.Local != root {
			return nil, errors.New("the root is not " + root)
		}
		for _, attribute := range element.Attributes {
			form[attribute.Name.Local] = attribute.Value
		}
		return form, nil
	}
	var object map[string]any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(&object); err != nil {
		return nil, err
	}
	for name, value := range object {
		form[name] = fmt.Sprint(value)
	}
	return form, nil
}

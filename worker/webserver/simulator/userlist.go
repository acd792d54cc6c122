package simulator

import (
	"encoding/json"
	"encoding/xml"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// userReply is what the old calls answer: GET /User, /User/N and /User/byName. The root, the names
// and processinginstructioninfo are documented, the elements are captured.
type userReply struct {
	XMLName    xml.Name              `json:"-" xml:"App_GetUserPropertiesResponse"`
	Processing processingInstruction `json:"processinginstructioninfo" xml:"processinginstructioninfo"`
	// FilterQueryCount is how many users the filter leaves on all pages of the cached view together;
	// older versions of cvpysdk read it.
	FilterQueryCount int   `json:"filterQueryCount,omitempty" xml:"filterQueryCount,attr,omitempty"`
	Users            []any `json:"users" xml:"users"` // userRow or fullUserRow
}

type processingInstruction struct {
	Attributes []nameValue `json:"attributes" xml:"attributes"`
}

type userRow struct {
	RemoveOtherActiveSessions bool       `json:"removeOtherActiveSessions" xml:"removeOtherActiveSessions,attr"`
	IdleTime                  int        `json:"idleTime" xml:"idleTime,attr"`
	LastLogIntime             int64      `json:"lastLogIntime" xml:"lastLogIntime,attr"`
	LoggedInMode              int        `json:"loggedInMode" xml:"loggedInMode,attr"`
	UserEntity                userEntity `json:"userEntity" xml:"userEntity"`
}

// fullUserRow comes from level 10 on.
type fullUserRow struct {
	userRow
	FullName        string `json:"fullName" xml:"fullName,attr"`
	Description     string `json:"description" xml:"description,attr"`
	Email           string `json:"email" xml:"email,attr"`
	UPN             string `json:"UPN" xml:"UPN,attr"`
	EnableUser      bool   `json:"enableUser" xml:"enableUser,attr"`
	IsAccountLocked bool   `json:"isAccountLocked" xml:"isAccountLocked,attr"`
	CompanyName     string `json:"companyName" xml:"companyName,attr"`
}

type userEntity struct {
	UserGUID string `json:"userGUID" xml:"userGUID,attr"`
	UserName string `json:"userName" xml:"userName,attr"`
	UserID   int    `json:"userId" xml:"userId,attr"`
}

// listUsers answers GET /User: everybody at once, or a page of those that a filter leaves when it is
// asked for as cvpysdk does. The e-mail and its like need level 10, or the cached view that
// such a filter reads.
func (s *Server) listUsers(x *exchange, who caller) answer {
	view := x.userView()
	level, _ := strconv.Atoi(x.parameter("level"))
	found, total := view.choose(s.visible(who))
	reply := newUserReply()
	if view.cached {
		reply.FilterQueryCount = total
	}
	for _, known := range found {
		reply.Users = append(reply.Users, s.userRow(known, s.nameInList(known), level >= 10 || view.cached))
	}
	return x.succeeded(reply)
}

func newUserReply() userReply {
	return userReply{Processing: processingInstruction{[]nameValue{{"exitval", "0"}}}, Users: []any{}}
}

// showUser answers GET /User/N, whose level is at least 10 unless it says otherwise; the default is a
// guess.
func (s *Server) showUser(x *exchange) answer {
	id, _ := strconv.Atoi(x.argument)
	return s.showOne(x, func(known *user) bool { return known.ID == id })
}

// showUserByName answers GET /User/byName(userName='NAME'), in which a single quote is doubled.
func (s *Server) showUserByName(x *exchange) answer {
	if strings.Contains(strings.ReplaceAll(x.argument, "''", ""), "'") {
		return x.statusAnswer(http.StatusBadRequest)
	}
	name := strings.ReplaceAll(x.argument, "''", "'")
	if strings.Contains(name, `\`) {
		switch s.settings.PathBackslash {
		case PathBackslash400:
			return page(http.StatusBadRequest, "HTTP Status 400 - Bad Request", "Invalid URI.")
		case PathBackslashSlash:
			name = strings.ReplaceAll(name, `\`, "/")
		}
	}
	return s.showOne(x, func(known *user) bool { return strings.ToLower(known.Login) == name })
}

func (s *Server) showOne(x *exchange, is func(*user) bool) answer {
	who, refusal := s.authenticate(x)
	if refusal != nil {
		return *refusal
	}
	level, err := strconv.Atoi(x.parameter("level"))
	for _, known := range s.visible(who) {
		if is(known) {
			reply := newUserReply()
			reply.Users = append(reply.Users, s.userRow(known, s.nameInDetail(known), err != nil || level >= 10))
			return x.succeeded(reply)
		}
	}
	if !who.user.Administrator && s.settings.NoPermission != NoPermissionEmpty {
		return s.forbidden(x)
	}
	return x.failed(http.StatusOK, unknownUser)
}

// unknownUser is an XML root with errorCode -1, which a published client relies on. The name of the
// root, the words and the status 200 are guesses.
var unknownUser = struct {
	XMLName xml.Name `json:"-" xml:"App_GenericResp"`
	flatError
}{flatError: flatError{ErrorMessage: "User does not exist.", ErrorCode: -1}}

// visible are the users that a caller may see: without the right to manage users, oneself. The
// permission is documented for sessions; that it holds for users is a guess.
func (s *Server) visible(who caller) []*user {
	if who.user.Administrator {
		return slices.DeleteFunc(s.byID(), func(u *user) bool { return s.hidesUser(who, u) })
	}
	return []*user{who.user}
}

func (s *Server) userRow(known *user, name string, full bool) any {
	row := userRow{LastLogIntime: s.epoch(known.lastLogin), UserEntity: userEntity{known.GUID, name, known.ID}}
	if !full {
		return row
	}
	return fullUserRow{
		userRow: row, FullName: known.Display, Email: known.Email, UPN: known.UPN,
		EnableUser: !known.Disabled, IsAccountLocked: known.locked(time.Now()), CompanyName: known.companyName(),
	}
}

// companyName is Commcell, as captured, for those who belong to no company.
func (u *user) companyName() string {
	if u.Company == "" {
		return "Commcell"
	}
	return u.Company
}

// nameInList and nameInDetail spell a user's name. The sources have names lower-cased or in display
// form depending on the call, but not which call has which: that is a guess.
func (s *Server) nameInList(known *user) string { return s.spelled(known, UserNamesLower) }

func (s *Server) nameInDetail(known *user) string { return s.spelled(known, UserNamesDisplay) }

func (s *Server) spelled(known *user, mixed UserNames) string {
	form := s.settings.UserNames
	if form == UserNamesMixed {
		form = mixed
	}
	switch form {
	case UserNamesLower:
		return strings.ToLower(known.Login)
	case UserNamesDisplay:
		return known.Display
	default:
		return known.Login
	}
}

// The V4 calls know JSON only. That is a guess: their pages show no XML.
type (
	usersV4 struct {
		NumberOfUsers int      `json:"numberOfUsers"` // that the filter leaves, on all pages together
		Users         []userV4 `json:"users"`
	}
	userV4 struct {
		ID       int       `json:"id"`
		Name     string    `json:"name"`
		FullName string    `json:"fullName"`
		Email    string    `json:"email"`
		GUID     string    `json:"GUID"`
		Enabled  bool      `json:"enabled"`
		UPN      string    `json:"userPrincipalName"`
		LockInfo lockInfo  `json:"lockInfo"`
		Company  companyV4 `json:"company"`
	}
	userDetailV4 struct {
		userV4
		LastLoggedIn         int64  `json:"lastLoggedIn"`
		AuthenticationMethod string `json:"authenticationMethod"`
	}
	lockInfo struct {
		IsLocked  bool  `json:"isLocked"`
		StartTime int64 `json:"startTime"`
		EndTime   int64 `json:"endTime"`
	}
	companyV4 struct {
		ID   int    `json:"id"`
		Name string `json:"name"`
	}
)

// listUsersV4 answers GET /V4/user. The newest cvpysdk reads pages of it with the filters that it
// used for the cached view of GET /User before, so both take them.
func (s *Server) listUsersV4(x *exchange, who caller) answer {
	found, total := x.userView().choose(s.visible(who))
	reply := usersV4{NumberOfUsers: total, Users: []userV4{}}
	for _, known := range found {
		reply.Users = append(reply.Users, s.userV4(known))
	}
	return x.jsonSuccess(reply)
}

// showUserV4 answers GET /V4/user/N. A user that is not there is a 404, which the newer services
// document.
func (s *Server) showUserV4(x *exchange, who caller) answer {
	id, _ := strconv.Atoi(x.argument)
	for _, known := range s.visible(who) {
		if known.ID == id {
			method := "LOCAL" // captured for a local user of the old call
			if strings.Contains(known.Login, `\`) {
				method = "LDAP" // a guess
			}
			return x.jsonSuccess(userDetailV4{s.userV4(known), s.epoch(known.lastLogin), method})
		}
	}
	if !who.user.Administrator && s.settings.NoPermission != NoPermissionEmpty {
		return s.forbidden(x)
	}
	body, err := json.Marshal(flatError{ErrorMessage: "The user was not found.", ErrorCode: 2})
	if err != nil {
		panic(err)
	}
	return jsonAnswer(http.StatusNotFound, body)
}

func (s *Server) userV4(known *user) userV4 {
	locked := lockInfo{IsLocked: known.locked(time.Now())}
	if locked.IsLocked {
		locked.StartTime, locked.EndTime = s.epoch(known.lockedAt), s.epoch(known.LockedUntil)
	}
	return userV4{
		ID: known.ID, Name: s.spelled(known, UserNamesLogin), FullName: known.Display, Email: known.Email, GUID: known.GUID,
		Enabled: !known.Disabled, UPN: known.UPN, LockInfo: locked, Company: companyV4{known.CompanyID, known.companyName()},
	}
}

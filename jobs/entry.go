package jobs

import (
	"bytes"
	"cmp"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// An Entry is how a job names a session or a user, where that is not how this package would.
type Entry struct {
	// Text is the session ID, or the user's name or address, as the job has it. Its result repeats it. Where
	// there is none, it is the beginning of what is there.
	Text string
	// Wrong says why it names nothing that can be worked; it is empty if it does.
	Wrong string
	// JSON is the whole of one that is wrong, for a person to mend.
	JSON string
}

var (
	errManySessions = refused("more than %d sessions; split the job", MaxSessions)
	errManyUsers    = refused("more than %d users; split the job", MaxUsers)
)

// A sessionList is a list of sessions, or one of them without the brackets.
type sessionList struct {
	all     []Session
	remarks []string
}

// UnmarshalJSONFrom stops at the first session too many, so that a hostile job costs no more memory
// than the largest legal one.
func (l *sessionList) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	return decodeList(dec, func() error {
		if len(l.all) == MaxSessions {
			return errManySessions
		}
		if dec.PeekKind() == '"' {
			token, err := dec.ReadToken()
			if err == nil {
				l.all = append(l.all, Session{ID: token.String()})
			}
			return err
		}
		value, err := dec.ReadValue()
		if err == nil {
			s, problem := readSession(value)
			l.all = append(l.all, s)
			if problem != nil && s.Entry == nil {
				l.remarks = append(l.remarks, invalidAt(string(dec.StackPointer()), "%v: worked without an owner", problem).Error())
			}
		}
		return err
	})
}

type userList struct{ all []User }

func (l *userList) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	return decodeList(dec, func() error {
		if len(l.all) == MaxUsers {
			return errManyUsers
		}
		value, err := dec.ReadValue()
		if err == nil {
			l.all = append(l.all, readUser(value))
		}
		return err
	})
}

// decodeList calls decode once for each element of a list, or for the only one; null is a list without any.
func decodeList(dec *jsontext.Decoder, decode func() error) error {
	switch dec.PeekKind() {
	case 'n':
		return dec.SkipValue()
	case '[':
	default:
		return decode()
	}
	_, err := dec.ReadToken()
	for err == nil && dec.PeekKind() != ']' {
		err = decode()
	}
	if err == nil {
		_, err = dec.ReadToken()
	}
	return err
}

// wrongEntry is the entry of something that names nothing.
func wrongEntry(text string, value jsontext.Value, why error) *Entry {
	whole := compacted(value)
	if text == "" {
		text = whole
	}
	if len(text) > maxText {
		text = cut(text, maxText-len("…")) + "…"
	}
	return &Entry{Text: text, Wrong: why.Error(), JSON: whole}
}

// readSession reads an entry that is no string. A problem without a wrong entry is one of the owner alone,
// who is left out.
func readSession(value jsontext.Value) (Session, error) {
	var e struct {
		ID        jsontext.Value `json:"id"`
		UserID    jsontext.Value `json:"userId"`
		SessionID jsontext.Value `json:"sessionId"` // a row of the Web Server's lists, which has more members
		User      jsontext.Value `json:"user"`
		Others    jsontext.Value `json:",embed"`
	}
	wrong := func(text, format string, values ...any) (Session, error) {
		why := refused(format, values...)
		return Session{Entry: wrongEntry(text, value, why)}, why
	}
	if value.Kind() != '{' || json.Unmarshal(value, &e) != nil {
		return wrong("", `%s found; a session is a string, or an object {"id": …, "userId": …}`, kindWords[value.Kind()])
	}
	id := e.SessionID
	switch {
	case id == nil && e.User != nil:
		return wrong(textOf(e.ID), "the member user goes with a sessionId, as in a row of GET Session")
	case id == nil && e.Others != nil:
		return wrong(textOf(e.ID), "unknown member %s; a session has the members id and userId, or those of a row of GET Session", firstName(e.Others))
	case id == nil:
		id = e.ID
	case e.ID != nil:
		return wrong(textOf(id), "a session has one of id and sessionId")
	}
	if id != nil && id.Kind() != '"' {
		return wrong(textOf(id), "%s found; a session ID is a string", kindWords[id.Kind()])
	}
	owner, problem := ownerOf(e.UserID, e.User)
	return Session{ID: textOf(id), UserID: owner}, problem
}

// ownerOf reads the owner of a session, who may be given beside it, or as a row of the Web Server's has it.
func ownerOf(userID, user jsontext.Value) (int64, error) {
	beside, problem := readUserID(userID)
	if user == nil {
		return beside, problem
	}
	var row struct {
		UserID jsontext.Value `json:"userId"`
	}
	if err := json.Unmarshal(user, &row); err != nil {
		return beside, refused("the user is no object with a userId")
	}
	within, err := readUserID(row.UserID)
	switch {
	case problem != nil || err != nil:
		return 0, cmp.Or(problem, err)
	case beside != 0 && within != 0 && beside != within:
		return 0, refused("two owners are named, %d and %d", beside, within)
	}
	return max(beside, within), nil
}

// readUserID reads a whole number, or one in a string; 0 is nobody's.
func readUserID(value jsontext.Value) (int64, error) {
	text := strings.TrimFunc(textOf(value), blank)
	if text == "" {
		return 0, nil
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		if number, ferr := strconv.ParseFloat(text, 64); ferr == nil && number == math.Trunc(number) && math.Abs(number) < 1<<53 {
			id, err = int64(number), nil // 42.0
		}
	}
	switch {
	case err != nil:
		return 0, refused("the userId %s is no whole number", quote(text))
	case id < 0:
		return 0, refused("the userId %d is negative", id)
	}
	return id, nil
}

// readUser reads an entry for a user. A string is an address or a name, a number is a userId.
func readUser(value jsontext.Value) User {
	var e struct {
		ID     jsontext.Value `json:"id"`
		Name   jsontext.Value `json:"name"`
		Email  jsontext.Value `json:"email"`
		UserID jsontext.Value `json:"userId"` // as the Web Server names users, with a userName for show
		Shown  jsontext.Value `json:"userName"`
		Others jsontext.Value `json:",embed"`
	}
	switch text := textOf(value); value.Kind() {
	case '"':
		if strings.Contains(text, "@") {
			return User{Email: text}
		}
		return User{Name: text}
	case '0':
		e.ID = value
	case '{':
		_ = json.Unmarshal(value, &e) // whatever is in it
	default:
		return User{Entry: wrongEntry("", value, refused("%s found; a user is an object with one of id, name and email", kindWords[value.Kind()]))}
	}
	u := User{Name: textOf(e.Name), Email: textOf(e.Email)}
	var problem error
	switch {
	case e.Others != nil:
		problem = refused("unknown member %s; a user has one of the members id, name and email", firstName(e.Others))
	case e.Shown != nil && e.UserID == nil:
		problem = refused("a userName is for show, and may be another's; name is the login name")
	case e.ID != nil && e.UserID != nil:
		problem = errOneName
	case e.UserID != nil:
		u.ID, problem = readUserID(e.UserID)
	default:
		u.ID, problem = readUserID(e.ID)
	}
	if problem != nil {
		u = User{Entry: wrongEntry(u.Name+u.Email, value, problem)}
	}
	return u
}

// firstName is the name of an object's first member, fit to stand in a reason.
func firstName(object jsontext.Value) string {
	dec := jsontext.NewDecoder(bytes.NewReader(object))
	_, _ = dec.ReadToken()
	name, _ := dec.ReadToken() // it has been read before
	return quote(name.String())
}

// admit reads the ID of a session as it is meant. One that is no ID is wrong.
func (r Rules) admit(s Session) Session {
	if s.Entry != nil && s.Entry.Wrong != "" {
		return s
	}
	id, err := r.sessionID(s.ID)
	switch {
	case err != nil:
		whole, _ := json.Marshal(s)
		return Session{Entry: wrongEntry(s.ID, whole, err)}
	case id != s.ID:
		s.ID, s.Entry = id, &Entry{Text: s.ID}
	}
	return s
}

// sessionID is an ID as it is sent. Where it was meant in one way only, it need not have been written so.
func (r Rules) sessionID(written string) (string, error) {
	id := strings.TrimFunc(written, blank)
	if !r.LooseIDs {
		if inner, found := strings.CutPrefix(id, "{"); found && strings.HasSuffix(inner, "}") {
			id = strings.TrimFunc(strings.TrimSuffix(inner, "}"), blank)
		}
		if len(id) > 3 && strings.EqualFold(id[:3], "EMC") {
			id = "EMC" + id[3:]
		}
	}
	switch {
	case id == "":
		return "", refused("the session ID is empty")
	case r.LooseIDs && !visibleASCII(id):
		return "", refused("%s is no session ID; 1 to %d visible ASCII characters are accepted", quote(written), maxText)
	case !r.LooseIDs && !isGUID(strings.TrimPrefix(id, "EMC")):
		return "", refused("%s is no session ID; a GUID is accepted, with or without EMC before it", quote(written))
	case len(written) > maxText:
		return "", refused("%s has more than %d bytes", quote(written), maxText)
	}
	return id, nil
}

var errOneName = refused("a user is named by exactly one of id, name and email")

// admit reads a user's name or address as it is meant. One that names nobody is wrong.
func (u User) admit() User {
	if u.Entry != nil && u.Entry.Wrong != "" {
		return u
	}
	written := u.Name + u.Email
	meant := User{ID: u.ID, Name: strings.TrimFunc(u.Name, blank), Email: strings.TrimFunc(u.Email, blank), Entry: u.Entry}
	if err := meant.check(); err != nil {
		whole, _ := json.Marshal(u)
		return User{Entry: wrongEntry(written, whole, err)}
	}
	if meant.Name+meant.Email != written {
		meant.Entry = &Entry{Text: written}
	}
	return meant
}

package webserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// listCap is how many rows a captured list had, which looks like a cap.
const listCap = 50

// A Listing is one person's sessions as the Web Server lists them: newest first, ended ones among
// them.
type Listing struct {
	Sessions []Listed
	// Complete reports that every session of the person is in the list: it is shorter than the 50
	// rows at which lists seem to be cut. An empty list of somebody else is what a missing permission
	// may look like too, so it is not complete. A longer list may be complete back to a time: see Covers.
	Complete bool

	since time.Time // of a list that may be cut: the oldest login in it; zero when that says nothing
}

// Covers reports whether a session that logged in at a time would be in the list if there is one. For
// an unknown time, which is zero, only a complete list does. A list that may be cut covers what is
// newer than its oldest row, given that the server had it in the order of logins.
func (l Listing) Covers(login time.Time) bool {
	if l.Complete {
		return true
	}
	return !l.since.IsZero() && login.Truncate(time.Second).After(l.since)
}

// Find returns the row of a session; IDs are compared without regard to case. Of several rows it is
// one that is still on.
func (l Listing) Find(id string) (row Listed, found bool) {
	for _, listed := range l.Sessions {
		if strings.EqualFold(listed.ID, id) && (!found || listed.LogoutTime.IsZero()) {
			row, found = listed, true
		}
	}
	return row, found
}

// A Listed is a session as listed.
type Listed struct {
	ID          string // as the server spells it
	UserID      int64
	UserName    string    // the display name, which may differ from the name to log in with
	LoginTime   time.Time // to the second; zero where the server does not say
	LogoutTime  time.Time // zero while the session is on
	Own         bool      // it is the session of the token with which the list was read
	ConsoleType int       // 0 API, 5 CommCell Console, 13 command line, 19 web; -1 where it is no number
}

// Sessions lists the sessions of a person. It asks GET Session, and where that is unknown GET
// Sessions, whichever worked last first.
//
// A Listing comes from a complete answer alone, with every row understood and about that person: at
// least sessionId and userId. Anything else is an error, which is always an [*Error] with the Op
// sessions, or login, and never Sent. A list of our own sessions in place of another person's is Forbidden.
//
// A list that a cache on the way has kept is an error, too. It comes with the Listing all the same: what that shows
// as ended has ended, and it says nothing else.
func (c *Client) Sessions(ctx context.Context, userID int64) (Listing, error) {
	if userID <= 0 {
		return Listing{}, &Error{Op: OpSessions, Verdict: Refused, Err: errors.New("a userId is positive")}
	}
	var rows []Listed
	read := func(path string) func(bool) *Error {
		return func(bool) *Error {
			return c.ask(ctx, "sessions", fmt.Sprintf("%s?userId=%d", path, userID), func(a answer) (e *Error) {
				rows, e = c.judgeSessions(a, userID)
				return e
			})
		}
	}
	if e := c.sessionPaths.either(read("/Session"), read("/Sessions")); e != nil {
		return Listing{Sessions: rows}, e // there are rows in an old list alone
	}
	return c.listing(rows, userID), nil
}

// ask reads something with GET. A read has no effect, so its Errors are never Sent. An old answer is one too where it
// lists sessions, or knows nobody.
func (c *Client) ask(ctx context.Context, op, path string, judge func(answer) *Error) *Error {
	e := c.authorized(ctx, request{op: op, method: http.MethodGet, path: path, format: "application/json", limit: maxRead}, func(a answer) *Error {
		e := judge(a)
		if a.old != "" && (e == nil && op == OpSessions || e != nil && errors.Is(e, ErrNoUser)) {
			return oldAnswer(op, a.old)
		}
		return e
	})
	if e != nil {
		e.Sent = false
	}
	return e
}

func oldAnswer(op, why string) *Error {
	return &Error{
		Op: op, Verdict: Unavailable, Status: http.StatusOK, Err: errors.New("an old answer from a cache on the way: " + why),
		hint: "nothing in front of the Web Server may cache its answers", old: true,
	}
}

// unread is the Error of an answer that is no success or has not the content it should have; nil when
// there is nothing to say against it. why is what reading it has met.
func (c *Client) unread(a answer, why error) *Error {
	w := readWords(a)
	if a.status == http.StatusOK && why == nil && !w.refusing && remark(w.text) == 0 {
		return nil
	}
	e := c.failure(a)
	switch {
	case e.Verdict == Undecided:
		e.Verdict = Unavailable
	case e.Verdict == TooLarge:
		e.Verdict = Misconfigured
	case e.Verdict == Unavailable && a.status == http.StatusOK && !e.Page && e.Text == "":
		e.Err = why
	}
	e.elsewhere = e.Status == http.StatusNotFound
	return e
}

func (c *Client) judgeSessions(a answer, userID int64) ([]Listed, *Error) {
	rows, err := readSessions(a)
	if e := c.unread(a, err); e != nil {
		return nil, e
	}
	for _, row := range rows {
		if row.UserID == userID {
			continue
		}
		e := &Error{Op: a.op, Verdict: Unavailable, Status: a.status, Err: errors.New("the list is another user's")}
		if row.Own || row.UserID == c.Self() {
			e.Verdict = Forbidden // without the permission, one sees one's own sessions only
		}
		return nil, e
	}
	return rows, nil
}

// listing says what a list of rows proves.
func (c *Client) listing(rows []Listed, userID int64) Listing {
	l := Listing{Sessions: rows}
	newer := func(a, b Listed) int { return b.LoginTime.Compare(a.LoginTime) }
	switch {
	case len(rows) == 0:
		l.Complete = userID == c.Self()
	case len(rows) < listCap:
		l.Complete = true
	case slices.IsSortedFunc(rows, newer):
		l.since = rows[len(rows)-1].LoginTime
	}
	slices.SortStableFunc(rows, newer)
	return l
}

// emptyList is the root of an XML list, where one without rows has nothing else to be known by.
var emptyList = regexp.MustCompile(`(?i)get\w*sessions?\w*resp(onse)?$`)

// readSessions reads rows at any depth: a row is what has a sessionId. Whatever else stands where rows
// are expected is an error, as is an answer that shows neither rows nor the empty list for them.
func readSessions(a answer) ([]Listed, error) {
	rows := []Listed{}
	var wrong error
	var listed bool
	objects := 0
	list := func(name string) { listed = listed || name == "sessions" }
	err := readObjects(a, list, func(o *object) {
		objects++
		_, row := o.values["sessionid"]
		_, plain := o.values["sessions"]
		switch {
		case row:
			read, err := readListed(o)
			rows, o.holds = append(rows, read), true
			wrong = cmp.Or(wrong, err)
		case plain, o.name == "sessions" && !o.holds:
			wrong = errors.New("a row without a sessionId")
		case o.inside == nil && objects == 1 && len(o.values) == 0 && emptyList.MatchString(o.name):
			listed = true
		}
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("no list of sessions: %w", err)
	case wrong != nil:
		return nil, fmt.Errorf("no list of sessions: %w", wrong)
	case len(rows) == 0 && !listed:
		return nil, errors.New("no list of sessions")
	}
	return rows, nil
}

// maxSessionID is longer than any session ID, and short enough for a document.
const maxSessionID = 256

func readListed(o *object) (Listed, error) {
	row := Listed{
		ID:       o.values["sessionid"],
		UserID:   number(o.first("user.userid", "userid")),
		UserName: oneLine(o.first("user.username", "username")),
		Own:      yes(o.values["iscurrentsession"]),
	}
	var login, logout, console error
	row.LoginTime, login = epoch(o.values["logintime"])
	row.LogoutTime, logout = epoch(o.values["logouttime"])
	if row.ConsoleType, console = strconv.Atoi(o.first("consoletype")); console != nil {
		row.ConsoleType = -1
	}
	switch {
	case login != nil || logout != nil:
		return row, cmp.Or(login, logout)
	case misfit(row.ID) != "" || len(row.ID) > maxSessionID:
		return row, errors.New("a sessionId that cannot be one")
	case row.UserID == 0:
		return row, errors.New("a row without a userId")
	}
	return row, nil
}

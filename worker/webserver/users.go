package webserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// ErrNoUser is in the [Error] of a look-up that the Web Server answered with: there is no such user.
// A wrong path, an outage and a missing permission are never it.
var ErrNoUser = errors.New("no such user")

// A User is a person or a service account.
type User struct {
	ID      int64
	Name    string // to log in with; DOMAIN\name for a domain's user
	Email   string
	UPN     string
	Enabled bool // only where the answer says so
	// LastLogin is to the second; zero where the answer does not say.
	LastLogin time.Time
}

// HasAddress reports whether an e-mail address or UPN is the user's; case does not matter.
func (u User) HasAddress(address string) bool {
	return strings.EqualFold(u.Email, address) || strings.EqualFold(u.UPN, address)
}

// UserByID looks a user up by userId. It asks GET V4/user/N, which is the newer call, and where that is
// unknown or not for this token GET User/N, whichever worked last first.
//
// The error is always an [*Error], with the Op user, or login, and never Sent. With [ErrNoUser] it is
// NotFound: the server said so in words, or denied the user in its own form where the path is known.
// NotFound is nothing else; a wrong path is Misconfigured.
func (c *Client) UserByID(ctx context.Context, id int64) (User, error) {
	if id <= 0 {
		return User{}, &Error{Op: "user", Verdict: Refused, Err: errors.New("a userId is positive")}
	}
	var user User
	var denials int
	read := func(path string) func(bool) *Error {
		return func(proven bool) *Error {
			return c.ask(ctx, "user", fmt.Sprintf("%s/%d", path, id), func(a answer) *Error {
				found, err := readUser(a, id)
				e := c.lookedUp(a, err)
				if denies(a) {
					denials++
				}
				if e != nil && e.elsewhere && (proven && denies(a) || denials == 2) {
					return noUser(e)
				}
				user = found
				return e
			})
		}
	}
	if e := c.userCalls.either(read("/V4/user"), read("/User")); e != nil {
		return User{}, misplaced(e)
	}
	return user, nil
}

// UserByName looks a user up by the name to log in with, a domain's user as DOMAIN\name. It asks GET
// User/byName, and where that is unknown or cannot carry the name, it searches the list of all users,
// as UsersByEmail does. Names are compared without regard to case.
//
// Errors are those of UserByID. An answer about a user of another name is Unavailable.
func (c *Client) UserByName(ctx context.Context, name string) (User, error) {
	if reason := misfit(name); reason != "" {
		return User{}, &Error{Op: "user", Verdict: Refused, Err: errors.New("the name " + reason)}
	}
	var user User
	byName := func(bool) *Error {
		quoted := url.PathEscape(strings.ReplaceAll(name, "'", "''"))
		return c.ask(ctx, "user", "/User/byName(userName='"+quoted+"')", func(a answer) *Error {
			found, err := readNamed(a, name)
			e := c.lookedUp(a, err)
			switch {
			case e != nil && unknownName.MatchString(e.Text) && e.Verdict == Refused:
				return noUser(e)
			case e != nil && e.Status == http.StatusBadRequest:
				e.elsewhere = true // Tomcat refuses a backslash in a path, however it is written
			}
			user = found
			return e
		})
	}
	search := func(bool) *Error {
		named, e := c.search(ctx, func(u User) bool { return strings.EqualFold(u.Name, name) })
		switch {
		case e != nil:
			return e
		case len(named) > 1:
			return &Error{Op: "user", Verdict: Refused, Err: errors.New("more than one user has the name")}
		}
		user = named[0]
		return nil
	}
	if e := c.nameCalls.either(byName, search); e != nil {
		return User{}, misplaced(e)
	}
	return user, nil
}

// UsersByEmail looks up the users with an e-mail address or a UPN, of whom there may be several. It
// reads the list of all users, GET V4/user or the older GET User?level=10, and compares here, without
// regard to case: servers differ in what they can search for.
//
// Without an error there is at least one. Errors are those of UserByID; and a list that shows nobody
// but one account, whose right to see others is in doubt, is Forbidden, one that is not complete or
// says nobody's address is Unavailable.
func (c *Client) UsersByEmail(ctx context.Context, email string) ([]User, error) {
	if reason := misfit(email); reason != "" {
		return nil, &Error{Op: "user", Verdict: Refused, Err: errors.New("the e-mail address " + reason)}
	}
	users, e := c.search(ctx, func(u User) bool { return u.HasAddress(email) })
	if e != nil {
		return nil, misplaced(e)
	}
	return users, nil
}

// Latest returns the users of the whole list who logged in last, the latest first, n at most. They are
// those who are most likely to have sessions listed, be they ended.
func (c *Client) Latest(ctx context.Context, n int) ([]User, error) {
	var all []User
	e := c.ask(ctx, "user", "/User?level=10", func(a answer) *Error {
		p, err := readUsers(a)
		all = p.users
		return c.unread(a, err)
	})
	if e != nil {
		return nil, misplaced(e)
	}
	slices.SortStableFunc(all, func(a, b User) int { return b.LastLogin.Compare(a.LastLogin) })
	return all[:min(n, len(all))], nil
}

// Users returns the list of all users, as UsersByEmail reads it: whoever is not in it does not exist.
// Errors are those of UsersByEmail but [ErrNoUser].
func (c *Client) Users(ctx context.Context) ([]User, error) {
	all, e := c.users(ctx)
	if e != nil {
		return nil, misplaced(e)
	}
	if len(all) < 2 {
		return nil, oneAccount()
	}
	return all, nil
}

func oneAccount() *Error {
	return &Error{Op: "user", Verdict: Forbidden, Err: errors.New("the list of users shows one account at most")}
}

// search returns the users of the whole list that match, at least one.
func (c *Client) search(ctx context.Context, match func(User) bool) ([]User, *Error) {
	all, e := c.users(ctx)
	if e != nil {
		return nil, e
	}
	found := slices.DeleteFunc(slices.Clone(all), func(u User) bool { return !match(u) })
	switch {
	case len(found) > 0:
		return found, nil
	case len(all) < 2:
		return nil, oneAccount()
	}
	return nil, noUser(&Error{Op: "user"})
}

// users returns the whole list.
func (c *Client) users(ctx context.Context) ([]User, *Error) {
	var all []User
	read := func(path string, counts bool) func(bool) *Error {
		return func(bool) *Error {
			return c.ask(ctx, "user", path, func(a answer) *Error {
				p, err := readUsers(a)
				e := c.unread(a, cmp.Or(err, p.doubt(counts)))
				if e != nil {
					// Where the one list is in doubt, the other may be whole.
					e.elsewhere = e.elsewhere || outOfScope(e) || e.Err != nil && err == nil
				}
				all = p.users
				return e
			})
		}
	}
	if e := c.userCalls.either(read("/V4/user", true), read("/User?level=10", false)); e != nil {
		return nil, e
	}
	return all, nil
}

func noUser(e *Error) *Error {
	e.Verdict, e.Err, e.elsewhere = NotFound, ErrNoUser, false
	return e
}

// misplaced keeps NotFound for users who do not exist.
func misplaced(e *Error) *Error {
	if e.Verdict == NotFound && !errors.Is(e, ErrNoUser) {
		e.Verdict = Misconfigured
	}
	return e
}

// Words about a user who does not exist. What is said of a session or a token is not about a user.
var (
	noUserRemark = regexp.MustCompile(`(?i)\buser(name|[ _]?id)?\b[^.;]{0,300}\b(not found|(does not|doesn't|not) exist)|\b(no such|unknown) user\b`)
	notOfUsers   = regexp.MustCompile(`(?i)\b(session|token)s?\b`)
	// unknownName is the answer to an unknown name that is known: a code, with words about the user if any.
	unknownName = regexp.MustCompile(`(?i)^errorCode -1$|^[^;]*\buser\b[^;]*\(errorCode -1\)$`)
)

// lookedUp is unread for look-ups: it knows what is said of nobody.
func (c *Client) lookedUp(a answer, why error) *Error {
	e := c.unread(a, why)
	if e == nil {
		return nil
	}
	said := noUserRemark.MatchString(e.Text) && !notOfUsers.MatchString(e.Text)
	if (e.Verdict == Refused || e.Verdict == NotFound) && readWords(a).whole && said {
		return noUser(e)
	}
	e.elsewhere = e.elsewhere || outOfScope(e)
	return e
}

// outOfScope reports a 403 that may be about the path alone: the scope of an access token is a list of
// path prefixes, and may hold one of two calls.
func outOfScope(e *Error) bool { return e.Status == http.StatusForbidden && !e.Page }

// denies reports that a 404 is the Web Server's own and not of something in front of it: it holds an
// error code. Nothing is known of what such a 404 to a look-up says.
func denies(a answer) bool {
	w := readWords(a)
	return a.status == http.StatusNotFound && w.whole && w.refusing
}

// people are the users of a list.
type people struct {
	users     []User
	total     int64 // how many there are, as the list says; 0 where it does not
	addresses bool  // it has e-mail addresses or UPNs, be they empty
}

// doubt says why a search of the list proves nothing. The newer call counts the users in its list; the
// older one is documented to hold all.
func (p people) doubt(counts bool) error {
	switch {
	case p.total > int64(len(p.users)):
		return fmt.Errorf("the list holds %d of %d users", len(p.users), p.total)
	case counts && p.total == 0:
		return errors.New("the list does not say how many users there are")
	case len(p.users) == 0:
		return errors.New("the list of users is empty")
	case !p.addresses:
		return errors.New("the list of users has no addresses")
	}
	return nil
}

// readUsers reads a list of users: a row is what stands under the name users, at any depth.
func readUsers(a answer) (people, error) {
	var p people
	var wrong error
	var listed bool
	list := func(name string) { listed = listed || name == "users" }
	err := readObjects(a, list, func(o *object) {
		if _, plain := o.values["users"]; plain {
			wrong = errors.New("a row that is no object")
		}
		if n := number(o.values["numberofusers"]); n > p.total {
			p.total = n
		}
		if o.name != "users" || o.within("users") {
			return
		}
		u := readRow(o)
		if u.ID == 0 {
			wrong = errors.New("a row without a userId")
		}
		p.users = append(p.users, u)
		p.addresses = p.addresses || o.has("email", "smtpaddress", "userprincipalname", "upn")
	})
	switch {
	case err != nil:
		return people{}, fmt.Errorf("no list of users: %w", err)
	case wrong != nil:
		return people{}, fmt.Errorf("no list of users: %w", wrong)
	case len(p.users) == 0 && !listed:
		return people{}, errors.New("no list of users")
	}
	return p, nil
}

// readUser reads one user: the only one of a list, or what the newer call answers, which is an object
// that may be wrapped. The answer must be about that id.
func readUser(a answer, id int64) (User, error) {
	p, err := readUsers(a)
	if err == nil && len(p.users) == 1 {
		return p.users[0], about(p.users[0].ID == id)
	}
	var found []User
	if broken := readObjects(a, func(string) {}, func(o *object) {
		if o.inside == nil || o.name == "user" || o.name == "data" {
			if u := readRow(o); u.ID != 0 {
				found = append(found, u)
			}
		}
	}); broken != nil || err == nil || len(found) == 0 {
		return User{}, errors.New("no user")
	}
	u := found[len(found)-1] // the outermost ends last
	return u, about(u.ID == id)
}

// readNamed reads the one user of a list. A domain may be missing in the name that is answered, and a
// UPN or an e-mail address is a name to log in with too.
func readNamed(a answer, name string) (User, error) {
	p, err := readUsers(a)
	if err != nil {
		return User{}, err
	}
	if len(p.users) != 1 {
		return User{}, fmt.Errorf("%d users", len(p.users))
	}
	u := p.users[0]
	_, bare, domain := strings.Cut(name, `\`)
	same := strings.EqualFold(u.Name, name) || strings.EqualFold(u.UPN, name) || strings.EqualFold(u.Email, name) ||
		domain && strings.EqualFold(u.Name, bare)
	return u, about(same)
}

func about(same bool) error {
	if !same {
		return errors.New("the answer is about another user")
	}
	return nil
}

// readRow reads a user as either call has it. What is in it, such as a company, has an id and a name
// too, so that only its own values count, and those of its userEntity.
func readRow(o *object) User {
	last, _ := epoch(o.first("lastlogintime")) // nothing that is not understood is later than nothing
	return User{
		ID:        number(o.first("userentity.userid", "userid", "id")),
		Name:      oneLine(o.first("userentity.username", "username", "name")),
		Email:     oneLine(o.first("email", "smtpaddress")),
		UPN:       oneLine(o.first("userprincipalname", "upn")),
		Enabled:   yes(o.first("enabled", "enableuser")),
		LastLogin: last,
	}
}

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

	"golang.org/x/text/unicode/norm"
)

// ErrNoUser is in the [Error] of a look-up that the Web Server answered with: there is no such user.
// A wrong path, an outage and a missing permission are never it.
var ErrNoUser = errors.New("no such user")

// A User is a person or a service account.
type User struct {
	ID      int64
	Name    string // to log in with, DOMAIN\name for a domain's user; some calls show the full name instead
	Full    string // the full name, where the answer has it
	Email   string
	UPN     string
	Enabled bool // only where the answer says so
	// LastLogin is to the second; zero where the answer does not say.
	LastLogin time.Time
	// Company is the name of the user's company in lower case, commcell for those who belong to none; empty
	// where the answer does not tell.
	Company string
}

// HasAddress reports whether an e-mail address or UPN is the user's, however it is spelled ([Fold]).
func (u User) HasAddress(address string) bool {
	return sameName(u.Email, address) || sameName(u.UPN, address)
}

// UserByID looks a user up by userId. It asks GET V4/user/N, which is the newer call, and where that is
// unknown or not for this token GET User/N, whichever worked last first.
//
// The error is always an [*Error], with the Op user, or login, and never Sent. With [ErrNoUser] it is
// NotFound: the server said so in words, or denied the user in its own form where the path is known.
// NotFound is nothing else; a wrong path is Misconfigured.
func (c *Client) UserByID(ctx context.Context, id int64) (User, error) {
	if id <= 0 {
		return User{}, &Error{Op: OpUser, Verdict: Refused, Err: errors.New("a userId is positive")}
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
				if proven && denies(a) || denials == 2 {
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

// UserByName looks a user up by the name to log in with, a domain's user as DOMAIN\name; the UPN is such a name
// too, and an e-mail address that only one user has. It asks GET User/byName. Where that is unknown, cannot
// carry the name, or knows nobody of a name that may have changed on its way or be spelled otherwise, it searches
// the list of all users, as UsersByEmail does. Names are compared as [Fold] has them.
//
// An answer may show a full name where the name to log in with should be. Then the newer call, or the list,
// has to tell that name. Errors are those of UserByID; Unavailable is an answer about a user of another name
// too, and Refused one that leaves open whom it is about.
func (c *Client) UserByName(ctx context.Context, name string) (User, error) {
	if reason := misfit(name); reason != "" {
		return User{}, &Error{Op: OpUser, Verdict: Refused, Err: errors.New("the name " + reason)}
	}
	var user User
	e := c.nameCalls.either(func(bool) (e *Error) {
		user, e = c.byName(ctx, name)
		return e
	}, func(bool) (e *Error) {
		user, e = c.searchName(ctx, name)
		return e
	})
	switch {
	case e == nil && !user.called(name):
		user, e = c.identify(ctx, user, name)
	case e != nil && errors.Is(e, ErrNoUser) && !plainName.MatchString(name):
		user, e = c.searchName(ctx, name) // a backslash may have become a slash, and an address is no login
	case e != nil && errors.Is(e, ErrNoUser) && strings.Contains(Fold(name), "ss"):
		if found, wrong := c.searchName(ctx, name); wrong == nil { // under ß
			user, e = found, nil
		}
	}
	if e != nil {
		return User{}, misplaced(e)
	}
	return user, nil
}

// plainName matches names that nothing on the way changes, that are no addresses, and of which there is one spelling
// but for case, and for ß.
var plainName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// called reports whether a user logs in with a name, as far as the answer shows it.
func (u User) called(name string) bool {
	return sameName(u.Name, name) || sameName(u.UPN, name)
}

// showsLogin reports whether the name is certainly not the full name.
func (u User) showsLogin() bool { return u.Full != "" && !sameName(u.Full, u.Name) }

// byName returns the one user whom GET User/byName shows, under whatever name.
func (c *Client) byName(ctx context.Context, name string) (user User, e *Error) {
	quoted := url.PathEscape(strings.ReplaceAll(norm.NFC.String(name), "'", "''"))
	e = c.ask(ctx, "user", "/User/byName(userName='"+quoted+"')", func(a answer) *Error {
		p, err := readUsers(a)
		if err == nil && len(p.users) != 1 {
			err = fmt.Errorf("%d users", len(p.users))
		}
		e := c.lookedUp(a, err)
		switch {
		case e == nil:
			user = p.users[0]
		case unknownName.MatchString(e.Text) && e.Verdict == Refused:
			return noUser(e)
		case e.Status == http.StatusBadRequest:
			e.elsewhere = true // Tomcat refuses a backslash in a path, however it is written
		}
		return e
	})
	return user, e
}

// identify makes sure that a user who was shown under another name is the one who logs in with a name.
func (c *Client) identify(ctx context.Context, shown User, name string) (User, *Error) {
	u, e := c.newerForm(ctx, shown.ID)
	switch {
	case e == nil && u.called(name):
		return u, nil
	case e == nil && u.showsLogin() && !strings.Contains(name, "@"):
		return User{}, another()
	case e != nil && !e.elsewhere && !errors.Is(e, ErrNoUser):
		return User{}, e
	}
	u, e = c.searchName(ctx, name)
	switch {
	case e == nil && u.ID == shown.ID:
		return u, nil
	case e == nil, errors.Is(e, ErrNoUser):
		return User{}, another()
	case e.elsewhere, e.Verdict == Refused, e.Verdict == Forbidden:
		return User{}, &Error{Op: OpUser, Verdict: Refused, Err: fmt.Errorf(
			"the answer shows user %d under another name, and no call tells the name to log in with; name the user by id or email", shown.ID)}
	}
	return User{}, e
}

// newerForm looks a user up with the newer call alone, which tells the name to log in with.
func (c *Client) newerForm(ctx context.Context, id int64) (user User, e *Error) {
	e = c.ask(ctx, "user", fmt.Sprintf("/V4/user/%d", id), func(a answer) *Error {
		found, err := readUser(a, id)
		user = found
		return c.lookedUp(a, err)
	})
	return user, e
}

func another() *Error { return &Error{Op: OpUser, Verdict: Unavailable, Err: errAnother} }

// searchName returns the one user of the whole list who logs in with a name.
func (c *Client) searchName(ctx context.Context, name string) (User, *Error) {
	all, e := c.users(ctx)
	if e != nil {
		return User{}, e
	}
	found := all.matching(func(u User) bool { return all.logins && sameName(u.Name, name) })
	if len(found) == 0 && strings.Contains(name, "@") {
		found = all.matching(func(u User) bool { return u.HasAddress(name) })
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return User{}, &Error{Op: OpUser, Verdict: Refused, Err: errors.New("more than one user has the name; name the user by id")}
	case len(all.users) < 2:
		return User{}, oneAccount()
	case !all.logins:
		return User{}, &Error{Op: OpUser, Verdict: Refused, Err: errors.New(
			"the list of users shows full names, and not the names to log in with; name the user by id or email")}
	}
	return User{}, all.nobody()
}

// UsersByEmail looks up the users with an e-mail address or a UPN, of whom there may be several. It
// reads the list of all users, GET V4/user or the older GET User?level=10, and compares here, as [Fold]
// has them: servers differ in what they can search for.
//
// Without an error there is at least one. Errors are those of UserByID; and a list that shows nobody
// but one account, whose right to see others is in doubt, is Forbidden, one that is not complete or
// says nobody's address is Unavailable.
func (c *Client) UsersByEmail(ctx context.Context, email string) ([]User, error) {
	if reason := misfit(email); reason != "" {
		return nil, &Error{Op: OpUser, Verdict: Refused, Err: errors.New("the e-mail address " + reason)}
	}
	all, e := c.users(ctx)
	if e != nil {
		return nil, misplaced(e)
	}
	switch found := all.matching(func(u User) bool { return u.HasAddress(email) }); {
	case len(found) > 0:
		return found, nil
	case len(all.users) < 2:
		return nil, oneAccount()
	}
	return nil, all.nobody()
}

// Latest returns all users whom the list shows, who logged in last first: they are those who are most likely to
// have sessions listed, be they ended. Where the list does not say when, the order says nothing. The list may not
// be whole.
func (c *Client) Latest(ctx context.Context) ([]User, error) {
	var all []User
	read := func(path string) *Error {
		return c.ask(ctx, "user", path, func(a answer) *Error {
			p, err := readUsers(a)
			all = p.users
			e := c.unread(a, err)
			if e != nil {
				e.elsewhere = e.elsewhere || outOfScope(e)
			}
			return e
		})
	}
	e := read("/User?level=10") // the newer list does not say who logged in when
	if e != nil && e.elsewhere {
		e = read("/V4/user")
	}
	if e != nil {
		return nil, misplaced(e)
	}
	slices.SortStableFunc(all, func(a, b User) int { return b.LastLogin.Compare(a.LastLogin) })
	return all, nil
}

// Users returns the list of all users, as UsersByEmail reads it: whoever is not in it does not exist. Where it
// shows full names in place of those to log in with, it has no names. Errors are those of UsersByEmail but
// [ErrNoUser].
func (c *Client) Users(ctx context.Context) ([]User, error) {
	all, e := c.users(ctx)
	if e != nil {
		return nil, misplaced(e)
	}
	switch {
	case len(all.users) < 2:
		return nil, oneAccount()
	case all.old != "":
		return nil, oldAnswer("user", all.old)
	}
	for i := range all.users {
		if !all.logins {
			all.users[i].Name = ""
		}
	}
	return all.users, nil
}

func oneAccount() *Error {
	return &Error{Op: OpUser, Verdict: Forbidden, Err: errors.New("the list of users shows one account at most")}
}

// users returns the whole list.
func (c *Client) users(ctx context.Context) (people, *Error) {
	var all people
	read := func(path string, counts bool) func(bool) *Error {
		return func(bool) *Error {
			return c.ask(ctx, "user", path, func(a answer) *Error {
				p, err := readUsers(a)
				e := c.unread(a, cmp.Or(err, p.doubt(counts)))
				if e != nil {
					// Where the one list is in doubt, the other may be whole.
					e.elsewhere = e.elsewhere || outOfScope(e) || e.Err != nil && err == nil
				}
				all = p
				return e
			})
		}
	}
	if e := c.userCalls.either(read("/V4/user", true), read("/User?level=10", false)); e != nil {
		return people{}, e
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
	// logins reports that its names are those to log in with: they are not the full names, or it has no full
	// names. Where all are alike, a name may be the full name of somebody else than the one who logs in with it.
	logins bool
	old    string // why it is an old answer
}

// nobody is the Error of a search that found nobody.
func (p people) nobody() *Error {
	if p.old != "" {
		return oldAnswer("user", p.old)
	}
	return noUser(&Error{Op: OpUser})
}

func (p people) matching(match func(User) bool) []User {
	return slices.DeleteFunc(slices.Clone(p.users), func(u User) bool { return !match(u) })
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
	p := people{old: a.old}
	var wrong error
	var listed, full bool
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
		full = full || u.Full != ""
		p.logins = p.logins || u.showsLogin()
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
	p.logins = p.logins || !full
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

var errAnother = errors.New("the answer is about another user")

func about(same bool) error {
	if !same {
		return errAnother
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
		Full:      oneLine(o.first("fullname")),
		Email:     oneLine(o.first("email", "smtpaddress")),
		UPN:       oneLine(o.first("userprincipalname", "upn")),
		Enabled:   yes(o.first("enabled", "enableuser")),
		LastLogin: last,
		Company:   Fold(oneLine(o.first("company.name", "companyname"))),
	}
}

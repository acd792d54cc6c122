package webserver

import (
	"context"
	"errors"
)

// Self is our own userId, as the last login or WhoAmI told it; 0 while it is unknown.
func (c *Client) Self() int64 { return c.auth.self.Load() }

// Tokens is how many tokens have been in use so far. With each the session that is our own may be another.
func (c *Client) Tokens() int64 { return c.tokens.Load() }

// LogsIn reports whether the Client gets its tokens by logins of its own.
func (c *Client) LogsIn() bool { return c.config.Token == nil }

// Identify finds out our own userId where no login has told it, as with a given token: it asks WhoAmI, and for the
// userId of a name if that is all that is answered. Errors are those of [Client.Ping] and [Client.UserByName]. An
// answer that does not say whose token it is, is Unavailable.
func (c *Client) Identify(ctx context.Context) (int64, error) {
	if self := c.Self(); self != 0 {
		return self, nil
	}
	var name string
	e := c.whoAmI(ctx, func(user User) { name = user.Name })
	switch self := c.Self(); {
	case e != nil:
		return 0, asError(e)
	case self != 0:
		return self, nil
	case name == "":
		return 0, &Error{Op: OpPing, Verdict: Unavailable, Err: errNobody}
	}
	user, err := c.UserByName(ctx, name)
	if err != nil {
		return 0, err
	}
	c.auth.self.Store(user.ID)
	return user.ID, nil
}

var errNobody = errors.New("the answer does not say whose token it is")

// learnSelf keeps whose token it is, as far as the answer of WhoAmI says so, and tells it.
func (c *Client) learnSelf(a answer, tell func(User)) {
	_ = readObjects(a, func(string) {}, func(o *object) {
		if o.inside != nil {
			return
		}
		user := User{
			ID:   number(o.first("user.userid", "userentity.userid", "userid")),
			Name: oneLine(o.first("user.username", "userentity.username", "username")),
		}
		if user.ID != 0 {
			c.auth.self.Store(user.ID)
		}
		tell(user)
	})
}

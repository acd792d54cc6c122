package simulator

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A chain is one access token through all its renewals. Whoever presents an older pair for renewal
// ends it: that is how the real server meets stolen tokens.
type chain struct {
	Chain
	user            *user
	access, refresh string // those that count now
	session         *session
	scope           []string // path prefixes, lower case; none is everything
}

// A Chain is what a test can read of an access token through all its renewals.
type Chain struct {
	ID             int       `json:"id"`
	UserID         int       `json:"userId"`
	Expiry         time.Time `json:"expiry"`         // of the access token
	RenewableUntil time.Time `json:"renewableUntil"` // after that no renewal succeeds
	Renewals       int       `json:"renewals"`       // how often the pair rotated
	Reused         int       `json:"reused"`         // how often a pair or a half of one came that was no longer the newest
	Dead           bool      `json:"dead"`           // because of such a reuse
}

// An AccessGrant is what an access token is made for.
type AccessGrant struct {
	UserID int `json:"userId"`
	// Scope is a list of path prefixes such as /Session; none is everything.
	Scope []string `json:"scope"`
	// Expiry is when the access token dies; zero is Settings.AccessTokenLife from now.
	Expiry time.Time `json:"expiry"`
	// RenewableUntil is when renewal ends; zero is the documented 90 days from now.
	RenewableUntil time.Time `json:"renewableUntil"`
}

// An AccessPair is an access token with the refresh token that renews it.
type AccessPair struct {
	Chain   int    `json:"chain"` // the ID of its Chain
	Access  string `json:"accessToken"`
	Refresh string `json:"refreshToken"`
}

const renewableFor = 90 * 24 * time.Hour

// AccessToken makes an access token and its refresh token for a user. The scope, if any, is a list
// of path prefixes such as /Session. It panics if there is no such user.
func (s *Server) AccessToken(userID int, scope ...string) (access, refresh string) {
	pair := s.Grant(AccessGrant{UserID: userID, Scope: scope})
	return pair.Access, pair.Refresh
}

// Grant makes an access token as a person does in the Command Center. It panics if there is no such
// user.
func (s *Server) Grant(g AccessGrant) AccessPair {
	pair, err := s.grant(g)
	if err != nil {
		panic("simulator: " + err.Error())
	}
	return pair
}

func (s *Server) grant(g AccessGrant) (AccessPair, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	owner := s.users[g.UserID]
	if owner == nil {
		return AccessPair{}, noSuchUser(g.UserID)
	}
	c := s.newChain(owner, g)
	return AccessPair{c.ID, c.access, c.refresh}, nil
}

// Chains are the access tokens there ever were, in the order in which they were made.
func (s *Server) Chains() []Chain {
	s.mu.Lock()
	defer s.mu.Unlock()
	chains := make([]Chain, len(s.chains))
	for i, c := range s.chains {
		chains[i] = c.Chain
	}
	return chains
}

func (s *Server) newChain(owner *user, g AccessGrant) *chain {
	c := &chain{Chain: Chain{ID: len(s.chains) + 1, UserID: owner.ID, RenewableUntil: g.RenewableUntil}, user: owner}
	if c.RenewableUntil.IsZero() {
		c.RenewableUntil = time.Now().Add(renewableFor)
	}
	for _, prefix := range g.Scope {
		c.scope = append(c.scope, strings.ToLower(prefix))
	}
	s.chains = append(s.chains, c)
	s.rotate(c)
	if !g.Expiry.IsZero() {
		c.Expiry = g.Expiry
	}
	return c
}

// rotate gives a chain new values. The old ones stay known, to see when they come back.
func (s *Server) rotate(c *chain) {
	c.access, c.refresh = s.hex(64), s.hex(64)
	c.Expiry = time.Now().Add(s.settings.AccessTokenLife)
	s.chainOf[c.access], s.chainOf[c.refresh] = c, c
}

func (s *Server) authenticateBearer(x *exchange, value string) (who caller, refusal *answer) {
	c := s.chainOf[value]
	if c == nil || c.Dead || c.access != value || !time.Now().Before(c.Expiry) {
		a := s.unauthorized()
		return caller{}, &a
	}
	x.entry.UserID = c.user.ID
	inScope := func(prefix string) bool { return strings.HasPrefix(x.path, prefix) }
	if len(c.scope) > 0 && !slices.ContainsFunc(c.scope, inScope) {
		a := x.failed(http.StatusForbidden, flatError{ErrorMessage: "The access token's scope does not hold this API.", ErrorCode: 5})
		return caller{}, &a
	}
	return caller{user: c.user, session: s.bearerSession(c), bearer: true}, nil
}

// bearerSession is the session that an access token shows up as, if it does. Ending it leaves the
// token alone, so the next call makes another: both are guesses.
func (s *Server) bearerSession(c *chain) *session {
	if !s.settings.BearerSessions {
		return nil
	}
	now := time.Now()
	if c.session == nil || !c.session.Active() {
		c.session = s.signOn(c.user, ConsoleAPI, now)
	}
	c.session.LastAccess = now
	return c.session
}

// mintedToken is what a new access token is told as.
type mintedToken struct {
	TokenInfo struct {
		renewedPair
		AccessTokenID               int   `json:"accessTokenId"`
		RefreshTokenExpiryTimestamp int64 `json:"refreshTokenExpiryTimestamp"`
		UserID                      int   `json:"userId"`
	} `json:"tokenInfo"`
}

// mint answers POST /V4/AccessToken: a new token for the caller. An access token cannot make one.
func (s *Server) mint(x *exchange, who caller) answer {
	if who.bearer {
		return jsonAnswer(http.StatusForbidden, []byte(`{"errorMessage":"An access token cannot manage access tokens.","errorCode":5}`))
	}
	var form struct {
		TokenName               string   `json:"tokenName"`
		RenewableUntilTimestamp int64    `json:"renewableUntilTimestamp"`
		APIEndpoints            []string `json:"apiEndpoints"`
	}
	if err := json.Unmarshal(x.entry.Body, &form); err != nil || form.TokenName == "" {
		return x.statusAnswer(http.StatusBadRequest)
	}
	grant := AccessGrant{Scope: form.APIEndpoints}
	if form.RenewableUntilTimestamp > 0 {
		grant.RenewableUntil = time.Unix(form.RenewableUntilTimestamp, 0)
	}
	c := s.newChain(who.user, grant)
	var reply mintedToken
	reply.TokenInfo.renewedPair = c.pair()
	reply.TokenInfo.AccessTokenID, reply.TokenInfo.UserID = c.ID, who.user.ID
	reply.TokenInfo.RefreshTokenExpiryTimestamp = c.Expiry.Add(s.settings.AccessTokenGrace).Unix()
	return x.jsonSuccess(reply)
}

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
	id              int
	user            *user
	access, refresh string // those that count now
	expiry          time.Time
	renewableUntil  time.Time
	scope           []string // path prefixes, lower case; none is everything
	dead            bool
}

const renewableFor = 90 * 24 * time.Hour

// AccessToken makes an access token and its refresh token for a user. The scope, if any, is a list
// of path prefixes such as /Session. It panics if there is no such user.
func (s *Server) AccessToken(userID int, scope ...string) (access, refresh string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	made := s.newChain(s.mustKnow(userID), time.Now().Add(renewableFor), scope)
	return made.access, made.refresh
}

func (s *Server) newChain(owner *user, renewableUntil time.Time, scope []string) *chain {
	c := &chain{id: len(s.chains) + 1, user: owner, renewableUntil: renewableUntil}
	for _, prefix := range scope {
		c.scope = append(c.scope, strings.ToLower(prefix))
	}
	s.rotate(c)
	return c
}

// rotate gives a chain new values. The old ones stay known, to see when they come back.
func (s *Server) rotate(c *chain) {
	c.access, c.refresh = s.hex(64), s.hex(64)
	c.expiry = time.Now().Add(s.settings.AccessTokenLife)
	s.chains[c.access], s.chains[c.refresh] = c, c
}

func (s *Server) authenticateBearer(x *exchange, value string) (who caller, refusal *answer) {
	c := s.chains[value]
	if c == nil || c.dead || c.access != value || !time.Now().Before(c.expiry) {
		a := s.unauthorized()
		return caller{}, &a
	}
	x.entry.UserID = c.user.ID
	inScope := func(prefix string) bool { return strings.HasPrefix(x.path, prefix) }
	if len(c.scope) > 0 && !slices.ContainsFunc(c.scope, inScope) {
		a := x.failed(http.StatusForbidden, flatError{ErrorMessage: "The access token's scope does not hold this API.", ErrorCode: 5})
		return caller{}, &a
	}
	return caller{user: c.user}, nil
}

// renewedPair is what a renewal answers. The call knows JSON only.
type renewedPair struct {
	AccessToken             string `json:"accessToken"`
	RefreshToken            string `json:"refreshToken"`
	TokenExpiryTimestamp    int64  `json:"tokenExpiryTimestamp"`
	RenewableUntilTimestamp int64  `json:"renewableUntilTimestamp"`
}

// refresh answers POST /V4/AccessToken/Renew: both values rotate.
func (s *Server) refresh(x *exchange) answer {
	form, err := readForm(x.entry.Body, "")
	if err != nil {
		return x.statusAnswer(http.StatusBadRequest)
	}
	c, other := s.chains[form["accessToken"]], s.chains[form["refreshToken"]]
	now := time.Now()
	switch {
	case c == nil || c != other || c.dead:
		return jsonAnswer(http.StatusNotFound, []byte(`{"errorMessage":"The access token was not found.","errorCode":2}`))
	case c.access != form["accessToken"] || c.refresh != form["refreshToken"]:
		c.dead = true
		return jsonAnswer(http.StatusForbidden, []byte(`{"errorMessage":"Token reuse detected. All tokens of the chain are revoked.","errorCode":5}`))
	case now.After(c.renewableUntil) || now.After(c.expiry.Add(s.settings.AccessTokenGrace)):
		return jsonAnswer(http.StatusForbidden, []byte(`{"errorMessage":"The access token can no longer be renewed.","errorCode":5}`))
	}
	s.rotate(c)
	x.entry.UserID = c.user.ID
	return x.jsonSuccess(renewedPair{c.access, c.refresh, c.expiry.Unix(), c.renewableUntil.Unix()})
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
func (s *Server) mint(x *exchange) answer {
	who, refusal := s.authenticate(x)
	if refusal != nil {
		return *refusal
	}
	if who.session == nil {
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
	until := time.Now().Add(renewableFor)
	if form.RenewableUntilTimestamp > 0 {
		until = time.Unix(form.RenewableUntilTimestamp, 0)
	}
	c := s.newChain(who.user, until, form.APIEndpoints)
	var reply mintedToken
	reply.TokenInfo.renewedPair = renewedPair{c.access, c.refresh, c.expiry.Unix(), c.renewableUntil.Unix()}
	reply.TokenInfo.AccessTokenID, reply.TokenInfo.UserID = c.id, who.user.ID
	reply.TokenInfo.RefreshTokenExpiryTimestamp = c.expiry.Add(s.settings.AccessTokenGrace).Unix()
	return x.jsonSuccess(reply)
}

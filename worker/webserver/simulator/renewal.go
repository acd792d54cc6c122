package simulator

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// renewedPair is what a renewal answers. The call knows JSON only.
type renewedPair struct {
	AccessToken             string `json:"accessToken"`
	RefreshToken            string `json:"refreshToken"`
	TokenExpiryTimestamp    int64  `json:"tokenExpiryTimestamp"`
	RenewableUntilTimestamp int64  `json:"renewableUntilTimestamp"`
}

func (c *chain) pair() renewedPair {
	return renewedPair{c.access, c.refresh, c.Expiry.Unix(), c.RenewableUntil.Unix()}
}

// refresh answers POST /V4/AccessToken/Renew: both values rotate. Whether the header may or must have
// the old token differs between servers; that one has died by then is no matter.
func (s *Server) refresh(x *exchange) answer {
	form, err := readForm(x.entry.Body, "")
	if err != nil {
		return x.statusAnswer(http.StatusBadRequest)
	}
	if !s.renewalHeaderFits(presented(x.request.Header)) {
		return s.unauthorized()
	}
	if status, refused := s.settings.Renewal.refusal(); refused {
		return refusedRenewal(status)
	}
	c, other := s.chainOf[form["accessToken"]], s.chainOf[form["refreshToken"]]
	if c == nil || c != other {
		return jsonAnswer(http.StatusNotFound, []byte(`{"errorMessage":"The access token was not found.","errorCode":2}`))
	}
	if c.access != form["accessToken"] || c.refresh != form["refreshToken"] {
		c.Reused++
		c.Dead = true
		return jsonAnswer(http.StatusForbidden, []byte(`{"errorMessage":"Token reuse detected. All tokens of the chain are revoked.","errorCode":5}`))
	}
	now := time.Now()
	switch {
	case c.Dead:
		return jsonAnswer(http.StatusNotFound, []byte(`{"errorMessage":"The access token was not found.","errorCode":2}`))
	case now.After(c.RenewableUntil) || now.After(c.Expiry.Add(s.settings.AccessTokenGrace)):
		return jsonAnswer(http.StatusForbidden, []byte(`{"errorMessage":"The access token can no longer be renewed.","errorCode":5}`))
	}
	s.rotate(c)
	c.Renewals++
	x.entry.UserID = c.UserID
	return x.renewed(c)
}

// renewed tells the new pair, in one of the ways that were seen.
func (x *exchange) renewed(c *chain) answer {
	switch x.settings.Renewal {
	case RenewalExpiresIn:
		return x.jsonSuccess(struct {
			AccessToken  string `json:"accessToken"`
			RefreshToken string `json:"refreshToken"`
			ExpiresIn    int64  `json:"expiresIn"` // seconds: a guess
		}{c.access, c.refresh, int64(time.Until(c.Expiry) / time.Second)})
	case RenewalMangled:
		a := x.jsonSuccess(c.pair())
		a.body = bytes.Replace(a.body, []byte(`"tokenExpiryTimestamp":`), []byte(`"tokenExpiryTimest`), 1)
		return a
	default:
		return x.jsonSuccess(c.pair())
	}
}

// refusedRenewal is a refusal that has nothing to do with the pair, which stays as it is. The statuses
// are seen, the bodies are guesses.
func refusedRenewal(status int) answer {
	if status == http.StatusNotFound {
		return noEndpoint() // as from a server older than 11.38
	}
	return jsonAnswer(status, fmt.Appendf(nil, `{"errorMessage":"The access token could not be renewed.","errorCode":%d}`, status))
}

func (r Renewal) refusal() (status int, refused bool) {
	status, err := strconv.Atoi(string(r))
	return status, err == nil && status != http.StatusOK
}

func (s *Server) renewalHeaderFits(value string) bool {
	switch s.settings.RenewalHeader {
	case RenewalHeaderRefused:
		return value == ""
	case RenewalHeaderNeeded:
		c := s.chainOf[strings.TrimPrefix(value, "Bearer ")]
		return c != nil && value == "Bearer "+c.access
	default:
		return true
	}
}

// sendRenewal answers a renewal, late if that is set. Whoever does not wait for the answer, or never
// gets it, has lost the pair that it tells.
func (x *exchange) sendRenewal(a answer) {
	x.wait(x.settings.RenewalDelay)
	if a.success && x.settings.Renewal == RenewalLost {
		x.server.failed(x, "renewal lost")
		x.reset()
		return
	}
	x.write(a)
}

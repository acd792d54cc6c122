package simulator

import (
	"strconv"
	"strings"
	"time"
)

// A cachedList is an answer that a proxy keeps.
type cachedList struct {
	answer answer
	date   string // of the answer
	at     time.Time
}

// cached is what a proxy answers to a request for a list of sessions out of its own memory.
func (s *Server) cached(x *exchange) (a answer, found bool) {
	if !x.cacheable() {
		return answer{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	kept, found := s.cache[x.cacheKey()]
	age := time.Since(kept.at)
	if !found || age >= x.settings.CacheLife || x.settings.Caching == CachingObedient && x.wantsFresh() {
		return answer{}, false
	}
	a = kept.answer
	a.header = map[string]string{"Date": kept.date}
	if x.settings.Caching != CachingSilent {
		a.header["Age"] = strconv.Itoa(int(age / time.Second))
	}
	return a, true
}

// keep has the proxy remember a list.
func (s *Server) keep(x *exchange, a answer) {
	if !x.cacheable() || !a.success {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cache[x.cacheKey()] = cachedList{a, httpDate(s.clock()), time.Now()}
}

func (x *exchange) cacheable() bool {
	return x.settings.Caching != CachingNone && x.route.op == opSession
}

// cacheKey passes over all that a client could add in order to get another answer.
func (x *exchange) cacheKey() string { return x.path + "?" + x.parameter("userId") }

func (x *exchange) wantsFresh() bool {
	said := strings.ToLower(strings.Join(append(x.request.Header["Cache-Control"], x.request.Header["Pragma"]...), ","))
	return strings.Contains(said, "no-cache") || strings.Contains(said, "max-age=0")
}

// clock is the time as the Web Server has it.
func (s *Server) clock() time.Time { return time.Now().Add(s.settings.ClockOffset) }

// date is the time that the Date header of an answer shows.
func (x *exchange) date() string {
	if x.settings.FrozenDate {
		return httpDate(x.server.made.Add(x.settings.ClockOffset))
	}
	return httpDate(time.Now().Add(x.settings.ClockOffset))
}

// epoch is a time as the API has it, by the Web Server's clock: seconds, and 0 for none.
func (s *Server) epoch(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Add(s.settings.ClockOffset).Unix()
}

// hides reports whether a caller does not see the sessions of a user, because they are of a company that
// nobody else sees.
func (s *Server) hides(from caller, owner *user) bool {
	return s.settings.HiddenCompany != 0 && owner.CompanyID == s.settings.HiddenCompany && from.user.CompanyID != owner.CompanyID
}

// hidesUser reports the same of the user.
func (s *Server) hidesUser(from caller, u *user) bool {
	return s.settings.HiddenUsers && s.hides(from, u)
}

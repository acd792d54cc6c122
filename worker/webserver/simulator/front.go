package simulator

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// front is what stands before the Web Server: proxies, firewall, limiter, IIS. It returns the
// answer to a request that does not get through.
func (s *Server) front(x *exchange) (a answer, stopped bool) {
	if a, found := s.cached(x); found {
		return a, true
	}
	switch {
	case x.settings.Down == DownReset:
		s.failed(x, "front")
		x.reset()
		panic(http.ErrAbortHandler)
	case x.settings.Down != 0:
		return x.statusAnswer(x.settings.Down), true
	case x.settings.Firewall && libraryAgent(x.request.UserAgent()):
		return page(http.StatusForbidden, "403 Forbidden", "The request was blocked by the web application firewall."), true
	case x.settings.Maintenance && x.request.Method == http.MethodPost:
		return maintenancePage(http.StatusMethodNotAllowed), true
	case x.settings.Maintenance:
		return maintenancePage(http.StatusOK), true
	}
	if wait, limit, limited := s.limited(x); limited {
		return x.tooMany(wait, limit), true
	}
	if x.settings.DocumentLimit > 0 && len(x.entry.Body) > x.settings.DocumentLimit {
		return x.statusAnswer(x.settings.DocumentLimitStatus), true
	}
	return answer{}, false
}

// libraryAgent reports whether a User-Agent is that of a library or missing, as seen refused.
func libraryAgent(agent string) bool {
	agent = strings.ToLower(agent)
	for _, library := range []string{"go-http-client", "python-", "curl/", "wget/", "java/", "okhttp", "axios", "node-fetch", "apache-httpclient"} {
		if strings.HasPrefix(agent, library) {
			return true
		}
	}
	return agent == ""
}

// A limiter is a token bucket and two hourly quotas for all callers together, as for a tenant.
type limiter struct {
	missing       float64 // tokens gone from the full bucket
	asOf          time.Time
	reads, writes usage
}

// limited counts a request and reports whether it is one too many, how long that stays so, and
// which number it exceeds.
func (s *Server) limited(x *exchange) (wait time.Duration, limit int, limited bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, now := &s.limiter, time.Now()
	used, quota := &l.writes, x.settings.WritesPerHour
	if x.request.Method == http.MethodGet {
		used, quota = &l.reads, x.settings.ReadsPerHour
	}
	used.turn(now)
	if wait := l.bucket(x.settings, now); wait > 0 {
		used.refused++
		return wait, int(math.Ceil(x.settings.RateLimit)), true
	}
	if quota > 0 && used.thisHour >= quota {
		used.refused++
		return used.hour.Add(time.Hour).Sub(now), quota, true
	}
	used.pass()
	return 0, 0, false
}

// bucket takes one token, or returns how long until there is one.
func (l *limiter) bucket(settings Settings, now time.Time) time.Duration {
	if settings.RateLimit == 0 {
		return 0
	}
	burst := float64(settings.RateBurst)
	if burst == 0 {
		burst = max(1, settings.RateLimit)
	}
	l.missing = max(0, l.missing-now.Sub(l.asOf).Seconds()*settings.RateLimit)
	l.asOf = now
	if lacking := l.missing + 1 - burst; lacking > 1e-9 {
		return time.Duration(math.Ceil(lacking / settings.RateLimit * float64(time.Second)))
	}
	l.missing++
	return 0
}

// tooMany is a 429 with the hint that is set.
func (x *exchange) tooMany(wait time.Duration, limit int) answer {
	a := x.statusAnswer(http.StatusTooManyRequests)
	seconds := int(math.Ceil(wait.Seconds()))
	switch x.settings.LimitHint {
	case LimitHintSeconds:
		a.header = map[string]string{"Retry-After": strconv.Itoa(seconds)}
	case LimitHintDate:
		// A date has whole seconds: one more, so that it is not too early.
		a.header = map[string]string{"Retry-After": httpDate(time.Now().Add(wait + time.Second))}
	case LimitHintXRateLimit:
		a.header = map[string]string{"X-RateLimit-Limit": fmt.Sprint(limit), "X-RateLimit-Period": strconv.Itoa(seconds)}
	}
	return a
}

func httpDate(t time.Time) string { return t.UTC().Format(http.TimeFormat) }

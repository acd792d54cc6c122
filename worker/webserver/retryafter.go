package webserver

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// retryAfter is how long an answer asks to be left alone: its Retry-After as seconds, whole or not, or as a date,
// never negative and at most limit; the longest of several
// headers. It is 0 when there is none or it makes no sense.
func retryAfter(header http.Header, now time.Time, limit time.Duration) (longest time.Duration) {
	for _, value := range header.Values("Retry-After") {
		value = strings.ToUpper(strings.TrimSpace(value)) // GMT is spelled in either way
		at, err := http.ParseTime(value)
		if err != nil {
			longest = max(longest, fractionalSeconds(value, limit))
			continue
		}
		// By the server's own clock, where it shows it, so that ours may be wrong.
		if date, err := http.ParseTime(header.Get("Date")); err == nil {
			now = date
		}
		longest = max(longest, min(at.Sub(now), limit))
	}
	return longest
}

// rateLimitPeriod is the time within which calls are counted, as the SaaS gateway tells it in
// seconds: after that, calls are allowed again. Bounds are those of retryAfter.
func rateLimitPeriod(header http.Header, limit time.Duration) time.Duration {
	return fractionalSeconds(strings.TrimSpace(header.Get("X-RateLimit-Period")), limit)
}

// decimal is a number of seconds as gateways write it, against RFC 9110, which has whole ones.
var decimal = regexp.MustCompile(`^([0-9]+\.[0-9]*|\.[0-9]+)$`)

// fractionalSeconds reads digits with a fraction or without.
func fractionalSeconds(value string, limit time.Duration) time.Duration {
	if !decimal.MatchString(value) {
		return seconds(value, limit)
	}
	n, _ := strconv.ParseFloat(value, 64) // infinite where it is too large
	if n > limit.Seconds() {
		return limit
	}
	return time.Duration(n * float64(time.Second))
}

// seconds reads digits alone. A number too large for an integer is the limit all the same.
func seconds(digits string, limit time.Duration) time.Duration {
	if strings.Trim(digits, "0123456789") != "" {
		return 0
	}
	n, _ := strconv.ParseInt(digits, 10, 64) // 0 of nothing, and the largest where it is too large
	if n > int64(limit/time.Second) {
		return limit
	}
	return time.Duration(n) * time.Second
}

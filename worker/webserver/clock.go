package webserver

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A clock is what the Date headers of answers tell of the Web Server's clock, and of answers that are older
// than their requests because a cache on the way has kept them.
//
// An answer is made after its request has begun, so a Date that lies before that, by the Web Server's clock, is
// that of an old answer. How far that clock is ahead is at least the Date less the time at which the answer was
// in; caches only ever make that less, so the most that was seen lately counts.
type clock struct {
	mu    sync.Mutex
	known bool
	date  time.Time            // of the answer that says most
	seen  time.Time            // when that was in
	ahead time.Duration        // the middle of what it leaves open, which is a second and the time it took
	dates map[string]dateOfOne // of the last answers to the same questions
}

type dateOfOne struct{ date, seen time.Time }

const (
	// slack is how much older than its request an answer may be, since several Web Servers behind one address
	// need not have exactly one time.
	slack = 5 * time.Second
	// still is how long a Date may stand still: it has whole seconds.
	still = 2 * time.Second
	// clockAge is how long an answer counts, because clocks drift and are set.
	clockAge = 10 * time.Minute
	// mostDates bounds what is remembered.
	mostDates = 4096
)

// ClockDifference is how far the Web Server's clock is ahead of ours, negative where it is behind, to about a
// second. It is not known before an answer has told a Date.
func (c *Client) ClockDifference() (ahead time.Duration, known bool) {
	c.clock.mu.Lock()
	defer c.clock.mu.Unlock()
	return c.clock.ahead, c.clock.known
}

// old says why an answer is an old one; empty where nothing shows that.
func (k *clock) old(r request, a answer, begun time.Time) string {
	why := fromCache(a.header)
	date, err := http.ParseTime(a.header.Get("Date"))
	if why != "" || err != nil {
		return why
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.dates[r.path]
	switch {
	case !k.known:
		return ""
	case date.Equal(k.date) && begun.Sub(k.seen) > still,
		r.method == http.MethodGet && date.Equal(before.date) && begun.Sub(before.seen) > still:
		return "its Date does not move"
	}
	if age := k.date.Add(begun.Sub(k.seen)).Sub(date); age > slack {
		return fmt.Sprintf("its Date is %v old", age.Truncate(time.Second))
	}
	return ""
}

// learn takes note of an answer of the Web Server itself that is in now. It counts where it says more than the one
// that did, or where that one is too old. What changes something is never answered from a cache: it tells when the
// clock was set back.
func (k *clock) learn(r request, a answer, begun time.Time) {
	date, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	if r.method == http.MethodGet {
		if k.dates == nil || len(k.dates) >= mostDates {
			k.dates = map[string]dateOfOne{}
		}
		if before := k.dates[r.path]; !before.date.Equal(date) {
			k.dates[r.path] = dateOfOne{date, now}
		}
	}
	moved, gain := !date.Equal(k.date), date.Sub(now)-k.date.Sub(k.seen)
	switch expired := now.Sub(k.seen) >= clockAge; {
	case !k.known, gain > 0:
	case moved && expired && (a.old == "" || gain < -slack):
	case moved && r.method != http.MethodGet && gain < -slack:
	default:
		return
	}
	k.known, k.date, k.seen = true, date, now
	k.ahead = (date.Sub(now) + date.Add(time.Second).Sub(begun)) / 2
}

// hit is how caches say that they answer themselves.
var hit = regexp.MustCompile(`(?i)(^|[\s,;_])hit\b`)

// fromCache says why headers show that an answer is from a cache.
func fromCache(header http.Header) string {
	if age := strings.TrimSpace(header.Get("Age")); age != "" {
		if seconds, err := strconv.ParseUint(age, 10, 63); err != nil || seconds > 0 {
			return "its Age is " + strconv.Quote(age)
		}
	}
	for _, name := range []string{"X-Cache", "X-Cache-Status", "Cf-Cache-Status", "Cache-Status"} {
		if hit.MatchString(strings.Join(header[name], ",")) {
			return "its " + name + " says that a cache has answered"
		}
	}
	return ""
}

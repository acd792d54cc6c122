package webserver

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Headers of caches, and whether they say that a list is an old one.
func TestListOfACacheIsAnErrorAndShowsWhatEnded(t *testing.T) {
	for name, test := range map[string]struct {
		header []string
		old    bool
	}{
		"nothing":                {nil, false},
		"age 0":                  {[]string{"Age", "0"}, false},
		"age":                    {[]string{"Age", "1"}, true},
		"a large age":            {[]string{"Age", "99999999999999999999999"}, true},
		"an age that is none":    {[]string{"Age", "soon"}, true},
		"Squid":                  {[]string{"X-Cache", "HIT from proxy.corp.example"}, true},
		"Squid that asked":       {[]string{"X-Cache", "MISS from proxy-hit.corp.example"}, false},
		"CloudFront":             {[]string{"X-Cache", "Hit from cloudfront"}, true},
		"Akamai":                 {[]string{"X-Cache", "TCP_MEM_HIT from a1"}, true},
		"nginx":                  {[]string{"X-Cache-Status", "HIT"}, true},
		"Cloudflare":             {[]string{"CF-Cache-Status", "HIT"}, true},
		"Cloudflare, not cached": {[]string{"CF-Cache-Status", "DYNAMIC"}, false},
		"RFC 9211":               {[]string{"Cache-Status", `proxy; hit; ttl=30`}, true},
		"RFC 9211, forwarded":    {[]string{"Cache-Status", `proxy; fwd=uri-miss`}, false},
		"no date":                {[]string{"Date", ""}, false},
		"a date that is none":    {[]string{"Date", "yesterday"}, false},
		"a date before all":      {[]string{"Date", "Mon, 01 Jan 0001 00:00:00 GMT"}, false},
	} {
		s := serve(t, map[string]http.HandlerFunc{"Session": says(200, list(listed(guid, 7, 100, 250, "")), test.header...)})
		l, err := s.client(t).Sessions(t.Context(), 7)
		if row, found := l.Find(guid); !found || row.LogoutTime.IsZero() || (err != nil) != test.old || test.old && l.Complete {
			t.Errorf("%s: %+v, %v", name, l, err)
		}
		if err != nil && (facts(t, err).Verdict != Unavailable || !strings.Contains(err.Error(), "cache")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A clock hears of answers of a Web Server whose time is told, and of those of a cache.
type hearing struct {
	clock
}

func (h *hearing) hears(method, path string, date time.Time) (old bool) {
	r, a := request{op: "sessions", method: method, path: path}, answer{header: http.Header{"Date": {date.UTC().Format(http.TimeFormat)}}}
	a.old = h.old(r, a, time.Now())
	h.learn(r, a, time.Now())
	return a.old != ""
}

func TestOldAnswerDoesNotMoveTheClock(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"in step": 0, "ahead": 10 * time.Minute, "behind": -10 * time.Minute} {
		inFakeTime(t, func() {
			h := &hearing{}
			server := func() time.Time { return time.Now().Add(ahead) }
			cached := server()
			if h.hears("GET", "a", cached) {
				t.Errorf("%s: the first answer is old", name)
			}
			for range 100 {
				passes(11 * time.Second)
				if h.hears("GET", "b", server()) {
					t.Fatalf("%s: a new answer is old", name)
				}
				if !h.hears("GET", "a", cached) {
					t.Fatalf("%s: an old answer is new", name)
				}
			}
			if off := h.ahead - ahead; off.Abs() > time.Second {
				t.Errorf("%s: the difference is %v", name, h.ahead)
			}
		})
	}
}

// A clock that is set back is followed after the next logoff, or after some time where there is none.
func TestClockThatIsSetIsFollowed(t *testing.T) {
	for name, test := range map[string]struct {
		method string
		ahead  time.Duration
	}{
		"back, logoffs":    {"DELETE", -time.Hour},
		"back, reads":      {"GET", -time.Hour},
		"forward, reads":   {"GET", time.Hour},
		"forward, logoffs": {"DELETE", time.Hour},
		"a little back":    {"GET", -3 * time.Second},
	} {
		inFakeTime(t, func() {
			h := &hearing{}
			h.hears("GET", "a", time.Now())
			for range 4 {
				passes(5 * time.Minute)
				h.hears(test.method, "b", time.Now().Add(test.ahead))
			}
			passes(time.Second)
			if old, off := h.hears("GET", "a", time.Now().Add(test.ahead)), h.ahead-test.ahead; old || off.Abs() > time.Second {
				t.Errorf("%s: old %t, the difference is %v", name, old, h.ahead)
			}
		})
	}
}

// What changes something comes from no cache, so a clock that it shows set back is believed at once.
func TestLogoffTellsAtOnceThatTheClockWasSetBack(t *testing.T) {
	for back, followed := range map[time.Duration]bool{time.Hour: true, 10 * time.Second: true, 3 * time.Second: false} {
		inFakeTime(t, func() {
			h := &hearing{}
			h.hears("GET", "a", time.Now())
			passes(time.Minute)
			h.hears("DELETE", "b", time.Now().Add(-back))
			if got := h.ahead < -time.Second; got != followed {
				t.Errorf("%v back: the difference is %v", back, h.ahead)
			}
		})
	}
}

// A cache that says so, and whose answer is some seconds old, does not set the clock back, however long ago the clock
// was told.
func TestAnswerOfACacheSetsNoClockBack(t *testing.T) {
	inFakeTime(t, func() {
		h := &hearing{}
		h.hears("GET", "a", time.Now())
		passes(2 * clockAge)
		r := request{op: OpSessions, method: http.MethodGet, path: "b"}
		a := answer{header: http.Header{"Date": {time.Now().Add(-3 * time.Second).UTC().Format(http.TimeFormat)}}, old: "its Age is 3"}
		h.learn(r, a, time.Now())
		if h.ahead.Abs() > time.Second {
			t.Errorf("the difference is %v", h.ahead)
		}
	})
}

// An answer that tells no Date tells nothing of the clock, and is not old for that.
func TestAnswerWithoutADateTellsNoTime(t *testing.T) {
	inFakeTime(t, func() {
		h, r := &hearing{}, request{op: OpSessions, method: http.MethodGet, path: "a"}
		if h.learn(r, answer{}, time.Now()); h.known {
			t.Error("the clock is known")
		}
		h.hears("GET", "b", time.Now())
		passes(time.Minute)
		if why := h.old(r, answer{}, time.Now()); why != "" {
			t.Errorf("old: %s", why)
		}
	})
}

// Where the same question has the same Date again it is an old answer's, although the answer to another question said
// more of the clock.
func TestOldAnswerIsKnownByItsOwnQuestion(t *testing.T) {
	for method, old := range map[string]bool{"GET": true, "DELETE": false} {
		inFakeTime(t, func() {
			h, first := &hearing{}, time.Now()
			h.hears("GET", "a", first)
			passes(time.Second)
			h.hears("GET", "b", time.Now().Add(time.Second))
			passes(2 * time.Second)
			if got := h.hears(method, "a", first); got != old {
				t.Errorf("%s: old %t", method, got)
			}
		})
	}
}

// The clock is that of the Web Server's own answers, to reads and logoffs alike.
func TestClockIsLearntFromAnswersThatAreUnderstood(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"WhoAmI": says(503, ""), "Sessions": says(200, successElement)})
	c := s.client(t)
	facts(t, c.Ping(t.Context()))
	if _, known := c.ClockDifference(); known {
		t.Error("the clock is that of whoever answers 503")
	}
	if err := c.Logoff(t.Context(), Origin{}, []string{guid}); err != nil {
		t.Fatal(err)
	}
	if ahead, known := c.ClockDifference(); !known || ahead.Abs() > time.Minute {
		t.Errorf("the difference is %v, known %t", ahead, known)
	}
}

// Lists that seem old because the clock was set back are believed again after the first that came late enough.
func TestReadsFollowAClockThatIsSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ahead := time.Duration(0)
		s := pipeSite(t, map[string]http.HandlerFunc{
			"Login": says(200, `{"token":"QSDK 3a","aliasName":"1"}`, "Date", ""),
			"Session": func(w http.ResponseWriter, r *http.Request) {
				says(200, list(listed(guid, 7, 100, 0, "")), "Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))(w, r)
			},
		})
		for i, old := range []bool{false, true, false} {
			_, err := s.client.Sessions(t.Context(), 7)
			if (err != nil) != old {
				t.Errorf("list %d: %v", i, err)
			}
			ahead = -time.Hour
			passes(2 * clockAge)
		}
	})
}

// A Date that stands still, that of the logoffs too, makes every list old.
func TestDateThatStandsStillMakesListsOld(t *testing.T) {
	inFakeTime(t, func() {
		h, date := &hearing{}, time.Now()
		h.hears("POST", "login", date)
		for i := range 20 {
			passes(time.Minute)
			h.hears("DELETE", "b", date)
			for _, path := range []string{"a", strconv.Itoa(i)} {
				if !h.hears("GET", path, date) {
					t.Fatalf("minute %d: the list %s counts as new", i, path)
				}
			}
		}
	})
}

// Two Web Servers behind one address whose clocks are some seconds apart are no cache.
func TestServersOfOneAddressMayDifferBySeconds(t *testing.T) {
	inFakeTime(t, func() {
		h := &hearing{}
		for i := range 100 {
			passes(1700 * time.Millisecond)
			if h.hears("GET", "a", time.Now().Add(time.Duration(i%2)*4*time.Second)) {
				t.Fatal("a new answer is old")
			}
		}
		h.hears("DELETE", "b", time.Now())
		if off := h.ahead - 4*time.Second; off.Abs() > time.Second {
			t.Errorf("the difference is %v, although one of the clocks is 4s ahead", h.ahead)
		}
	})
}

// A Date that stands still is an old answer's after two seconds, however often it comes; one that is older than
// what was seen is after five.
func TestOldAnswersAreKnownBySeconds(t *testing.T) {
	inFakeTime(t, func() {
		h, date := &hearing{}, time.Now()
		for i, old := range []bool{false, false, true, true} {
			if h.hears("GET", "a", date) != old {
				t.Errorf("answer %d to the same question with the same Date: old %t", i, !old)
			}
			passes(1500 * time.Millisecond)
		}
		passes(time.Minute)
		h.hears("GET", "b", time.Now())
		for age, old := range map[time.Duration]bool{4 * time.Second: false, 7 * time.Second: true, 40 * time.Second: true} {
			if h.hears("GET", age.String(), time.Now().Add(-age)) != old {
				t.Errorf("an answer %v old: old %t", age, !old)
			}
		}
		for i := range 2 * mostDates {
			h.hears("GET", strconv.Itoa(i), time.Now())
		}
		if len(h.dates) > mostDates {
			t.Errorf("%d Dates are remembered", len(h.dates))
		}
	})
}

func inFakeTime(t *testing.T, test func()) { synctest.Test(t, func(*testing.T) { test() }) }

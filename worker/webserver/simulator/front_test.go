package simulator

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestMaintenanceIsAPageFor200(t *testing.T) {
	s := newSite(t, Settings{Maintenance: true})
	token, id := s.Token(1), s.SignOn(2, ConsoleWeb)
	for method, status := range map[string]int{"GET": 200, "DELETE": 200, "POST": 405} {
		r := s.ask(method, "Sessions", documentOf(id), "Authtoken", token)
		if r.status != status || !strings.Contains(r.body, "Scheduled Maintenance") || r.header.Get("Content-Type") != "text/html" {
			t.Errorf("%s: %+v", method, r)
		}
	}
	s.wantAlive([]string{id}, true)
	for _, request := range s.Journal() {
		if request.Success {
			t.Errorf("the journal calls it success: %+v", request)
		}
	}
}

func TestDownAnswersEverythingSo(t *testing.T) {
	s := newSite(t, Settings{Down: 503})
	token, id := s.Token(1), s.SignOn(2, ConsoleWeb)
	for _, path := range []string{"Sessions", "Login", "WhoAmI", "/elsewhere"} {
		if r := s.ask("DELETE", path, documentOf(id), "Authtoken", token); r.status != 503 {
			t.Errorf("%s: %d", path, r.status)
		}
	}
	s.Configure(func(settings *Settings) { settings.Down = DownReset })
	if r, err := s.try("DELETE", "Sessions", documentOf(id), "Authtoken", token); err == nil {
		t.Errorf("reset: %+v", r)
	}
	s.wantAlive([]string{id}, true)
	s.Configure(func(settings *Settings) { settings.Down = 0 })
	if r := s.logoff(token, id); !success(r) {
		t.Errorf("up again: %+v", r)
	}
}

func TestFirewallRefusesLibraries(t *testing.T) {
	s := newSite(t, Settings{Firewall: true})
	token := s.Token(1)
	for agent, status := range map[string]int{"": 403, "Go-http-client/1.1": 403, "python-requests/2.32": 403, "curl/8.5": 403, "logoff-worker/1.0": 200} {
		r := s.ask("GET", "WhoAmI", "", "Authtoken", token, "User-Agent", agent)
		if r.status != status || (status == 403 && !strings.Contains(r.body, "<html")) {
			t.Errorf("%q: %+v", agent, r)
		}
	}
}

func TestRateLimitIsATokenBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Settings{RateLimit: 0.5, RateBurst: 3, LimitHint: LimitHintSeconds})
		token := s.Token(1)
		statuses := func(n int) (list []int) {
			for range n {
				list = append(list, s.ask("GET", "WhoAmI", "", "Authtoken", token).status)
			}
			return list
		}
		wantStatuses(t, statuses(5), 200, 200, 200, 429, 429)
		if hint := s.ask("GET", "WhoAmI", "", "Authtoken", token).header.Get("Retry-After"); hint != "2" {
			t.Errorf("Retry-After %q", hint)
		}
		pass(2 * time.Second)
		wantStatuses(t, statuses(2), 200, 429)
		pass(20 * time.Minute)
		wantStatuses(t, statuses(4), 200, 200, 200, 429)
	})
}

func TestHourlyQuotas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Settings{WritesPerHour: 2, ReadsPerHour: 3, LimitHint: LimitHintXRateLimit})
		token := s.Token(1)
		var reads, writes []int
		for range 4 {
			reads = append(reads, s.ask("GET", "WhoAmI", "", "Authtoken", token).status)
			writes = append(writes, s.logoff(token).status)
		}
		wantStatuses(t, reads, 200, 200, 200, 429)
		wantStatuses(t, writes, 200, 200, 429, 429)
		pass(20 * time.Minute)
		r := s.logoff(token)
		if r.status != 429 || r.header.Get("X-RateLimit-Limit") != "2" || r.header.Get("X-RateLimit-Period") != "2400" || r.header.Get("Retry-After") != "" {
			t.Errorf("%+v", r)
		}
		pass(40 * time.Minute)
		token = s.Token(1) // the other one idled out
		if r := s.logoff(token); !success(r) {
			t.Errorf("in the next hour: %+v", r)
		}
		if got, want := s.Traffic(), (Traffic{Reads: 3, Writes: 3, ReadsRefused: 1, WritesRefused: 3, MostReads: 3, MostWrites: 2}); got != want {
			t.Errorf("traffic %+v, want %+v", got, want)
		}
	})
}

func TestQuotaHoursAreTheClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pass(50 * time.Minute) // a bubble begins at midnight
		s := newSite(t, Settings{WritesPerHour: 2, LimitHint: LimitHintSeconds})
		token := s.Token(1)
		s.logoff(token)
		s.logoff(token)
		if r := s.logoff(token); r.status != 429 || r.header.Get("Retry-After") != "600" {
			t.Errorf("%+v", r)
		}
		pass(10 * time.Minute)
		wantStatuses(t, []int{s.logoff(token).status, s.logoff(token).status, s.logoff(token).status}, 200, 200, 429)
	})
}

func TestTrafficIsCountedWithoutLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Settings{})
		for range 3 {
			s.ask("GET", "WhoAmI", "")
			s.ask("POST", "Logout", "")
			s.ask("DELETE", "Sessions", "")
			pass(31 * time.Minute)
		}
		if got, want := s.Traffic(), (Traffic{Reads: 3, Writes: 6, MostReads: 2, MostWrites: 4}); got != want {
			t.Errorf("traffic %+v, want %+v", got, want)
		}
		if status, body := s.control("GET", "/traffic", ""); status != 200 || !strings.Contains(body, `"mostWrites": 4`) {
			t.Errorf("%d %s", status, body)
		}
		if status, _ := s.control("DELETE", "/traffic", ""); status != 204 || s.Traffic() != (Traffic{}) {
			t.Errorf("%d, %+v", status, s.Traffic())
		}
		s.Configure(func(settings *Settings) { settings.RateLimit, settings.RateBurst = 1, 1 })
		for range 3 {
			s.ask("GET", "WhoAmI", "")
		}
		if got := s.Traffic(); got.Reads != 1 || got.ReadsRefused != 2 {
			t.Errorf("under a rate: %+v", got)
		}
	})
}

func TestLimitHints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, hint := range []LimitHint{LimitHintNone, LimitHintSeconds, LimitHintDate} {
			s := newSite(t, Settings{RateLimit: 0.1, RateBurst: 1, LimitHint: hint})
			s.ask("GET", "WhoAmI", "")
			r := s.ask("GET", "WhoAmI", "")
			value := r.header.Get("Retry-After")
			if r.status != 429 {
				t.Fatalf("%s: %d", hint, r.status)
			}
			var wait time.Duration
			switch hint {
			case LimitHintSeconds:
				seconds, _ := strconv.Atoi(value)
				wait = time.Duration(seconds) * time.Second
			case LimitHintDate:
				at, err := http.ParseTime(value)
				if err != nil {
					t.Fatal(err)
				}
				wait = time.Until(at)
			default:
				if value != "" {
					t.Errorf("%s: Retry-After %q", hint, value)
				}
				continue
			}
			if wait < 10*time.Second || wait > 11*time.Second {
				t.Errorf("%s: told to wait %v", hint, wait)
			}
			pass(wait)
			if r := s.ask("GET", "WhoAmI", ""); r.status == 429 {
				t.Errorf("%s: too early after the time it told", hint)
			}
		}
	})
}

func TestDocumentLimit(t *testing.T) {
	for status, form := range map[int]string{0: "errorCode", 404: "<html", 413: "<html"} {
		s := newSite(t, Settings{DocumentLimitStatus: status})
		token, ids := s.Token(1), s.SignOnMany(2, 2)
		fits := documentOf(ids[0])
		s.Configure(func(settings *Settings) { settings.DocumentLimit = len(fits) })
		if status == 0 {
			status = 400
		}
		if r := s.logoff(token, ids...); r.status != status || !strings.Contains(r.body, form) {
			t.Errorf("%d: %+v", status, r)
		}
		s.wantAlive(ids, true, true)
		if r := s.logoff(token, ids[0]); !success(r) {
			t.Errorf("%d: the one that fits: %+v", status, r)
		}
	}
}

func wantStatuses(t *testing.T, got []int, want ...int) {
	t.Helper()
	for i := range want {
		if len(got) != len(want) || got[i] != want[i] {
			t.Errorf("statuses %v, want %v", got, want)
			return
		}
	}
}

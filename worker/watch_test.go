package worker

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/metrics"
	"logoffworker/worker/gate"
	"logoffworker/worker/webserver"
)

// A told worker has a health in which a test can read, and nothing else.
type told struct {
	*Worker
	registry *prometheus.Registry
	lines    *strings.Builder
}

func newTold() told {
	lines, registry := &strings.Builder{}, prometheus.NewRegistry()
	log := slog.New(slog.NewTextHandler(lines, nil))
	return told{&Worker{Metrics: metrics.New(registry, metrics.Build{}), Health: metrics.NewHealth(log), Log: log}, registry, lines}
}

// kinds are the kinds of what is wrong.
func (w told) kinds() (kinds []string) {
	_, conditions := w.Health.Ready()
	for _, c := range conditions {
		kinds = append(kinds, c.Kind)
	}
	return kinds
}

// A breaker's trouble is on while it is open for a reason, as the latest reason, and over when it closes.
func TestBreakerIsTold(t *testing.T) {
	w := newTold()
	down, forbidden := &webserver.Error{Verdict: webserver.Unavailable}, &webserver.Error{Verdict: webserver.Forbidden}
	for i, test := range []struct {
		to   gate.Change
		want []string
	}{
		{gate.Change{To: gate.Open}, nil},
		{gate.Change{To: gate.HalfOpen, Why: down}, nil},
		{gate.Change{To: gate.Open, Why: down}, []string{"unavailable"}},
		{gate.Change{To: gate.HalfOpen, Why: forbidden}, []string{"unavailable"}},
		{gate.Change{To: gate.Open, Why: forbidden}, []string{"forbidden"}},
		{gate.Change{To: gate.Closed}, nil},
	} {
		if w.breakerMoved(test.to); !slices.Equal(w.kinds(), test.want) {
			t.Errorf("change %d: it says %v, want %v", i, w.kinds(), test.want)
		}
	}
}

// Each cause has its own remedy, and what waiting mends has none.
func TestRemedyFitsTheCause(t *testing.T) {
	const inFront, right, account, password, token, address = "let DELETE", "give the account", "what the account may do", "right password", "new token", "LOGOFF_WEBSERVER_URL"
	for name, test := range map[string]struct {
		why   webserver.Error
		scope gate.Scope
		want  string
	}{
		"a page for logoffs":         {webserver.Error{Verdict: webserver.Forbidden, Page: true}, gate.LogoffsOnly, inFront},
		"the method is blocked":      {webserver.Error{Verdict: webserver.Misconfigured, Status: 405}, gate.LogoffsOnly, inFront},
		"the method, for everything": {webserver.Error{Verdict: webserver.Misconfigured, Status: 405}, gate.Everything, address},
		"a page for everything":      {webserver.Error{Verdict: webserver.Misconfigured, Page: true}, gate.Everything, address},
		"a right is missing":         {webserver.Error{Verdict: webserver.Forbidden}, gate.LogoffsOnly, right},
		"all is forbidden":           {webserver.Error{Verdict: webserver.Forbidden}, gate.Everything, ""},
		"the token, for logoffs":     {webserver.Error{Verdict: webserver.Unauthorized}, gate.LogoffsOnly, account},
		"the token, for everything":  {webserver.Error{Verdict: webserver.Unauthorized}, gate.Everything, token},
		"the login":                  {webserver.Error{Verdict: webserver.LoginRejected}, gate.Everything, password},
		"the address":                {webserver.Error{Verdict: webserver.Misconfigured}, gate.Everything, address},
		"an outage":                  {webserver.Error{Verdict: webserver.Unavailable}, gate.Everything, ""},
		"an outage, for logoffs":     {webserver.Error{Verdict: webserver.Undecided}, gate.LogoffsOnly, ""},
	} {
		if got := remedy(&test.why, test.scope); !strings.Contains(got, test.want) || (got == "") != (test.want == "") {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A limit of the Web Server is told when it lasts, and when it is over.
func TestLongLimitIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTold()
		why := &webserver.Error{Verdict: webserver.Throttled}
		after := func(d time.Duration) time.Time { return time.Now().Add(d) }
		for i, test := range []struct {
			to   gate.Change
			want []string
		}{
			{gate.Change{To: gate.Open, Why: why, Until: after(time.Second), Age: time.Second}, nil},
			{gate.Change{To: gate.HalfOpen, Why: why, Age: time.Hour}, nil},
			{gate.Change{To: gate.Open, Why: why, Until: after(gate.Long)}, []string{"reads_limited"}},
			{gate.Change{To: gate.Closed}, nil},
			{gate.Change{To: gate.Open, Why: why, Until: after(time.Second), Age: gate.Long}, []string{"reads_limited"}},
			{gate.Change{To: gate.Closed, Age: time.Hour}, nil},
		} {
			if w.limitMoved(gate.Read, test.to); !slices.Equal(w.kinds(), test.want) {
				t.Errorf("change %d: it says %v, want %v", i, w.kinds(), test.want)
			}
		}
		w.budgetSpent(gate.Write, gate.Bulk, time.Minute)
		if got := w.kinds(); !slices.Equal(got, []string{"writes_used_up"}) {
			t.Errorf("of a budget that is used up it says %v", got)
		}
		if w.budgetSpent(gate.Write, gate.Bulk, 0); len(w.kinds()) != 0 {
			t.Errorf("of a budget that is not used up it says %v", w.kinds())
		}
	})
}

// A clock that is far off is told, whichever way, and a clock that is not known is not.
func TestClockIsTold(t *testing.T) {
	w := newTold()
	for _, test := range []struct {
		ahead time.Duration
		want  string
	}{{clockOff, ""}, {clockOff + time.Second, "31s ahead"}, {-clockOff, ""}, {-time.Minute, "1m0s behind"}} {
		w.lines.Reset()
		w.clockIs(test.ahead)
		if got := strings.Contains(w.lines.String(), "level=WARN"); got != (test.want != "") || !strings.Contains(w.lines.String(), test.want) {
			t.Errorf("of %v it says %q", test.ahead, w.lines)
		}
	}
	w = newTold()
	var err error
	if w.Server, err = webserver.New(webserver.Config{URL: "http://127.0.0.1/x", Token: func() (string, error) { return "t", nil }}); err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	w.watchClock(ended) // which looks once
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "logoff_webserver_clock_difference_seconds" {
			t.Errorf("it is said to be %v off before anything was heard", family.GetMetric())
		}
	}
}

package notice

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"logoffworker/metrics"
	"logoffworker/worker/gate"
	"logoffworker/worker/webserver"
)

// A told board has a health in which a test can read.
type told struct {
	Board
	registry *prometheus.Registry
	lines    *strings.Builder
}

func newTold() told {
	lines, registry := &strings.Builder{}, prometheus.NewRegistry()
	log := slog.New(slog.NewTextHandler(lines, nil))
	return told{Board{Metrics: metrics.New(registry, metrics.Build{}), Health: metrics.NewHealth(log)}, registry, lines}
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
		if w.BreakerMoved(test.to); !slices.Equal(w.kinds(), test.want) {
			t.Errorf("change %d: it says %v, want %v", i, w.kinds(), test.want)
		}
	}
}

// Each cause has its own remedy, and a command that shows more of it, unless that would count as one more rejected login.
func TestRemedyFitsTheCause(t *testing.T) {
	const inFront, right, account, password, token, address, through, wait, pace = "let DELETE", "give the account", "what the account may do", "right password", "new token", "LOGOFF_WEBSERVER_URL", "let the worker's address", "if it lasts", "set LOGOFF_WRITES_PER_HOUR"
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
		"all is forbidden":           {webserver.Error{Verdict: webserver.Forbidden}, gate.Everything, through},
		"the token, for logoffs":     {webserver.Error{Verdict: webserver.Unauthorized}, gate.LogoffsOnly, account},
		"the token, for everything":  {webserver.Error{Verdict: webserver.Unauthorized}, gate.Everything, token},
		"the login":                  {webserver.Error{Verdict: webserver.LoginRejected}, gate.Everything, password},
		"the address":                {webserver.Error{Verdict: webserver.Misconfigured}, gate.Everything, address},
		"an outage":                  {webserver.Error{Verdict: webserver.Unavailable}, gate.Everything, wait},
		"an outage, for logoffs":     {webserver.Error{Verdict: webserver.Undecided}, gate.LogoffsOnly, wait},
		"too many logins":            {webserver.Error{Verdict: webserver.Throttled}, gate.Everything, pace},
	} {
		got, command := remedy(&test.why, test.scope)
		if !strings.Contains(got, test.want) || (command == "") != (test.want == password || test.want == pace) {
			t.Errorf("%s: %q, %q", name, got, command)
		}
		if byItself(&test.why) == "" {
			t.Errorf("%s: nothing is said of what happens by itself", name)
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
			if w.LimitMoved(gate.Read, test.to); !slices.Equal(w.kinds(), test.want) {
				t.Errorf("change %d: it says %v, want %v", i, w.kinds(), test.want)
			}
		}
		w.BudgetSpent(gate.Write, gate.Bulk, time.Minute)
		if got := w.kinds(); !slices.Equal(got, []string{"writes_used_up"}) {
			t.Errorf("of a budget that is used up it says %v", got)
		}
		if w.BudgetSpent(gate.Write, gate.Bulk, 0); len(w.kinds()) != 0 {
			t.Errorf("of a budget that is not used up it says %v", w.kinds())
		}
		if w.Uncounted(gate.Write, errors.New("no answer")); !slices.Equal(w.kinds(), []string{"writes_uncounted"}) {
			t.Errorf("of writes that cannot be counted it says %v", w.kinds())
		}
		if w.Uncounted(gate.Write, nil); len(w.kinds()) != 0 {
			t.Errorf("of writes that can be counted it says %v", w.kinds())
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
	server, err := webserver.New(webserver.Config{URL: "http://127.0.0.1/x", Token: func() (string, error) { return "t", nil }})
	if err != nil {
		t.Fatal(err)
	}
	w.watchOnce(t, server, gate.Config{})
	for _, name := range w.names(t) {
		if name == "logoff_webserver_clock_difference_seconds" || strings.HasPrefix(name, "logoff_budget_") {
			t.Errorf("%s is there before anything is known of it", name)
		}
	}
}

// watchOnce looks once at a Web Server and at a new gate before it.
func (w told) watchOnce(t *testing.T, server *webserver.Client, c gate.Config) *gate.Gate {
	t.Helper()
	c.Backoff = gate.Backoff{Min: time.Second, Max: time.Minute}
	c.Moved, c.Limited, c.Spent = w.BreakerMoved, w.LimitMoved, w.BudgetSpent
	g := gate.New(c)
	w.look(t, server, g)
	return g
}

func (w told) look(t *testing.T, server *webserver.Client, g *gate.Gate) {
	t.Helper()
	ended, end := context.WithCancel(t.Context())
	end()
	w.Watch(ended, server, g)
}

// names are the metrics that have a value.
func (w told) names(t *testing.T) (names []string) {
	t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		names = append(names, family.GetName())
	}
	return names
}

// What is left of a budget is told with its limit, and what others have asked is taken off.
func TestBudgetLeftIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, others := newTold(), int64(0)
		server, err := webserver.New(webserver.Config{URL: "http://127.0.0.1/x", Token: func() (string, error) { return "t", nil }})
		if err != nil {
			t.Fatal(err)
		}
		g := w.watchOnce(t, server, gate.Config{WritesPerHour: 100, Others: func(gate.Kind) int64 { return others }})
		is := func(left float64) {
			t.Helper()
			w.look(t, server, g)
			want := fmt.Sprintf(`
# HELP logoff_budget_left_requests Requests to the Web Server that all workers together may still make within the hour: the same at each, which counts for itself only with NATS before 2.12. Absent without a budget, and while unknown.
# TYPE logoff_budget_left_requests gauge
logoff_budget_left_requests{kind="writes"} %v
# HELP logoff_budget_limit_requests Requests to the Web Server that all workers together may make within an hour. Absent without a budget, and while unknown what is left.
# TYPE logoff_budget_limit_requests gauge
logoff_budget_limit_requests{kind="writes"} 100
`, left)
			if err := testutil.GatherAndCompare(w.registry, strings.NewReader(want), "logoff_budget_left_requests", "logoff_budget_limit_requests"); err != nil {
				t.Error(err)
			}
		}
		is(100)
		if wait := g.Take(t.Context(), gate.Write); wait != 0 {
			t.Fatal(wait)
		}
		is(99)
		others = 9
		is(90)
		time.Sleep(time.Hour)
		is(100)
	})
}

// Of a budget of the fleet's it is told what is left in all; nothing while that is not known.
func TestBudgetLeftIsTheFleets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTold()
		server, err := webserver.New(webserver.Config{URL: "http://127.0.0.1/x", Token: func() (string, error) { return "t", nil }})
		if err != nil {
			t.Fatal(err)
		}
		var down error
		g := w.watchOnce(t, server, gate.Config{WritesPerHour: 100, Count: func(context.Context, gate.Kind, int64) (int64, error) { return 30, down }})
		w.look(t, server, g)
		if got, err := testutil.GatherAndCount(w.registry, "logoff_budget_left_requests", "logoff_budget_limit_requests"); err != nil || got != 2 {
			t.Errorf("%d values are there", got)
		}
		down = errors.New("nobody answers")
		w.look(t, server, g)
		if got, err := testutil.GatherAndCount(w.registry, "logoff_budget_left_requests", "logoff_budget_limit_requests"); err != nil || got != 0 {
			t.Errorf("%d values are there of what nobody knows", got)
		}
	})
}

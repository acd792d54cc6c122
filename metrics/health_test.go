package metrics

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// newHealth returns a health and what it logs, without the times.
func newHealth(parts ...string) (*Health, *bytes.Buffer) {
	var log bytes.Buffer
	options := &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	return NewHealth(slog.New(slog.NewTextHandler(&log, options)), parts...), &log
}

func lines(log *bytes.Buffer) int { return strings.Count(log.String(), "\n") }

func TestReadyzSaysWhyInWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, reg := newMetrics(t)
		health, _ := newHealth("nats", "urgent")
		h := Handler(reg, health, http.NotFoundHandler())
		says := func(code int, words string) {
			t.Helper()
			if r := ask(h, "GET", "/readyz"); r.Code != code || r.Body.String() != words {
				t.Errorf("%d %s\nwant %d %s", r.Code, r.Body, code, words)
			}
		}
		now := time.Now().UTC().Format(time.RFC3339)
		says(503, "not ready: The worker starts: nothing is known yet of nats, urgent.\n")
		health.Begin(Condition{Part: "urgent", Kind: "paused", What: "the consumer is paused", ByItself: "it goes on", ToDo: "resume it", Command: "nats consumer resume", Until: time.Now().Add(time.Hour)})
		until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		paused := "not ready: The consumer is paused.\n%surgent: the consumer is paused (since " + now + ", until " + until + "); by itself: it goes on; what to do: resume it: `nats consumer resume`\n"
		says(503, fmt.Sprintf(paused, "nats: nothing is known of it yet\n"))
		health.Well("nats")
		paused = fmt.Sprintf(paused, "")
		says(503, paused)
		time.Sleep(time.Second)
		health.Begin(Condition{Part: "urgent", Kind: "edited", What: "the filter is another"})
		later := time.Now().UTC().Format(time.RFC3339)
		says(503, paused+"urgent: the filter is another (since "+later+")\n")
		health.End("urgent", "paused")
		says(503, "not ready: The filter is another.\nurgent: the filter is another (since "+later+")\n")
		if r := ask(h, "GET", "/livez"); r.Code != 200 {
			t.Errorf("livez depends on the parts: %d", r.Code)
		}
		health.Well("urgent")
		says(200, "ready\n")
	})
}

func TestConditionIsNewByItsKind(t *testing.T) {
	h, _ := newHealth("webserver")
	for _, test := range []struct {
		kind, what string
		isNew      bool
	}{
		{"refused", "401 from port 4711", true},
		{"refused", "401 from port 4712", false},
		{"silent", "no answer", true},
		{"refused", "401 from port 4713", false},
	} {
		if got := h.Begin(Condition{Part: "webserver", Kind: test.kind, What: test.what}); got != test.isNew {
			t.Errorf("%s %q is new: %t", test.kind, test.what, got)
		}
	}
	if _, conditions := h.Ready(); len(conditions) != 2 || conditions[0].What != "401 from port 4713" {
		t.Errorf("not the latest words of each kind: %v", conditions)
	}
	h.Only("webserver", "silent", "other")
	if _, conditions := h.Ready(); len(conditions) != 1 || conditions[0].Kind != "silent" {
		t.Errorf("conditions %v", conditions)
	}
}

// What is only told does not make a worker unready, not even a part that has yet to show that it is well ready.
func TestHarmlessConditionIsOnlyLogged(t *testing.T) {
	h, log := newHealth("nats")
	h.Begin(Condition{Part: "nats", Kind: "slow_consumer", What: "too slow", Harmless: true})
	if _, conditions := h.Ready(); len(conditions) != 1 || conditions[0].What != "starting" || lines(log) != 1 {
		t.Errorf("%v\n%s", conditions, log)
	}
	h.Well("nats")
	h.Begin(Condition{Part: "nats", Kind: "slow_consumer", What: "too slow", Harmless: true})
	if ready, conditions := h.Ready(); !ready {
		t.Errorf("conditions %v", conditions)
	}
}

// What another condition tells of makes the worker unready and is not logged; with a cause of its own it is.
func TestImpliedConditionIsNotLogged(t *testing.T) {
	h, log := newHealth("streams")
	for range 3 {
		h.Begin(Condition{Part: "streams", Kind: "unready", What: "no connection", Implied: true})
		if ready, _ := h.Ready(); ready {
			t.Error("ready while a condition is on")
		}
		h.End("streams", "unready")
	}
	if lines(log) != 0 {
		t.Errorf("logged:\n%s", log)
	}
	h.Begin(Condition{Part: "streams", Kind: "unready", What: "no stream"})
	if lines(log) != 1 {
		t.Errorf("not one line:\n%s", log)
	}
}

func TestProblemGaugeTellsEveryPart(t *testing.T) {
	h, _ := newHealth("nats", "streams", "webserver")
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(h)
	h.Well("nats")
	h.Well("webserver")
	h.Begin(Condition{Part: "webserver", Kind: "refused"})
	h.Begin(Condition{Part: "webserver", Kind: "silent"})
	h.Begin(Condition{Part: "nats", Kind: "slow_consumer", Harmless: true})
	h.Begin(Condition{Part: "late", Kind: "found"})
	want := `
# HELP logoff_problem 1 while something is wrong with a part, so that the worker is not ready; /readyz says what.
# TYPE logoff_problem gauge
logoff_problem{part="late"} 1
logoff_problem{part="nats"} 0
logoff_problem{part="streams"} 1
logoff_problem{part="webserver"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

// However a trouble comes, goes and speaks, an hour of it is ten lines at most, of which the first says that
// it begins and the last that it is over.
func TestHourOfTroubleIsTenLines(t *testing.T) {
	const every = 250 * time.Millisecond
	for name, on := range map[string]func(tick int) bool{
		"all the time":          func(int) bool { return true },
		"every other time":      func(i int) bool { return i%2 == 0 },
		"ten seconds of twenty": func(i int) bool { return i/40%2 == 0 },
		"a minute of two":       func(i int) bool { return i/240%2 == 0 },
		"a minute of three":     func(i int) bool { return i/240%3 == 0 },
		"one in six minutes":    func(i int) bool { return i%1440 == 0 },
		"one in sixteen":        func(i int) bool { return i%3840 == 0 },
		"one in thirty-one":     func(i int) bool { return i%7440 == 0 },
		"once":                  func(i int) bool { return i == 0 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, log := newHealth("webserver")
				for i := range int(time.Hour / every) {
					if on(i) {
						h.Begin(Condition{Part: "webserver", Kind: "refused", What: fmt.Sprintf("no answer to request %d", i)})
					} else {
						h.End("webserver", "refused")
					}
					time.Sleep(every)
				}
				synctest.Wait() // what timers say is in the log then
				within := lines(log)
				h.Well("webserver")
				time.Sleep(time.Hour)
				synctest.Wait()
				first, _, _ := strings.Cut(log.String(), "\n")
				last := log.String()[strings.LastIndex(strings.TrimSuffix(log.String(), "\n"), "\n")+1:]
				if within > 10 || !strings.Contains(first, "no answer") || !strings.Contains(last, "no longer: no answer") {
					t.Errorf("%d lines in an hour:\n%s", within, log)
				}
				if strings.Count(log.String(), "no longer") > strings.Count(log.String(), "WARN") {
					t.Errorf("an end without a beginning:\n%s", log)
				}
			})
		})
	}
}

func TestTroubleIsToldInGrowingSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, log := newHealth("results")
		for range 20 * 60 {
			h.Begin(Condition{Part: "results", Kind: "unstored", What: "the stream is full", ToDo: "raise its limit", Grave: true})
			time.Sleep(time.Second)
		}
		h.End("results", "unstored")
		want := `level=ERROR msg="results: the stream is full" kind=unstored to_do="raise its limit"
level=ERROR msg="results: still: the stream is full" kind=unstored to_do="raise its limit" since=2000-01-01T00:00:00Z times=61
level=ERROR msg="results: still: the stream is full" kind=unstored to_do="raise its limit" since=2000-01-01T00:00:00Z times=361
level=INFO msg="results: no longer: the stream is full" kind=unstored lasted=20m0s times=1200
`
		if log.String() != want {
			t.Errorf("got\n%s\nwant\n%s", log, want)
		}
	})
}

// A trouble that is over for long is a new one when it comes again.
func TestTroubleIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, log := newHealth("nats")
		for range 3 {
			h.Begin(Condition{Part: "nats", Kind: "disconnected", What: "gone"})
			time.Sleep(time.Second)
			h.End("nats", "disconnected")
			time.Sleep(memory + time.Second)
		}
		if got := strings.Count(log.String(), "lasted=1s times=1"); got != 3 || lines(log) != 6 {
			t.Errorf("%d ends:\n%s", got, log)
		}
	})
}

func TestQuietConditionEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, log := newHealth("nats")
		begin := func() { h.Begin(Condition{Part: "nats", Kind: "permission", What: "missing", Quiet: time.Minute}) }
		begin()
		time.Sleep(50 * time.Second)
		begin()
		time.Sleep(59 * time.Second)
		if ready, _ := h.Ready(); ready {
			t.Error("it ended too early")
		}
		time.Sleep(2 * time.Second)
		if ready, conditions := h.Ready(); !ready || lines(log) != 2 {
			t.Errorf("%v\n%s", conditions, log)
		}
		begin()
		time.Sleep(2 * time.Minute)
		if ready, conditions := h.Ready(); !ready {
			t.Errorf("the second time it does not end: %v", conditions)
		}
	})
}

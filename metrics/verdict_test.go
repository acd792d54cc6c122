package metrics

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The headline is what does not mend itself, and otherwise the first part on a job's way; what follows from something
// else comes last.
func TestHeadlineIsTheWorst(t *testing.T) {
	waits := Condition{Part: "nats", Kind: "down", What: "there is no connection"}
	broken := Condition{Part: "bulk", Kind: "edited", What: "the consumer was changed", Grave: true, ByItself: "nothing", ToDo: "set it back", Command: "nats consumer rm"}
	outage := Condition{Part: "webserver", Kind: "down", What: "jobs wait for the Web Server: 503"}
	follows := Condition{Part: "bulk", Kind: "unknown", What: "nobody is known", Through: "webserver"}
	implied := Condition{Part: "bulk", Kind: "unready", What: "there are no streams", Implied: true}
	odd := Condition{Part: "nats", Kind: "slow", What: "messages come too fast", Harmless: true}
	for name, test := range map[string]struct {
		on       []Condition
		state    State
		headline string
	}{
		"nothing":                 {nil, StateWell, "All is well: jobs are taken, sent and settled."},
		"something harmless":      {[]Condition{odd}, StateWell, "All is well: jobs are taken, sent and settled."},
		"what waits":              {[]Condition{waits}, StateTrouble, "There is no connection."},
		"what a person mends":     {[]Condition{waits, broken, outage}, StateBroken, "The consumer was changed."},
		"the first on the way":    {[]Condition{outage, waits}, StateTrouble, "There is no connection."},
		"what follows comes last": {[]Condition{follows, outage}, StateTrouble, "Jobs wait for the Web Server: 503."},
		"what is implied, too":    {[]Condition{implied, outage}, StateTrouble, "Jobs wait for the Web Server: 503."},
		"what follows alone":      {[]Condition{follows}, StateTrouble, "Nobody is known."},
	} {
		h, log := newHealth("nats", "bulk", "webserver")
		for _, part := range []string{"nats", "bulk", "webserver"} {
			h.Well(part)
		}
		for _, c := range test.on {
			h.Begin(c)
		}
		v := h.Verdict()
		if v.State != test.state || v.Headline != test.headline {
			t.Errorf("%s: it is %s: %s", name, v.State, v.Headline)
		}
		if v.State == StateBroken && (v.ByItself != broken.ByItself || v.ToDo != broken.ToDo || v.Command != broken.Command) {
			t.Errorf("%s: %+v", name, v)
		}
		for _, c := range test.on { // whoever reads the log, /readyz or the page reads the same
			if says := v.String(); !c.Harmless && !strings.Contains(says, c.What) || !c.Implied && !strings.Contains(log.String(), c.What) {
				t.Errorf("%s: %q is not in\n%s\nor not in\n%s", name, c.What, says, log)
			}
		}
	}
}

// Each part has a verdict of its own, in the order of the parts, with all that is on.
func TestEachPartHasItsVerdict(t *testing.T) {
	h, _ := newHealth("nats", "streams", "urgent", "webserver")
	h.Well("nats")
	h.Begin(Condition{Part: "nats", Kind: "slow", Harmless: true})
	h.Begin(Condition{Part: "streams", Kind: "full", Grave: true})
	h.Begin(Condition{Part: "streams", Kind: "unready"})
	h.Begin(Condition{Part: "urgent", Kind: "paused"})
	var got []string
	for _, p := range h.Verdict().Parts {
		got = append(got, p.Part+" "+string(p.State)+strings.Repeat("+", len(p.Conditions)))
	}
	if want := "nats well+, streams broken++, urgent trouble+, webserver starting"; strings.Join(got, ", ") != want {
		t.Errorf("%v, want %s", got, want)
	}
}

// A verdict says since when it is so: since what is in the headline began, or since the last that was wrong ended.
func TestVerdictSaysSinceWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := newHealth("nats", "webserver")
		begun := time.Now()
		since := func(state State, want time.Duration) {
			t.Helper()
			if v := h.Verdict(); v.State != state || v.Since.Sub(begun) != want {
				t.Errorf("it is %s since %v, want %s since %v", v.State, v.Since.Sub(begun), state, want)
			}
			time.Sleep(time.Minute)
		}
		since(StateStarting, 0)
		h.Well("nats")
		h.Well("webserver")
		since(StateWell, time.Minute)
		h.Begin(Condition{Part: "webserver", Kind: "down"})
		since(StateTrouble, 2*time.Minute)
		h.Begin(Condition{Part: "webserver", Kind: "down"})
		since(StateTrouble, 2*time.Minute)
		h.Well("webserver")
		since(StateWell, 4*time.Minute)
		h.Begin(Condition{Part: "nats", Kind: "slow", Harmless: true})
		h.Well("nats")
		since(StateWell, 4*time.Minute)
	})
}

// A rollout asks without the Web Server: neither that part counts, nor what comes through it. A part that is not there
// is refused in words.
func TestReadyzWithoutParts(t *testing.T) {
	_, reg := newMetrics(t)
	h, _ := newHealth("nats", "webserver", "protected")
	handler := Handler(reg, h, http.NotFoundHandler())
	says := func(query string, code int, words ...string) {
		t.Helper()
		r := ask(handler, "GET", "/readyz"+query)
		for _, word := range words {
			if !strings.Contains(r.Body.String(), word) {
				t.Errorf("%s does not say %q:\n%s", query, word, r.Body)
			}
		}
		if r.Code != code {
			t.Errorf("%s: %d\n%s", query, r.Code, r.Body)
		}
	}
	h.Well("nats")
	h.Well("protected")
	says("?exclude=webserver", 200, "ready\n") // nothing was asked yet
	h.Begin(Condition{Part: "webserver", Kind: "down", What: "it is down"})
	h.Begin(Condition{Part: "protected", Kind: "not_listed", What: "nobody knows", Through: "webserver"})
	says("", 503, "not ready: It is down.\n", "nobody knows")
	says("?exclude=webserver", 200, "ready\n")
	says("?exclude=protected", 503, "it is down")
	says("?exclude=nats,webserver&exclude=protected", 200)
	h.Begin(Condition{Part: "protected", Kind: "nobody", What: "the Web Server knows no bob", Grave: true})
	says("?exclude=webserver", 503, "not ready: The Web Server knows no bob.\n")
	says("?exclude=webserver,protected", 200)
	for _, part := range []string{"web server", "", "<b>"} {
		says("?exclude=nats,"+url.QueryEscape(part), 400, "There is no part ", "the parts are nats, webserver, protected.")
	}
}

// The first time that all is well is a line of the log, in the words of the verdict; once something was wrong, its end
// is told.
func TestFirstWellIsLogged(t *testing.T) {
	h, log := newHealth("nats", "webserver")
	h.Well("nats")
	if lines(log) != 0 {
		t.Errorf("too early:\n%s", log)
	}
	h.Well("webserver")
	h.Well("webserver")
	if lines(log) != 1 || !strings.Contains(log.String(), `msg="`+h.Verdict().Headline) {
		t.Errorf("%s", log)
	}
	h, log = newHealth("nats", "webserver")
	h.Begin(Condition{Part: "nats", Kind: "down", What: "it is down"})
	h.Well("webserver")
	h.Well("nats")
	if lines(log) != 2 || !strings.Contains(log.String(), "no longer: it is down") {
		t.Errorf("%s", log)
	}
}

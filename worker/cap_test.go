package worker

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/metrics"
	"logoffworker/worker/webserver"
)

// Only a document of several sessions that was too large, or took too long, makes the next ones smaller.
func TestCapShrinksForDocumentsThatAreTooLarge(t *testing.T) {
	for name, test := range map[string]struct {
		sessions int
		answer   webserver.Error
		want     int
	}{
		"too large":                {100, webserver.Error{Verdict: webserver.TooLarge}, 50},
		"no answer in time":        {100, webserver.Error{Verdict: webserver.Unavailable, Timeout: true}, 50},
		"two sessions":             {2, webserver.Error{Verdict: webserver.TooLarge}, 1},
		"one session":              {1, webserver.Error{Verdict: webserver.TooLarge}, 200},
		"refused":                  {100, webserver.Error{Verdict: webserver.Refused}, 200},
		"larger than is sent now":  {1000, webserver.Error{Verdict: webserver.TooLarge}, 200},
		"one session and too long": {1, webserver.Error{Timeout: true}, 200},
	} {
		c := newDocumentCap(200, metrics.New(prometheus.NewRegistry(), metrics.Build{}))
		if c.learn(test.sessions, &test.answer); c.sessions() != test.want {
			t.Errorf("%s: documents of %d sessions, want %d", name, c.sessions(), test.want)
		}
	}
}

// Documents grow again after a row of full ones, never beyond the settings, and not for small ones.
func TestCapGrowsAfterFullDocuments(t *testing.T) {
	c := newDocumentCap(150, metrics.New(prometheus.NewRegistry(), metrics.Build{}))
	tooLarge := &webserver.Error{Verdict: webserver.TooLarge}
	accept := func(n, times int) {
		for range times {
			c.succeeded(n)
		}
	}
	is := func(after string, want int) {
		t.Helper()
		if got := c.sessions(); got != want {
			t.Errorf("after %s: documents of %d sessions, want %d", after, got, want)
		}
	}
	c.learn(100, tooLarge)
	is("a document that was too large", 50)
	accept(49, 10*fullToGrow)
	is("small documents", 50)
	accept(50, fullToGrow-1)
	is("too few full ones", 50)
	c.learn(100, tooLarge)
	accept(50, fullToGrow-1)
	is("too few in a row", 50)
	accept(50, 1)
	is("a row of full ones", 100)
	accept(100, fullToGrow-1)
	is("too few of the new size", 100)
	accept(100, 1)
	is("another row", 150)
}

package page

import (
	"os"
	"strings"
	"testing"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

// shotsVariable names the directory for the pictures; without it the browser is not started.
const shotsVariable = "LOGOFF_PAGE_SHOTS"

// shots is where the pictures go; it skips the test unless it was asked for.
func shots(t *testing.T) string {
	t.Helper()
	dir := os.Getenv(shotsVariable)
	if dir == "" {
		t.Skip("make page-check runs it")
	}
	if chromium() == "" {
		t.Fatal("Chromium is not installed: on Debian, apt-get install chromium")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

const (
	soon = 30 * time.Second // until what happens is seen and shown
	tone = "document.documentElement.className"
)

// The page says what is so, in each state, and looks so; it is one and the same page all the time.
func TestPageInEveryState(t *testing.T) {
	dir := shots(t)
	w := newWorld(t)
	replica := w.start("worker-0", nil)
	w.start("worker-1", nil)
	w.flows()
	b := open(t, replica.URL, dir)
	b.do()
	opened := time.Now()
	b.says("window.sameAsEver = true")

	b.becomes("healthy", tone+` === 'well' && document.querySelectorAll('#jobs tbody tr').length > 5 && document.querySelectorAll('#workers tbody tr').length === 2`, soon)
	time.Sleep(time.Minute) // until there is something in the charts
	b.pictures("healthy")
	holds(t, "healthy", b.says("document.title"), "Well")
	holds(t, "healthy", b.says("document.body.innerText"), "proved by reading back", "logged off, read back", "2 workers", "live ·")

	w.sim.Configure(func(s *simulator.Settings) { s.Down = 503 })
	b.becomes("the outage", tone+` === 'wait' && `+broken("Web Server"), soon)
	time.Sleep(20 * time.Second)
	b.pictures("outage")
	holds(t, "outage", b.says("document.title"), "Not well")
	holds(t, "outage", b.says("document.body.innerText"), "503", "wait", "None is lost")

	w.sim.Configure(func(s *simulator.Settings) { s.Down = 0 })
	b.becomes("the recovery", tone+` === 'well' && document.body.innerText.includes('well again') && document.body.innerText.includes('No job waits')`, time.Minute)
	b.pictures("recovered")

	until := time.Now().Add(time.Hour)
	if _, err := w.js.PauseConsumer(t.Context(), subjects.RequestStream(), string(jobs.Bulk), until); err != nil {
		t.Fatal(err)
	}
	b.becomes("paused", tone+` === 'off' && `+broken("Stream"), soon)
	time.Sleep(12 * time.Second)
	b.pictures("paused")
	holds(t, "paused", b.says("document.body.innerText"), "paused", "resume", "bulk")
	if _, err := w.js.ResumeConsumer(t.Context(), subjects.RequestStream(), string(jobs.Bulk)); err != nil {
		t.Fatal(err)
	}
	b.becomes("no longer paused", tone+` === 'well'`, soon)

	w.refuses.Store(true)
	b.becomes("a front end that refuses", tone+` === 'ill' && `+broken("Web Server"), soon)
	time.Sleep(5 * time.Second)
	b.pictures("refusing")
	holds(t, "refusing", b.says("document.body.innerText"), "DELETE", "Do:")
	w.refuses.Store(false)
	b.becomes("let through again", tone+` === 'well'`, time.Minute)

	w.limitResults(0)
	b.becomes("results that are full", tone+` === 'ill' && `+broken("Results"), soon)
	time.Sleep(12 * time.Second)
	b.pictures("full")
	holds(t, "full", b.says("document.body.innerText"), "full", "nats stream edit")
	w.limitResults(-1)
	b.becomes("room again", tone+` === 'well'`, time.Minute)

	if age := time.Since(opened); age < time.Minute || b.says("window.sameAsEver") != "true" || replica.Lives.Load() != 1 {
		t.Errorf("in %v the page opened %d streams, and is the same: %s", age, replica.Lives.Load(), b.says("window.sameAsEver"))
	}
	if everything := b.says("document.documentElement.outerHTML"); strings.Contains(everything, "canary") {
		t.Error("a secret or a name is on the page")
	}
	b.isClean()
	b.goesSilent(replica)
}

// goesSilent stops what serves a page, which must be told within ten seconds.
func (b *tab) goesSilent(r *replica) {
	b.Helper()
	b.mu.Lock()
	b.ending = true // the console tells of a stream that ended
	b.mu.Unlock()
	stopped := time.Now()
	r.stop()
	b.becomes("not live", `!document.getElementById('silent').hidden && document.title.startsWith('Not live')`, 15*time.Second)
	if took := time.Since(stopped); took > 10*time.Second {
		b.Errorf("it took %v to say that the page is not live", took)
	}
	holds(b.T, "silent", b.says("document.getElementById('silent').innerText"), "Not live since ", "UTC")
	b.pictures("silent")
}

// A token that the Web Server refuses is a person's to mend, and the page says how.
func TestPageWithADeadToken(t *testing.T) {
	dir := shots(t)
	w := newWorld(t)
	token := w.sim.Token(1)
	replica := w.start("worker-0", func(c *webserver.Config) {
		c.Username, c.Password = "", nil
		c.Token = func() (string, error) { return token, nil }
	})
	w.flows()
	b := open(t, replica.URL, dir)
	b.becomes("healthy", tone+` === 'well'`, soon)
	time.Sleep(10 * time.Second)
	w.sim.RevokeTokens()
	b.becomes("a dead token", tone+` === 'ill' && `+broken("Web Server"), soon)
	time.Sleep(5 * time.Second)
	b.pictures("token")
	holds(t, "dead token", b.says("document.body.innerText"), "token", "Do:")
	if everything := b.says("document.documentElement.outerHTML"); strings.Contains(everything, "canary") || strings.Contains(everything, strings.TrimPrefix(token, "QSDK ")[:20]) {
		t.Error("a secret or a name is on the page")
	}
	b.isClean()
}

// The page is whole without script, at one moment.
func TestPageWithoutScript(t *testing.T) {
	dir := shots(t)
	w := newWorld(t)
	replica := w.start("worker-0", nil)
	w.flows()
	b := open(t, "about:blank", dir)
	b.origin = replica.URL
	b.withoutScript(replica.URL)
	b.isClean()
}

// broken says that a hop is.
func broken(name string) string {
	return `[...document.querySelectorAll('#path li:not(.well)')].some(li => li.querySelector('h2').textContent === '` + name + `')`
}

func holds(t *testing.T, state, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s: the page does not hold %q:\n%s", state, w, text)
		}
	}
}

package statuspage

import (
	"log/slog"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"logoffworker/jobs"
	"logoffworker/metrics"
)

// parts are those of a real worker's health, in the order of a job's way.
var parts = []string{"token", "nats", "streams", "urgent", "bulk", "results", "webserver", "budget", "protected"}

// A site is a page and what it is made from.
type site struct {
	*testing.T
	metrics *metrics.Metrics
	health  *metrics.Health
	page    *Page
}

func newSite(t *testing.T) *site {
	t.Helper()
	reg := prometheus.NewRegistry()
	s := &site{T: t, metrics: metrics.New(reg, metrics.Build{Version: "1.2.0"}), health: metrics.NewHealth(slog.New(slog.DiscardHandler), parts...)}
	s.page = New(Config{
		Registry: reg, Health: s.health, Metrics: s.metrics, Subjects: jobs.Subjects{Prefix: "logoff"},
		Version: "1.2.0", Worker: "w-1", WebServer: "https://web.example/commandcenter/api", Slots: 4,
		Settings: []Setting{{"LOGOFF_SLOTS", "4"}, {"LOGOFF_WEBSERVER_PASSWORD", "set"}, {"LOGOFF_WORKER_NAME", "w-1"}},
	})
	return s
}

// isWell says that every part is.
func (s *site) isWell() {
	for _, part := range parts {
		s.health.Well(part)
	}
}

// settle tells of jobs with so many sessions of an outcome.
func (s *site) settle(job metrics.SettledJob, outcome jobs.Outcome, n int) {
	for range n {
		job.Sessions = append(job.Sessions, jobs.SessionResult{ID: "EMC11111111-2222-3333-4444-555555555555", Outcome: outcome})
	}
	var settled metrics.Settlement
	settled.Add(job)
	s.metrics.Settled(&settled)
}

// samples notes how things are.
func (s *site) sample() {
	s.Helper()
	now, err := s.page.read()
	if err != nil {
		s.Fatal(err)
	}
	s.page.history.add(now)
}

// whole is the page as somebody sees it who opens it now.
func (s *site) whole() string {
	s.Helper()
	s.page.latest = rendered{}
	return get(s.T, s.page, "/")
}

func get(t *testing.T, page *Page, path string) string {
	t.Helper()
	recorder := httptest.NewRecorder()
	page.ServeHTTP(recorder, httptest.NewRequest("GET", path, nil))
	if recorder.Code != 200 {
		t.Errorf("%s gives %d: %s", path, recorder.Code, recorder.Body)
	}
	return recorder.Body.String()
}

// gauge has the page read a value beside those of the worker.
func (s *site) gauge(name string, of label, value float64) {
	reg := prometheus.NewRegistry()
	gauge := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name}, []string{of.name})
	reg.MustRegister(gauge)
	gauge.WithLabelValues(of.value).Set(value)
	s.page.config.Registry = prometheus.Gatherers{s.page.config.Registry, reg}
}

// holds checks that a page holds words, in this order.
func holds(t *testing.T, page string, words ...string) {
	t.Helper()
	rest := page
	for _, w := range words {
		_, after, found := strings.Cut(rest, w)
		if !found {
			t.Errorf("the page does not hold %q where it should:\n%s", w, page)
			return
		}
		rest = after
	}
}

// The page shows the verdict's own words: whether it is well, and if not, what, since when, what happens by itself, and
// what to do.
func TestPageSaysTheVerdict(t *testing.T) {
	s := newSite(t)
	holds(t, s.whole(), `<title>Starting`, "Starting")
	s.isWell()
	holds(t, s.whole(), `class="well"`, `<title>Well · logoff-worker`, `icon-well.svg`, `id="verdict" class="well"`, s.health.Verdict().Headline)
	s.health.Begin(metrics.Condition{Part: "webserver", Kind: "unavailable", What: "the Web Server does not answer", ByItself: "it is tried again", ToDo: "look at it", Command: "curl it"})
	holds(t, s.whole(), `class="wait"`, `<title>Not well, mends itself: The Web Server does not answer.`, `icon-wait.svg`,
		`<h1 aria-live="polite">The Web Server does not answer.</h1>`, "Since ", "By itself:", "It is tried again.", "Do:", "Look at it.", `<code class="command">curl it</code>`)
	s.health.Begin(metrics.Condition{Part: "results", Kind: "unstored", What: "results cannot be stored", Grave: true})
	page := s.whole()
	holds(t, page, `class="ill"`, `Not well, a person has to act`, "<h1", "Results cannot be stored.", "Waits for a person", "The Web Server does not answer.", "look at it", "curl it")
	s.health.Begin(metrics.Condition{Part: "bulk", Kind: "slow", What: "the lane is slow"})
	holds(t, s.whole(), `class="also"`, "The lane is slow.", "Waits for a person")
	if n := strings.Count(page, "Results cannot be stored."); n != 2 { // title and headline
		t.Errorf("the headline is said %d times", n)
	}
}

// A lane that somebody has paused is neither well nor ill.
func TestPausedLaneHasAColourOfItsOwn(t *testing.T) {
	s := newSite(t)
	s.isWell()
	s.health.Begin(metrics.Condition{Part: "bulk", Kind: "paused", What: "the lane is paused"})
	holds(t, s.whole(), `class="off"`, `<title>Paused: The lane is paused.`, `<li class="off" data-link="off">`, "Stream")
}

// The way of a job shows which link is broken.
func TestBrokenLinkIsInColour(t *testing.T) {
	hops := map[string]string{"nats": "Stream", "streams": "Stream", "urgent": "Stream", "bulk": "Stream", "results": "Results", "webserver": "Web Server", "token": "Web Server", "budget": "Workers", "protected": "Workers", "of a later version": "Workers"}
	for part, want := range hops {
		s := newSite(t)
		s.isWell()
		s.health.Begin(metrics.Condition{Part: part, Kind: "broken_somehow", What: "it is broken", Grave: true})
		now, err := s.page.read()
		if err != nil {
			t.Fatal(err)
		}
		for _, hop := range see(s.page.config, now, past{now.sample}, []status{s.page.own(now, past{now.sample})}).Path {
			if broken := hop.Name == want; broken != (hop.Tone == ill) || broken != (hop.Link == ill) || broken && !strings.Contains(hop.Big+hop.Small, "broken somehow") {
				t.Errorf("%s is broken: %+v", part, hop)
			}
		}
	}
}

// A stream of results that is full is at the end of a job's way, though it is a stream.
func TestFullResultsAreAtTheEndOfTheWay(t *testing.T) {
	s := newSite(t)
	s.isWell()
	s.health.Begin(metrics.Condition{Part: "streams", Kind: "full LOGOFF_RESULTS", What: "it is full", Grave: true, ToDo: "raise its limit: `nats stream edit`"})
	holds(t, s.whole(), `Raise its limit: <code class="command">nats stream edit</code>`, `<li class="well" data-link="well">`, "Stream", `<li class="ill" data-link="ill">`, "Results")
}

// What waits for a person is said with the command to paste.
func TestWhatWaitsForAPersonHasACommand(t *testing.T) {
	s := newSite(t)
	s.isWell()
	if strings.Contains(s.whole(), "Waits for a person") {
		t.Error("something waits for a person where all is well")
	}
	s.gauge("logoff_dead_letters_present", label{"reason", "partial"}, 3)
	s.gauge("logoff_token_renewable_until_timestamp_seconds", label{"of", "us"}, float64(time.Now().Add(99*time.Hour+time.Minute).Unix()))
	s.health.Begin(metrics.Condition{Part: "jobs", Kind: "x", What: "a note", ToDo: "do this", Command: "nats this", Harmless: true})
	holds(t, s.whole(), "Waits for a person", "A note.", "do this", "nats this", "renewed for another 4 d 3 h", "3 dead letters are partial", "nats stream get LOGOFF_DEAD --last-for logoff.dead.partial")
}

// What others choose, a publisher's job or another worker's name, is text and no part of the page.
func TestWhatOthersChooseIsEscaped(t *testing.T) {
	const hostile = `"><script>alert('x')</script><img src=x onerror=alert(1)>`
	s := newSite(t)
	s.isWell()
	s.settle(metrics.SettledJob{ID: hostile, Publisher: hostile, Lane: jobs.Urgent, Status: jobs.Done, Stored: time.Now()}, jobs.LoggedOff, 1)
	s.health.Begin(metrics.Condition{Part: "bulk", Kind: hostile, What: hostile, ToDo: hostile, ByItself: hostile, Command: hostile})
	s.health.Begin(metrics.Condition{Part: "webserver", Kind: hostile, What: hostile + "2", ToDo: hostile, Grave: true})
	s.page.config.Settings = []Setting{{hostile, hostile}}
	s.page.config.WebServer, s.page.config.Worker = hostile, hostile
	other := status{
		Worker: hostile + "3", Version: hostile, State: "broken", Headline: hostile, Settings: []Setting{{hostile, "other"}}, heard: time.Now(),
		Latest: []metrics.FinishedJob{{ID: hostile, Publisher: hostile, Lane: hostile, Status: hostile}}, Sessions: map[string]float64{hostile: 1},
	}
	s.page.fleet.heard = map[string]status{other.Worker: other}
	page := s.whole()
	for _, html := range []string{page, s.page.latest.html["jobs"] + s.page.latest.html["workers"] + s.page.latest.html["verdict"]} {
		if strings.Contains(html, "<script>alert") || strings.Contains(html, "<img") || !strings.Contains(html, "&lt;script&gt;") {
			t.Errorf("it is not escaped:\n%s", html)
		}
	}
}

// No person's name, no session ID and no secret is on the page, or in what a worker tells the others.
func TestPageNamesNobody(t *testing.T) {
	s := newSite(t)
	s.isWell()
	s.settle(metrics.SettledJob{ID: "job-1", Publisher: "soar", Lane: jobs.Urgent, Status: jobs.Done, Users: make([]jobs.UserResult, 1), Stored: time.Now().Add(-time.Second), Took: 900 * time.Millisecond}, jobs.LoggedOff, 3)
	page := s.whole()
	holds(t, page, "Latest jobs", "job-1", "done", "1 person, 3 sessions", "0.90 s", "soar", "urgent")
	if everything := page + string(s.page.Status()); strings.Contains(everything, "11111111") {
		t.Errorf("a session ID is shown:\n%s", everything)
	}
}

// The policy of the page's server forbids what is in the page itself; whatever is fetched is where the page is.
func TestPageNeedsNothingFromElsewhere(t *testing.T) {
	s := newSite(t)
	page := s.whole() + get(t, s.page, "/page.js") + get(t, s.page, "/page.css")
	for _, wrong := range []string{`\sstyle=`, `<style`, `\son[a-z]+="`, `javascript:`, `<script>`, `https?://[^w]`, `url\(`, `@import`} {
		if found := regexp.MustCompile(wrong).FindString(page); found != "" {
			t.Errorf("the page holds %q", found)
		}
	}
	for _, reference := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if target := reference[1]; target != "metrics" && target != "readyz" {
			get(t, s.page, "/"+target)
		}
	}
	for tone := range colours {
		if icon := get(t, s.page, "/icon-"+string(tone)+".svg"); !strings.Contains(icon, "<svg") {
			t.Errorf("the icon of %s is %s", tone, icon)
		}
	}
	if lines := strings.Count(get(t, s.page, "/page.js"), "\n"); lines > 60 {
		t.Errorf("the script has %d lines", lines)
	}
}

// Without script it is a page of one moment, and says of which.
func TestPageWithoutScriptIsNotLive(t *testing.T) {
	s := newSite(t)
	page := s.whole()
	if holds(t, page, "as of ", time.Now().UTC().Format("15:04")); strings.Contains(page, "live · ") {
		t.Error("the page says that it is live")
	}
	if !strings.Contains(s.page.latest.html["top"], "live · ") {
		t.Error("what is sent does not say that it is live")
	}
}

func TestPageShowsLimitsAndSettings(t *testing.T) {
	s := newSite(t)
	s.metrics.Slots(jobs.Urgent, 4)
	holds(t, s.whole(), "Limits", "Requests in flight", "4 of 4", `class="full wait"`, `width="100.0"`, "LOGOFF_SLOTS", "4", "LOGOFF_WEBSERVER_PASSWORD", "set")
}

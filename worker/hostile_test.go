package worker_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"logoffworker/jobs"
	"logoffworker/metrics"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

// The sessions of the three jobs, as [hostileServer.signOn] names them, by the order of their logins.
const (
	plainOne, plainTwo = "ABCD0000-0000-4000-8000-00000000000A", "ABCD0001-0000-4000-8000-00000000000A"
	ownedOne, ownedTwo = "ABCD0002-0000-4000-8000-000000000007", "ABCD0003-0000-4000-8000-000000000007"
)

// A hostileRow is one way to lie or fail, and what is true then.
type hostileRow struct {
	name string
	lies []lie
	// start has the lies begin before the worker does; it is well known to it otherwise.
	start bool
	// before prepares the server, just before the lies begin.
	before func(*hostileServer)
	// client changes the worker's client.
	client func(*hostileServer, *webserver.Config)
	// people are the users of the third job, unless they are john and mary.
	people string
	// What becomes of the three jobs while the lies last: outcomes of sessions whose owner nobody tells, of
	// sessions with their owner, and of users; or waits. Several that are right are separated by blanks, and
	// where nothing is said, all are that are true.
	plain, owned, users string
	// seed is of what happens by chance.
	seed uint64
	// names is what the worker says while a job waits.
	names string
}

const waits = "waits"

// hostileTime is how long the lies last.
const hostileTime = 10 * time.Minute

// Whatever the Web Server says or does not say, no result claims more than the truth, and none says less than what a
// list has shown; a job that has no result waits, and the worker says why; requests are bounded. When the server has
// become honest, all jobs are settled.
func TestHostileWebServer(t *testing.T) {
	for _, row := range hostileRows {
		t.Run(row.name, func(t *testing.T) {
			inBubble(t, row.play)
		})
	}
}

func (row hostileRow) play(t *testing.T) {
	d := newHostileSite(t, row)
	d.publish("logoff.requests",
		`{"id":"plain","sessions":["`+plainOne+`","`+plainTwo+`"]}`,
		`{"id":"owned","sessions":[{"id":"`+ownedOne+`","userId":7},{"id":"`+ownedTwo+`","userId":7}]}`,
		`{"id":"users","users":[`+cmp.Or(row.people, `{"id":8},{"name":"CORP\\mary"}`)+`]}`)
	passes(t, hostileTime)
	results := d.awaitFor(3, time.Second)
	d.judge(results)
	d.judgeWaiting(row)
	d.judgeRequests()
	for job, want := range map[string]string{"plain": row.plain, "owned": row.owned, "users": row.users} {
		if got := outcomesOf(results, job); want != "" && !slices.Contains(strings.Fields(want), got) {
			t.Errorf("while the lies last, %s comes to %q, want %q", job, got, want)
		}
	}
	d.server.lieFrom()
	rest := d.awaitFor(3-len(results), 2*time.Hour)
	d.judge(rest)
	if row.plain != "" {
		d.judgeRest(rest)
	}
	d.judgeKept(append(results, rest...))
	ready, _ := d.worker.health.Ready()
	for begun := time.Now(); !ready && time.Since(begun) < 9*time.Minute; ready, _ = d.worker.health.Ready() {
		passes(t, 15*time.Second)
	}
	passes(t, time.Minute)
	if ready, why := d.worker.health.Ready(); !ready {
		t.Errorf("the server has been honest for minutes, and the worker is not ready: %v", why)
	}
	if t.Failed() {
		t.Logf("asked:\n%s\nlog:\n%s", d.server.journal(), d.log)
	}
}

// A hostileSite is a worker at a hostile server.
type hostileSite struct {
	*site
	server *hostileServer
	worker *running
	before int // requests that were made before the jobs came
}

func newHostileSite(t *testing.T, row hostileRow) *hostileSite {
	d := &hostileSite{site: newSite(t, simulator.Settings{}), server: newHostileServer(t, row.seed)}
	d.dial = d.server.dial
	for _, s := range []struct {
		owner int64
		n     int
	}{{10, 2}, {7, 2}, {8, 2}, {9, 1}, {17, 1}, {18, 1}, {19, 1}} {
		d.server.signOn(s.owner, s.n)
	}
	lie := func() {
		if row.before != nil {
			row.before(d.server)
		}
		d.server.lieFrom(row.lies...)
	}
	if row.start {
		lie()
	}
	d.worker = d.start(options{client: func(c *webserver.Config) {
		if row.client != nil {
			row.client(d.server, c)
		}
	}})
	passes(t, 10*time.Second)
	if !row.start {
		lie()
	}
	d.before = d.server.count("")
	return d
}

// judge compares results with the truth.
func (d *hostileSite) judge(results []jobs.Result) {
	d.t.Helper()
	passes(d.t, time.Second) // a result may be there before the server has noted what it said
	h := d.server
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range results {
		wrong := func(format string, values ...any) {
			d.t.Errorf("job %s, %s: "+format, append([]any{r.JobID, r.Status}, values...)...)
		}
		for _, s := range r.Sessions {
			if problem := h.untrue(s, r.CompletedAt); problem != "" {
				wrong("session %s is %s, and %s", s.ID, s.Outcome, problem)
			}
		}
		for _, u := range r.Users {
			if problem := h.untrueOf(u, r.CompletedAt); problem != "" {
				wrong("user %d%s, %v, is %s (%s), and %s", u.ID, u.Name, u.UserIDs, u.Outcome, u.Error, problem)
			}
		}
	}
	for id, said := range h.said {
		if s := h.session(id); said.asked && (s == nil || s.owner == 1 || s.owner > 10) {
			d.t.Errorf("a document held %s, which no job asks for", id)
		}
	}
}

// untrue says what is not true about the outcome of a session.
func (h *hostileServer) untrue(s jobs.SessionResult, at time.Time) string {
	real, said := h.session(s.ID), h.said[strings.ToUpper(s.ID)]
	list, counts := h.shownTo(real.owner, at)
	shownOn, shown := list.on[strings.ToUpper(s.ID)]
	shown = shown && counts && real.owner != 10
	switch {
	case s.Outcome.Over() && !real.over(at):
		return "it is on"
	case s.Outcome.Over() || s.Outcome == jobs.Protected && real.owner == 1:
	case shown && !shownOn:
		return "a list has shown its end"
	case s.Outcome == jobs.Accepted && len(said.yes) == 0:
		return "no success was said of it"
	case s.Outcome == jobs.StillActive && !shownOn && real.over(at):
		return "it has ended, and no list shows it as on"
	case s.Outcome == jobs.Rejected && len(said.no) == 0:
		return "it was never refused alone"
	case s.Outcome == jobs.Undecided && s.ServerText == "":
		return "nothing says why"
	case !slices.Contains([]jobs.Outcome{jobs.Accepted, jobs.StillActive, jobs.Rejected, jobs.Undecided}, s.Outcome):
		return "there is no reason for that"
	}
	return ""
}

// untrueOf says what is not true about the outcome of a user.
func (h *hostileServer) untrueOf(u jobs.UserResult, at time.Time) string {
	on, alive := 0, 0
	owner := u.ID
	if u.Name != "" {
		owner = 9
	}
	list, shown := h.shownTo(owner, at)
	for _, s := range h.sessions {
		if s.owner == owner && !s.over(at) {
			alive++
		}
		if list.on[strings.ToUpper(s.id)] {
			on++
		}
	}
	switch {
	case u.Outcome.Success() && alive > 0 && !h.unseen[owner]:
		return fmt.Sprintf("%d sessions are on", alive)
	case u.Outcome.Success(), u.Outcome == jobs.UserProtected && owner == 1:
	case shown && list.whole && on == 0:
		return "a list has shown that nothing is on"
	case u.Outcome == jobs.UserStillActive && on+alive == 0:
		return "nothing is on, nor shown as on"
	case u.Outcome == jobs.UserUndecided && u.Error == "":
		return "nothing says why"
	case u.Outcome == jobs.UserUnknown && h.denied:
	case u.Outcome != jobs.UserStillActive && u.Outcome != jobs.UserUndecided:
		return "there is no reason for that"
	}
	return ""
}

// judgeWaiting checks that jobs without a result are in the stream, and that the worker says why.
func (d *hostileSite) judgeWaiting(row hostileRow) {
	d.t.Helper()
	waiting, results := d.left(), d.count(d.subjects.ResultStream())
	if waiting+results != 3 {
		d.t.Errorf("%d results, and %d jobs in the stream", results, waiting)
	}
	ready, conditions := d.worker.health.Ready()
	if waiting == 0 || row.names == "" {
		return
	}
	if ready || !slices.ContainsFunc(conditions, func(c metrics.Condition) bool { return strings.Contains(c.String(), row.names) }) {
		d.t.Errorf("%d jobs wait, ready is %v, and nothing names %q: %v", waiting, ready, row.names, conditions)
	}
}

// The most requests that three jobs may cost while the Web Server does not what it should: three times what is
// ideal, what splitting costs, and the tries of a circuit breaker in that time, each with a harmless question.
const (
	mostTries    = 200
	mostLogoffs  = 3*3 + 2*7 + mostTries
	mostRequests = 2*mostLogoffs + 3*3
)

func (d *hostileSite) judgeRequests() {
	d.t.Helper()
	if n := d.server.count("logoff"); n > mostLogoffs {
		d.t.Errorf("%d logoffs in %v", n, hostileTime)
	}
	if n := d.server.count("") - d.before; n > mostRequests {
		d.t.Errorf("%d requests in %v, %d of them logoffs, %d pings, %d lists, %d look-ups, %d logins and %d renewals", n, hostileTime, d.server.count("logoff"),
			d.server.count("ping"), d.server.count("sessions"), d.server.count("user"), d.server.count("login"), d.server.count("renew"))
	}
}

// judgeRest checks what becomes of jobs that have waited until the server was honest again.
func (d *hostileSite) judgeRest(results []jobs.Result) {
	d.t.Helper()
	for _, r := range results {
		for _, s := range r.Sessions {
			if r.JobID != "plain" && !s.Outcome.Over() {
				d.t.Errorf("the server is honest again, and a session of %s is %s (%s)", r.JobID, s.Outcome, s.ServerText)
			}
		}
		for _, u := range r.Users {
			if !u.Outcome.Success() {
				d.t.Errorf("the server is honest again, and a user is %s (%s)", u.Outcome, u.Error)
			}
		}
	}
}

// judgeKept checks that each job has one result, and each that was not done a dead letter.
func (d *hostileSite) judgeKept(results []jobs.Result) {
	d.t.Helper()
	letters, seen := 0, map[string]int{}
	for _, r := range results {
		seen[r.JobID]++
		if !r.Status.Success() {
			letters++
		}
	}
	if len(results) != 3 || len(seen) != 3 || d.left() != 0 || d.deadLetters() != uint64(letters) {
		d.t.Errorf("results of %v, %d jobs in the stream, %d dead letters of %d", seen, d.left(), d.deadLetters(), letters)
	}
}

// outcomesOf are the outcomes of a job's users, or else of its sessions, each once; waits without a result.
func outcomesOf(results []jobs.Result, id string) string {
	i := slices.IndexFunc(results, func(r jobs.Result) bool { return r.JobID == id })
	if i < 0 {
		return waits
	}
	var all []string
	for _, u := range results[i].Users {
		all = append(all, string(u.Outcome))
	}
	if len(all) == 0 {
		for _, s := range results[i].Sessions {
			all = append(all, string(s.Outcome))
		}
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), "+")
}

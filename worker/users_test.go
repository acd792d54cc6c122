package worker

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/gate"
	"logoffworker/worker/roster"
	"logoffworker/worker/webserver"
)

// A listRow is a session as the Web Server lists it.
type listRow struct {
	id    string
	login time.Time // zero is long ago
	off   bool
	own   bool
}

// listsOf are lists as a Web Server tells them that has these rows of users, and refuses to list the others. Those
// of late users come too late.
func listsOf(t *testing.T, change func(*Worker), rows map[int64][]listRow, late ...int64) (*Worker, roster.Lists) {
	t.Helper()
	w := preparedWorker(t, change, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		owner, _ := strconv.ParseInt(r.URL.Query().Get("userId"), 10, 64)
		listed, known := rows[owner]
		if !known {
			rw.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(rw, `{"errorMessage":"no list","errorCode":5}`)
			return
		}
		var list []string
		for _, row := range listed {
			login, logout := row.login, 0
			if login.IsZero() {
				login = time.Unix(1000, 0)
			}
			if row.off {
				logout = 2000
			}
			list = append(list, fmt.Sprintf(`{"sessionId":%q,"loginTime":%d,"logoutTime":%d,"user":{"userId":%d},"isCurrentSession":%t}`, row.id, login.Unix(), logout, owner, row.own))
		}
		_, _ = fmt.Fprintf(rw, `{"sessions":[%s]}`, strings.Join(list, ","))
	})
	wanted := roster.Wanted{}
	for owner := int64(1); owner <= 10; owner++ {
		var until time.Time
		if slices.Contains(late, owner) {
			until = time.Unix(1, 0)
		}
		wanted.Want(owner, until)
	}
	return w, w.roster.Shown(gate.Urgent, wanted)
}

// many are so many rows that a list may be cut, in no order that would tell more.
func many(n int) (rows []listRow) {
	for i := range n {
		rows = append(rows, listRow{id: fmt.Sprint("many-", i), off: true, login: time.Unix(int64(1000+i*7%50), 0)})
	}
	return rows
}

// What lists tell about a user: whether something is on, and otherwise how the user ends, and why.
func TestUserEndsAsTheListsTell(t *testing.T) {
	const guid = "CF1C660B-396F-44B7-86DA-5608CEC97453"
	event := time.Now().Add(-time.Hour).Truncate(time.Second)
	newer := event.Add(2 * time.Minute)
	w, all := listsOf(t, func(w *Worker) { w.Config.ProtectedSessions = []string{guid} }, map[int64][]listRow{
		1: {{id: "on"}, {id: "off", off: true}},
		2: {{id: "gone", off: true}},
		3: {{id: "mine", own: true}, {id: "gone", off: true}},
		4: {{id: guid}},
		5: {{id: "new", login: newer}},
		6: {},
		7: many(50),
		8: {{id: "just", login: event.Add(30 * time.Second)}},
	}, 10) // the list of 9 is refused
	past, r := time.Unix(1, 0), &reader{w: w}
	for name, test := range map[string]struct {
		user    user
		job     jobs.Job
		sent    bool
		rounds  int
		on      bool
		targets string
		outcome jobs.UserOutcome
		says    string
		newer   int
	}{
		"something is on":            {user: user{ids: []int64{1}}, on: true, targets: "on"},
		"of the first":               {user: user{ids: []int64{1, 2}}, on: true, targets: "on"},
		"of the second":              {user: user{ids: []int64{2, 1}}, on: true, targets: "on"},
		"on, and another is refused": {user: user{ids: []int64{9, 1}}, on: true, targets: "on"},
		"on after all rounds":        {user: user{ids: []int64{1}}, rounds: mostRounds, on: true},
		"on in the last round":       {user: user{ids: []int64{1}}, rounds: mostRounds - 1, on: true, targets: "on"},
		"on, and too late to end":    {user: user{ids: []int64{1}}, job: jobs.Job{NotAfter: past}, on: true},
		"nothing was on":             {user: user{ids: []int64{2}}, outcome: jobs.UserNothingOn, says: "nothing was on"},
		"all has ended":              {user: user{ids: []int64{2}, found: true}, outcome: jobs.UserOff},
		"its own":                    {user: user{ids: []int64{3}}, outcome: jobs.UserProtected},
		"a protected session":        {user: user{ids: []int64{4}, found: true}, outcome: jobs.UserProtected},
		"a protected namesake":       {user: user{ids: []int64{2}, shielded: true}, outcome: jobs.UserProtected},
		"newer":                      {user: user{ids: []int64{5}}, job: jobs.Job{EventTime: event}, outcome: jobs.UserNothingOn, says: "after eventTime: 1", newer: 1},
		"newer beside what has ended": {
			user: user{ids: []int64{5}, found: true, newer: 7}, job: jobs.Job{EventTime: event}, outcome: jobs.UserOff, says: "after eventTime: 1", newer: 1,
		},
		"newer is meant, too":    {user: user{ids: []int64{5}}, job: jobs.Job{EventTime: event, IncludeNewer: true}, on: true, targets: "new"},
		"no event":               {user: user{ids: []int64{5}}, on: true, targets: "new"},
		"within the tolerance":   {user: user{ids: []int64{8}}, job: jobs.Job{EventTime: event}, on: true, targets: "just"},
		"an empty list":          {user: user{ids: []int64{6}}, outcome: jobs.UserUndecided, says: "nothing is listed as on, but"},
		"a list that may be cut": {user: user{ids: []int64{7}}, outcome: jobs.UserUndecided, says: "nothing is listed as on, but"},
		"cut, and ended":         {user: user{ids: []int64{7}, found: true}, outcome: jobs.UserUndecided, says: "any more"},
		"the first is cut":       {user: user{ids: []int64{7, 2}}, outcome: jobs.UserUndecided, says: "may be cut"},
		"the second is cut":      {user: user{ids: []int64{2, 7}}, outcome: jobs.UserUndecided, says: "may be cut"},
		"refused":                {user: user{ids: []int64{9}}, outcome: jobs.UserUndecided, says: "no list"},
		"refused, and overdue":   {user: user{ids: []int64{9}}, job: jobs.Job{NotAfter: past}, outcome: jobs.UserUndecided, says: "no list"},
		"too late":               {user: user{ids: []int64{10}}, job: jobs.Job{NotAfter: past}, outcome: jobs.UserExpired},
		"too late, but sent":     {user: user{ids: []int64{10}}, job: jobs.Job{NotAfter: past}, sent: true, outcome: jobs.UserUndecided, says: "no time"},
		"no time, not overdue":   {user: user{ids: []int64{10}}, outcome: jobs.UserUndecided, says: "no time"},
	} {
		d := &delivery{job: test.job, rounds: test.rounds}
		if test.sent {
			d.targets, d.sessions = []jobs.Session{{ID: "x"}}, []jobs.SessionResult{{Outcome: jobs.Accepted}}
		}
		before, u, found := len(d.targets), test.user, test.user.found
		on := r.look(d, &u, all)
		var added []string
		for _, s := range d.targets[before:] {
			added = append(added, s.ID)
		}
		if on != test.on || strings.Join(added, " ") != test.targets || u.outcome != test.outcome || u.newer != test.newer || u.found != (found || on) {
			t.Errorf("%s: on is %t, %v is to be ended, %+v", name, on, added, u)
		}
		if !strings.Contains(u.problem, test.says) || test.outcome == jobs.UserOff && test.newer == 0 && u.problem != "" {
			t.Errorf("%s: it says %q, want %q", name, u.problem, test.says)
		}
	}
}

// In an old list, what was sent may have ended since; in a new one, it is on.
func TestOldListShowsOnlyWhatWasNotSent(t *testing.T) {
	r := &reader{w: preparedWorker(t, nil, nil)}
	sent, other := webserver.Listed{ID: "SENT", UserID: 7}, webserver.Listed{ID: "other", UserID: 7}
	for name, test := range map[string]struct {
		row     webserver.Listed
		problem string
		on      bool
		targets int
	}{
		"old, sent":  {sent, "old", false, 1},
		"old, other": {other, "old", true, 2},
		"new, sent":  {sent, "", true, 1},
		"new, other": {other, "", true, 2},
	} {
		d := jobNaming("sent")
		on := r.lookAt(d, &user{}, roster.List{Listing: webserver.Listing{Sessions: []webserver.Listed{test.row}}, Problem: test.problem})
		if on != test.on || len(d.targets) != test.targets || len(d.sessions) != test.targets || d.left != test.targets {
			t.Errorf("%s: on is %t, and %d sessions are to be ended", name, on, len(d.targets))
		}
		if known := d.targets[0].UserID == 7; known != (name == "new, sent") || d.job.Sessions[0].UserID != 0 {
			t.Errorf("%s: the owner is %d, and %d in the job itself", name, d.targets[0].UserID, d.job.Sessions[0].UserID)
		}
	}
}

// Jobs of few users are looked up together, and each of many by itself.
func TestJobsOfManyUsersAreLookedUpApart(t *testing.T) {
	small, large := &delivery{users: make([]*user, usersAtOnce)}, &delivery{users: make([]*user, usersAtOnce+1)}
	for i, test := range []struct{ all, want []*delivery }{
		{nil, nil}, {[]*delivery{small, small}, []*delivery{small}}, {[]*delivery{small, large, large}, []*delivery{large, large, small}}, {[]*delivery{large}, []*delivery{large}},
	} {
		var firsts []*delivery
		for _, group := range apart(test.all) {
			firsts = append(firsts, group[0])
		}
		if !slices.Equal(firsts, test.want) {
			t.Errorf("%d: %d groups", i, len(firsts))
		}
	}
}

// A user whose end nobody knows is undecided, and one that has ended before stays as it is.
func TestUserHasAnOutcomeInTheResult(t *testing.T) {
	if got := (&user{}).result().Outcome; got != jobs.UserUndecided {
		t.Errorf("without an end it is %s", got)
	}
	wrong, open := &user{}, &user{}
	wrong.end(jobs.UserInvalid, "no user")
	d := &delivery{users: []*user{wrong, open}}
	d.expireUsers()
	if a, b := wrong.result(), open.result(); a.Outcome != jobs.UserInvalid || a.Error != "no user" || b.Outcome != jobs.UserExpired || b.Error == "" {
		t.Errorf("%+v, %+v", a, b)
	}
}

// A user is who the Web Server says, unless that is somebody who is left alone; why nobody is found is told. At a stop
// nothing is, and who has ended before is not asked about.
func TestUserIsWhomTheWebServerKnows(t *testing.T) {
	var refuses atomic.Bool
	answers := func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		if strings.Contains(r.URL.Path, "byName") {
			rw.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if refuses.Load() {
			rw.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(rw, `{"errorMessage":"no users","errorCode":5}`)
			return
		}
		var users []string
		for id, address := range []string{7: "boss", 8: "both", 9: "one"} {
			if address != "" {
				email := strings.Replace(address, "boss", "both", 1)
				users = append(users, fmt.Sprintf(`{"id":%d,"name":"u%d","fullName":"U %d","email":"%s@corp.example","userPrincipalName":"%s@corp.example","company":{"id":0,"name":""}}`, id, id, id, email, address))
			}
		}
		_, _ = fmt.Fprintf(rw, `{"numberOfUsers":%d,"users":[%s]}`, len(users), strings.Join(users, ","))
	}
	for name, test := range map[string]struct {
		address  string
		change   func(*Worker)
		protects string // beside 7
		within   time.Duration
		refuses  bool
		ended    bool // before
		ids      []int64
		shielded bool
		outcome  jobs.UserOutcome
		says     string
	}{
		"one":                    {address: "one", ids: []int64{9}},
		"nobody":                 {address: "nobody", outcome: jobs.UserUnknown, says: "knows nobody of that name"},
		"protected":              {address: "boss", ids: []int64{7}, shielded: true, outcome: jobs.UserProtected, says: "left alone"},
		"two, one is protected":  {address: "both", ids: []int64{8}, shielded: true},
		"the look-up is refused": {address: "one", refuses: true, outcome: jobs.UserUndecided, says: "not looked up: "},
		"too late":               {address: "one", within: -time.Hour, outcome: jobs.UserExpired, says: "notAfter passed before"},
		"a stop":                 {address: "one", change: stoppedWorker},
		"who is protected is unknown until it is too late": {address: "one", protects: "chief", within: 50 * time.Millisecond, outcome: jobs.UserExpired, ids: []int64{9}},
		"ended before": {address: "one", ended: true, outcome: jobs.UserInvalid, says: "no user"},
	} {
		refuses.Store(test.refuses)
		w := preparedWorker(t, func(w *Worker) {
			w.Config.ProtectedUsers = []string{"7", test.protects}
			if test.change != nil {
				test.change(w)
			}
		}, answers)
		u := &user{named: jobs.User{Email: test.address + "@corp.example"}}
		if test.ended {
			u.end(jobs.UserInvalid, "no user")
		}
		d := &delivery{users: []*user{u}}
		if test.within != 0 {
			d.job.NotAfter = time.Now().Add(test.within)
		}
		(&reader{w: w, lane: jobs.Urgent}).lookUpEach([]*delivery{d})
		if !slices.Equal(u.ids, test.ids) || u.shielded != test.shielded || u.outcome != test.outcome || !strings.Contains(u.problem, test.says) {
			t.Errorf("%s: %+v", name, u)
		}
	}
}

// A list decides about a user of whom nothing is known yet, or who ended undecided for want of it.
func TestListIsNewsOnlyOfUsersWhomItMayDecide(t *testing.T) {
	_, all := listsOf(t, nil, map[int64][]listRow{1: {{id: "on"}}}) // the others are refused
	for name, test := range map[string]struct {
		user user
		open bool
	}{
		"not decided":                  {user{ids: []int64{2}}, true},
		"decided":                      {user{ids: []int64{1}, outcome: jobs.UserUndecided}, false},
		"undecided for want of a list": {user{ids: []int64{1}, outcome: jobs.UserUndecided, unlisted: true}, true},
		"which is not there still":     {user{ids: []int64{2}, outcome: jobs.UserUndecided, unlisted: true}, false},
		"of which one is there by now": {user{ids: []int64{1, 2}, outcome: jobs.UserUndecided, unlisted: true}, false},
	} {
		if got := test.user.open(all); got != test.open {
			t.Errorf("%s: %t", name, got)
		}
	}
}

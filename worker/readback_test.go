package worker

import (
	"slices"
	"testing"
	"time"

	"logoffworker/jobs"
)

// What a list says of a session counts for what was sent, and for what expired unsent.
func TestReadBackTakesOverWhatTheListSays(t *testing.T) {
	_, all := listsOf(t, nil, map[int64][]listRow{1: {{id: "on"}, {id: "off", off: true}}, 2: many(50)})
	const text = "words of the Web Server"
	for name, test := range map[string]struct {
		target   jobs.Session
		before   jobs.Outcome
		attempts int
		last     bool
		after    jobs.Outcome
		waits    bool
	}{
		"accepted and off":               {jobs.Session{ID: "OFF", UserID: 1}, jobs.Accepted, 1, false, jobs.LoggedOff, false},
		"off, whose owner nobody told":   {jobs.Session{ID: "off"}, jobs.Accepted, 1, false, jobs.LoggedOff, false},
		"undecided and off":              {jobs.Session{ID: "off", UserID: 1}, jobs.Undecided, 1, false, jobs.AlreadyLoggedOff, false},
		"rejected and off":               {jobs.Session{ID: "off", UserID: 1}, jobs.Rejected, 1, false, jobs.AlreadyLoggedOff, false},
		"expired and off":                {jobs.Session{ID: "off", UserID: 1}, jobs.Expired, 0, false, jobs.AlreadyLoggedOff, false},
		"protected and off":              {jobs.Session{ID: "off", UserID: 1}, jobs.Protected, 0, true, jobs.Protected, false},
		"accepted and gone":              {jobs.Session{ID: "gone", UserID: 1}, jobs.Accepted, 1, false, jobs.NotFound, false},
		"accepted and on":                {jobs.Session{ID: "on", UserID: 1}, jobs.Accepted, 1, false, jobs.Accepted, true},
		"accepted and on in the end":     {jobs.Session{ID: "on", UserID: 1}, jobs.Accepted, 1, true, jobs.StillActive, false},
		"undecided and on in the end":    {jobs.Session{ID: "on", UserID: 1}, jobs.Undecided, 1, true, jobs.StillActive, false},
		"undecided, and never sent":      {jobs.Session{ID: "on", UserID: 1}, jobs.Undecided, 0, false, jobs.Undecided, false},
		"rejected and on":                {jobs.Session{ID: "on", UserID: 1}, jobs.Rejected, 1, false, jobs.Rejected, false},
		"rejected and on in the end":     {jobs.Session{ID: "on", UserID: 1}, jobs.Rejected, 1, true, jobs.Rejected, false},
		"expired and on":                 {jobs.Session{ID: "on", UserID: 1}, jobs.Expired, 1, false, jobs.Expired, false},
		"expired and on in the end":      {jobs.Session{ID: "on", UserID: 1}, jobs.Expired, 1, true, jobs.Expired, false},
		"not in a list that may be cut":  {jobs.Session{ID: "on", UserID: 2}, jobs.Accepted, 1, true, jobs.Accepted, false},
		"the list is refused":            {jobs.Session{ID: "on", UserID: 3}, jobs.Accepted, 1, true, jobs.Accepted, false},
		"nobody told whose it is":        {jobs.Session{ID: "nobody's"}, jobs.Accepted, 1, true, jobs.Accepted, false},
		"the owner's list was not asked": {jobs.Session{ID: "on", UserID: 77}, jobs.Accepted, 1, true, jobs.Accepted, false},
	} {
		d := &delivery{targets: []jobs.Session{test.target}, sessions: []jobs.SessionResult{{Outcome: test.before, Attempts: test.attempts, ServerText: text}}}
		waits := (&reader{}).takeOver(d, all, test.last)
		after := d.sessions[0]
		if waits != test.waits || after.Outcome != test.after {
			t.Errorf("%s: it is %s, and waited for %t; want %s, %t", name, after.Outcome, waits, test.after, test.waits)
		}
		changed := test.after != test.before
		if cleared := changed && after.Outcome.Success(); (after.ServerText == "") != cleared || d.completed.IsZero() == changed {
			t.Errorf("%s: %q is said, complete at %v", name, after.ServerText, d.completed)
		}
	}
}

// Only the lists of those owners are read that can say more.
func TestOnlyDoubtsAreReadBack(t *testing.T) {
	d := &delivery{
		targets:  []jobs.Session{{UserID: 1}, {UserID: 2}, {UserID: 3}, {UserID: 4}, {UserID: 5}, {}},
		sessions: []jobs.SessionResult{{Outcome: jobs.Accepted}, {Outcome: jobs.Undecided}, {Outcome: jobs.Rejected}, {Outcome: jobs.Protected}, {Outcome: jobs.LoggedOff}, {Outcome: jobs.Accepted}},
		users:    []*user{{ids: []int64{11, 12}}, {ids: []int64{13}, outcome: jobs.UserOff}},
	}
	for on, want := range map[bool][]int64{true: {1, 2, 3, 11, 12}, false: {11, 12}} {
		r := &reader{w: &Worker{Config: Config{ReadBack: on}}}
		if got := r.doubtful(d); !slices.Equal(got, want) {
			t.Errorf("with read-back %t: %v, want %v", on, got, want)
		}
	}
}

// Lists of users are worth waiting for until notAfter; all others, and those of what was sent, for a while only.
func TestListsAreWaitedForAsLongAsTheyAreWorth(t *testing.T) {
	soon := time.Unix(1000, 0)
	before, after := soon.Add(-1), soon.Add(1)
	for name, test := range map[string]struct {
		users, sent bool
		notAfter    time.Time
		want        time.Time
	}{
		"sessions":                       {false, true, time.Time{}, soon},
		"sessions with notAfter":         {false, true, after, soon},
		"sessions that were not sent":    {false, false, before, soon},
		"users":                          {true, true, time.Time{}, time.Time{}},
		"users with notAfter":            {true, true, after, after},
		"users, soon overdue":            {true, false, before, before},
		"users, soon overdue, and sent":  {true, true, before, soon},
		"users, not sent, with notAfter": {true, false, after, after},
	} {
		d := &delivery{job: jobs.Job{NotAfter: test.notAfter}}
		if test.users {
			d.users = []*user{{}}
		}
		if test.sent {
			d.sessions = []jobs.SessionResult{{Outcome: jobs.Accepted}}
		}
		if got := d.listUntil(soon); !got.Equal(test.want) {
			t.Errorf("%s: until %v, want %v", name, got, test.want)
		}
	}
}

// What the lists add to a job is to be ended and looked at again; what stays on at the last look is told.
func TestLookAddsOrWaitsOrTells(t *testing.T) {
	w, all := listsOf(t, nil, map[int64][]listRow{1: {{id: "on"}}, 2: {{id: "off", off: true}}})
	for name, test := range map[string]struct {
		user      user
		session   jobs.Session
		rounds    int
		last      bool
		added, on bool
		outcome   jobs.UserOutcome
		session1  jobs.Outcome
	}{
		"something is on":             {user: user{ids: []int64{1}}, added: true},
		"on at the last look":         {user: user{ids: []int64{1}}, last: true, added: true},
		"after all rounds":            {user: user{ids: []int64{1}}, rounds: mostRounds, on: true},
		"after all rounds, the last":  {user: user{ids: []int64{1}}, rounds: mostRounds, last: true, outcome: jobs.UserStillActive},
		"nothing is on":               {user: user{ids: []int64{2}}, outcome: jobs.UserNothingOn},
		"ended before":                {user: user{ids: []int64{1}, outcome: jobs.UserOff}, outcome: jobs.UserOff},
		"a session is on":             {user: user{ids: []int64{2}}, session: jobs.Session{ID: "on", UserID: 1}, on: true, outcome: jobs.UserNothingOn, session1: jobs.Accepted},
		"a session is on in the end":  {user: user{ids: []int64{2}}, session: jobs.Session{ID: "on", UserID: 1}, last: true, outcome: jobs.UserNothingOn, session1: jobs.StillActive},
		"the last look is none, then": {user: user{ids: []int64{1}}, session: jobs.Session{ID: "on2", UserID: 1}, last: true, added: true, session1: jobs.NotFound},
	} {
		u := test.user
		d := &delivery{key: name, lane: jobs.Urgent, users: []*user{&u}, rounds: test.rounds}
		if test.session.ID != "" {
			d.targets, d.sessions = []jobs.Session{test.session}, []jobs.SessionResult{{Outcome: jobs.Accepted, Attempts: 1}}
		}
		w.leases.takeOn(d)
		q := newQueue(true)
		added, on := (&reader{w: w, queue: q}).apply(d, all, test.last)
		if added != test.added || on != test.on || u.outcome != test.outcome {
			t.Errorf("%s: added %t, on %t, %+v", name, added, on, u)
		}
		if test.session.ID != "" && d.sessions[0].Outcome != test.session1 {
			t.Errorf("%s: the session is %s, want %s", name, d.sessions[0].Outcome, test.session1)
		}
		waiting, _ := q.length()
		if (waiting > 0) != added || d.rounds-test.rounds != waiting || added && d.weight != len(d.targets)+1 {
			t.Errorf("%s: %d sessions wait in round %d, the job weighs %d", name, waiting, d.rounds, d.weight)
		}
	}
}

package worker

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/webserver"
)

// jobNaming is a job with these sessions.
func jobNaming(ids ...string) *delivery {
	d := &delivery{lane: jobs.Urgent, left: len(ids), sessions: make([]jobs.SessionResult, len(ids))}
	for _, id := range ids {
		d.job.Sessions = append(d.job.Sessions, jobs.Session{ID: id})
	}
	d.targets = d.job.Sessions
	return d
}

// queued are the sessions of jobs that wait, as one document.
func queued(q *queue, ds ...*delivery) document {
	for _, d := range ds {
		q.add(d, 0, 100)
	}
	return q.cut(1000, 1<<20)
}

// However many jobs ask, a session waits once; one that has an outcome does not wait.
func TestQueueHoldsASessionOnce(t *testing.T) {
	for fold, want := range map[bool]string{true: "a b", false: "a b A"} {
		q := newQueue(fold)
		done := jobNaming("x", "b")
		done.sessions[0].Outcome = jobs.Protected
		doc := queued(q, jobNaming("a"), done, jobNaming("A", "b"))
		if got := strings.Join(doc.ids(), " "); got != want {
			t.Errorf("regardless of case %t: %s wait, want %s", fold, got, want)
		}
		if n := len(doc[1].askers); n != 2 {
			t.Errorf("%d jobs ask for b", n)
		}
	}
}

// Sessions of large jobs wait apart, and take the room that the others leave.
func TestSmallJobsAreCutFirst(t *testing.T) {
	q := newQueue(true)
	q.add(jobNaming("l1", "l2", "l3"), 0, 2)
	if all, small := q.length(); all != 3 || small != 0 || !q.onlyLarge() {
		t.Errorf("%d wait, %d of small jobs", all, small)
	}
	q.add(jobNaming("s1", "s2"), 0, 2)
	if all, small := q.length(); all != 5 || small != 2 || q.onlyLarge() {
		t.Errorf("%d wait, %d of small jobs", all, small)
	}
	two := webserver.DocumentOverhead + 2*webserver.SessionSize("s1")
	for i, test := range []struct {
		count, size int
		want        string
	}{{1, 1 << 20, "s1"}, {2, 1 << 20, "s2 l1"}, {9, 1, "l2"}, {0, 1 << 20, ""}, {9, two, "l3"}, {9, two, ""}} {
		if got := strings.Join(q.cut(test.count, test.size).ids(), " "); got != test.want {
			t.Errorf("document %d is %q, want %q", i, got, test.want)
		}
	}
	q.add(jobNaming("a1", "a2", "a3"), 0, 9)
	if got := q.cut(9, two).ids(); len(got) != 2 {
		t.Errorf("%v are in a document for two", got)
	}
}

// Whose a session is counts as known once the Web Server has said it for one job.
func TestOwnerIsKnownWhereASessionWasFound(t *testing.T) {
	found := jobNaming("a", "b")
	found.job.Sessions = nil
	found.lists = 3
	named := jobNaming("a", "c")
	named.lists = 2
	for name, ds := range map[string][]*delivery{"found first": {found, named}, "named first": {named, found}} {
		q := newQueue(true)
		doc := queued(q, ds...)
		unconfirmed, others, lists := q.unconfirmed(doc)
		if ids := others.ids(); !slices.Equal(unconfirmed.ids(), []string{"c"}) || len(ids) != 2 || lists != 2 {
			t.Errorf("%s: %v are not known, %v are, for %d lists", name, unconfirmed.ids(), ids, lists)
		}
	}
}

func TestAskersLeaveWhenTheirTimeIsUp(t *testing.T) {
	synctest.Test(t, testAskersLeaveWhenTheirTimeIsUp)
}

func testAskersLeaveWhenTheirTimeIsUp(t *testing.T) {
	now := time.Now()
	q := newQueue(true)
	passed, just, inTime, ever := jobNaming("a"), jobNaming("a"), jobNaming("a"), jobNaming("a", "b")
	passed.job.NotAfter, just.job.NotAfter, inTime.job.NotAfter = now.Add(-1), now, now.Add(1)
	doc := queued(q, inTime, passed, just, ever)
	if got := q.deadline(doc); !got.Equal(passed.job.NotAfter) {
		t.Errorf("the deadline is %v", got)
	}
	askers, kept := q.leave(doc, late)
	var gone []*delivery
	for _, a := range askers {
		gone = append(gone, a.d)
	}
	if !slices.Equal(gone, []*delivery{passed, just}) || !slices.Equal(kept, doc) || q.known["A"] != doc[0] {
		t.Errorf("%d jobs have no more time, %v are still asked for", len(gone), kept.ids())
	}
	if got := q.askers(doc); !maps.Equal(got, map[*delivery]int{inTime: 1, ever: 2}) {
		t.Errorf("%v ask", got)
	}
}

// A session that nobody asks for is forgotten, and one that has come anew since is not.
func TestSessionIsForgottenWithItsLastAsker(t *testing.T) {
	q := newQueue(true)
	doc := queued(q, jobNaming("a"))
	if gone, kept := q.leave(doc, whoever); len(gone) != 1 || len(kept) != 0 || len(q.known) != 0 {
		t.Errorf("%d jobs asked, and %d sessions are known", len(gone), len(q.known))
	}
	anew := queued(q, jobNaming("a"))
	if gone, kept := q.leave(doc, whoever); len(gone) != 0 || len(kept) != 0 || q.known["A"] != anew[0] {
		t.Error("the session that came anew is forgotten")
	}
}

func TestOwnerIsThatOfWhoeverTells(t *testing.T) {
	q := newQueue(true)
	tells, silent := jobNaming("a", "b"), jobNaming("a", "b")
	tells.targets[0].UserID = 7
	doc := queued(q, tells, silent)
	if got := q.owners(doc); !maps.Equal(got, map[*session]int64{doc[0]: 7}) {
		t.Errorf("%v", got)
	}
}

// A request has the trace of its jobs if all of them have the same.
func TestTraceIsThatOfAllJobs(t *testing.T) {
	const one, other = jobs.Trace("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), jobs.Trace("00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	for name, test := range map[string]struct {
		traces []jobs.Trace
		want   jobs.Trace
	}{
		"one":           {[]jobs.Trace{one}, one},
		"none":          {[]jobs.Trace{""}, ""},
		"the same":      {[]jobs.Trace{one, one}, one},
		"two":           {[]jobs.Trace{one, other}, ""},
		"one of two":    {[]jobs.Trace{one, ""}, ""},
		"two and none":  {[]jobs.Trace{one, "", other}, ""},
		"nobody's work": {nil, ""},
	} {
		q := newQueue(true)
		var ds []*delivery
		for _, trace := range test.traces {
			d := jobNaming("a")
			d.trace = trace
			ds = append(ds, d)
		}
		if got := q.trace(queued(q, ds...)); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

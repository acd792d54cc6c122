package worker

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/gate"
	"logoffworker/worker/webserver"
)

// A session that stood alone is rejected by a word about it, and undecided without one.
func TestFailureIsWhatTheAnswerSays(t *testing.T) {
	for verdict, want := range map[webserver.Verdict]jobs.Outcome{
		webserver.Refused: jobs.Rejected, webserver.TooLarge: jobs.Rejected, webserver.Undecided: jobs.Undecided, webserver.Unavailable: jobs.Undecided,
	} {
		got := reply{request: "w-1", problem: &webserver.Error{Verdict: verdict, Text: "words"}}.failure()
		if got.Outcome != want || got.RequestID != "w-1" || got.ServerText != "words" {
			t.Errorf("%v: %+v", verdict, got)
		}
	}
	if (reply{}).is(webserver.Undecided) {
		t.Error("a success is undecided")
	}
}

// Each request counts as an attempt; one that may have had an effect leaves a doubt that stays.
func TestRequestLeavesADoubt(t *testing.T) {
	w := preparedWorker(t, nil, nil)
	s := &sender{w: w}
	doc := documentOf(2)
	for i, test := range []struct {
		problem   *webserver.Error
		err       error
		uncertain bool
		down      bool // the Web Server has not answered well yet
	}{
		{&webserver.Error{}, nil, false, true},
		{nil, errors.New("the worker stops"), false, true},
		{nil, nil, false, false},
		{&webserver.Error{Sent: true}, nil, true, false},
		{&webserver.Error{}, nil, true, false},
	} {
		s.note(doc, test.problem, test.err)
		for _, session := range doc {
			if session.attempts != i+1 || session.uncertain != test.uncertain {
				t.Errorf("request %d: %+v", i, session)
			}
		}
		if w.server.CheckAlive(time.Unix(0, 0)) == test.down {
			t.Errorf("request %d: the Web Server is well: %t", i, test.down)
		}
	}
}

// The mean of a request's time begins with the first, and follows the others slowly.
func TestMeanTimeOfARequest(t *testing.T) {
	s := &sender{}
	for i, test := range []struct{ took, mean time.Duration }{{800, 800}, {1600, 900}, {100, 800}} {
		if s.noteTime(test.took); s.took.Load() != int64(test.mean) {
			t.Errorf("request %d: the mean is %v, want %v", i, s.took.Load(), test.mean)
		}
	}
}

// Sessions whose time is up leave their document with what is known of them.
func TestOverdueSessionsLeaveTheirDocument(t *testing.T) {
	w := preparedWorker(t, nil, nil)
	q := newQueue(true)
	s := &sender{w: w, queue: q, reader: &reader{w: w}}
	late, ever := jobNaming("a", "b", "c", "rest"), jobNaming("c")
	late.job.NotAfter = time.Unix(1, 0)
	doc := queued(q, late, ever)[:3]
	doc[1].uncertain, doc[1].attempts = true, 4
	doc = s.dropOverdue(doc)
	if len(doc) != 1 || doc[0].id != "c" || late.left != 1 || ever.left != 1 {
		t.Errorf("%v are left of the document, %d and %d of the jobs", doc.ids(), late.left, ever.left)
	}
	if a, b := late.sessions[0], late.sessions[1]; a.Outcome != jobs.Expired || b.Outcome != jobs.Undecided || b.Attempts != 4 || b.ServerText == "" || a.ServerText != "" {
		t.Errorf("%+v, %+v", a, b)
	}
}

// Where nothing is left to be sent, no request is made, and the slot is free again.
func TestNoRequestWithoutASession(t *testing.T) {
	asked := false
	w := preparedWorker(t, nil, func(http.ResponseWriter, *http.Request) { asked = true })
	q := newQueue(true)
	s, freed := &sender{w: w, lane: jobs.Urgent, queue: q, reader: &reader{w: w}}, 0
	late := jobNaming("a", "rest")
	late.job.NotAfter = time.Unix(1, 0)
	for _, doc := range []document{nil, queued(q, late)[:1]} {
		s.send(doc, func() { freed++ })
	}
	if asked || w.requests.Load() != 0 || freed != 2 {
		t.Errorf("%d requests, asked %t; %d slots are freed", w.requests.Load(), asked, freed)
	}
}

// A request whose token is refused has no answer, and is made again with another token.
func TestRefusedTokenIsNoAnswer(t *testing.T) {
	var logoffs atomic.Int32
	stopping, stop := context.WithCancel(t.Context())
	w := preparedWorker(t, func(w *Worker) { w.stopping = stopping }, func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodDelete:
			rw.WriteHeader(http.StatusBadRequest)
		case logoffs.Add(1) == 1:
			rw.WriteHeader(http.StatusUnauthorized)
		default:
			rw.Header().Set("Content-Type", "application/xml")
			_, _ = io.WriteString(rw, "<Api_LogoffUsersResponse />")
		}
	})
	q := newQueue(true)
	s, caller := &sender{w: w, lane: jobs.Urgent, queue: q}, &gate.Caller{Rank: gate.Urgent, Kind: gate.Write}
	doc := queued(q, jobNaming("CF1C660B-396F-44B7-86DA-5608CEC97453"))
	var passes []*gate.Pass
	for range 3 {
		pass, err := w.server.Gate.Enter(t.Context(), caller, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		if passes = append(passes, pass); len(passes) == 1 {
			pass.Succeeded() // from now on nobody waits
		}
	}
	stop() // what is in flight is finished, and nobody looks for the own session
	for i, final := range []bool{false, true} {
		r, wait, err := s.try(doc, passes[1+i], s.attempt(&silence{}))
		if accepted := w.accepted.Load() == 1; r.final != final || accepted != final || r.problem != nil || wait != 0 || err != nil {
			t.Errorf("after %d requests: accepted %t, %+v, %v", logoffs.Load(), accepted, r, err)
		}
	}
	w.readBacks.Wait()
}

// A session that ended although the Web Server gave no verdict is not sent again.
func TestEndedSessionIsNotSentAgain(t *testing.T) {
	const guid = "CF1C660B-396F-44B7-86DA-5608CEC97453"
	var logoffs atomic.Int32
	stopping, stop := context.WithCancel(t.Context())
	w := preparedWorker(t, func(w *Worker) { w.stopping = stopping }, func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			logoffs.Add(1)
			rw.Header().Set("Content-Type", "application/xml")
			rw.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(rw, `<Api_GenericResp errorMessage="Something is not right." errorCode="0" />`)
			return
		}
		rw.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(rw, `{"user":{"userId":1},"sessions":[{"sessionId":"`+guid+`","loginTime":1000,"logoutTime":2000,"user":{"userId":7}}]}`)
	})
	q := newQueue(true)
	s := &sender{w: w, lane: jobs.Urgent, queue: q, reader: &reader{w: w}}
	d := jobNaming(guid, "rest")
	d.job.Sessions, d.targets[0].UserID = nil, 7 // found, so that it is known to be nobody's who is protected
	s.send(queued(q, d)[:1], func() {})
	stop()
	w.readBacks.Wait()
	if got := d.sessions[0].Outcome; logoffs.Load() != 1 || got != jobs.AlreadyLoggedOff {
		t.Errorf("%d requests, and it is %q", logoffs.Load(), got)
	}
}

// A document whose time is up before its request gives the right to one back, so that others may be tried.
func TestDocumentWithoutTimeGivesItsPassBack(t *testing.T) {
	w := preparedWorker(t, nil, nil)
	q := newQueue(true)
	s := &sender{w: w, queue: q, reader: &reader{w: w}}
	late := jobNaming("a", "rest")
	late.job.NotAfter = time.Unix(1, 0)
	doc, caller := queued(q, late)[:1], &gate.Caller{Rank: gate.Urgent, Kind: gate.Write}
	pass, err := w.server.Gate.Enter(t.Context(), caller, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := s.deliver(&doc, caller, pass); err != nil || r.final || len(doc) != 0 || late.sessions[0].Outcome != jobs.Expired {
		t.Errorf("%+v, %v, and %d sessions are left", r, err, len(doc))
	}
	if _, err := w.server.Gate.Enter(t.Context(), caller, time.Now().Add(time.Second)); err != nil {
		t.Errorf("nobody else is tried: %v", err)
	}
}

// What is left alone leaves the document, by each job's word for its own.
func TestProtectedSessionsAreLeftOut(t *testing.T) {
	const mine = "CF1C660B-396F-44B7-86DA-5608CEC97453"
	w := preparedWorker(t, func(w *Worker) { w.Config.ProtectedSessions, w.Config.ProtectedUsers = []string{mine}, []string{"7"} }, nil)
	q := newQueue(true)
	s := &sender{w: w, queue: q, reader: &reader{w: w}}
	a, b := jobNaming(mine, "x", "rest"), jobNaming("x", "y")
	a.targets[1].UserID = 7
	kept := s.leaveOut(queued(q, a, b))
	if got := strings.Join(kept.ids(), " "); got != "x rest y" || a.left != 1 || b.left != 2 {
		t.Errorf("%s are sent, %d and %d are left of the jobs", got, a.left, b.left)
	}
	if a.sessions[0].Outcome != jobs.Protected || a.sessions[1].Outcome != jobs.Protected || b.sessions[0].Outcome != "" {
		t.Errorf("%+v, %+v", a.sessions, b.sessions)
	}
}

// What is held is held until it is let go, and somebody waits for it as long as there is something.
func TestHeldSessionsAreAwaited(t *testing.T) {
	var h waitlist[*session]
	is := func(what string, any, awaited bool) {
		t.Helper()
		if h.any() != any || h.awaited != awaited {
			t.Errorf("%s: something is held: %t, awaited: %t", what, h.any(), h.awaited)
		}
	}
	is("at first", false, false)
	began := 0
	begin := func() { began++ }
	if h.add(nil, begin); began != 0 {
		t.Error("somebody comes back to nothing")
	}
	h.add(documentOf(1), begin)
	if h.add(documentOf(1), begin); began != 1 {
		t.Errorf("%d come back", began)
	}
	is("held", true, true)
	part := h.take()
	is("taken out", false, true)
	if !h.restore(part, nil) {
		t.Error("nothing is held")
	}
	is("put back", true, true)
	if doc := h.take(); len(doc) != 2 || h.restore(nil, nil) {
		t.Errorf("%d are taken out, or something is held still", len(doc))
	}
	is("nothing put back", false, false)
	h.items, h.awaited = documentOf(1), true
	if !h.restore(nil, nil) {
		t.Error("what was held meanwhile is forgotten")
	}
	is("something held meanwhile", true, true)
}

// Requests that others make with the account count by what they are.
func TestRequestsOfOthersAreCounted(t *testing.T) {
	w := &Worker{}
	w.CountOther(webserver.OpPing)
	w.CountOther(webserver.OpToken)
	w.CountOther(webserver.OpRenew)
	if reads, writes := w.others[0].Load(), w.others[1].Load(); reads != 1 || writes != 2 {
		t.Errorf("%d reads and %d writes", reads, writes)
	}
}

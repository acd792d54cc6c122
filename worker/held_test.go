package worker

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/gate"
	"logoffworker/worker/webserver"
)

// listless answers as a Web Server that ends sessions and lists none.
func listless(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Content-Type", "application/json")
	switch {
	case r.Method == http.MethodDelete:
		_, _ = io.WriteString(rw, `<Api_LogoffUsersResponse/>`)
	case strings.HasSuffix(r.URL.Path, "/WhoAmI"):
		_, _ = io.WriteString(rw, `{"user":{"userId":1}}`)
	default:
		rw.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(rw, `{"errorMessage":"no list","errorCode":5}`)
	}
}

// protecting protects somebody whose sessions the Web Server does not list.
func protecting(w *Worker) { w.Config.ProtectedUsers = []string{"7"} }

// Of a document leaves what may leave; the rest is held with what is held already, or handed back at a stop.
func TestDocumentLeavesWithoutWhatMayBeProtected(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Worker)
		held   document // before
		leaves string
		holds  string
		left   int // of the job
	}{
		"nobody is protected":     {leaves: "shown unconfirmed", left: 3},
		"a list is refused":       {change: protecting, leaves: "shown", holds: "unconfirmed", left: 3},
		"others are held already": {held: document{{id: "other"}}, leaves: "shown", holds: "other unconfirmed", left: 3},
		"a stop":                  {change: stoppedWorker, left: 1},
	} {
		w := preparedWorker(t, test.change, listless)
		w.server.Well()
		q := newQueue(true)
		s := &sender{w: w, lane: jobs.Urgent, queue: q, reader: &reader{w: w}}
		s.held.items, s.held.awaited = test.held, true // somebody comes back to what is held
		d := jobNaming("shown", "unconfirmed", "rest")
		doc := queued(q, d)[:2]
		doc[0].ownerKnown = true
		leaves := s.withoutProtected(doc)
		if got := strings.Join(leaves.ids(), " "); got != test.leaves {
			t.Errorf("%s: %q leave, want %q", name, got, test.leaves)
		}
		if got := strings.Join(document(s.held.take()).ids(), " "); got != test.holds || d.left != test.left {
			t.Errorf("%s: %q are held, want %q; %d are left of the job", name, got, test.holds, d.left)
		}
	}
}

// What is held is sent when it is known, or a list has shown whose it is, and handed back at a stop. Then nobody comes
// back to it any more.
func TestHeldSessionsAreSentOrHandedBack(t *testing.T) {
	for name, test := range map[string]struct {
		change  func(*Worker)
		shown   bool
		outcome jobs.Outcome // empty where it is handed back
	}{
		"it is known":               {outcome: jobs.Accepted},
		"shown in a list meanwhile": {change: protecting, shown: true, outcome: jobs.Accepted},
		"a stop":                    {change: stoppedWorker},
		"a stop, and shown":         {change: stoppedWorker, shown: true},
	} {
		w := preparedWorker(t, test.change, listless)
		w.server.Well()
		q := newQueue(true)
		s := &sender{w: w, lane: jobs.Urgent, queue: q, reader: &reader{w: w}}
		d := jobNaming("a", "rest")
		s.held.items, s.held.awaited = queued(q, d)[:1], true
		s.held.items[0].ownerKnown = test.shown
		s.sendHeld()
		w.readBacks.Wait()
		if got := d.sessions[0].Outcome; got != test.outcome || d.returned != (test.outcome == "") || d.left != 1 || s.held.any() || s.held.isAwaited() {
			t.Errorf("%s: %q, handed back %t, %d are left, held %t", name, got, d.returned, d.left, s.held.any())
		}
	}
}

// The own session is looked for once with a token. While the Web Server is down after that, documents leave to wait for
// it as any request does.
func TestOwnSessionIsLookedForOnceBeforeADocumentLeaves(t *testing.T) {
	w := preparedWorker(t, nil, listless)
	s := &sender{w: w, lane: jobs.Urgent, queue: newQueue(true)}
	pass, err := w.server.Gate.Enter(t.Context(), &gate.Caller{Rank: gate.Urgent, Kind: gate.Write}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	pass.Succeeded()
	for _, down := range []bool{false, true} {
		if down {
			pass, err := w.server.Gate.Enter(t.Context(), &gate.Caller{Rank: gate.Urgent, Kind: gate.Write}, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			pass.Failed(&webserver.Error{Op: webserver.OpLogoff, Verdict: webserver.Unavailable, RetryAfter: time.Minute}, gate.Everything)
		}
		if known, err := s.mayLeave(0, nil); !known || err != nil || w.server.IsDown() != down {
			t.Errorf("down %t: known %t, %v", w.server.IsDown(), known, err)
		}
	}
}

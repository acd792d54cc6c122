package worker

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"logoffworker/worker/webserver"
)

// Whom a problem concerns, by what the Web Server says to a harmless question, and what it then is.
func TestProblemConcernsTheDocumentOrAll(t *testing.T) {
	type pong struct {
		status int
		page   bool
	}
	well, old, noPath, down := pong{200, false}, pong{404, false}, pong{404, true}, pong{503, false}
	once := refusal{at: 5, proofs: 1, proved: time.Now()}
	var now atomic.Pointer[pong]
	w := preparedWorker(t, nil, func(rw http.ResponseWriter, _ *http.Request) {
		answer := now.Load()
		contentType, body := "application/json", `{"user":{"userId":1}}`
		if answer.page {
			contentType, body = "text/html", "<!DOCTYPE html><html><body>no</body></html>"
		} else if answer.status != http.StatusOK {
			body = `{"errorMessage":"no","errorCode":5}`
		}
		rw.Header().Set("Content-Type", contentType)
		rw.WriteHeader(answer.status)
		_, _ = io.WriteString(rw, body)
	})
	w.accepted.Store(1)
	s := &sender{w: w}
	const (
		refused, tooLarge, notFound, undecided    = webserver.Refused, webserver.TooLarge, webserver.NotFound, webserver.Undecided
		unauthorized, forbidden                   = webserver.Unauthorized, webserver.Forbidden
		throttled, misconfigured, unavailable     = webserver.Throttled, webserver.Misconfigured, webserver.Unavailable
		calls                                     = callsToSplit - 1
		othersBefore, othersBetween, othersBeside = 3, 7, 9
	)
	for name, test := range map[string]struct {
		sessions int
		problem  webserver.Error
		pong     pong
		lately   bool    // the Web Server was well a moment ago
		calls    int     // that came to nothing before
		refused  refusal // before
		others   int64   // accepted before the request began
		scope    scope
		verdict  webserver.Verdict
	}{
		"a login is refused": {sessions: 1, problem: webserver.Error{Op: webserver.OpLogin, Verdict: refused}, pong: well, scope: everybody, verdict: refused},

		"no answer in time":                    {sessions: 2, problem: webserver.Error{Verdict: unavailable, Timeout: true}, pong: well, scope: itself, verdict: unavailable},
		"no answer in time, of all":            {sessions: 2, problem: webserver.Error{Verdict: unavailable, Timeout: true}, pong: down, scope: everybody, verdict: unavailable},
		"no answer in time, well before":       {sessions: 2, problem: webserver.Error{Verdict: unavailable, Timeout: true}, pong: down, lately: true, scope: everybody, verdict: unavailable},
		"no answer in time, to one":            {sessions: 1, problem: webserver.Error{Verdict: unavailable, Timeout: true}, pong: well, scope: everybody, verdict: unavailable},
		"no answer":                            {sessions: 2, problem: webserver.Error{Verdict: unavailable}, pong: well, scope: everybody, verdict: unavailable},
		"too many requests, and a time-out":    {sessions: 2, problem: webserver.Error{Verdict: throttled, Timeout: true}, pong: well, scope: everybody, verdict: throttled},
		"silence again and again":              {sessions: 2, problem: webserver.Error{Verdict: unavailable, Sent: true}, pong: down, calls: calls, scope: itself, verdict: unavailable},
		"silence":                              {sessions: 2, problem: webserver.Error{Verdict: unavailable, Sent: true}, pong: down, scope: everybody, verdict: unavailable},
		"not sent, again and again":            {sessions: 2, problem: webserver.Error{Verdict: unavailable}, pong: down, calls: calls, scope: everybody, verdict: unavailable},
		"asked to wait, again and again":       {sessions: 2, problem: webserver.Error{Verdict: unavailable, Sent: true, RetryAfter: 1}, pong: down, calls: calls, scope: everybody, verdict: unavailable},
		"too many requests, again and again":   {sessions: 2, problem: webserver.Error{Verdict: throttled, Sent: true}, pong: down, calls: calls, scope: everybody, verdict: throttled},
		"no verdict":                           {sessions: 1, problem: webserver.Error{Verdict: undecided}, pong: well, scope: itself, verdict: undecided},
		"no verdict, old version":              {sessions: 1, problem: webserver.Error{Verdict: undecided}, pong: old, scope: itself, verdict: undecided},
		"no verdict, and down":                 {sessions: 1, problem: webserver.Error{Verdict: undecided}, pong: down, scope: everybody, verdict: unavailable},
		"no verdict, well before":              {sessions: 1, problem: webserver.Error{Verdict: undecided}, pong: down, lately: true, scope: everybody, verdict: unavailable},
		"no verdict of several":                {sessions: 2, problem: webserver.Error{Verdict: undecided}, pong: down, lately: true, scope: itself, verdict: undecided},
		"its own word: too large":              {sessions: 2, problem: webserver.Error{Verdict: tooLarge}, pong: down, scope: itself, verdict: tooLarge},
		"its own word: refused":                {sessions: 1, problem: webserver.Error{Verdict: refused}, pong: down, scope: itself, verdict: refused},
		"its own word: not found":              {sessions: 1, problem: webserver.Error{Verdict: notFound}, pong: well, scope: itself, verdict: refused},
		"a page: refused, one":                 {sessions: 1, problem: webserver.Error{Verdict: refused, Page: true}, pong: well, scope: unclear, verdict: misconfigured},
		"a page: refused, several":             {sessions: 2, problem: webserver.Error{Verdict: refused, Page: true}, pong: well, scope: unclear, verdict: tooLarge},
		"a page: not found, one":               {sessions: 1, problem: webserver.Error{Verdict: notFound, Page: true}, pong: well, scope: unclear, verdict: misconfigured},
		"a page: not found, several":           {sessions: 2, problem: webserver.Error{Verdict: notFound, Page: true}, pong: well, scope: unclear, verdict: tooLarge},
		"a page: too large, several":           {sessions: 2, problem: webserver.Error{Verdict: tooLarge, Page: true}, pong: well, scope: unclear, verdict: misconfigured},
		"a page: forbidden":                    {sessions: 2, problem: webserver.Error{Verdict: forbidden, Page: true}, pong: well, scope: unclear, verdict: misconfigured},
		"a page, old version":                  {sessions: 1, problem: webserver.Error{Verdict: refused, Page: true}, pong: old, scope: unclear, verdict: misconfigured},
		"a page, and the path is wrong":        {sessions: 1, problem: webserver.Error{Verdict: refused, Page: true}, pong: noPath, scope: everybody, verdict: misconfigured},
		"a page, and down":                     {sessions: 1, problem: webserver.Error{Verdict: refused, Page: true}, pong: down, scope: everybody, verdict: unavailable},
		"not found, old version":               {sessions: 1, problem: webserver.Error{Verdict: notFound}, pong: old, scope: everybody, verdict: misconfigured},
		"forbidden":                            {sessions: 1, problem: webserver.Error{Verdict: forbidden}, pong: well, scope: unclear, verdict: forbidden},
		"forbidden, several":                   {sessions: 2, problem: webserver.Error{Verdict: forbidden}, pong: well, scope: unclear, verdict: forbidden},
		"forbidden, and down":                  {sessions: 1, problem: webserver.Error{Verdict: forbidden}, pong: down, scope: everybody, verdict: forbidden},
		"the token":                            {sessions: 1, problem: webserver.Error{Verdict: unauthorized, RetryAfter: time.Hour}, pong: well, scope: unclear, verdict: unauthorized},
		"the token, and down":                  {sessions: 1, problem: webserver.Error{Verdict: unauthorized, RetryAfter: time.Hour}, pong: down, scope: everybody, verdict: unauthorized},
		"the method":                           {sessions: 1, problem: webserver.Error{Verdict: misconfigured, Status: 405}, pong: well, scope: unclear, verdict: misconfigured},
		"the method, by another word":          {sessions: 1, problem: webserver.Error{Verdict: unavailable, Status: 405}, pong: well, scope: unclear, verdict: misconfigured},
		"not implemented":                      {sessions: 1, problem: webserver.Error{Verdict: unavailable, Status: 501}, pong: well, scope: unclear, verdict: misconfigured},
		"the request as it is":                 {sessions: 1, problem: webserver.Error{Verdict: misconfigured, Status: 411}, pong: well, scope: unclear, verdict: misconfigured},
		"a redirect":                           {sessions: 1, problem: webserver.Error{Verdict: misconfigured, Status: 302}, pong: well, scope: everybody, verdict: misconfigured},
		"overload":                             {sessions: 1, problem: webserver.Error{Verdict: throttled, Status: 429}, pong: well, scope: everybody, verdict: throttled},
		"refused again, others are not":        {sessions: 1, problem: webserver.Error{Verdict: forbidden}, pong: well, refused: once, others: othersBetween, scope: itself, verdict: forbidden},
		"refused again, others not since":      {sessions: 1, problem: webserver.Error{Verdict: forbidden}, pong: well, refused: once, others: othersBefore, scope: unclear, verdict: forbidden},
		"refused again, others are not, once":  {sessions: 1, problem: webserver.Error{Verdict: forbidden}, pong: well, refused: refusal{at: 5}, others: othersBetween, scope: unclear, verdict: forbidden},
		"refused again, in another way":        {sessions: 1, problem: webserver.Error{Verdict: forbidden}, pong: well, refused: refusal{at: 5, status: 401, proofs: 1}, others: othersBetween, scope: unclear, verdict: forbidden},
		"refused still, others were not once":  {sessions: 1, problem: webserver.Error{Verdict: forbidden}, pong: well, refused: refusal{at: 5, proofs: 1, proved: time.Now().Add(-blameAfter)}, others: othersBefore, scope: itself, verdict: forbidden},
		"refused for the first time":           {sessions: 1, problem: webserver.Error{Verdict: forbidden}, pong: well, others: othersBeside, scope: unclear, verdict: forbidden},
		"refused again, since it was accepted": {sessions: 1, problem: webserver.Error{Verdict: forbidden}, pong: well, refused: once, others: 5, scope: unclear, verdict: forbidden},
	} {
		now.Store(&test.pong)
		w.server = w.newServer() // which nobody has asked yet
		begun := time.Now()
		if test.lately {
			w.server.Well()
			begun = begun.Add(time.Second)
		}
		doc := documentOf(test.sessions)
		doc[0].refused = test.refused
		if test.problem.Op == "" {
			test.problem.Op = webserver.OpLogoff
		}
		try := attempt{begun: begun, others: test.others, silence: &silence{begun: time.Now(), calls: test.calls}}
		scope, problem := s.judge(doc, &test.problem, try)
		if scope != test.scope || problem.Verdict != test.verdict {
			t.Errorf("%s: it concerns %d and is %v, want %d and %v", name, scope, problem.Verdict, test.scope, test.verdict)
		}
		if scope == unclear && (problem.RetryAfter != 0 || doc[len(doc)-1].refused.at != w.order.Load()) {
			t.Errorf("%s: it is to wait for %v, and was refused at %d", name, problem.RetryAfter, doc[len(doc)-1].refused.at)
		}
	}
}

// A call that came to nothing makes its document the suspect only after some more, and only where others were
// accepted since the one before.
func TestSilenceBesideOthersMakesASuspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, test := range map[string]struct {
			sessions int
			others   bool // are accepted
			every    time.Duration
			want     int // the call after which it is the suspect; 0 for none
		}{
			"several":                      {2, true, time.Second, callsToSplit},
			"several, nothing is accepted": {2, false, time.Hour, 0},
			"one":                          {1, true, time.Hour, callsToGiveUp},
			"one, in a short time":         {1, true, time.Second, int(giveUpAfter/time.Second) + 1},
			"one, nothing is accepted":     {1, false, time.Hour, 0},
		} {
			var s silence
			doc, accepted, at := documentOf(test.sessions), int64(100), 0
			for call := 1; call <= 1000 && at == 0; call++ {
				if s.concerns(doc, accepted) {
					at = call
				}
				if test.others {
					accepted++
				}
				time.Sleep(test.every) // in fake time
			}
			if at != test.want {
				t.Errorf("%s: it is the suspect after %d calls, want %d", name, at, test.want)
			}
		}
	})
}

// The latest accepted request is the one that began last, in whatever order the answers come.
func TestLatestAcceptedIsTheOneThatBeganLast(t *testing.T) {
	w := &Worker{}
	for _, order := range []int64{3, 7, 5, 7, 8, 1} {
		w.noteAccepted(attempt{order: order})
	}
	if w.latestAccepted.Load() != 8 || w.accepted.Load() != 6 {
		t.Errorf("the latest is %d, and %d are accepted", w.latestAccepted.Load(), w.accepted.Load())
	}
}

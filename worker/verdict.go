package worker

import (
	"cmp"
	"time"

	"logoffworker/worker/webserver"
)

// A scope says whom a problem concerns.
type scope int

const (
	// everybody: the next document would fare no better, so all wait.
	everybody scope = iota
	// itself: the document, by the Web Server's own words, or because others are accepted beside it.
	itself
	// unclear: the document or all logoffs. The Web Server answers a harmless question, and nothing has
	// shown yet that it takes other documents.
	unclear
)

// An attempt is one request about a document.
type attempt struct {
	begun   time.Time
	order   int64    // its place in the order of [Worker.order]
	others  int64    // the place of the latest of those requests that had been accepted by then
	silence *silence // of the document's requests so far
}

// attempt begins a request.
func (s *sender) attempt(silence *silence) attempt {
	return attempt{begun: time.Now(), others: s.w.latestAccepted.Load(), order: s.w.order.Add(1), silence: silence}
}

// noteAccepted notes that the document of a request was accepted.
func (w *Worker) noteAccepted(try attempt) {
	w.accepted.Add(1)
	for latest := w.latestAccepted.Load(); latest < try.order && !w.latestAccepted.CompareAndSwap(latest, try.order); {
		latest = w.latestAccepted.Load()
	}
}

// judge says whom a problem concerns, that of a login or a renewal included, and what it is: where it may as
// well come from a server that is down, or from something in front of it, a harmless question is asked. A
// server that answers that one is well, and its path is the right one.
func (s *sender) judge(doc document, problem *webserver.Error, try attempt) (scope, *webserver.Error) {
	switch {
	case problem.Op != webserver.OpLogoff:
		return everybody, problem
	case tookTooLong(doc, problem) && s.w.server.CheckAlive(time.Now()):
		return itself, problem // a smaller one may do
	case ambiguous(problem) && try.silence.concerns(doc, s.w.accepted.Load()):
		return itself, problem
	}
	switch problem.Verdict {
	case webserver.Undecided:
		return s.judgeUndecided(doc, problem, try)
	case webserver.TooLarge, webserver.Refused:
		if !problem.Page {
			return itself, problem
		}
		return s.judgeRefusal(doc, problem, try)
	case webserver.Forbidden, webserver.Unauthorized, webserver.NotFound:
		return s.judgeRefusal(doc, problem, try)
	}
	if problem.Blocked() {
		return s.judgeRefusal(doc, problem, try)
	}
	return everybody, problem
}

// judgeUndecided tells a 500 about a document from the one of a server that is not well. Splitting is
// harmless, so that for a document of several sessions an older answer will do.
func (s *sender) judgeUndecided(doc document, problem *webserver.Error, try attempt) (scope, *webserver.Error) {
	since := try.begun
	if len(doc) > 1 {
		since = since.Add(-wellFor)
	}
	if s.w.server.CheckAlive(since) {
		return itself, problem
	}
	return everybody, problem.With(webserver.Unavailable)
}

// wellFor is how long before a request a clean answer may lie that lets its document be split.
const wellFor = 5 * time.Second

// judgeRefusal tells a refusal of one document from one of all, by the harmless question and by what was accepted
// since.
func (s *sender) judgeRefusal(doc document, problem *webserver.Error, try attempt) (scope, *webserver.Error) {
	ping := s.w.server.Ping()
	switch {
	case ping == nil, ping.OldVersion() && problem.Page:
	case ping.Verdict == webserver.NotFound:
		return everybody, problem.With(webserver.Misconfigured)
	case problem.Verdict == webserver.Forbidden || problem.Verdict == webserver.Unauthorized:
		return everybody, problem
	default:
		return everybody, problem.With(webserver.Unavailable)
	}
	switch {
	case problem.Verdict == webserver.Unauthorized:
		s.w.server.Dispute(true)
		problem = problem.With(webserver.Unauthorized)
		problem.RetryAfter = 0 // which was that of a renewal, and another token would not help
	case problem.Verdict == webserver.NotFound && !problem.Page:
		return itself, problem.With(webserver.Refused) // the Web Server's own word about the document
	case len(doc) > 1 && (problem.Verdict == webserver.NotFound || problem.Verdict == webserver.Refused):
		problem = problem.With(webserver.TooLarge) // a page of IIS, for a request that is too long
	case problem.Page || problem.Blocked():
		problem = problem.With(webserver.Misconfigured) // something in front refuses it, whatever its size
	}
	refused := doc[0].refused
	switch {
	case refused.status != problem.Status: // another trouble, which may be everybody's
		refused = refusal{status: problem.Status}
	case try.others > refused.at:
		refused.proofs, refused.proved = refused.proofs+1, cmp.Or(refused.proved, time.Now())
	}
	if refused.proofs == proofsToBlame || refused.proofs > 0 && time.Since(refused.proved) >= blameAfter {
		return itself, problem
	}
	refused.at = s.w.order.Add(1)
	for _, session := range doc {
		session.refused = refused
	}
	return unclear, problem
}

// A refusal is the latest of a document, among those that may concern all.
type refusal struct {
	at     int64 // its place in the order of [Worker.order]
	status int   // of HTTP; 0 when there was none
	// proofs is how many times others were accepted between two refusals in a row that had this status: by a request
	// that began after the one and had its answer before the next began. What was accepted while a refused request was
	// on its way shows nothing: all may be refused since.
	proofs int
	proved time.Time // when the first of them was seen
}

// proofsToBlame is how many proofs make a document the suspect. One alone would blame it for a trouble of all that ended
// for a moment and came again.
const proofsToBlame = 2

// blameAfter is how long after the first proof a document that is still refused is the suspect all the same: where jobs
// are few, nobody may come for a second.
const blameAfter = time.Minute

// tookTooLong reports whether a document of several sessions got no answer in time.
func tookTooLong(doc document, problem *webserver.Error) bool {
	return len(doc) > 1 && problem.Timeout && problem.Verdict == webserver.Unavailable
}

// ambiguous reports whether a call may have reached the Web Server and came to nothing.
func ambiguous(problem *webserver.Error) bool {
	return problem.Verdict == webserver.Unavailable && problem.Sent && problem.RetryAfter == 0
}

// A silence is a row of calls of one document that came to nothing, time-outs above all, while the Web
// Server accepted others.
type silence struct {
	begun    time.Time
	calls    int
	accepted int64 // documents accepted at the latest call
}

// The calls after which a document is split, and a session that stands alone given up, the latter not
// before some time has passed: a server that fails most of its calls for a while makes nobody a suspect.
const (
	callsToSplit  = 3
	callsToGiveUp = 10
	giveUpAfter   = 10 * time.Minute
)

// concerns hears of another call that came to nothing, and reports whether the document itself is the
// suspect. A call counts only if others were accepted since the one before it: otherwise it may be the
// Web Server, and one outage after the other makes nobody a suspect.
func (s *silence) concerns(doc document, accepted int64) bool {
	if s.begun.IsZero() {
		s.begun, s.accepted = time.Now(), accepted-1
	}
	if accepted > s.accepted {
		s.calls++
	}
	s.accepted = accepted
	if len(doc) > 1 {
		return s.calls >= callsToSplit
	}
	return s.calls >= callsToGiveUp && time.Since(s.begun) >= giveUpAfter
}

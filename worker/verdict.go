package worker

import (
	"context"
	"errors"
	"net/http"
	"time"

	"logoffworker/worker/webserver"
)

// A scope says whom an answer concerns that is no success.
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
	begun    time.Time
	accepted int64 // documents that had been accepted by then
}

// facts tells an answer, or the want of one, from the end of the call's context.
func facts(err error) (*webserver.Error, error) {
	var answer *webserver.Error
	if errors.As(err, &answer) && !errors.Is(err, context.Canceled) {
		return answer, nil
	}
	return nil, err
}

// judge says whom an answer to a document concerns. Where the answer may as well come from a server that is
// down, or from something in front of it, a harmless question decides: a server that answers that one is
// well, and its path is the right one. What the answer turns out to be is noted in it.
func (l *lane) judge(doc document, answer *webserver.Error, try attempt) scope {
	switch answer.Verdict {
	case webserver.Undecided:
		return l.judgeUndecided(doc, answer, try)
	case webserver.TooLarge, webserver.Refused:
		if !answer.Page {
			return itself
		}
		return l.judgeRefusal(doc, answer, try)
	case webserver.Forbidden, webserver.Unauthorized, webserver.NotFound:
		return l.judgeRefusal(doc, answer, try)
	}
	if blocked(answer) {
		return l.judgeRefusal(doc, answer, try)
	}
	return everybody
}

// judgeUndecided tells a 500 about a document from the one of a server that is not well. Splitting is
// harmless, so that for a document of several sessions older proof will do.
func (l *lane) judgeUndecided(doc document, answer *webserver.Error, try attempt) scope {
	since := try.begun
	if len(doc) > 1 {
		since = since.Add(-proofAge)
	}
	if l.alive(since) {
		return itself
	}
	answer.Verdict = webserver.Unavailable
	return everybody
}

// blocked reports whether the method itself, or the way in which the request was made, was refused.
func blocked(answer *webserver.Error) bool {
	return answer.Status == http.StatusMethodNotAllowed || answer.Status == http.StatusNotImplemented ||
		answer.Verdict == webserver.Misconfigured && answer.Status/100 == 4
}

// judgeRefusal tells a refusal of one document from one of all.
func (l *lane) judgeRefusal(doc document, answer *webserver.Error, try attempt) scope {
	switch ping := l.ping(); {
	case ping == nil, isOldVersion(ping) && answer.Page:
	case ping.Verdict == webserver.NotFound:
		answer.Verdict = webserver.Misconfigured
		return everybody
	default:
		if answer.Verdict != webserver.Forbidden && answer.Verdict != webserver.Unauthorized {
			answer.Verdict = webserver.Unavailable
		}
		return everybody
	}
	switch {
	case answer.Verdict == webserver.Unauthorized:
		l.renewal.dispute(true)
		answer.RetryAfter = 0 // which was that of a renewal, and another token would not help
	case answer.Verdict == webserver.NotFound && !answer.Page:
		answer.Verdict = webserver.Refused // the Web Server's own word about the document
		return itself
	case len(doc) > 1 && (answer.Verdict == webserver.NotFound || answer.Verdict == webserver.Refused):
		answer.Verdict = webserver.TooLarge // a page of IIS, for a request that is too long
	case answer.Page || blocked(answer):
		answer.Verdict = webserver.Misconfigured // something in front refuses it, whatever its size
	}
	if l.accepted.Load() > doc.acceptedBefore(try) {
		return itself
	}
	doc.refusedAt(l.accepted.Load())
	return unclear
}

// acceptedBefore is how many documents of others had been accepted when this one, or the larger one that it
// was in, was refused before, or else when its call began: what was accepted since shows that the refusal is
// about this one.
func (doc document) acceptedBefore(try attempt) int64 {
	if doc[0].refused {
		return min(try.accepted, doc[0].acceptedThen)
	}
	return try.accepted
}

// refusedAt notes how many documents had been accepted when this one was refused.
func (doc document) refusedAt(accepted int64) {
	for _, s := range doc {
		s.refused, s.acceptedThen = true, accepted
	}
}

// proofAge is how long before a call a clean answer may lie that lets its document be split.
const proofAge = 5 * time.Second

// alive reports whether the Web Server has been well since a time, as far as a clean answer or a
// question that concerns no session can tell. An old version that does not know the question
// answers all the same.
func (w *Worker) alive(since time.Time) bool {
	if w.proved.Load() > since.UnixNano() {
		return true
	}
	ping := w.ping()
	return ping == nil || isOldVersion(ping)
}

// isOldVersion reports whether a harmless question was answered by a version that does not know it.
func isOldVersion(ping *webserver.Error) bool {
	return ping.Verdict == webserver.NotFound && !ping.Page
}

// takesTooLong reports whether a document of several sessions got no answer in time from a Web Server
// that answers other questions: a smaller one may do.
func (l *lane) takesTooLong(doc document, answer *webserver.Error) bool {
	return len(doc) > 1 && answer.Timeout && answer.Verdict == webserver.Unavailable && l.alive(time.Now())
}

// ambiguous reports whether a call may have reached the Web Server and came to nothing.
func ambiguous(answer *webserver.Error) bool {
	return answer.Verdict == webserver.Unavailable && answer.Sent && answer.RetryAfter == 0
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

package worker

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/webserver"
)

// send has a document's sessions ended and every one of them decided: each gets an outcome, or is
// given back when the worker stops. It frees the slot when the last answer is in.
func (l *lane) send(doc document, free func()) {
	defer free()
	sifted := false
	for s := newSplitting(doc, l.Config.Tries); s.more(); {
		doc := s.next()
		request, answer, err := l.deliver(&doc)
		if err != nil {
			l.handBack(append(s.rest, doc)...)
			return
		}
		if answer != nil && answer.Verdict == webserver.Undecided && !sifted {
			sifted = true
			doc = l.sift(doc, request)
		}
		switch s.answered(doc, answer) {
		case accepted:
			l.conclude(doc, jobs.SessionResult{Outcome: jobs.Accepted, RequestID: request})
		case failed:
			l.conclude(doc, failure(request, answer))
		case divided:
			l.Metrics.Split()
			l.reach(MidSplit)
		case again:
			pause(l.stopping, l.Config.Backoff.after(doc[0].doubts)) // a stop ends the next try
		case nothing: // the time of every job that asked ran out
		}
	}
}

// failure is the outcome of a session that stood alone in a document without success.
func failure(request string, answer *webserver.Error) jobs.SessionResult {
	result := jobs.SessionResult{Outcome: jobs.Undecided, RequestID: request, ServerText: answer.Words()}
	if answer.Verdict == webserver.Refused || answer.Verdict == webserver.TooLarge {
		result.Outcome = jobs.Rejected
	}
	return result
}

// deliver calls the Web Server until it answers about this document: a nil answer is success, any
// other one means that splitting the document, or giving up on a session that stands alone, is the
// only way on. Everything else is waited out in place, holding the slot. Sessions whose jobs'
// notAfter passes meanwhile leave the document. An error means that the worker stops.
func (l *lane) deliver(doc *document) (request string, answer *webserver.Error, err error) {
	var silent silence
	for {
		deadline := l.queue.deadline(*doc)
		if !deadline.IsZero() && !time.Now().Before(deadline) {
			l.dropOverdue(doc)
			if len(*doc) == 0 {
				return "", nil, nil
			}
			continue
		}
		p, err := l.admitted(l.stopping, l.rank(), deadline, l.budget.write)
		if errors.Is(err, errOverdue) {
			continue
		}
		if err != nil {
			return "", nil, err
		}
		begun := time.Now()
		request, answer, err := l.call(*doc)
		if err != nil {
			l.door.leave(p)
			return "", nil, err
		}
		if answer == nil {
			l.door.answer(p)
			return request, nil, nil
		}
		if l.concernsDocument(*doc, answer, begun) || l.takesTooLong(*doc, answer) ||
			ambiguous(answer) && silent.concerns(*doc, l.accepted.Load()) {
			l.door.answer(p)
			l.cap.learn(len(*doc), answer)
			return request, answer, nil
		}
		l.Metrics.Retried(answer.Verdict.String())
		if wait := l.door.fail(p, answer); wait > 0 && !pause(l.stopping, wait) {
			return "", nil, l.stopping.Err()
		}
	}
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

func (l *lane) rank() rank {
	if l.name == jobs.Urgent {
		return rankUrgent
	}
	return rankBulk
}

// call makes one request, which a stop does not cut short until its time is up: that is the error.
// A token that turns out to be dead is renewed, and the request repeated, once.
func (l *lane) call(doc document) (request string, answer *webserver.Error, err error) {
	for renewed := false; ; renewed = true {
		leave, err := l.pace.enter(l.stopping, l.name)
		if err != nil {
			return "", nil, err
		}
		request = l.requestID()
		l.reach(BeforeCall)
		begun := time.Now()
		err = l.Server.Logoff(l.finish, request, doc.ids())
		l.called(time.Since(begun))
		leave(func() bool { return err == nil && l.full(doc) })
		l.reach(AfterCall)
		answer, err = l.noted(doc, err)
		if l.guard.toIdentify(l.Server.Logins(), time.Now()) {
			l.proofs.Go(l.identify)
		}
		if err != nil || answer == nil || answer.Verdict != webserver.Unauthorized || renewed {
			return request, answer, err
		}
		if err := l.Server.Renew(l.finish, answer); err != nil {
			answer, err := facts(err)
			return request, answer, err
		}
	}
}

// full reports whether a document holds about as much as it may.
func (l *lane) full(doc document) bool {
	if len(doc) == l.cap.sessions() {
		return true
	}
	bytes := webserver.DocumentOverhead
	for _, s := range doc {
		bytes += webserver.SessionSize(s.id)
	}
	return bytes > l.Config.BatchMaxBytes*9/10
}

// noted keeps what a call means for its sessions, whatever becomes of them later.
func (l *lane) noted(doc document, err error) (*webserver.Error, error) {
	answer, err := facts(err)
	if err == nil && answer == nil {
		l.cap.succeeded(len(doc))
		l.accepted.Add(1)
		l.proved.Store(time.Now().UnixNano())
	}
	for _, s := range doc {
		s.attempts++
		s.uncertain = s.uncertain || answer != nil && answer.Sent
	}
	return answer, err
}

// facts tells an answer, or the want of one, from the end of the call's context.
func facts(err error) (*webserver.Error, error) {
	var answer *webserver.Error
	if errors.As(err, &answer) && !errors.Is(err, context.Canceled) {
		return answer, nil
	}
	return nil, err
}

// concernsDocument reports whether an answer is about the document that was sent. Where it may as
// well come from a server that is down, or from something in front of it, a second question decides:
// a server that answers that one is well, and its path is the right one. What the answer turns out
// to be is noted in it.
func (w *Worker) concernsDocument(doc document, answer *webserver.Error, begun time.Time) bool {
	switch {
	case answer.Verdict == webserver.TooLarge, answer.Verdict == webserver.Refused && !answer.Page:
		return true
	case answer.Verdict == webserver.Undecided:
		if len(doc) > 1 { // splitting is harmless, so that older proof will do
			begun = begun.Add(-proofAge)
		}
		if w.alive(begun) {
			return true
		}
		answer.Verdict = webserver.Unavailable
	case answer.Verdict == webserver.NotFound, answer.Verdict == webserver.Refused:
		switch ping := w.ping(); {
		case ping == nil:
		case ping.Verdict == webserver.NotFound && !ping.Page && answer.Page: // an old version, and the right path
		case ping.Verdict == webserver.NotFound:
			answer.Verdict = webserver.Misconfigured
			return false
		default:
			answer.Verdict = webserver.Unavailable
			return false
		}
		answer.Verdict = webserver.Refused
		if answer.Status == http.StatusNotFound && answer.Page { // IIS's own page, for a request that is too long
			answer.Verdict = webserver.TooLarge
		}
		return true
	}
	return false
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
	answer := w.ping()
	return answer == nil || answer.Verdict == webserver.NotFound && !answer.Page
}

// ping asks the harmless question; nil means that the Web Server is well and our token good.
func (w *Worker) ping() *webserver.Error {
	w.budget.asked(time.Now())
	answer, err := facts(w.Server.Ping(w.finish))
	switch {
	case err != nil:
		return &webserver.Error{Op: "ping", Verdict: webserver.Unavailable, Err: err}
	case answer == nil:
		w.proved.Store(time.Now().UnixNano())
	}
	return answer
}

func (w *Worker) requestID() string {
	return w.Config.Name + "-" + strconv.FormatInt(w.requests.Add(1), 36)
}

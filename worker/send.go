package worker

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/gate"
	"logoffworker/worker/webserver"
)

// send has a document's sessions ended and every one of them decided: each gets an outcome, or is
// given back when the worker stops. It frees the slot when the last answer is in, and while all that is left
// waits for others to show whether the refusal is about it alone.
func (l *lane) send(doc document, free func()) {
	defer func() { free() }()
	if doc = l.spare(doc); len(doc) == 0 {
		return
	}
	caller := &gate.Caller{Rank: l.rank(), Kind: gate.Write}
	sifted := false
	for s := newSplitting(doc, l.Config.Tries); s.more(); {
		doc := s.next()
		r, err := l.deliver(&doc, caller)
		if err != nil {
			l.handBack(append(s.rest, doc)...)
			return
		}
		if r.answer != nil && r.answer.Verdict == webserver.Undecided && !sifted {
			sifted = true
			doc = l.sift(doc, r.request)
		}
		switch s.answered(doc, r) {
		case accepted:
			l.conclude(doc, jobs.SessionResult{Outcome: jobs.Accepted, RequestID: r.request})
		case failed:
			l.conclude(doc, failure(r))
		case divided:
			l.Metrics.Split()
			l.reach(MidSplit)
		case again:
			pause(l.stopping, l.Config.Backoff.After(doc[0].doubts)) // a stop ends the next try
		case held:
			if free = l.standAside(free, caller, s.rest); free == nil {
				free = func() {}
				l.handBack(s.rest...)
				return
			}
		case nothing: // the time of every job that asked ran out
		}
	}
}

// mostRefused is how many documents, for each slot, wait without one because the Web Server has refused them.
const mostRefused = 16

// standAside gives others a turn who may show that the Web Server takes their documents, unless so many wait
// for that already that it is nobody's own fault. It returns how to free the slot that it has at the end; nil
// when the worker stops.
func (l *lane) standAside(free func(), caller *gate.Caller, rest []document) func() {
	defer l.refused.Add(-1)
	if l.refused.Add(1) > int64(mostRefused*l.Config.Slots) {
		return free
	}
	free()
	if err := l.gate.Turn(l.stopping, caller, l.queue.deadline(slices.Concat(rest...))); stopped(err) {
		return nil
	}
	return l.slot(l.stopping, l.name)
}

// failure is the outcome of a session that stood alone in a document without success.
func failure(r reply) jobs.SessionResult {
	result := jobs.SessionResult{Outcome: jobs.Rejected, RequestID: r.request, ServerText: r.answer.Words()}
	if r.answer.Verdict == webserver.Undecided || r.answer.Verdict == webserver.Unavailable {
		result.Outcome = jobs.Undecided
	}
	return result
}

// A reply is what the Web Server has to say about a document: success, if the answer is nil, and otherwise
// an answer that concerns the document, or may.
type reply struct {
	request string
	answer  *webserver.Error
	scope   scope // itself or unclear, unless the answer is nil
}

// deliver calls the Web Server until it answers about this document: any answer but success means that
// splitting the document, or giving up on a session that stands alone, is the only way on; or, if it is
// unclear whom it concerns, that a part of it, or another document, is to be tried first. Everything else is
// waited out in place, holding the slot. Sessions whose jobs' notAfter passes meanwhile leave the document.
// An error means that the worker stops.
func (l *lane) deliver(doc *document, caller *gate.Caller) (reply, error) {
	var silent silence
	for {
		deadline := l.queue.deadline(*doc)
		if !deadline.IsZero() && !time.Now().Before(deadline) {
			l.dropOverdue(doc)
			if len(*doc) == 0 {
				return reply{}, nil
			}
			continue
		}
		pass, err := l.gate.Enter(l.stopping, caller, deadline)
		if errors.Is(err, gate.ErrOverdue) {
			continue
		}
		if err != nil {
			return reply{}, err
		}
		try := attempt{begun: time.Now(), accepted: l.accepted.Load()}
		request, answer, err := l.call(*doc)
		if err == nil && answer != nil && answer.Verdict == webserver.Unauthorized {
			answer = l.renew(answer)
			if answer == nil {
				pass.Cancel()
				continue
			}
		}
		switch {
		case err != nil:
			pass.Cancel()
			return reply{}, err
		case answer == nil:
			l.renewal.dispute(false)
			pass.Succeeded()
			return reply{request: request}, nil
		}
		switch l.concerns(*doc, answer, try, &silent) {
		case itself:
			pass.Succeeded()
			l.cap.learn(len(*doc), answer)
			return reply{request, answer, itself}, nil
		case unclear:
			l.Metrics.Retried(answer.Verdict.String())
			pass.Failed(answer, gate.LogoffsOnly)
			return reply{request, answer, unclear}, nil
		}
		l.Metrics.Retried(answer.Verdict.String())
		if wait := pass.Failed(answer, scopeOf(answer)); wait > 0 && !pause(l.stopping, wait) {
			return reply{}, l.stopping.Err()
		}
	}
}

// concerns says whom an answer concerns that is no success, that of a login or a renewal included.
func (l *lane) concerns(doc document, answer *webserver.Error, try attempt, silent *silence) scope {
	switch {
	case answer.Op != "logoff":
		return everybody
	case l.takesTooLong(doc, answer), ambiguous(answer) && silent.concerns(doc, l.accepted.Load()):
		return itself
	}
	return l.judge(doc, answer, try)
}

func (l *lane) rank() rank {
	if l.name == jobs.Urgent {
		return rankUrgent
	}
	return rankBulk
}

// call makes one request, which a stop does not cut short until its time is up: that is the error.
func (l *lane) call(doc document) (request string, answer *webserver.Error, err error) {
	request = l.requestID()
	l.reach(BeforeCall)
	begun := time.Now()
	err = l.Server.Logoff(l.finish, request, doc.ids())
	l.called(time.Since(begun))
	l.reach(AfterCall)
	answer, err = l.noted(doc, err)
	l.sentFor(doc, request, answer)
	if l.toSeek(true) {
		l.proofs.Go(l.lookAround)
	}
	return request, answer, err
}

// noted keeps what a call means for its sessions, whatever becomes of them later.
func (l *lane) noted(doc document, err error) (*webserver.Error, error) {
	answer, err := facts(err)
	if err == nil && answer == nil {
		l.cap.succeeded(len(doc))
		l.accepted.Add(1)
		l.wellNow()
	}
	for _, s := range doc {
		s.attempts++
		s.uncertain = s.uncertain || answer != nil && answer.Sent
	}
	return answer, err
}

func (w *Worker) requestID() string {
	return w.Config.Name + "-" + strconv.FormatInt(w.requests.Add(1), 36)
}

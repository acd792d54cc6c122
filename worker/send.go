package worker

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/access"
	"logoffworker/worker/gate"
	"logoffworker/worker/webserver"
)

// A sender has the documents of a lane sent, and every session in them decided: each gets an outcome, or is
// given back when the worker stops or the lane is paused. What an answer means is in verdict.go, what follows from it in split.go,
// and what is held back before it is sent in held.go.
type sender struct {
	w       *Worker
	lane    jobs.Lane
	queue   *queue
	reader  *reader
	held    waitlist[*session]
	took    atomic.Int64 // running mean of a request's time, in nanoseconds
	refused atomic.Int64 // documents that gave up their slot because they were refused
}

// going lasts as long as the lane goes on.
func (s *sender) going() context.Context { return s.w.goingOn(s.lane) }

// send sends a document until all its sessions are decided. It frees the slot when the last answer is in, and
// while all that is left waits for others to show whether the refusal is about it alone.
func (s *sender) send(doc document, free func()) {
	defer func() { free() }()
	if doc = s.withoutProtected(doc); len(doc) == 0 {
		return
	}
	caller := &gate.Caller{Rank: rankOf(s.lane), Kind: gate.Write}
	var pass *gate.Pass // for the next request, if it has one already
	readBack := false
	for split := newSplitting(doc, s.w.Config.Tries); split.more(); {
		doc := split.next()
		r, err := s.deliver(&doc, caller, pass)
		pass = nil
		if err != nil {
			s.handBack(append(split.rest, doc)...)
			return
		}
		if r.is(webserver.Undecided) && !readBack {
			readBack = true
			doc = s.withoutEnded(doc, r.request)
		}
		switch split.answered(doc, r) {
		case accepted:
			s.decide(doc, jobs.SessionResult{Outcome: jobs.Accepted, RequestID: r.request})
		case failed:
			s.decide(doc, r.failure())
		case divided:
			s.w.Metrics.Split()
			s.w.reach(MidSplit)
		case again:
			gate.Pause(s.going(), s.w.Config.Backoff.After(doc[0].doubts)) // a stop or a pause ends the next try
		case deferred:
			if free, pass = s.standAside(free, caller, split.rest); free == nil {
				free = func() {}
				s.handBack(split.rest...)
				return
			}
		case nothing: // the time of every job that asked ran out
		}
	}
}

// mostRefused is how many documents, for each slot, wait without one because the Web Server has refused them.
const mostRefused = 16

// turnTime is how long a document keeps a slot while somebody else has taken its turn.
const turnTime = 10 * time.Millisecond

// standAside gives others a turn who may show that the Web Server takes their documents, unless so many wait
// for that already that it is nobody's own fault. It returns how to free the slot that it has at the end, nil
// when the worker stops or the lane is paused; and the pass with which the slot came. Without one, those whose turn comes at the same time
// would take all slots, and wait in them for each other.
func (s *sender) standAside(free func(), caller *gate.Caller, rest []document) (func(), *gate.Pass) {
	defer s.refused.Add(-1)
	if s.refused.Add(1) > int64(mostRefused*s.w.Config.Slots) {
		return free, nil
	}
	free()
	for deadline := s.queue.deadline(slices.Concat(rest...)); ; {
		err := s.w.server.Gate.Turn(s.going(), caller, deadline)
		if free = s.w.slots.take(s.going(), s.lane, s.lane); free == nil || err != nil {
			return free, nil
		}
		if pass, err := s.w.server.Gate.Enter(s.going(), caller, time.Now().Add(turnTime)); err == nil {
			return free, pass
		}
		free()
	}
}

// A reply is what the Web Server has to say about a document.
type reply struct {
	final   bool // no other request is made about this document as it is
	request string
	problem *webserver.Error // nil after success
	scope   scope            // of the problem
}

// is reports whether the document met a problem with this verdict.
func (r reply) is(v webserver.Verdict) bool { return r.problem != nil && r.problem.Verdict == v }

// failure is the outcome of a session that stood alone in a document without success.
func (r reply) failure() jobs.SessionResult {
	result := jobs.SessionResult{Outcome: jobs.Rejected, RequestID: r.request, ServerText: r.problem.Words()}
	if r.is(webserver.Undecided) || r.is(webserver.Unavailable) {
		result.Outcome = jobs.Undecided
	}
	return result
}

// deliver calls the Web Server until it answers about this document: any answer but success means that
// splitting the document, or giving up on a session that stands alone, is the only way on; or, if it is
// unclear whom it concerns, that a part of it, or another document, is to be tried first. Everything else is
// waited out in place, holding the slot. Sessions whose jobs' notAfter passes meanwhile leave the document.
// An error means that the worker stops or the lane is paused. A pass, unless it is nil, is for the first request.
func (s *sender) deliver(doc *document, caller *gate.Caller, pass *gate.Pass) (reply, error) {
	var silence silence
	for {
		deadline := s.queue.deadline(*doc)
		if overdue(deadline) {
			if *doc = s.dropOverdue(*doc); len(*doc) == 0 {
				if pass != nil {
					pass.Cancel()
				}
				return reply{}, nil
			}
			continue
		}
		if pass == nil {
			var err error
			pass, err = s.w.server.Gate.Enter(s.going(), caller, deadline)
			switch {
			case access.Stopped(err):
				return reply{}, err
			case err != nil: // the deadline has come
				continue
			}
		}
		r, wait, err := s.try(*doc, pass, s.attempt(&silence))
		pass = nil
		if err != nil || r.final {
			return r, err
		}
		gate.Pause(s.going(), wait) // a stop or a pause shows at the gate
	}
}

// try makes one request about a document, and gives the pass back. A reply that is not final asks for another
// request, after the wait.
func (s *sender) try(doc document, pass *gate.Pass, try attempt) (r reply, wait time.Duration, err error) {
	request, problem, err := s.call(doc)
	if problem != nil && problem.Verdict == webserver.Unauthorized {
		if problem = s.w.server.Renew(problem, doc[0].renewed); problem == nil {
			doc.noteRenewal()
			pass.Cancel()
			return reply{}, 0, nil
		}
	}
	switch {
	case err != nil:
		pass.Cancel()
		return reply{}, 0, err
	case problem == nil:
		s.w.noteAccepted(try)
		s.w.server.Dispute(false)
		pass.Succeeded()
		return reply{final: true, request: request}, 0, nil
	}
	scope, problem := s.judge(doc, problem, try) // an unclear one holds logoffs alone: questions go on
	r = reply{final: scope != everybody, request: request, problem: problem, scope: scope}
	switch scope {
	case itself:
		pass.Succeeded()
		s.w.cap.learn(len(doc), problem)
		return r, 0, nil
	case unclear:
		pass.Failed(problem, gate.LogoffsOnly)
	default:
		wait = pass.Failed(problem, access.Reason(problem))
	}
	s.w.Metrics.Retried(problem.Verdict.String())
	return r, wait, nil
}

// rankOf is the rank of a lane's requests.
func rankOf(lane jobs.Lane) gate.Rank {
	if lane == jobs.Urgent {
		return gate.Urgent
	}
	return gate.Bulk
}

// call makes one request, which a stop does not cut short until its time is up: that is the error.
func (s *sender) call(doc document) (request string, problem *webserver.Error, err error) {
	request = s.w.Config.Name + "-" + strconv.FormatInt(s.w.requests.Add(1), 36)
	s.w.reach(BeforeCall)
	begun := time.Now()
	problem, err = webserver.Problem(s.w.Server.Logoff(s.w.finish, webserver.Origin{ID: request, Traceparent: string(s.queue.trace(doc))}, doc.ids()))
	s.note(doc, problem, err)
	s.noteTime(time.Since(begun))
	s.w.reach(AfterCall)
	s.noteRequest(doc, request, begun, problem)
	s.logRequest(doc, request, problem)
	if s.w.roster.OwnUnknown(true) {
		s.w.readBacks.Go(s.w.roster.LookAround)
	}
	return request, problem, err
}

// note keeps what a call means for its sessions, whatever becomes of them later.
func (s *sender) note(doc document, problem *webserver.Error, err error) {
	if err == nil && problem == nil {
		s.w.cap.succeeded(len(doc))
		s.w.server.Well()
	}
	for _, session := range doc {
		session.attempts++
		session.uncertain = session.uncertain || problem != nil && problem.Sent
	}
}

// noteTime keeps the running mean of a request's time.
func (s *sender) noteTime(took time.Duration) {
	old := cmp.Or(time.Duration(s.took.Load()), took)
	s.took.Store(int64(old + (took-old)/8))
}

// sendWaiting sends what waits in the lane's queue, and returns when it is sent.
func (s *sender) sendWaiting() {
	var sent sync.WaitGroup
	defer sent.Wait()
	for {
		if all, _ := s.queue.length(); all == 0 {
			return
		}
		free := s.w.slots.take(s.going(), s.lane, s.lane)
		if free == nil {
			s.handBack(s.queue.cut(math.MaxInt, math.MaxInt))
			return
		}
		doc := s.queue.cut(s.w.cap.sessions(), s.w.Config.BatchMaxBytes) // empty when others have sent it meanwhile
		sent.Go(func() { s.send(doc, free) })
	}
}

package worker

import (
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/roster"
)

// decide gives every session of a document the same outcome, and settles the jobs that are
// complete with it.
func (s *sender) decide(doc document, outcome jobs.SessionResult) {
	now := time.Now()
	var complete []*delivery
	for _, session := range doc {
		outcome.Attempts = session.attempts
		for _, a := range s.queue.done(session) {
			if a.d.set(a.i, outcome, now) {
				complete = append(complete, a.d)
			}
		}
	}
	s.reader.wrapUp(complete)
}

// dropOverdue takes those sessions out of a document that no job asks for any more, because its
// notAfter has passed. One that may have been ended all the same is undecided.
func (s *sender) dropOverdue(doc *document) {
	now := time.Now()
	var complete []*delivery
	kept := (*doc)[:0:0]
	for _, session := range *doc {
		outcome := jobs.SessionResult{Outcome: jobs.Expired, Attempts: session.attempts}
		if session.uncertain {
			outcome.Outcome = jobs.Undecided
			outcome.ServerText = "sent without a verdict until notAfter had passed"
		}
		for _, a := range s.queue.overdue(session, now) {
			if a.d.set(a.i, outcome, now) {
				complete = append(complete, a.d)
			}
		}
		if s.queue.wanted(session) {
			kept = append(kept, session)
		}
	}
	*doc = kept
	s.reader.wrapUp(complete)
}

// handBack gives sessions that are not sent back to their jobs, and the jobs back to the stream.
func (s *sender) handBack(docs ...document) {
	var complete []*delivery
	for _, doc := range docs {
		for _, session := range doc {
			for _, a := range s.queue.done(session) {
				if a.d.giveBack() {
					complete = append(complete, a.d)
				}
			}
		}
	}
	s.w.settler.settle(complete)
}

// withoutEnded reads back the sessions of a document about which the Web Server gave no verdict, as far as their
// owners are known: those that are off need not be sent again, and are not the cause that is looked for.
func (s *sender) withoutEnded(doc document, request string) document {
	owners := s.queue.owners(doc)
	if len(owners) == 0 || !s.w.Config.ReadBack {
		return doc
	}
	wanted := roster.Wanted{}
	for _, owner := range owners {
		wanted.Want(owner, time.Now().Add(readBackTime))
	}
	lists := s.w.roster.Shown(rankOf(s.lane), wanted)
	var ended, others document
	for _, session := range doc {
		// One that is listed as on, or not at all, is sent again: the owner is known by the publisher's word alone.
		if lists.Of(owners[session]).Standing(session.id) == roster.Off {
			ended = append(ended, session)
		} else {
			others = append(others, session)
		}
	}
	s.decide(ended, jobs.SessionResult{Outcome: jobs.AlreadyLoggedOff, RequestID: request})
	return others
}

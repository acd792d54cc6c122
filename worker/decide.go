package worker

import (
	"slices"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/roster"
)

// end gives those askers of a document's sessions who leave their outcome, and returns what others still ask for. Jobs
// that are complete with it are read back or settled.
func (s *sender) end(doc document, leaves func(asker) bool, outcome func(*session) jobs.SessionResult) (kept document) {
	gone, kept := s.queue.leave(doc, leaves)
	now := time.Now()
	var complete []*delivery
	for _, a := range gone {
		if a.d.set(a.i, outcome(a.session), now) {
			complete = append(complete, a.d)
		}
	}
	s.reader.wrapUp(complete)
	return kept
}

// decide gives every session of a document the same outcome.
func (s *sender) decide(doc document, outcome jobs.SessionResult) {
	s.end(doc, whoever, func(session *session) jobs.SessionResult {
		outcome.Attempts = session.attempts
		return outcome
	})
}

// dropOverdue takes those sessions out of a document that no job asks for any more, because its
// notAfter has passed. One that may have been ended all the same is undecided.
func (s *sender) dropOverdue(doc document) document {
	return s.end(doc, late, func(session *session) jobs.SessionResult {
		if session.uncertain {
			return jobs.SessionResult{Outcome: jobs.Undecided, Attempts: session.attempts, ServerText: "sent without a verdict until notAfter had passed"}
		}
		return jobs.SessionResult{Outcome: jobs.Expired, Attempts: session.attempts}
	})
}

// leaveOut takes those sessions out of a document that are known to be left alone. A publisher's word for the owner
// counts for that publisher's job.
func (s *sender) leaveOut(doc document) document {
	protected := func(a asker) bool {
		return s.w.roster.Protects(jobs.Session{ID: a.session.id, UserID: a.d.owner(a.i)})
	}
	return s.end(doc, protected, func(*session) jobs.SessionResult { return jobs.SessionResult{Outcome: jobs.Protected} })
}

// handBack gives sessions that are not sent back to their jobs, and the jobs back to the stream.
func (s *sender) handBack(docs ...document) {
	gone, _ := s.queue.leave(slices.Concat(docs...), whoever)
	ds := make([]*delivery, len(gone))
	for i, a := range gone {
		ds[i] = a.d
	}
	s.w.settler.giveBack(ds)
}

// withoutEnded reads back the sessions of a document about which the Web Server gave no verdict, as far as their
// owners are known: those that are off need not be sent again, and are not the cause that is looked for.
func (s *sender) withoutEnded(doc document, request string) document {
	if !s.w.Config.ReadBack {
		return doc
	}
	owners := s.queue.owners(doc)
	wanted := roster.Wanted{}
	for _, owner := range owners {
		wanted.Want(owner, time.Now().Add(readBackTime))
	}
	lists := s.w.roster.Shown(rankOf(s.lane), wanted)
	// One that is listed as on, or not at all, is sent again: the owner is known by the publisher's word alone.
	ended, others := separate(doc, func(one *session) bool { return lists.Of(owners[one]).Standing(one.id) == roster.Off })
	s.decide(ended, jobs.SessionResult{Outcome: jobs.AlreadyLoggedOff, RequestID: request})
	return others
}

package worker

import (
	"sync"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/access"
	"logoffworker/worker/gate"
)

// heldSessions wait, without a slot, because it is not known which sessions are protected users': all together,
// so that they leave in full documents.
type heldSessions struct {
	mu      sync.Mutex
	doc     document
	awaited bool // somebody waits for it to be known
}

// withoutProtected takes those sessions out of a document that are left alone, once that is known of all. Those of which it
// cannot be known now are held. While the Web Server is down, that is waited for in place, as for every request, so
// that pulling stops by itself.
func (s *sender) withoutProtected(doc document) document {
	for {
		if overdue(s.queue.deadline(doc)) {
			s.dropOverdue(&doc)
		}
		if len(doc) == 0 {
			return nil
		}
		unconfirmed, others, lists := s.queue.unconfirmed(doc)
		if s.held.any() && len(unconfirmed) > 0 {
			s.hold(unconfirmed)
			return s.leaveOut(others)
		}
		known, err := true, error(nil)
		if len(unconfirmed) > 0 {
			known, err = s.mayLeave(lists, s.lookUntil(doc))
		}
		switch {
		case access.Stopped(err):
			s.handBack(doc)
			return nil
		case known:
			return s.leaveOut(doc)
		case err == nil || !s.w.server.IsDown():
			s.hold(unconfirmed)
			return s.leaveOut(others)
		}
	}
}

// mayLeave reports whether it is known which sessions are left alone. The session of a token that was given may be in
// the oldest job, so it was looked for once; that of a login just now is in no job yet, and looked for meanwhile.
func (s *sender) mayLeave(lists int64, deadline time.Time) (known bool, err error) {
	if !s.w.Server.LogsIn() {
		if err := s.w.roster.SeekOwn(deadline, false); access.Stopped(err) || err != nil && s.w.server.IsDown() {
			return false, err
		}
	}
	return s.w.roster.Know(lists, deadline)
}

// lookUntil is how long a document waits for a look in its slot.
func (s *sender) lookUntil(doc document) time.Time {
	return earlier(time.Now().Add(s.w.roster.LookTime()), s.queue.deadline(doc))
}

// leaveOut takes those sessions out of a document that are known to be left alone. A publisher's word for the owner
// counts for that publisher's job.
func (s *sender) leaveOut(doc document) document {
	now := time.Now()
	var complete []*delivery
	kept := doc[:0:0]
	for _, session := range doc {
		protected := func(a asker) bool {
			return s.w.roster.Protects(jobs.Session{ID: session.id, UserID: a.d.owner(a.i)})
		}
		for _, a := range s.queue.without(session, protected) {
			if a.d.set(a.i, jobs.SessionResult{Outcome: jobs.Protected}, now) {
				complete = append(complete, a.d)
			}
		}
		if s.queue.wanted(session) {
			kept = append(kept, session)
		}
	}
	s.reader.wrapUp(complete)
	return kept
}

// hold has sessions wait.
func (s *sender) hold(doc document) {
	s.held.mu.Lock()
	defer s.held.mu.Unlock()
	s.held.doc = append(s.held.doc, doc...)
	if !s.held.awaited {
		s.held.awaited = true
		s.w.readBacks.Go(s.sendHeld)
	}
}

// sendHeld sends what is held as soon as it is known which sessions are left alone. At a stop it is handed back.
func (s *sender) sendHeld() {
	for {
		unconfirmed, others, lists := s.queue.unconfirmed(s.held.part())
		if s.dropOverdue(&unconfirmed); !s.held.restore(unconfirmed) && len(others) == 0 {
			return
		}
		if len(others) > 0 { // which a list has shown meanwhile
			s.queue.again(others)
			s.w.readBacks.Go(s.sendWaiting)
			continue
		}
		known, err := s.mayLeave(lists, s.lookUntil(unconfirmed))
		switch {
		case access.Stopped(err):
			s.handBack(s.held.letGo())
			return
		case known:
			s.queue.again(s.held.letGo())
			s.sendWaiting()
			return
		}
		gate.Pause(s.w.stopping, min(max(s.w.roster.Rest(), s.w.Config.Backoff.Min), heldInterval))
	}
}

// heldInterval is how often it is looked whether something that is held is overdue.
const heldInterval = time.Second

func (h *heldSessions) any() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.doc) > 0
}

// letGo ends the wait.
func (h *heldSessions) letGo() document {
	h.mu.Lock()
	defer h.mu.Unlock()
	doc := h.doc
	h.doc, h.awaited = nil, false
	return doc
}

// part is what is held, to be restored.
func (h *heldSessions) part() document {
	h.mu.Lock()
	defer h.mu.Unlock()
	doc := h.doc
	h.doc = nil
	return doc
}

// restore takes back what is still to be held, and reports whether anything is; if not, that ends the wait.
func (h *heldSessions) restore(doc document) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.doc = append(doc, h.doc...)
	h.awaited = len(h.doc) > 0
	return h.awaited
}

package worker

import (
	"sync/atomic"
	"time"

	"logoffworker/worker/access"
	"logoffworker/worker/gate"
)

// What waits in a sender's held, without a slot, waits because it is not known which sessions are protected users': all
// together, so that it leaves in full documents.

// withoutProtected takes those sessions out of a document that are left alone, once that is known of all. Those of which it
// cannot be known now are held. While the Web Server is down, that is waited for in place, as for every request, so
// that pulling stops by itself.
func (s *sender) withoutProtected(doc document) document {
	for {
		doc = s.dropOverdue(doc)
		unconfirmed, others, lists := s.queue.unconfirmed(doc)
		if s.held.any() {
			s.hold(unconfirmed)
			return s.leaveOut(others)
		}
		known, err := true, error(nil)
		if len(unconfirmed) > 0 {
			known, err = s.mayLeave(lists, doc)
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

// mayLeave reports, for a document that waits for a look in its slot, whether it is known which sessions are left
// alone. The session of a token that was given may be in the oldest job, so it was looked for once; that of a login just
// now is in no job yet, and looked for meanwhile.
func (s *sender) mayLeave(lists int64, doc document) (known bool, err error) {
	var found atomic.Bool
	deadline := earlier(time.Now().Add(s.w.roster.LookTime()), s.queue.deadline(doc))
	if !s.w.Server.LogsIn() {
		err := s.w.unlessPaused(s.lane, func() error { return s.w.roster.SeekOwn(deadline, false) })
		if access.Stopped(err) || err != nil && s.w.server.IsDown() {
			return false, err
		}
	}
	err = s.w.unlessPaused(s.lane, func() error {
		yes, err := s.w.roster.Know(lists, deadline)
		found.Store(yes)
		return err
	})
	return found.Load(), err
}

// hold has sessions wait.
func (s *sender) hold(doc document) {
	s.held.add(doc, func() { s.w.readBacks.Go(s.sendHeld) })
}

// sendHeld sends what is held as soon as it is known which sessions are left alone. At a stop or a pause it is handed back.
func (s *sender) sendHeld() {
	for {
		unconfirmed, others, lists := s.queue.unconfirmed(s.held.take())
		unconfirmed = s.dropOverdue(unconfirmed)
		if len(others) > 0 { // which a list has shown meanwhile
			s.sendApart(others)
		}
		if !s.held.restore(unconfirmed, nil) {
			return
		}
		known, err := s.mayLeave(lists, unconfirmed)
		switch {
		case access.Stopped(err):
			s.handBack(s.held.take())
		case known:
			s.sendApart(s.held.take())
		default:
			gate.Pause(s.going(), min(max(s.w.roster.Rest(), s.w.Config.Backoff.Min), heldInterval))
		}
	}
}

// sendApart sends what was held.
func (s *sender) sendApart(doc document) {
	s.queue.again(doc)
	s.w.readBacks.Go(s.sendWaiting)
}

// heldInterval is how often it is looked whether something that is held is overdue.
const heldInterval = time.Second

package worker

import (
	"slices"
	"sync"
	"time"

	"logoffworker/jobs"
)

// A waitingRoom holds what waits, without a slot, because it is not known which sessions are protected users': all together, so
// that it leaves in full documents.
type waitingRoom struct {
	mu    sync.Mutex
	doc   document
	awake bool // somebody waits for it to be known
}

// spare takes those sessions out of a document that are left alone, once that is known of all. Those of which it
// cannot be known now are held. While the Web Server is down, that is waited for in place, as for every request, so
// that pulling stops by itself.
func (l *lane) spare(doc document) document {
	for {
		if overdue(l.queue.deadline(doc)) {
			l.dropOverdue(&doc)
		}
		if len(doc) == 0 {
			return nil
		}
		untold, others, looks := l.queue.untold(doc)
		if l.held.has() && len(untold) > 0 {
			l.hold(untold)
			return l.leaveOut(others)
		}
		known, err := true, error(nil)
		if len(untold) > 0 {
			known, err = l.mayLeave(looks, l.lookUntil(doc))
		}
		switch {
		case stopped(err):
			l.handBack(doc)
			return nil
		case known:
			return l.leaveOut(doc)
		case err == nil || !l.isDown():
			l.hold(untold)
			return l.leaveOut(others)
		}
	}
}

// mayLeave reports whether it is known which sessions are left alone. The session of a token that was given may be in
// the oldest job, so it was looked for once; that of a login just now is in no job yet, and looked for meanwhile.
func (l *lane) mayLeave(looks int64, deadline time.Time) (known bool, err error) {
	if !l.Server.LogsIn() {
		if err := l.seekOwn(deadline, false); stopped(err) || err != nil && l.isDown() {
			return false, err
		}
	}
	return l.know(looks, deadline)
}

// lookUntil is how long a document waits for a look in its slot.
func (l *lane) lookUntil(doc document) time.Time {
	until := time.Now().Add(l.lookTime())
	if due := l.queue.deadline(doc); !due.IsZero() && due.Before(until) {
		return due
	}
	return until
}

// isDown reports whether every request waits for the Web Server.
func (w *Worker) isDown() bool { return w.gate.Held() != nil || w.proved.Load() == 0 }

// leaveOut takes those sessions out of a document that are known to be left alone. A publisher's word for the owner
// counts for that publisher's job.
func (l *lane) leaveOut(doc document) document {
	now := time.Now()
	var complete []*delivery
	kept := doc[:0:0]
	for _, s := range doc {
		protected := func(a asker) bool { return l.guard.protects(jobs.Session{ID: s.id, UserID: a.d.owner(a.i)}) }
		for _, a := range l.queue.without(s, protected) {
			if a.d.set(a.i, jobs.SessionResult{Outcome: jobs.Protected}, now) {
				complete = append(complete, a.d)
			}
		}
		if l.queue.wanted(s) {
			kept = append(kept, s)
		}
	}
	l.wrapUp(complete)
	return kept
}

// hold has sessions wait.
func (l *lane) hold(doc document) {
	l.held.mu.Lock()
	defer l.held.mu.Unlock()
	l.held.doc = append(l.held.doc, doc...)
	if !l.held.awake {
		l.held.awake = true
		l.proofs.Go(l.release)
	}
}

// release sends what is held as soon as it is known which sessions are left alone. At a stop it is handed back.
func (l *lane) release() {
	for {
		untold, others, looks := l.queue.untold(l.held.part())
		if l.dropOverdue(&untold); !l.held.restore(untold) && len(others) == 0 {
			return
		}
		if len(others) > 0 { // which a list has shown meanwhile
			l.queue.again(others)
			l.proofs.Go(l.sendWaiting)
			continue
		}
		known, err := l.mayLeave(looks, l.lookUntil(untold))
		switch {
		case stopped(err):
			l.handBack(l.held.take())
			return
		case known:
			l.queue.again(l.held.take())
			l.sendWaiting()
			return
		}
		rest, _ := l.guard.rest(time.Now())
		pause(l.stopping, min(max(rest, l.Config.Backoff.Min), heldInterval))
	}
}

// heldInterval is how often it is looked whether something that is held is overdue.
const heldInterval = time.Second

func (h *waitingRoom) has() bool { return len(h.all()) > 0 }

func (h *waitingRoom) all() document {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.doc)
}

// take ends the wait.
func (h *waitingRoom) take() document {
	h.mu.Lock()
	defer h.mu.Unlock()
	doc := h.doc
	h.doc, h.awake = nil, false
	return doc
}

// part is what is held, to be restored.
func (h *waitingRoom) part() document {
	h.mu.Lock()
	defer h.mu.Unlock()
	doc := h.doc
	h.doc = nil
	return doc
}

// restore takes back what is still to be held, and reports whether anything is; if not, that ends the wait.
func (h *waitingRoom) restore(doc document) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.doc = append(doc, h.doc...)
	h.awake = len(h.doc) > 0
	return h.awake
}

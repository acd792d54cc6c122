package worker

import (
	"strings"
	"sync"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/webserver"
)

// A session is one session ID on its way to the Web Server, on behalf of every held job that names
// it: however many ask, it is sent once.
type session struct {
	id         string
	key        string // the ID, without regard to case where it is a GUID, as the Web Server compares
	askers     []asker
	attempts   int     // requests that held it
	doubts     int     // answers without a verdict from a Web Server that is well
	uncertain  bool    // a call that held it may have taken effect, and nobody knows
	refused    refusal // the latest of a document that held it
	renewed    bool    // another token was got because a document that held it was refused with 401
	large      bool    // it waits apart
	ownerKnown bool    // the Web Server has said whose it is, and it is nobody's who is protected
	lists      int64   // of protected users' sessions, asked for before the latest job that names it was taken
}

// An asker is one job's interest in a session: its place in that job.
type asker struct {
	session *session
	d       *delivery
	i       int
}

// A document is the sessions of one request.
type document []*session

// noteRenewal notes that another token was got because the document was refused with 401.
func (doc document) noteRenewal() {
	for _, s := range doc {
		s.renewed = true
	}
}

// ids are what the document holds, as their first askers spell them.
func (doc document) ids() []string {
	ids := make([]string, len(doc))
	for i, s := range doc {
		ids[i] = s.id
	}
	return ids
}

// A queue holds the sessions of one lane that are in hand: those that wait, in the order in which
// they came, and those that were cut into documents and have no outcome yet. Those of a job that is
// larger than a document wait apart, and yield to those of smaller jobs.
type queue struct {
	mu      sync.Mutex
	waiting []*session
	large   []*session
	known   map[string]*session
	fold    bool // IDs that differ in case alone are one session, as GUIDs are
}

func newQueue(fold bool) *queue {
	return &queue{known: map[string]*session{}, fold: fold}
}

// each shows every asker of a document's sessions, with the lock held.
func (q *queue) each(doc document, show func(asker)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range doc {
		for _, a := range s.askers {
			show(a)
		}
	}
}

// askers are the jobs that a document is for, and how many of its sessions each asks for.
func (q *queue) askers(doc document) map[*delivery]int {
	all := map[*delivery]int{}
	q.each(doc, func(a asker) { all[a.d]++ })
	return all
}

// add puts a job's sessions in line, from the given one on, apart if they are more than a document may
// hold. One that is already in hand gets another asker instead; one that has an outcome is passed over.
func (q *queue) add(d *delivery, from, most int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	large := len(d.targets)-from > most
	for i := from; i < len(d.targets); i++ {
		if d.sessions[i].Outcome != "" {
			continue
		}
		id := d.targets[i].ID
		key := id
		if q.fold {
			key = strings.ToUpper(key)
		}
		s := q.known[key]
		if s == nil {
			s = &session{id: id, key: key, large: large}
			q.known[key] = s
			q.line(s)
		}
		s.lists = max(s.lists, d.lists)
		s.ownerKnown = s.ownerKnown || d.found(i)
		s.askers = append(s.askers, asker{s, d, i})
	}
}

// line puts a session in line, with the lock held.
func (q *queue) line(s *session) {
	if s.large {
		q.large = append(q.large, s)
	} else {
		q.waiting = append(q.waiting, s)
	}
}

// again puts sessions in line again.
func (q *queue) again(doc document) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range doc {
		q.line(s)
	}
}

// unconfirmed are the sessions of a document of which only jobs have said whose they are, if anybody has, and the
// others. lists is how many lists of protected users' sessions are too old for the first.
func (q *queue) unconfirmed(doc document) (unconfirmed, others document, lists int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	others, unconfirmed = separate(doc, func(s *session) bool { return s.ownerKnown })
	for _, s := range unconfirmed {
		lists = max(lists, s.lists)
	}
	return unconfirmed, others, lists
}

// length is the number of sessions that wait, and how many of them are of jobs that fit into a document.
func (q *queue) length() (all, small int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) + len(q.large), len(q.waiting)
}

// onlyLarge reports whether nothing waits but sessions of jobs that are larger than a document.
func (q *queue) onlyLarge() bool {
	_, small := q.length()
	return small == 0
}

// cut takes the next document: at most count sessions and size bytes, at least one session. What room
// smaller jobs leave is filled from the larger.
func (q *queue) cut(count, size int) (doc document) {
	q.mu.Lock()
	defer q.mu.Unlock()
	bytes := webserver.DocumentOverhead
	for _, line := range []*[]*session{&q.waiting, &q.large} {
		n := 0
		for n < len(*line) && len(doc)+n < count {
			bytes += webserver.SessionSize((*line)[n].id)
			if bytes > size && len(doc)+n > 0 {
				break
			}
			n++
		}
		doc = append(doc, (*line)[:n]...)
		if *line = (*line)[n:]; len(*line) == 0 {
			*line = nil
		}
	}
	return doc
}

// leave takes away those askers of a document's sessions who leave, and returns them, and what others still ask for. A
// session that nobody asks for any more is forgotten: from now on it would be sent anew.
func (q *queue) leave(doc document, leaves func(asker) bool) (gone []asker, kept document) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range doc {
		stay := s.askers[:0]
		for _, a := range s.askers {
			if leaves(a) {
				if gone == nil {
					gone = make([]asker, 0, len(doc)) // nearly always all of them
				}
				gone = append(gone, a)
			} else {
				stay = append(stay, a)
			}
		}
		if s.askers = stay; len(stay) > 0 {
			kept = append(kept, s)
		} else if q.known[s.key] == s {
			delete(q.known, s.key)
		}
	}
	return gone, kept
}

// whoever is every asker.
func whoever(asker) bool { return true }

// late reports whether an asker's notAfter has passed.
func late(a asker) bool { return overdue(a.d.job.NotAfter) }

// deadline is the earliest notAfter of a document's askers; zero when none has one.
func (q *queue) deadline(doc document) (earliest time.Time) {
	q.each(doc, func(a asker) { earliest = earlier(earliest, a.d.job.NotAfter) })
	return earliest
}

// trace is that of a document's jobs, where all have the same.
func (q *queue) trace(doc document) (trace jobs.Trace) {
	first, same := true, true
	q.each(doc, func(a asker) {
		if first {
			trace, first = a.d.trace, false
		}
		same = same && a.d.trace == trace
	})
	if !same {
		return ""
	}
	return trace
}

// owners are those of a document's sessions, as far as a job has told.
func (q *queue) owners(doc document) map[*session]int64 {
	owners := map[*session]int64{}
	q.each(doc, func(a asker) {
		if owner := a.d.owner(a.i); owner != 0 {
			owners[a.session] = owner
		}
	})
	return owners
}

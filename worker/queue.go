package worker

import (
	"strings"
	"sync"
	"time"

	"logoffworker/worker/webserver"
)

// A session is one session ID on its way to the Web Server, on behalf of every held job that names
// it: however many ask, it is sent once.
type session struct {
	id        string
	key       string // the ID, without regard to case where it is a GUID, as the Web Server compares
	askers    []asker
	attempts  int  // requests that held it
	doubts    int  // answers without a verdict from a Web Server that is well
	uncertain bool // a call that held it may have taken effect, and nobody knows
	// refused says that a document that held it was refused, which may concern all, and acceptedThen how many
	// documents had been accepted by then.
	refused      bool
	acceptedThen int64
}

// An asker is one job's interest in a session: its place in that job.
type asker struct {
	d *delivery
	i int
}

// A document is the sessions of one request.
type document []*session

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

// askers are the jobs that a document is for, and how many of its sessions each asks for.
func (q *queue) askers(doc document) map[*delivery]int {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := map[*delivery]int{}
	for _, s := range doc {
		for _, a := range s.askers {
			all[a.d]++
		}
	}
	return all
}

// add puts a job's sessions in line, from the given one on, apart if they are more than a document may
// hold. One that is already in hand gets another asker instead; one that has an outcome is passed over.
func (q *queue) add(d *delivery, from, most int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	line := &q.waiting
	if len(d.targets)-from > most {
		line = &q.large
	}
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
			s = &session{id: id, key: key}
			q.known[key] = s
			*line = append(*line, s)
		}
		s.askers = append(s.askers, asker{d, i})
	}
}

// length is the number of sessions that wait, and how many of them are of jobs that fit into a document.
func (q *queue) length() (all, small int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) + len(q.large), len(q.waiting)
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

// done forgets a session and returns who asked for it; from now on it would be sent anew.
func (q *queue) done(s *session) []asker {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.known, s.key)
	askers := s.askers
	s.askers = nil
	return askers
}

// overdue takes away the askers whose notAfter has passed. A session that nobody asks for any more
// is forgotten.
func (q *queue) overdue(s *session, now time.Time) (late []asker) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var inTime []asker
	for _, a := range s.askers {
		if notAfter := a.d.job.NotAfter; notAfter.IsZero() || now.Before(notAfter) {
			inTime = append(inTime, a)
		} else {
			late = append(late, a)
		}
	}
	if len(late) == 0 {
		return nil
	}
	s.askers = inTime
	if len(inTime) == 0 {
		delete(q.known, s.key)
	}
	return late
}

// deadline is the earliest notAfter of a document's askers; zero when none has one.
func (q *queue) deadline(doc document) (earliest time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range doc {
		for _, a := range s.askers {
			if t := a.d.job.NotAfter; !t.IsZero() && (earliest.IsZero() || t.Before(earliest)) {
				earliest = t
			}
		}
	}
	return earliest
}

// owners are those of a document's sessions, as far as a job has told.
func (q *queue) owners(doc document) map[*session]int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	owners := map[*session]int64{}
	for _, s := range doc {
		for _, a := range s.askers {
			if owner := a.d.owner(a.i); owner != 0 {
				owners[s] = owner
			}
		}
	}
	return owners
}

// wanted reports whether a session is still asked for.
func (q *queue) wanted(s *session) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(s.askers) > 0
}

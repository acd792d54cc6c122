package simulator

import (
	"net/http"
	"time"
)

// A Request is what the journal keeps of one. It is noted when it has arrived; what came of it
// follows. The header and the body are as received, secrets included, and not to be changed.
type Request struct {
	Number   int // from 1, in the order of arrival
	Time     time.Time
	Op       string // logoff, session, user, userv4, login, renew, logout, whoami, refresh, mint, base, other
	Method   string
	Path     string
	Query    string // as sent, without the question mark
	Header   http.Header
	Body     []byte
	Sessions []string      // the IDs in the document of a logoff, as spelled there, even if a proxy dropped it
	Applied  []string      // the sessions that it ended, or will have ended after Settings.EffectDelay
	UserID   int           // whose token it had; 0 if it was not asked for, or no good
	Status   int           // 0 while there is no answer
	Answered bool          // the answer was sent whole
	Took     time.Duration // from its arrival to the answer; 0 while there is none
	Success  bool          // it did what was asked, and the answer said so
	Fault    string        // the fault that took the place of the answer, if any
}

type journal struct {
	limit    int
	number   int
	requests []*Request
	counts   map[string]int
}

func (j *journal) add(r *Request) {
	if j.counts == nil {
		j.counts = map[string]int{}
	}
	j.number++
	r.Number = j.number
	j.counts[r.Op]++
	j.requests = append(j.requests, r)
	for len(j.requests) > j.limit {
		j.requests[0] = nil
		j.requests = j.requests[1:]
	}
}

// Journal is every request so far in the order of arrival, or the newest of them; see
// Settings.JournalLimit.
func (s *Server) Journal() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests := make([]Request, len(s.journal.requests))
	for i, r := range s.journal.requests {
		requests[i] = *r
	}
	return requests
}

// ClearJournal forgets the requests so far; numbers and counts go on.
func (s *Server) ClearJournal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.journal.requests = nil
}

// Count is how many requests of a kind there have been; see [Request].Op.
func (s *Server) Count(op string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.journal.counts[op]
}

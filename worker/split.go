package worker

import "logoffworker/worker/webserver"

// A splitting decides about every session of a document, answer by answer.
//
// A document that the Web Server refuses, or gives no verdict about, is halved until the sessions that
// are the cause stand alone. That takes about 2·log₂ n requests for one of n; once more than an eighth
// of them have turned out to be, the rest goes one by one. A session that stands alone without a
// verdict is sent again until its tries are used up; the larger documents that it was in count as
// tries. No outcome is ever inferred: a session that fails has an answer of its own.
type splitting struct {
	rest     []document // the last is sent next
	total    int
	alone    int  // sessions that have failed
	deferred bool // a session that stands alone waits for others to be accepted
	tries    int  // of a session without a verdict
}

// A step is what follows from an answer.
type step int

const (
	nothing  step = iota // the document was empty
	accepted             // all its sessions are
	failed               // its only session has
	divided              // its parts are sent next
	again                // it is sent again
	deferred             // others are sent first
)

func newSplitting(doc document, tries int) *splitting {
	return &splitting{rest: []document{doc}, total: len(doc), tries: tries}
}

func (s *splitting) more() bool { return len(s.rest) > 0 }

// next takes the document that is to be sent next.
func (s *splitting) next() document {
	last := len(s.rest) - 1
	doc := s.rest[last]
	s.rest = s.rest[:last]
	return doc
}

// answered hears of the reply about a document. Where it is unclear whom it concerns, the document is halved
// until one of its sessions stands alone, and no further: if all are refused, that is not for what is in it.
func (s *splitting) answered(doc document, r reply) step {
	switch {
	case len(doc) == 0:
		return nothing
	case r.problem == nil:
		s.deferred = false
		return accepted
	case r.scope == unclear && (s.deferred || len(doc) == 1):
		s.deferred = true
		s.rest = append([]document{doc}, s.rest...)
		return deferred
	}
	s.deferred = s.deferred && r.scope == unclear
	if r.is(webserver.Undecided) {
		for _, session := range doc {
			session.doubts++
		}
	}
	switch {
	case len(doc) > 1:
		s.divide(doc)
		return divided
	case r.is(webserver.Undecided) && doc[0].doubts < s.tries:
		s.rest = append(s.rest, doc)
		return again
	}
	s.alone++
	return failed
}

// divide halves a document, or takes it to pieces. The order of the sessions is kept.
func (s *splitting) divide(doc document) {
	if s.alone <= s.total/8 {
		half := len(doc) / 2
		s.rest = append(s.rest, doc[half:], doc[:half])
		return
	}
	for i := len(doc) - 1; i >= 0; i-- {
		s.rest = append(s.rest, doc[i:i+1])
	}
}

package simulator

import (
	"slices"
	"time"
)

// An event is what happens by itself at a time: the late effect of a logoff, a person who signs on
// again. Nothing runs to make it happen: whoever looks at the Server lets it catch up first, and it
// happens as of its own time.
type event struct {
	at   time.Time
	what func(at time.Time)
}

// plan lets something happen at a time. Of two at the same time the one planned first comes first.
func (s *Server) plan(at time.Time, what func(at time.Time)) {
	i := len(s.events)
	for i > 0 && s.events[i-1].at.After(at) {
		i--
	}
	s.events = slices.Insert(s.events, i, event{at, what})
}

// catchUp lets everything happen that is due, in the order of time, idle time-outs included.
func (s *Server) catchUp(now time.Time) {
	for len(s.events) > 0 && !s.events[0].at.After(now) {
		next := s.events[0]
		s.events = s.events[1:]
		s.expireIdle(next.at)
		next.what(next.at)
	}
	s.expireIdle(now)
}

// logOff ends a session by a logoff, after the delay that is set, and reports whether it does.
// The session of a console window may stay on, and one whose end is under way keeps its time.
func (s *Server) logOff(ending *session, now time.Time) bool {
	if ending.leaving || (ending.Console == ConsoleCommCell && s.settings.EMCSessions == EMCSessionsStay) {
		return false
	}
	if s.settings.EffectDelay == 0 {
		s.logOffNow(ending, now)
		return true
	}
	ending.leaving = true
	s.plan(now.Add(s.settings.EffectDelay), func(at time.Time) {
		if ending.Active() {
			s.logOffNow(ending, at)
		}
	})
	return true
}

func (s *Server) logOffNow(ending *session, at time.Time) {
	s.end(ending, at)
	s.replace(s.users[ending.UserID], at)
}

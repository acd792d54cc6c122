package simulator

import "time"

// Traffic is what the limiter let through and what it refused. Requests that did not get as far are
// not in it: those that met maintenance, the firewall, or a server that is down.
type Traffic struct {
	Reads         int `json:"reads"` // let through
	Writes        int `json:"writes"`
	ReadsRefused  int `json:"readsRefused"` // with a 429 of the quotas or of the rate limit
	WritesRefused int `json:"writesRefused"`
	MostReads     int `json:"mostReads"` // let through within one clock hour
	MostWrites    int `json:"mostWrites"`
}

// Traffic is what has come so far, counted whether limits are set or not; GET is a read, all else is a
// write.
func (s *Server) Traffic() Traffic {
	s.mu.Lock()
	defer s.mu.Unlock()
	reads, writes := s.limiter.reads, s.limiter.writes
	return Traffic{reads.passed, writes.passed, reads.refused, writes.refused, reads.most, writes.most}
}

// ClearTraffic counts from zero. The quotas of the hour stay used as far as they are.
func (s *Server) ClearTraffic() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range []*usage{&s.limiter.reads, &s.limiter.writes} {
		u.passed, u.refused, u.most = 0, 0, 0
	}
}

// A usage is what came of reads, or of writes.
type usage struct {
	hour                  time.Time // the clock hour that thisHour counts
	thisHour              int
	passed, refused, most int
}

// turn begins to count anew when the clock hour has changed.
func (u *usage) turn(now time.Time) {
	if hour := now.Truncate(time.Hour); !hour.Equal(u.hour) {
		u.hour, u.thisHour = hour, 0
	}
}

func (u *usage) pass() {
	u.thisHour++
	u.passed++
	u.most = max(u.most, u.thisHour)
}

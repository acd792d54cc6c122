package gate

import (
	"testing"
	"time"

	"logoffworker/worker/webserver"
)

// A stood is a breaker as something found it, or left it.
type stood struct {
	state    State
	failures int
	why      *webserver.Error
	scope    Scope
	until    time.Duration // from now
}

const epoch = 7

// breaker makes one that stands so; changes counts what it tells.
func (s stood) breaker(changes *int) *breaker {
	b := newBreaker(Backoff{Min: 100 * time.Millisecond, Max: 10 * time.Second}, s.state, func(Change) { *changes++ })
	b.failures, b.why, b.scope, b.epoch = s.failures, s.why, s.scope, epoch
	if s.until != 0 {
		b.until = time.Now().Add(s.until)
	}
	return b
}

var (
	unknown200 = &webserver.Error{Op: "logoff", Verdict: webserver.Unavailable, Unknown: true}
	unknownGet = &webserver.Error{Op: "ping", Verdict: webserver.Unavailable, Unknown: true}
	busy       = &webserver.Error{Op: "logoff", Verdict: webserver.Unavailable, RetryAfter: 90 * time.Second}
	refusedGet = &webserver.Error{Op: "ping", Verdict: webserver.Forbidden}

	now    = ticket{epoch: epoch}
	try    = ticket{epoch: epoch, tries: true}
	idle   = ticket{epoch: epoch, idle: true}
	idling = ticket{epoch: epoch, tries: true, idle: true}
	stale  = ticket{epoch: epoch - 1}
	old    = ticket{epoch: epoch - 1, tries: true}
)

// What an answer means depends on what was asked, when, and what the breaker is open for.
func TestAnswerClosesWhatItDisproves(t *testing.T) {
	for name, test := range map[string]struct {
		found    stood
		ticket   ticket
		kind     Kind
		state    State
		failures int
		changes  int
	}{
		"a read says nothing about logoffs that fail": {stood{state: Closed, failures: 2}, now, Read, Closed, 2, 0},
		"nor does a ping":                               {stood{state: Closed, failures: 2}, idle, Read, Closed, 2, 0},
		"nor a ping that counts as a write":             {stood{state: Closed, failures: 2}, idle, Write, Closed, 2, 0},
		"a logoff does":                                 {stood{state: Closed, failures: 2}, now, Write, Closed, 0, 0},
		"an outage is over with a read":                 {stood{state: HalfOpen, failures: 5, why: down}, try, Read, Closed, 5, 1},
		"and forgotten with a ping":                     {stood{state: HalfOpen, failures: 5, why: down}, idling, Read, Closed, 0, 1},
		"and with a logoff":                             {stood{state: HalfOpen, failures: 5, why: down}, try, Write, Closed, 0, 1},
		"the first answer closes":                       {stood{state: HalfOpen}, try, Read, Closed, 0, 1},
		"a refused logoff is not over with a read":      {stood{state: HalfOpen, failures: 5, why: forbidden}, try, Read, Open, 5, 1},
		"a refused ping is":                             {stood{state: HalfOpen, failures: 5, why: refusedGet}, try, Read, Closed, 5, 1},
		"an answer nobody knows is not over by a read":  {stood{state: HalfOpen, failures: 5, why: unknown200}, try, Read, Open, 5, 1},
		"unless a read had it":                          {stood{state: HalfOpen, failures: 5, why: unknownGet}, try, Read, Closed, 5, 1},
		"refused logoffs do not end with a read":        {stood{state: HalfOpen, failures: 5, why: forbidden, scope: LogoffsOnly}, try, Read, Open, 5, 1},
		"they end with a logoff":                        {stood{state: HalfOpen, failures: 5, why: forbidden, scope: LogoffsOnly}, try, Write, Closed, 0, 1},
		"a read that went on changes nothing":           {stood{state: Open, failures: 5, why: forbidden, scope: LogoffsOnly}, now, Read, Open, 5, 0},
		"what began before it opened is older news":     {stood{state: Open, failures: 5, why: down}, stale, Write, Open, 5, 0},
		"also while another tries":                      {stood{state: HalfOpen, failures: 5, why: down}, stale, Write, HalfOpen, 5, 0},
		"but for a try, which saw the Web Server after": {stood{state: Open, failures: 5, why: down}, old, Write, Closed, 0, 1},
	} {
		changes := 0
		b := test.found.breaker(&changes)
		b.answered(test.ticket, test.kind)
		if b.state != test.state || b.failures != test.failures || changes != test.changes {
			t.Errorf("%s: %s after %d failures, %d changes; want %s, %d, %d", name, b.state, b.failures, changes, test.state, test.failures, test.changes)
		}
		if (b.held() != nil) != (b.state != Closed && test.found.why != nil) {
			t.Errorf("%s: it is %s and holds for %v", name, b.state, b.held())
		}
	}
}

// A failure opens the breaker unless it may concern its own request alone, or is older than what opened it.
func TestFailureOpensWhatItConcerns(t *testing.T) {
	const later = 5 * time.Minute
	for name, test := range map[string]struct {
		found    stood
		ticket   ticket
		why      *webserver.Error
		scope    Scope
		state    State
		failures int
		waits    bool          // its own request
		until    time.Duration // at least, for everybody
		before   time.Duration // and less than
	}{
		"one that may be alone":                      {stood{state: Closed}, now, down, Everything, Closed, 1, true, 0, 0},
		"the third in a row":                         {stood{state: Closed, failures: 2}, now, down, Everything, Open, 3, false, 1, time.Minute},
		"of nobody's job":                            {stood{state: Closed}, idle, down, Everything, Open, 1, false, 1, time.Minute},
		"one that says for how long":                 {stood{state: Closed}, now, busy, Everything, Open, 1, false, 89 * time.Second, later},
		"a missing right":                            {stood{state: Closed}, now, forbidden, Everything, Open, 1, false, 1, later},
		"of a try, after a call to try at once":      {stood{state: HalfOpen, why: down}, try, down, Everything, Open, 1, false, 1, time.Minute},
		"of a try before an earlier end":             {stood{state: HalfOpen, why: down, until: later, failures: 1}, try, down, Everything, Open, 2, false, 1, time.Minute},
		"older than what opened it":                  {stood{state: Open, why: down, until: time.Second, failures: 3}, stale, down, Everything, Open, 3, false, 1, 2 * time.Second},
		"older, and it says for how long":            {stood{state: Open, why: down, until: time.Second, failures: 3}, stale, busy, Everything, Open, 4, false, 89 * time.Second, later},
		"older, and shorter":                         {stood{state: Open, why: down, until: later, failures: 3}, stale, busy, Everything, Open, 4, false, later - time.Second, later + time.Second},
		"of an older try":                            {stood{state: Open, why: down, until: time.Second, failures: 3}, old, down, Everything, Open, 4, false, 1, time.Minute},
		"of another document that is refused":        {stood{state: Open, why: forbidden, scope: LogoffsOnly, until: time.Hour, failures: 3}, now, forbidden, LogoffsOnly, Open, 4, false, 59 * time.Minute, 61 * time.Minute},
		"of everything, while documents are refused": {stood{state: Open, why: forbidden, scope: LogoffsOnly, until: time.Hour, failures: 3}, now, down, Everything, Open, 4, false, 1, time.Minute},
		"of the document that tries":                 {stood{state: HalfOpen, why: forbidden, scope: LogoffsOnly, until: -time.Second, failures: 1}, try, forbidden, LogoffsOnly, Open, 2, false, 1, time.Hour},
		"of a document, the first that is refused":   {stood{state: Closed}, now, forbidden, LogoffsOnly, Open, 1, false, 1, time.Hour},
	} {
		changes := 0
		b := test.found.breaker(&changes)
		wait := b.failed(test.ticket, test.why, test.scope)
		until := time.Until(b.until)
		if b.state != test.state || b.failures != test.failures || (wait > 0) != test.waits {
			t.Errorf("%s: %s after %d failures, and it waits %v; want %s, %d, %t", name, b.state, b.failures, wait, test.state, test.failures, test.waits)
		}
		if b.state != Closed && (until <= 0 || until < test.until || until >= test.before) || b.state == Closed && b.rest(time.Now()) != 0 {
			t.Errorf("%s: everybody waits %v, want %v to %v", name, until, test.until, test.before)
		}
		if opened := b.epoch > epoch; opened != (test.found.state == Closed && test.state == Open) {
			t.Errorf("%s: opened anew: %t", name, opened)
		}
	}
}

// Only the try of the breaker as it is now gives the turn back.
func TestOnlyTheTryGivesTheTurnBack(t *testing.T) {
	for name, test := range map[string]struct {
		found  State
		ticket ticket
		left   State
	}{
		"the try": {HalfOpen, try, Open}, "another request": {HalfOpen, now, HalfOpen}, "an older try": {HalfOpen, old, HalfOpen},
		"a try that others closed": {Closed, try, Closed}, "a try that others opened": {Open, try, Open},
	} {
		changes := 0
		b := stood{state: test.found, why: down}.breaker(&changes)
		b.leave(test.ticket)
		if b.state != test.left || changes > 0 != (test.found != test.left) {
			t.Errorf("%s: %s becomes %s with %d changes", name, test.found, b.state, changes)
		}
	}
}

// Among those who wait the one goes whose turn it is, in whatever order they came.
func TestTurnIsByRankThenByRefusal(t *testing.T) {
	at := time.Now()
	own, calm, angry, other := &Caller{Rank: Own, Kind: Write}, urgent(), urgent(), bulk()
	angry.refused(at)
	for _, waiting := range [][]*Caller{{own, calm, angry, other}, {other, angry, calm, own}, {angry, own, other, calm}} {
		changes := 0
		b := stood{state: Open, why: forbidden}.breaker(&changes)
		for b.waiting = waiting; len(b.waiting) > 0; {
			want := []*Caller{own, calm, angry, other}[4-len(b.waiting)]
			for _, c := range b.waiting {
				if b.isNext(c, at) != (c == want) {
					t.Errorf("%d wait, and it is the turn of %+v", len(b.waiting), c)
				}
			}
			b.forget(want)
		}
		b.state = HalfOpen
		if b.waiting = waiting; b.isNext(own, at) {
			t.Error("it is somebody's turn while another tries")
		}
	}
	changes := 0
	for scope, mayTry := range map[Scope]bool{Everything: false, LogoffsOnly: true} {
		b := stood{state: Open, why: forbidden, scope: scope, until: time.Hour}.breaker(&changes)
		if b.mayTry(calm, at) != mayTry || b.mayTry(angry, at) || !b.mayTry(angry, at.Add(2*time.Hour)) {
			t.Errorf("scope %d: who has not been refused may try: %t, who has: %t", scope, b.mayTry(calm, at), b.mayTry(angry, at))
		}
	}
}

// Whom nothing holds is nobody's turn: it goes by itself, and in front of no one.
func TestWhoIsNotHeldTakesNobodysTurn(t *testing.T) {
	changes := 0
	b := stood{state: Open, why: forbidden, scope: LogoffsOnly}.breaker(&changes)
	read, logoff := &Caller{Rank: Own, Kind: Read}, bulk()
	if b.waiting = []*Caller{read, logoff}; !b.isNext(logoff, time.Now()) {
		t.Error("a read that waits no more keeps a logoff from trying")
	}
}

// Reads wait for what concerns them, too, and for no refused logoff.
func TestReadsGoOnWhileLogoffsAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		found stood
		goOn  bool
	}{
		"closed":          {stood{state: Closed}, true},
		"not begun":       {stood{state: Open}, false},
		"down":            {stood{state: Open, why: down}, false},
		"refused":         {stood{state: Open, why: forbidden, scope: LogoffsOnly}, true},
		"refused for all": {stood{state: Open, why: forbidden}, false},
		"not known":       {stood{state: Open, why: unknown200}, true},
		"a ping unknown":  {stood{state: Open, why: unknownGet}, false},
	} {
		changes := 0
		b := test.found.breaker(&changes)
		if b.holds(&Caller{Kind: Read}) == test.goOn || b.holds(&Caller{Kind: Write}) == (test.found.state == Closed) {
			t.Errorf("%s: it holds reads: %t, logoffs: %t", name, b.holds(&Caller{Kind: Read}), b.holds(&Caller{Kind: Write}))
		}
	}
}

func TestEarliestIsTheFirstThatLiesAhead(t *testing.T) {
	at := time.Now()
	past, soon, late := at.Add(-time.Second), at.Add(time.Second), at.Add(time.Minute)
	for i, test := range []struct{ a, b, want time.Time }{
		{soon, late, soon},
		{late, soon, soon},
		{past, soon, soon},
		{soon, past, soon},
		{time.Time{}, soon, soon},
		{soon, time.Time{}, soon},
		{at, late, late},
		{late, at, late},
		{time.Time{}, time.Time{}, time.Time{}},
		{past, past, time.Time{}},
	} {
		if got := earliest(test.a, test.b, at); !got.Equal(test.want) {
			t.Errorf("%d: %v, want %v", i, got.Sub(at), test.want.Sub(at))
		}
	}
}

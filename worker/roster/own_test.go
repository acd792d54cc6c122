package roster

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker/access"
	"logoffworker/worker/gate"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

// ownID is the session of the worker's latest token.
func (s *site) ownID(t *testing.T) string {
	t.Helper()
	for _, session := range s.sim.Sessions() {
		if session.UserID == 1 && session.Active() {
			return session.ID
		}
	}
	t.Fatal("the worker has no session")
	return ""
}

// seek looks for the own session.
func (s *site) seek(t *testing.T) {
	t.Helper()
	if err := s.SeekOwn(time.Now().Add(time.Minute), true); err != nil {
		t.Fatal(err)
	}
}

// The own session is looked for once for each token, and not before there is one.
func TestOwnSessionIsFoundOnceForEachToken(t *testing.T) {
	inBubble(t, Config{ProtectedUsers: []string{"8"}}, func(t *testing.T, s *site) {
		if s.seek(t); s.lists() != 0 || s.OwnUnknown(true) {
			t.Errorf("before the login: %d lists", s.lists())
		}
		s.lookAt(9)
		before := s.lists()
		var seeking sync.WaitGroup
		for range 5 {
			seeking.Go(func() { s.seek(t) })
		}
		seeking.Wait()
		if id := s.ownID(t); !s.Protects(jobs.Session{ID: strings.ToLower(id)}) || s.lists() != before+1 || s.sim.Count("whoami") != 0 || s.OwnUnknown(true) {
			t.Errorf("after it: %d lists, %d questions who it is", s.lists()-before, s.sim.Count("whoami"))
		}
		s.guard.ownTurn <- struct{}{}
		if s.seek(t); s.lists() != before+1 {
			t.Error("what is known is asked again")
		}
		<-s.guard.ownTurn
		for range 2 {
			s.sim.RevokeTokens()
			s.lookAt(9)
			if s.seek(t); !s.Protects(jobs.Session{ID: s.ownID(t)}) {
				t.Error("that of the next token is not protected")
			}
		}
		if ready, _ := s.health.Ready(); ready {
			t.Error("that our own session was found says that protected users are known")
		}
	})
}

func TestOwnSessionOfAGivenTokenIsFound(t *testing.T) {
	inBubbleAs(t, Config{}, given, func(t *testing.T, s *site) {
		if !s.OwnUnknown(false) {
			t.Error("a token is there, and nobody wants to know whose")
		}
		s.LookAround()
		if !s.Protects(jobs.Session{ID: s.ownID(t)}) || s.sim.Count("whoami") != 1 {
			t.Errorf("asked %d times who it is", s.sim.Count("whoami"))
		}
	})
}

// What the Web Server refuses to say is asked again a minute later, and told while it is so.
func TestOwnSessionThatIsRefusedIsSoughtAgainAMinuteLater(t *testing.T) {
	for _, op := range []string{"whoami", "session"} {
		t.Run(op, func(t *testing.T) {
			inBubbleAs(t, Config{ProtectedUsers: []string{"7"}}, given, func(t *testing.T, s *site) {
				if s.fails(403, op); op == "whoami" {
					s.fails(404, "session")
				}
				for range 2 {
					s.seek(t)
					asked := s.sim.Count(op)
					if s.seek(t); s.OwnUnknown(false) || s.OwnUnknown(true) || s.sim.Count(op) != asked {
						t.Error("it is sought again at once")
					}
					time.Sleep(identifyAgain)
					if s.OwnUnknown(false) || !s.OwnUnknown(true) {
						t.Error("it is not sought a minute later")
					}
				}
				if s.logged("own, so that a job which names it ends it", "403") == 0 || s.logged("no longer") != 0 || op == "whoami" && s.lists() != 0 {
					t.Errorf("%d lists\n%s", s.lists(), s.log)
				}
				s.sim.ClearFaults()
				if s.seek(t); s.logged("no longer") != 1 || !s.Protects(jobs.Session{ID: s.ownID(t)}) {
					t.Errorf("afterwards:\n%s", s.log)
				}
			})
		})
	}
}

// Who seeks it waits for his turn, an outage and a limit until his time is up.
func TestSearchForTheOwnSessionEndsInTime(t *testing.T) {
	overdue := func(err error) bool { return errors.Is(err, gate.ErrOverdue) }
	for name, test := range map[string]struct {
		prepare func(s *site)
		ends    func(error) bool
		again   bool // it is sought by the next
	}{
		"another's turn": {func(s *site) { s.guard.ownTurn <- struct{}{} }, overdue, true},
		"down": {func(s *site) {
			s.sim.Configure(func(c *simulator.Settings) { c.Down = 503 })
			for range 3 { // as others find out
				_, _ = s.server.Ask(gate.Urgent, time.Now().Add(time.Second), s.client.Ping)
			}
		}, overdue, true},
		"stop": {func(s *site) { s.stop() }, access.Stopped, true},
		"limit": {func(s *site) {
			s.server.Gate.Limit(gate.Read, &webserver.Error{Op: webserver.OpPing, Verdict: webserver.Throttled, RetryAfter: time.Hour})
		}, func(err error) bool { return err == nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			for range 5 { // who finds a free turn and an end takes either
				inBubbleAs(t, Config{}, given, func(t *testing.T, s *site) {
					s.lookAt(9)
					test.prepare(s)
					begun := time.Now()
					err := s.SeekOwn(begun.Add(time.Second), false)
					if !test.ends(err) || time.Since(begun) > time.Second+2*latency || s.OwnUnknown(false) != test.again {
						t.Errorf("%v after %v, sought again: %t", err, time.Since(begun), s.OwnUnknown(false))
					}
					if told := s.logged("there was no time to list its sessions"); (told == 1) != !test.again {
						t.Errorf("told %d times", told)
					}
					time.Sleep(identifyAgain)
					if !s.OwnUnknown(true) {
						t.Error("it is found, nobody knows how")
					}
				})
			}
		})
	}
}

// Where the look-up of a protected user is the first request of all, so that the login was for it, the own session is
// known all the same.
func TestOwnSessionIsKnownThoughProtectionAskedFirst(t *testing.T) {
	inBubble(t, Config{ProtectedUsers: []string{"jane@corp.example"}}, func(t *testing.T, s *site) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var watching sync.WaitGroup
		defer watching.Wait()
		defer cancel()
		watching.Go(func() { s.Watch(ctx) })
		time.Sleep(time.Second)
		for _, session := range s.sim.Sessions() {
			if session.UserID == 1 && !s.Protects(jobs.Session{ID: session.ID}) {
				t.Errorf("the own session %s is not known", session.ID)
			}
		}
	})
}

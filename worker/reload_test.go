package worker_test

import (
	"fmt"
	"testing"
	"time"

	"logoffworker/jobs"
	"logoffworker/worker"
	"logoffworker/worker/webserver/simulator"
)

// Who is protected can be changed while the worker runs, and before it does; users who are new are looked
// up before anything of theirs is sent.
func TestReloadChangesWhoIsProtected(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{})
		s.sim.AddUser(simulator.User{ID: 8, Login: `CORP\boss`, Display: "Boss"})
		of := map[int]string{7: s.sim.SignOn(7, simulator.ConsoleWeb), 8: s.sim.SignOn(8, simulator.ConsoleWeb)}
		reloads := make(chan worker.Reload, 1)
		reloads <- worker.Reload{ProtectedUsers: []string{"7"}}
		s.start(options{reloads: reloads, config: func(c *worker.Config) { c.ProtectedUsers = []string{"8"} }})
		passes(t, time.Second)
		for _, protected := range []struct {
			reload worker.Reload
			user   int
		}{
			{worker.Reload{ProtectedUsers: []string{"7"}}, 7},
			{worker.Reload{ProtectedUsers: []string{`CORP\boss`}}, 8},
			{worker.Reload{ProtectedUsers: []string{"jane"}}, 7},
			{worker.Reload{ProtectedSessions: []string{of[8]}}, 8},
		} {
			reloads <- protected.reload
			passes(t, time.Second)
			s.publish("logoff.requests", fmt.Sprintf(`{"sessions":[{"id":%q,"userId":%d}]}`, of[protected.user], protected.user))
			if got := s.await(1)[0].Sessions[0].Outcome; got != jobs.Protected {
				t.Errorf("%+v: the session of user %d is %s", protected.reload, protected.user, got)
			}
		}
		reloads <- worker.Reload{}
		passes(t, time.Second)
		for user, id := range of {
			s.publish("logoff.requests", fmt.Sprintf(`{"sessions":[{"id":%q,"userId":%d}]}`, id, user))
		}
		if got := outcomes(s.await(2)); got[jobs.LoggedOff] != 2 {
			t.Errorf("with nobody protected: %v", got)
		}
	})
}

// A reload that is to try does not wait for the time of the next probe, and one that is not to try leaves a
// rejected login alone.
func TestReloadTriesARejectedLoginIfItIsTo(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newSite(t, simulator.Settings{})
		s.sim.ChangeUser(1, func(u *simulator.User) { u.Password = "another" })
		reloads := make(chan worker.Reload, 1)
		r := s.start(options{reloads: reloads})
		passes(t, time.Minute)
		s.publish("logoff.requests", jobOf(s.sim.SignOnMany(7, 1)...))
		s.sim.ChangeUser(1, func(u *simulator.User) { u.Password = servicePassword })
		reloads <- worker.Reload{}
		passes(t, 20*time.Minute)
		if n := s.sim.Count("login"); n != 1 || r.problem(worker.PartWebServer) == "" {
			t.Fatalf("%d logins, and the Web Server's part says %q", n, r.problem(worker.PartWebServer))
		}
		begun := time.Now()
		reloads <- worker.Reload{Try: true}
		s.await(1)
		if took := time.Since(begun); took > time.Second {
			t.Errorf("the job was done %v after the reload", took)
		}
	})
}

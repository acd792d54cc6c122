package webserver_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

func TestSimulatorSessionsAreReadBack(t *testing.T) {
	for _, base := range []string{"/commandcenter/api", "/SearchSvc/CVWebService.svc"} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, simulator.Settings{}, func(c *webserver.Config) { c.URL = "http://127.0.0.1" + base })
			ids := b.sim.SignOnMany(7, 3)
			window := b.sim.SignOn(7, simulator.ConsoleCommCell)
			begun := time.Now()
			<-time.After(time.Minute)
			if err := b.client.Logoff(t.Context(), webserver.Origin{}, []string{ids[1], window}); err != nil {
				t.Fatal(err)
			}
			l, err := b.client.Sessions(t.Context(), 7)
			if err != nil || !l.Complete || len(l.Sessions) != 4 {
				t.Fatalf("%+v, %v", l, err)
			}
			for _, id := range append(ids, window) {
				row, found := l.Find(strings.ToLower(id))
				ended := id == ids[1] || id == window
				if !found || row.ID != id || row.LogoutTime.IsZero() == ended || row.UserID != 7 || row.UserName != "Jane" || row.Own || !row.LoginTime.Equal(begun) {
					t.Errorf("%s: %+v", id, row)
				}
			}
			if row, _ := l.Find(window); row.ConsoleType != simulator.ConsoleCommCell {
				t.Errorf("%+v", row)
			}
			mine, err := b.client.Sessions(t.Context(), b.client.Self())
			if err != nil || b.client.Self() != 1 || len(mine.Sessions) != 1 || !mine.Sessions[0].Own {
				t.Errorf("self %d: %+v, %v", b.client.Self(), mine, err)
			}
		})
	}
}

func TestSimulatorFullListProvesNothingAboutOlderSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, simulator.Settings{})
		old, login := b.sim.SignOn(7, simulator.ConsoleWeb), time.Now()
		<-time.After(time.Minute)
		newer := b.sim.SignOnMany(7, 10)
		newerLogin := time.Now()
		for range 40 {
			<-time.After(time.Second)
			b.sim.SignOn(7, simulator.ConsoleWeb)
		}
		l, err := b.client.Sessions(t.Context(), 7)
		if _, found := l.Find(old); err != nil || found || l.Complete || l.Covers(login) {
			t.Errorf("the old one: %t, %v", found, err)
		}
		if _, found := l.Find(newer[0]); !found || l.Covers(newerLogin) || !l.Covers(newerLogin.Add(time.Second)) {
			t.Errorf("the newer one: %t", found)
		}
	})
}

func TestSimulatorMissingPermissionIsNoEmptyProof(t *testing.T) {
	for setting, want := range map[simulator.NoPermission]webserver.Verdict{
		simulator.NoPermission403: webserver.Forbidden, simulator.NoPermissionError: webserver.Forbidden, simulator.NoPermissionEmpty: 0,
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, simulator.Settings{NoPermission: setting}, func(c *webserver.Config) {
				c.Username, c.Password = "jane", func() (string, error) { return "j", nil }
			})
			for range 2 {
				l, err := b.client.Sessions(t.Context(), 1)
				if verdict(err) != want || l.Complete || len(l.Sessions) != 0 {
					t.Errorf("%s: %+v, %v", setting, l, err)
				}
				if l, err := b.client.Sessions(t.Context(), 7); err != nil || !l.Complete || len(l.Sessions) != 1 {
					t.Errorf("%s: our own: %+v, %v", setting, l, err)
				}
			}
		})
	}
}

func TestSimulatorFaultsAreNoList(t *testing.T) {
	for _, fault := range []simulator.Fault{
		simulator.Status(503), simulator.Generic500(), simulator.Throttle(5), simulator.Hang(true), simulator.Empty(),
		simulator.ErrorBody(), simulator.Redirect("https://sso.example/"), simulator.Doctype(), simulator.CutOff(),
		simulator.SlowBody(), simulator.EndlessBody(), simulator.GzipBomb(),
	} {
		t.Run(fault.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, simulator.Settings{})
				b.sim.SignOnMany(7, 2)
				if err := b.client.Ping(t.Context()); err != nil {
					t.Fatal(err)
				}
				b.sim.FailNextOn("session", fault)
				l, err := b.client.Sessions(t.Context(), 7)
				e, _ := errors.AsType[*webserver.Error](err)
				if e == nil || e.Op != "sessions" || e.Sent || l.Complete || len(l.Sessions) != 0 {
					t.Errorf("%+v, %v", l, err)
				}
				if n := b.sim.Count("session"); n != 1 {
					t.Errorf("%d requests", n)
				}
				if l, err := b.client.Sessions(t.Context(), 7); err != nil || len(l.Sessions) != 2 {
					t.Errorf("afterwards: %+v, %v", l, err)
				}
			})
		})
	}
}

func TestSimulatorReadSurvivesAConnectionThatDied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, simulator.Settings{})
		b.sim.SignOnMany(7, 2)
		b.sim.FailNextOn("session", simulator.Reset(false))
		for range 2 {
			if l, err := b.client.Sessions(t.Context(), 7); err != nil || len(l.Sessions) != 2 {
				t.Errorf("%+v, %v", l, err)
			}
		}
		b.client.CloseIdle()
		b.sim.FailNextOn("session", simulator.Reset(false))
		if _, err := b.client.Sessions(t.Context(), 7); verdict(err) != webserver.Unavailable {
			t.Errorf("on a new connection: %v", err)
		}
	})
}

func TestSimulatorEndOfOurOwnSessionShows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, simulator.Settings{})
		l, err := b.client.Sessions(t.Context(), 1)
		own := slices.IndexFunc(l.Sessions, func(row webserver.Listed) bool { return row.Own })
		if err != nil || own < 0 {
			t.Fatalf("%+v, %v", l, err)
		}
		if err := b.client.Logoff(t.Context(), webserver.Origin{}, []string{l.Sessions[own].ID}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.client.Sessions(t.Context(), 1); verdict(err) != webserver.Unauthorized {
			t.Error(err)
		}
	})
}

func TestSimulatorRenewsPairs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var current webserver.Pair
		b := newBench(t, simulator.Settings{}, func(c *webserver.Config) {
			c.Username, c.Password = "", nil
			c.Token = func() (string, error) { return "Bearer " + current.Access, nil }
		})
		current.Access, current.Refresh = b.sim.AccessToken(1, "/Session")
		ids := b.sim.SignOnMany(7, 1)
		first := current
		for range 3 {
			<-time.After(20 * time.Minute)
			renewed, err := b.client.RenewPair(t.Context(), current)
			if err != nil || renewed.Access == current.Access || renewed.Refresh == current.Refresh {
				t.Fatalf("%v", err)
			}
			if !renewed.Expires.After(time.Now()) || !renewed.RenewableUntil.After(renewed.Expires) {
				t.Errorf("expires %v, renewable until %v", renewed.Expires, renewed.RenewableUntil)
			}
			current = renewed
			l, err := b.client.Sessions(t.Context(), 7)
			if e, _ := errors.AsType[*webserver.Error](err); e != nil { // the token before the renewal
				if err := b.client.Renew(t.Context(), e); e.Verdict != webserver.Unauthorized || err != nil {
					t.Errorf("%v, then %v", e, err)
				}
				l, err = b.client.Sessions(t.Context(), 7)
			}
			if _, found := l.Find(ids[0]); err != nil || !found {
				t.Errorf("%v", err)
			}
		}
		// An older pair ends the chain, for good.
		for _, p := range []webserver.Pair{first, current} {
			_, err := b.client.RenewPair(t.Context(), p)
			e, _ := errors.AsType[*webserver.Error](err)
			if e == nil || e.Verdict != webserver.LoginRejected || e.Sent {
				t.Errorf("%+v", e)
			}
		}
		if n := b.sim.Count("refresh"); n != 5 {
			t.Errorf("%d renewals", n)
		}
	})
}

func TestSimulatorPairsInDoubtAreSent(t *testing.T) {
	for _, test := range []struct {
		fault simulator.Fault
		sent  bool
	}{
		{simulator.Hang(true), true},
		{simulator.Hang(false), true},
		{simulator.Reset(true), true},
		{simulator.Status(502), true},
		{simulator.Page(), true},
		{simulator.Empty(), true},
		{simulator.GzipBomb(), true},
		{simulator.Generic500(), true},
		{simulator.Throttle(5), false},
		{simulator.Redirect("https://sso.example/"), false},
	} {
		t.Run(test.fault.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, simulator.Settings{})
				var p webserver.Pair
				p.Access, p.Refresh = b.sim.AccessToken(1)
				b.sim.FailNextOn("refresh", test.fault)
				_, err := b.client.RenewPair(t.Context(), p)
				e, _ := errors.AsType[*webserver.Error](err)
				if e == nil || e.Op != "token" || e.Sent != test.sent || strings.Contains(err.Error(), p.Access) || strings.Contains(err.Error(), p.Refresh) {
					t.Errorf("%+v", e)
				}
				if n := b.sim.Count("refresh"); n != 1 {
					t.Errorf("%d calls", n)
				}
				if test.sent {
					return
				}
				if _, err := b.client.RenewPair(t.Context(), p); err != nil {
					t.Errorf("again: %v", err)
				}
			})
		})
	}
}

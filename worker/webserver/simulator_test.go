package webserver_test

import (
	"cmp"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"logoffworker/worker/stage/pipe"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

const servicePassword = "canary service password"

// A bench is a client at a simulated Web Server, in a bubble.
type bench struct {
	sim    *simulator.Server
	client *webserver.Client
}

// switched sets the switches that a test leaves open: what the Web Server answers to sessions that have
// ended, and what becomes of the others in their document. The variables are for a run of all tests.
func switched(s simulator.Settings) simulator.Settings {
	s.Ended = cmp.Or(s.Ended, simulator.Ended(os.Getenv("LOGOFF_TEST_ENDED")))
	s.Partial = cmp.Or(s.Partial, simulator.Partial(os.Getenv("LOGOFF_TEST_PARTIAL")))
	return s
}

func newBench(t *testing.T, settings simulator.Settings, changes ...func(*webserver.Config)) *bench {
	b := &bench{sim: simulator.New(switched(settings), 1)}
	b.sim.AddUser(simulator.User{ID: 1, Login: "admin", Display: "Administrator", Password: servicePassword, Administrator: true})
	b.sim.AddUser(simulator.User{ID: 7, Login: "jane", Display: "Jane", Password: "j"})
	dial, stop := pipe.Serve(b.sim)
	config := webserver.Config{
		URL:         "http://127.0.0.1/commandcenter/api",
		Username:    "admin",
		Password:    func() (string, error) { return servicePassword, nil },
		DialContext: dial,
	}
	for _, change := range changes {
		change(&config)
	}
	var err error
	if b.client, err = webserver.New(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.client.CloseIdle()
		stop()
	})
	return b
}

func (b *bench) active(id string) bool {
	return slices.ContainsFunc(b.sim.Sessions(), func(s simulator.Session) bool { return s.ID == id && s.Active() })
}

func verdict(err error) webserver.Verdict {
	if e, ok := errors.AsType[*webserver.Error](err); ok {
		return e.Verdict
	}
	return 0
}

func TestSimulatorSessionsEnd(t *testing.T) {
	for _, base := range []string{"/commandcenter/api", "/webconsole/api/", "/SearchSvc/CVWebService.svc"} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, simulator.Settings{}, func(c *webserver.Config) { c.URL = "http://127.0.0.1" + base })
			ids := append(b.sim.SignOnMany(7, 5), b.sim.SignOn(7, 5))
			if err := errors.Join(b.client.Ping(t.Context()), b.client.Logoff(t.Context(), webserver.Origin{ID: "w-1"}, ids)); err != nil {
				t.Fatal(err)
			}
			for _, id := range ids {
				if b.active(id) {
					t.Errorf("%s is on", id)
				}
			}
			if err := b.client.Logout(t.Context()); err != nil {
				t.Error(err)
			}
			if slices.ContainsFunc(b.sim.Sessions(), func(s simulator.Session) bool { return s.Active() }) {
				t.Error("our own session is left")
			}
		})
	}
}

func TestSimulatorRevokesTokens(t *testing.T) {
	for _, body := range []simulator.UnauthorizedBody{simulator.UnauthorizedEmpty, simulator.UnauthorizedText, simulator.UnauthorizedJSON, simulator.UnauthorizedHTML} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, simulator.Settings{UnauthorizedBody: body})
			ids := b.sim.SignOnMany(7, 2)
			if err := b.client.Logoff(t.Context(), webserver.Origin{}, ids[:1]); err != nil {
				t.Fatal(err)
			}
			b.sim.RevokeTokens()
			err := b.client.Logoff(t.Context(), webserver.Origin{}, ids[1:])
			e, _ := errors.AsType[*webserver.Error](err)
			if verdict(err) != webserver.Unauthorized {
				t.Fatalf("%s: %v", body, err)
			}
			if err := errors.Join(b.client.Renew(t.Context(), e), b.client.Logoff(t.Context(), webserver.Origin{}, ids[1:])); err != nil {
				t.Errorf("%s: %v", body, err)
			}
		})
	}
}

func TestSimulatorTokenIdlesOutAndIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, simulator.Settings{})
		if err := b.client.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-time.After(31 * time.Minute)
		err := b.client.Ping(t.Context())
		e, _ := errors.AsType[*webserver.Error](err)
		if verdict(err) != webserver.Unauthorized {
			t.Fatalf("%v", err)
		}
		if err := errors.Join(b.client.Renew(t.Context(), e), b.client.Ping(t.Context())); err != nil {
			t.Error(err)
		}
		if logins, renewals := b.sim.Count("login"), b.sim.Count("renew"); logins != 1 || renewals != 1 {
			t.Errorf("%d logins, %d renewals", logins, renewals)
		}
	})
}

func TestSimulatorLocksNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, simulator.Settings{LockoutAfter: 2}, func(c *webserver.Config) {
			c.Password = func() (string, error) { return "canary wrong", nil }
		})
		for range 60 {
			if err := b.client.Ping(t.Context()); verdict(err) != webserver.LoginRejected {
				t.Fatalf("%v", err)
			}
			<-time.After(time.Minute)
		}
		if n := b.sim.Count("login"); n != 1 {
			t.Errorf("%d logins in an hour", n)
		}
	})
}

func TestSimulatorSettingsHaveTheirVerdicts(t *testing.T) {
	for name, test := range map[string]struct {
		settings simulator.Settings
		want     webserver.Verdict
	}{
		"maintenance":              {simulator.Settings{Maintenance: true}, webserver.Unavailable},
		"503":                      {simulator.Settings{Down: 503}, webserver.Unavailable},
		"reset":                    {simulator.Settings{Down: simulator.DownReset}, webserver.Unavailable},
		"500":                      {simulator.Settings{Down: 500}, webserver.Undecided},
		"too large, 400":           {simulator.Settings{DocumentLimit: 500}, webserver.Refused},
		"too large, 404":           {simulator.Settings{DocumentLimit: 500, DocumentLimitStatus: 404}, webserver.NotFound},
		"too large, 413":           {simulator.Settings{DocumentLimit: 500, DocumentLimitStatus: 413}, webserver.TooLarge},
		"quota":                    {simulator.Settings{WritesPerHour: 2}, webserver.Throttled},
		"effect, then 502":         {simulator.Settings{AfterEffect: simulator.AfterEffect502, Ended: simulator.EndedIgnore}, webserver.Unavailable}, // else the unknown session fails it before
		"no such session":          {simulator.Settings{Ended: simulator.Ended500}, webserver.Undecided},
		"no such session, 200":     {simulator.Settings{Ended: simulator.EndedError}, webserver.Refused},
		"no such session, nothing": {simulator.Settings{Ended: simulator.EndedIgnore}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, simulator.Settings{})
				ids := append(b.sim.SignOnMany(7, 9), "CF1C660B-396F-44B7-86DA-5608CEC97453")
				if err := b.client.Ping(t.Context()); err != nil {
					t.Fatal(err)
				}
				b.sim.Configure(func(s *simulator.Settings) { *s = switched(test.settings) })
				if test.settings.WritesPerHour > 0 {
					for range 2 {
						b.client.Logoff(t.Context(), webserver.Origin{}, ids[:1])
					}
				}
				if err := b.client.Logoff(t.Context(), webserver.Origin{}, ids); verdict(err) != test.want {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

func TestSimulatorFaultsAreNoSuccess(t *testing.T) {
	for _, fault := range []simulator.Fault{
		simulator.Status(503), simulator.Generic500(), simulator.Throttle(5), simulator.Reset(true), simulator.Reset(false), simulator.Hang(true),
		simulator.Page(), simulator.Empty(), simulator.ErrorBody(), simulator.Redirect("https://sso.example/"), simulator.Doctype(),
		simulator.CutOff(), simulator.SlowBody(), simulator.EndlessBody(), simulator.GzipBomb(),
	} {
		t.Run(fault.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, simulator.Settings{})
				ids := b.sim.SignOnMany(7, 1)
				b.sim.FailNext(fault)
				err := b.client.Logoff(t.Context(), webserver.Origin{}, ids)
				if v := verdict(err); v == 0 || v == webserver.Accepted {
					t.Errorf("%v", err)
				}
				if err != nil && strings.Contains(err.Error(), "canary") {
					t.Errorf("a secret: %v", err)
				}
				if n := b.sim.Count("logoff"); n != 1 {
					t.Errorf("%d requests", n)
				}
			})
		})
	}
}

func TestSimulatorKeepsRetryAfterInBothForms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, simulator.Settings{})
		ids := b.sim.SignOnMany(7, 1)
		b.sim.FailNext(simulator.Throttle(90), simulator.ThrottleUntil(time.Now().Add(90*time.Second)))
		for range 2 {
			e, _ := errors.AsType[*webserver.Error](b.client.Logoff(t.Context(), webserver.Origin{}, ids))
			if e == nil || e.Verdict != webserver.Throttled || e.RetryAfter != 90*time.Second {
				t.Errorf("%+v", e)
			}
		}
	})
}

func TestSimulatorLetsUsThroughItsFirewall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, simulator.Settings{Firewall: true})
		if err := b.client.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		for _, r := range b.sim.Journal() {
			if agent := r.Header.Get("User-Agent"); agent != "logoff-worker" || r.Status != http.StatusOK {
				t.Errorf("%d for %q", r.Status, agent)
			}
		}
	})
}

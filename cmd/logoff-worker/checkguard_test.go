package main

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"logoffworker/worker/env"
	"logoffworker/worker/webserver/simulator"
)

// check warns where NATS does not keep who publishes a job that is held from approving it: no users, one for all, one
// that may approve, and one that may not say what it may. The users of deploy/nats/accounts.conf are told apart.
func TestCheckSeesWhoMayApprove(t *testing.T) {
	one := func(permissions string) string {
		return `accounts { A { users: [ { user: w, password: p, permissions: { ` + permissions + ` } } ] } }`
	}
	const api = `"$JS.API.>", "logoff.results.>"`
	const asks = api + `, "$SYS.REQ.USER.INFO"`
	for name, test := range map[string]struct {
		configuration, user string
		says                string
	}{
		"no users":                {"", "", "warn  approval   NATS lets in who names no user"},
		"a user for the nameless": {"no_auth_user: w\n" + one(`publish: [ `+asks+` ]`), "", "ok    approval   the worker's NATS user can approve nothing"},
		"one user for all":        {`authorization { user: w, password: p }`, "w", "warn  approval   the worker's NATS user may approve jobs (publish logoff.approved.*.*)"},
		"may approve":             {one(`publish: [ ` + asks + `, "logoff.approved.bulk.*" ]`), "w", "warn  approval   the worker's NATS user may approve jobs (publish logoff.approved.bulk.*)"},
		"may not ask":             {one(`publish: [ ` + api + ` ]`), "w", "warn  approval   NATS does not say what this worker may do"},
		"may not approve":         {one(`publish: [ ` + asks + ` ]`), "w", "ok    approval   the worker's NATS user can approve nothing"},
		"denied":                  {one(`publish: { deny: "logoff.approved.>" }`), "w", "ok    approval   the worker's NATS user can approve nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			nc := connectedAs(t, test.user, natsServer(t, test.configuration))
			for _, above := range []holdAbove{{Job: 500}, {Hour: 500}, {}} {
				said := tells(func(r *report) { r.checkApprovers(t.Context(), settings{Prefix: "logoff", HoldAbove: above}, nc) })
				if above == (holdAbove{}) {
					if said != "" {
						t.Errorf("without holding it says\n%s", said)
					}
				} else if !strings.HasPrefix(said, test.says) {
					t.Errorf("with %+v it does not say %q:\n%s", above, test.says, said)
				}
				if strings.Contains(said, "logoffctl doctor") {
					t.Errorf("it sends publishers to what they may not ask:\n%s", said)
				}
			}
		})
	}
}

// connectedAs is a connection of a user, or of nobody in particular, which is asked for rights that it lacks.
func connectedAs(t *testing.T, user string, s *server.Server) *nats.Conn {
	t.Helper()
	options := []nats.Option{nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})}
	if user != "" {
		options = append(options, nats.UserInfo(user, "p"))
	}
	return jetStream(t, s.ClientURL(), options...).Conn()
}

// check says whether canaries can set out, and which right they lack.
func TestCheckSeesWhetherCanariesSetOut(t *testing.T) {
	const unknown = "warn  canary     NATS does not say whether this worker may publish on logoff.requests.urgent.canary"
	for name, test := range map[string]struct{ configuration, rights, user, says string }{
		"may":                   {"", `"$SYS.REQ.USER.INFO", "logoff.requests.urgent.canary"`, "w", "ok    canary     NATS lets canaries set out"},
		"may not":               {"", `"$SYS.REQ.USER.INFO"`, "w", "FAIL  canary     the worker's NATS user may not publish on logoff.requests.urgent.canary"},
		"unknown":               {"", `"$JS.API.>"`, "w", unknown},
		"unknown, and nameless": {"no_auth_user: w\n", `"$JS.API.>"`, "", unknown},
	} {
		t.Run(name, func(t *testing.T) {
			s := natsServer(t, test.configuration+"accounts { A { users: [ { user: w, password: p, permissions: { publish: [ "+test.rights+" ] } } ] } }")
			nc := connectedAs(t, test.user, s)
			for every, says := range map[time.Duration]string{0: "", 5 * time.Minute: test.says} {
				said := tells(func(r *report) { r.checkCanary(t.Context(), settings{Prefix: "logoff", CanaryEvery: every}, nc) })
				if !strings.HasPrefix(said, says) || (said == "") != (says == "") {
					t.Errorf("every %v it says %q, want %q", every, said, says)
				}
			}
		})
	}
}

// The embedded broker has one user, who may do everything, and it is said what that means.
func TestCheckKnowsTheUserOfTheEmbeddedBroker(t *testing.T) {
	b := natsServer(t, `accounts { A { users: [ { user: w, password: p, permissions: { publish: "$JS.API.>" } } ] } }`) // does not say who it is, as the embedded one
	nc := connectedAs(t, "w", b)
	s := settings{Prefix: "logoff", CanaryEvery: time.Minute, HoldAbove: holdAbove{Job: 1}}
	s.NATS.URL = embedded
	if said := tells(func(r *report) { r.checkApprovers(t.Context(), s, nc) }); !strings.HasPrefix(said, "warn  approval   the embedded broker has one user for all") {
		t.Errorf("it says %q", said)
	}
	if said := tells(func(r *report) { r.checkCanary(t.Context(), s, nc) }); !strings.HasPrefix(said, "ok    canary     NATS lets canaries set out") {
		t.Errorf("it says %q", said)
	}
}

// From when on jobs are held is said in whole sentences, whatever of it is set.
func TestCheckSaysWhatIsHeld(t *testing.T) {
	for above, says := range map[holdAbove]string{
		{}:        "note  held       no job is held, however many people it names",
		{Job: 50}: "ok    held       a job that names more than 50 sessions and people is held; a publisher may name as many as it likes in several",
		{Hour: 9}: "ok    held       jobs are held with which a publisher names more than 9 sessions and people within an hour",
		{50, 90}:  "ok    held       a job that names more than 50 sessions and people is held, and those with which a publisher names more than 90 within an hour",
	} {
		if said := tells(func(r *report) { r.checkHolding(settings{HoldAbove: above}) }); !strings.HasPrefix(said, says) {
			t.Errorf("%+v: it says %q, want %q", above, said, says)
		}
	}
}

// What the settings protect is looked at as far as the Web Server answers, and nothing is said well of a fault.
func TestCheckSaysWhatIsProtected(t *testing.T) {
	const session = "8A3A9A8E-0C68-49A6-BEBB-404D96D7A4BF"
	const unseen = "warn  protected  whether there are the protected users was not looked up"
	const noSession = "FAIL  protected  no session is protected by the value 1 of LOGOFF_PROTECTED_SESSIONS"
	for name, test := range map[string]struct {
		users, sessions list
		answers         bool // the Web Server does
		says            []string
	}{
		"nothing":                  {nil, nil, true, nil},
		"a user":                   {list{"svc"}, nil, true, []string{"ok    protected  1 users and 0 sessions are left alone"}},
		"a session":                {nil, list{session}, true, []string{"ok    protected  0 users and 1 sessions are left alone"}},
		"a user with a long list":  {list{"jane"}, nil, true, []string{"warn  protected  ", "ok    protected  1 users and 0 sessions are left alone"}},
		"nobody":                   {list{"nobody"}, nil, true, []string{`FAIL  protected  the Web Server knows nobody by "nobody", the value 1 of LOGOFF_PROTECTED_USERS`}},
		"no session":               {nil, list{"x"}, true, []string{noSession}},
		"a user, not answered":     {list{"svc"}, nil, false, []string{unseen}},
		"a session, not answered":  {nil, list{session}, false, []string{"ok    protected  0 users and 1 sessions are left alone"}},
		"both, not answered":       {list{"svc"}, list{session}, false, []string{unseen}},
		"no session, not answered": {nil, list{"x"}, false, []string{noSession}},
		"no session and a user":    {list{"svc"}, list{"x"}, false, []string{noSession, unseen}},
	} {
		t.Run(name, func(t *testing.T) {
			s, sim := loopbackSettings(t)
			sim.ChangeUser(proveUser, func(u *simulator.User) { u.Administrator = true })
			sim.AddUser(simulator.User{ID: otherUser, Login: "jane"})
			sim.SignOnMany(otherUser, 60)
			s.Webserver.Token = env.Secret(sim.Token(proveUser))
			s.ProtectedUsers, s.ProtectedSessions = test.users, test.sessions
			client, err := s.client(nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer client.CloseIdle()
			asked := client
			if !test.answers {
				asked = nil
			}
			checkSaid(t, tells(func(r *report) { r.checkProtected(t.Context(), s, asked) }), test.says)
		})
	}
}

// Whether the worker leaves its own session alone is known, not known, or no question.
func TestCheckSaysWhetherTheOwnSessionIsKnown(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*settings, *simulator.Server)
		says   []string
	}{
		"a login": {func(s *settings, _ *simulator.Server) {
			s.Webserver.Token, s.Webserver.Username, s.Webserver.Password = "", "svc", provePassword
		}, nil},
		"a token": {func(*settings, *simulator.Server) {}, []string{"ok    own        the session of the token is known, and left alone"}},
		"a token that has none": {func(s *settings, sim *simulator.Server) {
			access, _ := sim.AccessToken(proveUser)
			s.Webserver.Token = env.Secret("Bearer " + access)
		}, []string{"warn  own        no session that the Web Server lists belongs to the token, so that it may have none; a job that names it ends it"}},
		"no list": {func(_ *settings, sim *simulator.Server) {
			sim.FailNextOn("session", simulator.Status(403), simulator.Status(403))
		}, []string{"warn  own        which session belongs to the token was not found out: sessions: 403 Forbidden"}},
	} {
		s, sim := loopbackSettings(t)
		s.Webserver.Token = env.Secret(sim.Token(proveUser))
		test.change(&s, sim)
		client, err := s.client(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		said := tells(func(r *report) { r.checkOwn(t.Context(), client) })
		client.CloseIdle()
		t.Run(name, func(t *testing.T) { checkSaid(t, said, test.says) })
	}
}

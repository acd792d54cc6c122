package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"logoffworker/worker/env"
	"logoffworker/worker/stage/pipe"
	"logoffworker/worker/webserver"
	"logoffworker/worker/webserver/simulator"
)

const (
	provePassword = "canary-password"
	proveUser     = 5 // a service account, of whose sessions the proof is
	otherUser     = 7
)

// A proveCase is a Web Server, and what the proof says of it.
type proveCase struct {
	settings      simulator.Settings
	administrator bool
	password      string // of the settings; empty is the right one
	user          int64  // of --prove-user
	before        func(*simulator.Server)
	after         map[string]func(*simulator.Server) // by client and call, such as "first logoff"

	stopAfter string        // after which of these calls the program is told to stop
	stopIn    time.Duration // or when

	says    []string // lines of the report begin so, in this order, and there is none besides
	logoffs int
	logins  int
}

const (
	proveEnter   = "ok    webserver  answers, and takes the credentials"
	proveSecond  = "ok    prove      logged in a second time, as session "
	proveBoth    = "ok    prove      the first login's list shows both sessions"
	proveDelete  = "ok    prove      DELETE Sessions with session "
	proveEnded   = "ok    prove      session "
	proveRefused = "ok    prove      its token is refused"
	proveOwnOnly = "warn  prove      only the account's own sessions were tried"
	proveNone    = "warn  prove      not tried"
	proveTaken   = "FAIL  prove      its token is still taken"
	proveNotLeft = "warn  prove      a session of the proof was not logged out; it ends by its idle time-out: logout: 503 Service Unavailable"
	proveStillOn = "FAIL  prove      the session is still on in the list after 6s"
)

var proveWell = []string{proveEnter, proveSecond, proveBoth, proveDelete, proveEnded, proveRefused}

// wellBut are the lines of a proof in which all is well, up to the place given.
func wellBut(upTo string, lines ...string) []string {
	return append(slices.Clone(proveWell[:slices.Index(proveWell, upTo)+1]), lines...)
}

func deleteFails(faults ...simulator.Fault) func(*simulator.Server) {
	return func(s *simulator.Server) { s.FailNext(faults...) }
}

// lists returns what answers the next lists with the account's sessions at these places, all of them on,
// the one at the place own as the caller's.
func lists(own int, places ...int) func(*simulator.Server) { return nextLists(4, own, places...) }

func nextLists(n, own int, places ...int) func(*simulator.Server) {
	type row = map[string]any
	return func(s *simulator.Server) {
		sessions := slices.DeleteFunc(s.Sessions(), func(s simulator.Session) bool { return s.UserID != proveUser })
		rows := []row{}
		for _, place := range places {
			r := row{"sessionId": sessions[place].ID, "loginTime": sessions[place].LoginTime.Unix(), "logoutTime": 0, "user": row{"userId": proveUser}}
			if place == own {
				r["isCurrentSession"] = true
			}
			rows = append(rows, r)
		}
		body, err := json.Marshal(row{"sessions": rows})
		if err != nil {
			panic(err)
		}
		nextAnswers(n, "session", simulator.Answer(200, "application/json", string(body)))(s)
	}
}

// nextAnswers returns what gives the next requests of a kind the same answer.
func nextAnswers(n int, op string, fault simulator.Fault) func(*simulator.Server) {
	return func(s *simulator.Server) { s.FailNextOn(op, slices.Repeat([]simulator.Fault{fault}, n)...) }
}

func TestProofNamesWhatIsWrong(t *testing.T) {
	for name, test := range map[string]proveCase{
		"all is well": {
			says: append(proveWell, proveOwnOnly), logoffs: 1, logins: 2,
		},
		"numbers in quotes, the plural path, no WhoAmI": {
			settings: simulator.Settings{NumbersAsText: true, SessionPath: simulator.SessionPathPlural},
			before:   nextAnswers(9, "whoami", simulator.Answer(404, "application/json", `{"errorCode":404}`)),
			says:     append(proveWell, proveOwnOnly), logoffs: 1, logins: 2,
		},
		"a proxy drops the bodies of DELETE": {
			settings: simulator.Settings{DropBody: true},
			says: wellBut(proveDelete,
				"FAIL  prove      the Web Server accepted the request, yet the session is still on in the list after 6s: something between here and the Web Server (a proxy, a load balancer, a web application firewall) probably drops the body of DELETE requests",
				proveTaken, proveOwnOnly),
			logoffs: 1, logins: 2,
		},
		"a clock that is behind": {
			settings: simulator.Settings{ClockOffset: -10 * time.Minute},
			says:     slices.Concat([]string{proveEnter, "warn  clock      the Web Server's clock is off by -10m0s; the worker allows for it"}, proveWell[1:], []string{proveOwnOnly}), logoffs: 1, logins: 2,
		},
		"the effect shows late": {
			settings: simulator.Settings{EffectDelay: 2 * time.Second},
			says:     append(proveWell, proveOwnOnly), logoffs: 1, logins: 2,
		},
		"the effect shows too late": {
			settings: simulator.Settings{EffectDelay: 7 * time.Second},
			says:     wellBut(proveDelete, "FAIL  prove      the Web Server accepted the request, yet", proveTaken, proveOwnOnly),
			logoffs:  1, logins: 2,
		},
		"no permission for DELETE": {
			before:  deleteFails(simulator.Status(403)),
			says:    wellBut(proveBoth, "FAIL  prove      logoff: 403 Forbidden: User does not have the required permission", proveOwnOnly),
			logoffs: 1, logins: 2,
		},
		"another user's sessions can be read": {
			administrator: true, user: otherUser,
			says: append(proveWell, "ok    prove      sessions of user 7 can be read"), logoffs: 1, logins: 2,
		},
		"another user's sessions: 403": {
			user: otherUser,
			says: append(proveWell, "FAIL  prove      sessions: 403 Forbidden"), logoffs: 1, logins: 2,
		},
		"another user's sessions: an error under 200": {
			settings: simulator.Settings{NoPermission: simulator.NoPermissionError}, user: otherUser,
			says: append(proveWell, "FAIL  prove      sessions: 200 OK: User does not have [Add, Delete and Modify a User] permission"), logoffs: 1, logins: 2,
		},
		"another user's sessions: an empty list": {
			settings: simulator.Settings{NoPermission: simulator.NoPermissionEmpty}, user: otherUser,
			says: append(proveWell, "FAIL  prove      user 7 has no session in the list"), logoffs: 1, logins: 2,
		},
		"another user who is the account": {
			administrator: true, user: proveUser,
			says: append(proveWell, "FAIL  prove      user 5 is the account itself"), logoffs: 1, logins: 2,
		},
		"DELETE is blocked": {
			before:  deleteFails(simulator.Answer(405, "text/plain", "")),
			says:    wellBut(proveBoth, "FAIL  prove      logoff: 405 Method Not Allowed: GET is answered here and DELETE is not", proveOwnOnly),
			logoffs: 1, logins: 2,
		},
		"DELETE is blocked with a page": {
			before:  deleteFails(simulator.Status(405)),
			says:    wellBut(proveBoth, "FAIL  prove      logoff: 405 Method Not Allowed: an HTML page: 405 Method Not Allowed: GET is answered here and DELETE is not", proveStillOn, proveTaken, proveOwnOnly),
			logoffs: 1, logins: 2,
		},
		"DELETE is redirected": {
			before:  deleteFails(simulator.Redirect("https://login.example/sso?secret=canary")),
			says:    wellBut(proveBoth, "FAIL  prove      logoff: 302 Found (it points to https://login.example/sso: the base URL is wrong", proveOwnOnly),
			logoffs: 1, logins: 2,
		},
		"500 without effect": {
			before:  deleteFails(simulator.Generic500()),
			says:    wellBut(proveBoth, "FAIL  prove      logoff: 500 Internal Server Error: Something is not right. Please check web service logs for details (errorCode 500): the session was on, so this is about the request", proveStillOn, proveTaken, proveOwnOnly),
			logoffs: 1, logins: 2,
		},
		"an empty answer with effect": {
			before:  deleteFails(simulator.Empty().Applied()),
			says:    wellBut(proveBoth, "FAIL  prove      logoff: 200 OK (an answer without a body", proveEnded, proveRefused, proveOwnOnly),
			logoffs: 1, logins: 2,
		},
		"DELETE is never answered": {
			before:  deleteFails(simulator.Hang(true)),
			says:    wellBut(proveBoth, "FAIL  prove      logoff: no complete answer within 30s", proveEnded, proveRefused, proveOwnOnly),
			logoffs: 1, logins: 2,
		},
		"the token outlives the session": {
			after:   map[string]func(*simulator.Server){"first logoff": nextAnswers(4, "whoami", simulator.Answer(200, "application/json", `{"userName":"svc"}`))},
			says:    wellBut(proveEnded, "FAIL  prove      session ", proveOwnOnly),
			logoffs: 1, logins: 2,
		},
		"the list lags behind the token": {
			after:   map[string]func(*simulator.Server){"first logoff": lists(0, 1, 0)},
			says:    wellBut(proveDelete, "FAIL  prove      the token of session ", proveRefused, proveOwnOnly),
			logoffs: 1, logins: 2,
		},
		"lists come from a cache": {
			after:  map[string]func(*simulator.Server){"second sessions": lists(1, 1, 0)},
			says:   wellBut(proveSecond, "FAIL  prove      the list marks session "),
			logins: 2,
		},
		"Web Servers that do not know each other's sessions": {
			after:  map[string]func(*simulator.Server){"second sessions": lists(0, 0)},
			says:   wellBut(proveSecond, "FAIL  prove      the first login's list does not show session "),
			logins: 2,
		},
		"no row is the first login's own": {
			after:  map[string]func(*simulator.Server){"second sessions": lists(-1, 1, 0)},
			says:   wellBut(proveSecond, "FAIL  prove      the first login's list does not show its own session"),
			logins: 2,
		},
		"the list is cut": {
			after:   map[string]func(*simulator.Server){"first logoff": lists(0, make([]int, 50)...)},
			says:    wellBut(proveDelete, "FAIL  prove      the session is not in the list, which may be cut", proveRefused, proveOwnOnly),
			logoffs: 1, logins: 2,
		},
		"the list is long": {
			before: func(s *simulator.Server) {
				for range 60 {
					s.SignOff(s.SignOn(proveUser, simulator.ConsoleWeb))
				}
			},
			says:    append(proveWell, proveOwnOnly),
			logoffs: 1, logins: 2,
		},
		"the list lags behind the token for a while": {
			after:   map[string]func(*simulator.Server){"first logoff": nextLists(2, 0, 1, 0)},
			says:    append(proveWell, proveOwnOnly),
			logoffs: 1, logins: 2,
		},
		"the token outlives the session for a while": {
			after:   map[string]func(*simulator.Server){"first logoff": nextAnswers(2, "whoami", simulator.Answer(200, "application/json", `{"userName":"svc"}`))},
			says:    append(proveWell, proveOwnOnly),
			logoffs: 1, logins: 2,
		},
		"the session is still on, and its token is not answered for": {
			settings: simulator.Settings{DropBody: true},
			after:    map[string]func(*simulator.Server){"first logoff": nextAnswers(4, "whoami", simulator.Status(503))},
			says:     wellBut(proveDelete, proveStillOn, "FAIL  prove      whether its token is refused is not known: ping: 503 Service Unavailable", proveOwnOnly),
			logoffs:  1, logins: 2,
		},
		"ended sessions leave the list": {
			after:   map[string]func(*simulator.Server){"first logoff": lists(0, 0)},
			says:    append(proveWell, proveOwnOnly),
			logoffs: 1, logins: 2,
		},
		"no row is the caller's own": {
			after:  map[string]func(*simulator.Server){"second login": lists(-1, 0)},
			says:   wellBut(proveEnter, "FAIL  prove      the list marks no session as the second login's own"),
			logins: 2,
		},
		"the second login's list is refused": {
			after:  map[string]func(*simulator.Server){"second login": nextAnswers(4, "session", simulator.Status(403))},
			says:   wellBut(proveEnter, "FAIL  prove      sessions: 403 Forbidden"),
			logins: 2,
		},
		"the second session is ended at once": {
			after:  map[string]func(*simulator.Server){"second sessions": func(s *simulator.Server) { s.SignOff(s.Sessions()[2].ID) }},
			says:   wellBut(proveSecond, "FAIL  prove      the first login's list does not show session "),
			logins: 2,
		},
		"a login that does not say whose it is": {
			before: func(s *simulator.Server) {
				s.FailNextOn("login", simulator.Answer(200, "application/json", `{"token":"`+s.Token(proveUser)+`"}`))
				s.FailNextOn("whoami", simulator.Answer(200, "application/json", `{"userName":"svc"}`))
			},
			says:   wellBut(proveEnter, "FAIL  prove      the login does not say the account's userId (aliasName)"),
			logins: 1,
		},
		"an account may have one session": {
			after:  map[string]func(*simulator.Server){"second login": func(s *simulator.Server) { s.SignOff(s.Sessions()[1].ID) }},
			says:   wellBut(proveSecond, "FAIL  prove      the first login's token is refused since the second login"),
			logins: 2,
		},
		"the first login's list is refused for another reason": {
			after:  map[string]func(*simulator.Server){"second sessions": nextAnswers(4, "session", simulator.Status(403))},
			says:   wellBut(proveSecond, "FAIL  prove      sessions: 403 Forbidden"),
			logins: 2,
		},
		"a page in place of WhoAmI": {
			before: nextAnswers(9, "whoami", simulator.Answer(404, "text/html", "<html><title>Not found</title></html>")),
			says:   []string{"FAIL  webserver  ping: 404 Not Found: an HTML page: Not found", proveNone},
			logins: 1,
		},
		"the password is wrong": {
			password: "canary-wrong",
			says:     []string{"FAIL  webserver  login: ", proveNone},
			logins:   1,
		},
		"the second login is rejected": {
			after: map[string]func(*simulator.Server){"first login": func(s *simulator.Server) {
				s.FailNextOn("login", simulator.Answer(200, "application/json", `{"errList":[{"errorCode":1116,"errLogMessage":"no"}]}`))
			}},
			says:   wellBut(proveEnter, "FAIL  prove      the second login: login: "),
			logins: 2,
		},
		"stopped at the second login": {
			stopAfter: "second login",
			says:      wellBut(proveEnter, "FAIL  prove      the second login: "),
			logins:    2,
		},
		"stopped at the logoff": {
			stopAfter: "first logoff",
			says:      wellBut(proveDelete, "FAIL  prove      login: given up: context canceled", "FAIL  prove      whether its token is refused is not known", proveOwnOnly),
			logoffs:   1, logins: 2,
		},
		"stopped before the next look": {
			settings: simulator.Settings{DropBody: true},
			stopIn:   waits[0] / 2,
			says:     wellBut(proveDelete, "FAIL  prove      login: given up: context canceled", "FAIL  prove      whether its token is refused is not known", proveOwnOnly),
			logoffs:  1, logins: 2,
		},
		"no logout is answered": {
			before:  nextAnswers(2, "logout", simulator.Status(503).Applied()),
			says:    append(proveWell, proveOwnOnly, proveNotLeft, proveNotLeft),
			logoffs: 1, logins: 2,
		},
		"the server is down": {
			settings: simulator.Settings{Down: 503},
			says:     []string{"FAIL  webserver  login: 503 Service Unavailable", proveNone},
			logins:   1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test.run(t) })
		})
	}
}

// run makes the proof, holds the report and the Web Server against what is wanted, and returns the report.
func (c proveCase) run(t *testing.T) string {
	t.Helper()
	sim := simulator.New(c.settings, 1)
	sim.AddUser(simulator.User{ID: proveUser, Login: "svc", Password: provePassword, Administrator: c.administrator})
	sim.AddUser(simulator.User{ID: otherUser, Login: "jane"})
	sim.SignOn(otherUser, simulator.ConsoleWeb) // nobody's business
	if c.before != nil {
		c.before(sim)
	}
	dial, stop := pipe.Serve(sim)
	defer stop()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if c.stopIn > 0 {
		time.AfterFunc(c.stopIn, cancel)
	}
	client := func(name string) *webserver.Client {
		client, err := webserver.New(webserver.Config{
			URL: "http://127.0.0.1/commandcenter/api", DialContext: dial, Username: "svc",
			Password: env.Source(env.Secret(cmp.Or(c.password, provePassword)), ""),
			Observe: func(call webserver.Call) {
				if after := c.after[name+" "+call.Op]; after != nil {
					after(sim)
				}
				if name+" "+call.Op == c.stopAfter {
					cancel()
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		return client
	}
	var out strings.Builder
	p := &proof{report: &report{w: &out}, first: client("first"), second: client("second"), user: c.user}
	p.run(ctx)

	c.checkReport(t, out.String(), p.report.failed)
	checkNoSecrets(t, out.String(), sim)
	if n := sim.Count("logoff"); n != c.logoffs {
		t.Errorf("%d logoffs, want %d", n, c.logoffs)
	}
	if n := sim.Count("login"); n != c.logins {
		t.Errorf("%d logins, want %d", n, c.logins)
	}
	checkAllLeft(t, sim)
	return out.String()
}

func (c proveCase) checkReport(t *testing.T, report string, failed int) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(report), "\n")
	fails := 0
	for i, line := range lines {
		if i >= len(c.says) || !strings.HasPrefix(line, c.says[i]) {
			t.Errorf("line %d is not as wanted", i+1)
		}
		if strings.HasPrefix(line, "FAIL") {
			fails++
		}
	}
	if len(lines) != len(c.says) || failed != fails {
		t.Errorf("%d lines, want %d; %d counted as failed, %d said so", len(lines), len(c.says), failed, fails)
	}
	if t.Failed() {
		t.Errorf("the report:\n%swant:\n%s", report, strings.Join(c.says, "\n"))
	}
}

// checkNoSecrets holds a report against what the Web Server has seen and made.
func checkNoSecrets(t *testing.T, report string, sim *simulator.Server) {
	t.Helper()
	secrets := []string{"canary", base64.StdEncoding.EncodeToString([]byte(provePassword))}
	for _, session := range sim.Sessions() {
		secrets = append(secrets, session.ID)
	}
	for _, request := range sim.Journal() {
		if token := request.Header.Get("Authtoken"); token != "" {
			secrets = append(secrets, token, strings.TrimPrefix(token, "QSDK "))
		}
	}
	for _, secret := range secrets {
		if strings.Contains(report, secret) {
			t.Errorf("the report holds %q:\n%s", secret, report)
		}
	}
}

// checkAllLeft fails when the account has a session left, or somebody else lost one.
func checkAllLeft(t *testing.T, sim *simulator.Server) {
	t.Helper()
	for _, session := range sim.Sessions() {
		if session.Active() != (session.UserID == otherUser) {
			t.Errorf("session of user %d: on is %v", session.UserID, session.Active())
		}
	}
}

// The session ID of a server's own words is shortened, too.
func TestProofShortensTheServersWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := proveCase{
			after: map[string]func(*simulator.Server){"second sessions": func(s *simulator.Server) {
				s.FailNext(simulator.Answer(400, "text/plain", "what is "+s.Sessions()[2].ID+"?"))
			}},
			says:    wellBut(proveBoth, "FAIL  prove      logoff: 400 Bad Request: what is ", proveStillOn, proveTaken, proveOwnOnly),
			logoffs: 1, logins: 2,
		}
		c.run(t)
	})
}

// loopbackSettings are those of a worker with a simulated Web Server over the network.
func loopbackSettings(t *testing.T) (settings, *simulator.Server) {
	t.Helper()
	sim := simulator.New(simulator.Settings{}, 1)
	sim.AddUser(simulator.User{ID: proveUser, Login: "svc", Password: provePassword})
	web := httptest.NewServer(sim)
	t.Cleanup(web.Close)
	var s settings
	s.Webserver.URL = web.URL + "/commandcenter/api"
	s.Webserver.Timeout = time.Minute
	return s, sim
}

func TestProofTakesTheSettings(t *testing.T) {
	s, sim := loopbackSettings(t)
	s.Webserver.Username, s.Webserver.Password = "svc", provePassword
	var out strings.Builder
	r := report{w: &out}
	r.proveWebServer(t.Context(), s, "", 0)
	if r.failed != 0 || !strings.Contains(out.String(), proveRefused) || sim.Count("logoff") != 1 {
		t.Errorf("%d logoffs:\n%s", sim.Count("logoff"), out.String())
	}
	checkAllLeft(t, sim)
}

// The report tells how long the logoff took to show, and looks no longer than that.
func TestProofTellsHowLongTheLogoffTook(t *testing.T) {
	for delay, says := range map[time.Duration]string{0: "after 0s\n", 2 * time.Second: "after 3s\n", 5 * time.Second: "after 6s\n"} {
		synctest.Test(t, func(t *testing.T) {
			c := proveCase{settings: simulator.Settings{EffectDelay: delay}, says: append(proveWell, proveOwnOnly), logoffs: 1, logins: 2}
			if report := c.run(t); !strings.Contains(report, "is logged out in the list, "+says) {
				t.Errorf("for %v it does not say %q:\n%s", delay, says, report)
			}
		})
	}
}

// A file that has become unreadable since the settings were read is named, and nobody logs in.
func TestProofNamesWhatKeepsItFromTheWebServer(t *testing.T) {
	s, sim := loopbackSettings(t)
	s.Webserver.Username, s.Webserver.Password = "svc", provePassword
	s.Webserver.CAFile = written(t, "ca.pem", "no certificate")
	var out strings.Builder
	r := report{w: &out}
	r.proveWebServer(t.Context(), s, "", 0)
	if r.failed != 1 || !strings.HasPrefix(out.String(), "FAIL  webserver  ") || !strings.HasSuffix(out.String(), "LOGOFF_WEBSERVER_CA_FILE: the file holds no PEM certificate\n") || sim.Count("login") != 0 {
		t.Errorf("%d logins; it says\n%s", sim.Count("login"), out.String())
	}
}

func TestUserOfAProofIsANumberAboveZero(t *testing.T) {
	for id, want := range map[string]int64{"7": 7, "0": 0, "-7": 0, "jane": 0, "": 0, "9223372036854775808": 0} {
		var p proving
		switch err := p.setUser(id); {
		case want != 0 && (err != nil || p.user != want):
			t.Errorf("%q is %d: %v", id, p.user, err)
		case want == 0 && (err == nil || err.Error() != "a userId is a whole number above 0"):
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestProofGoesWithCheckOnly(t *testing.T) {
	for _, test := range []struct {
		p             proving
		command, says string
	}{
		{proving{}, "run", ""},
		{proving{}, "check", ""},
		{proving{asked: true}, "check", ""},
		{proving{asked: true, user: 7}, "check", ""},
		{proving{asked: true}, "run", "--prove goes with check only"},
		{proving{asked: true}, "", "--prove goes with check only"},
		{proving{user: 7}, "check", "--prove-user goes with check --prove only"},
		{proving{user: 7}, "run", "--prove-user goes with check --prove only"},
	} {
		says := ""
		if err := test.p.problem(test.command); err != nil {
			says = err.Error()
		}
		if says != test.says {
			t.Errorf("%+v with %q: it says %q, want %q", test.p, test.command, says, test.says)
		}
	}
}

// Without a password nothing is ended, and the check says why nothing is proved.
func TestProofNeedsALogin(t *testing.T) {
	s, sim := loopbackSettings(t)
	s.Webserver.Token = env.Secret(sim.Token(proveUser))
	var out strings.Builder
	r := report{w: &out}
	r.proveWebServer(t.Context(), s, "", 0)
	if r.failed != 1 || !strings.Contains(out.String(), "ok    webserver") || !strings.Contains(out.String(), "FAIL  prove      nothing was proved: with a token") ||
		!strings.Contains(out.String(), "LOGOFF_WEBSERVER_USERNAME") {
		t.Errorf("it says\n%s", out.String())
	}
	if sim.Count("login") != 0 || sim.Count("logoff") != 0 {
		t.Errorf("%d logins, %d logoffs", sim.Count("login"), sim.Count("logoff"))
	}
	checkNoSecrets(t, out.String(), sim)
}

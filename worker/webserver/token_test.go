package webserver

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestLoginTakesTheTokenInEveryForm(t *testing.T) {
	for name, body := range map[string]string{
		"JSON":             `{"aliasName":"1","token":"QSDK 3abc","capability":8590983173,"errList":[]}`,
		"carriage returns": "{\r\"token\":\"QSDK 3abc\",\"errList\":[\r]\r}",
		"XML":              `<?xml version="1.0"?><DM2ContentIndexing_CheckCredentialResp aliasName="1" token="QSDK 3abc"><ownerOrganization providerId="0"/></DM2ContentIndexing_CheckCredentialResp>`,
		"V10":              `{"DM2ContentIndexing_CheckCredentialResp":{"@aliasName":"1","@token":"QSDK 3abc"}}`,
		"SaaS":             `{"data":{"authToken":"QSDK 3abc"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, map[string]http.HandlerFunc{"Login": says(200, body), "Sessions": says(200, successElement)})
			c := s.client(t, withLogin(fixed("pässword")))
			if err := c.Logoff(t.Context(), Origin{}, []string{guid}); err != nil {
				t.Fatal(err)
			}
			if got := s.received("Sessions")[0].Header.Get("Authtoken"); got != "QSDK 3abc" {
				t.Errorf("token %q", got)
			}
			var form struct{ Username, Password, DeviceID string }
			r := s.received("Login")[0]
			if err := json.Unmarshal([]byte(r.body), &form); err != nil {
				t.Fatal(err)
			}
			password, _ := base64.StdEncoding.DecodeString(form.Password)
			if form.Username != "admin" || string(password) != "pässword" || form.DeviceID == "" || r.Header.Get("Authtoken") != "" || r.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s with %v", r.body, r.Header)
			}
		})
	}
}

const rejectedLogin = `{"errList":[{"errLogMessage":"Invalid username or password.","errorCode":1116}],"loginAttempts":1}`

func TestLoginVerdicts(t *testing.T) {
	for _, test := range []struct {
		status int
		body   string
		want   Verdict
		text   string
	}{
		{200, rejectedLogin, LoginRejected, "Invalid username or password. (errorCode 1116)"},
		{200, `{"isAccountLocked":true,"remainingLockTime":60,"errList":[]}`, LoginRejected, "the account is locked"},
		{200, `{"token":"","errList":[]}`, LoginRejected, ""},
		{200, `<DM2ContentIndexing_CheckCredentialResp><errList errorCode="1116" errLogMessage="no"/></DM2ContentIndexing_CheckCredentialResp>`, LoginRejected, "no (errorCode 1116)"},
		{200, `{"errorMessage":"Access denied.","errorCode":5}`, LoginRejected, "Access denied. (errorCode 5)"},
		{403, `{"errorMessage":"Access denied.","errorCode":5}`, LoginRejected, "Access denied. (errorCode 5)"},
		{401, `{"errorMessage":"Access denied.","errorCode":5}`, LoginRejected, "Access denied. (errorCode 5)"},
		{400, `{"errorCode":5}`, LoginRejected, "errorCode 5"},
		// What stands in front of the Web Server says nothing about the password.
		{401, "", Unavailable, ""},
		{401, `{"message":"Unauthorized"}`, Unavailable, "Unauthorized"},
		{401, maintenance, Unavailable, "Scheduled Maintenance"},
		{403, maintenance, Unavailable, "Scheduled Maintenance"},
		{403, "Forbidden", Unavailable, ""},
		{400, maintenance, Unavailable, "Scheduled Maintenance"},
		{400, `{"fault":{"faultstring":"Invalid API key"}}`, Unavailable, "Invalid API key"},
		{422, `{"detail":"no"}`, Unavailable, ""},
		{200, "", Unavailable, ""},
		{200, `{"token":"QSDK 3a`, Unavailable, ""},
		{200, maintenance, Unavailable, "Scheduled Maintenance"},
		{405, maintenance, Unavailable, "Scheduled Maintenance"},
		{500, generic500, Unavailable, "Something is not right. Please check web service logs for details (errorCode 500)"},
		{503, "", Unavailable, ""},
		{404, iisPage, Misconfigured, "404 - File or directory not found."},
		{413, "", Misconfigured, ""},
		{302, "", Misconfigured, ""},
		{429, "", Throttled, ""},
	} {
		s := serve(t, map[string]http.HandlerFunc{"Login": says(test.status, test.body), "Sessions": says(200, successElement)})
		e := facts(t, s.client(t, withLogin(fixed("secret"))).Logoff(t.Context(), Origin{}, []string{guid}))
		if e.Op != "login" || e.Verdict != test.want || e.Text != test.text || e.Sent || e.Timeout {
			t.Errorf("%d %q: %+v", test.status, test.body, e)
		}
		if n := len(s.received("Sessions")); n != 0 {
			t.Errorf("%d %q: %d logoffs without a token", test.status, test.body, n)
		}
	}
}

func TestRejectedLoginIsNotRepeated(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"Login": says(200, rejectedLogin)})
	password := "wrong"
	c := s.client(t, withLogin(func() (string, error) { return password, nil }))
	first := facts(t, c.Logoff(t.Context(), Origin{}, []string{guid}))
	for range 5 {
		again := facts(t, c.Logoff(t.Context(), Origin{}, []string{guid}))
		if again.Error() != first.Error() || again == first {
			t.Errorf("%v after %v", again, first)
		}
		if renewed := facts(t, c.Renew(t.Context(), again)); renewed.Verdict != LoginRejected {
			t.Errorf("renewal: %v", renewed)
		}
		if pinged := facts(t, c.Ping(t.Context())); pinged.Verdict != LoginRejected {
			t.Errorf("ping: %v", pinged)
		}
	}
	if n := len(s.received("Login")); n != 1 {
		t.Errorf("%d logins", n)
	}
	password = "wrong too"
	facts(t, c.Logoff(t.Context(), Origin{}, []string{guid}))
	if n := len(s.received("Login")); n != 2 {
		t.Errorf("%d logins after the password changed", n)
	}
	if strings.Contains(first.Error(), "wrong") {
		t.Errorf("a secret: %v", first)
	}
}

// A status without a word may be a rejection after all: the next try is in a minute, not in an hour.
func TestWordlessLoginAnswerIsTriedAgainInAMinute(t *testing.T) {
	for _, status := range []int{400, 401, 403} {
		s := serve(t, map[string]http.HandlerFunc{"Login": says(status, "")})
		e := facts(t, s.client(t, withLogin(fixed("secret"))).Ping(t.Context()))
		if e.Verdict != Unavailable || e.RetryAfter != time.Minute {
			t.Errorf("%d: %v, to be tried again in %v", status, e, e.RetryAfter)
		}
	}
}

func TestRejectedLoginTellsWhenItIsTriedNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := pipeSite(t, map[string]http.HandlerFunc{"Login": says(200, rejectedLogin)})
		first := facts(t, s.client.Ping(t.Context()))
		next := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		passes(20 * time.Minute)
		second := facts(t, s.client.Ping(t.Context()))
		for _, e := range []*Error{first, second} {
			if !strings.Contains(e.Error(), "the next login is tried at "+next) {
				t.Errorf("%v, want the time %s", e, next)
			}
		}
		if first.RetryAfter != time.Hour || second.RetryAfter != 40*time.Minute {
			t.Errorf("the rest of the pause is %v, then %v", first.RetryAfter, second.RetryAfter)
		}
		s.client.TryLoginAgain()
		facts(t, s.client.Ping(t.Context()))
		if n := s.count("Login"); n != 2 {
			t.Errorf("%d logins after one more was asked for", n)
		}
	})
}

func TestChangedSecretIsNoticed(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"Login": says(200, rejectedLogin), "WhoAmI": says(401, "")})
	secret, unreadable := "wrong", error(nil)
	source := func() (string, error) { return secret, unreadable }
	token := func(c *Config) { c.Token = source }
	for name, c := range map[string]*Client{"password": s.client(t, withLogin(source)), "token": s.client(t, token)} {
		secret, unreadable = "wrong", nil
		if c.SecretChanged() {
			t.Errorf("%s: changed before anything was refused", name)
		}
		refused := facts(t, c.Ping(t.Context()))
		facts(t, c.Renew(t.Context(), refused))
		if c.SecretChanged() {
			t.Errorf("%s: changed, and is the same", name)
		}
		secret = "another"
		if !c.SecretChanged() {
			t.Errorf("%s: the change is not noticed", name)
		}
		if unreadable = errors.New("no such file"); c.SecretChanged() {
			t.Errorf("%s: changed, and cannot be read", name)
		}
		if secret, unreadable = "half\nwritten", nil; name == "token" && c.SecretChanged() {
			t.Errorf("%s: changed to one that cannot be sent", name)
		}
	}
}

// Whoever keeps a token hears of a question as of a refusal, so that only a refusal asks; and the next is soon there.
func TestKeptTokenIsAskedForAfterARefusalAlone(t *testing.T) {
	for kept, pause := range map[bool]time.Duration{true: keptPause, false: 0} {
		s := serve(t, map[string]http.HandlerFunc{"WhoAmI": says(401, "")})
		asked := 0
		c := s.client(t, func(c *Config) {
			c.Kept = kept
			c.Token = func() (string, error) { asked++; return "QSDK 3a", nil }
		})
		refused := facts(t, c.Renew(t.Context(), facts(t, c.Ping(t.Context()))))
		if refused.RetryAfter != pause || asked != 2 {
			t.Errorf("kept %t: the next try is in %v, and %d tokens were asked for", kept, refused.RetryAfter, asked)
		}
		if c.SecretChanged(); kept && asked != 2 {
			t.Error("it is asked for without a refusal")
		}
	}
}

// A caller who is gone makes no login.
func TestCallerWhoIsGoneMakesNoLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := pipeSite(t, map[string]http.HandlerFunc{"Login": says(200, `{"token":"QSDK 3a"}`), "WhoAmI": says(200, "{}")})
		gone, leave := context.WithCancel(t.Context())
		leave()
		e := facts(t, s.client.Ping(gone))
		synctest.Wait()
		if !errors.Is(e, context.Canceled) || e.Op != OpLogin || s.count("Login") != 0 {
			t.Errorf("%v after %d logins", e, s.count("Login"))
		}
	})
}

// A refusal of a token that is gone, and for which there is no other yet, is no renewal that has happened.
func TestTokenThatIsGoneIsNotTakenForRenewed(t *testing.T) {
	var down atomic.Bool
	s := serve(t, map[string]http.HandlerFunc{
		"Login": func(w http.ResponseWriter, r *http.Request) {
			either(&down, says(503, ""), says(200, `{"token":"QSDK 3a"}`))(w, r)
		},
		"RenewLoginToken": says(401, ""),
		"WhoAmI":          says(401, ""),
	})
	c := s.client(t, withLogin(fixed("p")))
	refused := facts(t, c.Ping(t.Context()))
	down.Store(true)
	for range 2 {
		if e := facts(t, c.Renew(t.Context(), refused)); e.Op != OpLogin || e.Status != 503 {
			t.Errorf("%v", e)
		}
	}
	down.Store(false)
	if err := c.Renew(t.Context(), refused); err != nil || len(s.received("Login")) != 4 {
		t.Errorf("%v after %d logins", err, len(s.received("Login")))
	}
}

// What JSON cannot carry is not sent in another form.
func TestNamesAndTokensThatJSONCannotCarryAreNotSent(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"Login": says(200, `{"token":"QSDK 3a"}`), "RenewLoginToken": says(200, `{"token":"QSDK 3b"}`)})
	if e := facts(t, s.client(t, withLogin(fixed("p")), func(c *Config) { c.Username = "a\xff" }).Ping(t.Context())); e.Verdict != Misconfigured || e.Op != OpLogin {
		t.Errorf("user name: %v", e)
	}
	if renewed, e := s.client(t, withLogin(fixed("p"))).renew(t.Context(), &token{value: "a\xff", own: true}); renewed != nil || e == nil || e.Verdict != Misconfigured {
		t.Errorf("token: %v, %v", renewed, e)
	}
	if len(s.requests) != 0 {
		t.Errorf("%d requests", len(s.requests))
	}
}

func TestLoginsAreAdmitted(t *testing.T) {
	s := serveTokens(t, nil)
	c := s.client(t, withLogin(fixed("secret")))
	admitted, refuse := 0, error(nil)
	c.AdmitLogins(func(context.Context) error { admitted++; return refuse })
	if err := c.Logoff(t.Context(), Origin{}, []string{guid}); err != nil || admitted != 1 {
		t.Fatalf("%v, %d logins admitted", err, admitted)
	}
	refuse = context.Canceled
	s.serial.Add(1) // the token is another's
	e := facts(t, c.Renew(t.Context(), facts(t, c.Logoff(t.Context(), Origin{}, []string{guid}))))
	if !errors.Is(e, context.Canceled) || e.Verdict != Unavailable || admitted != 2 {
		t.Errorf("%v, %d admitted", e, admitted)
	}
	if n := len(s.received("RenewLoginToken")); n != 0 {
		t.Errorf("%d renewals that were not admitted", n)
	}
	other := s.client(t, withLogin(fixed("secret")))
	other.AdmitLogins(func(context.Context) error { return context.Canceled })
	if e := facts(t, other.Ping(t.Context())); !errors.Is(e, context.Canceled) || e.Op != OpLogin || len(s.received("Login")) != 1 {
		t.Errorf("%v after %d logins", e, len(s.received("Login")))
	}
}

func TestPauseAfterARejectedLogin(t *testing.T) {
	for name, test := range map[string]struct {
		body string
		want time.Duration
	}{
		"an hour":            {rejectedLogin, time.Hour},
		"as long as locked":  {`{"isAccountLocked":true,"remainingLockTime":7200}`, 2 * time.Hour},
		"not without a lock": {`{"isAccountLocked":false,"remainingLockTime":7200}`, time.Hour},
		"at most a day":      {`{"isAccountLocked":true,"remainingLockTime":"999999999"}`, 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := pipeSite(t, map[string]http.HandlerFunc{"Login": says(200, test.body)})
				facts(t, s.client.Ping(t.Context()))
				passes(test.want - time.Second)
				facts(t, s.client.Ping(t.Context()))
				if n := s.count("Login"); n != 1 {
					t.Errorf("%d logins before the pause is over", n)
				}
				passes(time.Second)
				facts(t, s.client.Ping(t.Context()))
				if n := s.count("Login"); n != 2 {
					t.Errorf("%d logins after the pause", n)
				}
			})
		})
	}
}

// A tokenSite gives tokens out and takes the latest alone.
type tokenSite struct {
	*site
	serial  atomic.Int64
	refused atomic.Int64 // logoffs with another token
}

func (s *tokenSite) give(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintf(w, `{"token":"QSDK 3canary%d"}`, s.serial.Add(1))
}

func serveTokens(t testing.TB, renew http.HandlerFunc) *tokenSite {
	s := &tokenSite{}
	if renew == nil {
		renew = s.give
	}
	s.site = serve(t, map[string]http.HandlerFunc{
		"Login": s.give, "RenewLoginToken": renew,
		"Sessions": func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authtoken") != fmt.Sprintf("QSDK 3canary%d", s.serial.Load()) {
				s.refused.Add(1)
				w.WriteHeader(401)
				return
			}
			says(200, successElement)(w, r)
		},
	})
	return s
}

func TestFiftyRefusalsAreOneRenewal(t *testing.T) {
	s := serveTokens(t, nil)
	c := s.client(t, withLogin(fixed("secret")))
	if err := c.Logoff(t.Context(), Origin{}, []string{guid}); err != nil {
		t.Fatal(err)
	}
	s.serial.Add(1) // the token dies
	var refused, done sync.WaitGroup
	refused.Add(50)
	for range 50 {
		done.Go(func() {
			e, _ := errors.AsType[*Error](c.Logoff(t.Context(), Origin{}, []string{guid}))
			refused.Done()
			refused.Wait() // until all hold the same refusal
			if e == nil || e.Verdict != Unauthorized {
				t.Errorf("%v", e)
				return
			}
			if err := c.Renew(t.Context(), e); err != nil {
				t.Errorf("renewal: %v", err)
			}
			if err := c.Logoff(t.Context(), Origin{}, []string{guid}); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
	done.Wait()
	if logins, renewals := len(s.received("Login")), len(s.received("RenewLoginToken")); logins != 1 || renewals != 1 {
		t.Errorf("%d logins, %d renewals", logins, renewals)
	}
	if n := s.refused.Load(); n != 50 {
		t.Errorf("%d refusals", n)
	}
}

func TestRenewalSendsTokenAndDeviceOfTheLogin(t *testing.T) {
	s := serveTokens(t, nil)
	c := s.client(t, withLogin(fixed("secret")))
	if err := c.Logoff(t.Context(), Origin{}, []string{guid}); err != nil {
		t.Fatal(err)
	}
	s.serial.Add(1)
	if err := c.Renew(t.Context(), facts(t, c.Logoff(t.Context(), Origin{}, []string{guid}))); err != nil {
		t.Fatal(err)
	}
	var login, renewal struct{ DeviceID, SessionID string }
	if err := errors.Join(json.Unmarshal([]byte(s.received("Login")[0].body), &login), json.Unmarshal([]byte(s.received("RenewLoginToken")[0].body), &renewal)); err != nil {
		t.Fatal(err)
	}
	if renewal.SessionID != "QSDK 3canary1" || renewal.DeviceID != login.DeviceID {
		t.Errorf("login %+v, renewal %+v", login, renewal)
	}
}

func TestRefusedRenewalBecomesALogin(t *testing.T) {
	for _, answer := range []struct {
		status int
		body   string
	}{
		{200, `{"error":{"errLogMessage":"no such session"}}`},
		{200, `{"token":""}`},
		{401, ""},
		{403, `{"errorCode":5}`},
		{404, iisPage},
		{400, ""},
		{450, ""},
		{500, generic500},
	} {
		s := serveTokens(t, says(answer.status, answer.body))
		c := s.client(t, withLogin(fixed("secret")))
		if err := c.Logoff(t.Context(), Origin{}, []string{guid}); err != nil {
			t.Fatal(err)
		}
		s.serial.Add(1)
		if err := c.Renew(t.Context(), facts(t, c.Logoff(t.Context(), Origin{}, []string{guid}))); err != nil {
			t.Errorf("%v: %v", answer, err)
		}
		if err := c.Logoff(t.Context(), Origin{}, []string{guid}); err != nil || len(s.received("Login")) != 2 {
			t.Errorf("%v: %v after %d logins", answer, err, len(s.received("Login")))
		}
	}
}

func TestRenewalThatFailsForAllCausesNoLogin(t *testing.T) {
	for _, answer := range []struct {
		status int
		body   string
		want   Verdict
	}{
		{503, `{"message":"starting"}`, Unavailable},
		{405, maintenance, Unavailable},
		{200, maintenance, Unavailable},
		{403, maintenance, Forbidden},
		{302, "", Misconfigured},
		{429, "", Throttled},
	} {
		s := serveTokens(t, says(answer.status, answer.body))
		c := s.client(t, withLogin(fixed("secret")))
		if err := c.Logoff(t.Context(), Origin{}, []string{guid}); err != nil {
			t.Fatal(err)
		}
		s.serial.Add(1)
		e := facts(t, c.Renew(t.Context(), facts(t, c.Logoff(t.Context(), Origin{}, []string{guid}))))
		if e.Verdict != answer.want || e.Op != "renew" || e.Sent || len(s.received("Login")) != 1 {
			t.Errorf("%v: %+v after %d logins", answer, e, len(s.received("Login")))
		}
	}
}

func TestRenewalThatHappenedIsNotRepeated(t *testing.T) {
	s := serveTokens(t, nil)
	c := s.client(t, withLogin(fixed("secret")))
	if err := c.Logoff(t.Context(), Origin{}, []string{guid}); err != nil {
		t.Fatal(err)
	}
	s.serial.Add(1)
	refused := facts(t, c.Logoff(t.Context(), Origin{}, []string{guid}))
	for range 3 {
		if err := c.Renew(t.Context(), refused); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.received("RenewLoginToken")); n != 1 {
		t.Errorf("%d renewals", n)
	}
}

func TestGivenTokenIsReadAnewWhenRefused(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"Sessions": func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authtoken") != "QSDK 3new" {
			w.WriteHeader(401)
			return
		}
		says(200, successElement)(w, r)
	}})
	value := "QSDK 3old"
	c := s.client(t, func(c *Config) { c.Token = func() (string, error) { return value, nil } })
	refused := facts(t, c.Logoff(t.Context(), Origin{}, []string{guid}))
	if again := facts(t, c.Renew(t.Context(), refused)); again.Verdict != Unauthorized || again.Status != 401 || again.Op != "token" {
		t.Errorf("unchanged: %+v", again)
	}
	value = "QSDK 3new\n"
	if err := c.Renew(t.Context(), refused); err != nil {
		t.Errorf("changed: %v", err)
	}
	if err := c.Logoff(t.Context(), Origin{}, []string{guid}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if err := c.Logout(t.Context()); err != nil || len(s.received("Logout")) != 0 {
		t.Errorf("a token that is not ours was logged out: %v", err)
	}
}

func TestSecretsThatCannotBeReadAreAMisconfiguration(t *testing.T) {
	s := serve(t, nil)
	for name, change := range map[string]func(*Config){
		"token":      func(c *Config) { c.Token = func() (string, error) { return "", errors.New("no such file") } },
		"no token":   func(c *Config) { c.Token = fixed(" \n") },
		"two tokens": func(c *Config) { c.Token = fixed("QSDK 3canary\nQSDK 3canary") },
		"password":   withLogin(func() (string, error) { return "", errors.New("no such file") }),
	} {
		e := facts(t, s.client(t, change).Logoff(t.Context(), Origin{}, []string{guid}))
		if e.Verdict != Misconfigured || e.Op != "login" || strings.Contains(e.Error(), "canary") {
			t.Errorf("%s: %v", name, e)
		}
	}
	if len(s.requests) != 0 {
		t.Errorf("%d requests without a secret", len(s.requests))
	}
}

func TestWaiterWhoLeavesDoesNotEndTheLogin(t *testing.T) {
	arrived, answer := make(chan struct{}), make(chan struct{})
	s := serve(t, map[string]http.HandlerFunc{
		"Login": func(w http.ResponseWriter, r *http.Request) {
			close(arrived)
			<-answer
			says(200, `{"token":"QSDK 3a"}`)(w, r)
		},
		"Sessions": says(200, successElement),
	})
	c := s.client(t, withLogin(fixed("secret")))
	ctx, cancel := context.WithCancel(t.Context())
	leaver, stayer := make(chan error), make(chan error)
	go func() { leaver <- c.Logoff(ctx, Origin{}, []string{guid}) }()
	<-arrived
	go func() { stayer <- c.Logoff(t.Context(), Origin{}, []string{guid}) }()
	cancel()
	if err := <-leaver; !errors.Is(err, context.Canceled) {
		t.Errorf("who left: %v", err)
	}
	close(answer)
	if err := <-stayer; err != nil {
		t.Errorf("who stayed: %v", err)
	}
	if n := len(s.received("Login")); n != 1 {
		t.Errorf("%d logins", n)
	}
}

func TestLogoutEndsOurOwnSession(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		body   string
		ok     bool
	}{
		"done":        {200, "User logged out", true},
		"dead":        {200, "Invalid authorization token provided.", true},
		"dead, 401":   {401, maintenance, true},
		"dead, error": {200, `{"errorMessage":"Session expired. Please log in again.","errorCode":1}`, true},
		"unavailable": {503, "", false},
		"out of use":  {503, "Invalid authorization token provided.", false},
		"refused":     {200, `{"errorMessage":"m","errorCode":5}`, false},
		"page":        {200, maintenance, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, map[string]http.HandlerFunc{"Login": says(200, `{"token":"QSDK 3a"}`), "WhoAmI": says(200, "{}"), "Logout": says(test.status, test.body)})
			c := s.client(t, withLogin(fixed("secret")))
			if err := errors.Join(c.Logout(t.Context()), c.Ping(t.Context())); err != nil {
				t.Fatal(err)
			}
			err := c.Logout(t.Context())
			if (err == nil) != test.ok {
				t.Errorf("%v", err)
			}
			r := s.received("Logout")[0]
			if r.Method != "POST" || r.Header.Get("Authtoken") != "QSDK 3a" || r.body != "" || r.ContentLength != 0 {
				t.Errorf("%s with %v: %q", r.Method, r.Header, r.body)
			}
			if err := c.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := len(s.received("Login")); (n == 2) != test.ok {
				t.Errorf("%d logins", n)
			}
		})
	}
}

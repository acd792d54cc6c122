package webserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var oldPair = Pair{Access: "canary+old/access=", Refresh: "canary-old-refresh", RenewableUntil: time.Unix(9000, 0)}

const renewedBody = `{"accessToken":"canary-new-access","refreshToken":"canary-new-refresh","tokenExpiryTimestamp":5000,"renewableUntilTimestamp":8000}`

// hides fails a test where a token is shown.
func hides(t testing.TB, shown ...any) {
	t.Helper()
	for _, value := range shown {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			text := fmt.Sprintf(verb, value)
			if strings.Contains(text, "canary") || strings.Contains(text, fmt.Sprintf("%x", "canary")) {
				t.Errorf("%s shows %s", verb, text)
			}
		}
	}
}

func TestRenewPairTakesTheTokensInEveryForm(t *testing.T) {
	at := func(seconds int64) time.Time { return time.Unix(seconds, 0) }
	for name, test := range map[string]struct {
		body           string
		expires, until time.Time
	}{
		"documented":         {renewedBody, at(5000), at(8000)},
		"carriage returns":   {strings.NewReplacer("{", "{\r", ",", ",\r", "}", "\r}", ":", "\r: ").Replace(renewedBody), at(5000), at(8000)},
		"strings":            {strings.NewReplacer("5000", `"5000"`, "8000", `"8000"`).Replace(renewedBody), at(5000), at(8000)},
		"wrapped":            {`{"tokenInfo":` + renewedBody + `}`, at(5000), at(8000)},
		"other case":         {strings.NewReplacer("accessToken", "AccessToken", "refreshToken", "RefreshToken").Replace(renewedBody), at(5000), at(8000)},
		"damaged key":        {strings.Replace(renewedBody, "tokenExpiryTimestamp", "tokenExpiryTimes}amp", 1), at(5000), at(8000)},
		"damaged otherwise":  {strings.Replace(renewedBody, `"tokenExpiryTimestamp":`, `"token"Exp:`, 1), time.Time{}, at(8000)},
		"escaped":            {strings.Replace(renewedBody, "canary-new-access", `canary\u002dnew\u002Daccess`, 1), at(5000), at(8000)},
		"no renewable until": {strings.Replace(renewedBody, `,"renewableUntilTimestamp":8000`, "", 1), at(5000), at(9000)},
		"after all time":     {strings.Replace(renewedBody, "5000", "999999999999", 1), time.Time{}, at(8000)},
		"times of no sense":  {strings.NewReplacer("5000", "-1", "8000", "99999999999999999999").Replace(renewedBody), time.Time{}, at(9000)},
		"tokens alone":       {`{"accessToken":"canary-new-access","refreshToken":"canary-new-refresh"}`, time.Time{}, at(9000)},
		"with its scheme":    {strings.Replace(renewedBody, "canary-new-access", "Bearer canary-new-access", 1), at(5000), at(8000)},
		"XML":                {`<R accessToken="canary-new-access" refreshToken="canary-new-refresh" tokenExpiryTimestamp="5000" renewableUntilTimestamp="8000"/>`, at(5000), at(8000)},
		"cut off":            {renewedBody[:strings.Index(renewedBody, `,"tokenExpiry`)], time.Time{}, at(9000)},
		"beside a code":      {`{"errorCode":7,` + renewedBody[1:], at(5000), at(8000)},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, map[string]http.HandlerFunc{"Renew": says(200, test.body)})
			renewed, err := s.client(t).RenewPair(t.Context(), oldPair)
			if err != nil || renewed.Access != "canary-new-access" || renewed.Refresh != "canary-new-refresh" ||
				!renewed.Expires.Equal(test.expires) || !renewed.RenewableUntil.Equal(test.until) {
				t.Errorf("%q %q %v %v: %v", renewed.Access, renewed.Refresh, renewed.Expires.Unix(), renewed.RenewableUntil.Unix(), err)
			}
			hides(t, renewed)
		})
	}
}

func TestRenewPairCountsExpiresInFromTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := `{"accessToken":"a","refreshToken":"r","expiresIn":1800}`
		c, _ := raw(t, func(conn net.Conn) {
			passes(10 * time.Second)
			plays(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body))(conn)
		})
		begun := time.Now()
		if p, err := c.RenewPair(t.Context(), oldPair); err != nil || !p.Expires.Equal(begun.Add(30*time.Minute)) {
			t.Errorf("%v, %v", p.Expires.Sub(begun), err)
		}
	})
}

func TestRenewPairTakesTokensOfAnAnswerThatBreaksOff(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"Renew": says(200, renewedBody, "Content-Length", fmt.Sprint(len(renewedBody)+100))})
	if p, err := s.client(t).RenewPair(t.Context(), oldPair); err != nil || p.Access != "canary-new-access" || p.Refresh != "canary-new-refresh" {
		t.Errorf("%v", err)
	}
	half := renewedBody[:strings.Index(renewedBody, `new-refresh`)]
	s = serve(t, map[string]http.HandlerFunc{"Renew": says(200, half, "Content-Length", fmt.Sprint(len(half)+100))})
	p, err := s.client(t).RenewPair(t.Context(), oldPair)
	if e := facts(t, err); !e.Sent || e.Verdict != Unavailable || p != (Pair{}) {
		t.Errorf("half a token: %+v", e)
	}
	hides(t, err)
}

func TestRenewPairRequest(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"Renew": says(200, renewedBody)})
	given := oldPair
	given.Access = "Bearer " + given.Access
	asked := 0
	c := s.client(t, func(c *Config) { c.Token = func() (string, error) { asked++; return "Bearer other", nil } })
	if _, err := c.RenewPair(t.Context(), given); err != nil {
		t.Fatal(err)
	}
	r := s.received("Renew")[0]
	var form map[string]string
	if err := json.Unmarshal([]byte(r.body), &form); err != nil || len(form) != 2 || form["accessToken"] != oldPair.Access || form["refreshToken"] != oldPair.Refresh {
		t.Errorf("%s, %v", r.body, err)
	}
	if r.Method != "POST" || r.URL.Path != "/commandcenter/api/V4/AccessToken/Renew" || r.Header.Get("Authorization") != "Bearer "+oldPair.Access ||
		r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Accept") != "application/json" {
		t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
	}
	if asked != 0 || len(s.requests) != 1 {
		t.Errorf("the given token was asked for %d times, %d requests", asked, len(s.requests))
	}
}

func TestRenewPairGoesWithoutTheTokenOnlyAfter401(t *testing.T) {
	var headers []string
	s := serve(t, map[string]http.HandlerFunc{"Renew": func(w http.ResponseWriter, r *http.Request) {
		headers = append(headers, r.Header.Get("Authorization"))
		if r.Header.Get("Authorization") != "" {
			says(401, "canary-old-refresh")(w, r)
			return
		}
		says(200, renewedBody)(w, r)
	}})
	if p, err := s.client(t).RenewPair(t.Context(), oldPair); err != nil || p.Access != "canary-new-access" {
		t.Error(err)
	}
	if len(headers) != 2 || headers[0] == "" || headers[1] != "" || s.received("Renew")[0].body != s.received("Renew")[1].body {
		t.Errorf("%q", headers)
	}
}

// What an Error says of a pair decides whether it is lost, so it is never presented twice in doubt.
func TestRenewPairVerdicts(t *testing.T) {
	echo := `{"errorMessage":"canary+old/access= canary-old-refresh","errorCode":5}`
	for name, test := range map[string]struct {
		status int
		body   string
		want   Verdict
		sent   bool
		calls  int
	}{
		"450":                      {450, echo, LoginRejected, false, 1},
		"450 page":                 {450, iisPage, LoginRejected, false, 1},
		"403":                      {403, echo, LoginRejected, false, 1},
		"403 of a firewall":        {403, iisPage, Forbidden, false, 1},
		"404":                      {404, echo, LoginRejected, false, 1},
		"404 page":                 {404, wcfPage, Misconfigured, false, 1},
		"401":                      {401, echo, Unauthorized, false, 2},
		"400":                      {400, echo, Refused, false, 1},
		"429":                      {429, echo, Throttled, false, 1},
		"405 maintenance":          {405, maintenance, Unavailable, false, 1},
		"413":                      {413, "", Misconfigured, false, 1},
		"302":                      {302, "", Misconfigured, false, 1},
		"500":                      {500, echo, Unavailable, true, 1},
		"500 with tokens":          {500, renewedBody, Unavailable, true, 1},
		"502":                      {502, "", Unavailable, true, 1},
		"503":                      {503, "", Unavailable, true, 1},
		"200 page":                 {200, maintenance, Unavailable, true, 1},
		"200 of nothing":           {200, "", Unavailable, true, 1},
		"200 of another meaning":   {200, `{"a":"canary-new-refresh"}`, Unavailable, true, 1},
		"200 message of a token":   {200, `{"message":"canary"}`, Unavailable, true, 1},
		"200 text":                 {200, `canary-new-access canary-new-refresh`, Unavailable, true, 1},
		"200 error":                {200, echo, Refused, true, 1},
		"200 invalid token":        {200, "Invalid authorization token provided.", Unauthorized, true, 1},
		"200 without a refresh":    {200, `{"accessToken":"canary-new-access","message":"canary-new-access"}`, Unavailable, true, 1},
		"200 with an empty one":    {200, `{"accessToken":"canary-new-access","refreshToken":""}`, Unavailable, true, 1},
		"200 with a line break":    {200, `{"accessToken":"canary-new\nx","refreshToken":"canary-new-refresh"}`, Unavailable, true, 1},
		"200 repeating the old":    {200, `{"accessToken":"canary+old\/access=","refreshToken":"canary-old-refresh"}`, Unavailable, true, 1},
		"200 under another's name": {200, `{"oldAccessToken":"canary-a","oldRefreshToken":"canary-b"}`, Unavailable, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, map[string]http.HandlerFunc{"Renew": says(test.status, test.body)})
			var seen []Call
			c := s.client(t, func(c *Config) { c.Observe = func(call Call) { seen = append(seen, call) } })
			p, err := c.RenewPair(t.Context(), oldPair)
			e := facts(t, err)
			if e.Op != "token" || e.Verdict != test.want || e.Sent != test.sent || p != (Pair{}) {
				t.Errorf("%+v", e)
			}
			if len(s.received("Renew")) != test.calls || len(seen) != test.calls || seen[0].Op != "token" {
				t.Errorf("%d calls, %v", len(s.received("Renew")), seen)
			}
			hides(t, err, *e, seen, p)
		})
	}
}

// An error is shown in its words; a success that is not understood may hold tokens, so nothing of it is.
func TestRenewPairShowsTheWordsOfErrorsAlone(t *testing.T) {
	for body, want := range map[string]string{`{"errorMessage":"no such pair","errorCode":5}`: "no such pair (errorCode 5)", `{"message":"anything"}`: ""} {
		s := serve(t, map[string]http.HandlerFunc{"Renew": says(200, body)})
		if e := facts(t, second(s.client(t).RenewPair(t.Context(), oldPair))); e.Text != want {
			t.Errorf("%s is shown as %q", body, e.Text)
		}
	}
}

func TestRenewPairUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, dials := raw(t, func(conn net.Conn) { passes(time.Hour) })
		if e := facts(t, second(c.RenewPair(t.Context(), oldPair))); !e.Sent || !e.Timeout || e.Verdict != Unavailable || dials.Load() != 1 {
			t.Errorf("time-out: %+v, %d dials", e, dials.Load())
		}
		c, dials = raw(t, plays(""))
		if e := facts(t, second(c.RenewPair(t.Context(), oldPair))); !e.Sent || e.Verdict != Unavailable || dials.Load() != 1 {
			t.Errorf("closed: %+v, %d dials", e, dials.Load())
		}
	})
}

func TestRenewPairThatWasNotSentIsSafe(t *testing.T) {
	calls := 0
	c, err := New(Config{URL: "https://web.example/api", Token: fixed("t"), Observe: func(Call) { calls++ }, DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("refused canary-old-refresh")
	}})
	if err != nil {
		t.Fatal(err)
	}
	e := facts(t, second(c.RenewPair(t.Context(), oldPair)))
	if e.Sent || e.Verdict != Unavailable {
		t.Errorf("%+v", e)
	}
	hides(t, e)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if e := facts(t, second(c.RenewPair(ended, oldPair))); e.Sent || e.Op != "token" || !errors.Is(e, context.Canceled) || calls != 1 {
		t.Errorf("%+v after %d calls", e, calls)
	}
}

func TestRenewPairOfNoPairMakesNoCall(t *testing.T) {
	s := serve(t, nil)
	for _, p := range []Pair{{}, {Access: "canary"}, {Refresh: "canary"}, {Access: "canary\n", Refresh: "r"}, {Access: "a", Refresh: "canary\xff"}} {
		e := facts(t, second(s.client(t).RenewPair(t.Context(), p)))
		if e.Verdict != Misconfigured || e.Sent || e.Op != "token" {
			t.Errorf("%+v", e)
		}
		hides(t, e)
	}
	if len(s.requests) != 0 {
		t.Errorf("%d requests", len(s.requests))
	}
}

// A kept connection may be dead without our knowing, which would leave a pair in doubt for nothing.
func TestRenewPairHasAConnectionOfItsOwn(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"WhoAmI": says(200, "{}"), "Renew": says(200, renewedBody)})
	dials := 0
	c := s.client(t, func(c *Config) {
		c.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials++
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		}
	})
	err := errors.Join(c.Ping(t.Context()), c.Ping(t.Context()), second(c.RenewPair(t.Context(), oldPair)))
	if err != nil || dials != 2 {
		t.Errorf("%d dials, %v", dials, err)
	}
}

func TestTokensOfPairsAreCutFromLaterTexts(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{
		"Renew":    says(200, renewedBody),
		"Sessions": says(400, `{"errorMessage":"canary+old/access= canary-old-refresh canary-new-access canary-new-refresh","errorCode":5}`),
	})
	c := s.client(t)
	if _, err := c.RenewPair(t.Context(), oldPair); err != nil {
		t.Fatal(err)
	}
	err := c.Logoff(t.Context(), Origin{}, []string{guid})
	if e := facts(t, err); e.Text == "" {
		t.Error("no text")
	}
	hides(t, err)
}

func TestPairsHideTheirTokensInLogs(t *testing.T) {
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "pair", oldPair)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "pair", oldPair)
	if strings.Contains(log.String(), "canary") {
		t.Error(log.String())
	}
	hides(t, oldPair, &oldPair, []Pair{oldPair}, struct{ P Pair }{oldPair})
}

package simulator

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestFaultForCompanyWaitsForADocumentOfSeveral(t *testing.T) {
	s := newSite(t, Settings{})
	token, ids := s.Token(1), s.SignOnMany(2, 4)
	s.FailNext(Status(503).WithOthers())
	for i, test := range []struct {
		ids  []string
		want int
	}{{ids[:1], 200}, {ids[1:3], 503}, {ids[1:3], 200}} {
		if r := s.logoff(token, test.ids...); r.status != test.want {
			t.Errorf("document %d: status %d, want %d", i, r.status, test.want)
		}
	}
}

func TestFaultsComeInsteadOfTheAnswer(t *testing.T) {
	is := func(status int, part string) func(received, error) bool {
		return func(r received, err error) bool {
			return err == nil && r.status == status && strings.Contains(r.body, part) && !success(r)
		}
	}
	broken := func(_ received, err error) bool { return err != nil }
	for name, test := range map[string]struct {
		fault Fault
		right func(received, error) bool
	}{
		"503":           {Status(503), is(503, "<html")},
		"500":           {Status(500), is(500, "Something is not right")},
		"400":           {Status(400), is(400, "errorCode")},
		"403":           {Status(403), is(403, "permission")},
		"204":           {Status(204), is(204, "")},
		"generic 500":   {Generic500(), is(500, "Something is not right")},
		"answer":        {Answer(207, "text/x", "as it is"), is(207, "as it is")},
		"page":          {Page(), is(200, "Scheduled Maintenance")},
		"error body":    {ErrorBody(), is(200, "Something is not right")},
		"reset":         {Reset(false), broken},
		"reset applied": {Reset(true), broken},
		"504 applied":   {Status(504).Applied(), is(504, "<html")},
		"empty":         {Empty(), func(r received, err error) bool { return err == nil && r.status == 200 && r.body == "" }},
		"doctype":       {Doctype(), func(r received, err error) bool { return err == nil && strings.HasPrefix(r.body, "<!DOCTYPE") }},
		"throttle":      {Throttle(90), func(r received, err error) bool { return r.status == 429 && r.header.Get("Retry-After") == "90" }},
		"throttle until": {ThrottleUntil(time.Unix(1e9, 0)), func(r received, err error) bool {
			return r.status == 429 && r.header.Get("Retry-After") == "Sun, 09 Sep 2001 01:46:40 GMT"
		}},
		"redirect": {Redirect("http://login.example/?a=b"), func(r received, err error) bool {
			return r.status == 302 && r.header.Get("Location") == "http://login.example/?a=b"
		}},
		"gzip bomb": {GzipBomb(), func(r received, err error) bool {
			return err == nil && len(r.body) < 20_000 && unpacked(r.body) > 10<<20
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, Settings{})
			token, ids := s.Token(1), s.SignOnMany(2, 1)
			s.FailNext(test.fault)
			if r := s.ask("GET", "WhoAmI", "", "Authtoken", token); r.status != 200 {
				t.Errorf("another kind of request got the fault: %+v", r)
			}
			r, err := s.try("DELETE", "Sessions", documentOf(ids...), "Authtoken", token)
			if !test.right(r, err) {
				t.Errorf("%s: %+v, %v", test.fault, r, err)
			}
			applied := strings.HasSuffix(test.fault.String(), "applied")
			s.wantAlive(ids, !applied)
			if request := s.last(); request.Success || (len(request.Applied) == 1) != applied || request.Answered != (err == nil) || request.Status != r.status {
				t.Errorf("journal %+v", request)
			}
			s.Configure(func(settings *Settings) { settings.Ended = EndedIgnore })
			if r := s.logoff(token, ids...); !success(r) {
				t.Errorf("the next request: %+v", r)
			}
		})
	}
}

func unpacked(body string) int {
	reader, err := gzip.NewReader(bytes.NewReader([]byte(body)))
	if err != nil {
		return -1
	}
	content, err := io.ReadAll(reader)
	if err != nil {
		return -1
	}
	return len(content)
}

func TestCutOffAnswersAreNeverWhole(t *testing.T) {
	s := newSite(t, Settings{})
	token := s.Token(1)
	s.FailNext(CutOff(), CutOff(), CutOff())
	for way, broken := range []bool{true, true, false} { // the last one ends with its connection
		r, err := s.try("DELETE", "Sessions", documentOf(), "Authtoken", token)
		if (err != nil) != broken || r.status != 200 || r.body != "<Api_LogoffUsersRes" {
			t.Errorf("way %d: %+v, %v", way, r, err)
		}
		if s.last().Answered {
			t.Errorf("way %d is answered in the journal", way)
		}
	}
}

func TestBodiesWithoutEnd(t *testing.T) {
	for _, fault := range []Fault{SlowBody(), EndlessBody(), Hang(false), Hang(true)} {
		t.Run(fault.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, Settings{})
				token, ids := s.Token(1), s.SignOnMany(2, 1)
				s.FailNext(fault)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				request, err := http.NewRequestWithContext(ctx, http.MethodDelete, "http://cs.example"+apiBase+"/Sessions", strings.NewReader(documentOf(ids...)))
				if err != nil {
					t.Fatal(err)
				}
				request.Header.Set("Authtoken", token)
				response, err := s.client.Do(request)
				if strings.HasPrefix(fault.String(), "hang") {
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("%v", err)
					}
					s.wantAlive(ids, fault.String() == "hang")
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				const most = 1 << 20
				n, err := io.Copy(io.Discard, io.LimitReader(response.Body, most))
				if slow := err != nil; slow && n > 40 || !slow && n != most {
					t.Errorf("%d bytes, %v", n, err)
				}
				response.Body.Close()
				s.wantAlive(ids, true)
			})
		})
	}
}

func TestResetIsARealOneOverTCP(t *testing.T) {
	s := New(Settings{}, 1)
	s.FailNext(Reset(false))
	server := httptest.NewServer(s)
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "DELETE "+apiBase+"/Sessions HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v", err)
	}
}

func TestFaultsForOtherKindsOfRequests(t *testing.T) {
	s := newSite(t, Settings{})
	token := s.Token(1)
	for op, call := range map[string][2]string{
		"login": {"POST", "Login"}, "renew": {"POST", "RenewLoginToken"}, "whoami": {"GET", "WhoAmI"},
		"session": {"GET", "Session?userId=1"}, "user": {"GET", "User/1"}, "userv4": {"GET", "V4/user/1"}, "logout": {"POST", "Logout"}, "refresh": {"POST", "V4/AccessToken/Renew"},
	} {
		s.FailNextOn(op, Status(504))
		if r := s.ask(call[0], call[1], "{}", "Authtoken", token); r.status != 504 {
			t.Errorf("%s: %d", op, r.status)
		}
		if r := s.ask(call[0], call[1], "{}", "Authtoken", token); r.status == 504 {
			t.Errorf("%s failed twice", op)
		}
	}
	s.FailNext(Status(504))
	s.ClearFaults()
	if r := s.logoff(s.Token(1)); !success(r) {
		t.Errorf("after clearing: %+v", r)
	}
}

func TestRateOfFaultsFollowsTheSeed(t *testing.T) {
	var runs [2][]int
	for i := range runs {
		s := newSite(t, Settings{})
		token := s.Token(1)
		s.FailAtRate(0.3, Status(502), Status(503))
		for range 200 {
			runs[i] = append(runs[i], s.logoff(token).status)
		}
		s.FailAtRate(0)
		for range 20 {
			if r := s.logoff(token); !success(r) {
				t.Fatalf("after the end of it: %+v", r)
			}
		}
	}
	counts := map[int]int{}
	for i, status := range runs[0] {
		counts[status]++
		if runs[1][i] != status {
			t.Fatalf("request %d differs between two runs of one seed", i)
		}
	}
	if failed := counts[502] + counts[503]; failed < 30 || failed > 90 || counts[502] == 0 || counts[503] == 0 {
		t.Errorf("statuses %v", counts)
	}
}

func TestEffectThenFailure(t *testing.T) {
	for effect, status := range map[AfterEffect]int{AfterEffectReset: 0, AfterEffectHang: 0, AfterEffect502: 502, AfterEffect504: 504} {
		t.Run(string(effect), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, Settings{AfterEffect: effect})
				s.client.Timeout = 10 * time.Second
				token, ids := s.Token(1), s.SignOnMany(2, 2)
				r, err := s.try("DELETE", "Sessions", documentOf(ids...), "Authtoken", token)
				if r.status != status || (err != nil) != (status == 0) {
					t.Errorf("%+v, %v", r, err)
				}
				s.wantAlive(ids, false, false)
				if request := s.last(); request.Success || len(request.Applied) != 2 {
					t.Errorf("journal %+v", request)
				}
				if r := s.logoff(token, ids...); r.status != 500 {
					t.Errorf("the same again meets its own ended sessions: %+v", r)
				}
			})
		})
	}
}
